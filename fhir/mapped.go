package fhir

import "auscult/internal/mapfile"

// MappedType is a template as the device mapping sees it: what it takes of the
// measurements of one type. Its place is that of the type name.
type MappedType struct {
	Type   string // as the mapping spells it
	Period Period
	mapfile.Place
	Values     []MappedValue // the value of the Observation, if there is one
	Components []MappedValue
}

// MappedValue is a value by name that a template takes. Its place is that of
// the name.
type MappedValue struct {
	Name string
	mapfile.Place
}

// Types returns what the mapping takes, in the order of the file. Values without
// a name are left out: they are never written.
func (m *Mapping) Types() []MappedType {
	types := make([]MappedType, len(m.ordered))
	for i, t := range m.ordered {
		to := &types[i]
		*to = MappedType{Type: t.name, Period: t.period, Place: t.place}
		if t.value != nil {
			to.Values = t.value.appendTo(to.Values)
		}
		for _, c := range t.components {
			to.Components = c.value.appendTo(to.Components)
		}
	}
	return types
}

func (v *valueTemplate) appendTo(values []MappedValue) []MappedValue {
	for _, p := range v.parts {
		values = p.appendTo(values)
	}
	if len(v.parts) > 0 || trim(v.name) == "" {
		return values
	}
	return append(values, MappedValue{Name: v.name, Place: v.place})
}
