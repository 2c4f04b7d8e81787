package scoring

import (
	"cmp"
	"strings"
)

// decimal is a number as its text gave it: digits and a magnitude, never a
// float. At 36.05 floats disagree about which chart band a temperature is in.
//
// Of more than 19 significant digits the rest is kept as one bit, which is
// enough to compare and to round.
type decimal struct {
	negative  bool
	digits    uint64 // exactly 19 decimal digits, the first not 0; 0 for zero
	magnitude int    // power of ten of the first digit
	more      bool   // something other than 0 follows the 19 digits
}

const (
	decimalDigits   = 19
	maxDecimalText  = 256    // longer texts are no numbers that a device measures
	maxDecimalPower = 10_000 // exponents beyond it neither
)

// parseDecimal reads a number: optional sign, digits, optional fraction,
// optional exponent. It allocates nothing.
func parseDecimal(text string) (decimal, bool) {
	s := strings.TrimSpace(text)
	if s == "" || len(s) > maxDecimalText {
		return decimal{}, false
	}
	var d decimal
	i := 0
	if s[0] == '-' || s[0] == '+' {
		d.negative, i = s[0] == '-', 1
	}
	n, i, ok := d.readDigits(s, i)
	if !ok {
		return decimal{}, false
	}
	power, ok := readPower(s[i:])
	if !ok {
		return decimal{}, false
	}
	if n == 0 {
		return decimal{}, true // zero has no sign
	}
	d.magnitude += power
	for ; n < decimalDigits; n++ {
		d.digits *= 10
	}
	return d, true
}

// readDigits reads digits and fraction from s[i:]. It returns how many
// significant digits it kept and where it stopped.
func (d *decimal) readDigits(s string, i int) (kept, next int, ok bool) {
	seen, point, whole := 0, false, 0
	first := 0 // place of the first significant digit: whole digits before it
	for ; i < len(s); i++ {
		c := s[i]
		if c == '.' && !point {
			point = true
			continue
		}
		if c < '0' || c > '9' {
			break
		}
		seen++
		if !point {
			whole++
		}
		switch {
		case kept == 0 && c == '0':
		case kept == decimalDigits:
			d.more = d.more || c != '0'
		default:
			if kept == 0 {
				first = seen
			}
			d.digits = d.digits*10 + uint64(c-'0')
			kept++
		}
	}
	d.magnitude = whole - first
	return kept, i, seen > 0
}

// readPower reads an exponent or nothing; anything else is no number.
func readPower(s string) (power int, ok bool) {
	if s == "" {
		return 0, true
	}
	if s[0] != 'e' && s[0] != 'E' {
		return 0, false
	}
	s = s[1:]
	negative := false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		negative, s = s[0] == '-', s[1:]
	}
	if s == "" {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		power = power*10 + int(s[i]-'0')
		if power > maxDecimalPower {
			return 0, false
		}
	}
	if negative {
		power = -power
	}
	return power, true
}

// compare returns -1, 0 or +1 as d is below, equal to or above e.
func (d decimal) compare(e decimal) int {
	if d.sign() != e.sign() || d.digits == 0 {
		return cmp.Compare(d.sign(), e.sign())
	}
	c := cmp.Compare(d.magnitude, e.magnitude)
	if c == 0 {
		c = cmp.Compare(d.digits, e.digits)
	}
	if c == 0 && d.more != e.more {
		c = -1
		if d.more {
			c = 1
		}
	}
	if d.negative {
		return -c
	}
	return c
}

func (d decimal) sign() int {
	switch {
	case d.digits == 0:
		return 0
	case d.negative:
		return -1
	}
	return 1
}

// maxRounded bounds round: charts end long before.
const maxRounded = 1_000_000_000_000_000_000

// round returns d in units of 10^-places, ties upward (half up, as charts are
// read): 36.05 at one place is 361.
func (d decimal) round(places int) int64 {
	keep := d.magnitude + 1 + places // how many of the 19 digits stay whole
	if d.digits == 0 || keep < 0 {
		return 0
	}
	if keep >= decimalDigits {
		if d.negative {
			return -maxRounded
		}
		return maxRounded
	}
	unit := uint64(1)
	for range decimalDigits - keep {
		unit *= 10
	}
	q, rest := int64(d.digits/unit), d.digits%unit
	half := unit / 2
	if d.negative {
		if rest > half || rest == half && d.more {
			q++
		}
		return -q
	}
	if rest >= half {
		q++
	}
	return q
}

// formatRounded writes what round returned as a plain decimal.
func formatRounded(n int64, places int) string {
	var buf [24]byte
	i := len(buf)
	negative := n < 0
	if negative {
		n = -n
	}
	for digit := 0; n > 0 || digit <= places; digit++ {
		if digit == places && places > 0 {
			i--
			buf[i] = '.'
		}
		i--
		buf[i] = byte('0' + n%10)
		n /= 10
	}
	if negative {
		i--
		buf[i] = '-'
	}
	return string(buf[i:])
}
