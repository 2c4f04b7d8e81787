package server

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// whole is a resource with something in every corner that the checks visit.
const whole = `{"resourceType":"Observation","id":"o1","meta":{"versionId":"1","lastUpdated":"2024-05-06T10:00:00.5+02:00","profile":["http://x/p|1"],` +
	`"tag":[{"system":"urn:t","code":"a b","userSelected":false}]},"implicitRules":"urn:r","language":"en","_language":{"id":"l"},` +
	`"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},` +
	`"contained":[{"resourceType":"Device","id":"d","status":"active"},{"resourceType":"Medication","id":"m","amount":1}],` +
	`"extension":[{"url":"urn:e","valueBase64Binary":"QUJD"},{"url":"urn:f","extension":[{"url":"g","valueUuid":"urn:uuid:c757873d-ec9a-4326-a141-556f43239520"},{"url":"h","valueOid":"urn:oid:1.2.3"}]}],` +
	`"modifierExtension":[{"url":"urn:m","valueTime":"10:00:00.5"}],"identifier":[{"use":"official","type":{"text":"t"},"system":"urn:x","value":"1","period":{"start":"2024"}}],` +
	`"basedOn":[{"reference":"ServiceRequest/1"}],"status":"final","_status":{"extension":[{"url":"urn:s","valueInteger":-1}]},` +
	`"category":[{"coding":[{"system":"urn:c","code":"vital-signs"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}],"text":"x"},` +
	`"subject":{"reference":"http://else/fhir/Patient/p/_history/2","type":"Patient"},"focus":[{"reference":"Appointment/1"},{"reference":"#m"},{"reference":"#"}],` +
	`"encounter":{"identifier":{"value":"e"}},"effectivePeriod":{"start":"2024-02-29","end":"2024-03-01T23:59:60Z"},"issued":"2024-05-06T10:00:00-14:00",` +
	`"performer":[{"reference":"urn:uuid:c757873d-ec9a-4326-a141-556f43239520"},{"display":"x"}],` +
	`"valueSampledData":{"origin":{"value":0},"period":1E+3,"dimensions":1,"data":"1 2 E"},"note":[{"authorString":"x","time":"2024-05","text":"y"}],` +
	`"device":{"reference":"#d"},"hasMember":[{"reference":"Observation/o2"}],"component":[{"code":{"text":"c"},"valueQuantity":{"value":-1.50,"comparator":"<="},` +
	`"referenceRange":[{"low":{"value":1},"age":{"low":{"value":1}},"text":"t"}]},{"code":{"text":"d"},"_valueString":{"extension":[{"url":"urn:n","valueCode":"x"}]}}]}`

// TestWhole also counts: every write pays for the checks.
func TestWhole(t *testing.T) {
	accepts(t, "the whole", []byte(whole))
	r, err := parse([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	allocs := testing.AllocsPerRun(100, func() {
		if validate(r, "Observation") != nil {
			t.FailNow()
		}
	})
	if allocs > 32 {
		t.Errorf("%v allocations", allocs)
	}
}

// TestFaults makes one thing wrong in the whole and wants the place named, as
// the JSON has it and in FHIRPath.
func TestFaults(t *testing.T) {
	for _, f := range []struct{ name, old, new, code, json, expression, text string }{
		{"a member unknown", `"status":"final"`, `"bogus":1,"status":"final"`, "structure", "Observation.bogus", "", "not a member"},
		{"a member without a name", `"issued"`, `""`, "structure", "Observation.", "", "not a member"},
		{"a member of another case", `"issued"`, `"Issued"`, "structure", "Observation.Issued", "", "not a member"},
		{"a member unknown, deep", `"use":"official"`, `"used":"official"`, "structure", "Observation.identifier[0].used", "", "not a member"},
		{"a companion of nothing", `"_status"`, `"_statuses"`, "structure", "Observation._statuses", "", "not a member"},
		{"a companion of an object", `"_status"`, `"_code"`, "structure", "Observation._code", "", "not a member"},
		{"a companion that is a list", `"_status":{"extension":[{"url":"urn:s","valueInteger":-1}]}`, `"_status":[{"id":"x"}]`, "structure", "Observation._status", "Observation.status", "is a list exactly when"},
		{"a companion that is a text", `"_status":{"extension":[{"url":"urn:s","valueInteger":-1}]}`, `"_status":"x"`, "structure", "Observation._status", "Observation.status", "is an object"},
		{"a companion with a member unknown", `"_language":{"id":"l"}`, `"_language":{"x":"l"}`, "structure", "Observation._language.x", "Observation.language.x", "not a member"},
		{"status missing", `"status":"final","_status":{"extension":[{"url":"urn:s","valueInteger":-1}]},`, ``, "required", "Observation.status", "", "is required"},
		{"code missing", `"code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}],"text":"x"},`, ``, "required", "Observation.code", "", "is required"},
		{"component code missing", `{"code":{"text":"c"},`, `{`, "required", "Observation.component[0].code", "", "is required"},
		{"origin missing", `"origin":{"value":0},`, ``, "required", "Observation.valueSampledData.origin", "Observation.value.origin", "is required"},
		{"extension url missing", `"url":"urn:m",`, ``, "required", "Observation.modifierExtension[0].url", "", "is required"},
		{"status not a code of its set", `"final"`, `"done"`, "code-invalid", "Observation.status", "", `registered, preliminary, final, amended, corrected, cancelled, entered-in-error, unknown; it says "done"`},
		{"status of another type", `"final"`, `5`, "value", "Observation.status", "", "is a code"},
		{"a code that is blank", `"valueCode":"x"`, `"valueCode":" "`, "value", "Observation.component[1]._valueString.extension[0].valueCode", "Observation.component[1].value.extension[0].value", "is a code"},
		{"comparator", `"<="`, `"=<"`, "code-invalid", "Observation.component[0].valueQuantity.comparator", "Observation.component[0].value.comparator", "<, <=, >=, >"},
		{"identifier use", `"official"`, `"main"`, "code-invalid", "Observation.identifier[0].use", "", "usual"},
		{"two values", `"valueSampledData"`, `"valueString":"x","valueSampledData"`, "structure", "Observation.valueSampledData", "Observation.value", "second value"},
		{"a choice without that type", `"valueSampledData":`, `"valueAttachment":{"title":"x"},"valueX":`, "structure", "Observation.valueAttachment", "", "not a member"},
		{"the bare name of a choice", `"effectivePeriod"`, `"effective"`, "structure", "Observation.effective", "", "not a member"},
		{"a number in quotes", `"value":-1.50`, `"value":"-1.50"`, "value", "Observation.component[0].valueQuantity.value", "Observation.component[0].value.value", "is a number"},
		{"a boolean in quotes", `"userSelected":false`, `"userSelected":"false"`, "value", "Observation.meta.tag[0].userSelected", "", "is true or false"},
		{"a null", `"issued":"2024-05-06T10:00:00-14:00"`, `"issued":null`, "value", "Observation.issued", "", "is an instant"},
		{"an integer with a fraction", `-1}`, `-1.0}`, "value", "Observation._status.extension[0].valueInteger", "Observation.status.extension[0].value", "whole number"},
		{"an integer too large", `-1}`, `2147483648}`, "value", "Observation._status.extension[0].valueInteger", "Observation.status.extension[0].value", "32 bits"},
		{"a positive integer of 0", `"dimensions":1`, `"dimensions":0`, "value", "Observation.valueSampledData.dimensions", "Observation.value.dimensions", "from 1"},
		{"a blank text", `"text":"t"}]`, `"text":"  "}]`, "value", "Observation.component[0].referenceRange[0].text", "", "not blank"},
		{"a URI with a blank", `"urn:c"`, `"urn: c"`, "value", "Observation.category[0].coding[0].system", "", "is a URI"},
		{"a dateTime without zone", `"2024-02-29"`, `"2024-02-29T10:00:00"`, "value", "Observation.effectivePeriod.start", "Observation.effective.start", `with a zone; it says "2024-02-29T10:00:00"`},
		{"a dateTime without seconds", `"2024-02-29"`, `"2024-02-29T10:00Z"`, "value", "Observation.effectivePeriod.start", "Observation.effective.start", "is a dateTime"},
		{"a day that is not", `"2024-02-29"`, `"2023-02-29"`, "value", "Observation.effectivePeriod.start", "Observation.effective.start", "is a dateTime"},
		{"an instant of a day", `"2024-05-06T10:00:00-14:00"`, `"2024-05-06"`, "value", "Observation.issued", "", "is an instant"},
		{"a zone too far", `-14:00`, `-14:30`, "value", "Observation.issued", "", "is an instant"},
		{"a time", `"10:00:00.5"`, `"24:00:00"`, "value", "Observation.modifierExtension[0].valueTime", "Observation.modifierExtension[0].value", "is a time"},
		{"base64", `"QUJD"`, `"QUJ"`, "value", "Observation.extension[0].valueBase64Binary", "Observation.extension[0].value", "is base64"},
		{"a UUID", `"valueUuid":"urn:uuid:c757873d`, `"valueUuid":"urn:uuid:C757873D`, "value", "Observation.extension[1].extension[0].valueUuid", "Observation.extension[1].extension[0].value", "is a UUID"},
		{"an OID", `1.2.3`, `1.02.3`, "value", "Observation.extension[1].extension[1].valueOid", "Observation.extension[1].extension[1].value", "is an OID"},
		{"a narrative", `<div `, `<p `, "value", "Observation.text.div", "", "XHTML"},
		{"an id", `"id":"o1"`, `"id":"o_1"`, "value", "Observation.id", "", "1 to 64"},
		{"one instead of a list", `"category":[{"coding":[{"system":"urn:c","code":"vital-signs"}]}]`, `"category":{"text":"x"}`, "structure", "Observation.category", "", "is a list"},
		{"a list instead of one", `"subject":{`, `"subject":[{"display":"x"}],"x":{`, "structure", "Observation.subject", "", "is one value"},
		{"a text instead of an object", `"encounter":{"identifier":{"value":"e"}}`, `"encounter":"e"`, "structure", "Observation.encounter", "", "is an object"},
		{"a null in a list of objects", `"performer":[`, `"performer":[null,`, "structure", "Observation.performer[0]", "", "is an object"},
		{"a reference to another type", `"Observation/o2"`, `"Patient/o2"`, "structure", "Observation.hasMember[0].reference", "", "means type Patient; Observation, QuestionnaireResponse, MolecularSequence may stand here"},
		{"an address of another type", `fhir/Patient/p`, `fhir/Practitioner/p`, "structure", "Observation.subject.reference", "", "means type Practitioner"},
		{"a contained resource of another type", `"reference":"#d"`, `"reference":"#m"`, "structure", "Observation.device.reference", "", "means type Medication"},
		{"a contained resource that is not there", `"reference":"#d"`, `"reference":"#e"`, "value", "Observation.device.reference", "", "of a contained resource"},
		{"a type beside another reference", `"encounter":{`, `"encounter":{"type":"Patient",`, "structure", "Observation.encounter.reference", "", "means type Patient"},
		{"a reference of no form", `"ServiceRequest/1"`, `"1"`, "value", "Observation.basedOn[0].reference", "", "is Type/id"},
		{"a reference to no type", `"ServiceRequest/1"`, `"Service/1"`, "value", "Observation.basedOn[0].reference", "", "is Type/id"},
		{"contained: status", `"id":"d","status":"active"`, `"id":"d","status":"on"`, "code-invalid", "Observation.contained[0].status", "", "active, inactive"},
		{"contained: type", `"resourceType":"Medication"`, `"resourceType":"Pill"`, "structure", "Observation.contained[1]", "", "resourceType of R4"},
		{"contained: twice", `"id":"d","status"`, `"id":"d","contained":[{"resourceType":"Patient"}],"status"`, "structure", "Observation.contained[0].contained[0]", "", "lies in a contained resource"},
		{"contained: no object", `"contained":[{`, `"contained":["x",{`, "structure", "Observation.contained[0]", "", "is an object"},
	} {
		t.Run(f.name, func(t *testing.T) {
			wrong := strings.Replace(whole, f.old, f.new, 1)
			if wrong == whole {
				t.Fatal("nothing is wrong")
			}
			if f.expression == "" {
				f.expression = f.json
			}
			p := refusal(t, wrong, "Observation")
			if p.status != 400 || p.code != f.code || p.expression != f.expression || !strings.HasPrefix(p.text, f.json+" ") || !strings.Contains(p.text, f.text) {
				t.Errorf("%s %s: %s", p.code, p.expression, p.text)
			}
		})
	}
}

// refusal returns what is wrong with a resource.
func refusal(t *testing.T, text, kind string) *problem {
	t.Helper()
	r, err := parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var p *problem
	if !errors.As(validate(r, kind), &p) {
		t.Fatalf("accepted: %.200s", text)
	}
	return p
}

// TestFaultsOfTypes has one rule or two of each of the other types.
func TestFaultsOfTypes(t *testing.T) {
	for _, f := range []struct{ resource, place string }{
		{`{"resourceType":"Patient","gender":"f"}`, "Patient.gender"},
		{`{"resourceType":"Patient","birthDate":"2024-05-06T10:00:00Z"}`, "Patient.birthDate"},
		{`{"resourceType":"Patient","deceasedBoolean":true,"deceasedDateTime":"2024"}`, "Patient.deceasedDateTime"},
		{`{"resourceType":"Patient","name":[{"given":["A",null]}]}`, "Patient.name[0].given[1]"},
		{`{"resourceType":"Patient","name":{"family":"A"}}`, "Patient.name"},
		{`{"resourceType":"Patient","link":[{"other":{"reference":"Patient/x"},"type":"same"}]}`, "Patient.link[0].type"},
		{`{"resourceType":"Patient","contact":[{"gender":"x"}]}`, "Patient.contact[0].gender"},
		{`{"resourceType":"Device","version":[{"type":{"text":"x"}}]}`, "Device.version[0].value"},
		{`{"resourceType":"Device","deviceName":[{"name":"x","type":"nick"}]}`, "Device.deviceName[0].type"},
		{`{"resourceType":"Device","patient":{"reference":"Group/1"}}`, "Device.patient.reference"},
		{`{"resourceType":"Encounter","status":"finished"}`, "Encounter.class"},
		{`{"resourceType":"Encounter","status":"final","class":{"code":"IMP"}}`, "Encounter.status"},
		{`{"resourceType":"Encounter","status":"finished","class":[{"code":"IMP"}]}`, "Encounter.class"},
		{`{"resourceType":"RiskAssessment","status":"final","subject":{"reference":"Device/1"}}`, "RiskAssessment.subject.reference"},
		{`{"resourceType":"RiskAssessment","status":"final","subject":{"display":"x"},"prediction":[{"probabilityDecimal":"0.5"}]}`, "RiskAssessment.prediction[0].probabilityDecimal"},
		{`{"resourceType":"RiskAssessment","status":"final","subject":{"display":"x"},"performer":[{"reference":"Device/1"}]}`, "RiskAssessment.performer"},
		{`{"resourceType":"Flag","status":"final","code":{"text":"x"},"subject":{"display":"x"}}`, "Flag.status"},
		{`{"resourceType":"Flag","status":"active","code":{"text":"x"},"subject":{"display":"x"},"priority":1}`, "Flag.priority"},
		{`{"resourceType":"Provenance","target":[{"reference":"Flag/f"}],"recorded":"2024-01-01","agent":[{"who":{"display":"x"}}]}`, "Provenance.recorded"},
		{`{"resourceType":"Provenance","target":[{"reference":"Flag/f"}],"recorded":"2024-01-01T00:00:00Z","agent":[{"type":{"text":"x"}}]}`, "Provenance.agent[0].who"},
		{`{"resourceType":"Provenance","target":[{"reference":"Flag/f"}],"recorded":"2024-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}],"entity":[{"role":"input","what":{"display":"x"}}]}`, "Provenance.entity[0].role"},
		{`{"resourceType":"Condition","subject":{"reference":"Device/d"}}`, "Condition.subject.reference"},
		{`{"resourceType":"DeviceUseStatement","status":"on","subject":{"display":"x"},"device":{"display":"x"}}`, "DeviceUseStatement.status"},
		{`{"resourceType":"Medication","id":"a_b"}`, "Medication.id"},
		{`{"resourceType":"Medication","meta":{"version":"1"}}`, "Medication.meta.version"},
	} {
		kind, _, _ := strings.Cut(f.place, ".")
		if p := refusal(t, f.resource, kind); !strings.HasPrefix(p.text, f.place+" ") {
			t.Errorf("%s\n%s, want %s", f.resource, p.text, f.place)
		}
	}
	accepts(t, "another type", []byte(`{"resourceType":"Medication","whatever":{"x":null}}`))
	accepts(t, "a null with a companion", []byte(`{"resourceType":"Patient","name":[{"given":["A",null],"_given":[null,{"id":"x"}]}]}`))
}

// TestAllFaults: one answer tells of several faults, of so many and no more.
func TestAllFaults(t *testing.T) {
	p := refusal(t, `{"resourceType":"Flag","status":"x","bogus":1,"code":{"text":"x"}}`, "Flag")
	want := `{"resourceType":"OperationOutcome","issue":[` +
		`{"severity":"error","code":"code-invalid","diagnostics":"Flag.status is one of active, inactive, entered-in-error; it says \"x\"","expression":["Flag.status"]},` +
		`{"severity":"error","code":"structure","diagnostics":"Flag.bogus is not a member that R4 knows here","expression":["Flag.bogus"]},` +
		`{"severity":"error","code":"required","diagnostics":"Flag.subject is required","expression":["Flag.subject"]}]}`
	if got := string(p.outcome()); got != want {
		t.Errorf("%s", got)
	}
	got := string(p.inEntry(3).outcome())
	if !strings.Contains(got, `"entry 3: Flag.status`) || !strings.Contains(got, `["Bundle.entry[3]","Bundle.entry[3].resource.bogus"]`) {
		t.Errorf("%s", got)
	}
	p = refusal(t, `{"resourceType":"Patient","name":[`+strings.Repeat(`{"x":1},`, 50)+`{"x":1}]}`, "Patient")
	if len(p.more) != maxFaults-1 {
		t.Errorf("%d faults", 1+len(p.more))
	}
	p = refusal(t, `{"resourceType":"Flag","status":"`+strings.Repeat("\u00e4", 100)+`","code":{"text":"x"},"subject":{"display":"x"}}`, "Flag")
	if len(p.text) > 200 || !strings.Contains(p.text, "...") {
		t.Errorf("%s", p.text)
	}
}

// TestSharedAccepted checks the resources that the cases of other stages say
// are right: those of the scoring facts and all that e2e.jsonl writes.
func TestSharedAccepted(t *testing.T) {
	files, _ := filepath.Glob("../../../shared/cases/scoring/fhir/*.json")
	for _, kind := range []string{"assessment", "flag", "provenance"} {
		golden, _ := filepath.Glob("../testdata/risk/" + kind + "-*.json")
		files = append(files, golden...)
	}
	lines, err := os.Open("../../../shared/cases/e2e.jsonl")
	if len(files) == 0 || err != nil {
		t.Skip("the cases are not here (../shared/cases)")
	}
	defer lines.Close()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		accepts(t, file, text)
	}
	written := 0
	for s := bufio.NewReader(lines); ; {
		line, err := s.ReadBytes('\n')
		if err != nil {
			break
		}
		var c struct {
			ID   string
			Want struct {
				Rule    string
				Batches []struct{ Writes []json.RawMessage }
			}
		}
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		if c.Want.Rule == "any" { // what the connector wrote may be wrong
			continue
		}
		for _, b := range c.Want.Batches {
			for _, w := range b.Writes {
				written++
				accepts(t, c.ID+" "+c.Want.Rule, w)
			}
		}
	}
	if written < 1000 {
		t.Errorf("only %d resources", written)
	}
}

// accepts wants no fault in a resource.
func accepts(t *testing.T, name string, text []byte) {
	t.Helper()
	r, err := parse(text)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if err := validate(r, r.get("resourceType").text()); err != nil {
		var p *problem
		errors.As(err, &p)
		t.Errorf("%s: %s", name, strings.TrimSpace(string(p.outcome())))
	}
}

// BenchmarkCheck is what a PUT costs before the store sees it: one vital sign
// read, checked and made searchable.
func BenchmarkCheck(b *testing.B) {
	text := []byte(observation("o1", "p1", "8867-4", "2024-05-06T10:00:00Z", "70"))
	b.ReportAllocs()
	for b.Loop() {
		r, err := parse(text)
		if err != nil {
			b.Fatal(err)
		}
		if err := validate(r, "Observation"); err != nil {
			b.Fatal(err)
		}
		if _, err := indexOf("Observation", r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkValidate is the checks alone.
func BenchmarkValidate(b *testing.B) {
	r, err := parse([]byte(observation("o1", "p1", "8867-4", "2024-05-06T10:00:00Z", "70")))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := validate(r, "Observation"); err != nil {
			b.Fatal(err)
		}
	}
}
