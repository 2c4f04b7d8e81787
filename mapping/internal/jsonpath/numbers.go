package jsonpath

import (
	"bytes"
	"math"
	"strconv"
	"unsafe"

	"auscult/mapping/internal/dotnet"
)

// trimmed returns a text without the white space that .NET allows around
// numbers.
func trimmed(b []byte) []byte { return bytes.Trim(b, " \t\n\v\f\r") }

// intOf reads a text as Convert.ToInt64 does.
func intOf(b []byte) (int64, bool) {
	b = trimmed(b)
	n, err := strconv.ParseInt(unsafe.String(unsafe.SliceData(b), len(b)), 10, 64)
	return n, err == nil
}

// wholeOf reads a whole number of JSON, false when it does not fit; unlike
// strconv it makes no error for that.
func wholeOf(b []byte) (int64, bool) {
	negative := b[0] == '-'
	if negative {
		b = b[1:]
	}
	var n uint64
	for _, c := range b {
		if n > math.MaxInt64/10 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	if negative {
		return -int64(n), n <= -math.MinInt64
	}
	return int64(n), n <= math.MaxInt64
}

// floatOf reads a text as Convert.ToDouble does: digits with a point and an
// exponent, with commas anywhere before the point, or the name of a number that
// has no digits.
func floatOf(b []byte) (float64, bool) {
	b = trimmed(b)
	var room [64]byte
	plain, point, digits := room[:0], false, 0
	i := 0
	if i < len(b) && (b[i] == '-' || b[i] == '+') {
		plain = append(plain, b[i])
		i++
	}
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c-'0' < 10:
			digits++
		case c == ',' && !point:
			continue
		case c == '.' && !point:
			point = true
		case c|0x20 == 'e' && digits > 0 && isExponent(b[i+1:]):
			plain = append(plain, b[i:]...)
			return dotnet.ParseFloat(plain), true
		default:
			return namedFloat(b)
		}
		plain = append(plain, b[i])
	}
	if digits == 0 {
		return 0, false
	}
	return dotnet.ParseFloat(plain), true
}

// isExponent reports whether b is digits, perhaps with a sign.
func isExponent(b []byte) bool {
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		b = b[1:]
	}
	return len(b) > 0 && isDigits(b)
}

func isDigits(b []byte) bool {
	for _, c := range b {
		if c-'0' > 9 {
			return false
		}
	}
	return true
}

// namedFloat reads Infinity and NaN, in any case and with a sign.
func namedFloat(b []byte) (float64, bool) {
	sign := 1
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		if b[0] == '-' {
			sign = -1
		}
		b = b[1:]
	}
	switch {
	case bytes.EqualFold(b, []byte("infinity")):
		return math.Inf(sign), true
	case bytes.EqualFold(b, []byte("nan")):
		return math.NaN(), true
	}
	return 0, false
}

// boolOf reads a text as Convert.ToBoolean does.
func boolOf(b []byte) (value, ok bool) {
	b = bytes.TrimSpace(b)
	switch {
	case bytes.EqualFold(b, []byte("true")):
		return true, true
	case bytes.EqualFold(b, []byte("false")):
		return false, true
	}
	return false, false
}

// decimal is a whole number of any size.
type decimal struct {
	digits   []byte // without leading zeros
	negative bool
}

// decimalOf reads a text as BigInteger.Parse does.
func decimalOf(b []byte) (decimal, bool) {
	b = trimmed(b)
	var d decimal
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		d.negative = b[0] == '-'
		b = b[1:]
	}
	if len(b) == 0 || !isDigits(b) {
		return d, false
	}
	d.digits = bytes.TrimLeft(b, "0")
	d.negative = d.negative && len(d.digits) > 0
	return d, true
}

func (d decimal) compare(other decimal) int {
	if d.negative != other.negative {
		if d.negative {
			return -1
		}
		return 1
	}
	result := len(d.digits) - len(other.digits)
	if result == 0 {
		result = bytes.Compare(d.digits, other.digits)
	}
	if d.negative {
		return -result
	}
	return result
}

// compareFloat orders d and a number that is not, cut to a whole one; false
// when that has no digits.
func (d decimal) compareFloat(f float64) (int, bool) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return 0, false
	}
	var room [320]byte // the largest float has 309 digits
	whole, _ := decimalOf(strconv.AppendFloat(room[:0], math.Trunc(f), 'f', 0, 64))
	return d.compare(whole), true
}

// compareFloats orders floats as Json.NET does: those that are almost equal are
// equal, and NaN comes first.
func compareFloats(a, b float64) int {
	switch {
	case dotnet.AlmostEqual(a, b):
		return 0
	case a < b || math.IsNaN(a) && !math.IsNaN(b):
		return -1
	case a > b || math.IsNaN(b) && !math.IsNaN(a):
		return 1
	}
	return 0
}

// compareTexts orders UTF-8 texts by their UTF-16 code units, which puts
// U+E000 to U+FFFF behind what lies above them.
func compareTexts(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if x, y := a[i], b[i]; x != y {
			if x >= 0xEE && y >= 0xEE && (x >= 0xF0) != (y >= 0xF0) {
				x, y = y, x
			}
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}
