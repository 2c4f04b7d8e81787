package mapping

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math"
	"os"
	"strconv"
	"testing"
)

// connectorCase is one of the connector's own unit tests as data.
type connectorCase struct {
	ID       string          `json:"id"`
	Kind     string          `json:"kind"`
	Template json.RawMessage `json:"deviceTemplate"`
	Text     string          `json:"deviceTemplateText"`
	Payload  json.RawMessage `json:"payload"`
	Expected json.RawMessage `json:"expected"`
	Within   float64         `json:"numericTolerance"`
	Anyway   bool            `json:"ignoreLoadErrors"` // the tests use a mapping that its service refuses
}

func (c *connectorCase) mapping() []byte {
	if c.Text != "" {
		return []byte(c.Text)
	}
	return c.Template
}

// TestConnectorNormalize runs the connector's tests of whole mappings on
// messages. Those of loading and of single expressions run elsewhere.
func TestConnectorNormalize(t *testing.T) {
	text, err := os.ReadFile("../../shared/cases/connector.jsonl")
	if err != nil {
		t.Skipf("recorded cases are not here: %v", err)
	}
	count := 0
	s := bufio.NewScanner(bytes.NewReader(text))
	s.Buffer(nil, 1<<24)
	for s.Scan() {
		var c connectorCase
		if err := json.Unmarshal(s.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		if c.Kind == "normalize" {
			count++
			t.Run(c.ID, func(t *testing.T) { c.run(t) })
		}
	}
	t.Logf("%d cases", count)
}

func (c *connectorCase) run(t *testing.T) {
	var want []wireMeasurement
	wantFailure := json.Unmarshal(c.Expected, &want) != nil
	d, err := LoadDevice(c.mapping())
	if err != nil || c.Anyway {
		if err == nil || !wantFailure && !c.Anyway {
			t.Errorf("refused: %v", err)
		}
		return
	}
	got, failures, err := mapAll(d.NewMapper(), &Message{Body: c.Payload, HasBody: true, Whole: true})
	switch failed := err != nil || len(failures) > 0; {
	case failed != wantFailure:
		t.Errorf("failed: %v, want %v: %v %v", failed, wantFailure, err, failures)
	case !wantFailure && !sameMeasurements(got, want, c.Within):
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// sameMeasurements compares texts, and numbers within a tolerance.
func sameMeasurements(got, want []wireMeasurement, within float64) bool {
	if len(got) != len(want) {
		return false
	}
	for i := range got {
		g, w := got[i], want[i]
		if len(g.Properties) != len(w.Properties) {
			return false
		}
		for k := range g.Properties {
			if g.Properties[k].Name != w.Properties[k].Name || !sameValue(g.Properties[k].Value, w.Properties[k].Value, within) {
				return false
			}
		}
		if g.Type != w.Type || g.OccurrenceTimeUtc != w.OccurrenceTimeUtc || g.DeviceID != w.DeviceID || g.PatientID != w.PatientID ||
			g.EncounterID != w.EncounterID || g.CorrelationID != w.CorrelationID {
			return false
		}
	}
	return true
}

func sameValue(got, want string, within float64) bool {
	if got == want {
		return true
	}
	g, err1 := strconv.ParseFloat(got, 64)
	w, err2 := strconv.ParseFloat(want, 64)
	return err1 == nil && err2 == nil && math.Abs(g-w) <= within
}
