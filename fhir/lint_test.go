package fhir

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// lintsOf writes what Lints tells of a mapping, one lint a line.
func lintsOf(m *Mapping) string {
	var b strings.Builder
	for _, l := range m.Lints() {
		fmt.Fprintf(&b, "%d:%d %s %s: %s: %s\n", l.Line, l.Column, l.Pointer, l.Rule, l.Message, l.Fix)
	}
	return b.String()
}

func TestLints(t *testing.T) {
	m := load(t, `{"templateType": "CollectionFhir", "template": [
{"templateType": "CodeValueFhir", "template": {"typeName": "hourly", "codes": [], "periodInterval": 60,
  "value": {"valueType": "Quantity", "valueName": "q"},
  "components": [
    {"codes": [], "value": {"valueType": "String", "valueName": "s"}},
    {"codes": [], "value": {"valueType": "SampledData", "valueName": "fast", "defaultPeriod": 719.9}},
    {"codes": [], "value": {"valueType": "SampledData", "valueName": "too fast", "defaultPeriod": "3.5"}}]}},
{"templateType": "CodeValueFhir", "template": {"typeName": "daily", "codes": [], "periodInterval": "daily",
  "value": {"ValueType": "SampledData", "valueName": "fast", "defaultPeriod": 1000},
  "components": [{"codes": [], "value": {"valueName": "q", "ValueType": "Quantity", "unit": "kg", "code": "kg"}}]}},
{"templateType": "CodeValueFhir", "template": {"typeName": "twice", "codes": [],
  "components": [
    {"codes": [], "value": {"valueType": "Quantity", "valueName": "v"}},
    {"codes": [], "value": {"valueType": "Quantity", "valueName": "w"}},
    {"codes": [], "value": {"valueType": "CodeableConcept", "text": "t", "codes": [], "valueName": "w"}}],
  "value": {"valueType": "Quantity", "valueName": "v"}}},
{"templateType": "CodeValueFhir", "template": {"typeName": "ignored", "codes": [],
  "value": {"valueType": "Quantity", "valuename": "v", "units": "kg", "systm": "http://x", "note": 1}}}]}`)
	want := `3:26 /template/0/template/value/valueType several-values: a Quantity is one value, but periodInterval is Hourly: an hour with two values "q" cannot be written: write SampledData as valueType, or periodInterval Single
5:42 /template/0/template/components/0/value/valueType several-values: a String is one value, but periodInterval is Hourly: an hour with two values "s" cannot be written: write periodInterval Single
6:95 /template/0/template/components/1/value/defaultPeriod sampled-data-size: an hour has 5001 samples of this period: every update of the Observation writes all of them: write 720 or more, or periodInterval CorrelationId
7:99 /template/0/template/components/2/value/defaultPeriod sampled-data-size: an hour has 1028572 samples of this period: an Observation with more than 1000000 is refused: write 720 or more, or periodInterval CorrelationId
9:79 /template/1/template/value/defaultPeriod sampled-data-size: a day has 86400 samples of this period: every update of the Observation writes all of them: write 17280 or more, or periodInterval Hourly
10:73 /template/1/template/components/0/value/ValueType several-values: a Quantity is one value, but periodInterval is Daily: a day with two values "q" cannot be written: write SampledData as valueType, or periodInterval Single
10:107 /template/1/template/components/0/value/code unit-code-without-system: the code has no system beside it, so it is not written as a code: write "system": "http://unitsofmeasure.org" if it is a UCUM code
13:67 /template/2/template/components/0/value/valueName value-name-twice: "v" is the value of line 16, column 51 already: the Observation says it twice: correct the name, or remove one of them
15:100 /template/2/template/components/2/value/valueName value-name-twice: "w" is the value of line 14, column 67 already: an update changes only the first: correct the name, or remove one of them
18:56 /template/3/template/value/units value-member-ignored: "units" is ignored: write unit if that is meant, else remove it
18:71 /template/3/template/value/systm value-member-ignored: "systm" is ignored: write system if that is meant, else remove it
`
	if got := lintsOf(m); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestNoLints: what is meant as it is written.
func TestNoLints(t *testing.T) {
	for name, members := range map[string]string{
		"single values of an instant":      `"value":{"valueType":"Quantity","valueName":"v","unit":"kg","system":"http://unitsofmeasure.org","code":"kg"}`,
		"single values of a correlation":   `"periodInterval":-1,"value":{"valueType":"String","valueName":"v"}`,
		"a series of 5000":                 `"periodInterval":60,"value":{"valueType":"SampledData","valueName":"v","defaultPeriod":720}`,
		"a fast series of a correlation":   `"periodInterval":-1,"value":{"valueType":"SampledData","valueName":"v","defaultPeriod":1}`,
		"a value that is never written":    `"periodInterval":60,"value":{"valueType":"Quantity"}`,
		"two of them":                      `"value":{"valueType":"Quantity"},"components":[{"codes":[],"value":{"valueType":"Quantity","valueName":" "}}]`,
		"names that differ in case":        `"value":{"valueType":"Quantity","valueName":"v"},"components":[{"codes":[],"value":{"valueType":"Quantity","valueName":"V"}}]`,
		"a concept marks the value":        `"value":{"valueType":"Quantity","valueName":"v"},"components":[{"codes":[],"value":{"valueType":"CodeableConcept","valueName":"v","text":"t","codes":[]}}]`,
		"a concept and what it is made of": `"value":{"valueType":"CodeableConcept","valueName":"v","text":"t","codes":[]},"components":[{"codes":[],"value":{"valueType":"Quantity","valueName":"v"}}]`,
		"a concept of every hour":          `"periodInterval":60,"value":{"valueType":"CodeableConcept","valueName":"v","text":"t","codes":[]}`,
		"members of one's own":             `"value":{"valueType":"String","valueName":"v","$comment":"c","description":"d"}`,
		"members of another value type":    `"value":{"valueType":"String","valueName":"v","unit":"u","system":"s","defaultPeriod":5}`,
	} {
		if got := lintsOf(load(t, mappingOf(`"typeName":"t","codes":[],`+members))); got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
	for _, m := range exampleMappings(t) {
		if got := lintsOf(load(t, m.text)); got != "" {
			t.Errorf("%s: %s", m.name, got)
		}
	}
}

// TestRecordedLints lists what is said of recorded mappings and of the
// connector's samples: it is to be read, and each line is to be true.
func TestRecordedLints(t *testing.T) {
	all := recordedMappings(t, sharedCases(t))
	for _, c := range readConnector(t) {
		all = append(all, named{c.ID, string(c.text())})
	}
	var b strings.Builder
	for _, one := range all {
		m, err := LoadMapping([]byte(one.text))
		if err != nil {
			continue
		}
		for _, l := range m.Lints() {
			fmt.Fprintf(&b, "%s %s %s: %s\n", one.name, l.Pointer, l.Rule, l.Message)
		}
	}
	const golden = "testdata/lints.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s differs; look at the difference, then run with -update:\n%s", golden, b.String())
	}
}
