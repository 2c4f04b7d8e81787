package fhir

import (
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
	element, value, err := t.observed(r, values)
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
	o := []member{
		{"resourceType", text("Observation")},
		{"id", text(ObservationID(identifier))},
		{"meta", t.meta},
		{"identifier", list(object(member{"system", serviceSystem}, member{"value", text(identifier)}))},
		{"status", text("final")},
		{"category", t.category},
		{"code", code},
		{"subject", reference("Patient", r.Patient)},
		{"encounter", reference("Encounter", r.Encounter)},
		t.effective(r),
		{"performer", t.performer},
		{element, value},
		{interpretationMember, t.value.interpretation(value)},
		{"bodySite", t.bodySite},
		{"method", t.method},
		{"device", reference("Device", r.Device)},
		{rangeMember, t.value.normalRange(value)},
		{"component", list(components...)},
	}
	return object(o...), nil
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

// effective returns the time of a segment: a Period, as the connector writes
// it, but the instant of a vital sign as validators want it (see
// lintVitalPeriod).
func (t *template) effective(r *schemas.Resource) member {
	if t.vital && r.Start == r.End {
		return member{"effectiveDateTime", text(periodTime(r.Start))}
	}
	return member{"effectivePeriod", period(r.Start, r.End)}
}

// observed returns the value of the Observation itself, nil when there is none.
func (t *template) observed(r *schemas.Resource, values map[string][]sample) (element string, value *node, err error) {
	if t.value == nil {
		return "", nil, nil
	}
	value, err = t.value.build(r, values)
	return t.value.element(), value, err
}

// build returns one component, nil when it has no value.
func (c *component) build(r *schemas.Resource, values map[string][]sample) (*node, error) {
	v, err := c.value.build(r, values)
	if v == nil || err != nil {
		return nil, err
	}
	return object(member{"code", c.code}, member{c.value.element(), v},
		member{interpretationMember, c.value.interpretation(v)}, member{rangeMember, c.value.normalRange(v)}), nil
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
