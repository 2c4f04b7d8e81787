package dryrun

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"testing"
)

// connectorCase is a line of what the connector's own tests and samples say, as
// far as it can be asked in a batch file.
type connectorCase struct {
	ID   string `json:"id"`
	Kind string `json:"kind"`

	DeviceTemplate     json.RawMessage   `json:"deviceTemplate"`
	DeviceTemplateText *string           `json:"deviceTemplateText"`
	FHIRTemplate       json.RawMessage   `json:"fhirTemplate"`
	FHIRTemplateText   *string           `json:"fhirTemplateText"`
	Payload            json.RawMessage   `json:"payload"`
	Payloads           []json.RawMessage `json:"payloads"`
	ResolvedIDs        struct{ Patient, Device string }
	Tolerance          float64         `json:"numericTolerance"`
	IgnoreLoadErrors   bool            `json:"ignoreLoadErrors"`
	Expected           json.RawMessage `json:"expected"`
	Observation        json.RawMessage `json:"expectedObservation"`
}

// connectorDeliberate are lines where we differ on purpose.
var connectorDeliberate = map[string]string{
	"quirk-load-calculatedcontenttemplate-name": "every template type may end with Template",
}

// line writes the case as a line of a batch file; empty when it is none.
func (c *connectorCase) line(t *testing.T) []byte {
	in := map[string]any{}
	put := func(name string, text *string, template json.RawMessage) {
		if text != nil {
			in[name] = *text
		} else if template != nil {
			in[name] = string(template)
		}
	}
	put("device", c.DeviceTemplateText, c.DeviceTemplate)
	put("fhir", c.FHIRTemplateText, c.FHIRTemplate)
	switch c.Kind {
	case opNormalize:
		in["envelope"] = string(c.Payload)
	case opE2E:
		in["resources"] = c.resources(t)
		var batch []any
		for _, p := range c.Payloads {
			batch = append(batch, map[string]any{"envelope": string(p)})
		}
		in["batches"] = []any{batch}
	case opLoadDevice, opLoadFHIR:
	default:
		return nil
	}
	text, err := plainJSON(map[string]any{"id": c.ID, "op": c.Kind, "in": in})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// resources are those that the resolved ids speak of.
func (c *connectorCase) resources(t *testing.T) []any {
	var ms []Measurement
	if err := json.Unmarshal(c.Expected, &ms); err != nil {
		t.Fatal(err)
	}
	device := map[string]any{"resourceType": "Device", "id": c.ResolvedIDs.Device,
		"identifier": []any{map[string]any{"value": ms[0].DeviceID}}, "patient": map[string]any{"reference": "Patient/" + c.ResolvedIDs.Patient}}
	return []any{device, map[string]any{"resourceType": "Patient", "id": c.ResolvedIDs.Patient}}
}

// check compares an answer with what is expected.
func (c *connectorCase) check(text []byte) error {
	var got answered
	if err := json.Unmarshal(text, &got); err != nil {
		return err
	}
	var expected struct {
		Valid  *bool
		Error  json.RawMessage
		Errors []json.RawMessage
	}
	list := json.Unmarshal(c.Expected, &expected) != nil
	switch refused := got.Load != nil && len(got.Load.Errors) > 0; {
	case got.Error != "":
		return errors.New(got.Error)
	case c.Kind == opE2E && !refused:
		return c.checkObservations(&got)
	case list && refused:
		return fmt.Errorf("refused: %v", got.Load.Errors)
	case list:
		return c.checkMeasurements(&got)
	case expected.Error != nil && len(got.Errors) == 0 && !refused:
		return errors.New("no error")
	case expected.Error != nil:
		return nil
	case expected.Valid != nil && *expected.Valid == refused:
		return fmt.Errorf("valid is to be %v: %v", *expected.Valid, got.Load)
	case len(expected.Errors) > 0 && (got.Load == nil || len(got.Load.Errors) < len(expected.Errors)):
		return fmt.Errorf("%d faults are to be told: %v", len(expected.Errors), got.Load)
	}
	return nil
}

func (c *connectorCase) checkMeasurements(got *answered) error {
	var want []map[string]any
	if err := decode(c.Expected, &want); err != nil {
		return err
	}
	if len(got.Errors) > 0 || len(got.Measurements) != len(want) {
		return fmt.Errorf("%d measurements, %v; want %d", len(got.Measurements), got.Errors, len(want))
	}
	for i, w := range want {
		for name, value := range w {
			if value == nil {
				delete(w, name)
			}
		}
		text, err := plainJSON(w)
		if err != nil {
			return err
		}
		if !c.same(got.Measurements[i], text) {
			return fmt.Errorf("got %s\nwant %s", got.Measurements[i], text)
		}
	}
	return nil
}

// same compares measurements; numbers within the tolerance of the case.
func (c *connectorCase) same(a, b []byte) bool {
	if c.Tolerance == 0 {
		return sameJSON(a, b)
	}
	var x, y Measurement
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil || len(x.Properties) != len(y.Properties) {
		return false
	}
	for i := range x.Properties {
		v, err1 := strconv.ParseFloat(x.Properties[i].Value, 64)
		w, err2 := strconv.ParseFloat(y.Properties[i].Value, 64)
		if err1 == nil && err2 == nil && math.Abs(v-w) > c.Tolerance || x.Properties[i].Name != y.Properties[i].Name {
			return false
		}
	}
	return x.Type == y.Type && x.OccurrenceTimeUtc == y.OccurrenceTimeUtc && x.DeviceID == y.DeviceID
}

func (c *connectorCase) checkObservations(got *answered) error {
	want := []json.RawMessage{c.Observation}
	if bytes.HasPrefix(c.Observation, []byte("[")) {
		if err := json.Unmarshal(c.Observation, &want); err != nil {
			return err
		}
	}
	if len(got.Batches) != 1 || len(got.Batches[0].Errors) > 0 || len(got.Batches[0].Writes) != len(want) {
		return fmt.Errorf("got %+v, want %d writes", got.Batches, len(want))
	}
	for i := range want {
		if !sameJSON(got.Batches[0].Writes[i], want[i]) {
			return fmt.Errorf("got %s\nwant %s", got.Batches[0].Writes[i], want[i])
		}
	}
	return nil
}

// TestConnectorCases asks the connector's own tests and samples as lines of a
// batch file.
func TestConnectorCases(t *testing.T) {
	text, err := os.ReadFile(shared("connector.jsonl"))
	if err != nil {
		t.Skipf("the cases of the connector are not here: %v", err)
	}
	s := score{}
	a := new(Answerer)
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var c connectorCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		line := c.line(t)
		if line == nil || c.IgnoreLoadErrors {
			continue
		}
		err := c.check(a.Answer(line))
		s.add(err == nil, c.Kind)
		if why, differs := connectorDeliberate[c.ID]; differs == (err == nil) {
			t.Errorf("%s (to differ: %q): %v", c.ID, why, err)
		}
	}
	s.log(t)
}
