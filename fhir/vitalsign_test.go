package fhir

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"auscult/schemas"
)

// Templates of a heart rate and of a blood pressure as the profiles want them.
const (
	goodRate = `"typeName":"t","codes":[{"code":"8867-4","system":"http://loinc.org"}],"metaProfile":["http://hl7.org/fhir/StructureDefinition/heartrate"],` +
		`"category":[{"codes":[{"code":"vital-signs","system":"http://terminology.hl7.org/CodeSystem/observation-category"}]}],` +
		`"value":{"valueType":"Quantity","valueName":"v","unit":"beats/minute","system":"http://unitsofmeasure.org","code":"/min"}`
	goodPressure = `"typeName":"t","codes":[{"code":"85354-9","system":"http://loinc.org"}],"metaProfile":["http://hl7.org/fhir/StructureDefinition/bp|4.0.1"],` +
		`"category":[{"text":"other"},{"codes":[{"code":"vital-signs","system":"http://terminology.hl7.org/CodeSystem/observation-category"}]}],"components":[` +
		`{"codes":[{"code":"8480-6","system":"http://loinc.org"}],"value":{"valueType":"Quantity","valueName":"s","unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}},` +
		`{"codes":[{"code":"8462-4","system":"http://loinc.org"}],"value":{"valueType":"Quantity","valueName":"d","unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}]`
)

// TestVitalSigns: each violation is told at its place.
func TestVitalSigns(t *testing.T) {
	const (
		inside  = "/template/0/template"
		rate    = " profile heartrate: "
		bp      = " profile bp: "
		wantCat = `: add {"codes": [{"code": "vital-signs", "system": "http://terminology.hl7.org/CodeSystem/observation-category", "display": "Vital Signs"}]} to "category"`
		part    = `{"codes":[{"code":"x","system":"urn:x"}],"value":{"valueName":"p","valueType":`
		ucum    = `"unit":"u","system":"http://unitsofmeasure.org","code":`
	)
	for name, c := range map[string]struct {
		good   string
		change [2]string
		want   []string
	}{
		"a heart rate":            {goodRate, [2]string{}, nil},
		"a blood pressure":        {goodPressure, [2]string{}, nil},
		"another profile":         {goodRate, [2]string{"StructureDefinition/heartrate", "StructureDefinition/mine"}, nil},
		"a profile of that name":  {goodRate, [2]string{`"http://hl7.org/fhir/StructureDefinition/heartrate"],"category"`, `"http://x.org/bp"],"category"`}, nil},
		"bare vital signs":        {goodRate, [2]string{"heartrate", "vitalsigns"}, nil},
		"of another value":        {strings.Replace(goodRate, "Quantity", "String", 1), [2]string{"heartrate", "vitalsigns"}, nil},
		"a further component":     {goodPressure, [2]string{`"components":[`, `"components":[` + part + `"Quantity",` + ucum + `"Cel"}},`}, nil},
		"a component of a series": {goodPressure, [2]string{`"components":[`, `"components":[` + part + `"SampledData","defaultPeriod":1}},`}, nil},

		"another category":         {goodRate, [2]string{`"vital-signs"`, `"laboratory"`}, []string{inside + "/category" + rate + "the category vital-signs is missing" + wantCat}},
		"the category twice":       {goodPressure, [2]string{`{"text":"other"}`, `{"codes":[{"code":"vital-signs","system":"http://terminology.hl7.org/CodeSystem/observation-category"}]}`}, []string{inside + "/category" + bp + "the category vital-signs is there more than once: keep one"}},
		"another code":             {goodRate, [2]string{"8867-4", "8867-5"}, []string{inside + "/codes" + rate + `the LOINC code 8867-4 is missing: add {"code": "8867-4", "system": "http://loinc.org"} to "codes"`}},
		"the code of no system":    {goodRate, [2]string{`,"system":"http://loinc.org"`, ``}, []string{inside + "/codes" + rate + `the LOINC code 8867-4 is missing: add {"code": "8867-4", "system": "http://loinc.org"} to "codes"`}},
		"the code twice":           {goodRate, [2]string{`"codes":[{`, `"codes":[{"code":"8867-4","system":"http://loinc.org","display":"d"},{`}, []string{inside + "/codes" + rate + `the LOINC code 8867-4 is there more than once: keep one`}},
		"another type":             {goodRate, [2]string{`"Quantity"`, `"String"`}, []string{inside + "/value/valueType" + rate + "the value is a String: write Quantity"}},
		"no unit":                  {goodRate, [2]string{`"unit":"beats/minute",`, ``}, []string{inside + "/value/unit" + rate + `the Quantity has no unit in words: write "unit", for example "/min"`}},
		"no unit system":           {goodRate, [2]string{`"system":"http://unitsofmeasure.org",`, ``}, []string{inside + "/value/system" + rate + `the unit is no UCUM code: write "system": "http://unitsofmeasure.org"`}},
		"another unit":             {goodRate, [2]string{`"/min"`, `"Hz"`}, []string{inside + "/value/code" + rate + `the unit's code is "Hz": write /min`}},
		"a value beside":           {goodPressure, [2]string{`"components"`, `"value":{"valueType":"Quantity","valueName":"v"},"components"`}, []string{inside + "/value" + bp + "the Observation may have no value of its own: remove it, and write components"}},
		"no diastolic":             {goodPressure, [2]string{"8462-4", "8462-5"}, []string{inside + "/components" + bp + "there must be one component with the LOINC code 8462-4 (diastolic pressure), there are 0: write one, with a Quantity in mm[Hg]"}},
		"a component in kPa":       {goodPressure, [2]string{"mm[Hg]", "kPa"}, []string{inside + "/components/0/value/code" + bp + `the unit's code is "kPa": write mm[Hg]`}},
		"a component of text":      {goodPressure, [2]string{"Quantity", "String"}, []string{inside + "/components/0/value/valueType" + bp + "the value is a String: write Quantity"}},
		"a further one in mmol/L":  {goodPressure, [2]string{`"components":[`, `"components":[` + part + `"Quantity",` + ucum + `"mmol/L"}},`}, []string{inside + "/components/0/value/code" + bp + `the unit's code is "mmol/L": write ` + strings.Join(commonUnits, " or ")}},
		"a further one of a text":  {goodPressure, [2]string{`"components":[`, `"components":[` + part + `"String"}},`}, []string{inside + "/components/0/value/valueType" + bp + "a component of a vital sign is bound to units and cannot be a String: write it as an Observation of its own"}},
		"a panel":                  {goodRate, [2]string{"heartrate", "vitalspanel"}, []string{inside + "/metaProfile/0 profile vitalspanel is a panel of other Observations (hasMember), which a FHIR mapping does not make: remove it"}},
		"everything":               {goodRate, [2]string{goodRate[strings.Index(goodRate, `"category"`):], `"category":[]`}, []string{inside + "/category" + rate + "the category vital-signs is missing" + wantCat, inside + "/value" + rate + `the Observation has no value: write "value" with a Quantity`}},
		"a BMI made of components": {strings.NewReplacer("8867-4", "39156-5", "heartrate", "bmi", `"value":{`, `"components":[{"codes":[],"value":{`, `"/min"}`, `"kg/m2"}}]`).Replace(goodRate), [2]string{"bmi", "bmi"}, []string{inside + "/value profile bmi: the Observation has no value: write \"value\" with a Quantity"}},
	} {
		text := mappingOf(strings.Replace(c.good, c.change[0], c.change[1], 1))
		_, err := LoadMapping([]byte(text))
		var got []string
		for _, e := range LoadErrors(err) {
			got = append(got, e.Pointer+" "+e.Message+": "+e.Fix)
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %s\nwant %s", name, strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
		}
	}
}

// TestVitalSignPlaces: a violation points at the member, or at the object that
// lacks it. An @ marks the place.
func TestVitalSignPlaces(t *testing.T) {
	for change, fault := range map[[2]string]string{
		{`[{"code":"8867-4"`, `@[{"code":"8867-5"`}: `/template/0/template/codes profile heartrate: the LOINC code 8867-4 is missing: add {"code": "8867-4", "system": "http://loinc.org"} to "codes"`,
		{`"/min"`, `@"Hz"`}:                         `/template/0/template/value/code profile heartrate: the unit's code is "Hz": write /min`,
		{`"value":{"valueType":"Quantity","valueName":"v","unit":"beats/minute"`, `"value":@{"valueType":"Quantity","valueName":"v"`}: `/template/0/template/value/unit profile heartrate: the Quantity has no unit in words: write "unit", for example "/min"`,
	} {
		checkFault(t, mappingOf(strings.Replace(goodRate, change[0], change[1], 1)), fault)
	}
}

// TestVitalSignTime: the instant of a vital sign is a dateTime, and stays one;
// the Period of an Observation that was written before becomes one along with
// another change.
func TestVitalSignTime(t *testing.T) {
	const instant, period = `"effectiveDateTime":"2024-05-06T10:00:00.0000000Z"`, `"effectivePeriod":{"start":"2024-05-06T10:00:00.0000000Z","end":"2024-05-06T10:00:00.0000000Z"}`
	m, before := load(t, mappingOf(goodRate)), load(t, mappingOf(strings.Replace(goodRate, "heartrate", "Observation", 1)))
	one, two := seg(t, m, "t", at(t, "10:00:00", "v", "70")), seg(t, m, "t", at(t, "10:00:00", "v", "80"))
	body := build(t, m, one)
	if !strings.Contains(body, instant) || strings.Contains(body, "effectivePeriod") {
		t.Error(body)
	}
	otherText := strings.Replace(body, ":00.0000000Z", ":00Z", 1)
	for _, same := range []string{body, otherText, build(t, before, one)} {
		if got, changed := merge(t, m, same, one); changed || got != same {
			t.Errorf("the same value changes %s\nto %s", same, got)
		}
	}
	for _, stored := range []string{body, build(t, before, one)} {
		got, changed := merge(t, m, stored, two)
		if !changed || !strings.Contains(got, instant) || strings.Contains(got, "effectivePeriod") {
			t.Errorf("a new value: %s", got)
		}
		if again, changed := merge(t, m, got, two); changed {
			t.Errorf("merged again it changes: %s", again)
		}
		left, _, err := m.Retract([]byte(got), two)
		if err != nil || !strings.Contains(string(left), "entered-in-error") || !strings.Contains(string(left), instant) {
			t.Errorf("taken back: %v %s", err, left)
		}
	}
	later := seg(t, m, "t", schemas.SegmentValue{Name: "v", Text: "75", Time: one.Start + 1})
	if got, _ := merge(t, m, body, later); !strings.Contains(got, `"end":"2024-05-06T10:00:00.0000001Z"`) || strings.Contains(got, "effectiveDateTime") {
		t.Errorf("two instants of one second: %s", got)
	}
	if got := build(t, before, one); !strings.Contains(got, period) {
		t.Errorf("of another profile: %s", got)
	}
}

// TestVitalSignPeriod: a vital sign over a time loads, with a warning.
func TestVitalSignPeriod(t *testing.T) {
	m := load(t, mappingOf(`"periodInterval":"CorrelationId",`+goodRate))
	if all := m.Lints(); len(all) != 1 || all[0].Rule != RuleVitalPeriod || !strings.HasSuffix(all[0].Pointer, "/periodInterval") {
		t.Error(all)
	}
}

// element is an element of a profile's differential.
type element struct {
	ID                  string
	Min                 *int
	Max                 string
	FixedCode, FixedURI string
}

// TestVitalSignTable: the rules are those of the profiles, where these are.
func TestVitalSignTable(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "shared", "cases", "scoring", "fhir_vitalsigns_profiles_r4.json"))
	if err != nil {
		t.Skipf("the profiles are not here: %v", err)
	}
	var profiles map[string]struct{ Differential []element }
	if err := json.Unmarshal(text, &profiles); err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, s := range vitalSigns {
		known = append(known, s.profile)
		checkVitalSign(t, s, profiles[s.profile].Differential)
	}
	slices.Sort(known)
	if all := slices.Sorted(maps.Keys(profiles)); !slices.Equal(known, all) {
		t.Errorf("%v are known, there are %v", known, all)
	}
}

// checkVitalSign compares the rules of one profile with its differential. Units
// that a value set lists are not in it.
func checkVitalSign(t *testing.T, s vitalSign, elements []element) {
	t.Helper()
	codes := map[string]bool{}
	for _, e := range elements {
		switch {
		case e.ID == "Observation.hasMember":
			codes["members"] = true
		case e.FixedCode == "" && e.ID == "Observation.valueQuantity.code":
			if len(s.units) < 2 {
				t.Errorf("%s: the units are %v", s.profile, s.units)
			}
		case e.FixedCode != "":
			codes[e.FixedCode] = true
		case e.ID == "Observation.valueQuantity" && *e.Min == 1:
			codes["needed"] = true
		case (e.ID == "Observation.valueQuantity" || e.ID == "Observation.value[x]") && e.Max == "0":
			codes["forbidden"] = true
		}
	}
	ours := map[string]bool{}
	set := func(when bool, what ...string) {
		for _, w := range what {
			if when {
				ours[w] = true
			}
		}
	}
	set(s.profile == "vitalsigns", vitalSignsCode)
	set(s.code != "", s.code)
	set(len(s.units) == 1, s.units...)
	set(s.value == valueNeeded, "needed")
	set(s.value == valueForbidden, "forbidden")
	set(s.members, "members")
	for _, p := range s.parts {
		set(true, p.code)
		set(true, p.units...)
	}
	if !maps.Equal(codes, ours) {
		t.Errorf("%s: the profile has %v, we have %v", s.profile, codes, ours)
	}
}
