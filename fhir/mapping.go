package fhir

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"auscult/schemas"
)

// Mapping is a compiled FHIR mapping file (CollectionFhir of CodeValueFhir):
// how the values of each measurement type become an Observation.
type Mapping struct {
	version   string
	templates map[string]*template // by foldName of the type name
}

// template is one CodeValueFhir.
type template struct {
	period     Period
	name       string  // the type name as the mapping spells it
	codes      []*node // codings
	code       *node   // Observation.code of that spelling
	category   *node   // list of concepts, nil when there is none
	value      *valueTemplate
	components []component
}

// component is one element of Observation.component.
type component struct {
	code  *node
	value *valueTemplate
	// unmarked components carry the Observation's own service code, which FHIR
	// forbids beside a value (obs-7); they are told by their text instead.
	unmarked bool
}

// valueKind is a value type of the mapping.
type valueKind uint8

const (
	quantityValue valueKind = iota
	stringValue
	conceptValue
	sampledValue
)

// elements are the names of Observation.value[x], by valueKind.
var elements = [...]string{"valueQuantity", "valueString", "valueCodeableConcept", "valueSampledData"}

// valueTemplate says how one named value is written.
type valueTemplate struct {
	kind   valueKind
	name   string // of the measurement's value; empty: never there
	unit   *node
	system *node
	code   *node
	fixed  *node         // conceptValue: the concept
	period string        // sampledValue: milliseconds, as a JSON number
	step   schemas.Ticks // sampledValue: the period in ticks
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

// foldName makes names equal that differ in case only.
func foldName(s string) string { return strings.ToUpper(s) }

// byteOrderMark is refused, as the connector does: other tools that read the
// same file would stumble over it.
const byteOrderMark = "\ufeff"

// LoadMapping compiles the text of a FHIR mapping file. The error joins one
// *LoadError for each fault.
func LoadMapping(text []byte) (*Mapping, error) {
	src := string(text)
	l := loader{src: src}
	sum := sha256.Sum256(text)
	m := &Mapping{version: hex.EncodeToString(sum[:8]), templates: map[string]*template{}}
	if strings.HasPrefix(src, byteOrderMark) {
		l.failAt(0, "", "the file begins with a byte order mark", "save it as UTF-8 without one")
		return nil, errors.Join(l.faults...)
	}
	p := parser{src: src, lenient: true}
	root, err := p.document()
	var syntax *syntaxError
	if errors.As(err, &syntax) {
		l.failAt(syntax.offset, "", syntax.message, "write the mapping as JSON")
		return nil, errors.Join(l.faults...)
	}
	l.collection(m, root)
	if len(l.faults) > 0 {
		return nil, errors.Join(l.faults...)
	}
	return m, nil
}
