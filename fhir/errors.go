package fhir

import (
	"fmt"

	"auscult/internal/mapfile"
)

// LoadError is one fault of a FHIR mapping file and where it stands.
type LoadError = mapfile.Error

// LoadErrors returns the faults that err, an answer of LoadMapping, joins.
func LoadErrors(err error) []*LoadError { return mapfile.Errors(err) }

// MappingError says that the FHIR mapping cannot use values, or cannot merge
// them into what the server holds. Trying again does not help. Its text may
// quote a value: it belongs into the dead letter, not into logs.
type MappingError struct {
	Type    string // of the measurement
	Name    string // of the value, when it is about one
	Message string
}

// Error says which type and value it is about.
func (e *MappingError) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("mapping type %q: %s", e.Type, e.Message)
	}
	return fmt.Sprintf("mapping value %q of type %q: %s", e.Name, e.Type, e.Message)
}
