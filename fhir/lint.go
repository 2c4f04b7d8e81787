package fhir

import (
	"fmt"
	"slices"
	"strings"

	"auscult/internal/mapfile"
	"auscult/schemas"
)

// The rules of Lints.
const (
	RuleSeveralValues = "several-values"
	RuleUnitSystem    = "unit-code-without-system"
	RuleSampledSize   = "sampled-data-size"
	RuleValueTwice    = "value-name-twice"
	RuleValueMember   = "value-member-ignored"
	RuleVitalPeriod   = "vital-sign-period"
)

// manySamples is how many samples one Observation may have before servers and
// readers have trouble with it.
const manySamples = 5000

// spans are the periods that have a length, and which period gathers less.
var spans = map[Period]struct {
	noun   string
	length schemas.Ticks
	less   Period
}{
	Hourly: {"an hour", schemas.TicksPerHour, Correlation},
	Daily:  {"a day", schemas.TicksPerDay, Hourly},
}

// lintValue looks at a value that was read. One without a name is never
// written.
func (l *templateLoader) lintValue(f *mapfile.Fields, v *valueTemplate) {
	l.lintMembers(f, valueTypes[v.kind].fields)
	if trim(v.name) == "" {
		return
	}
	switch v.kind {
	case sampledValue:
		l.lintSeries(f, v)
	default:
		if !v.fixedOnly() {
			l.lintSeveral(f, v)
		}
	}
}

// lintSeveral warns of single values in Observations that gather several.
func (l *templateLoader) lintSeveral(f *mapfile.Fields, v *valueTemplate) {
	span, ok := spans[l.t.period]
	if !ok {
		return
	}
	at, pointer := f.Get(valueTypeField)
	fix := "write periodInterval Single"
	if v.kind == quantityValue {
		fix = "write SampledData as valueType, or periodInterval Single"
	}
	l.AddLint(RuleSeveralValues, at.At, pointer,
		fmt.Sprintf("a %s is one value, but periodInterval is %s: %s with two values %.60q cannot be written",
			valueTypes[v.kind].word.Name, l.t.period, span.noun, v.name), fix)
}

// lintSeries warns of series that grow very long.
func (l *templateLoader) lintSeries(f *mapfile.Fields, v *valueTemplate) {
	span, ok := spans[l.t.period]
	if !ok || v.step == 0 {
		return
	}
	samples := (span.length-1)/v.step + 1
	if samples <= manySamples {
		return
	}
	message := fmt.Sprintf("%s has %d samples of this period: every update of the Observation writes all of them", span.noun, samples)
	if samples > maxSamples {
		message = fmt.Sprintf("%s has %d samples of this period: an Observation with more than %d is refused", span.noun, samples, maxSamples)
	}
	at, pointer := f.Get(defaultPeriodField)
	l.AddLint(RuleSampledSize, at.At, pointer, message,
		fmt.Sprintf("write %d or more, or periodInterval %s", span.length/manySamples/schemas.TicksPerMillisecond, span.less))
}

// lintVitalPeriod warns of vital signs over a time. The profiles allow a Period,
// but their rule vs-1 asks it for the length of a dateTime, and validators that
// take no answer for no refuse it.
func (l *templateLoader) lintVitalPeriod(s vitalSign) {
	at, pointer := l.in.Get("periodInterval")
	if l.t.period == Single || at == nil {
		return
	}
	l.AddLint(RuleVitalPeriod, at.At, pointer,
		fmt.Sprintf("an Observation over a time fails rule vs-1 of profile %s in HAPI and servers built on it", s.profile),
		"write periodInterval Single, or remove the profile if your server validates so")
}

// lintCode warns of a unit code that is not written as one.
func (l *templateLoader) lintCode(f *mapfile.Fields) {
	at, pointer := f.Get(codeField)
	l.AddLint(RuleUnitSystem, at.At, pointer, "the code has no system beside it, so it is not written as a code",
		`write "system": "http://unitsofmeasure.org" if it is a UCUM code`)
}

// lintMembers warns of members that are ignored and look like a misspelled one.
func (l *templateLoader) lintMembers(f *mapfile.Fields, own []mapfile.Field) {
	var known, missing []string
	for _, fields := range [][]mapfile.Field{valueDefinition.Fields, own} {
		for i := range fields {
			name := fields[i].Name
			known = append(known, strings.ToLower(name))
			if v, _ := f.Get(name); v == nil {
				missing = append(missing, name)
			}
		}
	}
	for _, m := range f.Value.Members {
		near := mapfile.Nearest(m.Name, missing)
		if near == "" || slices.Contains(known, strings.ToLower(m.Name)) {
			continue
		}
		l.AddLint(RuleValueMember, m.At, mapfile.Join(f.Pointer, m.Name),
			fmt.Sprintf("%.60q is ignored", m.Name), fmt.Sprintf("write %s if that is meant, else remove it", near))
	}
}

// lintNames warns of values that a template takes twice. A concept beside
// another value marks it, which is fine; two components of one name are told
// apart by nothing when the Observation is merged.
func (l *loader) lintNames(t *template) {
	seen := map[string]*valueTemplate{}
	for _, v := range t.values() {
		name := trim(v.name)
		other := seen[name]
		if name == "" {
			continue
		}
		if other == nil || other == t.value && (v.kind == conceptValue || other.kind == conceptValue) {
			seen[name] = v
			continue
		}
		harm := "the Observation says it twice"
		if other != t.value {
			harm = "an update changes only the first"
		}
		l.AddLint(RuleValueTwice, v.place.At, v.place.Pointer,
			fmt.Sprintf("%.60q is the value of line %d, column %d already: %s", name, other.place.Line, other.place.Column, harm),
			"correct the name, or remove one of them")
	}
}
