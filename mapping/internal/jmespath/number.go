package jmespath

import (
	"bytes"
	"cmp"
	"math"
	"strconv"
	"strings"
	"unsafe"

	"auscult/mapping/internal/dotnet"
)

// alias is b as a string for the length of a call.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// parseInt reads an integer of 64 bits, with a sign or without.
func parseInt(b []byte) (int64, bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative || len(b) > 0 && b[0] == '+' {
		b = b[1:]
	}
	var v uint64
	for _, c := range b {
		if !isDigit(c) || v > math.MaxUint64/10-1 {
			return 0, false
		}
		v = v*10 + uint64(c-'0')
	}
	switch {
	case len(b) == 0 || v > 1<<63 || v == 1<<63 && !negative:
		return 0, false
	case negative:
		return -int64(v), true
	}
	return int64(v), true
}

// int returns an integer value.
func (e *Evaluator) int(v value) int64 {
	if v.place == onTape {
		i, _ := parseInt(e.t.Raw(&e.t.Nodes[v.at()]))
		return i
	}
	return v.number
}

// float returns an integer or float value as a float.
func (e *Evaluator) float(v value) float64 {
	switch {
	case v.kind == integer:
		return float64(e.int(v))
	case v.place == onTape:
		return e.t.Float64(&e.t.Nodes[v.at()])
	}
	return math.Float64frombits(uint64(v.number))
}

// digits returns the digits of an integer beyond 64 bits.
func (e *Evaluator) digits(v value) []byte {
	if v.place == onTape {
		return e.t.Raw(&e.t.Nodes[v.at()])
	}
	return e.x.texts[v.at()]
}

// compareFloats orders floats as Json.NET does: nearly equal ones are equal, and
// NaN comes first.
func compareFloats(a, b float64) int {
	if dotnet.AlmostEqual(a, b) {
		return 0
	}
	return cmp.Compare(a, b)
}

// compareNumbers orders numbers of any kind as Json.NET does. ok is false when
// that fails there: an integer beyond 64 bits against NaN or an infinity.
func (e *Evaluator) compareNumbers(a, b value) (order int, ok bool) {
	switch {
	case a.kind == bigInteger:
		return e.compareBig(e.digits(a), b)
	case b.kind == bigInteger:
		order, ok = e.compareBig(e.digits(b), a)
		return -order, ok
	case a.kind == integer && b.kind == integer:
		return cmp.Compare(e.int(a), e.int(b)), true
	}
	return compareFloats(e.float(a), e.float(b)), true
}

// compareBig orders an integer beyond 64 bits and any number.
func (e *Evaluator) compareBig(digits []byte, b value) (order int, ok bool) {
	var room [320]byte // enough for the integer part of any float
	other := room[:0]
	switch b.kind {
	case bigInteger:
		other = e.digits(b)
	case integer:
		other = strconv.AppendInt(other, e.int(b), 10)
	default:
		f := e.float(b)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return 0, false
		}
		other = strconv.AppendFloat(other, math.Trunc(f), 'f', 0, 64)
	}
	return compareDigits(digits, other), true
}

// compareDigits orders integers by their digits.
func compareDigits(a, b []byte) int {
	negative := a[0] == '-'
	if negative != (b[0] == '-') {
		if negative {
			return -1
		}
		return 1
	}
	order := cmp.Compare(len(a), len(b))
	if order == 0 {
		order = bytes.Compare(a, b)
	}
	if negative {
		return -order
	}
	return order
}

// toInt64 rounds half to even; ok is false when the result has no place in 64
// bits.
func toInt64(f float64) (int64, bool) {
	f = math.RoundToEven(f)
	if !(f >= math.MinInt64 && f < -math.MinInt64) {
		return 0, false
	}
	return int64(f), true
}

// parseNumber reads a text as to_number does: an integer of 64 bits, else a
// float. Blanks may stand around it; thousands allows commas in the integer
// part, as where the connector's library reads keys.
func parseNumber(b []byte, thousands bool) (v value, ok bool) {
	if v, ok := shortDecimal(b); ok {
		return v, true
	}
	whole := b
	b = trimBlanks(b)
	if n, ok := parseInt(b); ok {
		return ofInt(n), true
	}
	if f, ok := namedFloat(whole); ok {
		return ofFloat(f), true
	}
	if !isFloatText(b, thousands) {
		return v, false
	}
	var room [64]byte
	if thousands {
		plain := room[:0]
		for _, c := range b {
			if c != ',' {
				plain = append(plain, c)
			}
		}
		b = plain
	}
	return ofFloat(dotnet.ParseFloat(b)), true
}

// shortDecimal reads a number of up to 15 digits, as most are. Both it without
// its point and the power of ten are floats without loss, so that their quotient
// is the nearest one.
func shortDecimal(b []byte) (v value, ok bool) {
	if len(b) == 0 || len(b) > len(powersOfTen) || !isDigit(b[0]) {
		return v, false
	}
	n, point := int64(0), -1
	for i, c := range b {
		switch {
		case isDigit(c):
			n = n*10 + int64(c-'0')
		case c == '.' && point < 0:
			point = i
		default:
			return v, false
		}
	}
	if point < 0 {
		return ofInt(n), true
	}
	return ofFloat(float64(n) / powersOfTen[len(b)-1-point]), true
}

var powersOfTen = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// trimBlanks drops what .NET takes for white space around a number, and NULs
// behind it.
func trimBlanks(b []byte) []byte {
	isBlank := func(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
	for len(b) > 0 && isBlank(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	for len(b) > 0 && isBlank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// namedFloat reads the names that .NET gives to special floats, in any case.
// Around a name more counts as a blank than around digits, but a NUL does not.
func namedFloat(b []byte) (float64, bool) {
	b = bytes.TrimSpace(b)
	sign := 1
	if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
		if b[0] == '-' {
			sign = -1
		}
		b = b[1:]
	}
	switch {
	case strings.EqualFold(alias(b), "infinity"):
		return math.Inf(sign), true
	case strings.EqualFold(alias(b), "nan"):
		return math.NaN(), true
	}
	return 0, false
}

// isFloatText checks the grammar of a decimal number: sign, digits with an
// optional point, exponent.
func isFloatText(b []byte, thousands bool) bool {
	i := signLen(b, 0)
	start := i
	count := 0
	for ; i < len(b) && (isDigit(b[i]) || thousands && b[i] == ',' && i > start); i++ {
		if b[i] != ',' {
			count++
		}
	}
	if i < len(b) && b[i] == '.' {
		end := digitsEnd(b, i+1)
		count += end - i - 1
		i = end
	}
	if count == 0 {
		return false
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		start := i + 1 + signLen(b, i+1)
		if i = digitsEnd(b, start); i == start {
			return false
		}
	}
	return i == len(b)
}

// signLen is 1 when a sign stands at b[i].
func signLen(b []byte, i int) int {
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		return 1
	}
	return 0
}

// digitsEnd returns where the digits at b[i] end.
func digitsEnd(b []byte, i int) int {
	for i < len(b) && isDigit(b[i]) {
		i++
	}
	return i
}
