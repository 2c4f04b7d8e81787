package mapping

import (
	"fmt"
	"strconv"
	"strings"

	"auscult/mapping/internal/jsonpath"
	"auscult/mapping/internal/tape"
	"auscult/schemas"
)

// maxExplained is how many matches of one template are explained.
const maxExplained = 100

// Explanation tells what a mapping makes of one message, template by template,
// and why. Paths are JSON pointers into {Body, Properties, SystemProperties};
// the path of a computed value is empty.
type Explanation struct {
	Error     string              `json:"error,omitempty"` // why nothing can be made of the message
	Templates []ExplainedTemplate `json:"templates"`
}

// ExplainedTemplate tells what one template matched, or why it did not match.
type ExplainedTemplate struct {
	Template int              `json:"template"` // from 1
	Type     string           `json:"type"`
	Match    string           `json:"match"` // its expression
	Why      string           `json:"why,omitempty"`
	Error    string           `json:"error,omitempty"`
	Matches  []ExplainedMatch `json:"matches"`
	More     int              `json:"more,omitempty"` // matches that are left out here
}

// ExplainedMatch tells what was made of one match: a measurement of these
// fields or, with Failure, none.
type ExplainedMatch struct {
	Path    string           `json:"path"`
	Value   string           `json:"value"` // the matched token, clipped
	Fields  []ExplainedField `json:"fields"`
	Failure string           `json:"failure,omitempty"`
}

// ExplainedField tells where one field of a measurement came from.
type ExplainedField struct {
	Field      string `json:"field"`
	Expression string `json:"expression"`
	Required   bool   `json:"required"`
	Path       string `json:"path,omitempty"`
	Value      string `json:"value,omitempty"`      // what stands there, clipped
	Text       string `json:"text,omitempty"`       // what it became
	Conversion string `json:"conversion,omitempty"` // how, where the text is another one
	Why        string `json:"why,omitempty"`        // why there is none
	Error      string `json:"error,omitempty"`      // why there can be no measurement
}

// Explain maps one message and tells how. It uses the same expressions as Map,
// over a tape that holds all of the message.
func (d *Device) Explain(msg *Message) *Explanation {
	x := &explainer{m: d.NewMapper(WithoutShapes())}
	x.m.tape.Keep = tape.KeepAll
	if err := x.m.begin(msg); err != nil {
		return &Explanation{Error: err.Error(), Templates: []ExplainedTemplate{}}
	}
	out := &Explanation{Templates: make([]ExplainedTemplate, 0, len(d.templates))}
	for i := range d.templates {
		out.Templates = append(out.Templates, x.template(&d.templates[i]))
	}
	return out
}

// explainer explains the message on its mapper's tape.
type explainer struct{ m *Mapper }

func (x *explainer) template(t *template) ExplainedTemplate {
	e := ExplainedTemplate{Template: t.index + 1, Type: t.typeName, Match: t.match.source, Matches: []ExplainedMatch{}}
	nodes, err := x.m.matchesOf(t)
	switch {
	case err != nil:
		e.Error = err.Error()
	case len(nodes) == 0:
		e.Why = x.whyNot(t)
	}
	for _, node := range nodes {
		if len(e.Matches) == maxExplained {
			e.More = len(nodes) - maxExplained
			break
		}
		e.Matches = append(e.Matches, x.match(t, node))
	}
	return e
}

func (x *explainer) match(t *template, node uint32) ExplainedMatch {
	e := ExplainedMatch{Path: pointer(x.m.tape, node), Value: x.m.quote(node), Fields: []ExplainedField{}}
	x.m.emit(t, node, func(*schemas.Measurement) {}, func(f Failure) { e.Failure = f.Error() })
	e.Fields = append(e.Fields, x.field(&t.device, node, true), x.time(&t.time, node))
	for _, f := range []*field{&t.correlation, &t.patient, &t.encounter} {
		if f.defined() {
			e.Fields = append(e.Fields, x.field(f, node, f == &t.correlation))
		}
	}
	for i := range t.values {
		v := &t.values[i]
		e.Fields = append(e.Fields, x.field(&v.field, node, v.required))
	}
	return e
}

// field explains an expression that gives a text.
func (x *explainer) field(f *field, match uint32, required bool) ExplainedField {
	e := ExplainedField{Field: f.name, Required: required}
	x.try(f, match, &e, func(node uint32) bool {
		text, ok := x.m.text(node)
		if !ok {
			e.Why = "an " + kindNoun(x.m.tape.Nodes[node].Kind) + " has no text"
			return false
		}
		if required && blankText(text) {
			e.Why = "it is blank, and the field is required"
			return false
		}
		e.Text, e.Conversion = strings.Clone(text), x.conversion(node, text)
		return true
	})
	return e
}

// time explains the expressions of the occurrence.
func (x *explainer) time(f *field, match uint32) ExplainedField {
	e := ExplainedField{Field: f.name, Required: true}
	x.try(f, match, &e, func(node uint32) bool {
		in, ok := x.m.instant(node)
		if !ok {
			e.Why = "it is no time that can be read"
			return false
		}
		e.Text = in.Ticks.String()
		return true
	})
	return e
}

// try evaluates the expressions of a field until take accepts what one gives.
func (x *explainer) try(f *field, match uint32, e *ExplainedField, take func(node uint32) bool) {
	sources := f.sources()
	e.Why = "there is no expression"
	for i, expr := range f.expressions {
		e.Expression, e.Path, e.Value, e.Why = sources[i], "", "", ""
		node, found, err := expr.one(x.m, match)
		switch {
		case err != nil:
			e.Error = err.Error()
			return
		case !found:
			e.Why = "the expression selects nothing"
			continue
		}
		e.Path, e.Value = pointer(x.m.tape, node), x.m.quote(node)
		if x.m.tape.Nodes[node].Kind == tape.Null {
			e.Why = "null counts as missing"
			continue
		}
		if take(node) {
			return
		}
	}
}

// conversion tells why a text is not what stands in the message.
func (x *explainer) conversion(node uint32, text string) string {
	n := &x.m.tape.Nodes[node]
	switch n.Kind {
	case tape.String, tape.Date:
		if _, ok := x.m.tape.DateOf(n); ok {
			return "a text that looks like a date is a date, written MM/dd/yyyy HH:mm:ss"
		}
	case tape.Int, tape.Float:
		if string(x.m.tape.Raw(n)) != text {
			return "numbers are written with the fewest digits that tell them apart"
		}
	case tape.True, tape.False:
		return "truth values are written True and False"
	}
	return ""
}

func kindNoun(k tape.Kind) string {
	switch k {
	case tape.Object:
		return "object"
	case tape.Array:
		return "array"
	}
	return "integer beyond 64 bits"
}

// whyNot tells the first thing that kept a template from matching.
func (x *explainer) whyNot(t *template) string {
	switch match := t.matcher.(type) {
	case nil:
		return x.whyNoScan(t.scan)
	case *chain:
		return "nothing stands there: " + x.dead(0, match.steps)
	case *pathMatcher:
		return x.whyNoPath(match.path)
	}
	return "the result of the expression is null"
}

// whyNoScan counts, condition by condition, the objects that fulfil it.
func (x *explainer) whyNoScan(s *scan) string {
	start, ok := x.m.tape.Walk(0, s.within)
	if !ok {
		return "the scan starts nowhere: " + x.dead(0, s.within)
	}
	left := objectsWithin(x.m.tape, start)
	for i := range s.conditions {
		c := &s.conditions[i]
		var with, holds []uint32
		seen := ""
		for _, o := range left {
			node, ok := x.m.tape.Walk(o, c.steps)
			if !ok {
				continue
			}
			with = append(with, o)
			if c.test == nil || x.m.equal(node, c.test) {
				holds = append(holds, o)
			} else if seen == "" {
				seen = x.m.quote(node)
			}
		}
		name := x.stepsText(c.steps)
		switch {
		case len(with) == 0:
			return "no object has " + name
		case len(holds) == 0:
			return fmt.Sprintf("%s is not what the filter wants: it is %s", name, seen)
		}
		left = holds
	}
	return "no object fulfils all conditions"
}

// whyNoPath finds the first step after which nothing is left.
func (x *explainer) whyNoPath(p *jsonpath.Path) string {
	for k := 1; k <= len(p.Steps); k++ {
		part := &jsonpath.Path{Steps: p.Steps[:k]}
		found, err := x.m.paths.Select(part, 0, nil)
		if err == nil && len(found) == 0 {
			return fmt.Sprintf("%s selects nothing", part)
		}
	}
	return "the expression selects nothing"
}

func objectsWithin(t *tape.Tape, start uint32) []uint32 {
	var all []uint32
	for _, o := range t.Objects {
		if o >= start && o < start+t.Nodes[start].Size {
			all = append(all, o)
		}
	}
	return all
}

// dead tells where a chain of steps ends too early.
func (x *explainer) dead(from uint32, steps []tape.Step) string {
	for i := range steps {
		next, ok := x.m.tape.Walk(from, steps[i:i+1])
		if !ok {
			at := pointer(x.m.tape, from)
			if at == "" {
				at = "the message"
			}
			return at + " has no " + x.stepsText(steps[i:i+1])
		}
		from = next
	}
	return "nothing"
}

// stepsText writes steps as a path.
func (x *explainer) stepsText(steps []tape.Step) string {
	var parts []string
	for i := range steps {
		if steps[i].IsIndex {
			parts = append(parts, "["+strconv.Itoa(steps[i].Index)+"]")
			continue
		}
		parts = append(parts, x.m.device.names.Text(steps[i].Name))
	}
	return strings.Join(parts, ".")
}
