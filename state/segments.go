package state

import (
	"encoding/binary"
	"slices"

	"auscult/schemas"
)

// segmentBuffer is the values of one Observation segment that have not been
// emitted yet.
type segmentBuffer struct {
	who         subject
	typ, text   string
	start, end  schemas.Ticks
	correlation bool
	opened      schemas.Ticks // the clock when its first value came
	count       int
	raw, tail   []byte // the values, encoded: from the row, and new ones
}

// typeMark remembers the second in which the latest emitted segment of a type
// starts: what starts later cannot be on the server yet (G3).
type typeMark struct {
	typ    string
	second int64
}

// segment emits the values of m for its Observation, or buffers them.
func (d *Device) segment(m *schemas.Measurement, who subject, parked *Parked, out Emitter) {
	span, known, err := d.Spec.Segment(m.Type, m.Occurrence, m.Correlation)
	if !known {
		d.Counts.Unmapped++
		return
	}
	if err != nil {
		out.Refuse(Refusal{
			Reason: schemas.ReasonMapping, Detail: err.Error(),
			Action: "let the device mapping give what the FHIR mapping asks for, then replay", Lineage: m.Lineage, Parked: parked,
		})
		return
	}
	if len(m.Values) == 0 {
		return
	}
	if span.Single {
		d.emitSingle(m, who, &span, out)
		return
	}
	b := d.buffer(who, m.Type, &span, m.Lineage, out)
	b.add(d, m)
	if b.count >= d.Spec.FlushCount {
		d.emitBuffer(b, m.Lineage, out)
		d.dropEmptyBuffers()
	}
}

func (d *Device) emitSingle(m *schemas.Measurement, who subject, span *SegmentSpan, out Emitter) {
	r := d.newResource(who, m.Type)
	r.Segment, r.Start, r.End, r.Lineage = span.Text, span.Start, span.End, m.Lineage
	for i := range m.Values {
		v := &m.Values[i]
		r.Values = append(r.Values, schemas.SegmentValue{Name: v.Name, Text: v.Text, Time: m.Occurrence, Position: m.Lineage.Position()})
	}
	r.First = d.first(m.Type, span.Start)
	out.Resource(r)
}

// newResource clears the scratch record; its values keep their room.
func (d *Device) newResource(who subject, typ string) *schemas.Resource {
	d.resource = schemas.Resource{
		Kind: schemas.ResourceSegment, Patient: who.patient, Encounter: who.encounter,
		Device: d.identity.Resource, Type: typ, Values: d.resource.Values[:0],
	}
	return &d.resource
}

// first reports whether a segment that starts at start is certain not to be on
// the server yet, and notes that it will be. Ids have whole seconds.
func (d *Device) first(typ string, start schemas.Ticks) bool {
	second := int64(start / schemas.TicksPerSecond)
	later := !d.forgotten
	at := slices.IndexFunc(d.types, func(t typeMark) bool { return t.typ == typ })
	switch {
	case at >= 0:
		later = second > d.types[at].second
		d.types[at].second = max(d.types[at].second, second)
	case len(d.types) < maxTypes:
		d.types = append(d.types, typeMark{typ, second})
	default:
		later, d.forgotten = false, true
	}
	return later && d.Spec.Run == schemas.RunLive && start >= d.Spec.Cutover && d.identity.Identifiers <= 1
}

// buffer returns the buffer of a segment, a new one if need be.
func (d *Device) buffer(who subject, typ string, span *SegmentSpan, l schemas.Lineage, out Emitter) *segmentBuffer {
	for i := range d.buffers {
		if b := &d.buffers[i]; b.text == span.Text && b.typ == typ && b.who == who {
			return b
		}
	}
	if len(d.buffers) == maxBuffered {
		d.emitBuffer(&d.buffers[0], l, out)
		d.dropEmptyBuffers()
	}
	d.buffers = append(d.buffers, segmentBuffer{
		who: who, typ: typ, text: span.Text, start: span.Start, end: span.End, correlation: span.Correlation, opened: d.clock,
	})
	return &d.buffers[len(d.buffers)-1]
}

// add appends the values of m. Values of one segment stay in the order in which
// they came; Deliver sorts out equal times by their positions.
func (b *segmentBuffer) add(d *Device, m *schemas.Measurement) {
	if b.correlation {
		b.start, b.end = min(b.start, m.Occurrence), max(b.end, m.Occurrence)
	}
	from := len(d.arena)
	d.arena = append(d.arena, b.tail...)
	for i := range m.Values {
		d.arena = appendText(d.arena, m.Values[i].Name)
		d.arena = appendText(d.arena, m.Values[i].Text)
		d.arena = appendTicks(d.arena, m.Occurrence)
		d.arena = binary.AppendUvarint(d.arena, uint64(uint32(m.Lineage.Partition)))
		d.arena = appendZigzag(d.arena, m.Lineage.Offset)
		d.arena = binary.AppendUvarint(d.arena, uint64(uint32(m.Lineage.Index)))
	}
	b.tail = d.arena[from:len(d.arena):len(d.arena)]
	b.count += len(m.Values)
}

// emitBuffer emits what b holds and empties it.
func (d *Device) emitBuffer(b *segmentBuffer, l schemas.Lineage, out Emitter) {
	r := d.newResource(b.who, b.typ)
	r.Segment, r.Start, r.End, r.Lineage = b.text, b.start, b.end, l
	for _, part := range [][]byte{b.raw, b.tail} {
		for in := (reader{b: part}); len(in.b) > 0; {
			v := schemas.SegmentValue{Name: in.text(), Text: in.text(), Time: in.ticks()}
			v.Position = schemas.Position{Partition: int32(uint32(in.uint())), Offset: in.zigzag(), Index: int32(uint32(in.uint()))}
			if in.err != nil {
				d.err = in.err
				return
			}
			r.Values = append(r.Values, v)
		}
	}
	// A correlation id may come again at any time.
	r.First = !b.correlation && d.first(b.typ, b.start)
	b.count, b.raw, b.tail = 0, nil, nil
	out.Resource(r)
}

// flushDue emits the segments that the clock has ended, and those that have
// been filled for long enough.
func (d *Device) flushDue(l schemas.Lineage, out Emitter) {
	flushed := false
	for i := range d.buffers {
		b := &d.buffers[i]
		if b.opened+d.Spec.FlushEvery <= d.clock || !b.correlation && b.end < d.clock {
			d.emitBuffer(b, l, out)
			flushed = true
		}
	}
	if flushed {
		d.dropEmptyBuffers()
	}
}

// flushSegments emits all that is buffered; false when there is nothing.
func (d *Device) flushSegments(l schemas.Lineage, out Emitter) bool {
	for i := range d.buffers {
		d.emitBuffer(&d.buffers[i], l, out)
	}
	flushed := len(d.buffers) > 0
	d.dropEmptyBuffers()
	return flushed
}

func (d *Device) dropEmptyBuffers() {
	d.buffers = slices.DeleteFunc(d.buffers, func(b segmentBuffer) bool { return b.count == 0 })
}
