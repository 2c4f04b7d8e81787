package dotnet

import (
	"bytes"
	"math"
	"strconv"
	"unsafe"
)

// ParseFloat reads a JSON number; too large is infinite.
func ParseFloat(b []byte) float64 {
	f, _ := strconv.ParseFloat(text(b), 64)
	return f
}

// PlainFloat reports whether a number with point already stands as .NET would
// write it: no exponent, at most 15 significant digits, no trailing zero, not
// smaller than 0.001.
func PlainFloat(b []byte) bool {
	if b[0] == '-' {
		b = b[1:]
	}
	if len(b) > 16 && b[0] != '0' { // too many digits, whatever they are
		return false
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

// AppendFloat writes f as .NET does: the shortest digits that read back to f,
// with an exponent of at least two digits when the decimal point would stand
// right of both the digits and 17 places, or more than three zeros left of them.
func AppendFloat(dst []byte, f float64) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case f == 0, math.Abs(f) >= 0.001 && math.Abs(f) < 1e15: // never with an exponent
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	var buf [32]byte
	e := strconv.AppendFloat(buf[:0], f, 'E', -1, 64)
	mark := bytes.LastIndexByte(e, 'E')
	exponent, _ := strconv.Atoi(text(e[mark+1:]))
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

// AlmostEqual is Json.NET's equality of floating-point numbers.
func AlmostEqual(a, b float64) bool {
	const epsilon = 2.2204460492503131e-16
	if a == b {
		return true
	}
	tolerance := (math.Abs(a) + math.Abs(b) + 10) * epsilon
	return math.Abs(a-b) < tolerance
}

// text is b as a string for the length of a call.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
