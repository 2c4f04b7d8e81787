package mapfile

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// escapes are the escapes of one letter.
var escapes = map[byte]rune{'"': '"', '\'': '\'', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// character decodes the character of a quoted text at s[i:]. size counts the
// bytes that it takes in s; 0 says that it is no escape of JSON. A surrogate
// without its other half reads as U+FFFD.
func character(s string, i int) (r rune, size int) {
	if s[i] != '\\' {
		return utf8.DecodeRuneInString(s[i:])
	}
	if i+1 == len(s) {
		return 0, 0
	}
	if r, ok := escapes[s[i+1]]; ok {
		return r, 2
	}
	r, ok := unit(s, i)
	if !ok {
		return 0, 0
	}
	if low, ok := unit(s, i+6); ok && utf16.IsSurrogate(r) {
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, 12
		}
	}
	if utf16.IsSurrogate(r) {
		r = utf8.RuneError
	}
	return r, 6
}

// unit reads the escape \uXXXX at s[i:].
func unit(s string, i int) (rune, bool) {
	if len(s) < i+6 || s[i] != '\\' || s[i+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range []byte(s[i+2 : i+6]) {
		digit := strings.IndexByte("0123456789abcdef", lower(c))
		if digit < 0 {
			return 0, false
		}
		r = r<<4 | rune(digit)
	}
	return r, true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// decode decodes the inside of a quoted text that is known to be correct.
func decode(raw string) string {
	if strings.IndexByte(raw, '\\') < 0 {
		return raw
	}
	var b strings.Builder
	for i := 0; i < len(raw); {
		r, size := character(raw, i)
		b.WriteRune(r)
		i += size
	}
	return b.String()
}

// encoded returns where in raw, the inside of a quoted text, the character is
// that begins at byte at of the decoded text.
func encoded(raw string, at int) int {
	i := 0
	for i < len(raw) && at > 0 {
		r, size := character(raw, i)
		at -= utf8.RuneLen(r)
		i += size
	}
	return i
}
