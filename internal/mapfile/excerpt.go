package mapfile

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Widths of an excerpt in characters: a longer line is cut around the place.
const (
	excerptWidth  = 100
	excerptBefore = 60
)

// excerptReach is how many bytes around the place are looked at.
const excerptReach = excerptWidth * utf8.UTFMax

// cutMark stands where a line is cut.
const cutMark = "... "

// excerpt returns the line of text around byte position at, and below it a caret
// under that place.
func excerpt(text string, at int) string {
	before := strings.ToValidUTF8(text[max(0, at-excerptReach):at], "")
	before = strings.TrimPrefix(before[strings.LastIndexByte(before, '\n')+1:], byteOrderMark)
	after, _, _ := strings.Cut(strings.ToValidUTF8(text[at:min(len(text), at+excerptReach)], ""), "\n")
	after = strings.TrimRight(strings.TrimPrefix(after, byteOrderMark), "\r")
	if utf8.RuneCountInString(before)+utf8.RuneCountInString(after) > excerptWidth {
		before, after = cutBefore(before), cutAfter(after)
	}
	return printable(before) + printable(after) + "\n" + indent(before) + "^"
}

// cutBefore keeps the end of s.
func cutBefore(s string) string {
	i := len(s)
	for n := 0; n < excerptBefore && i > 0; n++ {
		_, size := utf8.DecodeLastRuneInString(s[:i])
		i -= size
	}
	if i == 0 {
		return s
	}
	return cutMark + s[i:]
}

// cutAfter keeps the beginning of s.
func cutAfter(s string) string {
	n := 0
	for i := range s {
		if n++; n > excerptWidth-excerptBefore {
			return s[:i] + " " + strings.TrimSpace(cutMark)
		}
	}
	return s
}

// printable replaces what would move the cursor of a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}

// indent returns blanks as wide as s; tabs stay tabs, so that the caret stands
// right whatever their width.
func indent(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, s)
}
