package check

import (
	"slices"
	"strings"

	"auscult/fhir"
	"auscult/internal/mapfile"
	"auscult/mapping"
)

// named is a name in a file, and where it stands first.
type named struct {
	name string
	mapfile.Place
}

// measured is a type of measurements, as one of the two kinds of mapping has it.
type measured struct {
	named
	values       []named
	known        map[string]bool // names of values
	correlation  bool            // FHIR: it is grouped by correlation id
	uncorrelated []mapfile.Place // device: the templates that give none
}

// shape is what the two kinds of mapping have to agree on. What has no name is
// not in it: the mappings say so themselves.
type shape struct {
	file  string
	text  string
	types []measured
	at    map[string]int // of each type in types
}

// shapeOfDevice returns the shape of a device mapping. Several templates may
// emit one type.
func shapeOfDevice(f File, d *mapping.Device) *shape {
	s := &shape{file: f.Name, text: string(f.Text), at: map[string]int{}}
	for _, t := range d.Templates() {
		if strings.TrimSpace(t.Type) == "" {
			continue
		}
		typ := s.add(named{t.Type, t.Place})
		if !t.Correlated {
			typ.uncorrelated = append(typ.uncorrelated, t.Place)
		}
		for _, v := range t.Values {
			typ.add(named{v.Name, v.Place})
		}
	}
	return s
}

// shapeOfFHIR returns the shape of a FHIR mapping.
func shapeOfFHIR(f File, m *fhir.Mapping) *shape {
	s := &shape{file: f.Name, text: string(f.Text), at: map[string]int{}}
	for _, t := range m.Types() {
		typ := s.add(named{t.Type, t.Place})
		typ.correlation = t.Period == fhir.Correlation
		for _, v := range slices.Concat(t.Values, t.Components) {
			typ.add(named{v.Name, v.Place})
		}
	}
	return s
}

// add returns the type of that name, made when there was none.
func (s *shape) add(n named) *measured {
	i, known := s.at[n.name]
	if !known {
		i = len(s.types)
		s.at[n.name] = i
		s.types = append(s.types, measured{named: n, known: map[string]bool{}})
	}
	return &s.types[i]
}

// find returns a type; case does not tell types apart.
func (s *shape) find(typ string) *measured {
	for i := range s.types {
		if strings.EqualFold(s.types[i].name, typ) {
			return &s.types[i]
		}
	}
	return nil
}

// add adds a value, once.
func (m *measured) add(v named) {
	if strings.TrimSpace(v.name) != "" && !m.has(v.name) {
		m.values, m.known[v.name] = append(m.values, v), true
	}
}

func (m *measured) has(value string) bool { return m.known[value] }

func (m *measured) valueNames() []string {
	names := make([]string, len(m.values))
	for i, v := range m.values {
		names[i] = v.name
	}
	return names
}

func (s *shape) typeNames() []string {
	names := make([]string, len(s.types))
	for i := range s.types {
		names[i] = s.types[i].name
	}
	return names
}
