package mapping

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"auscult/internal/mapfile"
	"auscult/schemas"
)

// aCase is one line of the recorded behaviour of the connector.
type aCase struct {
	ID   string   `json:"id"`
	Tags []string `json:"tags"`
	In   struct {
		Device     string          `json:"device"`
		Body       *string         `json:"body"`
		Envelope   *string         `json:"envelope"`
		Properties json.RawMessage `json:"properties"`
		System     json.RawMessage `json:"system"`
	} `json:"in"`
	Want struct {
		Rule         string            `json:"rule"`
		Measurements []wireMeasurement `json:"measurements"`
		Errors       []struct {
			Message string `json:"message"`
			Line    int    `json:"line"`
		} `json:"errors"`
	} `json:"want"`
}

// wireMeasurement is a measurement as the connector writes it.
type wireMeasurement struct {
	Type              string
	OccurrenceTimeUtc string
	DeviceID          string `json:"DeviceId"`
	PatientID         string `json:"PatientId,omitempty"`
	EncounterID       string `json:"EncounterId,omitempty"`
	CorrelationID     string `json:"CorrelationId,omitempty"`
	Properties        []wireProperty
}

type wireProperty struct{ Name, Value string }

func wireOf(m *schemas.Measurement) wireMeasurement {
	w := wireMeasurement{
		Type: strings.Clone(m.Type), OccurrenceTimeUtc: m.Occurrence.String(), DeviceID: strings.Clone(m.Device),
		PatientID: strings.Clone(m.Patient), EncounterID: strings.Clone(m.Encounter),
		CorrelationID: strings.Clone(m.Correlation), Properties: []wireProperty{},
	}
	for _, v := range m.Values {
		w.Properties = append(w.Properties, wireProperty{strings.Clone(v.Name), strings.Clone(v.Text)})
	}
	return w
}

// propertiesOf reads properties in document order.
func propertiesOf(t testing.TB, raw json.RawMessage) []Property {
	t.Helper()
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	report := mapfile.NewReport(string(raw))
	root, ok := mapfile.Parse(report)
	if !ok {
		t.Fatal(report.Err())
	}
	var ps []Property
	for _, m := range root.Members {
		p := Property{Name: m.Name, Text: m.Value.Text}
		switch {
		case m.Value.Kind == mapfile.Int:
			p.Kind = PropertyInt
			if _, err := fmt.Sscan(m.Value.Text, &p.Int); err != nil {
				t.Fatal(err)
			}
		case m.Value.Text == "true" && m.Value.Kind == mapfile.Bool:
			p.Kind, p.Int = PropertyBool, 1
		case m.Value.Kind == mapfile.Bool:
			p.Kind = PropertyBool
		case m.Value.Kind == mapfile.Null:
			p.Kind = PropertyNull
		case m.Value.Kind == mapfile.Text:
		default:
			t.Fatalf("property %s is %s", m.Name, m.Value.Kind)
		}
		ps = append(ps, p)
	}
	return ps
}

func (c *aCase) message(t *testing.T) *Message {
	m := &Message{Properties: propertiesOf(t, c.In.Properties), System: propertiesOf(t, c.In.System)}
	if c.In.Body != nil && *c.In.Body != "" {
		m.Body, m.HasBody = []byte(*c.In.Body), true
	}
	if c.In.Envelope != nil {
		m.Body, m.HasBody, m.Whole = []byte(*c.In.Envelope), true, true
	}
	return m
}

// mapAll returns what a mapper gives for a message, copied.
func mapAll(m *Mapper, msg *Message) (got []wireMeasurement, failures []Failure, err error) {
	got = []wireMeasurement{}
	err = m.Map(msg,
		func(out *schemas.Measurement) { got = append(got, wireOf(out)) },
		func(f Failure) { failures = append(failures, f) })
	return got, failures, err
}

// run compares one case with the recorded behaviour.
func (c *aCase) run(t *testing.T) {
	d, err := LoadDevice([]byte(c.In.Device))
	if err != nil {
		c.checkLoadErrors(t, err)
		switch c.Want.Rule {
		case "refuse", "refuse-or-error", "any":
			return
		}
		t.Errorf("%s: refused, but the rule is %s: %v\n%s", c.ID, c.Want.Rule, err, c.In.Device)
		return
	}
	got, failures, err := mapAll(d.NewMapper(), c.message(t))
	want := c.Want.Measurements
	failed := err != nil || len(failures) > 0
	switch c.Want.Rule {
	case "refuse":
		t.Errorf("%s: loaded, want refusal with %v", c.ID, c.Want.Errors)
	case "refuse-or-error":
		if !failed {
			t.Errorf("%s: no error", c.ID)
		}
	case "exact":
		if failed || len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %v\nwant %v\nerr %v failures %v\nmapping %s\nbody %s", c.ID, got, want, err, failures, c.In.Device, c.message(t).Body)
		}
	case "error":
		if !failed || len(got) < len(want) || len(want) > 0 && !reflect.DeepEqual(got[:len(want)], want) {
			t.Errorf("%s: (error)\n got %v\nwant %v\nerr %v failures %v\nmapping %s\nbody %s", c.ID, got, want, err, failures, c.In.Device, c.message(t).Body)
		}
	}
}

// checkLoadErrors demands a place for each fault, and one for each place that
// the connector complains about.
func (c *aCase) checkLoadErrors(t *testing.T, err error) {
	places := map[[2]int]bool{}
	for _, e := range LoadErrors(err) {
		if e.Line < 1 || e.Column < 1 || e.Line > 1+strings.Count(c.In.Device, "\n") || e.Message == "" {
			t.Errorf("%s: no place in %+v", c.ID, e)
		}
		places[[2]int{e.Line, e.Column}] = true
	}
	if len(places) == 0 {
		t.Errorf("%s: refused without a fault: %v", c.ID, err)
	}
	wanted := map[string]bool{}
	for _, e := range c.Want.Errors {
		if _, member, ok := strings.Cut(e.Message, "Required property"); ok {
			wanted[fmt.Sprint(e.Line, member)] = true // the rest repeats one of these
		}
	}
	if got := len(LoadErrors(err)); c.Want.Rule == "refuse" && got < len(wanted) {
		t.Errorf("%s: %d faults, the connector has %d: %v", c.ID, got, len(wanted), err)
	}
}

func readCases(t *testing.T, path string) []aCase {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Skipf("recorded cases are not here: %v", err)
	}
	var cases []aCase
	s := bufio.NewScanner(bytes.NewReader(b))
	s.Buffer(nil, 1<<24)
	for s.Scan() {
		var c aCase
		if err := json.Unmarshal(s.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		cases = append(cases, c)
	}
	return cases
}

// TestCases runs a selection of the connector's recorded behaviour.
func TestCases(t *testing.T) { runCases(t, "testdata/normalize.jsonl") }

// TestAllCases runs all of it, where the files are there.
func TestAllCases(t *testing.T) {
	for _, name := range []string{"normalize", "suites"} {
		t.Run(name, func(t *testing.T) { runCases(t, "../../shared/cases/"+name+".jsonl") })
	}
}

// runCases runs each case on its own and logs the score by tag.
func runCases(t *testing.T, path string) {
	right, all := map[string]int{}, map[string]int{}
	for _, c := range readCases(t, path) {
		ok := t.Run(c.ID, func(t *testing.T) { c.run(t) })
		for _, tag := range append(c.Tags, "rule "+c.Want.Rule) {
			all[tag]++
			if ok {
				right[tag]++
			}
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(all)) {
		t.Logf("%5d of %5d %s", right[tag], all[tag], tag)
	}
}

// TestWorkloads maps the benchmark messages.
func TestWorkloads(t *testing.T) {
	files, _ := filepath.Glob("../../shared/workloads/*.template.json")
	if len(files) == 0 {
		t.Skip("workloads are not here")
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		d, err := LoadDevice(text)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		measurements := 0
		m := d.NewMapper()
		for _, line := range readLines(t, strings.Replace(f, ".template.json", ".messages.jsonl", 1)) {
			got, failures, err := mapAll(m, &Message{Body: line, HasBody: true, Whole: true})
			if err != nil || len(failures) > 0 {
				t.Fatalf("%s: %v %v", f, err, failures)
			}
			measurements += len(got)
		}
		t.Logf("%s: %d measurements", filepath.Base(f), measurements)
		if measurements == 0 {
			t.Errorf("%s: nothing matched", f)
		}
	}
}

func readLines(t testing.TB, path string) [][]byte {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSpace(b), []byte("\n"))
}
