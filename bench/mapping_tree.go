package main

import (
	"encoding/json"
	"fmt"
	"strconv"

	"auscult/schemas"
)

// tree parses a message with encoding/json into any and walks that.
type tree struct {
	templates []handTemplate
	objects   []map[string]any // of the message at hand
	out       schemas.Measurement
}

func newTree(w *workload, _ form) (contender, error) {
	return &tree{templates: w.hand.templates}, nil
}

func (t *tree) apply(m *input, out *output) error {
	var root any
	if err := json.Unmarshal(m.text, &root); err != nil {
		return err
	}
	t.objects = objectsOf(t.objects[:0], root)
	for i := range t.templates {
		for _, o := range t.objects {
			if !treeMatches(&t.templates[i], o) {
				continue
			}
			if err := t.fill(&t.templates[i], o); err != nil {
				return err
			}
			out.add(&t.out)
		}
	}
	return nil
}

// objectsOf appends v's objects. Lists keep their order; a map has none, so two
// matches below different members of one object could change places. No
// workload has such messages.
func objectsOf(all []map[string]any, v any) []map[string]any {
	switch v := v.(type) {
	case map[string]any:
		all = append(all, v)
		for _, child := range v {
			all = objectsOf(all, child)
		}
	case []any:
		for _, child := range v {
			all = objectsOf(all, child)
		}
	}
	return all
}

func treeMatches(t *handTemplate, o map[string]any) bool {
	for i := range t.conditions {
		c := &t.conditions[i]
		v, ok := follow(o, c.at)
		if !ok || c.text != "" && v != c.text {
			return false
		}
	}
	return true
}

// follow returns the value at the end of a chain.
func follow(o map[string]any, c chain) (any, bool) {
	last := len(c) - 1
	for _, name := range c[:last] {
		next, ok := o[name].(map[string]any)
		if !ok {
			return nil, false
		}
		o = next
	}
	v, ok := o[c[last]]
	return v, ok
}

// fill makes the measurement of a match.
func (t *tree) fill(h *handTemplate, o map[string]any) error {
	m := &t.out
	*m = schemas.Measurement{Type: h.typeName, Values: m.Values[:0]}
	m.Device = treeText(o, h.device)
	if h.patient != nil {
		m.Patient = treeText(o, h.patient)
	}
	var err error
	if m.Occurrence, err = ticksOf(treeText(o, h.time)); err != nil {
		return err
	}
	for i := range h.values {
		v := &h.values[i]
		text := treeText(o, v.at)
		if v.factor != 0 {
			f, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return fmt.Errorf("value %s: %w", v.name, err)
			}
			text = string(appendNumber(nil, f*v.factor))
		}
		m.Values = append(m.Values, schemas.NamedText{Name: v.name, Text: text})
	}
	return nil
}

// treeText returns the text of a value; what has none is empty.
func treeText(o map[string]any, c chain) string {
	v, _ := follow(o, c)
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return string(appendNumber(nil, v))
	case bool:
		if v {
			return "True"
		}
		return "False"
	default:
		return ""
	}
}
