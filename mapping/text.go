package mapping

import (
	"bytes"
	"math"
	"strconv"
)

// text converts a node to the text that the connector would give; false when
// the node is null, an object, an array or an integer beyond 64 bits. The text
// aliases the message or the mapper's scratch space.
func (m *Mapper) text(i uint32) (string, bool) {
	n := &m.tape.nodes[i]
	b := m.tape.bytes(n)
	switch n.kind {
	case kindString:
		b = m.decoded(n, b)
		if looksLikeDate(b) {
			if in, ok := dateToken(b); ok {
				return m.keep(appendDateText(m.room(roomDate), in.ticks)), true
			}
		}
		return alias(b), true
	case kindText:
		return alias(b), true
	case kindDate:
		in, _ := dateToken(b)
		return m.keep(appendDateText(m.room(roomDate), in.ticks)), true
	case kindInt:
		return m.intText(b)
	case kindFloat:
		if plainFloat(b) {
			return alias(b), true
		}
		return m.keep(appendFloat(m.room(roomFloat), parseFloat(b))), true
	case kindTrue:
		return "True", true
	case kindFalse:
		return "False", true
	}
	return "", false
}

// decoded resolves the escapes of a string node.
func (m *Mapper) decoded(n *node, b []byte) []byte {
	if n.flags&flagEscaped == 0 {
		return b
	}
	s := unescape(m.room(len(b)), b)
	m.keep(s)
	return s
}

// Room that made-up texts need: dates and numbers have bounded lengths.
const (
	roomDate  = 40
	roomFloat = 40
)

// minScratch is how large the scratch space begins.
const minScratch = 1024

// room returns where the next made-up text of at most n bytes goes; keep ends
// it. A full space is left to the texts in it, and one twice as large begun, so
// that soon one space holds all texts of a message.
func (m *Mapper) room(n int) []byte {
	if cap(m.scratch)-len(m.scratch) < n {
		m.scratch = make([]byte, 0, max(2*cap(m.scratch), n, minScratch))
	}
	return m.scratch[len(m.scratch):]
}

func (m *Mapper) keep(b []byte) string {
	m.scratch = m.scratch[:len(m.scratch)+len(b)]
	return alias(b)
}

// intText returns a 64-bit integer's digits as they stand; -0 is 0.
func (m *Mapper) intText(b []byte) (string, bool) {
	if len(b) >= 19 {
		if _, err := strconv.ParseInt(alias(b), 10, 64); err != nil {
			return "", false
		}
	}
	if len(b) == 2 && b[0] == '-' && b[1] == '0' {
		b = b[1:]
	}
	return alias(b), true
}

// parseFloat reads a JSON number; too large is infinite.
func parseFloat(b []byte) float64 {
	f, _ := strconv.ParseFloat(alias(b), 64)
	return f
}

// plainFloat reports whether a number with point already stands as .NET would
// write it: no exponent, at most 15 significant digits, no trailing zero, not
// smaller than 0.001.
func plainFloat(b []byte) bool {
	if b[0] == '-' {
		b = b[1:]
	}
	digits, zeros, point := 0, 0, -1
	for i, c := range b {
		switch {
		case c == '.':
			point = i
		case c-'0' > 9:
			return false
		case c != '0' || digits > 0:
			digits++
		case point >= 0:
			zeros++
		}
	}
	return point >= 0 && digits > 0 && digits <= 15 && zeros <= 2 && b[len(b)-1] != '0'
}

// appendFloat writes f as .NET does: the shortest digits that read back to f,
// with an exponent of at least two digits when the decimal point would stand
// right of both the digits and 17 places, or more than three zeros left of them.
func appendFloat(dst []byte, f float64) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case f == 0:
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	var buf [32]byte
	e := strconv.AppendFloat(buf[:0], f, 'E', -1, 64)
	mark := bytes.LastIndexByte(e, 'E')
	exponent, _ := strconv.Atoi(alias(e[mark+1:]))
	digits := e[:mark]
	if f < 0 {
		dst, digits = append(dst, '-'), digits[1:]
	}
	n := max(len(digits)-1, 1) // the point is not one
	if p := exponent + 1; p > max(n, 17) || p < -3 {
		return append(append(dst, digits...), e[mark:]...)
	}
	return strconv.AppendFloat(dst, math.Abs(f), 'f', -1, 64)
}
