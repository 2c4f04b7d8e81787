package fhir

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"auscult/schemas"
)

// Values of each type that is not one Quantity, as an Observation and its
// components have them.
var valueCases = []struct {
	name   string
	value  string // members of the mapping's value
	given  string // name=text, name=text
	want   string // value[x], or what the error says
	failed bool
}{
	{name: "true of a device mapping", value: `"valueType":"Boolean","valueName":"v"`, given: "v=True", want: `"valueBoolean":true`},
	{name: "false", value: `"valueType":"boolean","valueName":"v"`, given: "v= false ", want: `"valueBoolean":false`},
	{name: "1", value: `"valueType":"Boolean","valueName":"v"`, given: "v=1", want: `"valueBoolean":true`},
	{name: "0", value: `"valueType":"Boolean","valueName":"v"`, given: "v=0", want: `"valueBoolean":false`},
	{name: "a text for true", value: `"valueType":"Boolean","valueName":"v","trueTexts":[" ON "]`, given: "v=on", want: `"valueBoolean":true`},
	{name: "a text for false", value: `"valueType":"Boolean","valueName":"v","falseTexts":["off",2]`, given: "v=2", want: `"valueBoolean":false`},
	{name: "turned round", value: `"valueType":"Boolean","valueName":"v","trueTexts":[0],"falseTexts":[1]`, given: "v=0", want: `"valueBoolean":true`},
	{name: "no truth", value: `"valueType":"Boolean","valueName":"v"`, given: "v=on", want: `"on" is neither true nor false; add it to trueTexts or falseTexts`, failed: true},
	{name: "blank", value: `"valueType":"Boolean","valueName":"v"`, given: "v=", want: `neither true nor false`, failed: true},

	{name: "an integer", value: `"valueType":"Integer","valueName":"v"`, given: "v=-72", want: `"valueInteger":-72`},
	{name: "an integer of a calculation", value: `"valueType":"Integer","valueName":"v"`, given: "v=72.00", want: `"valueInteger":72`},
	{name: "zero", value: `"valueType":"Integer","valueName":"v"`, given: "v=-0.0", want: `"valueInteger":0`},
	{name: "the largest", value: `"valueType":"Integer","valueName":"v"`, given: "v=2147483647", want: `"valueInteger":2147483647`},
	{name: "one more", value: `"valueType":"Integer","valueName":"v"`, given: "v=2147483648", want: `no whole number of 32 bits`, failed: true},
	{name: "a fraction", value: `"valueType":"Integer","valueName":"v"`, given: "v=72.5", want: `"72.5" is no whole number`, failed: true},
	{name: "a word", value: `"valueType":"Integer","valueName":"v"`, given: "v=many", want: `no whole number`, failed: true},

	{name: "a time", value: `"valueType":"DateTime","valueName":"v"`, given: "v=2026-05-01T08:00:00.120+02:00", want: `"valueDateTime":"2026-05-01T08:00:00.120+02:00"`},
	{name: "no time", value: `"valueType":"DateTime","valueName":"v"`, given: "v=soon", want: `"soon" is no date or time`, failed: true},

	{name: "a choice", value: conceptTable, given: "v=AF", want: `"valueCodeableConcept":{"coding":[{"system":"http://snomed.info/sct","code":"49436004"}],"text":"Atrial fibrillation"}`},
	{name: "the same by another value", value: conceptTable, given: "v= afib", want: `{"coding":[{"system":"http://snomed.info/sct","code":"49436004"}],"text":"Atrial fibrillation"}`},
	{name: "a number as a choice", value: conceptTable, given: "v=1", want: `"valueCodeableConcept":{"text":"Sinus rhythm"}`},
	{name: "case counts", value: conceptTable, given: "v=AFIB", want: `"AFIB" is in no choice`, failed: true},
	{name: "the concept of all others", value: conceptTable + `,"text":"Other rhythm"`, given: "v=VT", want: `"valueCodeableConcept":{"text":"Other rhythm"}`},
	{name: "a fixed concept", value: `"valueType":"CodeableConcept","valueName":"v","codes":[],"text":"Alarm","choices":[]`, given: "v=x", want: `"valueCodeableConcept":{"text":"Alarm"}`},

	{name: "a ratio", value: ratioOfTimes, given: "in=1.20, out=2.4", want: `"valueRatio":{"numerator":{"value":1.20,"unit":"s","system":"http://unitsofmeasure.org","code":"s"},"denominator":{"value":2.4,"unit":"sec"}}`},
	{name: "half a ratio", value: ratioOfTimes, given: "in=1.2", want: `mapping value "out" of type "t": the Ratio needs this value beside "in", and the segment has none`, failed: true},
	{name: "the other half", value: ratioOfTimes, given: "out=1.2", want: `mapping value "in" of type "t": the Ratio needs this value beside "out"`, failed: true},
	{name: "a ratio of words", value: ratioOfTimes, given: "in=1, out=long", want: `mapping value "out" of type "t": "long" is no decimal number`, failed: true},

	{name: "a range", value: rangeOfRates, given: "min=58, max=102", want: `"valueRange":{"low":{"value":58,"unit":"/min"},"high":{"value":102,"unit":"/min"}}`},
	{name: "a range of one number", value: rangeOfRates, given: "min=58.0, max=58", want: `"low":{"value":58.0,`},
	{name: "ends the wrong way round", value: rangeOfRates, given: "min=9, max=-10", want: `the low end 9 of the Range is above its high end -10`, failed: true},
	{name: "half a range", value: rangeOfRates, given: "max=102", want: `the Range needs this value beside "max"`, failed: true},
}

const (
	conceptTable = `"valueType":"CodeableConcept","valueName":"v","codes":[],"choices":[` +
		`{"values":["AF"," afib "],"text":"Atrial fibrillation","codes":[{"system":"http://snomed.info/sct","code":"49436004"}]},{"values":[1],"text":"Sinus rhythm"}]`
	ratioOfTimes = `"valueType":"Ratio","valueName":"ratio","numerator":{"valueName":"in","unit":"s","system":"http://unitsofmeasure.org","code":"s"},` +
		`"denominator":{"valueName":"out","unit":"sec"}`
	rangeOfRates = `"valueType":"Range","lowName":"min","highName":"max","unit":"/min"`
)

// given makes the values of an instant from "name=text, name=text".
func given(t *testing.T, clock, texts string) (values []schemas.SegmentValue) {
	t.Helper()
	for one := range strings.SplitSeq(texts, ", ") {
		name, text, _ := strings.Cut(one, "=")
		values = append(values, at(t, clock, name, text))
	}
	return values
}

// single maps type t with one value, once as the value of the Observation and
// once as a component.
func single(t *testing.T, value string) (whole, component *Mapping) {
	t.Helper()
	whole = load(t, mappingOf(`"typeName":"t","codes":[],"value":{`+value+`}`))
	component = load(t, mappingOf(`"typeName":"t","codes":[],"components":[{"codes":[{"code":"c"}],"value":{`+value+`}}]`))
	return whole, component
}

func TestBuildValues(t *testing.T) {
	for _, c := range valueCases {
		whole, component := single(t, c.value)
		for _, m := range []*Mapping{whole, component} {
			body, err := m.Build(seg(t, m, "t", given(t, "10:00:00", c.given)...))
			var refused *MappingError
			switch {
			case c.failed && (!errors.As(err, &refused) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%s: got %v\n%s", c.name, err, body)
			case !c.failed && (err != nil || !strings.Contains(string(body), c.want)):
				t.Errorf("%s: %v\n got %s\nwant %s", c.name, err, body, c.want)
			}
		}
	}
}

// TestMergeValues: a value of any type is replaced by another, not written when
// it is the same, filled in where it is missing, and refused where the stored
// one has another type.
func TestMergeValues(t *testing.T) {
	for _, c := range []struct{ value, first, same, second, want string }{
		{`"valueType":"Boolean","valueName":"v"`, "v=True", "v=1", "v=0", `"valueBoolean":false`},
		{`"valueType":"Integer","valueName":"v"`, "v=7", "v=7.0", "v=8", `"valueInteger":8`},
		{`"valueType":"DateTime","valueName":"v"`, "v=2026-05-01", "v= 2026-05-01", "v=2026-05-02", `"valueDateTime":"2026-05-02"`},
		{conceptTable, "v=AF", "v=afib", "v=1", `"valueCodeableConcept":{"text":"Sinus rhythm"}`},
		{ratioOfTimes, "in=1, out=2", "in=1.0, out=2.00", "in=1, out=3", `"denominator":{"value":3,`},
		{rangeOfRates, "min=1, max=2", "min=1.0, max=2", "min=0, max=2", `"low":{"value":0,`},
	} {
		whole, component := single(t, c.value)
		for _, m := range []*Mapping{whole, component} {
			stored := build(t, m, seg(t, m, "t", given(t, "10:00:00", c.first)...))
			if again, changed := merge(t, m, stored, seg(t, m, "t", given(t, "10:00:00", c.same)...)); changed || again != stored {
				t.Errorf("%s: the same value changes\n%s", c.value, again)
			}
			second := seg(t, m, "t", given(t, "10:00:00", c.second)...)
			got, changed := merge(t, m, stored, second)
			if !changed || !strings.Contains(got, c.want) || !strings.Contains(got, `"status":"amended"`) {
				t.Errorf("%s: got %s\nwant %s", c.value, got, c.want)
			}
			checkFilledAndRefused(t, m, got, second)
		}
	}
}

// valueElement is the name of one of the value types that are tested here.
var valueElement = regexp.MustCompile(`"value(Boolean|Integer|DateTime|CodeableConcept|Ratio|Range)"`)

// checkFilledAndRefused takes the value out of an Observation, and puts one of
// another type there.
func checkFilledAndRefused(t *testing.T, m *Mapping, full string, r *schemas.Resource) {
	t.Helper()
	name := valueElement.FindString(full)
	empty := strings.Replace(full, name+":", `"dataAbsentReason":{"text":"?"},"_was":`, 1)
	filled, changed := merge(t, m, empty, r)
	if !changed || !strings.Contains(filled, name) || strings.Contains(filled, "dataAbsentReason") {
		t.Errorf("it is not filled: %s", filled)
	}
	other := strings.Replace(full, name+":", `"valueTime":"10:00:00","_was":`, 1)
	if body, _, err := m.Merge([]byte(other), r); err == nil || !strings.Contains(err.Error(), "the stored value is a valueTime, the mapping says "+strings.Trim(name, `"`)) {
		t.Errorf("a value of another type: %v\n%s", err, body)
	}
}

// TestRetractValues: a value is taken back where it is still what is stored.
func TestRetractValues(t *testing.T) {
	for _, c := range []struct{ value, stored, other, same string }{
		{`"valueType":"Boolean","valueName":"v"`, "v=True", "v=0", "v=1"},
		{`"valueType":"Integer","valueName":"v"`, "v=7", "v=8", "v=7.0"},
		{`"valueType":"DateTime","valueName":"v"`, "v=2026-05-01", "v=2026-05-02", "v=2026-05-01"},
		{conceptTable, "v=AF", "v=1", "v=afib"},
		{ratioOfTimes, "in=1, out=2", "in=3", "in=1.0"},
		{rangeOfRates, "min=1, max=2", "max=3", "min=0, max=2"},
	} {
		whole, component := single(t, c.value)
		for _, m := range []*Mapping{whole, component} {
			stored := build(t, m, seg(t, m, "t", given(t, "10:00:00", c.stored)...))
			if left, changed, err := m.Retract([]byte(stored), seg(t, m, "t", given(t, "10:00:00", c.other)...)); changed || err != nil {
				t.Errorf("%s: another value is taken back: %v %s", c.value, err, left)
			}
			left, changed, err := m.Retract([]byte(stored), seg(t, m, "t", given(t, "10:00:00", c.same)...))
			if err != nil || !changed || !strings.Contains(string(left), `"entered-in-error"`) {
				t.Errorf("%s: %v\n%s", c.value, err, left)
			}
		}
	}
}

// TestSeveralValues: of single values there is one in a segment; a fixed concept
// does not count them.
func TestSeveralValues(t *testing.T) {
	for value, refused := range map[string]bool{
		`"valueType":"Boolean","valueName":"v"`: true,
		conceptTable:                            true,
		`"valueType":"CodeableConcept","valueName":"v","text":"t","codes":[]`:         false,
		`"valueType":"Range","lowName":"v","highName":"v"`:                            true,
		`"valueType":"SampledData","valueName":"v","defaultPeriod":1000,"unit":"bpm"`: false,
	} {
		m := load(t, mappingOf(`"typeName":"t","periodInterval":60,"codes":[],"value":{`+value+`}`))
		_, err := m.Build(seg(t, m, "t", at(t, "10:00:00", "v", "1"), at(t, "10:00:01", "v", "0")))
		if (err != nil) != refused {
			t.Errorf("%s: %v", value, err)
		}
	}
}

func TestDateTime(t *testing.T) {
	for text, want := range map[string]string{
		"2026": "2026", "2026-05": "2026-05", " 2026-05-01 ": "2026-05-01",
		"2026-05-01T08:00:00Z": "2026-05-01T08:00:00Z", "2026-05-01t08:00:00z": "2026-05-01T08:00:00Z",
		"2026-05-01T08:00:00.1234567-14:00": "2026-05-01T08:00:00.1234567-14:00",
		"2026-05-01T08:00:00":               "2026-05-01T08:00:00Z", "2026-05-01 08:00": "2026-05-01T08:00:00Z",
		"2026-05-01T08:00+02:00": "2026-05-01T08:00:00+02:00", "05/01/2026 08:00:00": "2026-05-01T08:00:00Z",
		"": "", "0000": "", "26-05-01": "", "2026-13": "", "2026-02-30": "", "2026-05-01T8:00:00Z": "", "2026-05T08:00:00Z": "",
		"2026-05-01T24:00:00Z": "", "2026-05-01T08:00:00,5Z": "", "2026-05-01T08:00:00+14:01": "", "2026-05-01T08:00:00+0200": "",
		"5/1/2026 08:00:00": "", "05/01/2026 08:00:00.5": "", "2026-05-01T08:00:00Z x": "",
	} {
		if got, ok := dateTime(text); ok != (want != "") || ok && got != want {
			t.Errorf("%q: got %q, %v", text, got, ok)
		}
	}
}

// FuzzDateTime: what is taken is a dateTime of FHIR, and taken again it stays.
func FuzzDateTime(f *testing.F) {
	for _, s := range []string{"2026", "2026-05-01T08:00:00.5+02:00", "05/01/2026 08:00:00", "2026-05-01 08:00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		literal, ok := dateTime(s)
		if !ok {
			return
		}
		if _, readable := parseTime(literal); !readable {
			t.Errorf("%q gives %q, which is no dateTime", s, literal)
		}
		if again, ok := dateTime(literal); !ok || again != literal {
			t.Errorf("%q gives %q, which gives %q", s, literal, again)
		}
	})
}

func TestCompareDecimals(t *testing.T) {
	ascending := []string{"-120", "-12.5", "-12.05", "-0.5", "0", "0.05", "0.5", "9", "10", "10.01", "100"}
	for i, a := range ascending {
		for j, b := range ascending {
			if got := compareDecimals(a, b); got != min(1, max(-1, i-j)) {
				t.Errorf("%s and %s: %d", a, b, got)
			}
		}
	}
	if compareDecimals("7", "7.00") != 0 || compareDecimals("-7.10", "-7.1") != 0 {
		t.Error("zeros behind the point count")
	}
}

// TestLoadValueFaults: what can be wrong in values beyond Quantity. An @ marks
// the place.
func TestLoadValueFaults(t *testing.T) {
	const inside = "/template/0/template/value"
	value := func(members string) string { return mappingOf(`"typeName":"t","codes":[],"value":{` + members + `}`) }
	concept := func(choices string) string {
		return value(`"valueType":"CodeableConcept","valueName":"v","codes":[],"choices":` + choices)
	}
	for _, c := range [][2]string{
		{value(`"valueType":"Boolean","trueTexts":@"on"`), inside + `/trueTexts trueTexts is "on": write a list, [...]`},
		{value(`"valueType":"Boolean","trueTexts":["on",@{}]`), inside + `/trueTexts/1 an object stands where a text must be: write a value as the device mapping gives it`},
		{value(`"valueType":"Boolean","falseTexts":[@" "]`), inside + `/falseTexts/0 the text is blank: write a value as the device mapping gives it`},
		{value(`"valueType":"Boolean","trueTexts":["on"],"falseTexts":[@"ON"]`), inside + `/falseTexts/0 "ON" means true already: keep it in one of the lists; case does not tell texts apart`},
		{concept(`[@7]`), inside + `/choices/0 a number stands where an object must be: write {...}`},
		{concept(`[@{"text":"t"}]`), inside + `/choices/0/values values is missing: write "values": and a list, [...], for example ["AF", "afib"]`},
		{concept(`[{"text":"t","values":@[]}]`), inside + `/choices/0/values no value stands for the choice: write the values that stand for it`},
		{concept(`[@{"values":["a"]}]`), inside + `/choices/0 the choice has neither text nor codes: give it a text or a code`},
		{concept(`[{"values":["a"],"text":"t"},{"values":["b",@"a"],"text":"u"}]`), inside + `/choices/1/values/1 "a" stands for two concepts: keep it in one of the choices`},
		{concept(`[{"values":["a"],"text":"t",@"code":"u"}]`), inside + `/choices/0/code unknown member "code": write codes`},
		{value(`"valueType":"Ratio","numerator":{"valueName":"n"},"denominator":@null`), inside + `/denominator denominator is null: write "denominator": and an object, {...}, for example ` + partExample},
		{value(`"valueType":"Ratio","numerator":{"valueName":@" "},"denominator":{"valueName":"d"}`), inside + `/numerator/valueName valueName is blank: write the name of a value that the device mapping gives`},
		{value(`"valueType":"Ratio","numerator":{"valueName":"n","system":@"s"},"denominator":{"valueName":"d"}`), inside + `/numerator/system system "s" is no absolute URI: write for example http://unitsofmeasure.org`},
		{value(`"valueType":"Range","lowName":@"","highName":"h"`), inside + `/lowName lowName is blank: write the name of a value that the device mapping gives`},
		{value(`"valueType":"Range","lowName":"l","highName":@[]`), inside + `/highName highName is a list: write the name of a value`},
	} {
		checkFault(t, c[0], c[1])
	}
}

// TestPairTypes: a device mapping is compared with both values of a pair.
func TestPairTypes(t *testing.T) {
	m := load(t, mappingOf(`"typeName":"t","codes":[],"value":{`+rangeOfRates+`},"components":[{"codes":[],"value":{`+ratioOfTimes+`}}]`))
	typ := m.Types()[0]
	if got := strings.Join(append(namesOf(typ.Values), namesOf(typ.Components)...), " "); got != "min max in out" {
		t.Error(got)
	}
	for _, v := range append(typ.Values, typ.Components...) {
		if v.Line != 1 || v.Column < 2 || v.Pointer == "" {
			t.Errorf("%+v", v)
		}
	}
}
