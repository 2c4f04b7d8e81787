package state

import (
	"slices"

	"auscult/schemas"
)

// Limits of a device's row, beside those of rows.
const (
	maxSources     = 4096 // partitions of devicedata that one device's messages come through
	maxParkedBytes = 256_000
	maxReleased    = 256 // parked values that one callback applies
	maxSeries      = 4096
	maxTypes       = 1024 // whose last segment is remembered
	maxBuffered    = 1024 // segments that are being filled
	maxAttached    = 256  // patients that a device has not left yet
	maxAssignments = 256
	maxCodes       = 64 // facts of a patient
	maxEncounters  = 1024
	maxRefused     = 64 // names that nobody knows; with so many, every unknown one is refused
	maxTextBytes   = MaxRowBytes
	// parkSlack is how many times the limit may be parked after the partition
	// has been asked to hold: what was on its way still comes.
	parkSlack = 4
	// maxPaceLag is how far behind the append time a device's clock may be and
	// still be that of a living device: a wrong time zone, not a recording.
	maxPaceLag = schemas.TicksPerDay
)

// DeviceCounts is what one callback did to a row.
type DeviceCounts struct {
	Applied     int // measurements
	Redelivered int // measurements that had been applied before (G7)
	Parked      int
	Released    int // parked measurements that became dead letters or were applied
	Late        int // values later than grace
	Implausible int // values
	Unmapped    int // measurements whose type has no FHIR mapping
	Panes       int // final panes emitted, revisions included
}

// source is how far a device's messages have been applied, per partition of
// devicedata (G7).
type source struct {
	partition  int32
	generation Generation
	offset     int64
	index      int32
}

// Device is the row of one device: to whom it belongs, its clock, the panes and
// segments that are not finished, and what waits for an identity.
//
// It is a machine without a clock or goroutine. Strings of a Device that has
// been read alias the row, and those of a measurement the message; both must
// stay unchanged while the Device is in use.
type Device struct {
	Spec   *DeviceSpec
	Counts DeviceCounts

	started bool          // the clock has been set
	clock   schemas.Ticks // the highest occurrence applied
	idle    bool
	pace    pace
	pane    schemas.Ticks // length of the panes in the row
	sources []source

	identity  schemas.Identity
	asked     source   // the message for which the server was asked last
	refused   []string // names on which Identify has given up
	attached  []attachment
	parked    []Parked
	releasing bool // parked values may be applicable: the next tick goes on
	series    []paneSeries
	types     []typeMark
	forgotten bool // a type's mark did not fit: no segment is known to be first
	buffers   []segmentBuffer

	name string // of the device, as messages name it
	// Scratch of one callback.
	queue    []schemas.Window
	held     schemas.Measurement // the parked one at hand
	resource schemas.Resource
	points   []valuePoint
	texts    textTable
	arena    []byte // new bytes of panes and segments
	err      error  // a part of the row could not be read
}

// pace is how well a device's clock follows the append times of its messages
// (G9).
type pace struct {
	last   int64 // append time of the latest message, in whole seconds as all here
	since  int64 // append time since which the clock has kept pace
	offset int64 // append time less clock, at since
}

// Err returns what is wrong with the row, once a part that is only read when it
// is needed turned out to be damaged. Such a Device must not be written.
func (d *Device) Err() error { return d.err }

// Clock returns the device's clock; 0 before the first measurement.
func (d *Device) Clock() schemas.Ticks { return d.clock }

// Parked returns how many measurements wait for an identity.
func (d *Device) Parked() int { return len(d.parked) }

// Full reports that so many measurements wait, and nobody has answered yet,
// that their partition should be held (G14).
func (d *Device) Full() bool {
	return len(d.parked) > 0 && d.identity.Unknown == "" && (len(d.parked) >= d.Spec.ParkLimit || d.parkedBytes() >= maxParkedBytes/2)
}

func (d *Device) parkedBytes() int {
	n := 0
	for i := range d.parked {
		n += len(d.parked[i].Record)
	}
	return n
}

// Measure takes in one measurement. at is the message that holds it.
func (d *Device) Measure(m *schemas.Measurement, at Parked, out Emitter) {
	if d.redelivered(m.Lineage) {
		d.Counts.Redelivered++
		return
	}
	d.name = m.Device
	if d.releasing {
		d.Release(out)
	}
	who, answer, missing := d.resolve(m)
	switch {
	case answer == answerYes && !d.releasing:
		d.apply(m, who, nil, out)
	case answer == answerNo:
		d.refuseUnknown(m, missing, nil, out)
	default:
		d.park(m, at, out)
	}
}

// redelivered reports whether the source position of l is not above what has
// been applied, and notes it when it is.
func (d *Device) redelivered(l schemas.Lineage) bool {
	g := GenerationOf(l.Generation)
	for i := range d.sources {
		s := &d.sources[i]
		if s.partition != l.Partition {
			continue
		}
		if s.generation == g && (l.Offset < s.offset || l.Offset == s.offset && l.Index <= s.index) {
			return true
		}
		*s = source{l.Partition, g, l.Offset, l.Index}
		return false
	}
	if len(d.sources) < maxSources {
		d.sources = append(d.sources, source{l.Partition, g, l.Offset, l.Index})
	}
	return false
}

// park keeps a measurement until the identity of its device is known.
func (d *Device) park(m *schemas.Measurement, at Parked, out Emitter) {
	limit := d.Spec.ParkLimit
	if d.identity.Unknown == "" {
		limit *= parkSlack
	}
	if len(d.parked) >= limit || d.parkedBytes()+len(at.Record) > maxParkedBytes {
		out.Refuse(Refusal{
			Reason: schemas.ReasonParking, Detail: "too many values of the device wait for its identity",
			Action: "create the Device or Patient on the FHIR server, then retry", Lineage: m.Lineage,
		})
		return
	}
	d.parked = append(d.parked, at)
	d.Counts.Parked++
}

// Release applies or refuses parked measurements for which there is an answer
// now, oldest first and not too many at once.
func (d *Device) Release(out Emitter) {
	d.releasing = false
	kept := d.parked[:0]
	released := 0
	for i := range d.parked {
		p := d.parked[i]
		if d.releasing || released == maxReleased || out.Full() {
			kept = append(kept, p)
			d.releasing = true
			continue
		}
		if err := d.held.Read(p.Record); err != nil {
			out.Refuse(Refusal{Reason: schemas.ReasonRecord, Detail: err.Error(), Action: "look for the producer of the record", Parked: &p})
			released++
			continue
		}
		who, answer, missing := d.resolve(&d.held)
		switch answer {
		case answerWait:
			kept = append(kept, p)
			continue
		case answerYes:
			d.apply(&d.held, who, &p, out)
		case answerNo:
			d.refuseUnknown(&d.held, missing, &p, out)
		}
		released++
	}
	clear(d.parked[len(kept):])
	d.parked = kept
	d.Counts.Released += released
}

func (d *Device) refuseUnknown(m *schemas.Measurement, missing string, p *Parked, out Emitter) {
	if missing != "" && len(d.refused) < maxRefused && !slices.Contains(d.refused, missing) {
		d.refused = append(d.refused, missing)
	}
	detail := d.identity.Unknown
	if detail == "" {
		detail = "no patient is known to have had the device at that time"
	}
	out.Refuse(Refusal{
		Reason: schemas.ReasonUnknown, Detail: detail,
		Action: "put Device, Patient and assignment right on the FHIR server, then retry", Lineage: m.Lineage, Parked: p,
	})
}

// apply moves the clock of the device and puts a measurement of a known patient
// into its segment and panes. What the clock closes leaves before what the
// measurement opens.
func (d *Device) apply(m *schemas.Measurement, who subject, p *Parked, out Emitter) {
	d.Counts.Applied++
	d.changePane(m.Lineage, out)
	d.wake()
	if m.Occurrence > d.clock || !d.started {
		d.clock, d.started = m.Occurrence, true
	}
	d.keepPace(m.Ingestion)
	d.closePanes()
	d.segment(m, who, p, out)
	d.values(m, who, p, out)
	d.advance(m.Lineage, out)
}

// advance tells every patient of the device how far its clock has come, and
// emits the segments that it makes due.
func (d *Device) advance(l schemas.Lineage, out Emitter) {
	d.flushDue(l, out)
	d.enter()
	d.leave()
	d.pass()
	d.flush(l, out)
}

// keepPace notes how far the clock is behind the append time of a message. A
// jump of the distance, or a distance of a day, begins the count anew.
func (d *Device) keepPace(appended schemas.Ticks) {
	p := &d.pace
	p.last = max(p.last, int64(appended/schemas.TicksPerSecond))
	offset := p.last - int64(d.clock/schemas.TicksPerSecond)
	drift, allowed := offset-p.offset, int64(d.Spec.IdleAfter/schemas.TicksPerSecond)
	if p.since == 0 || drift > allowed || drift < -allowed || offset > int64(maxPaceLag/schemas.TicksPerSecond) {
		p.since, p.offset = p.last, offset
	}
}

// paced reports whether the clock has kept pace long enough for silence to mean
// something: old recordings and replays have not (G9).
func (d *Device) paced() bool {
	return d.Spec.IdleAfter > 0 && d.started && d.pace.last-d.pace.since >= int64(d.Spec.IdleAfter/schemas.TicksPerSecond)
}

// Flags returns the row flags that hold now.
func (d *Device) Flags() uint8 {
	var flags uint8
	if d.paced() && !d.idle && len(d.attached) > 0 {
		flags |= RowSilent
	}
	if d.releasing {
		flags |= RowWork
	}
	if len(d.parked) > 0 {
		flags |= RowParked
	}
	return flags
}

// Work does what an earlier callback has left; false when there was nothing.
func (d *Device) Work(out Emitter) bool {
	if !d.releasing {
		return false
	}
	d.Release(out)
	return true
}

// Idle closes what is open because the device has been silent; false when
// nothing changes.
func (d *Device) Idle(out Emitter) bool {
	if d.Flags()&RowSilent == 0 {
		return false
	}
	d.idle = true
	d.closeAll(schemas.TriggerIdle)
	d.flushSegments(d.tickLineage(), out)
	for i := range d.attached {
		d.say(schemas.WindowIdle, &d.attached[i])
	}
	d.flush(d.tickLineage(), out)
	return true
}

// End closes what is open because the run ends; false when nothing changes.
func (d *Device) End(out Emitter) bool {
	worked := false
	for d.releasing && !out.Full() {
		worked = d.Work(out)
	}
	closed := d.closeAll(schemas.TriggerEnd)
	flushed := d.flushSegments(d.tickLineage(), out)
	d.flush(d.tickLineage(), out)
	return worked || closed || flushed
}

func (d *Device) tickLineage() schemas.Lineage { return schemas.Lineage{Run: d.Spec.Run} }

// wake tells the patients of an idle device that it speaks again.
func (d *Device) wake() {
	if !d.idle {
		return
	}
	d.idle = false
	for i := range d.attached {
		d.say(schemas.WindowAwake, &d.attached[i])
	}
}
