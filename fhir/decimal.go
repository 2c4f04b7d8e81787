package fhir

import (
	"cmp"
	"math/big"
	"strconv"
	"strings"
)

// Limits of a decimal, those of the connector: 96 bits of digits, of which at
// most 28 stand behind the point.
const (
	maxNumberBytes = 256 // of a value's text
	maxScale       = 28
)

var maxMantissa = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 96), big.NewInt(1))

// decimal turns the text of a value into a JSON number that keeps its digits:
// "22.40" stays 22.40. Allowed are blanks around, one sign before or behind, a
// decimal point, and commas between groups of three digits; no exponent.
func decimal(s string) (literal string, ok bool) {
	if len(s) > maxNumberBytes {
		return "", false
	}
	s = strings.Trim(strings.TrimRight(s, "\x00"), " \t\n\v\f\r")
	negative, s, ok := cutSign(s)
	if !ok {
		return "", false
	}
	whole, fraction, _ := strings.Cut(s, ".")
	whole, ok = ungroup(whole)
	if !ok || !isDigits(fraction) || whole == "" && fraction == "" {
		return "", false
	}
	mantissa, ok := new(big.Int).SetString("0"+whole+fraction, 10)
	if !ok {
		return "", false
	}
	mantissa, scale, ok := fit(mantissa, len(fraction))
	if !ok {
		return "", false
	}
	digits := mantissa.String()
	if pad := scale + 1 - len(digits); pad > 0 {
		digits = strings.Repeat("0", pad) + digits
	}
	if scale > 0 {
		digits = digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
	}
	if negative && mantissa.Sign() != 0 {
		digits = "-" + digits
	}
	return digits, true
}

// cutSign takes one sign off, from the front or from the back.
func cutSign(s string) (negative bool, rest string, ok bool) {
	if s == "" {
		return false, "", false
	}
	if c := s[0]; c == '-' || c == '+' {
		return c == '-', s[1:], len(s) > 1
	}
	if c := s[len(s)-1]; c == '-' || c == '+' {
		return c == '-', strings.TrimRight(s[:len(s)-1], " \t\n\v\f\r"), len(s) > 1
	}
	return false, s, true
}

// ungroup takes out commas that stand between groups of three digits.
func ungroup(s string) (string, bool) {
	if !strings.Contains(s, ",") {
		return s, isDigits(s)
	}
	groups := strings.Split(s, ",")
	for i, g := range groups {
		if !isDigits(g) || len(g) > 3 || i > 0 && len(g) != 3 || g == "" {
			return "", false
		}
	}
	return strings.Join(groups, ""), true
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// fit rounds to what a decimal can hold, half to even; ok is false when the
// whole part alone is too long.
func fit(mantissa *big.Int, scale int) (*big.Int, int, bool) {
	for drop := max(0, scale-maxScale); drop <= scale; drop++ {
		m := roundOff(mantissa, drop)
		if m.Cmp(maxMantissa) <= 0 {
			return m, scale - drop, true
		}
	}
	return nil, 0, false
}

// roundOff divides by 10^digits, half to even.
func roundOff(m *big.Int, digits int) *big.Int {
	if digits == 0 {
		return m
	}
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
	q, r := new(big.Int).QuoRem(m, unit, new(big.Int))
	if c := r.Lsh(r, 1).Cmp(unit); c > 0 || c == 0 && q.Bit(0) == 1 {
		q.Add(q, big.NewInt(1))
	}
	return q
}

// sameNumber compares two number literals by value.
func sameNumber(a, b string) bool {
	if a == b {
		return true
	}
	na, da, ea := canonical(a)
	nb, db, eb := canonical(b)
	return na == nb && da == db && ea == eb
}

// canonical splits a literal into sign, digits without outer zeros, and the
// power of ten of the last digit. It never computes with the exponent, so a
// literal like 1E999999999 costs nothing.
func canonical(literal string) (negative bool, digits string, exponent int) {
	negative = strings.HasPrefix(literal, "-")
	literal = strings.TrimLeft(literal, "+-")
	if i := strings.IndexAny(literal, "eE"); i >= 0 {
		e, err := strconv.Atoi(literal[i+1:])
		if err != nil {
			return negative, literal, 0
		}
		exponent, literal = e, literal[:i]
	}
	whole, fraction, _ := strings.Cut(literal, ".")
	exponent -= len(fraction)
	digits = strings.TrimLeft(whole+fraction, "0")
	short := strings.TrimRight(digits, "0")
	exponent += len(digits) - len(short)
	if short == "" {
		return false, "", 0
	}
	return negative, short, exponent
}

// compareDecimals compares two literals of decimal: -1, 0 or 1.
func compareDecimals(a, b string) int {
	na, nb := strings.HasPrefix(a, "-"), strings.HasPrefix(b, "-")
	switch {
	case na && nb:
		return compareDigits(b[1:], a[1:])
	case na:
		return -1
	case nb:
		return 1
	}
	return compareDigits(a, b)
}

// compareDigits compares two literals without sign. Neither has a leading zero
// before another digit of the whole part.
func compareDigits(a, b string) int {
	wholeA, fractionA, _ := strings.Cut(a, ".")
	wholeB, fractionB, _ := strings.Cut(b, ".")
	if c := cmp.Compare(len(wholeA), len(wholeB)); c != 0 {
		return c
	}
	if c := strings.Compare(wholeA, wholeB); c != 0 {
		return c
	}
	return strings.Compare(strings.TrimRight(fractionA, "0"), strings.TrimRight(fractionB, "0"))
}
