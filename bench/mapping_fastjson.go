package main

import (
	"bytes"
	"fmt"
	"strconv"
	"unsafe"

	"github.com/valyala/fastjson"

	"auscult/schemas"
)

// fast parses a message with fastjson, whose parser is used again, and follows
// the chains on its tree. Texts alias the parser's memory.
type fast struct {
	parser    fastjson.Parser
	templates []handTemplate
	objects   []*fastjson.Value // of the message at hand
	visit     func([]byte, *fastjson.Value)
	scratch   []byte // made-up texts of one measurement
	out       schemas.Measurement
}

func newFast(w *workload, _ form) (contender, error) {
	f := &fast{templates: w.hand.templates}
	f.visit = func(_ []byte, v *fastjson.Value) { f.collect(v) }
	return f, nil
}

func (f *fast) apply(m *input, out *output) error {
	root, err := f.parser.ParseBytes(m.text)
	if err != nil {
		return err
	}
	f.objects = f.objects[:0]
	f.collect(root)
	for i := range f.templates {
		for _, o := range f.objects {
			if !fastMatches(&f.templates[i], o) {
				continue
			}
			if err := f.fill(&f.templates[i], o); err != nil {
				return err
			}
			out.add(&f.out)
		}
	}
	return nil
}

// collect adds the objects of v in document order.
func (f *fast) collect(v *fastjson.Value) {
	switch v.Type() {
	case fastjson.TypeObject:
		f.objects = append(f.objects, v)
		v.GetObject().Visit(f.visit)
	case fastjson.TypeArray:
		for _, child := range v.GetArray() {
			f.collect(child)
		}
	}
}

func fastMatches(t *handTemplate, o *fastjson.Value) bool {
	for i := range t.conditions {
		c := &t.conditions[i]
		v := o.Get(c.at...)
		if v == nil || c.text != "" && string(v.GetStringBytes()) != c.text {
			return false
		}
	}
	return true
}

// fill makes the measurement of a match.
func (f *fast) fill(h *handTemplate, o *fastjson.Value) error {
	f.scratch = f.scratch[:0]
	m := &f.out
	*m = schemas.Measurement{Type: h.typeName, Values: m.Values[:0]}
	m.Device = f.text(o.Get(h.device...))
	if h.patient != nil {
		m.Patient = f.text(o.Get(h.patient...))
	}
	var err error
	if m.Occurrence, err = ticksOf(f.text(o.Get(h.time...))); err != nil {
		return err
	}
	for i := range h.values {
		v := &h.values[i]
		text := f.text(o.Get(v.at...))
		if v.factor != 0 {
			n, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return fmt.Errorf("value %s: %w", v.name, err)
			}
			text = f.number(n * v.factor)
		}
		m.Values = append(m.Values, schemas.NamedText{Name: v.name, Text: text})
	}
	return nil
}

// text returns the text of a value; what has none is empty.
func (f *fast) text(v *fastjson.Value) string {
	if v == nil {
		return ""
	}
	switch v.Type() {
	case fastjson.TypeString:
		return alias(v.GetStringBytes())
	case fastjson.TypeNumber:
		start := len(f.scratch)
		f.scratch = v.MarshalTo(f.scratch) // as the message spells it
		if spelled := f.scratch[start:]; !bytes.ContainsAny(spelled, ".eE") {
			return alias(spelled)
		}
		return f.number(v.GetFloat64())
	case fastjson.TypeTrue:
		return "True"
	case fastjson.TypeFalse:
		return "False"
	default:
		return ""
	}
}

func (f *fast) number(n float64) string {
	start := len(f.scratch)
	f.scratch = appendNumber(f.scratch, n)
	return alias(f.scratch[start:])
}

// alias returns b as a string that shares its bytes: valid while they are.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
