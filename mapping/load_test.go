package mapping

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// faults writes what LoadDevice says, one fault a line.
func faults(t *testing.T, text string) string {
	t.Helper()
	_, err := LoadDevice([]byte(text))
	var b strings.Builder
	for _, e := range LoadErrors(err) {
		state := ""
		if e.Unsupported {
			state = " (unsupported)"
		}
		fmt.Fprintf(&b, "%d:%d %s %s%s\n", e.Line, e.Column, e.Pointer, e.Message, state)
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
      "typeName": "hr", "typeMatchExpression": "$..[?(@a > 5)]",
      "deviceIdExpression": {"value": "to_string(x)", "language": "JmesPath"},
      "timestampExpression": "$.a.",
      "patientIdExpression": 5,
      "values": [{"valueName": "v", "valueExpression": "$.a[*].b", "unit": "x", "required": "maybe"}, {"valueName": [], }],
    }},
    {"templateType": "Nonsense"},
    {"templateType": "JsonPathContent", "template": {"typeMatchExpression": "", "deviceIdExpression": "2020-01-01T00:00:00Z", "timestampExpression": null}},
    7,
    {"templateType": "IotJsonPathContent", "template": []},
  ],
}`)
	want := `6:55 /template/0/template/typeMatchExpression template "hr": typeMatchExpression: not supported yet: the operator > (unsupported)
7:40 /template/0/template/deviceIdExpression/value template "hr": deviceIdExpression: not supported yet: JMESPath (unsupported)
8:35 /template/0/template/timestampExpression template "hr": timestampExpression: the path ends with a dot
9:30 /template/0/template/patientIdExpression template "hr": patientIdExpression is not an expression
10:68 /template/0/template/values/0/unit template "hr": unknown member "unit"
10:93 /template/0/template/values/0/required template "hr": required is not a truth value
10:60 /template/0/template/values/0/valueExpression template "hr": valueExpression: not supported yet: a wildcard (unsupported)
10:117 /template/0/template/values/1/valueName template "hr": valueName is not a text
10:103 /template/0/template/values/1/valueExpression template "hr": valueExpression is missing
12:22 /template/1/templateType no such template type: "Nonsense"
13:53 /template/2/template/typeName template "": typeName is missing
13:77 /template/2/template/typeMatchExpression template "": typeMatchExpression is blank
13:103 /template/2/template/deviceIdExpression template "": deviceIdExpression is a date, not an expression
13:150 /template/2/template/timestampExpression template "": timestampExpression is null
14:5 /template/3 a template is not an object
15:56 /template/4/template the template of a IotJsonPathContent is not an object
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	_, err := LoadDevice([]byte(`{"templateType":"Collection"}`))
	if err == nil || err.Error() != `line 1, column 17: the template type of the mapping is "Collection": write CollectionContent` {
		t.Errorf("got %v", err)
	}
}

// TestLoadSyntax: broken JSON is one fault with its place.
func TestLoadSyntax(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":1`:                               "1:7  the file ends too early: } is missing\n",
		"{\n \"a\" 1}":                         "2:6  expected a colon after \"a\"\n",
		"[1,\n2":                               "2:2  the file ends too early: ] is missing\n",
		"[1 2]":                                "1:4  expected a comma or ]\n",
		`{"a":"x`:                              "1:6  a string does not end\n",
		`["\q"]`:                               "1:3  unknown escape in a string\n",
		"/* no end":                            "1:1  a comment does not end\n",
		"[nul]":                                "1:2  expected a value\n",
		"{} {}":                                "1:4  unexpected text after the end of the mapping\n",
		"{,}":                                  "1:2  expected a member name\n",
		strings.Repeat("[", 200):               "1:129  nested too deep\n",
		"\xff":                                 "1:1  the file is not valid UTF-8\n",
		"[]":                                   "1:1  the mapping is not an object\n",
		`{"templateType":"x"`:                  "1:20  the file ends too early: } is missing\n",
		"//only a comment":                     "1:1  the file is empty\n",
		`{"templateType":"CollectionContent"}`: "1:1 /template template is not an array\n",
	} {
		if got := faults(t, text); got != want {
			t.Errorf("%.40q: got %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{"", " \n", "\uFEFF{\"templateType\":\"collectioncontenttemplate\",\"template\":[]} // end"} {
		if d, err := LoadDevice([]byte(text)); err != nil || len(d.Types()) != 0 {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestPaths: which expressions load, and what is said of those that do not.
func TestPaths(t *testing.T) {
	const ok = ""
	for path, want := range map[string]string{
		"$.a.b": ok, "a.b": ok, "$": ok, "$a": ok, "$['a b'].c-d": ok, "$.a[0].b": ok, "$.a(1)": ok, "$.a[ 2 ]": ok, "@x": ok, "$.heart rate": `unexpected ' '`,
		"$.a..b": "not supported yet: recursive descent", "$..a": "not supported yet: recursive descent", "$.*": "not supported yet: a wildcard", "$.a[*]": "not supported yet: a wildcard",
		"$['a','b']": "not supported yet: a list of names", "$.a[0,1]": "not supported yet: a list of indices", "$.a[1:2]": "not supported yet: a slice",
		"$.a[-1]": "not supported yet: a negative index", "$.a[?(@b)]": "not supported yet: a filter", "$.a[": "a bracket does not close", "$.a[]": "an index is missing", "$.a[0": "a bracket does not close",
		"$.a[x]": `"x" is no index`, "$.a[::0]": "a slice cannot step by 0", "$.a[1:2:3:4]": "too many numbers", `$["a"]`: "is no index", "$.a[0]b": "after a bracket",
		"$['a": "does not end", `$['\q']`: "unknown escape", "$['a'b]": "must be followed by", "$.a]": "unexpected ']'", "$.": "ends with a dot", "$[99999999999]": "is no index",
	} {
		check(t, "valueExpression", path, want)
	}
	for path, want := range map[string]string{
		"$..[?(@a)]": ok, "$..[?(@.a)]": ok, "$..[?(@a.b[0] && @['c d'] == 'x')]": ok, "$..[?(@a == 1 && @b == true && @c == null && @d == 1.5)]": ok,
		"$.Body..[?(@a)]": ok, "$.Body.x": ok, "$..[?( @a )]": ok, "$..[?(@a=='\\'')]": ok,
		"$..[?(@a || @b)]": "not supported yet: ||", "$..[?(@a != 1)]": "not supported yet: the operator !=", "$..[?(@a =~ /x/i)]": "not supported yet: the operator =~",
		"$..[?(1 == @a)]": "not supported yet: a filter that begins with a literal", "$..[?(@a == @b)]": "not supported yet: == with anything but a literal",
		"$..[?(@)]": "not supported yet: a filter that does not begin with a name", "$..[?($.a)]": "not supported yet: $ in a filter", "$..[?(@[0])]": "not supported yet: a filter that does not begin",
		"$.Body[?(@a)]": "not supported yet: a filter here", "$..[?(@a)].b": "not supported yet", "$..[?(@a==1&&@b)]": "is no number", "$..[?(@a &&)]": "unexpected ')'",
		"$..[?(@a": "does not end", "$..[?(@a)": "must end with", "$..[?@a]": "must be written", "$..[? (@a)]": "must be written", "$..[?(@a & @b)]": "must end with ) or go on",
		"$..[?(@a == )]": "unexpected ')'", "$..[?(@a ~ 1)]": "no operator", "$..[?(@a == \"x\")]": "unexpected '\"'", "$..[?(@a =~ /x)]": "does not end", "$..[?(@a == 99999999999999999999)]": "is no number",
		"$..[?(@a == 1.5x)]": "is no number", "$..[?(@a.)]": "ends with a dot",
	} {
		check(t, "typeMatchExpression", path, want)
	}
}

// check loads a template with one expression replaced.
func check(t *testing.T, field, path, want string) {
	t.Helper()
	of := map[string]string{"typeMatchExpression": "$.Body", "valueExpression": "$.a", field: path}
	quoted := func(name string) string {
		return `"` + name + `":"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(of[name]) + `"`
	}
	got := faults(t, `{"templateType":"CollectionContent","template":[{"templateType":"JsonPathContent","template":{"typeName":"t",`+quoted("typeMatchExpression")+
		`,"deviceIdExpression":"$.d","timestampExpression":"$.t","values":[{"valueName":"v",`+quoted("valueExpression")+`}]}}]}`)
	if want == "" && got != "" || !strings.Contains(got, want) || strings.Count(got, "\n") > 1 {
		t.Errorf("%s %s: got %q, want %q", field, path, got, want)
	}
}

// FuzzLoadDevice: no file crashes the loader, and what it loads can be used.
func FuzzLoadDevice(f *testing.F) {
	f.Add(wardMapping)
	f.Add(naiveMapping)
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
		for _, body := range []string{`{"a":1}`, `[[]]`, `5`} {
			if _, _, err := mapAll(d.NewMapper(), &Message{HasBody: true, Body: []byte(body)}); err != nil {
				t.Error(err)
			}
		}
	})
}

// FuzzParsePath: no expression crashes the parser or keeps it busy.
func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"$..[?(@a == 'x' && @b[0])]", "a['b','c'][1:2].*", "$.a(0)", "$[?(@=~/x/i)]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, fault := parsePath(s); fault != nil && (fault.at < 0 || fault.at > len(s) || fault.message == "") {
			t.Errorf("%q: %+v", s, fault)
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
