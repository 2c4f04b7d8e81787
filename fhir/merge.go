package fhir

import (
	"fmt"
	"slices"
	"strings"

	"auscult/schemas"
)

// Merge puts a segment into the Observation that the server holds. Everything
// that the mapping does not speak of stays as it is. When nothing changes,
// changed is false and nothing is to be written.
//
// A stored Observation that does not carry the segment's identifier is another
// one that took its id: it is replaced.
func (m *Mapping) Merge(stored []byte, r *schemas.Resource) (merged []byte, changed bool, err error) {
	old, err := readObservation(stored, r)
	if err != nil {
		return nil, false, err
	}
	if !carries(old, ObservationIdentifier(r.Patient, r.Device, r.Type, r.Segment)) {
		merged, err = m.Build(r)
		return merged, err == nil, err
	}
	t, values, err := m.prepare(r)
	if err != nil {
		return nil, false, err
	}
	g := merger{r: r, values: values, out: old, vital: t.vital}
	if err := g.effective(); err != nil {
		return nil, false, err
	}
	g.out = g.out.with("category", keepEqual(old.get("category"), t.category))
	if t.value != nil {
		if g.out, err = g.value(g.out, t.value); err != nil {
			return nil, false, err
		}
	}
	if err := g.components(t); err != nil {
		return nil, false, err
	}
	if equal(old, g.out) {
		return stored, false, nil
	}
	return ordered(t.complete(g.out).with("status", text("amended"))).bytes(), true, nil
}

// complete adds what the mapping says beside the values and the Observation
// lacks. It is done along with another change only: a server that drops such a
// member would be written to at every resend.
func (t *template) complete(o *node) *node {
	for _, m := range []member{{"performer", t.performer}, {"bodySite", t.bodySite}, {"method", t.method}} {
		if m.value != nil && o.get(m.name) == nil {
			o = o.with(m.name, m.value)
		}
	}
	if p := o.get("effectivePeriod"); t.vital && p != nil && len(p.members) == 2 && equal(p.get("start"), p.get("end")) {
		o = rename(o, "effectivePeriod", "effectiveDateTime").with("effectiveDateTime", p.get("start"))
	}
	if t.meta == nil {
		return o
	}
	meta := o.get("meta")
	if meta == nil {
		return o.with("meta", t.meta)
	}
	return o.with("meta", meta.with("profile", withAll(meta.get("profile"), t.meta.get("profile"))))
}

// withAll returns a list with the items of another that it lacks.
func withAll(stored, wanted *node) *node {
	if stored == nil {
		return wanted
	}
	items := slices.Clone(stored.items)
	for _, w := range wanted.items {
		if !slices.ContainsFunc(items, func(it *node) bool { return equal(it, w) }) {
			items = append(items, w)
		}
	}
	return list(items...)
}

// CarriesIdentifier reports whether an Observation has an identifier of ours
// with that value, whatever else the identifier says.
func CarriesIdentifier(stored []byte, value string) bool {
	n, err := parseJSON(string(stored))
	return err == nil && carries(n, value)
}

func carries(n *node, value string) bool {
	list := n.get("identifier")
	return list != nil && slices.ContainsFunc(list.items, func(id *node) bool {
		return id.get("system").str() == ObservationSystem && id.get("value").str() == trim(value)
	})
}

func readObservation(stored []byte, r *schemas.Resource) (*node, error) {
	n, err := parseJSON(string(stored))
	if err != nil {
		return nil, fmt.Errorf("reading the stored Observation: %w", err)
	}
	if n.get("resourceType").str() != "Observation" {
		return nil, &MappingError{Type: r.Type, Message: "the stored resource is no Observation"}
	}
	return n, nil
}

// keepEqual returns the old value when the new one says the same, so that its
// text is not rewritten.
func keepEqual(old, new *node) *node {
	if equal(old, new) {
		return old
	}
	return new
}

// merger holds one merge while it runs.
type merger struct {
	r        *schemas.Resource
	values   map[string][]sample
	vital    bool
	out      *node
	oldStart schemas.Ticks // of the stored effective time
	start    schemas.Ticks // of the union
	end      schemas.Ticks
}

func (g *merger) fail(name, message string) error {
	return &MappingError{Type: g.r.Type, Name: name, Message: message}
}

// effective widens the stored time to the union with the segment: a Period in
// the seven-digit form, unless it is the instant of a vital sign.
func (g *merger) effective() error {
	start, end := g.r.Start, g.r.End
	for _, m := range g.out.members {
		if strings.HasPrefix(m.name, "effective") && m.name != "effectivePeriod" && m.name != "effectiveDateTime" {
			return g.fail("", "the stored Observation has an "+m.name+", which cannot be widened")
		}
	}
	old := g.out.get("effectivePeriod")
	bounds := []*node{old.get("start"), old.get("end"), g.out.get("effectiveDateTime")}
	seen := false
	for _, b := range bounds {
		if b == nil {
			continue
		}
		t, ok := parseTime(b.str())
		if !ok {
			return g.fail("", "the stored effective time cannot be read")
		}
		if !seen || b == bounds[2] {
			g.oldStart, seen = t, true
		}
		start, end = min(start, t), max(end, t)
	}
	if !seen || bounds[0] == nil && bounds[2] == nil {
		g.oldStart = start
	}
	g.start, g.end = start, end
	if g.vital && start == end && bounds[2] != nil { // the instant that is there
		return nil
	}
	p := period(start, end)
	if old != nil { // its id and extensions stay
		p = old.with("start", p.get("start")).with("end", p.get("end"))
	}
	g.out = rename(g.out, "effectiveDateTime", "effectivePeriod").with("effectivePeriod", samePeriod(old, p)).with("_effectiveDateTime", nil)
	return nil
}

// samePeriod keeps the stored period when its texts are already ours; another
// form of the same time is rewritten.
func samePeriod(old, new *node) *node {
	if old.get("start").str() == new.get("start").str() && old.get("end").str() == new.get("end").str() {
		return old
	}
	return new
}

// rename gives a member of n another name, in its place.
func rename(n *node, from, to string) *node {
	c := &node{kind: objectKind, members: slices.Clone(n.members)}
	for i := range c.members {
		if c.members[i].name == from {
			c.members[i].name = to
		}
	}
	return c
}

// value merges a value into holder: the Observation or a component.
func (g *merger) value(holder *node, v *valueTemplate) (*node, error) {
	if !v.given(g.values) {
		return holder, nil
	}
	element, stored := storedValue(holder)
	if element != "" && element != v.element() {
		return nil, g.fail(v.name, fmt.Sprintf("the stored value is a %s, the mapping says %s", element, v.element()))
	}
	var merged *node
	var err error
	switch {
	case v.kind == sampledValue && stored != nil:
		merged, err = g.sampled(stored, v, v.samples(g.values))
	case v.kind == sampledValue:
		merged, err = v.sampled(g.r, v.samples(g.values), g.start, g.end)
	default:
		merged, err = v.build(g.r, g.values)
		merged = keepEqual(stored, keepDetails(stored, merged))
	}
	if err != nil || merged == nil {
		return holder, err
	}
	holder = holder.with(v.element(), merged).with("dataAbsentReason", nil)
	if merged != stored {
		holder = v.judge(holder, merged)
	}
	return holder, nil
}

// storedValue finds value[x].
func storedValue(n *node) (element string, value *node) {
	for _, m := range n.members {
		if strings.HasPrefix(m.name, "value") {
			return m.name, m.value
		}
	}
	return "", nil
}

// keepDetails carries the id and extensions of a replaced value over.
func keepDetails(old, new *node) *node {
	if old == nil || new == nil || new.kind != objectKind || old.kind != objectKind {
		return new
	}
	kept := object(member{"id", old.get("id")}, member{"extension", old.get("extension")})
	if kept == nil {
		return new
	}
	return &node{kind: objectKind, members: append(kept.members, new.members...)}
}

// sampled merges samples into a stored SampledData. Origin, unit, factor and
// limits stay. The grid stays too unless the mapping now has a finer one, which
// is then taken over with its period: no sample is lost, and data and period
// always agree.
func (g *merger) sampled(stored *node, v *valueTemplate, samples []sample) (*node, error) {
	if d := stored.get("dimensions"); d != nil && d.kind == numberKind && !sameNumber(d.text, "1") {
		if !strings.HasPrefix(d.text, "-") && !sameNumber(d.text, "0") {
			return nil, g.fail(v.name, "the stored SampledData has several dimensions")
		}
		stored = stored.with("dimensions", number("1"))
	}
	step, literal := v.step, number(v.period)
	old, ok := schemas.Ticks(0), false
	if p := stored.get("period"); p != nil && p.kind == numberKind {
		if old, ok = stepOf(p.text); ok && old <= step {
			step, literal = old, p
		}
	}
	if !ok {
		old = step
	}
	all := union(readData(stored.get("data").str(), g.oldStart, old), fillBlanks(samples))
	data, err := v.data(g.r, all, g.start, g.end, step)
	if err != nil {
		return nil, err
	}
	return stored.with("period", literal).with("data", text(data)), nil
}

// components merges every component of the mapping that has a value.
func (g *merger) components(t *template) error {
	var items []*node
	if l := g.out.get("component"); l != nil {
		items = slices.Clone(l.items)
	}
	for _, c := range t.components {
		i := slices.IndexFunc(items, c.found)
		if i >= 0 {
			merged, err := g.value(items[i], c.value)
			if err != nil {
				return err
			}
			items[i] = merged
			continue
		}
		merged, err := g.value(&node{kind: objectKind}, c.value)
		if err != nil {
			return err
		}
		if len(merged.members) > 0 {
			items = append(items, &node{kind: objectKind, members: append(
				[]member{{"code", c.code}}, merged.members...)})
		}
	}
	g.out = g.out.with("component", list(items...))
	return nil
}

// found reports whether a stored component is the one that c writes: by its
// service coding.
func (c *component) found(n *node) bool {
	code := n.get("code")
	if c.unmarked {
		return code.get("text").str() == trim(c.value.name)
	}
	codings := code.get("coding")
	return codings != nil && slices.ContainsFunc(codings.items, func(coding *node) bool {
		return coding.get("system").str() == ObservationSystem && coding.get("code").str() == trim(c.value.name)
	})
}

// observationOrder is the order of an Observation's members in FHIR R4.
var observationOrder = []string{"resourceType", "id", "meta", "implicitRules", "language", "text", "contained", "extension",
	"modifierExtension", "identifier", "basedOn", "partOf", "status", "category", "code", "subject", "focus", "encounter",
	"effectiveDateTime", "effectivePeriod", "effectiveTiming", "effectiveInstant", "issued", "performer", "value",
	"dataAbsentReason", "interpretation", "note", "bodySite", "method", "specimen", "device", "referenceRange",
	"hasMember", "derivedFrom", "component"}

// ordered sorts the members of an Observation, so that bytes do not depend on
// how a server orders them. What it does not know stays behind, in order.
func ordered(n *node) *node {
	rank := func(m member) int {
		name := strings.TrimPrefix(m.name, "_")
		if strings.HasPrefix(name, "value") {
			name = "value"
		}
		if i := slices.Index(observationOrder, name); i >= 0 {
			return i
		}
		return len(observationOrder)
	}
	c := &node{kind: objectKind, members: slices.Clone(n.members)}
	slices.SortStableFunc(c.members, func(a, b member) int { return rank(a) - rank(b) })
	return c
}
