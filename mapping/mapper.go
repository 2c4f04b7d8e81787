package mapping

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"

	"auscult/mapping/internal/dotnet"
	"auscult/mapping/internal/jmespath"
	"auscult/mapping/internal/jsonpath"
	"auscult/mapping/internal/tape"
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
	Message    string // what is wrong
	// Path is where in the message the value stands that is at fault, a JSON
	// pointer into {Body, Properties, SystemProperties}, and Value what stands
	// there, clipped: health data, not for a log. Both are empty when there is
	// no such value, and for all but the first maxTold failures of a message.
	Path, Value string
}

// Error makes a Failure an error. It quotes the message's data.
func (f Failure) Error() string {
	s := fmt.Sprintf("template %d (%s): %s %s: %s", f.Template+1, f.Type, f.Field, f.Expression, f.Message)
	if f.Value != "" {
		s += fmt.Sprintf(": %s is %s", f.Path, f.Value)
	}
	return s
}

// maxTold is for how many failures of a message Path and Value are told.
const maxTold = 20

var errMatches = fmt.Errorf("the message has more than %d matches", MaxMatches)
var errNotObject = errors.New("the message is not an object {Body, Properties, SystemProperties}")

// Mapper maps messages, one at a time. It keeps what it has grown, so that it
// allocates nothing once it has seen messages like the next one. Messages that
// differ from earlier ones in their values only are compared with these instead
// of being parsed, unless it was made WithoutShapes.
type Mapper struct {
	device  *Device
	tape    *tape.Tape
	times   []timeMemo           // of each chain
	walks   []walkMemo           // of each chain
	form    *form                // of the message at hand, nil when it was parsed
	forms   [tape.MaxShapes]form // by the slot of the shape
	epoch   uint32
	hits    []hit
	chains  []hitList // of each template
	active  []uint64  // a bit for each template that has hits or does not scan
	found   []uint32  // matches of the template at hand
	several []uint32  // what an expression selects
	paths   *jsonpath.Evaluator
	jmes    *jmespath.Evaluator
	// shapeless mappers parse every message.
	shapeless bool
	// root is the envelope with rootMatch as matchedToken, once it is made.
	root, rootMatch uint32

	msg                          *Message // the one at hand
	blamed                       uint32   // what the field at hand has found; None before
	patientGiven, encounterGiven bool
	matched                      int        // matches so far
	told                         int        // failures with Path and Value
	whole                        *tape.Tape // all of the message, when a failure needs it
	wholeEpoch                   uint32     // of which message
	day                          dayMemo
	out                          schemas.Measurement
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

// MapperOption changes how a Mapper works, not what it gives.
type MapperOption func(*Mapper)

// WithoutShapes makes a Mapper parse every message, also those that are like
// earlier ones.
func WithoutShapes() MapperOption { return func(m *Mapper) { m.shapeless = true } }

// NewMapper returns a Mapper for one goroutine.
func (d *Device) NewMapper(options ...MapperOption) *Mapper {
	t := tape.New(d.names)
	t.Keep = d.keep
	m := &Mapper{
		device: d, tape: t, times: make([]timeMemo, d.memos), walks: make([]walkMemo, d.memos), chains: make([]hitList, len(d.templates)),
		active: make([]uint64, len(d.searching)), paths: jsonpath.NewEvaluator(t), jmes: jmespath.NewEvaluator(t),
	}
	for i := range m.chains {
		m.chains[i] = hitList{-1, -1}
	}
	for _, option := range options {
		option(m)
	}
	if !m.shapeless {
		t.UseShapes()
	}
	return m
}

// Map gives yield each measurement of a message, template by template, matches
// in document order, and gives fail each template or match that cannot be used.
// An error means that the message itself cannot be used. The measurement is
// valid during the call only: its texts alias the message. Lineage and
// Ingestion are not set.
func (m *Mapper) Map(msg *Message, yield func(*schemas.Measurement), fail func(Failure)) error {
	if err := m.begin(msg); err != nil {
		return err
	}
	for k := range m.active {
		for b := m.active[k]; b != 0; b &= b - 1 {
			m.emitAll(&m.device.templates[64*k+bits.TrailingZeros64(b)], yield, fail)
		}
	}
	return nil
}

// emitAll makes the measurements of a template. What a match has put on the tape
// is taken off again, or many matches would make it grow without end.
func (m *Mapper) emitAll(t *template, yield func(*schemas.Measurement), fail func(Failure)) {
	nodes, err := m.matchesOf(t)
	if err != nil {
		fail(t.failure(&t.match, err.Error()))
	}
	if m.matched += len(nodes); m.matched > MaxMatches {
		fail(t.failure(&t.match, errMatches.Error()))
		return
	}
	made, side := len(m.tape.Nodes), len(m.tape.Side)
	for _, node := range nodes {
		m.emit(t, node, yield, fail)
		m.tape.Nodes, m.tape.Side, m.root = m.tape.Nodes[:made], m.tape.Side[:side], tape.None
	}
}

// begin parses a message and answers the scans.
func (m *Mapper) begin(msg *Message) error {
	if m.epoch++; m.epoch == 0 { // wrapped: old answers would look new
		clear(m.times)
		clear(m.walks)
		m.epoch = 1
	}
	m.root, m.msg, m.told, m.matched = tape.None, msg, 0, 0
	if cap(m.hits) > keepHits {
		m.hits, m.found, m.several = nil, nil, nil
	}
	if err := load(m.tape, msg); err != nil {
		return err
	}
	if m.tape.Nodes[0].Kind != tape.Object {
		return errNotObject
	}
	m.form = m.formOf()
	return m.scan()
}

// keepHits is how many matches a mapper keeps room for between messages.
const keepHits = 1 << 14

// matchesOf returns the matches of a template, in document order. They are
// valid until the next call.
func (m *Mapper) matchesOf(t *template) ([]uint32, error) {
	var err error
	if m.found = m.found[:0]; t.scan == nil {
		m.found, err = t.matcher.matches(m, m.found)
		return m.found, err
	}
	k := m.chains[t.index].first
	if k < 0 {
		return nil, nil
	}
	start, ok := m.tape.Walk(0, t.scan.within)
	if !ok {
		return nil, nil
	}
	end := start + m.tape.Nodes[start].Size
	for ; k >= 0; k = m.hits[k].next {
		if o := m.hits[k].object; o >= start && o < end {
			m.found = append(m.found, o)
		}
	}
	return m.found, nil
}

// scan finds the hits of all scanning templates.
func (m *Mapper) scan() error {
	m.reset()
	objects := m.tape.Objects
	f := m.form
	if f == nil {
		return m.scanObjects(objects)
	}
	if err := m.scanObjects(objects[:f.shape.Object]); err != nil {
		return err
	}
	for i := range f.hits {
		h := &f.hits[i]
		if (!h.tested || m.device.templates[h.template].scan.holds(m, h.object, m.device.exact)) && !m.hit(h.template, h.object) {
			return errMatches
		}
	}
	return m.scanObjects(objects[f.shape.Object+f.shape.Objects:])
}

// reset forgets the hits of the last message.
func (m *Mapper) reset() {
	m.hits = m.hits[:0]
	for k := range m.active {
		for b := m.active[k]; b != 0; b &= b - 1 {
			m.chains[64*k+bits.TrailingZeros64(b)] = hitList{-1, -1}
		}
	}
	copy(m.active, m.device.searching)
}

// scanObjects finds the hits among objects.
func (m *Mapper) scanObjects(objects []uint32) error {
	d, nodes := m.device, m.tape.Nodes
	for _, o := range objects {
		mask := nodes[o].Mask
		for b := mask & d.triggers; b != 0; b &= b - 1 {
			templates := d.byBit[bits.TrailingZeros64(b)]
			if !m.tape.Spend(len(templates)) {
				return tape.ErrSteps
			}
			for _, ti := range templates {
				s := d.templates[ti].scan
				if mask&s.required == s.required && s.holds(m, o, d.exact) && !m.hit(ti, o) {
					return errMatches
				}
			}
		}
	}
	return nil
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
		m.active[ti>>6] |= 1 << (ti & 63)
	} else {
		m.hits[l.last].next = k
	}
	l.last = k
	return true
}

// emit makes the measurement of one match.
func (m *Mapper) emit(t *template, match uint32, yield func(*schemas.Measurement), fail func(Failure)) {
	out := &m.out
	*out = schemas.Measurement{Type: t.typeName, Values: out.Values[:0]}
	m.patientGiven, m.encounterGiven = false, false
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
	if fault == "" && t.patient.defined() {
		f = &t.patient
		out.Patient, m.patientGiven, fault = m.optional(f, match)
	}
	if fault == "" && t.encounter.defined() {
		f = &t.encounter
		out.Encounter, m.encounterGiven, fault = m.optional(f, match)
	}
	for i := range t.values {
		if fault != "" {
			break
		}
		f = &t.values[i].field
		fault = m.value(&t.values[i], match)
	}
	if fault != "" {
		fail(m.failure(t, f, fault))
		return
	}
	yield(out)
}

// Given reports whether the measurement at hand names a patient and an encounter,
// if only by an empty text, which a Measurement does not tell from none. It is
// for use while Map yields.
func (m *Mapper) Given() (patient, encounter bool) { return m.patientGiven, m.encounterGiven }

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
	m.blamed = tape.None
	for _, e := range f.expressions {
		node, found, err := m.find(e, match)
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
	fault, m.blamed = faultMissing, tape.None
	for _, e := range f.expressions {
		node, found, err := m.find(e, match)
		if err != nil {
			return "", err.Error()
		}
		if !found {
			continue
		}
		if m.tape.Nodes[node].Kind == tape.Null {
			m.blamed = node
			continue
		}
		if text, ok := m.text(node); ok && !blankText(text) {
			return text, ""
		}
		fault, m.blamed = faultBlank, node
	}
	return "", fault
}

func blankText(s string) bool {
	return s == "" || (s[0] <= ' ' || s[0] >= 0x80) && strings.TrimSpace(s) == ""
}

// time returns the occurrence. Every expression is tried: the unreadable
// creation time of a device falls back to when the hub took the message.
func (m *Mapper) time(f *field, match uint32) (t schemas.Ticks, fault string) {
	fault, m.blamed = faultMissing, tape.None
	for _, e := range f.expressions {
		node, found, err := m.find(e, match)
		if err != nil {
			return 0, err.Error()
		}
		if !found {
			continue
		}
		if m.tape.Nodes[node].Kind == tape.Null {
			m.blamed = node
			continue
		}
		if t, ok := m.ticksOf(e, node); ok {
			return t, ""
		}
		fault, m.blamed = faultTime, node
	}
	return 0, fault
}

// ticksOf reads the node that e has found as a time. It remembers the last one of
// each chain, which the next template may ask for again.
func (m *Mapper) ticksOf(e expression, node uint32) (schemas.Ticks, bool) {
	c, isChain := e.(*chain)
	if isChain && m.times[c.memo].epoch == m.epoch && m.times[c.memo].node == node {
		return m.times[c.memo].ticks, true
	}
	in, ok := m.instant(node)
	if ok && isChain {
		m.times[c.memo] = timeMemo{m.epoch, node, in.Ticks}
	}
	return in.Ticks, ok
}

// find evaluates an expression. Most are chains, which a direct call makes cheap.
func (m *Mapper) find(e expression, match uint32) (uint32, bool, error) {
	if c, ok := e.(*chain); ok {
		return c.one(m, match)
	}
	return e.one(m, match)
}

// instant reads a node as a time; numbers never are one.
func (m *Mapper) instant(i uint32) (dotnet.Instant, bool) {
	n := &m.tape.Nodes[i]
	if n.Kind != tape.String && n.Kind != tape.Text && n.Kind != tape.Date {
		return dotnet.Instant{}, false
	}
	b := m.tape.Decoded(n)
	if in, ok := m.plainTime(b); ok {
		return in, true
	}
	if in, ok := dotnet.DateToken(b); ok && n.Kind != tape.Text { // only the reader of messages makes such tokens
		return in, true
	}
	t, ok := dotnet.LenientTime(string(b))
	return dotnet.Instant{Ticks: t}, ok
}

// plainTime is DateToken for the form that nearly all times have, with the day
// remembered.
func (m *Mapper) plainTime(b []byte) (dotnet.Instant, bool) {
	if len(b) < 20 || b[10] != 'T' {
		return dotnet.Instant{}, false
	}
	at, ok := dotnet.PlainClock(b[11:])
	if !ok {
		return dotnet.Instant{}, false
	}
	if string(m.day.text[:]) != string(b[:10]) {
		day, ok := dotnet.ISODay(b)
		if !ok {
			return dotnet.Instant{}, false
		}
		m.day.ticks = day
		copy(m.day.text[:], b)
	}
	return dotnet.Instant{Ticks: m.day.ticks + at, Zone: dotnet.ZoneUTC}, true
}
