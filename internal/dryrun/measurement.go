package dryrun

import (
	"encoding/json"
	"fmt"
	"strings"

	"auscult/mapping"
	"auscult/schemas"
)

// Measurement is a measurement in the connector's wire form. What is absent is
// left out; times are UTC.
type Measurement struct {
	Type              string
	OccurrenceTimeUtc string
	DeviceID          string `json:"DeviceId"`
	PatientID         ID     `json:"PatientId,omitzero"`
	EncounterID       ID     `json:"EncounterId,omitzero"`
	CorrelationID     string `json:"CorrelationId,omitempty"`
	Properties        []Value

	occurrence schemas.Ticks
	ingestion  schemas.Ticks // 0 = not known
}

// ID is an optional id. An empty one that is given is written, as the connector
// does, but names nobody.
type ID struct {
	Text  string
	Given bool
}

// IsZero tells whether there is no id, not even an empty one.
func (id ID) IsZero() bool { return !id.Given }

// MarshalJSON writes an id as a text.
func (id ID) MarshalJSON() ([]byte, error) { return plainJSON(id.Text) }

// UnmarshalJSON reads a text or null.
func (id *ID) UnmarshalJSON(text []byte) error {
	var s *string
	if err := json.Unmarshal(text, &s); err != nil || s == nil {
		return err
	}
	*id = ID{*s, true}
	return nil
}

// Value is one named value of a measurement.
type Value struct{ Name, Value string }

// measurementOf copies what a mapper gives for the length of a call.
func measurementOf(m *schemas.Measurement, patientGiven, encounterGiven bool, ingestion schemas.Ticks) Measurement {
	w := Measurement{
		Type: m.Type, OccurrenceTimeUtc: m.Occurrence.String(), DeviceID: strings.Clone(m.Device),
		PatientID: ID{strings.Clone(m.Patient), patientGiven}, EncounterID: ID{strings.Clone(m.Encounter), encounterGiven},
		CorrelationID: strings.Clone(m.Correlation),
		Properties:    make([]Value, len(m.Values)), occurrence: m.Occurrence, ingestion: ingestion,
	}
	for i, v := range m.Values {
		w.Properties[i] = Value{Name: v.Name, Value: strings.Clone(v.Text)}
	}
	return w
}

// readMeasurement reads a measurement that was normalized elsewhere. Its time
// may have any of the spellings that the connector writes; without one it is
// the first instant that a record can hold, as there.
func readMeasurement(text json.RawMessage) (Measurement, error) {
	var w struct {
		Measurement
		IngestionTimeUtc string
	}
	if err := json.Unmarshal(text, &w); err != nil {
		return Measurement{}, fmt.Errorf("reading a measurement: %w", err)
	}
	m := w.Measurement
	var err error
	if m.occurrence, err = readTime("OccurrenceTimeUtc", m.OccurrenceTimeUtc); err != nil {
		return m, err
	}
	if m.ingestion, err = readTime("IngestionTimeUtc", w.IngestionTimeUtc); err != nil {
		return m, err
	}
	m.OccurrenceTimeUtc = m.occurrence.String()
	if m.Properties == nil {
		m.Properties = []Value{}
	}
	return m, nil
}

// readTime reads a time of a measurement or message; empty is none.
func readTime(name, text string) (schemas.Ticks, error) {
	if text == "" {
		return 0, nil
	}
	t, ok := mapping.ParseTime(text)
	if !ok {
		return 0, fmt.Errorf("%s %q is not a time: write it as 2026-01-31T00:00:00Z", name, text)
	}
	return t, nil
}
