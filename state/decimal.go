package state

import (
	"bytes"
	"math/big"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Limits of what counts as a number. Beyond them a text is a text: it is in
// first, last and points, and in no sum.
const (
	maxDecimalText     = 64
	maxDecimalExponent = 40
	maxFastDigits      = 18 // an int64 holds them all
)

// decimal is an exact decimal number: m or wide, times 10^-scale. Sums keep the
// most fraction digits of what they add, whatever the order.
type decimal struct {
	m     int64
	scale int
	wide  *big.Int // instead of m when m would overflow
}

var powersOfTen = func() (p [maxFastDigits + 1]int64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

// parseDecimal reads sign, digits, point, digits and exponent; false for
// anything else.
func parseDecimal(text string) (decimal, bool) {
	if len(text) == 0 || len(text) > maxDecimalText {
		return decimal{}, false
	}
	i, negative := 0, false
	if text[0] == '+' || text[0] == '-' {
		i, negative = 1, text[0] == '-'
	}
	var m int64
	digits, significant, scale, point := 0, 0, 0, false
	start := i
loop:
	for ; i < len(text); i++ {
		switch c := text[i]; {
		case c >= '0' && c <= '9':
			digits++
			if significant > 0 || c != '0' {
				significant++
			}
			if significant <= maxFastDigits {
				m = m*10 + int64(c-'0')
			}
			if point {
				scale++
			}
		case c == '.' && !point:
			point = true
		default:
			break loop
		}
	}
	if digits == 0 {
		return decimal{}, false
	}
	d := decimal{m: m, scale: scale}
	if significant > maxFastDigits {
		d.wide, _ = new(big.Int).SetString(strings.Replace(text[start:i], ".", "", 1), 10)
	}
	if negative {
		d.negate()
	}
	return d.withExponent(text[i:])
}

// withExponent applies what follows the digits: nothing, or E and an exponent.
func (d decimal) withExponent(text string) (decimal, bool) {
	if text == "" {
		return d, true
	}
	if text[0] != 'e' && text[0] != 'E' {
		return decimal{}, false
	}
	e, err := strconv.Atoi(text[1:])
	if err != nil || e > maxDecimalExponent || e < -maxDecimalExponent {
		return decimal{}, false
	}
	d.scale -= e
	if d.scale < 0 {
		d = d.at(0)
	}
	return d, true
}

func (d *decimal) negate() {
	d.m = -d.m
	if d.wide != nil {
		d.wide.Neg(d.wide)
	}
}

func (d decimal) big() *big.Int {
	if d.wide != nil {
		return d.wide
	}
	return big.NewInt(d.m)
}

// at returns d with scale fraction digits, of which it has no more now.
func (d decimal) at(scale int) decimal {
	steps := scale - d.scale
	if steps == 0 {
		return d
	}
	if d.wide == nil && steps <= maxFastDigits {
		if m, ok := multiply(d.m, powersOfTen[steps]); ok {
			return decimal{m: m, scale: scale}
		}
	}
	factor := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(steps)), nil)
	return decimal{wide: factor.Mul(factor, d.big()), scale: scale}
}

func multiply(a, b int64) (int64, bool) {
	if a < 0 {
		m, ok := multiply(-a, b)
		return -m, ok && a != -a
	}
	high, low := bits.Mul64(uint64(a), uint64(b))
	return int64(low), high == 0 && low < 1<<63
}

// plus returns d + e.
func (d decimal) plus(e decimal) decimal {
	scale := max(d.scale, e.scale)
	d, e = d.at(scale), e.at(scale)
	if d.wide == nil && e.wide == nil {
		if sum := d.m + e.m; (sum > d.m) == (e.m > 0) {
			return decimal{m: sum, scale: scale}
		}
	}
	return decimal{wide: new(big.Int).Add(d.big(), e.big()), scale: scale}
}

// compare returns -1, 0 or +1 as d is less than, equal to or greater than e.
func (d decimal) compare(e decimal) int {
	scale := max(d.scale, e.scale)
	d, e = d.at(scale), e.at(scale)
	if d.wide == nil && e.wide == nil {
		switch {
		case d.m < e.m:
			return -1
		case d.m > e.m:
			return 1
		}
		return 0
	}
	return d.big().Cmp(e.big())
}

// String returns d with all its fraction digits.
func (d decimal) String() string {
	var buf [maxDecimalText]byte
	digits := buf[:0]
	if d.wide != nil {
		digits = d.wide.Append(digits, 10)
	} else {
		digits = strconv.AppendInt(digits, d.m, 10)
	}
	if d.scale == 0 {
		return string(digits)
	}
	sign := 0
	if digits[0] == '-' {
		sign = 1
	}
	if missing := sign + d.scale + 1 - len(digits); missing > 0 {
		digits = slices.Insert(digits, sign, bytes.Repeat([]byte{'0'}, missing)...)
	}
	return string(slices.Insert(digits, len(digits)-d.scale, '.'))
}
