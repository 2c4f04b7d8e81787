package jsonpath

import "unicode/utf8"

// machine runs regular expressions: all ways through one at a time, unit by
// unit. Its lists keep their room.
type machine struct {
	now, next []int32 // instructions that wait for a unit
	seen      []int   // the place at which an instruction was last entered, counted from 1
	stack     []int32
	place     int // of the current place, over all texts
}

// noUnit is before the first unit and behind the last.
const noUnit rune = -1

// units reads a UTF-8 text as UTF-16 code units.
type units struct {
	text []byte
	low  rune // the second unit of a character that was read in part, or 0
}

func (u *units) next() rune {
	if u.low != 0 {
		low := u.low
		u.low = 0
		return low
	}
	if len(u.text) == 0 {
		return noUnit
	}
	r, size := utf8.DecodeRune(u.text)
	u.text = u.text[size:]
	if r > maxUnit {
		r -= 0x10000
		u.low = 0xDC00 + r&0x3FF
		return 0xD800 + r>>10
	}
	return r
}

// ended reports whether no unit follows.
func (u *units) ended() bool { return u.low == 0 && len(u.text) == 0 }

// workPerStep is how many instructions count as one step.
const workPerStep = 4

// match reports whether re matches anywhere in text.
func (m *machine) match(re *regex, text []byte, e *Evaluator) bool {
	m.grow(len(re.program))
	in := units{text: text}
	before, unit := noUnit, in.next()
	onlyAtStart := re.program[0].op == opAssert && re.program[0].assert == atStart
	m.now = m.now[:0]
	work := 0
	for {
		m.place++
		at := surroundings{before, unit, unit == noUnit || unit == '\n' && in.ended()}
		m.next = m.next[:0]
		found := false
		for _, i := range m.now {
			found = found || m.enter(re, i, at)
		}
		if before == noUnit || !onlyAtStart {
			found = found || m.enter(re, 0, at)
		}
		if found {
			return true
		}
		if work += 1 + len(m.next); work >= workPerStep {
			if !e.spend(work / workPerStep) {
				return false
			}
			work = 0
		}
		if unit == noUnit || onlyAtStart && len(m.next) == 0 {
			return false
		}
		m.now = m.now[:0]
		for _, i := range m.next {
			if re.program[i].set.has(unit) {
				m.now = append(m.now, i+1)
			}
		}
		before, unit = unit, in.next()
	}
}

func (m *machine) grow(program int) {
	for len(m.seen) < program {
		m.seen = append(m.seen, 0)
	}
}

// enter follows instruction i to all that wait for a unit, which it puts in
// next; true when the end of the program is reached.
func (m *machine) enter(re *regex, i int32, at surroundings) bool {
	m.stack = append(m.stack[:0], i)
	for len(m.stack) > 0 {
		i = m.stack[len(m.stack)-1]
		m.stack = m.stack[:len(m.stack)-1]
		if m.seen[i] == m.place {
			continue
		}
		m.seen[i] = m.place
		switch in := &re.program[i]; in.op {
		case opSet:
			m.next = append(m.next, i)
		case opSplit:
			m.stack = append(m.stack, in.y, in.x)
		case opJump:
			m.stack = append(m.stack, in.x)
		case opAssert:
			if at.holds(in.assert) {
				m.stack = append(m.stack, i+1)
			}
		case opFound:
			return true
		}
	}
	return false
}

// surroundings are the units around a place in a text.
type surroundings struct {
	before, after rune
	lastLine      bool // the end, or before a newline that ends the text
}

func (s surroundings) holds(a assertion) bool {
	switch a {
	case atStart:
		return s.before == noUnit
	case atEnd:
		return s.after == noUnit
	case atLastLine:
		return s.lastLine
	case atLineStart:
		return s.before == noUnit || s.before == '\n'
	case atLineEnd:
		return s.after == noUnit || s.after == '\n'
	case atWordEdge:
		return isWord(s.before) != isWord(s.after)
	}
	return isWord(s.before) == isWord(s.after)
}
