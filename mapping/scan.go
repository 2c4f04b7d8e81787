package mapping

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

// What scanString found besides the end.
const (
	scanEscaped = 1 << iota // the string holds a backslash
	scanHigh                // it holds a byte above 0x7F
)

// scanString finds the closing quote of the string whose first byte is b[i]; -1
// when the string is not JSON.
func scanString(b []byte, i int) (end int, found uint8) {
	var seen uint64
	for {
		for i+8 <= len(b) {
			w := binary.LittleEndian.Uint64(b[i:])
			q, s := w^(ones*'"'), w^(ones*'\\')
			m := (((q - ones) &^ q) | ((s - ones) &^ s) | ((w - ones*0x20) &^ w)) & highs
			if m != 0 {
				n := bits.TrailingZeros64(m) >> 3
				seen |= w & (1<<(8*n) - 1)
				i += n
				break
			}
			seen |= w
			i += 8
		}
		for i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= ' ' {
			seen |= uint64(b[i]) // only the last seven bytes of a message
			i++
		}
		if i >= len(b) || b[i] < ' ' {
			return -1, 0
		}
		if b[i] == '"' {
			if seen&highs != 0 {
				found |= scanHigh
			}
			return i, found
		}
		n := escapeLen(b, i)
		if n == 0 {
			return -1, 0
		}
		found |= scanEscaped
		i += n
	}
}

// escapeLen returns how long the escape at b[i] is, 0 when it is none.
func escapeLen(b []byte, i int) int {
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

// unescape appends the text of the valid JSON string body s. A surrogate
// without its partner reads as U+FFFD.
func unescape(dst, s []byte) []byte {
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			dst = append(dst, s[i])
			i++
			continue
		}
		if s[i+1] != 'u' {
			dst = append(dst, unescaped(s[i+1]))
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

func unescaped(c byte) byte {
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

// scanNumber finds the end of the number at b[i]; -1 when it is none. float
// tells whether it has a point or an exponent.
func scanNumber(b []byte, i int) (end int, float bool) {
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
	for i < len(b) && b[i]-'0' < 10 {
		i++
	}
	if i == start {
		return -1
	}
	return i
}
