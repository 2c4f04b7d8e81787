package fhir

import (
	"errors"
	"strings"
	"testing"

	"auscult/schemas"
)

const testMapping = `{"templateType":"CollectionFhir","template":[
 {"templateType":"CodeValueFhir","template":{"typeName":"hr","periodInterval":60,"category":[{"text":" Vitals ","codes":[{"code":""}]}],
  "codes":[{"code":"8867-4","system":"http://loinc.org","display":"Heart rate"}],
  "value":{"valueName":"hr","valueType":"Quantity","unit":"/min","system":"http://unitsofmeasure.org","code":"/min"}}},
 {"templateType":"CodeValueFhir","template":{"typeName":"temp","codes":[{"code":"t"}],"value":{"valueName":"t","valueType":"Quantity","code":"Cel"}}},
 {"templateType":"CodeValueFhir","template":{"typeName":"bp","periodInterval":60,"codes":[{"code":"85354-9"}],"components":[
  {"codes":[{"code":"8480-6"}],"value":{"valueName":"sys","valueType":"Quantity","unit":"mmHg"}},
  {"codes":[],"value":{"valueName":"wave","valueType":"SampledData","defaultPeriod":1200000,"unit":"mmHg"}},
  {"codes":[],"value":{"valueName":"note","valueType":"String"}},
  {"codes":[],"value":{"valueName":"walk","valueType":"CodeableConcept","text":"Walks","codes":[]}}]}},
 {"templateType":"CodeValueFhir","template":{"typeName":"ecg","periodInterval":60,"codes":[{"code":"e"}],
  "value":{"valueName":"mv","valueType":"SampledData","defaultPeriod":600000,"unit":"mV"}}},
 {"templateType":"CodeValueFhir","template":{"typeName":"self","codes":[],"value":{"valueName":"self","valueType":"Quantity"},
  "components":[{"codes":[],"value":{"valueName":"self","valueType":"String"}}]}}]}`

// seg is the record of one segment of patient p, device d.
func seg(t *testing.T, m *Mapping, typ string, values ...schemas.SegmentValue) *schemas.Resource {
	t.Helper()
	p, _ := m.Period(typ)
	segment, start, end, err := SegmentOf(p, values[0].Time, "c")
	if err != nil {
		t.Fatal(err)
	}
	return &schemas.Resource{Patient: "p", Device: "d", Type: typ, Segment: segment, Start: start, End: end, Values: values}
}

func at(t *testing.T, clock, name, text string) schemas.SegmentValue {
	return schemas.SegmentValue{Name: name, Text: text, Time: tick(t, "2024-05-06T"+clock+"Z")}
}

func build(t *testing.T, m *Mapping, r *schemas.Resource) string {
	t.Helper()
	body, err := m.Build(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func merge(t *testing.T, m *Mapping, stored string, r *schemas.Resource) (string, bool) {
	t.Helper()
	body, changed, err := m.Merge([]byte(stored), r)
	if err != nil {
		t.Fatal(err)
	}
	return string(body), changed
}

func TestBuildBytes(t *testing.T) {
	m := load(t, testMapping)
	r := seg(t, m, "hr", at(t, "10:15:00", "hr", "60.50"), at(t, "10:15:00", "else", "x"))
	r.Encounter = "e"
	want := `{"resourceType":"Observation","id":"` + ObservationID("p.d.hr.20240506100000Z.20240506105959Z") + `",` +
		`"identifier":[{"system":"https://azure.microsoft.com/en-us/services/iomt-fhir-connector/","value":"p.d.hr.20240506100000Z.20240506105959Z"}],` +
		`"status":"final","category":[{"text":"Vitals"}],"code":{"coding":[{"system":"http://loinc.org","code":"8867-4","display":"Heart rate"},` +
		`{"system":"https://azure.microsoft.com/en-us/services/iomt-fhir-connector/","code":"hr","display":"hr"}],"text":"hr"},` +
		`"subject":{"reference":"Patient/p"},"encounter":{"reference":"Encounter/e"},` +
		`"effectivePeriod":{"start":"2024-05-06T10:00:00.0000000Z","end":"2024-05-06T10:59:59.9999999Z"},` +
		`"valueQuantity":{"value":60.50,"unit":"/min","system":"http://unitsofmeasure.org","code":"/min"},"device":{"reference":"Device/d"}}`
	if got := build(t, m, r); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestBuildIsValidFHIR(t *testing.T) {
	m := load(t, testMapping)
	for name, c := range map[string]struct {
		r    *schemas.Resource
		want string
		not  string
	}{
		"a code without system becomes the unit": {seg(t, m, "temp", at(t, "10:00:00", "t", "37.0")), `"valueQuantity":{"value":37.0,"unit":"Cel"}`, `Cel"}}`},
		"blank text":                             {seg(t, m, "bp", at(t, "10:00:00", "note", " ")), `"text":"bp"`, "component"},
		"control characters":                     {seg(t, m, "bp", at(t, "10:00:00", "note", "a\x00b\tc")), `"valueString":"ab\tc"`, `\u0000`},
		"blank sample":                           {seg(t, m, "bp", at(t, "10:00:00", "wave", ""), at(t, "10:20:00", "wave", "7")), `"data":"E 7 E"`, `""`},
		"component with the own name":            {seg(t, m, "self", at(t, "10:00:00", "self", "1")), `"component":[{"code":{"text":"self"},"valueString":"1"}]`, `""`},
		"quotes":                                 {seg(t, m, "bp", at(t, "10:00:00", "note", `say "hi" \ <b>`)), `"valueString":"say \"hi\" \\ <b>"`, `\u003c`},
	} {
		got := build(t, m, c.r)
		if !strings.Contains(got, c.want) || strings.Contains(got, c.not) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Type names that differ in case share a template; each has its own code.
func TestBuildKeepsTheSpellingOfTheType(t *testing.T) {
	m := load(t, testMapping)
	if got := build(t, m, seg(t, m, "HR", at(t, "10:00:00", "hr", "1"))); !strings.Contains(got, `"code":"HR","display":"HR"}],"text":"HR"}`) {
		t.Error(got)
	}
}

// A component that its text tells from the Observation is found again by it.
func TestMergeFindsComponentsByText(t *testing.T) {
	m := load(t, testMapping)
	stored := build(t, m, seg(t, m, "self", at(t, "10:00:00", "self", "1")))
	got, changed := merge(t, m, stored, seg(t, m, "self", at(t, "10:00:00", "self", "2")))
	if !changed || !strings.Contains(got, `"component":[{"code":{"text":"self"},"valueString":"2"}]`) {
		t.Error(got)
	}
}

func TestMergeRefusesComponents(t *testing.T) {
	m := load(t, testMapping)
	for _, name := range []string{"note", "sys"} { // there is no sys to merge with
		stored := build(t, m, seg(t, m, "bp", at(t, "10:00:00", "note", "a")))
		r := seg(t, m, "bp", at(t, "10:01:00", name, "1"), at(t, "10:02:00", name, "high"))
		var refused *MappingError
		if _, _, err := m.Merge([]byte(stored), r); !errors.As(err, &refused) || refused.Name != name {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// Of equal name and time the value with the higher position counts, wherever
// it stands in the record.
func TestPositionDecidesBetweenEqualTimes(t *testing.T) {
	m := load(t, testMapping)
	low, high := at(t, "10:00:00", "hr", "1"), at(t, "10:00:00", "hr", "2")
	high.Position = schemas.Position{Offset: 5}
	for _, values := range [][]schemas.SegmentValue{{low, high}, {high, low}} {
		if got := build(t, m, seg(t, m, "hr", values...)); !strings.Contains(got, `"value":2,`) {
			t.Error(got)
		}
	}
}

func TestMappingErrors(t *testing.T) {
	m := load(t, testMapping)
	outside := seg(t, m, "hr", at(t, "10:00:00", "hr", "1"))
	outside.Values[0].Time += 2 * schemas.TicksPerHour
	for want, r := range map[string]*schemas.Resource{
		"no template":         seg(t, m, "other", at(t, "10:00:00", "x", "1")),
		"there are 2":         seg(t, m, "hr", at(t, "10:00:00", "hr", "1"), at(t, "10:01:00", "hr", "2")),
		"no decimal number":   seg(t, m, "hr", at(t, "10:00:00", "hr", "12e3")),
		"outside its segment": outside,
		`mapping value "sys"`: seg(t, m, "bp", at(t, "10:00:00", "sys", "high")),
	} {
		_, err := m.Build(r)
		var fault *MappingError
		if !errors.As(err, &fault) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestMergeImprovements(t *testing.T) {
	m := load(t, testMapping)
	hr := seg(t, m, "hr", at(t, "10:15:00", "hr", "61"))
	ecg := seg(t, m, "ecg", at(t, "10:10:00", "mv", "9"))
	bp := seg(t, m, "bp", at(t, "10:15:00", "sys", "120"), at(t, "10:20:00", "wave", "7"))
	const service = `{"system":"` + ObservationSystem + `","code":"sys"}`
	replace := func(s string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(s) }
	hrBody, ecgBody := build(t, m, hr), build(t, m, seg(t, m, "ecg", at(t, "10:00:00", "mv", "1")))
	value := hrBody[strings.Index(hrBody, `"valueQuantity"`):strings.Index(hrBody, `,"device"`)]
	for _, c := range []struct {
		name, stored string
		r            *schemas.Resource
		want, not    string
	}{
		{"an Observation without value is filled", replace(hrBody, value, `"dataAbsentReason":{"text":"?"}`), hr, `"value":61,`, "dataAbsentReason"},
		{"a component without value is filled", replace(build(t, m, seg(t, m, "bp", at(t, "10:00:00", "x", ""))), `"device"`, `"component":[{"code":{"coding":[`+service+`]},"dataAbsentReason":{"text":"?"}}],"device"`), bp, `"value":120,`, "dataAbsentReason"},
		{"the finer period is taken over with its grid", replace(ecgBody, `"period":600000`, `"period":1200000`, "1 E E E E E", "1 2 3"), ecg, `"period":600000,"dimensions":1,"data":"1 9 2 E 3 E"`, "1200000"},
		{"a finer stored period stays", replace(ecgBody, `"period":600000`, `"period":300000`, "1 E E E E E", "1 2 3 4"), ecg, `"period":300000,"dimensions":1,"data":"1 2 9 4 E E E E E E E E"`, "600000"},
		{"dimensions are repaired", replace(ecgBody, `"dimensions":1`, `"dimensions":0`), ecg, `"dimensions":1,"data":"1 9 E`, `:0,"data"`},
		{"a series without data is filled", replace(ecgBody, `,"data":"1 E E E E E"`, ""), ecg, `"data":"E 9 E E E E"`, "!"},
		{"a missing end is filled", replace(hrBody, `,"end":"2024-05-06T10:59:59.9999999Z"`, "", `"value":61`, `"value":60`), hr, `"end":"2024-05-06T10:59:59.9999999Z"`, "!"},
		{"a missing effective is filled", replace(hrBody, `"effectivePeriod":{"start":"2024-05-06T10:00:00.0000000Z","end":"2024-05-06T10:59:59.9999999Z"},`, ""), hr, `"effectivePeriod":{"start":"2024-05-06T10:00:00.0000000Z"`, "!"},
		{"a dateTime becomes a Period", replace(hrBody, `"effectivePeriod":{"start":"2024-05-06T10:00:00.0000000Z","end":"2024-05-06T10:59:59.9999999Z"}`, `"effectiveDateTime":"2024-05-06T09:00:00Z"`), hr, `"effectivePeriod":{"start":"2024-05-06T09:00:00.0000000Z","end":"2024-05-06T10:59`, "effectiveDateTime"},
		{"what others wrote survives", replace(hrBody, `"value":61`, `"value":60`, `"device"`, `"note":[{"text":"seen","x":1.10}],"device"`, `"/min"}`, `"/min","id":"q1","extension":[{"url":"u"}]}`), hr, `"note":[{"text":"seen","x":1.10}],"device"`, "!"},
		{"id and extensions of the value survive", replace(hrBody, `"value":61`, `"value":60`, `"code":"/min"}`, `"code":"/min","id":"q1","extension":[{"url":"u"}],"comparator":"<"}`), hr, `{"id":"q1","extension":[{"url":"u"}],"value":61,`, "comparator"},
		{"a new component is laid out over the union", replace(build(t, m, seg(t, m, "bp", at(t, "10:00:00", "sys", "110"))), "10:59:59.9999999Z", "11:19:59.9999999Z"), bp, `"data":"E 7 E E"`, "!"},
		{"another resource took the id", replace(hrBody, "p.d.hr.", "q.d.hr.", `"value":61`, `"value":60`), hr, `"status":"final"`, "q.d.hr."},
	} {
		got, changed := merge(t, m, c.stored, c.r)
		if !changed || !strings.Contains(got, c.want) || strings.Contains(got, c.not) {
			t.Errorf("%s:\n%s", c.name, got)
			continue
		}
		if again, changed := merge(t, m, got, c.r); changed {
			t.Errorf("%s: merged again it changes\n%s\n%s", c.name, got, again)
		}
	}
}

func TestMergeRefusals(t *testing.T) {
	m := load(t, testMapping)
	hr := seg(t, m, "hr", at(t, "10:15:00", "hr", "61"))
	body := build(t, m, hr)
	ecg := seg(t, m, "ecg", at(t, "10:10:00", "mv", "9"))
	for want, c := range map[string]struct {
		stored string
		r      *schemas.Resource
	}{
		"stored value is a valueString": {strings.Replace(body, `"valueQuantity"`, `"valueString"`, 1), hr},
		"effectiveTiming":               {strings.Replace(body, `"effectivePeriod"`, `"effectiveTiming"`, 1), hr},
		"cannot be read":                {strings.Replace(body, `2024-05-06T10:00`, `then`, 1), hr},
		"several dimensions":            {strings.Replace(build(t, m, ecg), `"dimensions":1`, `"dimensions":2`, 1), ecg},
		"no Observation":                {`{"resourceType":"Patient"}`, hr},
		"not JSON":                      {`{`, hr},
	} {
		if _, _, err := m.Merge([]byte(c.stored), c.r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
		if _, _, err := m.Retract([]byte(`{`), hr); err == nil {
			t.Error("retracted from what is not JSON")
		}
	}
}

func TestMergeOrdersMembers(t *testing.T) {
	m := load(t, testMapping)
	one := seg(t, m, "hr", at(t, "10:15:00", "hr", "60"))
	two := seg(t, m, "hr", at(t, "10:16:00", "hr", "61"))
	body := build(t, m, one)
	n, err := parseJSON(body)
	if err != nil {
		t.Fatal(err)
	}
	for i, j := 0, len(n.members)-1; i < j; i, j = i+1, j-1 {
		n.members[i], n.members[j] = n.members[j], n.members[i]
	}
	a, _ := merge(t, m, body, two)
	b, _ := merge(t, m, string(n.bytes()), two)
	if a != b {
		t.Errorf("bytes depend on the server's order:\n%s\n%s", a, b)
	}
}

func TestRetract(t *testing.T) {
	m := load(t, testMapping)
	for _, c := range []struct {
		name    string
		has     *schemas.Resource
		take    *schemas.Resource
		want    string
		not     string
		changed bool
	}{
		{"the only value", seg(t, m, "hr", at(t, "10:15:00", "hr", "60.0")), seg(t, m, "hr", at(t, "10:15:00", "hr", "60")), `"status":"entered-in-error"`, "valueQuantity", true},
		{"another value is there now", seg(t, m, "hr", at(t, "10:15:00", "hr", "61")), seg(t, m, "hr", at(t, "10:15:00", "hr", "60")), `"value":61`, "amended", false},
		{"one sample", seg(t, m, "ecg", at(t, "10:00:00", "mv", "1"), at(t, "10:20:00", "mv", "2")), seg(t, m, "ecg", at(t, "10:00:00", "mv", "1")), `"data":"E E 2"`, `"1`, true},
		{"the last sample", seg(t, m, "ecg", at(t, "10:00:00", "mv", "1")), seg(t, m, "ecg", at(t, "10:00:00", "mv", "1")), "entered-in-error", "SampledData", true},
		{"a component", seg(t, m, "bp", at(t, "10:00:00", "sys", "120"), at(t, "10:00:00", "note", "n"), at(t, "10:00:00", "walk", "1")),
			seg(t, m, "bp", at(t, "10:00:00", "sys", "120"), at(t, "10:00:00", "walk", "1")), `"valueString":"n"`, "120", true},
		{"all components", seg(t, m, "bp", at(t, "10:00:00", "note", "n")), seg(t, m, "bp", at(t, "10:00:00", "note", "n")), "entered-in-error", "component", true},
	} {
		got, changed, err := m.Retract([]byte(build(t, m, c.has)), c.take)
		if err != nil || changed != c.changed || !strings.Contains(string(got), c.want) || strings.Contains(string(got), c.not) {
			t.Errorf("%s: %v %v\n%s", c.name, changed, err, got)
		}
	}
	foreign := strings.Replace(build(t, m, seg(t, m, "hr", at(t, "10:15:00", "hr", "60"))), "p.d.hr", "q.d.hr", 1)
	if _, changed, err := m.Retract([]byte(foreign), seg(t, m, "hr", at(t, "10:15:00", "hr", "60"))); changed || err != nil {
		t.Errorf("foreign: %v %v", changed, err)
	}
}

// The order of merges does not matter for a series: every value has its time.
func TestMergeOrderDoesNotMatter(t *testing.T) {
	m := load(t, testMapping)
	var want string
	for _, clocks := range [][]string{{"10:00:00", "10:20:00", "10:50:00"}, {"10:50:00", "10:00:00", "10:20:00"}, {"10:20:00", "10:50:00", "10:00:00"}} {
		body := ""
		for _, clock := range append(clocks, clocks[0]) {
			r := seg(t, m, "ecg", at(t, clock, "mv", clock[3:5]))
			if body == "" {
				body = build(t, m, r)
			} else {
				body, _ = merge(t, m, body, r)
			}
		}
		if want == "" {
			want = body
		}
		if body != want || !strings.Contains(body, `"data":"00 E 20 E E 50"`) {
			t.Errorf("%v: %s", clocks, body)
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	m, _ := LoadMapping([]byte(testMapping))
	r := &schemas.Resource{Patient: "p", Device: "d", Type: "hr", Segment: "s", End: 1, Values: []schemas.SegmentValue{{Name: "hr", Text: "61"}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Build(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMerge(b *testing.B) {
	m, _ := LoadMapping([]byte(testMapping))
	r := &schemas.Resource{Patient: "p", Device: "d", Type: "hr", Segment: "s", End: 1, Values: []schemas.SegmentValue{{Name: "hr", Text: "61"}}}
	body, _ := m.Build(r)
	r.Values[0].Text = "62"
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := m.Merge(body, r); err != nil {
			b.Fatal(err)
		}
	}
}
