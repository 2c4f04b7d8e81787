package fhir

import (
	"fmt"
	"slices"

	"auscult/schemas"
)

// Build returns the Observation of a segment as it is created. The bytes
// depend on the record and the mapping alone: fixed order of members, no
// clock, decimals with their digits.
func (m *Mapping) Build(r *schemas.Resource) ([]byte, error) {
	o, err := m.build(r)
	if err != nil {
		return nil, err
	}
	return o.bytes(), nil
}

func (m *Mapping) build(r *schemas.Resource) (*node, error) {
	t, values, err := m.prepare(r)
	if err != nil {
		return nil, err
	}
	components := make([]*node, 0, len(t.components))
	for _, c := range t.components {
		one, err := c.build(r, values)
		if err != nil {
			return nil, err
		}
		components = append(components, one)
	}
	identifier := ObservationIdentifier(r.Patient, r.Device, r.Type, r.Segment)
	code := t.code
	if r.Type != t.name { // type names differ in case: one template, but a code for each spelling
		code = concept(t.codes, r.Type, true)
	}
	members := []member{
		{"resourceType", text("Observation")},
		{"id", text(ObservationID(identifier))},
		{"identifier", list(object(member{"system", serviceSystem}, member{"value", text(identifier)}))},
		{"status", text("final")},
		{"category", t.category},
		{"code", code},
		{"subject", reference("Patient", r.Patient)},
		{"encounter", reference("Encounter", r.Encounter)},
		{"effectivePeriod", period(r.Start, r.End)},
	}
	if t.value != nil {
		v, err := t.value.build(r, values[t.value.name])
		if err != nil {
			return nil, err
		}
		members = append(members, member{elements[t.value.kind], v})
	}
	members = append(members, member{"device", reference("Device", r.Device)}, member{"component", list(components...)})
	return object(members...), nil
}

// prepare finds the template of a segment and its values by name: ordered by
// time, of equal times the one with the highest position.
func (m *Mapping) prepare(r *schemas.Resource) (*template, map[string][]sample, error) {
	t := m.templates[foldName(r.Type)]
	if t == nil {
		return nil, nil, &MappingError{Type: r.Type, Message: "the FHIR mapping has no template for it; add one and retry"}
	}
	sorted := slices.Clone(r.Values)
	slices.SortStableFunc(sorted, func(a, b schemas.SegmentValue) int {
		if a.Time != b.Time {
			return int(max(-1, min(1, a.Time-b.Time)))
		}
		return b.Position.Compare(a.Position)
	})
	values := map[string][]sample{}
	for _, v := range sorted {
		if v.Time < r.Start || v.Time > r.End {
			return nil, nil, &MappingError{Type: r.Type, Name: v.Name, Message: "the value lies outside its segment"}
		}
		s := values[v.Name]
		if len(s) == 0 || s[len(s)-1].time != v.Time {
			values[v.Name] = append(s, sample{v.Time, v.Text})
		}
	}
	return t, values, nil
}

// build returns one component, nil when it has no value.
func (c *component) build(r *schemas.Resource, values map[string][]sample) (*node, error) {
	v, err := c.value.build(r, values[c.value.name])
	if v == nil || err != nil {
		return nil, err
	}
	return object(member{"code", c.code}, member{elements[c.value.kind], v}), nil
}

// concept returns a code with the connector's service coding behind the
// mapping's own.
func concept(codes []*node, name string, marked bool) *node {
	codings := slices.Clone(codes)
	if marked {
		codings = append(codings, serviceCoding(name))
	}
	return object(member{"coding", list(codings...)}, member{"text", text(name)})
}

var serviceSystem = text(ObservationSystem)

func serviceCoding(name string) *node {
	return object(member{"system", serviceSystem}, member{"code", text(name)}, member{"display", text(name)})
}

func reference(resourceType, id string) *node {
	if id == "" {
		return nil
	}
	return object(member{"reference", text(resourceType + "/" + id)})
}

func period(start, end schemas.Ticks) *node {
	return object(member{"start", text(periodTime(start))}, member{"end", text(periodTime(end))})
}

// build returns a value[x], nil when there is nothing to write.
func (v *valueTemplate) build(r *schemas.Resource, samples []sample) (*node, error) {
	if len(samples) == 0 || trim(v.name) == "" {
		return nil, nil
	}
	switch v.kind {
	case conceptValue:
		return v.fixed, nil
	case sampledValue:
		return v.sampled(r, samples, r.Start, r.End)
	}
	if len(samples) > 1 {
		return nil, &MappingError{Type: r.Type, Name: v.name,
			Message: fmt.Sprintf("one value is expected in a segment, there are %d; use SampledData, or periodInterval 0", len(samples))}
	}
	if v.kind == stringValue {
		return text(samples[0].text), nil
	}
	literal, ok := decimal(samples[0].text)
	if !ok {
		return nil, &MappingError{Type: r.Type, Name: v.name,
			Message: fmt.Sprintf("%q is no decimal number, which a Quantity needs", samples[0].text)}
	}
	return object(member{"value", number(literal)}, member{"unit", v.unit}, member{"system", v.system}, member{"code", v.code}), nil
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
