package fhir

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// parser reads JSON, strictly.
type parser struct {
	src string
	pos int
}

func (p *parser) fail(offset int, message string) error {
	return &syntaxError{offset: offset, message: message}
}

// document reads one value and makes sure that nothing follows it.
func (p *parser) document() (*node, error) {
	p.blanks()
	n, err := p.value(0)
	if err != nil {
		return nil, err
	}
	p.blanks()
	if p.pos < len(p.src) {
		return nil, p.fail(p.pos, "text after the end of the value")
	}
	return n, nil
}

// blanks skips white space.
func (p *parser) blanks() {
	for p.pos < len(p.src) && strings.IndexByte(" \t\n\r", p.src[p.pos]) >= 0 {
		p.pos++
	}
}

// peek returns the next byte, 0 at the end.
func (p *parser) peek() byte {
	if p.pos < len(p.src) {
		return p.src[p.pos]
	}
	return 0
}

func (p *parser) value(depth int) (*node, error) {
	if depth > maxDepth {
		return nil, p.fail(p.pos, "values nested too deep")
	}
	switch c := p.peek(); {
	case p.pos >= len(p.src):
		return nil, p.fail(p.pos, "the text ends where a value should be")
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.list(depth)
	case c == '"':
		s, err := p.text()
		return &node{kind: textKind, text: s}, err
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	}
	for _, w := range []struct {
		word string
		kind kind
	}{{"true", boolKind}, {"false", boolKind}, {"null", nullKind}} {
		if strings.HasPrefix(p.src[p.pos:], w.word) {
			p.pos += len(w.word)
			return &node{kind: w.kind, text: w.word}, nil
		}
	}
	return nil, p.fail(p.pos, "no JSON value")
}

// more skips blanks and the comma between elements, and reports whether
// another element follows before the closing byte.
func (p *parser) more(end byte, first bool) (bool, error) {
	p.blanks()
	switch c := p.peek(); {
	case p.pos >= len(p.src):
		return false, p.fail(p.pos, "the text ends within an object or array")
	case c == end:
		p.pos++
		return false, nil
	case first:
		return true, nil
	case c != ',':
		return false, p.fail(p.pos, "a comma is missing")
	}
	p.pos++
	p.blanks()
	return true, nil
}

func (p *parser) list(depth int) (*node, error) {
	p.pos++
	n := &node{kind: listKind}
	for {
		ok, err := p.more(']', len(n.items) == 0)
		if !ok || err != nil {
			return n, err
		}
		it, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, it)
	}
}

func (p *parser) object(depth int) (*node, error) {
	p.pos++
	n := &node{kind: objectKind}
	for {
		ok, err := p.more('}', len(n.members) == 0)
		if !ok || err != nil {
			return n, err
		}
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		if err := p.colon(); err != nil {
			return nil, err
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.members = append(n.members, member{name, v})
	}
}

func (p *parser) colon() error {
	p.blanks()
	if p.peek() != ':' {
		return p.fail(p.pos, "a colon is missing after a name")
	}
	p.pos++
	p.blanks()
	return nil
}

// name reads a member's name.
func (p *parser) name() (string, error) {
	if p.peek() != '"' {
		return "", p.fail(p.pos, "no name of a member")
	}
	return p.text()
}

// number reads a number; its literal is kept.
func (p *parser) number() (*node, error) {
	start := p.pos
	if p.peek() == '-' {
		p.pos++
	}
	whole := p.digits()
	if whole == 0 || whole > 1 && p.src[p.pos-whole] == '0' {
		return nil, p.fail(start, "no JSON number")
	}
	if p.peek() == '.' {
		p.pos++
		if p.digits() == 0 {
			return nil, p.fail(start, "no JSON number")
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.pos++
		if c := p.peek(); c == '+' || c == '-' {
			p.pos++
		}
		if p.digits() == 0 {
			return nil, p.fail(start, "no JSON number")
		}
	}
	return number(p.src[start:p.pos]), nil
}

func (p *parser) digits() int {
	start := p.pos
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.pos++
	}
	return p.pos - start
}

// text reads a quoted text.
func (p *parser) text() (string, error) {
	start := p.pos
	p.pos++
	if i := strings.IndexAny(p.src[p.pos:], "\\\"\n"); i >= 0 && p.src[p.pos+i] == '"' {
		s := p.src[p.pos : p.pos+i]
		if plain(s) {
			p.pos += i + 1
			return s, nil
		}
	}
	var b strings.Builder
	for p.pos < len(p.src) {
		c := p.src[p.pos]
		switch {
		case c == '"':
			p.pos++
			return b.String(), nil
		case c == '\\':
			if err := p.escape(&b); err != nil {
				return "", err
			}
		case c < 0x20:
			return "", p.fail(p.pos, "a control character in a text")
		default:
			r, size := utf8.DecodeRuneInString(p.src[p.pos:])
			b.WriteRune(r)
			p.pos += size
		}
	}
	return "", p.fail(start, "a text without end")
}

// plain reports whether s needs no decoding.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// escapes are the one-letter escapes of JSON.
var escapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (p *parser) escape(b *strings.Builder) error {
	start := p.pos
	p.pos++
	c := p.peek()
	if e, ok := escapes[c]; ok {
		b.WriteByte(e)
		p.pos++
		return nil
	}
	if c != 'u' {
		return p.fail(start, "an unknown escape in a text")
	}
	p.pos++
	r, ok := p.unit()
	if !ok {
		return p.fail(start, "an escape without four hex digits")
	}
	if utf16.IsSurrogate(r) {
		r = p.pair(r)
	}
	b.WriteRune(r)
	return nil
}

// unit reads four hex digits.
func (p *parser) unit() (rune, bool) {
	if p.pos+4 > len(p.src) {
		return 0, false
	}
	var r rune
	for _, c := range []byte(p.src[p.pos : p.pos+4]) {
		i := strings.IndexByte(hexDigits, c|0x20)
		if i < 0 || c < '0' || c > '9' && c < 'A' {
			return 0, false
		}
		r = r<<4 | rune(i)
	}
	p.pos += 4
	return r, true
}

// pair completes a surrogate; a lone one reads as U+FFFD.
func (p *parser) pair(high rune) rune {
	if !strings.HasPrefix(p.src[p.pos:], `\u`) {
		return utf8.RuneError
	}
	back := p.pos
	p.pos += 2
	low, ok := p.unit()
	if r := utf16.DecodeRune(high, low); ok && r != utf8.RuneError {
		return r
	}
	p.pos = back
	return utf8.RuneError
}
