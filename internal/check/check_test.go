package check

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func open(t *testing.T, names ...string) []File {
	t.Helper()
	var files []File
	for _, n := range names {
		text, err := os.ReadFile(filepath.Join("testdata", n))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, File{Name: n, Text: text})
	}
	return files
}

// golden compares with a file, or rewrites it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\ngot\n%s\nwant\n%s", name, got, want)
	}
}

func TestFormats(t *testing.T) {
	for name, files := range map[string][]string{
		"pair":   {"device.json", "fhir.json"},
		"broken": {"broken_fhir.json"},
	} {
		found, compared := Files(open(t, files...))
		if !compared {
			t.Errorf("%s: not compared", name)
		}
		for format, write := range map[string]func(io.Writer, []Finding) error{
			"txt": WriteText, "json": WriteJSON,
			"sarif": func(w io.Writer, all []Finding) error { return WriteSARIF(w, "1.0", all) },
		} {
			var b bytes.Buffer
			if err := write(&b, found); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".golden."+format, b.Bytes())
		}
	}
}

// What fits gives no finding.
func TestFittingFiles(t *testing.T) {
	files := open(t, "device.json", "fhir.json")
	files[1].Text = []byte(strings.NewReplacer(
		"HeartRate", "heartrate", "bloodpresure", "bloodpressure", `"CorrelationId"`, "0",
		",\n          "+`{"codes": [], "value": {"valueName": "perfusion", "valueType": "Quantity"}}`, "",
		`"codes": [{"code": "85354-9", "system": "http://loinc.org"}]`,
		`"codes": [{"code": "85354-9", "system": "http://loinc.org"}], "value": {"valueName": "systolic", "valueType": "Quantity"}`,
	).Replace(string(files[1].Text)))
	found, _ := Files(files)
	if len(found) != 1 || found[0].Rule != RuleValueUnused || found[0].Line != 13 {
		t.Errorf("got %+v, want that quality is not used", found)
	}
}

// rulesOf lists findings as level, rule, file and pointer.
func rulesOf(found []Finding) []string {
	var all []string
	for _, f := range found {
		all = append(all, fmt.Sprintf("%s %s %s %s", f.Level, f.Rule, f.File, f.Pointer))
	}
	return all
}

// deviceOf and fhirOf write mappings of templates, each of a type and its
// values.
func deviceOf(templates ...[]string) string {
	var all []string
	for _, t := range templates {
		var values []string
		for i, v := range t[1:] {
			values = append(values, fmt.Sprintf(`{"valueName":%q,"valueExpression":"$.v%d"}`, v, i))
		}
		all = append(all, fmt.Sprintf(`{"templateType":"JsonPathContent","template":{"typeName":%q,"typeMatchExpression":"$..[?(@m%d)]",`+
			`"deviceIdExpression":"$.d","timestampExpression":"$.t","values":[%s]}}`, t[0], len(all), strings.Join(values, ",")))
	}
	return `{"templateType":"CollectionContent","template":[` + strings.Join(all, ",") + `]}`
}

func fhirOf(period string, templates ...[]string) string {
	var all []string
	for _, t := range templates {
		var values []string
		for i, v := range t[1:] {
			values = append(values, fmt.Sprintf(`{"codes":[{"code":"c%d"}],"value":{"valueName":%q,"valueType":"Quantity"}}`, i, v))
		}
		all = append(all, fmt.Sprintf(`{"templateType":"CodeValueFhir","template":{"typeName":%q,"periodInterval":%q,"codes":[],"components":[%s]}}`,
			t[0], period, strings.Join(values, ",")))
	}
	return `{"templateType":"CollectionFhir","template":[` + strings.Join(all, ",") + `]}`
}

// A FHIR mapping that serves several device mappings is noted to with each of
// them, and fits all together.
func TestSharedFHIRMapping(t *testing.T) {
	cuff := File{Name: "cuff", Text: []byte(deviceOf([]string{"bp", "sys", "dia"}, []string{"bp", "sys", "dia"}))}
	line := File{Name: "line", Text: []byte(deviceOf([]string{"bp", "sys", "dia", "map"}, []string{"temp", "t"}))}
	both := File{Name: "fhir", Text: []byte(fhirOf("Single", []string{"bp", "sys", "dia", "map"}, []string{"temp", "t"}))}
	found, _ := Files([]File{cuff, both})
	if want := []string{
		"note value-not-emitted fhir /template/0/template/components/2/value/valueName",
		"note type-not-emitted fhir /template/1/template/typeName",
	}; !slices.Equal(rulesOf(found), want) {
		t.Errorf("got %v", rulesOf(found))
	}
	for _, files := range [][]File{{line, both}, {cuff, line, both}} {
		if found, _ := Files(files); len(found) > 0 {
			t.Errorf("got %v", rulesOf(found))
		}
	}
}

// What several templates of one type have in common is told once; what must be
// corrected in each is told of each. What a mapping says of itself is not said
// again.
func TestFindingsAreToldOnce(t *testing.T) {
	for name, test := range map[string]struct {
		device, fhir string
		want         []string
	}{
		"an unknown type": {
			deviceOf([]string{"a", "x"}, []string{"a", "x"}), fhirOf("Single"),
			[]string{"warning type-unmapped d /template/0/template/typeName"},
		},
		"an unused value": {
			deviceOf([]string{"a", "x"}, []string{"a", "y"}, []string{"a", "y"}), fhirOf("Single", []string{"a", "x"}),
			[]string{"warning value-unused d /template/1/template/values/0/valueName"},
		},
		"another spelling": {
			deviceOf([]string{"a", "x"}, []string{"a", "x"}), fhirOf("Single", []string{"A", "x"}),
			[]string{"warning type-case d /template/0/template/typeName"},
		},
		"no correlation": {
			deviceOf([]string{"a", "x"}, []string{"a", "x"}), fhirOf("CorrelationId", []string{"a", "x"}),
			[]string{"warning correlation-needed d /template/0/template/typeName", "warning correlation-needed d /template/1/template/typeName"},
		},
		"blank names": {
			deviceOf([]string{" ", "x"}, []string{"a", "", "x"}), fhirOf("Single", []string{"a", "x", ""}),
			[]string{"warning blank-name d /template/0/template/typeName", "warning blank-name d /template/1/template/values/0/valueName"},
		},
		"one value taken twice": {
			deviceOf([]string{"a"}), fhirOf("Single", []string{"a", "x", "x"}),
			[]string{
				"warning value-name-twice f /template/0/template/components/1/value/valueName",
				"note value-not-emitted f /template/0/template/components/0/value/valueName",
			},
		},
	} {
		found, _ := Files([]File{{Name: "d", Text: []byte(test.device)}, {Name: "f", Text: []byte(test.fhir)}})
		if got := rulesOf(found); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// Beyond so many names none is looked for that was meant.
func TestManyTypes(t *testing.T) {
	var many [][]string
	for i := range maxCandidates + 1 {
		many = append(many, []string{fmt.Sprintf("type%d", i)})
	}
	device := File{Name: "d", Text: []byte(deviceOf([]string{"type"}))}
	for _, n := range []int{maxCandidates, maxCandidates + 1} {
		found, _ := Files([]File{device, {Name: "f", Text: []byte(fhirOf("Single", many[:n]...))}})
		if guessed := strings.HasPrefix(found[0].Fix, "write "); found[0].Rule != RuleTypeUnmapped || guessed != (n == maxCandidates) {
			t.Errorf("%d: got %+v", n, found[0])
		}
	}
}

// The place of a finding is the place of what it is about.
func TestPlaces(t *testing.T) {
	files := open(t, "device.json", "fhir.json")
	text := map[string]string{"device.json": string(files[0].Text), "fhir.json": string(files[1].Text)}
	found, _ := Files(files)
	if len(found) == 0 {
		t.Fatal("nothing found")
	}
	for _, f := range found {
		line := strings.Split(text[f.File], "\n")[f.Line-1]
		if at := line[f.Column-1]; at != '"' || !strings.HasSuffix(f.Pointer, "Name") {
			t.Errorf("%+v stands at %q", f, at)
		}
	}
}

func TestKindOf(t *testing.T) {
	for text, want := range map[string]Kind{
		`{"templateType":"CollectionContent"}`:                      KindDevice,
		`{"TemplateType":"collectioncontenttemplate"} // CodeValue`: KindDevice,
		`{"templateType":"CollectionFhirTemplate"}`:                 KindFHIR,
		`{"templateType":"CollectionFhir", `:                        KindFHIR,
		`{"template":[{"templateType":"CodeValueFhir"}]}`:           KindFHIR,
		`{"template":[`: KindDevice,
		``:              KindDevice,
		`[]`:            KindDevice,
	} {
		if got := KindOf([]byte(text)); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestPairs(t *testing.T) {
	s := func(names ...string) (all []*shape) {
		for _, n := range names {
			all = append(all, &shape{file: n})
		}
		return all
	}
	for _, test := range []struct {
		devices, fhirs []*shape
		want           string
		compared       bool
	}{
		{s("d"), nil, "", true},
		{s("d"), s("f"), "d-f", true},
		{s("d1", "d2"), s("f1", "f2"), "d1-f1 d2-f2", true},
		{s("d1", "d2"), s("f"), "d1, d2-f", true},
		{s("d"), s("f1", "f2"), "d-f1 d-f2", true},
		{s("d1", "d2"), s("f1", "f2", "f3"), "", false},
	} {
		pairs, compared := pair(test.devices, test.fhirs)
		var got []string
		for _, p := range pairs {
			got = append(got, p.deviceNames()+"-"+p.fhir.file)
		}
		if strings.Join(got, " ") != test.want || compared != test.compared {
			t.Errorf("got %v %v, want %s %v", got, compared, test.want, test.compared)
		}
	}
}

// TestSARIF demands what the standard does of what we write.
func TestSARIF(t *testing.T) {
	found, _ := Files(open(t, "device.json", "fhir.json", "broken_device.json"))
	found = append(found, Finding{File: "/a b/\u00f6:1.json", Level: LevelError, Rule: RuleLoad, Line: 1, Column: 1, Message: "m"})
	var b bytes.Buffer
	if err := WriteSARIF(&b, "", found); err != nil {
		t.Fatal(err)
	}
	var log sarifLog
	d := json.NewDecoder(&b)
	d.DisallowUnknownFields()
	if err := d.Decode(&log); err != nil || log.Version != "2.1.0" || len(log.Runs) != 1 {
		t.Fatalf("got %+v, %v", log, err)
	}
	run := log.Runs[0]
	if run.Tool.Driver.Name == "" || len(run.Results) != len(found) {
		t.Errorf("got %+v", run)
	}
	for _, r := range run.Results {
		if run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID || r.Message.Text == "" || !slices.Contains([]Level{LevelError, LevelWarning, LevelNote}, r.Level) {
			t.Errorf("got %+v", r)
		}
		at := r.Locations[0].Physical
		if u, err := url.Parse(at.Artifact.URI); err != nil || u.Path == "" || at.Region.StartLine < 1 || at.Region.StartColumn < 1 {
			t.Errorf("got %+v, %v", at, err)
		}
	}
}

func TestURIs(t *testing.T) {
	for name, want := range map[string]string{
		"devicecontent.json": "devicecontent.json", "a b/c.json": "a%20b/c.json", "../x.json": "../x.json",
		"/abs/x.json": "file:///abs/x.json", "c:x.json": "./c:x.json",
	} {
		if got := uriOf(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func FuzzFiles(f *testing.F) {
	for _, names := range [][]string{{"device.json", "fhir.json"}, {"broken_device.json", "broken_fhir.json"}} {
		texts := make([]string, len(names))
		for i, n := range names {
			text, err := os.ReadFile(filepath.Join("testdata", n))
			if err != nil {
				f.Fatal(err)
			}
			texts[i] = string(text)
		}
		f.Add(texts[0], texts[1])
	}
	f.Add(`{templateType:'collectioncontent',template:[]}`, "\uFEFF{\"templateType\":\"CollectionFhir\",\"template\":[]}")
	f.Fuzz(func(t *testing.T, a, b string) {
		found, _ := Files([]File{{Name: "a", Text: []byte(a)}, {Name: "b", Text: []byte(b)}})
		for _, x := range found {
			text := map[string]string{"a": a, "b": b}[x.File]
			if x.Line < 1 || x.Column < 1 || x.Line > 1+strings.Count(text, "\n") || x.Rule == "" || x.Message == "" {
				t.Errorf("%+v in %q", x, text)
			}
		}
		if err := WriteSARIF(io.Discard, "", found); err != nil {
			t.Error(err)
		}
	})
}

// TestValidator holds what is found against the connector's own validator: what
// it refuses is refused, with as many faults, and what it warns of is warned of.
func TestValidator(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "cases", "connector.jsonl"))
	if err != nil {
		t.Skipf("the cases of the connector are not here: %v", err)
	}
	ran := 0
	for line := range bytes.Lines(text) {
		var c struct {
			ID, Kind                             string
			DeviceTemplate, FHIRTemplate         json.RawMessage
			DeviceTemplateText, FHIRTemplateText string
			Expected                             json.RawMessage
		}
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		if c.Kind != "validate" {
			continue
		}
		var expected struct{ TemplateExceptions []struct{ Level string } }
		if err := json.Unmarshal(c.Expected, &expected); err != nil {
			t.Fatal(err)
		}
		var files []File
		for kind, texts := range map[Kind][2]string{
			KindDevice: {c.DeviceTemplateText, string(c.DeviceTemplate)}, KindFHIR: {c.FHIRTemplateText, string(c.FHIRTemplate)},
		} {
			if whole := texts[0] + texts[1]; whole != "" && whole != "null" {
				files = append(files, File{Name: string(kind), Kind: kind, Text: []byte(whole)})
			}
		}
		if len(files) == 0 {
			continue
		}
		ran++
		want := map[string]int{}
		for _, x := range expected.TemplateExceptions {
			want[x.Level]++
		}
		found, _ := Files(files)
		errors, warnings := Count(found, LevelError), Count(found, LevelWarning)
		if errors < want["ERROR"] || errors > 0 && want["ERROR"] == 0 || warnings < want["WARN"] || warnings > 0 && want["WARN"] == 0 {
			t.Errorf("%s: %d errors and %d warnings, want %v: %+v", c.ID, errors, warnings, want, found)
		}
	}
	t.Logf("ran %d", ran)
}
