package mapping

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// parserWords is what the parser of an expression says of it.
var parserWords = regexp.MustCompile(`(?m)(Expression: ).*$`)

// faults writes what LoadDevice says, one fault a line.
func faults(t *testing.T, text string) string {
	t.Helper()
	_, err := LoadDevice([]byte(text))
	var b strings.Builder
	for _, e := range LoadErrors(err) {
		fmt.Fprintf(&b, "%d:%d %s %s: %s\n", e.Line, e.Column, e.Pointer, e.Message, e.Fix)
	}
	return b.String()
}

// TestLoadFaults: all faults of a file are told at once, each where it is.
func TestLoadFaults(t *testing.T) {
	got := faults(t, `{
  // comments, trailing commas, 'single quotes' and bare names are fine
  templateType: 'CollectionContent',
  "template": [
    {"templateType": "CalculatedContent", "template": {
      "typeName": "hr", "typeMatchExpression": "$..[?(@a > )]",
      "deviceIdExpression": {"value": 5, "language": "JmesPth"}
      "timestampExpression": "$.a.",
      "patientIdExpression": 5, "encounterId": "$.e", "correlationIdExpression": {"language": "JmesPath"},
      "values": [{"valueName": "v", "valueExpression": "", "unit": "x", "required": "maybe"}, {"valueName": [], }],
    }},
    {"templateType": "Nonsense"},
    {"templateType": "JsonPathContent", "template": {"typeMatchExpression": "", "deviceIdExpression": "2020-01-01T00:00:00Z", "timestampExpression": null}},
    7,
    {"templateType": "IotJsonPathContent", "template": []},
    {"templateTyp": "JsonPathContent", "template": {}},
    {"templateType": "IotCentralJsonPathContent", "template": {"typeName": "t", "typeMatchExpression": "$", "deviceIdExpression": {}, "values": {}, "defaultExpressionLanguage": 0}},
    {"templateType": "CalculatedContent", "template": {"typeName": "t", "typeMatchExpression": "$", "deviceIdExpression": "a", "timestampExpression": "b", "defaultExpressionLanguage": "Sql"}},
  ],
}`)
	want := `6:60 /template/0/template/typeMatchExpression typeMatchExpression: ...
7:39 /template/0/template/deviceIdExpression/value value is 5: write an expression as a text
7:54 /template/0/template/deviceIdExpression/language no such expression language: "JmesPth": write JmesPath
7:64  a comma is missing: write , between two values
8:35 /template/0/template/timestampExpression timestampExpression: ...
9:30 /template/0/template/patientIdExpression patientIdExpression is 5: write an expression as a text
9:33 /template/0/template/encounterId unknown member "encounterId": write encounterIdExpression
9:82 /template/0/template/correlationIdExpression/value value is missing: write "value": and an expression as a text, for example "matchedToken.heartRate"
10:56 /template/0/template/values/0/valueExpression valueExpression is blank: write an expression, or leave the member out
10:60 /template/0/template/values/0/unit unknown member "unit": remove it; known are valueName, valueExpression, required
10:85 /template/0/template/values/0/required required is "maybe": write true or false
10:95 /template/0/template/values/1/valueExpression valueExpression is missing: write "valueExpression": and an expression as a text, for example "$.heartRate"
10:109 /template/0/template/values/1/valueName valueName is a list: write a name
12:22 /template/1/templateType no such template type: "Nonsense": write CalculatedContent, JsonPathContent, IotJsonPathContent or IotCentralJsonPathContent
13:53 /template/2/template/typeName typeName is missing: write "typeName": and a name, for example "heartRate"
13:77 /template/2/template/typeMatchExpression typeMatchExpression is blank: write an expression, or leave the member out
13:103 /template/2/template/deviceIdExpression deviceIdExpression is a date, not an expression: write a path such as $.Body.time
13:150 /template/2/template/timestampExpression timestampExpression is null: write "timestampExpression": and a JSONPath expression as a text, for example "$.endDate"
14:5 /template/3 a number stands where an object must be: write {...}
15:56 /template/4/template template is a list: write an object, {...}
16:5 /template/5/templateType templateType is missing: write it instead of "templateTyp"
17:145 /template/6/template/values values is an object: write a list, [...]
17:149 /template/6/template/defaultExpressionLanguage unknown member "defaultExpressionLanguage": remove it; known are typeName, typeMatchExpression, deviceIdExpression, timestampExpression, patientIdExpression, encounterIdExpression, correlationIdExpression, values
18:185 /template/7/template/defaultExpressionLanguage no such expression language: "Sql": write JsonPath or JmesPath
`
	if got = parserWords.ReplaceAllString(got, "$1..."); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestLoadRoot: a file that is no device mapping is one fault.
func TestLoadRoot(t *testing.T) {
	for text, want := range map[string]string{
		`{"templateType":"CollectionFhir","template":[{"templateType":"CodeValueFhir","template":{}}]}`: `1:17 /templateType no such template type for a device mapping: "CollectionFhir": write CollectionContent`,
		"[]":                                   "1:1  a list stands where an object must be: write {...}",
		"//only a comment":                     "1:1  the file is empty: write a mapping",
		`{"templateType":"CollectionContent"}`: `1:1 /template template is missing: write "template": and a list, [...]`,
		`{"template":[]}`:                      `1:1 /templateType templateType is missing: write "templateType": and CollectionContent, for example "CollectionContent"`,
		`{"templateType":"CollectionContent","template":null}`:                                          `1:48 /template template is null: write "template": and a list, [...]`,
		`{"templateType":"CollectionContent","template":[` + strings.Repeat("0,", MaxTemplates) + `0]}`: "more than 10000 templates",
	} {
		if got := faults(t, text); strings.TrimSuffix(got, "\n") != want && !strings.Contains(got, "more than") {
			t.Errorf("%.40q: got %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{"", " \n", "null", "/* none */ null\n", "\uFEFF{\"templateType\":\"collectioncontenttemplate\",\"template\":[]} // end"} {
		if d, err := LoadDevice([]byte(text)); err != nil || len(d.Types()) != 0 {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestLoadLoose: what Json.NET takes for a name, a list or a language is taken,
// and reads as it reads it.
func TestLoadLoose(t *testing.T) {
	const older, calculated = "JsonPathContent", "CalculatedContent"
	for _, c := range []struct{ kind, name, values, want string }{
		{"IotJsonPathContent", `"t", "timestampExpression": {"value": 5}`, "[]", "t []"}, // ignored, whatever it is
		{older, `"t"`, `""`, "t []"}, {"IotJsonPathContent", `"t"`, `""`, "t []"}, {"IotCentralJsonPathContent", `"t"`, `""`, "t []"}, {older, `"t"`, "null", "t []"},
		{older, `"t"`, `" "`, `1:210 /template/0/template/values values is " ": write a list, [...]` + "\n"},
		{calculated, `"t"`, `""`, `1:212 /template/0/template/values values is "": write a list, [...]` + "\n"},
		{calculated, `"t"`, `[{"valueName": "v", "valueExpression": {"value": "$.Body.d", "language": ""}}]`, "t [{v d}]"},
		{older, `5.50`, "[]", "5.5 []"}, {older, `1e5`, "[]", "100000 []"}, {older, `1E+21`, "[]", "1E+21 []"}, {older, `-0`, "[]", "0 []"}, {older, `-0.0`, "[]", "-0 []"}, {older, `1e400`, "[]", "Infinity []"},
		{older, `.5`, "[]", "0.5 []"}, {older, `12345678901234567890`, "[]", "12345678901234567890 []"}, {older, `false`, "[]", "False []"}, {older, `"2020-01-01T00:00:00Z"`, "[]", "01/01/2020 00:00:00 []"},
	} {
		text := fmt.Sprintf(`{"templateType":"CollectionContent","template":[{"templateType":%q,"template":{"typeName":%s,"typeMatchExpression":"$","deviceIdExpression":"$.Body.d","timestampExpression":"$.Body.t","values":%s}}]}`, c.kind, c.name, c.values)
		d, err := LoadDevice([]byte(text))
		if err != nil {
			if got := faults(t, text); got != c.want {
				t.Errorf("%s: got %s, want %s", text, got, c.want)
			}
			continue
		}
		msg := &Message{Whole: true, HasBody: true, Body: []byte(`{"Body":{"d":"d","t":"2024-01-01T00:00:00Z"},"deviceId":"d","enqueuedTime":"2024-01-01T00:00:00Z",` +
			`"SystemProperties":{"iothub-connection-device-id":"d","iothub-enqueuedtime":"2024-01-01T00:00:00Z"}}`)}
		got, failures, err := mapAll(d.NewMapper(), msg)
		if len(got) != 1 || err != nil || fmt.Sprint(got[0].Type, " ", got[0].Properties) != c.want {
			t.Errorf("%s: got %v, %v, %v", text, got, failures, err)
		}
	}
}

// TestExpressionFaults: the caret stands under the place in the expression, also
// where characters are escaped.
func TestExpressionFaults(t *testing.T) {
	_, err := LoadDevice([]byte("{\"templateType\":\"CollectionContent\",\"template\":[{\"templateType\":\"JsonPathContent\",\"template\":{\"typeName\":\"t\",\"deviceIdExpression\":\"$.d\",\"timestampExpression\":\"$.t\",\n" +
		"\t\"typeMatchExpression\": \"$['\\u00e9\\u00e9'][\\u0022x\\u0022]\"}}]}"))
	found := LoadErrors(err)
	if len(found) != 1 {
		t.Fatal(err)
	}
	e := found[0]
	line, caret, _ := strings.Cut(e.Excerpt, "\n")
	if e.Line != 2 || line[strings.Index(caret, "^"):] != `\u0022x\u0022]"}}]}` || !strings.HasPrefix(caret, "\t ") {
		t.Errorf("%v\n%s", e, e.Excerpt)
	}
	if e.Column != 1+strings.Index(caret, "^") {
		t.Errorf("column %d, caret at %d", e.Column, 1+strings.Index(caret, "^"))
	}
}

// TestExpressionsOfBothLanguages: what their parsers say arrives with its place
// and, where they know it, the whole expression to write instead.
func TestExpressionsOfBothLanguages(t *testing.T) {
	for _, c := range []struct{ language, text, rest, fix string }{
		{"JsonPath", "$.a[", "", ""},
		{"JsonPath", "$.heart rate", " rate", "write $['heart rate']"},
		{"JsonPath", "$..[?(@a = 1)]", "= 1)]", "write $..[?(@a == 1)]"},
		{"JmesPath", "to_nmber(a)", "to_nmber(a)", "write to_number(a)"},
		{"JmesPath", "add(a, `1`", "", "write add(a, `1`)"},
		{"JmesPath", "a b", "b", ""},
	} {
		text := collectionOf(fmt.Sprintf(`CalculatedContent "defaultExpressionLanguage": %q, "typeMatchExpression": %q, "deviceIdExpression": "d", "timestampExpression": "t", "values": null`, c.language, c.text))
		_, err := LoadDevice([]byte(text))
		found := LoadErrors(err)
		if len(found) != 1 {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		at := strings.Index(text, c.text) + strings.LastIndex(c.text, c.rest)
		if c.rest == "" {
			at = strings.Index(text, c.text) + len(c.text)
		}
		if e := found[0]; e.Column != at+1 || c.fix != "" && e.Fix != c.fix || e.Fix == "" {
			t.Errorf("%s: %v, want column %d\n%s", c.text, e, at+1, e.Excerpt)
		}
	}
}

// FuzzLoadDevice: no file crashes the loader, and what it loads can be used.
func FuzzLoadDevice(f *testing.F) {
	f.Add(wardMapping)
	f.Add(naiveMapping)
	f.Add(collectionOf(`CalculatedContent "defaultExpressionLanguage": 1, "typeMatchExpression": "to_array(@)[?Body.a]", "deviceIdExpression": "divide(`+"`1`"+`, Body.a)", "timestampExpression": {"value": "$..t"}`, `IotJsonPathContent `))
	f.Add(collectionOf(`JsonPathContent "typeMatchExpression": "$.Body[?(@a == 1 && @a == 2)]"`, "IotCentralJsonPathContentTemplate "))
	f.Add(`{templateType:'CollectionContent',template:[{"templateType":"JsonPathContent","template":{"typeMatchExpression":"$..[?(@a[0] == 'x' && @b || 1 <= @c)]"}}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := LoadDevice([]byte(text))
		if err != nil {
			for _, e := range LoadErrors(err) {
				if e.Line < 1 || e.Column < 1 || e.Message == "" {
					t.Errorf("%q: %+v", text, e)
				}
			}
			return
		}
		for _, l := range d.Lints() {
			if l.Line < 1 || l.Column < 1 || l.Rule == "" || l.Message == "" || l.Fix == "" {
				t.Errorf("%q: %+v", text, l)
			}
		}
		for _, body := range []string{`{"a":1}`, `[[]]`, `5`} {
			if _, _, err := mapAll(d.NewMapper(), &Message{HasBody: true, Body: []byte(body)}); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestTypesAndVersion(t *testing.T) {
	d := mustLoad(t, wardMapping)
	want := []EmittedType{{"hr", []string{"v"}}, {"note", []string{"when", "note", "list"}}}
	if got := d.Types(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	other := mustLoad(t, wardMapping+" ")
	if v := d.Version(); len(v) != 16 || v == other.Version() || v != mustLoad(t, wardMapping).Version() {
		t.Errorf("versions %s %s", v, other.Version())
	}
}

// TestExamples: the mappings that come with the project load, and map the
// messages they are for.
func TestExamples(t *testing.T) {
	messages := map[string]string{
		"demo":      `{"deviceId":"d","patientId":"p","time":"2026-03-01T10:00:00.000Z","hr":72,"rr":14,"spo2":97,"sbp":120,"dbp":80,"temp":36.8,"avpu":"A","o2":0}`,
		"bidmc":     `{"recordId":"bidmc-01","time":"2012-01-01T00:00:00Z","HR":94,"PULSE":93,"RESP":25,"SpO2":97}`,
		"physionet": `{"recordId":"132539","time":"2012-01-01T00:07:00Z","parameter":"FiO2","value":0.50}`,
	}
	want := map[string]string{
		"demo":      "heartRate[{hr 72}] respiratoryRate[{rr 14}] oxygenSaturation[{spo2 97}] bloodPressure[{sbp 120} {dbp 80}] bodyTemperature[{temp 36.8}] consciousness[{acvpu A}] inhaledOxygen[{o2 0}]",
		"bidmc":     "HR[{v 94}] PULSE[{v 93}] RESP[{v 25}] SpO2[{v 97}]",
		"physionet": "FiO2[{v 0.5}]",
	}
	files, err := filepath.Glob("../examples/*/devicecontent.json")
	if err != nil || len(files) < len(want) {
		t.Fatalf("examples: %v %v", files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		d := mustLoad(t, string(text))
		name := filepath.Base(filepath.Dir(f))
		message, known := messages[name]
		if !known {
			continue
		}
		got, failures, err := mapAll(d.NewMapper(), &Message{HasBody: true, Body: []byte(message)})
		var told []string
		for _, m := range got {
			told = append(told, fmt.Sprint(m.Type, m.Properties))
		}
		if err != nil || len(failures) > 0 || strings.Join(told, " ") != want[name] {
			t.Errorf("%s: got %v %v %v", name, told, failures, err)
		}
	}
}
