// Package dryrun is for seeing what mapping files make of messages without
// running anything: messages become measurements, and measurements the
// resources that would be written to a FHIR server that it holds in memory.
//
// It knows no broker, file or clock. Batches are grouped as Microsoft's
// connector groups them, so that its recorded behaviour can be compared.
package dryrun
