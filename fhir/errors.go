package fhir

import "fmt"

// LoadError is one fault of a FHIR mapping file.
type LoadError struct {
	Line, Column int    // from 1; columns in characters
	Pointer      string // JSON pointer to the faulty value
	Message      string
	Fix          string // what to change
}

// Error names the place, the fault and what to change.
func (e *LoadError) Error() string {
	s := fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
	if e.Fix != "" {
		s += " (" + e.Fix + ")"
	}
	return s
}

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
