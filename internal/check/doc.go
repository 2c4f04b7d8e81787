// Package check is for telling an author what is wrong with mapping files: it
// loads them, collects their faults and lints, compares the two kinds with each
// other, and writes what it found as text, JSON or SARIF.
//
// It knows no file system and no message: texts come in with their names.
package check
