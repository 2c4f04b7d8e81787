package fhir

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"auscult/internal/mapfile"
	"auscult/schemas"
)

// valueTemplate says how one value, or a pair of values, is written.
type valueTemplate struct {
	kind    valueKind
	name    string        // of the measurement's value; empty: never there. Of a pair, how its component is called
	place   mapfile.Place // of the name
	unit    *node
	system  *node
	code    *node
	fixed   *node            // conceptValue: the concept; with choices, that of other values
	choices map[string]*node // conceptValue: concepts by value, nil when the concept is fixed
	truths  map[string]bool  // booleanValue: further texts, in lower case
	parts   []*valueTemplate // the two Quantities of a ratioValue or rangeValue
	limits  *limits          // nil when the value is not judged
	period  string           // sampledValue: milliseconds, as a JSON number
	step    schemas.Ticks    // sampledValue: the period in ticks
}

// element returns the name of the value[x].
func (v *valueTemplate) element() string { return valueTypes[v.kind].element }

// fixedOnly reports whether the value is a concept that the data do not choose.
func (v *valueTemplate) fixedOnly() bool { return v.kind == conceptValue && v.choices == nil }

// samples returns the values by the template's name.
func (v *valueTemplate) samples(values map[string][]sample) []sample {
	if len(v.parts) > 0 || trim(v.name) == "" {
		return nil
	}
	return values[v.name]
}

// given reports whether there is something to write.
func (v *valueTemplate) given(values map[string][]sample) bool {
	return len(v.samples(values)) > 0 || slices.ContainsFunc(v.parts, func(p *valueTemplate) bool { return p.given(values) })
}

// build returns a value[x], nil when there is nothing to write.
func (v *valueTemplate) build(r *schemas.Resource, values map[string][]sample) (*node, error) {
	if len(v.parts) > 0 {
		return v.pair(r, values)
	}
	samples := v.samples(values)
	switch {
	case len(samples) == 0:
		return nil, nil
	case v.kind == sampledValue:
		return v.sampled(r, samples, r.Start, r.End)
	case v.fixedOnly():
		return v.fixed, nil
	case len(samples) > 1:
		return nil, &MappingError{Type: r.Type, Name: v.name,
			Message: fmt.Sprintf("one value is expected in a segment, there are %d; use SampledData, or periodInterval 0", len(samples))}
	}
	n, fault := v.one(samples[0].text)
	if fault != "" {
		return nil, &MappingError{Type: r.Type, Name: v.name, Message: fault}
	}
	return n, nil
}

// one returns the value[x] of one text.
func (v *valueTemplate) one(s string) (n *node, fault string) { return valueTypes[v.kind].write(v, s) }

// quantity returns a Quantity.
func (v *valueTemplate) quantity(s string) (*node, string) {
	literal, ok := decimal(s)
	if !ok {
		return nil, fmt.Sprintf("%q is no decimal number, which a Quantity needs", s)
	}
	return v.measured(literal), ""
}

// measured returns a number with the template's unit.
func (v *valueTemplate) measured(literal string) *node {
	return object(member{"value", number(literal)}, member{"unit", v.unit}, member{"system", v.system}, member{"code", v.code})
}

// chosen returns the concept that a text stands for.
func (v *valueTemplate) chosen(s string) (*node, string) {
	if n := v.choices[trim(s)]; n != nil {
		return n, ""
	}
	if v.fixed == nil {
		return nil, fmt.Sprintf("%q is in no choice; add it to one, or give the value a text or codes for all others", s)
	}
	return v.fixed, ""
}

// commonTruths are the texts that are true or false without a word of the
// mapping.
var commonTruths = map[string]bool{"true": true, "false": false, "1": true, "0": false}

// boolean returns true or false. What the mapping says of a text counts first.
func (v *valueTemplate) boolean(s string) (*node, string) {
	folded := strings.ToLower(trim(s))
	is, known := v.truths[folded]
	if !known {
		is, known = commonTruths[folded]
	}
	if !known {
		return nil, fmt.Sprintf("%q is neither true nor false; add it to trueTexts or falseTexts", s)
	}
	return &node{kind: boolKind, text: strconv.FormatBool(is)}, ""
}

// integer returns a whole number. Zeros behind the point are dropped: they come
// from a calculation that knows no integers.
func integer(s string) (*node, string) {
	literal, ok := decimal(s)
	whole, fraction, _ := strings.Cut(literal, ".")
	if _, err := strconv.ParseInt(whole, 10, 32); !ok || err != nil || strings.Trim(fraction, "0") != "" {
		return nil, fmt.Sprintf("%q is no whole number of 32 bits, which an Integer needs", s)
	}
	return number(whole), ""
}

// pairMembers are the names of the two parts of a value.
var pairMembers = map[valueKind][2]string{
	ratioValue: {"numerator", "denominator"},
	rangeValue: {"low", "high"},
}

func (v *valueTemplate) partMember(i int) string { return pairMembers[v.kind][i] }

// pair returns a Ratio or a Range, nil when there is neither part.
func (v *valueTemplate) pair(r *schemas.Resource, values map[string][]sample) (*node, error) {
	if !v.given(values) {
		return nil, nil
	}
	var parts [2]*node
	for i, p := range v.parts {
		part, err := p.build(r, values)
		if err != nil {
			return nil, err
		}
		if part == nil {
			return nil, &MappingError{Type: r.Type, Name: p.name,
				Message: fmt.Sprintf("the %s needs this value beside %q, and the segment has none", valueTypes[v.kind].word.Name, v.parts[1-i].name)}
		}
		parts[i] = part
	}
	if low, high := parts[0].get("value").text, parts[1].get("value").text; v.kind == rangeValue && compareDecimals(low, high) > 0 {
		return nil, &MappingError{Type: r.Type, Name: v.parts[0].name, Message: fmt.Sprintf("the low end %s of the Range is above its high end %s", low, high)}
	}
	return object(member{v.partMember(0), parts[0]}, member{v.partMember(1), parts[1]}), nil
}

// sampled returns a new SampledData over [start, end].
func (v *valueTemplate) sampled(r *schemas.Resource, samples []sample, start, end schemas.Ticks) (*node, error) {
	data, err := v.data(r, fillBlanks(samples), start, end, v.step)
	if err != nil {
		return nil, err
	}
	return object(
		member{"origin", object(member{"value", number("0")}, member{"unit", v.unit})},
		member{"period", number(v.period)},
		member{"dimensions", number("1")},
		member{"data", text(data)}), nil
}

func (v *valueTemplate) data(r *schemas.Resource, samples []sample, start, end, step schemas.Ticks) (string, error) {
	data, ok := layOut(samples, start, end, step)
	if !ok {
		return "", &MappingError{Type: r.Type, Name: v.name,
			Message: fmt.Sprintf("the series would have more than %d samples; use a longer defaultPeriod or a shorter periodInterval", maxSamples)}
	}
	return data, nil
}

// fillBlanks turns blank texts into noSample: they would shift the series.
func fillBlanks(samples []sample) []sample {
	out := slices.Clone(samples)
	for i := range out {
		if trim(out[i].text) == "" {
			out[i].text = noSample
		}
	}
	return out
}
