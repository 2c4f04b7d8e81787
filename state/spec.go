package state

import (
	"time"

	"auscult/schemas"
)

// paneOrigin is where the grid of panes begins: the epoch, as that of windows.
var paneOrigin = schemas.TicksOf(time.Unix(0, 0))

// SegmentSpan is the Observation segment that a value belongs to.
type SegmentSpan struct {
	Text       string // as in Observation.identifier
	Start, End schemas.Ticks
	// Single segments hold one instant and are emitted at once. Correlation
	// segments span whatever values carry the correlation id.
	Single, Correlation bool
}

// DeviceSpec is what the configuration says about devices. All of it must be
// set, apart from Cutover and the booleans. Its functions are pure.
type DeviceSpec struct {
	Run  string        // lineage of records that no single value causes
	Pane schemas.Ticks // length of a pane
	// Plausible reports whether a signal reads the value, and whether it lies
	// in the signal's range. Only bound values get panes.
	Plausible func(typ, name, text string) (bound, plausible bool)
	Grace     func(typ, name string) schemas.Ticks // the longest of the models that read the series
	MaxGrace  schemas.Ticks                        // the longest that Grace returns
	EmitValue func(typ, name string) bool          // some model wants each value at once

	// Segment returns where a value goes; known is false for a type that the
	// FHIR mapping does not have. Observation returns the identifier of the
	// Observation with these FHIR ids.
	Segment     func(typ string, t schemas.Ticks, correlation string) (span SegmentSpan, known bool, err error)
	Observation func(patient, device, typ, segment string) string
	Cutover     schemas.Ticks // segments that start before may be on the server already
	FlushCount  int           // a segment is emitted when it holds so many values,
	FlushEvery  schemas.Ticks // or when the device's clock has moved so far

	// ByName attaches a value to the patient that its message names (mode
	// create). NeedEncounter refuses values without an Encounter.
	ByName, NeedEncounter bool
	ParkLimit             int           // values that may wait for an identity before the partition is held
	IdleAfter             schemas.Ticks // 0 = devices never fall idle
}

// paneStart returns the start of the pane that holds t.
func (s *DeviceSpec) paneStart(t schemas.Ticks) schemas.Ticks { return t.Floor(s.Pane, paneOrigin) }

// paneCeil returns the first pane boundary at or after t.
func (s *DeviceSpec) paneCeil(t schemas.Ticks) schemas.Ticks {
	if t >= schemas.MaxTicks-s.Pane {
		return schemas.MaxTicks
	}
	if start := s.paneStart(t); start != t {
		return start + s.Pane
	}
	return t
}

// Emitter takes what a device's row emits. Records are valid during the call.
type Emitter interface {
	Window(w *schemas.Window)
	Resource(r *schemas.Resource)
	Refuse(r Refusal)
	Full() bool // so much has been emitted that what can wait should
}

// Refusal is a measurement that becomes a dead letter.
type Refusal struct {
	Reason, Detail, Action string
	Lineage                schemas.Lineage
	Parked                 *Parked // the measurement, when it is not the message at hand
}

// Parked is a measurement that waits for an identity, as it came.
type Parked struct {
	Offset    int64 // of the measurements topic
	Timestamp schemas.Ticks
	Record    []byte // the Measurement as encoded
}
