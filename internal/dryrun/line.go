package dryrun

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"auscult/fhir"
	"auscult/internal/check"
	"auscult/mapping"
)

// Operations of a line.
const (
	opNormalize  = "normalize"
	opLoadDevice = "load-device"
	opLoadFHIR   = "load-fhir"
	opE2E        = "e2e"
)

// line is one line of a batch file: a mapping, and what to do with it.
type line struct {
	ID json.RawMessage `json:"id"`
	Op *string         `json:"op"`
	In json.RawMessage `json:"in"`
}

// input is all that the operations read.
type input struct {
	Message
	Device        *string             `json:"device"`
	FHIR          *string             `json:"fhir"`
	Mode          string              `json:"mode"`
	DefaultSystem string              `json:"defaultSystem"`
	Resources     []json.RawMessage   `json:"resources"`
	Batches       [][]json.RawMessage `json:"batches"`
}

// Answerer answers lines of a batch file one after the other. What it keeps
// between them changes no answer: neighbours mostly have the same mapping.
type Answerer struct {
	deviceText string
	device     *mapping.Device
	mapper     *mapping.Mapper
	fhirText   string
	fhir       *fhir.Mapping
}

// Answer returns the answer to a line: one JSON text without a line feed. Every
// line has one.
func (a *Answerer) Answer(text []byte) []byte {
	answer := a.answer(text)
	out, err := plainJSON(answer)
	if err != nil { // a number that JSON has no text for cannot get this far
		out, _ = plainJSON(errorAnswer{ID: idOf(text), Error: err.Error()})
	}
	return out
}

// Refuse returns the answer to a line that was not read to its end.
func Refuse(begin []byte, problem string) []byte {
	out, _ := plainJSON(errorAnswer{ID: idOf(begin), Error: problem})
	return out
}

func (a *Answerer) answer(text []byte) any {
	var l line
	fail := func(err error) any { return errorAnswer{ID: idOf(text), Error: err.Error()} }
	if !utf8.Valid(text) {
		return fail(errors.New("the line is not valid UTF-8"))
	}
	if err := json.Unmarshal(text, &l); err != nil {
		return fail(fmt.Errorf("reading the line: %w", err))
	}
	op := opNormalize
	if l.Op != nil {
		op = *l.Op
	}
	var in input
	if len(l.In) == 0 || string(l.In) == "null" {
		return fail(errors.New(`the line has no "in"`))
	}
	if err := json.Unmarshal(l.In, &in); err != nil {
		return fail(fmt.Errorf("reading in: %w", err))
	}
	answer, err := a.do(op, l.ID, &in)
	if err != nil {
		return fail(err)
	}
	return answer
}

// do runs an operation.
func (a *Answerer) do(op string, id json.RawMessage, in *input) (any, error) {
	switch op {
	case opNormalize:
		return a.normalize(id, in)
	case opE2E:
		return a.e2e(id, in)
	case opLoadDevice, opLoadFHIR:
		faults, err := a.load(in, op == opLoadDevice, op == opLoadFHIR)
		return loadAnswer{id, loadResult{faults}}, err
	}
	return nil, fmt.Errorf("no such op: %q: write %s", op, strings.Join([]string{opNormalize, opE2E, opLoadFHIR, opLoadDevice}, ", "))
}

// idOf returns the id of a line as far as it can be read; nil, which is written
// as null, when it cannot.
func idOf(text []byte) json.RawMessage {
	d := json.NewDecoder(bytes.NewReader(bytes.ToValidUTF8(text[:min(len(text), maxIDSearch)], nil)))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil
	}
	for {
		name, err := d.Token()
		if err != nil || name == json.Delim('}') {
			return nil
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return nil
		}
		if name == "id" {
			return value
		}
	}
}

// maxIDSearch is how far into a line that cannot be read its id is looked for.
const maxIDSearch = 1 << 20

// load loads the mappings of a line that are wanted.
func (a *Answerer) load(in *input, device, fhirSide bool) ([]loadFault, error) {
	faults := []loadFault{}
	switch {
	case device && in.Device == nil:
		return nil, errors.New("in.device is missing: the text of a device mapping")
	case fhirSide && in.FHIR == nil:
		return nil, errors.New("in.fhir is missing: the text of a FHIR mapping")
	}
	if device {
		faults = append(faults, a.loadDevice(*in.Device)...)
	}
	if fhirSide {
		faults = append(faults, a.loadFHIR(*in.FHIR)...)
	}
	return faults, nil
}

func (a *Answerer) loadDevice(text string) []loadFault {
	if a.device != nil && a.deviceText == text {
		return nil
	}
	d, findings := check.Device(fileDevice, []byte(text))
	if a.deviceText, a.device, a.mapper = text, d, nil; d != nil {
		a.mapper = d.NewMapper()
	}
	return faultsOf(findings)
}

func (a *Answerer) loadFHIR(text string) []loadFault {
	if a.fhir != nil && a.fhirText == text {
		return nil
	}
	m, findings := check.FHIR(fileFHIR, []byte(text))
	a.fhirText, a.fhir = text, m
	return faultsOf(findings)
}

// normalize maps the one message of a line.
func (a *Answerer) normalize(id json.RawMessage, in *input) (any, error) {
	faults, err := a.load(in, true, false)
	if err != nil {
		return nil, err
	}
	if len(faults) > 0 {
		return loadAnswer{id, loadResult{faults}}, nil
	}
	msg, enqueued, err := in.read()
	if err != nil {
		return nil, err
	}
	measurements, problems := Normalize(a.mapper, msg, enqueued)
	return normalizeAnswer{id, measurements, problems}, nil
}

// e2e writes the batches of a line to a server of their own.
func (a *Answerer) e2e(id json.RawMessage, in *input) (any, error) {
	faults, err := a.load(in, in.Device != nil, true)
	if err != nil {
		return nil, err
	}
	if len(faults) > 0 {
		return loadAnswer{id, loadResult{faults}}, nil
	}
	mode, err := ParseMode(in.Mode)
	if err != nil {
		return nil, err
	}
	server := NewServer()
	for _, r := range in.Resources {
		if err := server.Load(r); err != nil {
			return nil, err
		}
	}
	observer := NewObserver(a.fhir, server, NewRegistry(server, mode, in.DefaultSystem))
	answer := e2eAnswer{ID: id, Batches: []batchResult{}}
	for _, entries := range in.Batches {
		ms, problems, err := a.measurements(entries, in.Device != nil)
		if err != nil {
			return nil, err
		}
		b := observer.Observe(ms)
		answer.Batches = append(answer.Batches, batchResult{ms, b.Writes, append(problems, b.Problems...)})
	}
	return answer, nil
}

// measurements reads the entries of a batch: measurements, or messages that
// are normalized with the line's device mapping.
func (a *Answerer) measurements(entries []json.RawMessage, mapped bool) ([]Measurement, []Problem, error) {
	ms, problems := []Measurement{}, []Problem{}
	for _, text := range entries {
		var e struct {
			Message
			Measurement json.RawMessage `json:"measurement"`
		}
		if err := json.Unmarshal(text, &e); err != nil {
			return nil, nil, fmt.Errorf("reading a batch: %w", err)
		}
		if e.Measurement != nil {
			m, err := readMeasurement(e.Measurement)
			if err != nil {
				problems = append(problems, Problem{Message: err.Error()})
				continue
			}
			ms = append(ms, m)
			continue
		}
		if !mapped {
			return nil, nil, errors.New("a batch holds messages, but in.device is missing")
		}
		msg, enqueued, err := e.read()
		if err != nil {
			return nil, nil, err
		}
		made, failed := Normalize(a.mapper, msg, enqueued)
		ms, problems = append(ms, made...), append(problems, failed...)
	}
	return ms, problems, nil
}
