package fhir

import (
	"slices"

	"auscult/schemas"
)

// Retract takes the values of a segment out of the Observation that the server
// holds, where they are still what is written there. An Observation left
// without any value becomes entered-in-error; it is never deleted.
func (m *Mapping) Retract(stored []byte, r *schemas.Resource) (left []byte, changed bool, err error) {
	old, err := readObservation(stored, r)
	if err != nil {
		return nil, false, err
	}
	if !carries(old, ObservationIdentifier(r.Patient, r.Device, r.Type, r.Segment)) {
		return stored, false, nil
	}
	t, values, err := m.prepare(r)
	if err != nil {
		return nil, false, err
	}
	start, ok := parseTime(old.path("effectivePeriod", "start").str())
	if !ok { // the instant of a vital sign, or of somebody else
		start = r.Start
	}
	out := old
	if t.value != nil {
		out = t.value.retract(out, values, start)
	}
	out = retractComponents(out, t, values, start)
	if equal(old, out) {
		return stored, false, nil
	}
	status := "amended"
	if element, _ := storedValue(out); element == "" && out.get("component") == nil {
		status = "entered-in-error"
	}
	return ordered(out.with("status", text(status))).bytes(), true, nil
}

// retractComponents leaves out the components that lose their value.
func retractComponents(out *node, t *template, values map[string][]sample, start schemas.Ticks) *node {
	stored := out.get("component")
	if stored == nil {
		return out
	}
	items := slices.Clone(stored.items)
	for _, c := range t.components {
		i := slices.IndexFunc(items, c.found)
		if i < 0 {
			continue
		}
		had, _ := storedValue(items[i])
		items[i] = c.value.retract(items[i], values, start)
		if has, _ := storedValue(items[i]); had != "" && has == "" {
			items = slices.Delete(items, i, i+1)
		}
	}
	return out.with("component", list(items...))
}

// retract takes values out of holder: the Observation or a component.
func (v *valueTemplate) retract(holder *node, values map[string][]sample, start schemas.Ticks) *node {
	element, stored := storedValue(holder)
	if stored == nil || element != v.element() || !v.given(values) {
		return holder
	}
	switch {
	case v.kind == sampledValue:
		return holder.with(element, v.blank(stored, v.samples(values), start))
	case v.made(stored, values):
		return v.unjudge(holder.with(element, nil))
	}
	return holder
}

// made reports whether a stored value was made of one of the values. A value
// of two parts is, when one of them was.
func (v *valueTemplate) made(stored *node, values map[string][]sample) bool {
	for i, p := range v.parts {
		if part := stored.get(v.partMember(i)); part != nil && p.made(part, values) {
			return true
		}
	}
	if v.fixedOnly() {
		return len(v.samples(values)) > 0
	}
	return slices.ContainsFunc(v.samples(values), func(s sample) bool {
		built, fault := v.one(s.text)
		return fault == "" && v.sameValue(stored, built)
	})
}

// sameValue compares what a value says: of a Quantity the number alone, as its
// unit is the mapping's.
func (v *valueTemplate) sameValue(stored, built *node) bool {
	switch v.kind {
	case quantityValue:
		return equal(stored.get("value"), built.get("value"))
	case conceptValue:
		return built != nil && equal(stored.get("coding"), built.get("coding")) && equal(stored.get("text"), built.get("text"))
	}
	return equal(stored, built)
}

// blank takes samples out of a SampledData; nil when none is left.
func (v *valueTemplate) blank(stored *node, samples []sample, start schemas.Ticks) *node {
	step := v.step
	if p := stored.get("period"); p != nil {
		if own, ok := stepOf(p.text); ok {
			step = own
		}
	}
	kept := readData(stored.get("data").str(), start, step)
	last := start
	for _, k := range kept {
		last = max(last, k.time)
	}
	for _, s := range samples {
		kept = slices.DeleteFunc(kept, func(k sample) bool {
			return s.time >= k.time && s.time < k.time+step && trim(k.text) == trim(s.text)
		})
	}
	if len(kept) == 0 {
		return nil
	}
	data, ok := layOut(kept, start, last, step)
	if !ok {
		return stored
	}
	return stored.with("data", text(data))
}
