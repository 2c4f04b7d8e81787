package server

import (
	"strconv"
	"strings"
)

// segment is one step from a resource to a place in it.
type segment struct {
	json    string // as the client wrote it
	element string // as FHIRPath writes it
	index   int    // in a list, -1 for none
}

// path renders where a fault lies, once as the JSON has it and once in
// FHIRPath: Observation.valueQuantity.unit is Observation.value.unit there.
func path(steps []segment) (json, expression string) {
	var a, b strings.Builder
	for i, s := range steps {
		if i > 0 {
			a.WriteByte('.')
			b.WriteByte('.')
		}
		a.WriteString(s.json)
		b.WriteString(s.element)
		if s.index >= 0 {
			place := "[" + strconv.Itoa(s.index) + "]"
			a.WriteString(place)
			b.WriteString(place)
		}
	}
	return a.String(), b.String()
}
