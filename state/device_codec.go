package state

import (
	"encoding/binary"
	"fmt"

	"auscult/schemas"
)

// DeviceLayout is the first byte of a device's row behind the header. Layout 1:
//
//	flags, clock (8 bytes), pane length, pace, source positions
//	identity: names and ids, assignments, encounters; refused names after giving up
//	patients attached, parked measurements, last segment of each type
//	series: subject, type, name, due, length and bytes of its panes
//	segments: subject, type, text, interval, length and bytes of their values
//
// Numbers are varints, times near the clock are distances from it, and a text
// that has come before is its number (textTable).
const DeviceLayout = 1

// Bits of the second byte.
const (
	deviceStarted = 1 << iota
	deviceIdle
	deviceReleasing
	deviceForgotten
)

// Read replaces d by the row body b, which d aliases; empty = a new device.
// Spec stays.
func (d *Device) Read(b []byte) error {
	d.reset()
	if len(b) == 0 {
		return nil
	}
	if b[0] != DeviceLayout {
		return fmt.Errorf("%w: device layout %d, this release knows %d", ErrRow, b[0], DeviceLayout)
	}
	r := reader{b: b[1:]}
	d.readClock(&r)
	d.readIdentity(&r)
	d.readAttached(&r)
	d.readParked(&r)
	d.readTypes(&r)
	d.readSeries(&r)
	d.readBuffers(&r)
	return r.done()
}

// reset empties d and keeps the room of its lists.
func (d *Device) reset() {
	clear(d.parked)
	*d = Device{
		Spec:    d.Spec,
		sources: d.sources[:0], refused: d.refused[:0], attached: d.attached[:0], parked: d.parked[:0],
		series: d.series[:0], types: d.types[:0], buffers: d.buffers[:0],
		identity: schemas.Identity{Assignments: d.identity.Assignments[:0], Encounters: d.identity.Encounters[:0]},
		queue:    d.queue[:0], held: d.held, resource: d.resource, points: d.points[:0], texts: d.texts, arena: d.arena[:0],
	}
	d.texts.reset()
}

// AppendTo appends the row body.
func (d *Device) AppendTo(dst []byte) []byte {
	d.texts.reset()
	dst = append(dst, DeviceLayout)
	dst = d.appendClock(dst)
	dst = d.appendIdentity(dst)
	dst = d.appendAttached(dst)
	dst = d.appendParked(dst)
	dst = d.appendTypes(dst)
	dst = d.appendSeries(dst)
	return d.appendBuffers(dst)
}

func (d *Device) appendClock(dst []byte) []byte {
	dst = append(dst, bitIf(d.started, deviceStarted)|bitIf(d.idle, deviceIdle)|bitIf(d.releasing, deviceReleasing)|bitIf(d.forgotten, deviceForgotten))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(d.clock))
	dst = binary.AppendUvarint(dst, uint64(d.pane))
	dst = appendZigzag(dst, d.pace.last-d.second())
	dst = appendZigzag(dst, d.pace.last-d.pace.since)
	dst = appendZigzag(dst, d.pace.offset)
	dst = binary.AppendUvarint(dst, uint64(len(d.sources)))
	var generation Generation
	for _, s := range d.sources {
		same := s.generation == generation
		dst = binary.AppendUvarint(dst, uint64(uint32(s.partition))<<1|uint64(bitIf(same, 1)))
		if !same {
			generation = s.generation
			dst = binary.LittleEndian.AppendUint64(dst, uint64(generation))
		}
		dst = appendZigzag(dst, s.offset)
		dst = binary.AppendUvarint(dst, uint64(uint32(s.index)))
	}
	return dst
}

// second is the clock in whole seconds: what is near it takes few bytes.
func (d *Device) second() int64 { return int64(d.clock / schemas.TicksPerSecond) }

func (d *Device) readClock(r *reader) {
	flags := r.byte()
	d.started, d.idle = flags&deviceStarted != 0, flags&deviceIdle != 0
	d.releasing, d.forgotten = flags&deviceReleasing != 0, flags&deviceForgotten != 0
	d.clock = schemas.Ticks(r.uint64())
	d.pane = schemas.Ticks(r.int())
	d.pace.last = r.zigzag() + d.second()
	d.pace.since = d.pace.last - r.zigzag()
	d.pace.offset = r.zigzag()
	var generation Generation
	for range r.count(maxSources) {
		var s source
		head := r.uint()
		if head&1 == 0 {
			generation = Generation(r.uint64())
		}
		s.partition, s.generation = int32(uint32(head>>1)), generation
		s.offset, s.index = r.zigzag(), int32(uint32(r.uint()))
		d.sources = append(d.sources, s)
	}
}

func (d *Device) appendIdentity(dst []byte) []byte {
	id := &d.identity
	dst = d.texts.append(dst, d.name)
	dst = d.texts.append(dst, id.Resource)
	dst = binary.AppendUvarint(dst, uint64(uint32(id.Identifiers)))
	dst = d.texts.append(dst, id.Unknown)
	dst = append(dst, bitIf(id.GiveUp, 1))
	if id.GiveUp {
		dst = d.appendRefused(dst)
	}
	dst = binary.AppendUvarint(dst, uint64(len(id.Assignments)))
	for i := range id.Assignments {
		a := &id.Assignments[i]
		dst = appendTicks(dst, a.From)
		dst = appendTicks(dst, schemas.MaxTicks-a.To)
		for _, text := range [...]string{a.Patient, a.Encounter, a.Name, a.Facts.BirthDate, a.Facts.Gender} {
			dst = d.texts.append(dst, text)
		}
		dst = binary.AppendUvarint(dst, uint64(len(a.Facts.Codes)))
		for _, code := range a.Facts.Codes {
			dst = d.texts.append(dst, code)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(id.Encounters)))
	for _, e := range id.Encounters {
		dst = d.texts.append(dst, e.Name)
		dst = d.texts.append(dst, e.ID)
	}
	return dst
}

func (d *Device) readIdentity(r *reader) {
	id, t := &d.identity, &d.texts
	d.name = t.read(r)
	id.Device, id.Resource = d.name, t.read(r)
	id.Identifiers = int32(uint32(r.uint()))
	id.Unknown, id.GiveUp = t.read(r), r.byte() != 0
	if id.GiveUp {
		d.readRefused(r)
	}
	for range r.count(maxAssignments) {
		a := schemas.Assignment{From: r.ticks(), To: schemas.MaxTicks - r.ticks()}
		a.Patient, a.Encounter, a.Name = t.read(r), t.read(r), t.read(r)
		a.Facts.BirthDate, a.Facts.Gender = t.read(r), t.read(r)
		for range r.count(maxCodes) {
			a.Facts.Codes = append(a.Facts.Codes, t.read(r))
		}
		id.Assignments = append(id.Assignments, a)
	}
	for range r.count(maxEncounters) {
		id.Encounters = append(id.Encounters, schemas.NamedID{Name: t.read(r), ID: t.read(r)})
	}
}

func (d *Device) appendRefused(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(uint32(d.asked.partition)))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(d.asked.generation))
	dst = appendZigzag(dst, d.asked.offset)
	dst = binary.AppendUvarint(dst, uint64(uint32(d.asked.index)))
	dst = binary.AppendUvarint(dst, uint64(len(d.refused)))
	for _, name := range d.refused {
		dst = d.texts.append(dst, name)
	}
	return dst
}

func (d *Device) readRefused(r *reader) {
	d.asked = source{int32(uint32(r.uint())), Generation(r.uint64()), r.zigzag(), int32(uint32(r.uint()))}
	for range r.count(maxRefused) {
		d.refused = append(d.refused, d.texts.read(r))
	}
}

func (d *Device) appendAttached(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(d.attached)))
	for _, a := range d.attached {
		dst = d.texts.append(dst, a.patient)
		dst = appendTicks(dst, d.clock-a.told)
		dst = appendTicks(dst, d.clock-a.seen)
	}
	return dst
}

func (d *Device) readAttached(r *reader) {
	for range r.count(maxAttached) {
		d.attached = append(d.attached, attachment{d.texts.read(r), d.clock - r.ticks(), d.clock - r.ticks()})
	}
}

func (d *Device) appendParked(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(d.parked)))
	for _, p := range d.parked {
		dst = appendZigzag(dst, p.Offset)
		dst = appendTicks(dst, p.Timestamp)
		dst = appendText(dst, p.Record)
	}
	return dst
}

func (d *Device) readParked(r *reader) {
	for range r.count(MaxRowBytes) {
		d.parked = append(d.parked, Parked{r.zigzag(), r.ticks(), r.bytes(maxParkedBytes)})
	}
}

func (d *Device) appendTypes(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(d.types)))
	for _, t := range d.types {
		dst = d.texts.append(dst, t.typ)
		dst = appendZigzag(dst, d.second()-t.second)
	}
	return dst
}

func (d *Device) readTypes(r *reader) {
	for range r.count(maxTypes) {
		d.types = append(d.types, typeMark{d.texts.read(r), d.second() - r.zigzag()})
	}
}

func (d *Device) appendSeries(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(d.series)))
	for i := range d.series {
		s := &d.series[i]
		for _, text := range [...]string{s.who.patient, s.who.encounter, s.typ, s.name} {
			dst = d.texts.append(dst, text)
		}
		dst = appendTicks(dst, s.due-d.clock)
		if !s.loaded {
			dst = appendText(dst, s.raw)
			continue
		}
		from := len(d.arena)
		d.arena = d.appendPanes(d.arena, s)
		dst = appendText(dst, d.arena[from:])
		d.arena = d.arena[:from]
	}
	return dst
}

func (d *Device) readSeries(r *reader) {
	n := r.count(maxSeries)
	if n > 0 && d.pane <= 0 {
		r.fail("panes without a length")
		return
	}
	for range n {
		s := d.pushSeries()
		s.who = subject{d.texts.read(r), d.texts.read(r)}
		s.typ, s.name = d.texts.read(r), d.texts.read(r)
		s.due = d.clock + r.ticks()
		s.raw = r.bytes(MaxRowBytes)
	}
}

func (d *Device) appendBuffers(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(d.buffers)))
	for i := range d.buffers {
		b := &d.buffers[i]
		for _, text := range [...]string{b.who.patient, b.who.encounter, b.typ, b.text} {
			dst = d.texts.append(dst, text)
		}
		dst = appendTicks(dst, b.start-d.clock)
		dst = appendTicks(dst, b.end-b.start)
		dst = appendTicks(dst, b.opened-d.clock)
		dst = binary.AppendUvarint(dst, uint64(b.count)<<1|uint64(bitIf(b.correlation, 1)))
		dst = binary.AppendUvarint(dst, uint64(len(b.raw)+len(b.tail)))
		dst = append(append(dst, b.raw...), b.tail...)
	}
	return dst
}

func (d *Device) readBuffers(r *reader) {
	for range r.count(maxBuffered) {
		b := segmentBuffer{who: subject{d.texts.read(r), d.texts.read(r)}, typ: d.texts.read(r), text: d.texts.read(r)}
		b.start = d.clock + r.ticks()
		b.end = b.start + r.ticks()
		b.opened = d.clock + r.ticks()
		head := r.int()
		b.count, b.correlation = int(head>>1), head&1 != 0
		b.raw = r.bytes(MaxRowBytes)
		d.buffers = append(d.buffers, b)
	}
}
