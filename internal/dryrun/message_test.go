package dryrun

import (
	"encoding/json"
	"reflect"
	"testing"

	"auscult/mapping"
)

func TestProperties(t *testing.T) {
	got, err := readProperties("properties", json.RawMessage(
		` {"z":"2026-01-31T00:00:00Z","i":-7,"f":1.50,"e":1e3,"t":true,"n":null,"a":false,"long":123456789012345678901,"far":1e999} `))
	want := []mapping.Property{
		{Name: "z", Text: "2026-01-31T00:00:00Z"},
		{Name: "i", Kind: mapping.PropertyInt, Int: -7},
		{Name: "f", Kind: mapping.PropertyFloat, Float: 1.5},
		{Name: "e", Kind: mapping.PropertyFloat, Float: 1000},
		{Name: "t", Kind: mapping.PropertyBool, Int: 1},
		{Name: "n", Kind: mapping.PropertyNull},
		{Name: "a", Kind: mapping.PropertyBool},
		{Name: "long", Text: "123456789012345678901"},
		{Name: "far", Text: "1e999"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, none := range []string{"", "null", "{}"} {
		if got, err := readProperties("properties", json.RawMessage(none)); len(got) != 0 || err != nil {
			t.Errorf("%q: %v, %v", none, got, err)
		}
	}
	for _, bad := range []string{`[]`, `"x"`, `{"a":{}}`, `{"a":[1]}`} {
		if _, err := readProperties("properties", json.RawMessage(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestIsEnvelope(t *testing.T) {
	for text, want := range map[string]bool{
		`{"Body":{}}`: true, ` {"Body":null,"Properties":{},"SystemProperties":{}} `: true,
		`{"Properties":{}}`: false, `{"Body":{},"x":1}`: false, `{"body":{}}`: false, `[]`: false, `{"Body":`: false, `{"Body":1} 2`: false, ``: false,
	} {
		if got := IsEnvelope([]byte(text)); got != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
}

func TestReadMeasurement(t *testing.T) {
	for text, want := range map[string]string{
		"2026-01-31T10:00:00Z": "2026-01-31T10:00:00Z", "2026-01-31T12:00:00+02:00": "2026-01-31T10:00:00Z",
		"2026-01-31T10:00:00.50": "2026-01-31T10:00:00.5Z", "": "0001-01-01T00:00:00Z",
	} {
		m, err := readMeasurement(json.RawMessage(`{"Type":"t","OccurrenceTimeUtc":"` + text + `","PatientId":null,"Properties":null}`))
		if err != nil || m.OccurrenceTimeUtc != want || m.Properties == nil {
			t.Errorf("%s: got %+v, %v", text, m, err)
		}
	}
	for _, bad := range []string{`{"OccurrenceTimeUtc":"soon"}`, `{"IngestionTimeUtc":"soon"}`, `{"Type":5}`, `5`} {
		if _, err := readMeasurement(json.RawMessage(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// An id may be absent or empty; both name nobody, yet they are told apart.
func TestIDs(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: ``, `{"PatientId":null}`: ``, `{"PatientId":""}`: `"PatientId":"",`,
		`{"PatientId":"<p>","EncounterId":""}`: `"PatientId":"<p>","EncounterId":"",`,
	} {
		m, err := readMeasurement(json.RawMessage(text))
		if err != nil {
			t.Fatal(err)
		}
		got, err := plainJSON(m)
		if whole := `{"Type":"","OccurrenceTimeUtc":"0001-01-01T00:00:00Z","DeviceId":"",` + want + `"Properties":[]}`; err != nil || string(got) != whole {
			t.Errorf("%s: got %s, %v", text, got, err)
		}
	}
	if _, err := readMeasurement(json.RawMessage(`{"PatientId":7}`)); err == nil {
		t.Error("a number is taken for an id")
	}
}
