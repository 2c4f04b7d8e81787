package fhir

import (
	"strings"
	"testing"
)

const (
	pulse = `"typeName":"t","codes":[],"value":{"valueType":"Quantity","valueName":"v","unit":"beats/minute","system":"http://unitsofmeasure.org","code":"/min"}`
	// pulseLimits leave a gap between normal and critical.
	pulseLimits = `,"limits":{"criticalLow":40,"low":"60","high":100.0,"criticalHigh":140,"text":"adults at rest"}`
)

// judged is an interpretation as it is written.
func judged(code, display string) string {
	return `"interpretation":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":"` + code + `","display":"` + display + `"}]}]`
}

const normalPulse = `"referenceRange":[{"low":{"value":60,"unit":"beats/minute","system":"http://unitsofmeasure.org","code":"/min"},` +
	`"high":{"value":100.0,"unit":"beats/minute","system":"http://unitsofmeasure.org","code":"/min"},` +
	`"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/referencerange-meaning","code":"normal","display":"Normal Range"}]},"text":"adults at rest"}]`

func TestLimits(t *testing.T) {
	m := load(t, mappingOf(pulse+pulseLimits))
	for text, want := range map[string]string{
		"39.9": judged("LL", "Critical low"), "40": judged("L", "Low"), "59.99": judged("L", "Low"),
		"60.0": judged("N", "Normal"), "100": judged("N", "Normal"),
		"100.01": judged("H", "High"), "140": judged("H", "High"), "141": judged("HH", "Critical high"), "-5": judged("LL", "Critical low"),
	} {
		got := build(t, m, seg(t, m, "t", at(t, "10:00:00", "v", text)))
		if !strings.Contains(got, want+`,"device"`) || !strings.Contains(got, `"device":{"reference":"Device/d"},`+normalPulse) {
			t.Errorf("%s: got %s\nwant %s", text, got, want)
		}
	}
	if got := build(t, m, seg(t, m, "t", at(t, "10:00:00", "else", "1"))); strings.Contains(got, "interpretation") || strings.Contains(got, "referenceRange") {
		t.Errorf("judged without a value: %s", got)
	}
}

// TestPartialLimits: what the limits do not say is not made up.
func TestPartialLimits(t *testing.T) {
	for _, c := range []struct{ limits, text, want, not string }{
		{`{"criticalLow":40,"criticalHigh":140}`, "80", `"valueInteger":80}`, "interpretation"},
		{`{"criticalLow":40}`, "39", `"code":"LL"`, "referenceRange"},
		{`{"low":60}`, "80", `"referenceRange":[{"low":{"value":60},"type"`, `"high"`},
		{`{"low":60}`, "80", `"code":"N"`, "text\":\"a"},
		{`{"high":60}`, "80", `"code":"H"`, `"low"`},
		{`{"text":"by age"}`, "80", `"text":"by age"}]`, "interpretation"},
		{`{"low":60,"high":60}`, "60", `"code":"N"`, `"code":"H"`},
	} {
		m := load(t, mappingOf(`"typeName":"t","codes":[],"components":[{"codes":[],"value":{"valueType":"Integer","valueName":"v"},"limits":`+c.limits+`}]`))
		got := build(t, m, seg(t, m, "t", at(t, "10:00:00", "v", c.text)))
		if !strings.Contains(got, c.want) || strings.Contains(got, c.not) {
			t.Errorf("%s: %s", c.limits, got)
		}
	}
}

// TestMergeJudges: a new value is judged anew, and what others have judged or
// ranged stays.
func TestMergeJudges(t *testing.T) {
	m := load(t, mappingOf(pulse+pulseLimits))
	plain := load(t, mappingOf(pulse))
	normal, high := seg(t, m, "t", at(t, "10:00:00", "v", "80")), seg(t, m, "t", at(t, "10:00:00", "v", "120"))
	stored := build(t, m, normal)
	const (
		foreign   = `{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":"U"}]}`
		treatment = `{"low":{"value":70},"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/referencerange-meaning","code":"treatment"}]}}`
		children  = `{"low":{"value":80},"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/referencerange-meaning","code":"normal"}]},"age":{"high":{"value":6}}}`
	)
	others := strings.NewReplacer(`"interpretation":[`, `"interpretation":[`+foreign+`,`, `"referenceRange":[`, `"referenceRange":[`+treatment+`,`+children+`,`)
	for name, c := range map[string]struct {
		stored string
		want   []string
	}{
		"what is ours is replaced": {stored, []string{judged("H", "High"), normalPulse}},
		"what is not ours stays": {others.Replace(stored), []string{
			`"interpretation":[` + foreign + `,` + strings.TrimPrefix(judged("H", "High"), `"interpretation":[`),
			`"referenceRange":[` + treatment + `,` + children + `,` + strings.TrimPrefix(normalPulse, `"referenceRange":[`),
		}},
		"a value written without limits": {build(t, plain, normal), []string{judged("H", "High"), normalPulse}},
		"other limits than today's":      {strings.Replace(stored, `"value":100.0`, `"value":130`, 1), []string{judged("H", "High"), normalPulse}},
		"a value that is missing":        {strings.Replace(build(t, plain, normal), `"valueQuantity"`, `"_was"`, 1), []string{judged("H", "High"), normalPulse}},
	} {
		got, changed := merge(t, m, c.stored, high)
		for _, want := range c.want {
			if !changed || !strings.Contains(got, want) {
				t.Errorf("%s:\n got %s\nwant %s", name, got, want)
			}
		}
		if again, changed := merge(t, m, got, high); changed {
			t.Errorf("%s: merged again it changes\n%s", name, again)
		}
	}
	for name, kept := range map[string]string{
		"a value that stays is not judged anew": strings.Replace(stored, `"code":"N"`, `"code":"H"`, 1),
		"nor for the first time":                build(t, plain, normal),
	} {
		if got, changed := merge(t, m, kept, normal); changed || got != kept {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestRetractUnjudges: a judgement goes with its value.
func TestRetractUnjudges(t *testing.T) {
	m := load(t, mappingOf(pulse+pulseLimits))
	r := seg(t, m, "t", at(t, "10:00:00", "v", "120"))
	left, changed, err := m.Retract([]byte(build(t, m, r)), r)
	if err != nil || !changed || strings.Contains(string(left), "interpretation") || strings.Contains(string(left), "referenceRange") {
		t.Errorf("%v %s", err, left)
	}
}

// besides is what a template says beside the values.
const besides = `,"metaProfile":["http://example.org/p|1","urn:p"],"method":{"text":"PPG","codes":[{"code":"m","system":"urn:m"}]},"bodySite":{"text":"wrist"},` +
	`"performer":["Organization/ward-3"," https://example.org/fhir/Practitioner/7"]`

func TestBuildBesides(t *testing.T) {
	m := load(t, mappingOf(pulse+besides))
	got := build(t, m, seg(t, m, "t", at(t, "10:00:00", "v", "80")))
	for _, want := range []string{
		`","meta":{"profile":["http://example.org/p|1","urn:p"]},"identifier"`,
		`9999999Z"},"performer":[{"reference":"Organization/ward-3"},{"reference":"https://example.org/fhir/Practitioner/7"}],"valueQuantity"`,
		`"bodySite":{"text":"wrist"},"method":{"coding":[{"system":"urn:m","code":"m"}],"text":"PPG"},"device"`,
	} {
		if !strings.Contains(strings.Replace(got, `0000000Z"},"performer`, `9999999Z"},"performer`, 1), want) {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}

// TestMergeBesides: what is missing comes along with another change, and is no
// reason for one; what is there stays.
func TestMergeBesides(t *testing.T) {
	m, plain := load(t, mappingOf(pulse+besides)), load(t, mappingOf(pulse))
	first, second := seg(t, m, "t", at(t, "10:00:00", "v", "80")), seg(t, m, "t", at(t, "10:00:00", "v", "90"))
	old := build(t, plain, first)
	if got, changed := merge(t, m, old, first); changed || got != old {
		t.Errorf("nothing changes: %s", got)
	}
	edited := strings.Replace(old, `"identifier"`, `"meta":{"versionId":"3","profile":["urn:other","urn:p"]},"bodySite":{"text":"ear"},"identifier"`, 1)
	for name, c := range map[string]struct {
		stored string
		want   []string
	}{
		"what is missing": {old, []string{`"meta":{"profile":["http://example.org/p|1","urn:p"]}`, `"bodySite":{"text":"wrist"}`, `"text":"PPG"`, `"Organization/ward-3"`}},
		"what is there":   {edited, []string{`"meta":{"versionId":"3","profile":["urn:other","urn:p","http://example.org/p|1"]}`, `"bodySite":{"text":"ear"}`, `"text":"PPG"`}},
	} {
		got, changed := merge(t, m, c.stored, second)
		for _, want := range c.want {
			if !changed || !strings.Contains(got, want) {
				t.Errorf("%s: got %s\nwant %s", name, got, want)
			}
		}
	}
	if now := build(t, m, first); strings.Contains(now, `"value":90`) {
		t.Error(now)
	} else if got, _ := merge(t, m, now, second); strings.Count(got, "urn:p") != 1 {
		t.Errorf("the profile is there twice: %s", got)
	}
}

// TestLoadBesidesFaults: what can be wrong in limits, profiles, references and
// concepts. An @ marks the place.
func TestLoadBesidesFaults(t *testing.T) {
	const (
		inside = "/template/0/template"
		refs   = "write for example Organization/ward-3; possible are Practitioner, PractitionerRole, Organization, CareTeam, Patient and RelatedPerson"
	)
	limits := func(l string) string { return mappingOf(pulse + `,"limits":` + l) }
	for _, c := range [][2]string{
		{limits(`@[]`), inside + `/limits limits is a list: write an object, {...}`},
		{limits(`@{}`), inside + `/limits the limits say nothing: write low, high, criticalLow, criticalHigh or text`},
		{limits(`{"low":1,@"hihg":2}`), inside + `/limits/hihg unknown member "hihg": write high`},
		{limits(`{"low":@"few"}`), inside + `/limits/low low is "few": write a decimal number`},
		{limits(`{"low":@1e2}`), inside + `/limits/low low "1e2" is no decimal number: write digits with a decimal point, without an exponent`},
		{limits(`{"low":100,"high":@60}`), inside + `/limits/high high 60 is below low 100: write the limits so that criticalLow, low, high and criticalHigh ascend`},
		{limits(`{"criticalLow":-5,"criticalHigh":@-5.01}`), inside + `/limits/criticalHigh criticalHigh -5.01 is below criticalLow -5: write the limits so that criticalLow, low, high and criticalHigh ascend`},
		{mappingOf(`"typeName":"t","codes":[],"limits":@{"low":1}`), inside + `/limits the limits have no number to judge: write them beside a value of type Quantity or Integer`},
		{mappingOf(`"typeName":"t","codes":[],"components":[{"codes":[],"value":{"valueType":"String"},"limits":@{"low":1}}]`),
			inside + `/components/0/limits the limits have no number to judge: write them beside a value of type Quantity or Integer`},
		{mappingOf(pulse + `,"metaProfile":@"http://p"`), inside + `/metaProfile metaProfile is "http://p": write a list, [...]`},
		{mappingOf(pulse + `,"metaProfile":[@"heartrate"]`), inside + `/metaProfile/0 "heartrate" is no absolute URI: write an address, for example http://hl7.org/fhir/StructureDefinition/heartrate`},
		{mappingOf(pulse + `,"method":@{}`), inside + `/method the concept has neither text nor codes: give it a text or a code`},
		{mappingOf(pulse + `,"bodySite":{@"coding":[]}`), inside + `/bodySite/coding unknown member "coding": remove it; known are text, codes`},
		{mappingOf(pulse + `,"performer":["Patient/1",@"Device/1"]`), inside + `/performer/1 "Device/1" is no reference to who may perform an Observation: ` + refs},
		{mappingOf(pulse + `,"performer":[@null]`), inside + `/performer/0 null stands where a text must be: ` + refs},
	} {
		checkFault(t, c[0], c[1])
	}
}

// TestBuildAllocates: what a template does not use costs nothing, and what does
// not depend on the value nothing but a longer body.
func TestBuildAllocates(t *testing.T) {
	for members, most := range map[string]float64{pulse: 43, pulse + besides + pulseLimits: 44} {
		m := load(t, mappingOf(members))
		r := seg(t, m, "t", at(t, "10:00:00", "v", "80"))
		if got := testing.AllocsPerRun(100, func() {
			if _, err := m.Build(r); err != nil {
				t.Fatal(err)
			}
		}); got > most {
			t.Errorf("%v allocations, not %v: %s", got, most, members)
		}
	}
}
