package mapping

import (
	"bytes"
	"slices"

	"auscult/mapping/internal/dotnet"
	"auscult/mapping/internal/tape"
	"auscult/schemas"
)

// expression selects at most one node of a message: a value, an id, a time.
// A language that computes puts its result on the tape as a new node, so this
// stays the only way to get at values.
type expression interface {
	// one returns the node; match is the token that the template matched. ok is
	// false when the expression selects nothing.
	one(m *Mapper, match uint32) (node uint32, ok bool, err error)
}

// matcher selects the tokens that a template matches, in document order.
type matcher interface {
	matches(m *Mapper, dst []uint32) ([]uint32, error)
}

// chain is a path that selects at most one node: names and indices only.
type chain struct {
	fromMatch bool // starts at the matched token, else at the envelope
	steps     []tape.Step
	memo      int // its number
}

// timeMemo is the last time that was read at the end of a chain: templates of
// one device mostly share it.
type timeMemo struct {
	epoch uint32
	node  uint32
	ticks schemas.Ticks
}

// walkMemo is the last answer of a chain for the message of epoch. Without it a
// chain from the envelope would be walked for every match.
type walkMemo struct {
	epoch, start uint32
	node         uint32
	found        bool
}

func (c *chain) one(m *Mapper, match uint32) (uint32, bool, error) {
	start := uint32(0)
	if c.fromMatch {
		start = match
	}
	if a := m.form.answer(c, start); a != nil {
		if *a == 0 {
			*a = answered - 1
			if node, found := m.tape.Walk(start, c.steps); found {
				*a = answered + node
			}
		}
		return *a - answered, *a >= answered, nil
	}
	w := &m.walks[c.memo]
	if w.epoch != m.epoch || w.start != start {
		node, found := m.tape.Walk(start, c.steps)
		if m.tape.Spent() {
			return tape.None, false, tape.ErrSteps
		}
		*w = walkMemo{m.epoch, start, node, found}
	}
	return w.node, w.found, nil
}

// matches makes a chain that starts at the envelope a matcher.
func (c *chain) matches(m *Mapper, dst []uint32) ([]uint32, error) {
	if node, ok := m.tape.Walk(0, c.steps); ok {
		dst = append(dst, node)
	}
	return dst, nil
}

// scan is the matcher of $..[?(@a && @b.c == 'x')]: every object, the start
// included, for which all conditions hold. The mapper answers the scans of all
// templates in one walk.
type scan struct {
	within     []tape.Step // where the scan starts, seen from the envelope
	conditions []condition
	required   uint64 // mask bits of the first names of all conditions
}

// condition is one condition on an object.
type condition struct {
	steps []tape.Step
	test  *literal // nil: that the steps lead somewhere is enough
}

// literal is what a condition compares with.
type literal struct {
	kind  tape.Kind
	text  string
	float float64
}

// holds reports whether all conditions hold for object o. exact tells that each
// name has a mask bit of its own, so that the mask alone proves existence.
func (s *scan) holds(m *Mapper, o uint32, exact bool) bool {
	for i := range s.conditions {
		c := &s.conditions[i]
		if exact && len(c.steps) == 1 && c.test == nil {
			continue
		}
		n, ok := m.tape.Walk(o, c.steps)
		if !ok || c.test != nil && !m.equal(n, c.test) {
			return false
		}
	}
	return true
}

// leads reports whether the steps of all conditions lead somewhere.
func (s *scan) leads(t *tape.Tape, o uint32) bool {
	for i := range s.conditions {
		if _, ok := t.Walk(o, s.conditions[i].steps); !ok {
			return false
		}
	}
	return true
}

// tests reports whether some condition compares a value.
func (s *scan) tests() bool {
	return slices.ContainsFunc(s.conditions, func(c condition) bool { return c.test != nil })
}

// equal compares as == does in filters: kinds must agree, but integers and
// floats are numbers alike, and a date equals its ISO text.
func (m *Mapper) equal(i uint32, l *literal) bool {
	side := len(m.tape.Side)
	same := m.same(i, l)
	m.tape.Side = m.tape.Side[:side] // texts that were decoded to be compared
	return same
}

func (m *Mapper) same(i uint32, l *literal) bool {
	n := &m.tape.Nodes[i]
	b := m.tape.Raw(n)
	switch n.Kind {
	case tape.String:
		if l.kind != tape.Text {
			return false
		}
		b = m.tape.Decoded(n)
		if in, ok := dotnet.DateToken(b); ok {
			b = m.isoText(in)
		}
		return string(b) == l.text
	case tape.Text:
		return l.kind == tape.Text && string(b) == l.text
	case tape.Date:
		in, _ := dotnet.DateToken(b)
		return l.kind == tape.Text && string(m.isoText(in)) == l.text
	case tape.Int:
		if l.kind == tape.Int {
			return string(b) == l.text || bytes.Equal(b, []byte("-0")) && l.text == "0"
		}
		return l.kind == tape.Float && dotnet.AlmostEqual(dotnet.ParseFloat(b), l.float)
	case tape.Float:
		return (l.kind == tape.Int || l.kind == tape.Float) && dotnet.AlmostEqual(dotnet.ParseFloat(b), l.float)
	}
	return n.Kind == l.kind
}

// isoText returns how a date reads in a comparison. It is valid for this message.
func (m *Mapper) isoText(in dotnet.Instant) []byte {
	start := len(m.tape.Side)
	m.tape.Side = dotnet.AppendDateISO(m.tape.Side, in)
	return m.tape.Side[start:]
}
