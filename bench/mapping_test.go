package main

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"auscult/mapping"
	"auscult/schemas"
)

// smallWorkloads have the shape of W1 to W5, and messages with what the large
// ones do not have: escapes, blanks, numbers of all kinds, templates that match
// together.
const smallWorkloads = "testdata/workloads"

func TestContendersAgree(t *testing.T) {
	for _, name := range workloadNames() {
		w, err := readWorkload(smallWorkloads, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range forms {
			subjects, refused, err := enter(w, f)
			if err != nil {
				t.Errorf("%s: %v", f, err)
			}
			for who, why := range refused {
				t.Logf("%s as %s is refused by %s: %v", name, f, who, why)
			}
			if n := len(subjects) + len(refused); err == nil && n != len(contenders) {
				t.Errorf("%s as %s: %d contenders, want %d", name, f, n, len(contenders))
			}
			for i := range subjects {
				if err := subjects[i].work(len(w.messages[f])); err != nil {
					t.Errorf("%s as %s: %v", name, f, err)
				}
			}
		}
	}
}

// What the contenders agree on is what the mapping files mean.
func TestMeasurements(t *testing.T) {
	w, err := readWorkload(smallWorkloads, "W2")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`bodytemperature, device "a1", patient "a1", 2024-03-01T00:00:01.25Z: temp="98.6"`,
		`bloodpressure, device "a1", patient "a1", 2024-03-01T00:00:01.25Z: systolic="121" diastolic="79"`,
	}
	for _, f := range forms {
		for _, e := range contenders {
			c, err := e.make(w, f)
			if err != nil {
				t.Fatal(err)
			}
			var out output
			if err := c.apply(&w.messages[f][0], &out); err != nil {
				t.Fatal(err)
			}
			all, err := out.read()
			if err != nil || len(all) != 4 {
				t.Fatalf("%s: %d measurements, %v", e.name, len(all), err)
			}
			for i, line := range want {
				if got := spellOne(&all[2+i]); got != line {
					t.Errorf("%s as %s:\n got %s\nwant %s", e.name, f, got, line)
				}
			}
		}
	}
}

// fixed gives one measurement, whatever the message.
type fixed struct{ m schemas.Measurement }

func (f *fixed) apply(_ *input, out *output) error {
	out.add(&f.m)
	return nil
}

// silent gives none.
type silent struct{}

func (silent) apply(*input, *output) error { return nil }

func TestDisagreementIsTold(t *testing.T) {
	base := schemas.Measurement{Type: "hr", Device: "d", Patient: "p", Occurrence: 7, Values: []schemas.NamedText{{Name: "hr", Text: "60"}}}
	same := &fixed{base}
	messages := []input{wholeInput([]byte("{}"))}
	if err := agree("W1", messages, "a", same, "b", &fixed{base}); err != nil {
		t.Error(err)
	}
	for what, change := range map[string]func(*schemas.Measurement){
		"type":    func(m *schemas.Measurement) { m.Type = "HR" },
		"device":  func(m *schemas.Measurement) { m.Device = "" },
		"patient": func(m *schemas.Measurement) { m.Patient = "q" },
		"time":    func(m *schemas.Measurement) { m.Occurrence++ },
		"name":    func(m *schemas.Measurement) { m.Values[0].Name = "x" },
		"text":    func(m *schemas.Measurement) { m.Values[0].Text = "60.0" },
		"count":   func(m *schemas.Measurement) { m.Values = nil },
	} {
		other := &fixed{base}
		other.m.Values = slices.Clone(base.Values)
		change(&other.m)
		err := agree("W1", messages, "a", same, "b", other)
		if d := (*disagreement)(nil); !errors.As(err, &d) || !strings.Contains(err.Error(), "W1, message 1") || d.got[0] == d.got[1] {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if err := agree("W1", messages, "a", silent{}, "b", silent{}); err == nil {
		t.Error("nothing agrees with nothing")
	}
}

func TestReadProperties(t *testing.T) {
	got, err := readProperties([]byte(`{"text": "a\u00e9", "int": -12, "float": 1.5, "yes": true, "no": false, "none": null}`))
	want := []mapping.Property{
		{Name: "text", Text: "a\u00e9"}, {Name: "int", Kind: mapping.PropertyInt, Int: -12},
		{Name: "float", Kind: mapping.PropertyFloat, Float: 1.5}, {Name: "yes", Kind: mapping.PropertyBool, Int: 1},
		{Name: "no", Kind: mapping.PropertyBool}, {Name: "none", Kind: mapping.PropertyNull},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{`[]`, `{"a": {}}`, `{"a": 1e999}`, `{"a": 99999999999999999999}`, `{"a"`} {
		if _, err := readProperties([]byte(bad)); err == nil {
			t.Errorf("%s is read", bad)
		}
	}
}

func TestAppendNumber(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", 72: "72", 72.1: "72.1", -0.5: "-0.5", 99.06554639937909: "99.06554639937909", 0.0001: "0.0001",
		0.00001: "1E-05", 1e16: "10000000000000000", 1e17: "1E+17", -1.5e-7: "-1.5E-07", 1e21: "1E+21", 57 * 0.0254: "1.4478",
	} {
		if got := string(appendNumber(nil, f)); got != want {
			t.Errorf("%g is %s, want %s", f, got, want)
		}
	}
	if got := string(appendNumber(nil, math.Copysign(0, -1))); got != "-0" {
		t.Errorf("-0 is %s", got)
	}
}

func TestAddTemplates(t *testing.T) {
	w1, err1 := readWorkload(smallWorkloads, "W1")
	w4, err2 := readWorkload(smallWorkloads, "W4")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	text, err := addTemplates(w1.template, w4.template)
	if err != nil {
		t.Fatal(err)
	}
	d, err := mapping.LoadDevice(text)
	if err != nil || len(d.Types()) != 1+addedTemplates {
		t.Errorf("%d types, %v", len(d.Types()), err)
	}
	if _, err := addTemplates(w4.template, w1.template); err == nil {
		t.Error("a file without such templates is accepted")
	}
}

func TestReached(t *testing.T) {
	for ratio, want := range map[float64]string{0.46: "none", 0.45: "must", 0.26: "must", 0.25: "goal", 0.13: "goal", 0.12: "moonshot"} {
		if got := reached("W1", ratio); got != want {
			t.Errorf("%g reaches %s, want %s", ratio, got, want)
		}
	}
}

// Cases are measured once each, and only those without an error.
func TestReadCases(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cases.jsonl")
	lines := `{"id": "a", "in": {"device": "D", "body": "{}"}, "want": {"rule": "exact", "measurements": [{}]}}
{"id": "b", "in": {"device": "D", "body": "{}"}, "want": {"rule": "exact"}}
{"id": "c", "in": {"device": "D", "body": "{}", "properties": {"p": "1"}}, "want": {"rule": "exact"}}
{"id": "d", "in": {"device": "D", "body": "[]"}, "want": {"rule": "error"}}
`
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	cases, err := readCases(path)
	if err != nil || len(cases) != 2 || cases[0].ID != "a" || cases[1].ID != "c" || len(cases[0].Want.Measurements) != 1 {
		t.Errorf("got %+v, %v", cases, err)
	}
}

// Refused mappings and wrong answers are told, never measured.
func TestGeneralSorts(t *testing.T) {
	w, err := readWorkload(smallWorkloads, "W1")
	if err != nil {
		t.Fatal(err)
	}
	g := &generalFigures{refused: map[string][]string{}}
	for id, change := range map[string]func(*recordedCase){
		"fine":    func(*recordedCase) {},
		"refused": func(c *recordedCase) { c.In.Device = `{"templateType": "Nothing"}` },
		"wrong":   func(c *recordedCase) { c.Want.Measurements = nil },
		"bare":    func(c *recordedCase) { c.In.Envelope = "" },
	} {
		c := &recordedCase{ID: id}
		c.In.Device, c.In.Envelope = string(w.template), string(w.messages[formEnvelope][0].text)
		c.Want.Measurements = append(c.Want.Measurements, nil)
		change(c)
		if err := g.measure(t.Context(), newMeter(1, 1, time.Microsecond), c); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	g.print(&out)
	for _, want := range []string{"1 cases: median", "1 cases without bytes", "recorded and are left out: wrong", "1 cases are refused", "(refused first)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
}

func TestGrowersAreLinearInput(t *testing.T) {
	for i := range growers {
		short, long := len(growers[i].input(10).text), len(growers[i].input(40).text)
		if growth := float64(long) / float64(short); growth < 2 || growth > 4 {
			t.Errorf("%s: %d and %d bytes", growers[i].expression, short, long)
		}
	}
}

func TestMissingInput(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-workloads", "nowhere"}, "give -workloads the folder"},
		{[]string{"-workloads", "testdata", "-only", "W1"}, "give -workloads the folder"},
		{[]string{"-workloads", smallWorkloads, "-cases", "nowhere"}, "give -cases the file"},
		{[]string{"-workloads", smallWorkloads, "-only", "W6"}, "there are W1"},
		{[]string{"-workloads", smallWorkloads, "-only", "W1", "-rounds", "0"}, "-rounds"},
	} {
		if err := runMapping(t.Context(), c.args, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v", c.args, err)
		}
	}
}

// A whole run, too short to say anything about speed.
func TestMappingRun(t *testing.T) {
	o, err := parseMapping([]string{"-workloads", smallWorkloads, "-only", "W1,W5,added,growth", "-rounds", "1"})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	b := &mappingBench{mappingOptions: o, meter: newMeter(1, 1, 100*time.Microsecond), out: &out}
	if err := b.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Form envelope", "Form body", "benthos Bloblang", "must", "0.45", "0.60", "auscult reaches", "0 allocations a message",
		"19 more templates", "envelope: ", "$..[?(@x)]", "Body.a[].b[].c",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
}
