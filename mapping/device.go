package mapping

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"auscult/mapping/internal/tape"
)

// Device is a device mapping, compiled. It never changes.
type Device struct {
	version      string
	templates    []template
	names        *tape.Names
	memos        int
	keep         tape.Keep // what the expressions can see
	matchedToken tape.NameID
	lints        []Lint
	emitted      []EmittedTemplate

	// Scans are found by the first name of their first condition: byBit lists
	// the templates whose name has that bit in an object's mask.
	byBit    [64][]int
	triggers uint64
	exact    bool // every name has a bit of its own
	// searching has a bit for each template that does not scan.
	searching []uint64
}

// EmittedType is a type of measurement that a mapping can make, with the names of
// its values.
type EmittedType struct {
	Type   string
	Values []string
}

// template is one compiled template.
type template struct {
	index     int
	typeName  string
	scan      *scan   // or
	matcher   matcher // one of both
	match     field
	device    field
	time      field
	patient   field
	encounter field
	// correlation is required as soon as an expression is given.
	correlation field
	values      []value
}

// field is a place of a template that takes an expression: the first of its
// expressions that gives a value counts.
type field struct {
	name        string
	source      string
	expressions []expression
}

func (f *field) defined() bool { return len(f.expressions) > 0 }

// sources are the texts of the expressions, one each.
func (f *field) sources() []string {
	if len(f.expressions) < 2 {
		return []string{f.source}
	}
	return strings.Split(f.source, ",") // the fixed ones; they hold no comma
}

// value is one value of a template.
type value struct {
	field
	name     string
	required bool
}

func (t *template) failure(f *field, message string) Failure {
	return Failure{Template: t.index, Type: t.typeName, Expression: f.source, Field: f.name, Message: message}
}

// Version identifies the mapping by its content.
func (d *Device) Version() string { return d.version }

// Types lists the types of measurements that the mapping can make, in the
// order of its templates.
func (d *Device) Types() []EmittedType {
	var types []EmittedType
	at := map[string]int{}
	for i := range d.templates {
		t := &d.templates[i]
		k, known := at[t.typeName]
		if !known {
			k = len(types)
			at[t.typeName] = k
			types = append(types, EmittedType{Type: t.typeName})
		}
		for j := range t.values {
			types[k].add(t.values[j].name)
		}
	}
	return types
}

func (t *EmittedType) add(value string) {
	for _, v := range t.Values {
		if v == value {
			return
		}
	}
	t.Values = append(t.Values, value)
}

// newDevice joins compiled templates.
func newDevice(text []byte, c *compiler, templates []template) *Device {
	hash := sha256.Sum256(text)
	d := &Device{version: hex.EncodeToString(hash[:8]), templates: templates, memos: len(c.chains), keep: c.keep}
	d.matchedToken = c.names.ID(matchedToken)
	d.names = c.names.Table()
	d.exact = c.names.Len() < 64
	d.searching = make([]uint64, (len(templates)+63)/64)
	for i := range d.templates {
		t := &d.templates[i]
		t.index = i
		if t.scan == nil {
			d.searching[i>>6] |= 1 << (i & 63)
		} else {
			bit := t.scan.conditions[0].steps[0].Name & 63
			d.byBit[bit] = append(d.byBit[bit], i)
			d.triggers |= 1 << bit
		}
	}
	return d
}
