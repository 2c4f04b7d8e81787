package jmespath

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// unicodeEscapeLen is the length of \u0041.
const unicodeEscapeLen = 6

// unicodeEscape reads the escape \u0041 at the beginning of s.
func unicodeEscape(s string) (rune, bool) {
	if len(s) < unicodeEscapeLen || s[:2] != `\u` {
		return 0, false
	}
	for _, c := range []byte(s[2:unicodeEscapeLen]) {
		if !isDigit(c) && c|0x20-'a' >= 6 {
			return 0, false
		}
	}
	r, _ := strconv.ParseUint(s[2:unicodeEscapeLen], 16, 32)
	return rune(r), true
}

// escapeOrder replaces the escapes of quoted names. The connector's library does
// so one escape after the other over the whole name, so that what one replaces
// the next may find: "\\n" is a line break.
var escapeOrder = []*strings.Replacer{
	strings.NewReplacer(`\"`, `"`), strings.NewReplacer(`\\`, `\`), strings.NewReplacer(`\/`, `/`),
	strings.NewReplacer(`\b`, "\b"), strings.NewReplacer(`\f`, "\f"), strings.NewReplacer(`\n`, "\n"),
	strings.NewReplacer(`\r`, "\r"), strings.NewReplacer(`\v`, "\v"), strings.NewReplacer(`\t`, "\t"),
}

// unquote returns the name that "name" stands for; ok is false when halves of a
// surrogate pair do not fit together.
func unquote(quoted string) (name string, ok bool) {
	name, ok = unescapeUnicode(quoted[1 : len(quoted)-1])
	for _, r := range escapeOrder {
		name = r.Replace(name)
	}
	return name, ok
}

// unescapeUnicode replaces \u0041. A high surrogate waits for its low one, over
// other characters; one that waits in vain is dropped.
func unescapeUnicode(s string) (string, bool) {
	var b strings.Builder
	high := rune(-1)
	for len(s) > 0 {
		r, ok := unicodeEscape(s)
		switch {
		case !ok:
			n := 1
			if strings.HasPrefix(s, `\\`) {
				n = 2
			}
			b.WriteString(s[:n])
			s = s[n:]
			continue
		case r >= 0xD800 && r < 0xDC00:
			if high >= 0 {
				return "", false
			}
			high = r
		case (r >= 0xDC00 && r < 0xE000) != (high >= 0):
			return "", false
		case high >= 0:
			b.WriteRune((high-0xD800)<<10 + (r - 0xDC00) + 0x10000)
			high = -1
		default:
			b.WriteRune(r)
		}
		s = s[unicodeEscapeLen:]
	}
	return b.String(), true
}

// validText returns s, with U+FFFD for what is not UTF-8.
func validText(s string) string { return strings.ToValidUTF8(s, string(utf8.RuneError)) }
