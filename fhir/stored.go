package fhir

import (
	"fmt"
	"time"
)

// Stored is a resource as a FHIR server holds it. An empty ID means that the
// server has none.
type Stored struct {
	ID      string
	Version string // meta.versionId
	JSON    []byte
	Gone    bool // it was there and is deleted (410)
}

// StatusError is an answer of a FHIR server other than 2xx.
type StatusError struct {
	Status int
	// Outcome is the text of the OperationOutcome, empty when there was none.
	// Servers repeat content in it: it belongs into dead letters, not into logs.
	Outcome string
	// RetryAfter is how long the server asked to be left alone, 0 when it did not.
	RetryAfter time.Duration
	// MissingReference says that the server refused a reference to a resource
	// which it does not hold (yet).
	MissingReference bool
}

// Error names the status alone: the outcome may hold what must not be logged.
func (e *StatusError) Error() string { return fmt.Sprintf("the FHIR server answered %d", e.Status) }
