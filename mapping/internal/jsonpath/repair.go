package jsonpath

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The fixes here are guesses. Parse offers one only when the expression that it
// leads to is valid.

// at describes the character at byte i.
func (p *parser) at(i int) string {
	if i >= len(p.s) {
		return "end"
	}
	r, _ := utf8.DecodeRuneInString(p.s[i:])
	if r == ' ' {
		return "blank"
	}
	return fmt.Sprintf("%q", r)
}

// replaced returns the expression with text in place of bytes from to to.
func (p *parser) replaced(from, to int, text string) string {
	return p.s[:from] + text + p.s[min(to, len(p.s)):]
}

// inQuotes writes a text as a quoted one.
func inQuotes(s string) string {
	var b strings.Builder
	printQuoted(&b, s)
	return b.String()
}

// unexpected faults the character that ended a path too early.
func (p *parser) unexpected(at int) {
	rest := strings.TrimLeft(p.s[at:], " ")
	switch {
	case p.s[at] != ' ':
		p.failAt(at, p.replaced(at, at+1, ""), "unexpected %s: no bracket is open", p.at(at))
	case rest[0] == '.' || rest[0] == '[':
		p.failAt(at, p.s[:at]+rest, "unexpected blank: a path has no blanks between its steps")
	default:
		start := strings.LastIndexAny(p.s[:at], ".])") + 1
		end := at + len(p.s[at:]) - len(rest) + strings.IndexAny(rest+".", ".[")
		before := p.s[:start]
		if !strings.HasSuffix(before, "..") {
			before = strings.TrimSuffix(before, ".")
		}
		p.failAt(at, before+"["+inQuotes(p.s[start:end])+"]"+p.s[end:], "unexpected blank: a name with blanks must stand in brackets and single quotes")
	}
}

// withQuotes closes the quote at start before the next bracket or at the end.
func (p *parser) withQuotes(start int) string {
	if end := strings.IndexAny(p.s[start:], "])"); end > 0 {
		return p.replaced(start+end, start+end, "'")
	}
	return p.s + "'"
}

// withoutEscape writes what the unknown escape at the current position means,
// or a backslash before the one that stands there.
func (p *parser) withoutEscape() string {
	if digits := p.s[p.i+1:]; p.s[p.i] == 'u' && len(digits) >= 4 {
		if r, err := strconv.ParseUint(digits[:4], 16, 16); err == nil && r >= ' ' && r != '\'' && r != '\\' {
			return p.replaced(p.i-1, p.i+5, string(rune(r)))
		}
	}
	return p.replaced(p.i, p.i, `\`)
}

// doubleQuoted returns the end of the text in double quotes at i and what it
// holds.
func (p *parser) doubleQuoted(i int) (end int, text string, ok bool) {
	if i >= len(p.s) || p.s[i] != '"' {
		return 0, "", false
	}
	length := strings.IndexByte(p.s[i+1:], '"')
	if length < 0 {
		return 0, "", false
	}
	return i + length + 2, p.s[i+1 : i+1+length], true
}

// bracketFix repairs a bracket that holds neither number nor quoted name.
func (p *parser) bracketFix(open int) string {
	if end, text, ok := p.doubleQuoted(p.i); ok {
		return p.replaced(p.i, end, inQuotes(text))
	}
	end := strings.IndexByte(p.s[open:], ']')
	if end < 0 {
		return ""
	}
	switch inner := strings.TrimSpace(p.s[open+1 : open+end]); {
	case strings.HasPrefix(inner, "@"):
		return p.replaced(open+1, open+end, "?("+inner+")")
	case isPlain(inner):
		return p.replaced(open+1, open+end, inQuotes(inner))
	}
	return ""
}

// parenthesesFix puts what stands behind the ? at the current position in
// parentheses, or moves them to it.
func (p *parser) parenthesesFix(closing byte) string {
	if rest := strings.TrimLeft(p.s[p.i:], " "); rest != "" && rest[0] == '(' {
		return p.s[:p.i] + rest
	}
	depth := 0
	for i := p.i; i < len(p.s); i++ {
		switch c := p.s[i]; {
		case c == '\'' || c == '"':
			if end := strings.IndexByte(p.s[i+1:], c); end >= 0 {
				i += end + 1
			}
		case c == '[' || c == '(':
			depth++
		case c == closing && depth == 0:
			return p.s[:p.i] + "(" + p.s[p.i:i] + ")" + p.s[i:]
		case c == ']' || c == ')':
			depth--
		}
	}
	return ""
}

// operatorFix repairs what stands where an operator must.
func (p *parser) operatorFix(closing byte) string {
	words := []struct{ wrong, right string }{{"=", "=="}, {"and ", "&& "}, {"AND ", "&& "}, {"or ", "|| "}, {"OR ", "|| "}, {"!", "!="}, {"~", "=~"}}
	for _, w := range words {
		if strings.HasPrefix(p.s[p.i:], w.wrong) {
			return p.replaced(p.i, p.i+len(w.wrong), w.right)
		}
	}
	if p.char() == closing && p.char() != 0 {
		return p.replaced(p.i, p.i, ")")
	}
	r, _ := utf8.DecodeRuneInString(p.s[p.i:])
	start := strings.LastIndexAny(p.s[:p.i], ".@$") + 1
	if start == 0 || !unicode.IsLetter(r) && !unicode.IsDigit(r) {
		return ""
	}
	length := strings.IndexAny(p.s[p.i:], "=<>!)&|.[]")
	if length < 0 {
		return ""
	}
	name := strings.TrimRight(p.s[start:p.i+length], " ")
	return strings.TrimSuffix(p.s[:start], ".") + "[" + inQuotes(name) + "]" + p.s[start+len(name):]
}

// numberFix repairs a number that something follows too closely.
func (p *parser) numberFix(text string) string {
	end := p.i + len(text)
	if i := strings.IndexAny(text, "&|=<>!"); i > 0 {
		return p.replaced(p.i+i, p.i+i, " ")
	}
	if i := strings.IndexByte(text, ']'); i > 0 {
		return p.replaced(p.i+i, p.i+i, ")")
	}
	if isDigits([]byte(strings.TrimPrefix(text, "-"))) {
		return p.replaced(end, end, ".0")
	}
	return ""
}

// operandFix repairs what stands where a path or literal must.
func (p *parser) operandFix() string {
	if end, text, ok := p.doubleQuoted(p.i); ok {
		return p.replaced(p.i, end, inQuotes(text))
	}
	for _, word := range []string{"true", "false", "null"} {
		if end := p.i + len(word); end <= len(p.s) && strings.EqualFold(p.s[p.i:end], word) {
			return p.replaced(p.i, end, word)
		}
	}
	if r, _ := utf8.DecodeRuneInString(p.s[p.i:]); r == '.' || unicode.IsLetter(r) || r == '_' {
		return p.replaced(p.i, p.i, "@")
	}
	return ""
}
