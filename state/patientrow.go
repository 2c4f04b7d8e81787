package state

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"auscult/schemas"
)

// PatientLayout is the first byte of a patient's row behind the header.
const PatientLayout = 1

// maxListed bounds the windows and Flags that a row may say it has, against
// damaged bytes: a row that is not full holds fewer.
const maxListed = 1 << 17

// AppendTo appends the row's body.
func (p *Patient) AppendTo(dst []byte) []byte {
	dst = append(dst, PatientLayout, flagBit(p.more, 1))
	dst = appendTicks(dst, p.lowest)
	dst = appendText(dst, p.facts.BirthDate)
	dst = appendText(dst, p.facts.Gender)
	dst = binary.AppendUvarint(dst, uint64(len(p.facts.Codes)))
	for _, c := range p.facts.Codes {
		dst = appendText(dst, c)
	}
	dst = binary.AppendUvarint(dst, uint64(len(p.devices)))
	for i := range p.devices {
		dst = p.devices[i].appendTo(dst)
	}
	dst = binary.AppendUvarint(dst, uint64(len(p.lanes)))
	observation := ""
	for i := range p.lanes {
		dst, observation = p.lanes[i].appendTo(dst, observation)
	}
	dst = binary.AppendUvarint(dst, uint64(len(p.tracks)))
	for i := range p.tracks {
		dst = p.tracks[i].appendTo(dst)
	}
	return dst
}

func flagBit(on bool, value byte) byte {
	if on {
		return value
	}
	return 0
}

func (d *watched) appendTo(dst []byte) []byte {
	dst = appendText(dst, d.id)
	dst = append(dst, byte(d.presence))
	dst = appendTicks(dst, d.clock)
	dst = appendSpan(dst, d.clock-d.settled)
	dst = binary.AppendUvarint(dst, uint64(d.order.Version))
	dst = binary.AppendUvarint(dst, uint64(d.order.Index))
	return appendTicks(dst, d.alarm)
}

// appendTo writes a lane. Identifiers share most of their text with the one
// before, so only what differs is written.
func (l *lane) appendTo(dst []byte, observation string) ([]byte, string) {
	dst = binary.AppendUvarint(dst, uint64(l.device))
	dst = appendText(dst, l.encounter)
	dst = appendText(dst, l.typ)
	dst = appendText(dst, l.name)
	dst = binary.AppendUvarint(dst, uint64(len(l.panes)))
	at := schemas.Ticks(0)
	for i := range l.panes {
		v := &l.panes[i]
		dst = appendSpan(dst, v.start-at)
		dst = appendSpan(dst, v.end-v.start)
		dst = appendSpan(dst, v.first-v.start)
		dst = appendSpan(dst, v.last-v.start)
		dst = appendText(dst, v.text)
		n := shared(observation, v.observation)
		dst = binary.AppendUvarint(dst, uint64(n))
		dst = appendText(dst, v.observation[n:])
		at, observation = v.start, v.observation
	}
	return dst, observation
}

// shared returns how many bytes a and b have in common at their beginning.
func shared(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func (t *track) appendTo(dst []byte) []byte {
	dst = appendText(dst, t.id)
	dst = appendText(dst, t.version)
	for _, v := range []schemas.Ticks{t.frozen, t.lastUsed, t.forced} {
		dst = appendTicks(dst, v)
	}
	dst = append(dst, byte(t.forcedBy), flagBit(t.base.open, 1))
	dst = appendTicks(dst, t.base.opened)
	dst = appendScore(dst, t.base.max)
	dst = binary.AppendUvarint(dst, uint64(t.base.row))
	dst = binary.AppendUvarint(dst, uint64(len(t.windows)))
	at := t.frozen
	for i := range t.windows {
		o := &t.windows[i]
		dst = appendSpan(dst, o.end-at)
		dst = append(dst, flagBit(o.complete, 1)|flagBit(o.final, 2)|flagBit(o.dirty, 4)|flagBit(o.first, 8)|flagBit(o.orphan, 16))
		dst = binary.AppendUvarint(dst, uint64(o.revision))
		dst = appendScore(dst, o.min)
		dst = appendScore(dst, o.max)
		dst = binary.LittleEndian.AppendUint64(dst, o.content)
		at = o.end
	}
	dst = binary.AppendUvarint(dst, uint64(len(t.flags)))
	for i := range t.flags {
		e := &t.flags[i]
		dst = appendTicks(dst, e.opened)
		dst = appendTicks(dst, e.closed)
		dst = appendScore(dst, e.max)
		dst = append(dst, flagBit(e.provisional, 1))
	}
	return dst
}

// appendSpan writes a length of time: whole seconds, which most are, in a few
// bits.
func appendSpan(dst []byte, t schemas.Ticks) []byte {
	if t%schemas.TicksPerSecond == 0 {
		return appendZigzag(dst, int64(t/schemas.TicksPerSecond)<<1)
	}
	return appendZigzag(dst, int64(t)<<1|1)
}

// appendScore writes a score: small whole numbers, which most are, in a byte.
func appendScore(dst []byte, v float64) []byte {
	if n := int(v); float64(n) == v && n >= 0 && n < math.MaxUint8 {
		return append(dst, byte(n))
	}
	return binary.LittleEndian.AppendUint64(append(dst, math.MaxUint8), math.Float64bits(v))
}

// Read replaces p by the row that b holds, under p.Watch. An empty b is that of
// a new patient. Nothing of b is kept; the memory of what p held is used again.
func (p *Patient) Read(b []byte) error {
	*p = Patient{Watch: p.Watch, devices: p.devices[:0], lanes: p.lanes[:0], tracks: p.tracks[:0], spare: p.spare}
	if len(b) > 0 {
		if b[0] != PatientLayout {
			return fmt.Errorf("%w: patient layout %d, this release knows %d", ErrRow, b[0], PatientLayout)
		}
		r := patientReader{reader: reader{b: b[1:]}, all: string(b)}
		p.read(&r)
		if err := r.done(); err != nil {
			return err
		}
	}
	p.bind(len(b) == 0)
	return nil
}

// patientReader reads texts as parts of one copy of the row.
type patientReader struct {
	reader
	all string
}

func (r *patientReader) text(limit int) string {
	n := len(r.bytes(limit))
	end := len(r.all) - len(r.b)
	if r.err != nil {
		return ""
	}
	return r.all[end-n : end]
}

func (r *patientReader) span() schemas.Ticks {
	v := r.zigzag()
	if v&1 == 1 {
		return schemas.Ticks(v >> 1)
	}
	return schemas.Ticks(v>>1) * schemas.TicksPerSecond
}

// int32 reads a number that is never negative and fits.
func (r *patientReader) int32() int32 {
	v := r.int()
	if v > math.MaxInt32 {
		r.fail("number too large")
		return 0
	}
	return int32(v)
}

func (r *patientReader) score() float64 {
	if n := r.byte(); n < math.MaxUint8 {
		return float64(n)
	}
	return math.Float64frombits(r.uint64())
}

func (p *Patient) read(r *patientReader) {
	p.more = r.byte() == 1
	p.lowest = r.ticks()
	p.facts.BirthDate = r.text(maxHeldID)
	p.facts.Gender = r.text(maxHeldID)
	for range r.count(maxFacts) {
		p.facts.Codes = append(p.facts.Codes, r.text(maxHeldID))
	}
	for range r.count(maxWatched) {
		d := watched{id: r.text(maxHeldID), presence: presence(r.byte()), clock: r.ticks()}
		d.settled = d.clock - r.span()
		d.order = schemas.Order{Version: r.int(), Index: r.int32()}
		d.alarm = r.ticks()
		p.devices = append(p.devices, d)
	}
	p.spare.ids, p.spare.ends = p.spare.ids[:0], p.spare.ends[:0]
	for range r.count(maxLanes) {
		p.lanes = append(p.lanes, p.readLane(r, p.lanes))
	}
	ids, ends, begin := string(p.spare.ids), p.spare.ends, 0
	for i := range p.lanes {
		for j := range p.lanes[i].panes {
			p.lanes[i].panes[j].observation = ids[begin:ends[0]]
			begin, ends = ends[0], ends[1:]
		}
	}
	for range r.count(MaxPlans) {
		p.tracks = append(p.tracks, readTrack(r, p.tracks))
	}
}

// spare is memory that a patient uses again.
type spare struct {
	ids   []byte // the identifiers of all panes of the row, one behind the other
	ends  []int  // where each of them ends
	spans []span
}

// readLane reads a lane. Identifiers are gathered in p.spare, so that all of
// them become one text.
func (p *Patient) readLane(r *patientReader, before []lane) lane {
	l := lane{device: int(r.int32()), encounter: r.text(maxHeldID), typ: r.text(maxHeldID), name: r.text(maxHeldID)}
	if l.device >= len(p.devices) {
		r.fail("series of no device")
	}
	if len(before) < cap(before) {
		l.panes = before[:len(before)+1][len(before)].panes[:0]
	}
	at := schemas.Ticks(0)
	for range r.count(maxLanePanes) {
		v := heldPane{start: at + r.span()}
		v.end, v.first, v.last = v.start+r.span(), v.start+r.span(), v.start+r.span()
		v.text = r.text(maxHeldText)
		if !p.readID(r) {
			return l
		}
		at = v.start
		l.panes = append(l.panes, v)
	}
	return l
}

// readID adds one identifier, whose first bytes are those of the one before.
func (p *Patient) readID(r *patientReader) bool {
	begin, n := 0, len(p.spare.ends)
	if n > 1 {
		begin = p.spare.ends[n-2]
	}
	same := int(r.int32())
	if same > min(len(p.spare.ids)-begin, maxHeldID) {
		r.fail("identifier shares more than there is")
		return false
	}
	p.spare.ids = append(p.spare.ids, p.spare.ids[begin:begin+same]...)
	p.spare.ids = append(p.spare.ids, r.bytes(maxHeldID-same)...)
	p.spare.ends = append(p.spare.ends, len(p.spare.ids))
	return r.err == nil
}

func readTrack(r *patientReader, before []track) track {
	t := track{id: r.text(maxHeldID), version: r.text(maxHeldID), frozen: r.ticks(), lastUsed: r.ticks(), forced: r.ticks()}
	t.forcedBy, t.base.open = schemas.Trigger(r.byte()), r.byte() == 1
	t.base.opened, t.base.max, t.base.row = r.ticks(), r.score(), int(r.int32())
	if len(before) < cap(before) {
		old := &before[:len(before)+1][len(before)]
		t.windows, t.flags = old.windows[:0], old.flags[:0]
	}
	at := t.frozen
	for range r.count(maxListed) {
		o := outcome{end: at + r.span()}
		flags := r.byte()
		o.complete, o.final, o.dirty = flags&1 != 0, flags&2 != 0, flags&4 != 0
		o.first, o.orphan = flags&8 != 0, flags&16 != 0
		o.revision, o.min, o.max, o.content = r.int32(), r.score(), r.score(), r.uint64()
		at = o.end
		t.windows = append(t.windows, o)
	}
	for range r.count(maxListed) {
		t.flags = append(t.flags, episode{opened: r.ticks(), closed: r.ticks(), max: r.score(), provisional: r.byte() == 1})
	}
	return t
}

// bind puts the tracks of the row beside the plans of the configuration.
func (p *Patient) bind(fresh bool) {
	for i := range p.lanes {
		p.lanes[i].readers = p.Watch.readers(p.lanes[i].typ, p.lanes[i].name)
	}
	if p.asPlanned() {
		return
	}
	old := p.tracks
	p.tracks = make([]track, 0, len(p.Watch.Plans))
	for i := range p.Watch.Plans {
		plan := &p.Watch.Plans[i]
		t := track{id: plan.ID, version: plan.Version}
		if k := slices.IndexFunc(old, func(t track) bool { return t.id == plan.ID }); k >= 0 {
			t = old[k]
		} else if !fresh && p.lowest > 0 {
			t.frozen = plan.boundary(p.lowest) // a new model begins now
		}
		if t.version != plan.Version {
			t.renew(plan)
		}
		p.tracks = append(p.tracks, t)
	}
	p.lanes = slices.DeleteFunc(p.lanes, func(l lane) bool { return l.readers == 0 })
}

// asPlanned reports that the row was written under this configuration, as
// nearly all are.
func (p *Patient) asPlanned() bool {
	if len(p.tracks) != len(p.Watch.Plans) {
		return false
	}
	for i := range p.tracks {
		if p.tracks[i].id != p.Watch.Plans[i].ID || p.tracks[i].version != p.Watch.Plans[i].Version {
			return false
		}
	}
	return !slices.ContainsFunc(p.lanes, func(l lane) bool { return l.readers == 0 })
}

// renew begins a model anew after a change of its configuration: what has been
// said stays said, an open episode stays open, and what comes is judged by the
// new rules.
func (t *track) renew(plan *Plan) {
	last := t.frozen
	for i := range t.windows {
		if t.windows[i].final {
			last = max(last, t.windows[i].end)
		}
	}
	next := track{id: t.id, version: plan.Version, lastUsed: t.lastUsed}
	if last > 0 {
		if next.frozen = plan.boundary(last); next.frozen < last {
			next.frozen += plan.Slide
		}
	}
	for _, e := range t.flags {
		if e.closed == 0 && !e.provisional {
			next.base = hysteresis{open: true, opened: e.opened, max: e.max}
		}
		if e.closed == 0 {
			next.flags = append(next.flags, e)
		}
	}
	if plan.Flag == nil {
		next.flags, next.base = nil, hysteresis{}
	}
	*t = next
}

// Flags returns the row flags that hold now.
func (p *Patient) Flags() uint8 {
	if p.more {
		return RowWork
	}
	return 0
}

// Shrink makes a full row smaller (G8): the model with most windows gives up
// the older half of them, else the longest series the older half of its panes.
// It reports false when there is nothing left to give.
func (p *Patient) Shrink() bool {
	most, t := 1, -1
	for i := range p.tracks {
		if n := len(p.tracks[i].windows); n > most && p.tracks[i].windows[0].final {
			most, t = n, i
		}
	}
	if t >= 0 {
		p.giveUp(t, most/2)
		p.compact()
		return true
	}
	most, longest := 1, -1
	for i := range p.lanes {
		if n := len(p.lanes[i].panes); n > most {
			most, longest = n, i
		}
	}
	if longest < 0 {
		return false
	}
	l := &p.lanes[longest]
	l.panes = slices.Delete(l.panes, 0, most/2)
	p.Counts.Forced++
	return true
}

// giveUp freezes the n oldest windows of a model, as far as they are final.
func (p *Patient) giveUp(place, n int) {
	t, plan := &p.tracks[place], &p.Watch.Plans[place]
	spans, before := p.spans(place)
	t.lastUsed = max(t.lastUsed, before)
	i := 0
	for i < n && t.windows[i].final {
		t.fold(plan.Flag, &t.windows[i])
		i++
	}
	p.Counts.Forced += i
	t.windows = slices.Delete(t.windows, 0, i)
	for _, s := range spans {
		if plan.slideEnd(s.last) <= t.frozen {
			t.lastUsed = max(t.lastUsed, s.last)
		}
	}
}
