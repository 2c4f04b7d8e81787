// Package mapfile reads mapping files, JSON as people write it, and tells their
// authors everything that is wrong with them, each fault at its place. It does
// not know what a mapping is: packages mapping and fhir describe their files
// with Definitions.
//
// A Definition is used twice. Report.Object checks an object of a file against
// it, and Schema writes a JSON Schema from it, so an editor and the loader agree
// on what may be written.
//
// # The JSON that is read
//
// Everything that is JSON, and what people put into mapping files: comments of
// both kinds, trailing commas, texts in single quotes, names of members without
// quotes and a byte order mark. Of members with one name the last counts.
package mapfile
