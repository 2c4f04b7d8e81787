// Package server is for trying auscult, for tests and for one-box sites: a small
// FHIR R4 JSON server on one SQLite file, fast enough that a ward's recordings
// are written in a minute. Its CapabilityStatement says what it is not for.
//
// It knows no mapping, no topic and no stage; to the rest of auscult it is one
// FHIR server among others, reached over HTTP only.
//
// A write that was answered survives the death of the process. After a power
// failure the last moments may be missing (SQLite: WAL, synchronous NORMAL).
package server
