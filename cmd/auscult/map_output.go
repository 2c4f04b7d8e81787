package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"auscult/internal/dryrun"
)

// show writes what came of messages.
type show interface {
	measurement(where string, m *dryrun.Measurement) error
	observation(body json.RawMessage) error
	close() error
}

func newShow(w io.Writer, format string) show {
	if format == formatTable {
		return &tableShow{w: w}
	}
	return newLineShow(w)
}

// lineShow writes one JSON text a line.
type lineShow struct {
	buffered *bufio.Writer
	encoder  *json.Encoder
}

func newLineShow(w io.Writer) *lineShow {
	buffered := bufio.NewWriter(w)
	s := &lineShow{buffered, json.NewEncoder(buffered)}
	s.encoder.SetEscapeHTML(false)
	return s
}

func (s *lineShow) measurement(_ string, m *dryrun.Measurement) error { return s.encoder.Encode(m) }

func (s *lineShow) observation(body json.RawMessage) error { return s.encoder.Encode(body) }

func (s *lineShow) close() error { return s.buffered.Flush() }

// tableRows is how many rows share the widths of their columns: a table is held
// until its widths are known.
const tableRows = 1000

// tableShow writes tables for a person: one of measurements, then one of
// Observations.
type tableShow struct {
	w      io.Writer
	table  *tabwriter.Writer
	titles string
	rows   int
}

// row writes a row, under titles when they are others than those above.
func (s *tableShow) row(titles string, cells ...string) error {
	if s.titles != titles || s.rows == tableRows {
		if err := s.close(); err != nil {
			return err
		}
		if s.titles != titles && s.titles != "" {
			fmt.Fprintln(s.w)
		}
		s.table = tabwriter.NewWriter(s.w, 0, 0, 2, ' ', 0)
		if s.titles != titles {
			fmt.Fprintln(s.table, titles)
		}
		s.titles, s.rows = titles, 0
	}
	s.rows++
	for i := range cells {
		cells[i] = oneLine(cells[i])
	}
	_, err := fmt.Fprintln(s.table, strings.Join(cells, "\t"))
	return err
}

// oneLine keeps a text in its cell.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}

func (s *tableShow) measurement(where string, m *dryrun.Measurement) error {
	values := make([]string, len(m.Properties))
	for i, v := range m.Properties {
		values[i] = v.Name + "=" + v.Value
	}
	return s.row("message\ttype\ttime\tdevice\tpatient\tencounter\tcorrelation\tvalues",
		where, m.Type, m.OccurrenceTimeUtc, m.DeviceID, m.PatientID.Text, m.EncounterID.Text, m.CorrelationID, strings.Join(values, ", "))
}

func (s *tableShow) observation(body json.RawMessage) error {
	var o shownObservation
	if err := json.Unmarshal(body, &o); err != nil {
		return err
	}
	return s.row("observation\tstart\tend\tsubject\tdevice\tencounter\tvalues",
		o.Code.Text, cmp.Or(o.Instant, o.Period.Start), cmp.Or(o.Instant, o.Period.End), o.Subject.Reference, o.Device.Reference, o.Encounter.Reference, o.values())
}

func (s *tableShow) close() error {
	if s.table == nil {
		return nil
	}
	return s.table.Flush()
}

// shownObservation is what a row shows of an Observation.
type shownObservation struct {
	Code                       shownConcept
	Subject, Device, Encounter struct{ Reference string }
	Period                     struct{ Start, End string } `json:"effectivePeriod"`
	Instant                    string                      `json:"effectiveDateTime"`
	shownValue
	Component []struct {
		Code shownConcept
		shownValue
	}
}

type shownConcept struct{ Text string }

// shownValue is a value of any type.
type shownValue struct {
	Quantity *struct {
		Value json.Number
		Unit  string
	} `json:"valueQuantity"`
	String  *string                `json:"valueString"`
	Concept *shownConcept          `json:"valueCodeableConcept"`
	Sampled *struct{ Data string } `json:"valueSampledData"`

	DateTime *string         `json:"valueDateTime"`
	Boolean  json.RawMessage `json:"valueBoolean"`
	Integer  json.RawMessage `json:"valueInteger"`
	Ratio    json.RawMessage `json:"valueRatio"`
	Range    json.RawMessage `json:"valueRange"`
}

func (v *shownValue) text() string {
	switch {
	case v.Quantity != nil:
		return strings.TrimSpace(v.Quantity.Value.String() + " " + v.Quantity.Unit)
	case v.String != nil:
		return *v.String
	case v.Concept != nil:
		return v.Concept.Text
	case v.Sampled != nil:
		return "[" + v.Sampled.Data + "]"
	case v.DateTime != nil:
		return *v.DateTime
	}
	for _, raw := range []json.RawMessage{v.Boolean, v.Integer, v.Ratio, v.Range} {
		if raw != nil {
			return string(raw)
		}
	}
	return ""
}

func (o *shownObservation) values() string {
	var all []string
	if text := o.text(); text != "" {
		all = append(all, text)
	}
	for i := range o.Component {
		c := &o.Component[i]
		all = append(all, c.Code.Text+"="+c.text())
	}
	return strings.Join(all, ", ")
}
