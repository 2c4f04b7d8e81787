package tape

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// Eight bytes at a time: a byte of x is zero exactly when the expression
// (x-ones)&^x has its top bit set (and no lower byte borrowed, which can only
// raise a false alarm behind the first true one).
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special has the top bit set of the first byte of w that is a quote, a backslash
// or a control character; bits above that one mean nothing.
func special(w uint64) uint64 {
	// Flipping this bit puts the quote right above the control characters and the
	// space behind it.
	c, s := w^ones*2, w^ones*'\\'
	return ((c-ones*0x21)&^c | (s-ones)&^s) & highs
}

// equal has the top bit set of each byte of w that is c.
func equal(w uint64, c byte) uint64 {
	x := w ^ ones*uint64(c)
	return ^((x&^highs + ^uint64(highs)) | x) & highs
}

// ascii reports whether no byte of b is above 0x7F.
func ascii(b []byte) bool {
	var seen uint64
	for len(b) >= 32 {
		seen |= load8(b, 0) | load8(b, 8) | load8(b, 16) | load8(b, 24)
		b = b[32:]
	}
	for len(b) >= 8 {
		seen |= load8(b, 0)
		b = b[8:]
	}
	for _, c := range b {
		seen |= uint64(c)
	}
	return seen&highs == 0
}

// stringEnd finds the closing quote of the string whose first byte is b[i]; -1
// when the string is not JSON. flags tells whether it has escapes.
func stringEnd(b []byte, i int) (end int, flags uint8) {
	for i+8 <= len(b) {
		m := special(binary.LittleEndian.Uint64(b[i:]))
		if m == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(m) >> 3
		if b[i] == '"' {
			return i, 0
		}
		return escapedEnd(b, i), FlagEscaped
	}
	for i < len(b) && b[i] != '"' {
		if b[i] == '\\' {
			return lastEnd(b, i), FlagEscaped
		}
		if b[i] < ' ' {
			return -1, 0
		}
		i++
	}
	if i >= len(b) {
		return -1, 0
	}
	return i, 0
}

// escapedEnd is stringEnd for strings with escapes. JSON in a string is full of
// escaped quotes, so it passes words in which only such are special.
func escapedEnd(b []byte, i int) int {
	var carry uint64 // the word before ended with a backslash
	for i+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[i:])
		slash, quote := equal(w, '\\'), equal(w, '"')
		escaped := slash<<8 | carry
		odd := (w-ones*' ')&^w&highs | slash&escaped | (quote ^ escaped)
		if odd == 0 {
			carry = slash >> 56
			i += 8
			continue
		}
		at := bits.TrailingZeros64(odd)
		i += at >> 3
		if escaped>>at&1 == 0 {
			if b[i] == '"' {
				return i
			}
			if b[i] < ' ' {
				return -1
			}
		}
		n := EscapeLen(b, i-1)
		if n == 0 {
			return -1
		}
		i += n - 1
		carry = 0
	}
	return lastEnd(b, i-int(carry>>7))
}

// lastEnd is stringEnd for the last bytes of a message.
func lastEnd(b []byte, i int) int {
	for i < len(b) && b[i] >= ' ' {
		switch b[i] {
		case '"':
			return i
		case '\\':
			n := EscapeLen(b, i)
			if n == 0 {
				return -1
			}
			i += n
		default:
			i++
		}
	}
	return -1
}

// EscapeLen returns how long the escape at b[i] is, 0 when it is none.
func EscapeLen(b []byte, i int) int {
	if i+1 >= len(b) {
		return 0
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if i+6 <= len(b) && hexValue(b[i+2:i+6]) >= 0 {
			return 6
		}
	}
	return 0
}

// hexValue reads four hexadecimal digits; -1 when they are not.
func hexValue(b []byte) rune {
	var v rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			v = v<<4 | rune(c|0x20-'a'+10)
		default:
			return -1
		}
	}
	return v
}

// Unescape appends the text of the valid JSON string body s. A surrogate
// without its partner reads as U+FFFD.
func Unescape(dst, s []byte) []byte {
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			dst = append(dst, s[i])
			i++
			continue
		}
		if s[i+1] != 'u' {
			dst = append(dst, Unescaped(s[i+1]))
			i += 2
			continue
		}
		r := hexValue(s[i+2:])
		i += 6
		if r >= 0xD800 && r < 0xDC00 && i+6 <= len(s) && s[i] == '\\' && s[i+1] == 'u' {
			if low := hexValue(s[i+2:]); low >= 0xDC00 && low < 0xE000 {
				r = (r-0xD800)<<10 + (low - 0xDC00) + 0x10000
				i += 6
			}
		}
		dst = utf8.AppendRune(dst, r) // a lone surrogate becomes U+FFFD
	}
	return dst
}

// Unescaped returns what the escape \\c of one letter stands for.
func Unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// ScanNumber finds the end of the number at b[i]; -1 when it is none. float
// tells whether it has a point or an exponent.
func ScanNumber(b []byte, i int) (end int, float bool) {
	if i < len(b) && b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = digits(b, i); i < 0 {
		return -1, false
	}
	if i < len(b) && b[i] == '.' {
		float = true
		if i = digits(b, i+1); i < 0 {
			return -1, false
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		float = true
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		i = digits(b, i)
	}
	return i, float
}

// digits skips decimal digits; -1 when there is none.
func digits(b []byte, i int) int {
	start := i
	for i+8 <= len(b) {
		// The sum carries a byte over 9 into its top bit, unless it has that already.
		x := load8(b, i) ^ ones*'0'
		if m := (x + ones*0x76 | x) & highs; m != 0 {
			i += bits.TrailingZeros64(m) >> 3
			if i == start {
				return -1
			}
			return i
		}
		i += 8
	}
	for i < len(b) && b[i]-'0' < 10 {
		i++
	}
	if i == start {
		return -1
	}
	return i
}
