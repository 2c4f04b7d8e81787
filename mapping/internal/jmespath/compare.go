package jmespath

import (
	"bytes"
	"cmp"
	"fmt"
	"unicode/utf8"

	"auscult/mapping/internal/dotnet"
	"auscult/schemas"
)

// compare answers a comparison of two tokens.
func (e *Evaluator) compare(o op, a, b value) (value, error) {
	switch o {
	case opEqual:
		return ofBool(e.equal(a, b)), nil
	case opNotEqual:
		return ofBool(!e.equal(a, b)), nil
	}
	if a.isNumber() {
		return e.orderNumbers(o, a, b)
	}
	if a.kind > null && !a.isText() || b.kind > null && !b.isText() {
		return value{}, nil
	}
	return ofBool(e.orderTexts(o, a, b)), nil
}

// orderNumbers answers < and the like for a number on the left side.
func (e *Evaluator) orderNumbers(o op, a, b value) (value, error) {
	if a.kind == bigInteger || b.kind == bigInteger {
		return value{}, fmt.Errorf("%s: an integer beyond 64 bits cannot be compared", operatorTexts[o])
	}
	if !b.isNumber() {
		return value{}, nil
	}
	x, y := e.float(a), e.float(b)
	switch o {
	case opGreater:
		return ofBool(x > y), nil
	case opGreaterEqual:
		return ofBool(x >= y), nil
	case opLess:
		return ofBool(x < y), nil
	}
	return ofBool(x <= y), nil
}

// orderTexts answers < and the like for texts, before all of which null comes.
func (e *Evaluator) orderTexts(o op, a, b value) bool {
	var order int
	switch {
	case a.isNull() && !b.isNull():
		order = -1
	case b.isNull() && !a.isNull():
		order = 1
	case !a.isNull():
		order = compareUTF16(e.textOf(a), e.textOf(b))
	}
	switch o {
	case opGreater:
		return order > 0
	case opGreaterEqual:
		return order >= 0
	case opLess:
		return order < 0
	}
	return order <= 0
}

// compareUTF16 orders texts by their UTF-16 code units: characters beyond the
// basic plane come before those from U+E000 on.
func compareUTF16(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	if n == len(a) || n == len(b) {
		return cmp.Compare(len(a), len(b))
	}
	return cmp.Compare(unitRank(a[n]), unitRank(b[n]))
}

// unitRank moves the lead bytes of characters from U+E000 to U+FFFF behind those
// of the characters that are surrogate pairs in UTF-16. In valid texts that
// differ at a continuation byte the lead bytes are equal, so that only the bytes
// themselves matter.
func unitRank(b byte) int {
	if b == 0xEE || b == 0xEF {
		return int(b) + 0x100
	}
	return int(b)
}

// equal reports whether two tokens are equal: of one kind, floats nearly, the
// members of objects in any order.
func (e *Evaluator) equal(a, b value) bool {
	if a.isNull() || b.isNull() {
		return a.isNull() && b.isNull()
	}
	if a.kind != b.kind {
		return false
	}
	switch a.kind {
	case boolean:
		return e.bool(a) == e.bool(b)
	case integer:
		return e.int(a) == e.int(b)
	case bigInteger:
		return bytes.Equal(e.digits(a), e.digits(b))
	case float:
		return compareFloats(e.float(a), e.float(b)) == 0
	case text:
		return bytes.Equal(e.textOf(a), e.textOf(b))
	case date:
		return e.instant(a).Ticks == e.instant(b).Ticks
	case array:
		return e.equalArrays(a, b)
	}
	return e.equalObjects(a, b)
}

func (e *Evaluator) equalArrays(a, b value) bool {
	left, right := e.elements(a), e.elements(b)
	for {
		x, more := left.element()
		y, also := right.element()
		if !more || !also {
			return more == also
		}
		if !e.equal(x, y) {
			return false
		}
	}
}

// equalObjects walks both objects side by side for as long as their names agree,
// and looks members up by name from then on.
func (e *Evaluator) equalObjects(a, b value) bool {
	if e.count(a) != e.count(b) {
		return false
	}
	left, right := e.members(a), e.members(b)
	aligned := true
	for {
		name, x, ok := left.next()
		if !ok {
			return true
		}
		if aligned {
			other, y, _ := right.next()
			if aligned = bytes.Equal(e.textOf(name), e.textOf(other)); aligned {
				if !e.equal(x, y) {
					return false
				}
				continue
			}
		}
		y := e.lookup(b, alias(e.textOf(name)))
		if y.kind == missing || !e.equal(x, y) {
			return false
		}
	}
}

// instant returns a date.
func (e *Evaluator) instant(v value) dotnet.Instant {
	if v.place == onTape {
		in, _ := e.t.DateOf(&e.t.Nodes[v.at()])
		return in
	}
	return dotnet.Instant{Ticks: schemas.Ticks(v.number), Zone: v.zone}
}

// unitsOf returns how many UTF-16 code units a text has.
func unitsOf(b []byte) int {
	n := 0
	for i := 0; i < len(b); {
		c := b[i]
		if c < utf8.RuneSelf {
			i, n = i+1, n+1
			continue
		}
		_, size := utf8.DecodeRune(b[i:])
		i, n = i+size, n+1+size/4
	}
	return n
}
