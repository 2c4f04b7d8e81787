// Package fhir is for everything auscult writes to a FHIR R4 server: the FHIR
// mapping files, the segments that group values into Observations, creating
// and merging these Observations, and the risk resources with their ids.
//
// It knows no server, clock, goroutine or topic: stored resources and records
// come in as arguments, bodies go out as bytes.
package fhir
