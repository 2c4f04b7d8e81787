package fhir

import (
	"fmt"
	"slices"

	"auscult/internal/mapfile"
)

// Members of an Observation or component that limits make.
const (
	interpretationMember = "interpretation"
	rangeMember          = "referenceRange"
)

// Code systems of what limits make.
const (
	interpretationSystem = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
	rangeMeaningSystem   = "http://terminology.hl7.org/CodeSystem/referencerange-meaning"
)

// limits judge the number of a Quantity or an Integer.
type limits struct {
	bounds [4]string // by bound; decimal literals, empty for none
	normal *node     // the reference range, as a list of one; nil when there is none
}

// The bounds, in ascending order.
const (
	criticalLowBound = iota
	lowBound
	highBound
	criticalHighBound
)

// boundFields are the names of the bounds in a mapping.
var boundFields = [...]string{criticalLowBound: "criticalLow", lowBound: "low", highBound: "high", criticalHighBound: "criticalHigh"}

// Interpretations of a number, as lists of one.
var (
	judgedCriticallyLow  = judgement("LL", "Critical low")
	judgedLow            = judgement("L", "Low")
	judgedNormal         = judgement("N", "Normal")
	judgedHigh           = judgement("H", "High")
	judgedCriticallyHigh = judgement("HH", "Critical high")

	judgements = []*node{judgedCriticallyLow, judgedLow, judgedNormal, judgedHigh, judgedCriticallyHigh}
)

func judgement(code, display string) *node {
	return list(object(member{"coding", list(object(
		member{"system", text(interpretationSystem)}, member{"code", text(code)}, member{"display", text(display)}))}))
}

// normalType marks the reference range that is ours.
var normalType = object(member{"coding", list(object(
	member{"system", text(rangeMeaningSystem)}, member{"code", text("normal")}, member{"display", text("Normal Range")}))})

// judge returns what a number is, nil when the limits do not say: between two
// critical limits a number need not be normal.
func (l *limits) judge(literal string) *node {
	below := func(bound int) bool { return l.bounds[bound] != "" && compareDecimals(literal, l.bounds[bound]) < 0 }
	above := func(bound int) bool { return l.bounds[bound] != "" && compareDecimals(literal, l.bounds[bound]) > 0 }
	switch {
	case below(criticalLowBound):
		return judgedCriticallyLow
	case above(criticalHighBound):
		return judgedCriticallyHigh
	case below(lowBound):
		return judgedLow
	case above(highBound):
		return judgedHigh
	case l.bounds[lowBound] == "" && l.bounds[highBound] == "":
		return nil
	}
	return judgedNormal
}

// interpretation returns the interpretation of a value that was built.
func (v *valueTemplate) interpretation(value *node) *node {
	if v == nil || v.limits == nil || value == nil {
		return nil
	}
	return v.limits.judge(numberOf(value))
}

// normalRange returns the reference range beside a value that was built.
func (v *valueTemplate) normalRange(value *node) *node {
	if v == nil || v.limits == nil || value == nil {
		return nil
	}
	return v.limits.normal
}

// numberOf returns the number of a Quantity or an Integer.
func numberOf(value *node) string {
	if value.kind == objectKind {
		value = value.get("value")
	}
	return value.text
}

// judge puts the interpretation of a new value into holder, and the range.
// Those that others have put there stay.
func (v *valueTemplate) judge(holder, value *node) *node {
	if v.limits == nil {
		return holder
	}
	return v.rejudge(holder, v.limits.judge(numberOf(value)), v.limits.normal)
}

// unjudge takes them away along with the value.
func (v *valueTemplate) unjudge(holder *node) *node {
	if v.limits == nil {
		return holder
	}
	return v.rejudge(holder, nil, nil)
}

func (v *valueTemplate) rejudge(holder, judged, normal *node) *node {
	holder = holder.with(interpretationMember, replaceOwn(holder.get(interpretationMember), isJudgement, judged))
	return holder.with(rangeMember, replaceOwn(holder.get(rangeMember), isNormalRange, normal))
}

// replaceOwn puts a list of one item, or none, into the place of the items that
// are ours.
func replaceOwn(stored *node, own func(*node) bool, one *node) *node {
	var items []*node
	var item *node
	if one != nil {
		item = one.items[0]
	}
	placed := false
	if stored != nil {
		for _, it := range stored.items {
			if !own(it) {
				items = append(items, it)
			} else if !placed {
				items, placed = append(items, keepEqual(it, item)), true
			}
		}
	}
	if !placed {
		items = append(items, item)
	}
	return list(items...)
}

// isJudgement tells a judgement of ours by its code.
func isJudgement(n *node) bool {
	return slices.ContainsFunc(judgements, func(j *node) bool { return sharesCoding(n, j.items[0]) })
}

// isNormalRange tells our reference range by its type. One for certain people
// is somebody else's.
func isNormalRange(n *node) bool {
	return sharesCoding(n.get("type"), normalType) && n.get("appliesTo") == nil && n.get("age") == nil
}

// sharesCoding reports whether a concept has the code of one of ours.
func sharesCoding(stored, own *node) bool {
	codings := stored.get("coding")
	ours := own.get("coding").items[0]
	return codings != nil && slices.ContainsFunc(codings.items, func(c *node) bool {
		return c.get("system").str() == ours.get("system").str() && c.get("code").str() == ours.get("code").str()
	})
}

// readLimits reads the limits beside a value.
func (l *templateLoader) readLimits(holder *mapfile.Fields, v *valueTemplate) {
	before := l.Len()
	f := holder.Object(l.Report, limitsDefinition, limitsField)
	if f == nil {
		return
	}
	if v == nil || v.kind != quantityValue && v.kind != integerValue {
		l.Add(f.Value.At, f.Pointer, "the limits have no number to judge", "write them beside a value of type Quantity or Integer")
		return
	}
	lim := &limits{}
	for i, name := range boundFields {
		lim.bounds[i] = l.bound(f, name)
	}
	l.ascending(f, lim)
	words := textOf(f, textField)
	if lim.bounds == [4]string{} && words == nil && l.Len() == before {
		l.Add(f.Value.At, f.Pointer, "the limits say nothing", "write low, high, criticalLow, criticalHigh or text")
	}
	ends := object(member{"low", v.end(lim.bounds[lowBound])}, member{"high", v.end(lim.bounds[highBound])})
	if ends != nil || words != nil {
		lim.normal = list(object(member{"low", ends.get("low")}, member{"high", ends.get("high")}, member{"type", normalType}, member{"text", words}))
	}
	v.limits = lim
}

// end returns an end of the reference range, in the unit of the value.
func (v *valueTemplate) end(literal string) *node {
	if literal == "" {
		return nil
	}
	return v.measured(literal)
}

func (l *templateLoader) bound(f *mapfile.Fields, name string) string {
	n, pointer := f.Get(name)
	if n == nil {
		return ""
	}
	literal, ok := decimal(n.Text)
	if !ok {
		l.Add(n.At, pointer, fmt.Sprintf("%s %.60q is no decimal number", name, n.Text), "write digits with a decimal point, without an exponent")
	}
	return literal
}

// ascending checks that limits do not contradict each other.
func (l *templateLoader) ascending(f *mapfile.Fields, lim *limits) {
	before := -1
	for i, literal := range lim.bounds {
		if literal == "" {
			continue
		}
		if before >= 0 && compareDecimals(lim.bounds[before], literal) > 0 {
			n, pointer := f.Get(boundFields[i])
			l.Add(n.At, pointer, fmt.Sprintf("%s %s is below %s %s", boundFields[i], literal, boundFields[before], lim.bounds[before]),
				"write the limits so that criticalLow, low, high and criticalHigh ascend")
		}
		before = i
	}
}
