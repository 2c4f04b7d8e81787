package fhir

import (
	"slices"
	"strings"

	"auscult/internal/mapfile"
)

// Mapping is a compiled FHIR mapping file (CollectionFhir of CodeValueFhir):
// how the values of each measurement type become an Observation.
type Mapping struct {
	version   string
	ordered   []*template          // in the order of the file
	templates map[string]*template // by foldName of the type name
	lints     []mapfile.Lint
}

// template is one CodeValueFhir.
type template struct {
	period     Period
	name       string        // the type name as the mapping spells it
	place      mapfile.Place // of the type name
	codes      []*node       // codings
	code       *node         // Observation.code of that spelling
	category   *node         // list of concepts, nil when there is none
	value      *valueTemplate
	components []component
	meta       *node // with the profiles
	method     *node
	bodySite   *node
	performer  *node
	vital      bool // it names a vital-sign profile
}

// values returns the value of the Observation, if any, and those of its
// components.
func (t *template) values() (all []*valueTemplate) {
	if t.value != nil {
		all = append(all, t.value)
	}
	for _, c := range t.components {
		all = append(all, c.value)
	}
	return all
}

// component is one element of Observation.component.
type component struct {
	code  *node
	value *valueTemplate
	// unmarked components carry the Observation's own service code, which FHIR
	// forbids beside a value (obs-7); they are told by their text instead.
	unmarked bool
}

// Version returns the hash of the file's content.
func (m *Mapping) Version() string { return m.version }

// Period returns how values of a type are grouped; ok is false when the
// mapping has no template for it.
func (m *Mapping) Period(measurementType string) (p Period, ok bool) {
	t := m.templates[foldName(measurementType)]
	if t == nil {
		return 0, false
	}
	return t.period, true
}

// Lints returns what the mapping may say, but its author hardly meant, in the
// order of the file.
func (m *Mapping) Lints() []mapfile.Lint { return slices.Clone(m.lints) }

// foldName makes names equal that differ in case only.
func foldName(s string) string { return strings.ToUpper(s) }
