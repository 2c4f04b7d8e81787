package mapping

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math/bits"
	"strings"

	"auscult/schemas"
)

// MaxMatches is how many matches one message may have, over all templates.
const MaxMatches = 100_000

// Failure is one template, or one of its matches, that could not be used. The
// others go on.
type Failure struct {
	Template   int    // place in the mapping, from 0
	Type       string // of the template
	Expression string // that failed
	Field      string // which expression of the template it is
	Message    string // what is wrong; may quote the message's data
}

// Error makes a Failure an error.
func (f Failure) Error() string {
	return fmt.Sprintf("template %d (%s): %s: %s", f.Template+1, f.Type, f.Field, f.Message)
}

var errMatches = fmt.Errorf("the message has more than %d matches", MaxMatches)
var errNotObject = errors.New("the message is not an object {Body, Properties, SystemProperties}")

// Mapper maps messages, one at a time. It keeps what it has grown, so that it
// allocates nothing once it has seen messages like the next one.
type Mapper struct {
	device  *Device
	tape    tape
	memos   []memo
	epoch   uint32
	hits    []hit
	chains  []hitList // of each template
	found   []uint32  // by a matcher
	scratch []byte    // made-up texts of this message
	day     dayMemo
	out     schemas.Measurement
}

// hit is an object that a scan matched; next is the template's next one.
type hit struct {
	object uint32
	next   int32
}

// hitList is the first and last hit of a template, -1 when there is none.
type hitList struct{ first, last int32 }

// dayMemo is the last day that was read: messages of a batch mostly share it.
type dayMemo struct {
	text  [10]byte
	ticks schemas.Ticks
}

// NewMapper returns a Mapper for one goroutine.
func (d *Device) NewMapper() *Mapper {
	m := &Mapper{device: d, memos: make([]memo, d.memos), chains: make([]hitList, len(d.templates))}
	m.tape.names = d.names
	m.tape.seed = maphash.MakeSeed()
	return m
}

// Map gives yield each measurement of a message, template by template, matches
// in document order, and gives fail each template or match that cannot be used.
// An error means that the message itself cannot be used. The measurement is
// valid during the call only: its texts alias the message. Lineage and
// Ingestion are not set.
func (m *Mapper) Map(msg *Message, yield func(*schemas.Measurement), fail func(Failure)) error {
	m.scratch = m.scratch[:0]
	if m.epoch++; m.epoch == 0 { // wrapped: old answers would look new
		clear(m.memos)
		m.epoch = 1
	}
	if err := m.tape.load(msg, &m.device.envelope); err != nil {
		return err
	}
	if m.tape.nodes[0].kind != kindObject {
		return errNotObject
	}
	if !m.scan() {
		return errMatches
	}
	for i := range m.device.templates {
		t := &m.device.templates[i]
		if t.scan != nil {
			m.emitHits(t, yield, fail)
		} else if !m.emitFound(t, yield, fail) {
			return errMatches
		}
	}
	return nil
}

// scan finds the hits of all scanning templates. false = too many.
func (m *Mapper) scan() bool {
	d := m.device
	m.hits = m.hits[:0]
	for i := range m.chains {
		m.chains[i] = hitList{-1, -1}
	}
	nodes := m.tape.nodes
	for _, o := range m.tape.objects {
		mask := nodes[o].mask
		for b := mask & d.triggers; b != 0; b &= b - 1 {
			for _, ti := range d.byBit[bits.TrailingZeros64(b)] {
				s := d.templates[ti].scan
				if mask&s.required == s.required && s.holds(m, o, d.exact) && !m.hit(ti, o) {
					return false
				}
			}
		}
	}
	return true
}

// hit appends object o to the hits of template ti.
func (m *Mapper) hit(ti int, o uint32) bool {
	if len(m.hits) == MaxMatches {
		return false
	}
	k := int32(len(m.hits))
	m.hits = append(m.hits, hit{o, -1})
	l := &m.chains[ti]
	if l.first < 0 {
		l.first = k
	} else {
		m.hits[l.last].next = k
	}
	l.last = k
	return true
}

// emitHits emits the matches of a scanning template.
func (m *Mapper) emitHits(t *template, yield func(*schemas.Measurement), fail func(Failure)) {
	k := m.chains[t.index].first
	if k < 0 {
		return
	}
	start, ok := m.tape.walk(0, t.scan.within)
	if !ok {
		return
	}
	end := start + m.tape.nodes[start].size
	for ; k >= 0; k = m.hits[k].next {
		if o := m.hits[k].object; o >= start && o < end {
			m.emit(t, o, yield, fail)
		}
	}
}

// emitFound emits the matches of a template that does not scan.
func (m *Mapper) emitFound(t *template, yield func(*schemas.Measurement), fail func(Failure)) bool {
	var err error
	if m.found, err = t.matcher.matches(m, m.found[:0]); err != nil {
		fail(t.failure(&t.match, err.Error()))
		return true
	}
	for _, node := range m.found {
		m.emit(t, node, yield, fail)
	}
	return len(m.found) <= MaxMatches
}

// emit makes the measurement of one match.
func (m *Mapper) emit(t *template, match uint32, yield func(*schemas.Measurement), fail func(Failure)) {
	out := &m.out
	*out = schemas.Measurement{Type: t.typeName, Values: out.Values[:0]}
	var fault string
	f := &t.device
	if out.Device, fault = m.required(f, match); fault == "" {
		f = &t.time
		out.Occurrence, fault = m.time(f, match)
	}
	if fault == "" && t.correlation.defined() {
		f = &t.correlation
		out.Correlation, fault = m.required(f, match)
	}
	if fault == "" {
		f = &t.patient
		out.Patient, _, fault = m.optional(f, match)
	}
	if fault == "" {
		f = &t.encounter
		out.Encounter, _, fault = m.optional(f, match)
	}
	for i := range t.values {
		if fault != "" {
			break
		}
		f = &t.values[i].field
		fault = m.value(&t.values[i], match)
	}
	if fault != "" {
		fail(t.failure(f, fault))
		return
	}
	yield(out)
}

// value adds one value to the measurement.
func (m *Mapper) value(v *value, match uint32) (fault string) {
	if v.required {
		var text string
		if text, fault = m.required(&v.field, match); fault == "" {
			m.out.Values = append(m.out.Values, schemas.NamedText{Name: v.name, Text: text})
		}
		return fault
	}
	text, ok, fault := m.optional(&v.field, match)
	if ok {
		m.out.Values = append(m.out.Values, schemas.NamedText{Name: v.name, Text: text})
	}
	return fault
}

// optional returns a text, ok when there is one: what is missing, null or
// cannot be a text is left out. An expression that fails is a fault even so.
func (m *Mapper) optional(f *field, match uint32) (text string, ok bool, fault string) {
	for _, e := range f.expressions {
		node, found, err := e.one(m, match)
		if err != nil {
			return "", false, err.Error()
		}
		if found {
			if text, ok = m.text(node); ok {
				return text, true, ""
			}
		}
	}
	return "", false, ""
}

// Faults of required fields.
const (
	faultMissing = "the message has no such value"
	faultBlank   = "the value is blank or cannot be a text"
	faultTime    = "the value is not a time"
)

// required returns a text that must be there and not be blank.
func (m *Mapper) required(f *field, match uint32) (text, fault string) {
	fault = faultMissing
	for _, e := range f.expressions {
		node, found, err := e.one(m, match)
		if err != nil {
			return "", err.Error()
		}
		if !found {
			continue
		}
		if text, ok := m.text(node); ok && !blankText(text) {
			return text, ""
		}
		fault = faultBlank
	}
	return "", fault
}

func blankText(s string) bool {
	return s == "" || (s[0] <= ' ' || s[0] >= 0x80) && strings.TrimSpace(s) == ""
}

// time returns the occurrence. Every expression is tried: the unreadable
// creation time of a device falls back to when the hub took the message.
func (m *Mapper) time(f *field, match uint32) (t schemas.Ticks, fault string) {
	fault = faultMissing
	for _, e := range f.expressions {
		node, found, err := e.one(m, match)
		if err != nil {
			return 0, err.Error()
		}
		if !found {
			continue
		}
		if c, ok := e.(*chain); ok && m.memos[c.memo].timed {
			return m.memos[c.memo].time.ticks, ""
		}
		in, ok := m.instant(node)
		if !ok {
			fault = faultTime
			continue
		}
		if c, ok := e.(*chain); ok {
			m.memos[c.memo].timed, m.memos[c.memo].time = true, in
		}
		return in.ticks, ""
	}
	return 0, fault
}

// instant reads a node as a time; numbers never are one.
func (m *Mapper) instant(i uint32) (instant, bool) {
	n := &m.tape.nodes[i]
	if n.kind != kindString && n.kind != kindText && n.kind != kindDate {
		return instant{}, false
	}
	b := m.decoded(n, m.tape.bytes(n))
	if in, ok := m.plainTime(b); ok {
		return in, true
	}
	if in, ok := dateToken(b); ok {
		return in, true
	}
	t, ok := lenientTime(string(b))
	return instant{ticks: t}, ok
}

// plainTime is dateToken for yyyy-MM-ddTHH:mm:ss[.f]Z, which nearly all times
// are, with the day remembered.
func (m *Mapper) plainTime(b []byte) (instant, bool) {
	if len(b) < 20 || len(b) > 28 || b[10] != 'T' || b[len(b)-1] != 'Z' {
		return instant{}, false
	}
	if string(m.day.text[:]) != string(b[:10]) {
		day, ok := isoDay(b)
		if !ok {
			return instant{}, false
		}
		m.day.ticks = day
		copy(m.day.text[:], b)
	}
	at, i, ok := isoClock(b, 11)
	return instant{clamp(m.day.ticks + at), zoneUTC}, ok && i == len(b)-1
}
