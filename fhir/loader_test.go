package fhir

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"auscult/internal/mapfile/mapfiletest"
)

func TestLoadMapping(t *testing.T) {
	m := load(t, `// a comment
{'templateType': 'collectionfhirtemplate', "template": [
  {templateType: "CodeValueFhir", "template": {"TypeName": "Hr", "periodinterval": "hourly", "CODES": [{"code": 5}], "value": {"ValueType": "quantity"}, }},
]}`)
	if p, ok := m.Period("hR"); !ok || p != Hourly {
		t.Errorf("period %v, %v", p, ok)
	}
	if _, ok := m.Period("other"); ok {
		t.Error("a template for an unknown type")
	}
	if v := m.Version(); len(v) != 16 || v == load(t, mappingOf(`"typeName":"a","codes":[]`)).Version() {
		t.Errorf("version %q", v)
	}
}

// faults writes what LoadMapping says, one fault a line.
func faults(text string) string {
	_, err := LoadMapping([]byte(text))
	var b strings.Builder
	for _, e := range LoadErrors(err) {
		fmt.Fprintf(&b, "%d:%d %s %s: %s\n", e.Line, e.Column, e.Pointer, e.Message, e.Fix)
	}
	return b.String()
}

// TestLoadFaults: all faults of a file are told at once, each where it is.
func TestLoadFaults(t *testing.T) {
	got := faults(`{ // comments, trailing commas, 'single quotes' and bare names are fine
  templateType: 'CollectionFhir',
  "template": [
    {"templateType": "CodeValueFhir", "template": {
      "typeName": "hr", "periodInterval": "Hourlyy",
      "codes": [{"code": "8867-4", "system": "http://loinc.org"}, {"kode": 1}, {"display": []}, null],
      "category": {"text": "x"},
      "value": {"valueType": "Quantiti", "valueName": "hr"}
      "components": [
        {"codes": [{"system": "http://loinc.org", "code": "8867-4"}], "value": {"valueType": "Quantity", "valueName": "v", "system": "ucum"}},
        {"code": [], "value": {"valuetype": "SampledData", "defaultPeriod": 5}},
        {"codes": null, "value": null},
        {"codes": [], "value": {"ValueType": "SampledData", "defaultPeriod": true}},
      ],
    }},
    {"templateType": "JsonPathContent"},
    {"templateType": "CodeValueFhirTemplate", "template": {"codes": [], "value": {"valueType": "CodeableConcept", "text": " ", "codes": [{}]}}},
    7,
    {"templateType": "CodeValueFhir", "template": []},
    {"templateTyp": "CodeValueFhir", "template": {"typeName": "HR", "periodInterval": null, "codes": "8867-4"}},
  ],
}`)
	want := `5:43 /template/0/template/periodInterval no such period interval: "Hourlyy": write Hourly
6:68 /template/0/template/codes/1/kode unknown member "kode": write code
6:92 /template/0/template/codes/2/display display is a list: write a text
6:97 /template/0/template/codes/3 null stands where an object must be: write {...}
7:19 /template/0/template/category category is an object: write a list, [...]
8:30 /template/0/template/value/valueType no such value type: "Quantiti": write Quantity
8:60  a comma is missing: write , between two values
10:134 /template/0/template/components/0/value/system system "ucum" is no absolute URI: write for example http://unitsofmeasure.org
11:9 /template/0/template/components/1/codes codes is missing: write it instead of "code"
11:10 /template/0/template/components/1/code unknown member "code": write codes
11:31 /template/0/template/components/1/value/valueType valueType is missing: write it instead of "valuetype"
12:19 /template/0/template/components/2/codes codes is null: write "codes": and a list, [...], for example [{"code": "8480-6", "system": "http://loinc.org"}]
12:34 /template/0/template/components/2/value value is null: write "value": and an object, {...}
13:78 /template/0/template/components/3/value/defaultPeriod defaultPeriod is true: write the milliseconds between two samples
16:5 /template/1/template template is missing: write "template": and an object, {...}
16:22 /template/1/templateType no such template type for a FHIR mapping: "JsonPathContent": write CodeValueFhir
17:59 /template/2/template/typeName typeName is missing: write "typeName": and the name of a type, for example "heartRate"
17:82 /template/2/template/value the concept has neither text nor codes: give it a text or a code
18:5 /template/3 a number stands where an object must be: write {...}
19:51 /template/4/template template is a list: write an object, {...}
20:5 /template/5/templateType templateType is missing: write it instead of "templateTyp"
20:63 /template/5/template/typeName a second template for type "HR": the first is that of line 5, column 19: keep one template for each type name; case does not tell them apart
20:87 /template/5/template/periodInterval periodInterval is null: write "periodInterval": and Single, Hourly, Daily or CorrelationId
20:102 /template/5/template/codes codes is "8867-4": write a list, [...]
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestLoadFault: what can be wrong in one place. An @ marks the place.
func TestLoadFault(t *testing.T) {
	const (
		start  = `{"templateType":"CollectionFhir","template":[{"templateType":"CodeValueFhir","template":`
		inside = "/template/0/template"
		codes  = `"codes":[{"code":"8867-4","system":"http://loinc.org"}]`
		typed  = `"typeName":"a",` + codes
		ms     = "write the milliseconds between two samples, for example 1000"
	)
	value := func(members string) string { return mappingOf(typed + `,"value":` + members) }
	series := func(period string) string {
		return value(`{"valueType":"SampledData","defaultPeriod":@` + period + `}`)
	}
	for _, c := range [][2]string{
		{"{\n \"a\"@ 1}", ` a colon is missing after "a": write "a": and the value`},
		{"@", ` the file is empty: write a mapping`},
		{"@\ufeff" + mappingOf(typed), " the file begins with a byte order mark: save it as UTF-8 without one"},
		{"@[]", ` a list stands where an object must be: write {...}`},
		{`{"templateType":@"CollectionContent","template":[{}]}`, `/templateType no such template type for a FHIR mapping: "CollectionContent": write CollectionFhir`},
		{`@{"template":[]}`, `/templateType templateType is missing: write "templateType": and CollectionFhir, for example "CollectionFhir"`},
		{`@{"templateType":"CollectionFhir"}`, `/template template is missing: write "template": and a list, [...]`},
		{`{"templateType":"CollectionFhir","template":[{"templateType":@5,"template":{}}]}`, `/template/0/templateType templateType is 5: write CodeValueFhir`},
		{`{"templateType":"CollectionFhir","template":[@{"templateType":"CodeValueFhir"}]}`, inside + ` template is missing: write "template": and an object, {...}`},
		{start + `@{` + codes + `}}]}`, inside + `/typeName typeName is missing: write "typeName": and the name of a type, for example "heartRate"`},
		{mappingOf(`"typeName":@" ",` + codes), inside + `/typeName typeName is blank: write the name of a type that the device mapping emits`},
		{start + `@{"typeName":"a"}}]}`, inside + `/codes codes is missing: write "codes": and a list, [...], for example ` + codesExample},
		{mappingOf(`"typeName":"a","codes":[@"x"]`), inside + `/codes/0 a text stands where an object must be: write {...}`},
		{mappingOf(typed + `,@"typeNam":1`), inside + `/typeNam unknown member "typeNam": remove it; known are typeName, codes, periodInterval, category, value, components, limits, metaProfile, method, bodySite, performer`},
		{mappingOf(typed + `,"periodInterval":@61`), inside + `/periodInterval periodInterval is 61: write Single, Hourly, Daily or CorrelationId`},
		{mappingOf(typed + `,"periodInterval":@60.0`), inside + `/periodInterval periodInterval is 60.0: write Single, Hourly, Daily or CorrelationId`},
		{value(`@null`), inside + `/value value is null: write "value": and an object, {...}`},
		{value(`@{"VALUETYPE":"Quantity"}`), inside + `/value/valueType valueType is missing: write it instead of "VALUETYPE"`},
		{value(`{"valueType":@" Quantity"}`), inside + `/value/valueType no such value type: " Quantity": write Quantity`},
		{value(`{"valueType":@"Reference"}`), inside + `/value/valueType no such value type: "Reference": write Quantity, String, CodeableConcept, SampledData, Boolean, Integer, DateTime, Ratio or Range`},
		{value(`{"ValueType":@"X","valueType":"String"}`), inside + `/value/ValueType no such value type: "X": write Quantity, String, CodeableConcept, SampledData, Boolean, Integer, DateTime, Ratio or Range`},
		{value(`{"valueType":"String","valueName":@[]}`), inside + `/value/valueName valueName is a list: write the name of a value`},
		{value(`{"valueType":"Quantity","system":@"ucum"}`), inside + `/value/system system "ucum" is no absolute URI: write for example http://unitsofmeasure.org`},
		{value(`{"valueType":"Quantity","system":@"urn:a b"}`), inside + `/value/system system "urn:a b" is no absolute URI: write for example http://unitsofmeasure.org`},
		{value(`@{"valueType":"SampledData"}`), inside + `/value/defaultPeriod defaultPeriod is missing: write "defaultPeriod": and the milliseconds between two samples, for example 1000`},
		{series(`true`), inside + `/value/defaultPeriod defaultPeriod is true: write the milliseconds between two samples`},
		{series(`" "`), inside + `/value/defaultPeriod defaultPeriod " " is no usable period: ` + ms},
		{series(`0.00001`), inside + `/value/defaultPeriod defaultPeriod "0.00001" is no usable period: ` + ms},
		{series(`0`), inside + `/value/defaultPeriod defaultPeriod "0" is no usable period: ` + ms},
		{series(`-1`), inside + `/value/defaultPeriod defaultPeriod "-1" is no usable period: ` + ms},
		{series(`-0.5`), inside + `/value/defaultPeriod defaultPeriod "-0.5" is no usable period: ` + ms},
		{series(`1e300`), inside + `/value/defaultPeriod defaultPeriod "1e300" is no usable period: ` + ms},
		{series(`"0x1Ep5"`), inside + `/value/defaultPeriod defaultPeriod "0x1Ep5" is no usable period: ` + ms},
		{value(`@{"valueType":"CodeableConcept","text":"x"}`), inside + `/value/codes codes is missing: write "codes": and a list, [...], for example [{"code": "alarm", "system": "urn:events"}]`},
		{value(`@{"valueType":"CodeableConcept","codes":[{}],"text":" "}`), inside + `/value the concept has neither text nor codes: give it a text or a code`},
		{mappingOf(typed + `,"components":[@{"codes":[]}]`), inside + `/components/0/value value is missing: write "value": and an object, {...}`},
		{
			value(`{"valueType":"String"},"components":[{"codes":@[{"system":"http://loinc.org","code":" 8867-4"}],"value":{"valueType":"String"}}]`),
			inside + `/components/0/codes the component has a code of the Observation itself, which FHIR forbids beside a value (obs-7): give the component a code of its own`,
		},
	} {
		checkFault(t, c[0], c[1])
	}
}

// checkFault demands one fault of a mapping, at the place that an @ marks.
func checkFault(t *testing.T, marked, fault string) {
	t.Helper()
	before, after, _ := strings.Cut(marked, "@")
	line := strings.Count(before, "\n")
	want := fmt.Sprintf("%d:%d %s\n", line+1, len(before)-strings.LastIndexByte(before, '\n'), fault)
	if got := faults(before + after); got != want {
		t.Errorf("%s:\n got %s\nwant %s", marked, got, want)
	}
}

// TestLoadTypeTwice: a second template for a type is a fault, also when the first
// has others.
func TestLoadTypeTwice(t *testing.T) {
	_, err := LoadMapping([]byte("{\"templateType\":\"CollectionFhir\",\"template\":[\n" +
		"{\"templateType\":\"CodeValueFhir\",\"template\":{\"typeName\":\"a\",\"codes\":5}},\n" +
		"{\"templateType\":\"CodeValueFhir\",\"template\":{\"typeName\":\"\u00e9\",\"codes\":[], \"x\":1}},\n" +
		"{\"templateType\":\"CodeValueFhir\",\"template\":{\"codes\":[],\t\"typeName\":\"A\"}}]}"))
	all := LoadErrors(err)
	if len(all) != 3 || all[1].Line != 3 || all[1].Column != 72 || all[2].Message != `a second template for type "A": the first is that of line 2, column 56` {
		t.Fatal(err)
	}
	line, caret, _ := strings.Cut(all[2].Excerpt, "\n")
	if !strings.HasPrefix(line[strings.IndexByte(caret, '^'):], `"A"`) || all[2].Pointer != "/template/2/template/typeName" {
		t.Errorf("%s\n%s", all[2].Pointer, all[2].Excerpt)
	}
}

// TestTypes: a device mapping can be compared with what a FHIR mapping takes.
func TestTypes(t *testing.T) {
	m := load(t, `{"templateType": "CollectionFhir", "template": [
  {"templateType": "CodeValueFhir", "template": {
    "components": [
      {"codes": [], "value": {"valueType": "Quantity", "valueName": "sys"}},
      {"codes": [], "value": {"ValueName": "dia", "valueType": "Quantity"}},
      {"codes": [], "value": {"valueType": "Quantity"}}],
    "codes": [], "periodInterval": -1, "typeName": "bp"}},
  {"templateType": "CodeValueFhir", "template": {"TypeName": "hr", "codes": [], "value": {"valueType": "String", "valueName": "v"}}},
  {"templateType": "CodeValueFhir", "template": {"typeName": "none", "periodInterval": "daily", "codes": []}}]}`)
	var b strings.Builder
	for _, typ := range m.Types() {
		fmt.Fprintf(&b, "%s %v %d:%d %s\n", typ.Type, typ.Period, typ.Line, typ.Column, typ.Pointer)
		for _, v := range typ.Values {
			fmt.Fprintf(&b, "  value %s %d:%d %s\n", v.Name, v.Line, v.Column, v.Pointer)
		}
		for _, v := range typ.Components {
			fmt.Fprintf(&b, "  component %s %d:%d %s\n", v.Name, v.Line, v.Column, v.Pointer)
		}
	}
	if want := `bp CorrelationId 7:52 /template/0/template/typeName
  component sys 4:69 /template/0/template/components/0/value/valueName
  component dia 5:44 /template/0/template/components/1/value/ValueName
hr Single 8:62 /template/1/template/TypeName
  value v 8:127 /template/1/template/value/valueName
none Daily 9:62 /template/2/template/typeName
`; b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// connectorLoad is a case of the connector's own tests about loading.
type connectorLoad struct {
	ID           string          `json:"id"`
	Kind         string          `json:"kind"`
	Template     json.RawMessage `json:"fhirTemplate"`
	TemplateText string          `json:"fhirTemplateText"`
	Expected     json.RawMessage `json:"expected"`
}

func (c *connectorLoad) text() []byte {
	if c.TemplateText != "" {
		return []byte(c.TemplateText)
	}
	return c.Template
}

// readConnector returns the cases that have a FHIR mapping.
func readConnector(t *testing.T) (cases []connectorLoad) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "shared", "cases", "connector.jsonl"))
	if err != nil {
		t.Skipf("the connector's cases are not here: %v", err)
	}
	s := bufio.NewScanner(bytes.NewReader(text))
	s.Buffer(nil, 1<<24)
	for s.Scan() {
		var c connectorLoad
		if err := json.Unmarshal(s.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		if c.text() != nil {
			cases = append(cases, c)
		}
	}
	return cases
}

// TestConnectorLoads: the connector's own load cases; there is a fault for every
// one that it tells.
func TestConnectorLoads(t *testing.T) {
	ran := 0
	for _, c := range readConnector(t) {
		if c.Kind != "load-fhir" {
			continue
		}
		ran++
		var want struct {
			Valid                               bool
			Parsed                              *connectorParsed
			Errors                              []json.RawMessage
			ErrorsContain, DerivedErrorsContain []string
		}
		if err := json.Unmarshal(c.Expected, &want); err != nil {
			t.Fatal(err)
		}
		m, err := LoadMapping(c.text())
		least := len(want.Errors) + len(want.ErrorsContain) + len(want.DerivedErrorsContain)
		switch {
		case want.Valid != (err == nil) || len(LoadErrors(err)) < least:
			t.Errorf("%s: %v", c.ID, err)
		case want.Parsed != nil:
			if got := parsedOf(m.Types()[0]); got != want.Parsed.String() {
				t.Errorf("%s: got %s, want %s", c.ID, got, want.Parsed)
			}
		}
	}
	if ran < 20 {
		t.Errorf("%d cases", ran)
	}
}

// connectorParsed is a template as the connector has read it.
type connectorParsed struct {
	TypeName       string
	PeriodInterval Period
	Value          *struct{ ValueName string }
	Components     []struct{ Value struct{ ValueName string } }
}

func (p *connectorParsed) String() string {
	var values, components []string
	if p.Value != nil {
		values = append(values, p.Value.ValueName)
	}
	for _, c := range p.Components {
		components = append(components, c.Value.ValueName)
	}
	return fmt.Sprint(p.TypeName, p.PeriodInterval, values, components)
}

func parsedOf(m MappedType) string {
	return fmt.Sprint(m.Type, m.Period, namesOf(m.Values), namesOf(m.Components))
}

func namesOf(values []MappedValue) (names []string) {
	for _, v := range values {
		names = append(names, v.Name)
	}
	return names
}

// FuzzLoadMapping: whatever the text, a mapping that is refused has faults that
// say where and what to do, and one that is taken is valid for the schema.
func FuzzLoadMapping(f *testing.F) {
	for _, text := range []string{
		"", "{}", `{"templateType":"CollectionFhir","template":[]}`,
		mappingOf(`"typeName":"a","codes":[{"code":5,"system":true}],"periodInterval":" Hourly ","category":[{"text":"c","codes":null}]`),
		mappingOf(`"typeName":"a","codes":[],"value":{"valueType":"Nope","ValueType":"Quantity","valueName":"v","code":"/min","unti":"x"}`),
		mappingOf(`"TYPENAME":"a","codes":[],"components":[{"codes":[],"value":{"valueType":"SampledData","valueName":"v","defaultPeriod":"1,000"}}]`),
		mappingOf(`"typeName":"a","codes":[],"value":{"valueType":"CodeableConcept","valueName":"v","codes":[{"code":"x"}],"text":"t"},"components":null`),
		mappingOf(`"typeName":"a","codes":[],"value":{"valueType":"SampledData","valueName":"v","defaultPeriod":1e3}`),
		mappingOf(`"typeName":"a","codes":[],"value":{"valueType":"CodeableConcept","valueName":"v","codes":[],"choices":[{"values":["x",1],"text":"t"}]},"limits":{"low":1}`),
		mappingOf(`"typeName":"a","codes":[],"value":{"valueType":"Ratio","numerator":{"valueName":"n","unit":"s"},"denominator":{"valueName":"d"}},"performer":["Patient/p"]`),
		mappingOf(`"typeName":"a","codes":[],"value":{"valueType":"Range","lowName":"l","highName":"h","code":"s"},"method":{"text":"m"},"bodySite":{"codes":[]}`),
		mappingOf(`"typeName":"a","codes":[],"value":{"valueType":"Boolean","valueName":"v","trueTexts":["on"],"falseTexts":[false]},"metaProfile":["` + profileBase + `heartrate"]`),
		mappingOf(`"typeName":"a","codes":[{"code":"39156-5","system":"http://loinc.org"}],"value":{"valueType":"Integer","valueName":"v"},"limits":{"low":"1","high":.5},"metaProfile":["` + profileBase + `bmi|4.0.1"]`),
	} {
		f.Add(text)
	}
	schema := Schema()
	f.Fuzz(func(t *testing.T, text string) {
		m, err := LoadMapping([]byte(text))
		if err != nil {
			for _, e := range LoadErrors(err) {
				if e.Line < 1 || e.Column < 1 || e.Message == "" || e.Fix == "" || !strings.Contains(e.Excerpt, "^") {
					t.Errorf("%#v", e)
				}
			}
			return
		}
		for _, l := range m.Lints() {
			if l.Line < 1 || l.Column < 1 || l.Message == "" || l.Fix == "" || l.Rule == "" || l.Pointer == "" {
				t.Errorf("%#v", l)
			}
		}
		if against, err := mapfiletest.Validate(schema, []byte(text)); err != nil || len(against) > 0 {
			t.Errorf("schema: %v %v", err, against)
		}
	})
}
