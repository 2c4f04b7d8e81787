package jmespath

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// kindOfToken is a kind of lexical token.
type kindOfToken uint8

const (
	tokenEnd kindOfToken = iota
	tokenName
	tokenQuoted  // "name"
	tokenRaw     // 'text'
	tokenLiteral // `json`
	tokenNumber
	tokenSign // an operator or a bracket; the text tells which
)

// token is one lexical token; its text is a part of the expression.
type token struct {
	kind kindOfToken
	at   int
	text string
}

// is reports whether the token is the given operator or bracket.
func (t token) is(sign string) bool { return t.kind == tokenSign && t.text == sign }

// lexer cuts an expression into tokens.
type lexer struct {
	s string
	i int
}

// signs are the operators and brackets, longer ones before their beginnings.
var signs = []string{
	"&&", "||", "==", "!=", ">=", "<=", "[?", "[]",
	"!", ":", ",", ".", "|", ">", "<", "*", "@", "&", "{", "}", "[", "]", "(", ")",
}

// next returns the next token.
func (l *lexer) next() (token, *Fault) {
	for l.i < len(l.s) && strings.IndexByte(" \b\f\n\r\t", l.s[l.i]) >= 0 {
		l.i++
	}
	if l.i == len(l.s) {
		return token{at: l.i}, nil
	}
	switch c := l.s[l.i]; {
	case isNameStart(c):
		return l.take(tokenName, nameLen(l.s[l.i:])), nil
	case c == '"':
		return l.quoted()
	case c == '\'':
		return l.raw()
	case c == '`':
		return l.literal()
	case isDigit(c) || c == '-' && l.i+1 < len(l.s) && isDigit(l.s[l.i+1]):
		return l.take(tokenNumber, numberLen(l.s[l.i:])), nil
	}
	for _, sign := range signs {
		if strings.HasPrefix(l.s[l.i:], sign) {
			return l.take(tokenSign, len(sign)), nil
		}
	}
	return token{}, l.unexpected()
}

func (l *lexer) take(k kindOfToken, n int) token {
	t := token{kind: k, at: l.i, text: l.s[l.i : l.i+n]}
	l.i += n
	return t
}

func isDigit(c byte) bool { return c-'0' < 10 }

func isNameStart(c byte) bool { return c|0x20-'a' < 26 || c == '_' }

func isNamePart(c byte) bool { return isNameStart(c) || isDigit(c) }

// nameLen returns how long the name at the beginning of s is, which begins with
// the start of a name.
func nameLen(s string) int {
	n := 1
	for n < len(s) && isNamePart(s[n]) {
		n++
	}
	return n
}

// isPlainName reports whether a member name needs no quotes.
func isPlainName(s string) bool { return s != "" && isNameStart(s[0]) && nameLen(s) == len(s) }

func numberLen(s string) int {
	n := 1
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

// replaced returns the expression with other text from one place to another.
func (l *lexer) replaced(from, to int, text string) string { return l.s[:from] + text + l.s[to:] }

// unexpected tells about a character that begins no token.
func (l *lexer) unexpected() *Fault {
	r, size := utf8.DecodeRuneInString(l.s[l.i:])
	f := &Fault{At: l.i, Message: fmt.Sprintf("%q cannot stand here", r)}
	switch {
	case r == '-':
		if from, to := l.dashedName(); to > from {
			f.Message = "a name with a dash needs double quotes"
			f.Fix = l.replaced(from, to, `"`+l.s[from:to]+`"`)
		}
	case r == '$':
		f.Message = "$ is JSONPath; in JMESPath @ is the current value, and a path begins with a name"
		f.Fix = strings.TrimPrefix(l.replaced(l.i, l.i+1, ""), ".")
	case r == '=':
		f.Message = "= is no operator, equality is =="
		f.Fix = l.replaced(l.i, l.i+1, "==")
	case r == '?':
		f.Message = "a filter begins with [? without a blank"
	case strings.ContainsRune("+/%^", r):
		f.Message = fmt.Sprintf("%q is no operator: there are the functions add, subtract, multiply, divide and pow", r)
	case r >= utf8.RuneSelf && size > 1:
		f.Message = fmt.Sprintf("%q needs quotes: double ones in a name, single ones in a text", r)
	}
	return f
}

// dashedName finds the name around the dash at l.i; it is empty when there is
// none.
func (l *lexer) dashedName() (from, to int) {
	from, to = l.i, l.i
	for from > 0 && (isNamePart(l.s[from-1]) || l.s[from-1] == '-') {
		from--
	}
	for to < len(l.s) && (isNamePart(l.s[to]) || l.s[to] == '-') {
		to++
	}
	if from == l.i || !isNameStart(l.s[from]) {
		return 0, 0
	}
	return from, to
}

// quoted reads "name". Control characters must be escaped.
func (l *lexer) quoted() (token, *Fault) {
	for i := l.i + 1; i < len(l.s); i++ {
		switch l.s[i] {
		case '"':
			return l.take(tokenQuoted, i+1-l.i), nil
		case '\b', '\f', '\n', '\r', '\t':
			return token{}, &Fault{At: i, Message: "a control character in a quoted name must be escaped",
				Fix: l.replaced(i, i+1, controlEscapes[l.s[i]])}
		case '\\':
			n := quotedEscapeLen(l.s[i:])
			if n == 0 {
				return token{}, &Fault{At: i, Message: `a quoted name knows only the escapes \" \\ \/ \b \f \n \r \t and \u0000`}
			}
			i += n - 1
		}
	}
	return token{}, &Fault{At: l.i, Message: "the quoted name does not end", Fix: l.s + `"`}
}

var controlEscapes = map[byte]string{'\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`}

// quotedEscapeLen returns how long the escape at the beginning of s is, 0 when
// it is none.
func quotedEscapeLen(s string) int {
	if len(s) < 2 {
		return 0
	}
	if strings.IndexByte(`"\/bfnrt`, s[1]) >= 0 {
		return 2
	}
	if _, ok := unicodeEscape(s); ok {
		return unicodeEscapeLen
	}
	return 0
}

// raw reads 'text', in which only \' is an escape.
func (l *lexer) raw() (token, *Fault) {
	for i := l.i + 1; i < len(l.s); i++ {
		switch l.s[i] {
		case '\'':
			return l.take(tokenRaw, i+1-l.i), nil
		case '\\':
			i++
		}
	}
	return token{}, &Fault{At: l.i, Message: "the text does not end", Fix: l.s + "'"}
}

// literal reads `json`. It ends at the first backtick that has no backslash
// before it, or at the last one when all have.
func (l *lexer) literal() (token, *Fault) {
	end := -1
	for i := l.i + 1; i < len(l.s); i++ {
		if l.s[i] != '`' {
			continue
		}
		end = i
		if l.s[i-1] != '\\' {
			break
		}
	}
	if end < 0 {
		return token{}, &Fault{At: l.i, Message: "the literal does not end", Fix: l.s + "`"}
	}
	return l.take(tokenLiteral, end+1-l.i), nil
}
