package fhir

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// parser reads JSON. A lenient one also takes what people write into mapping
// files and the connector accepts: comments, single quotes, bare names and
// trailing commas.
type parser struct {
	src     string
	pos     int
	lenient bool
}

func (p *parser) fail(offset int, message string) error {
	return &syntaxError{offset: offset, message: message}
}

// document reads one value and makes sure that nothing follows it.
func (p *parser) document() (*node, error) {
	if err := p.blanks(); err != nil {
		return nil, err
	}
	n, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if err := p.blanks(); err != nil {
		return nil, err
	}
	if p.pos < len(p.src) {
		return nil, p.fail(p.pos, "text after the end of the value")
	}
	return n, nil
}

// blanks skips white space, and comments when lenient.
func (p *parser) blanks() error {
	for p.pos < len(p.src) {
		switch c := p.src[p.pos]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			p.pos++
		case c == '/' && p.lenient:
			if err := p.comment(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

func (p *parser) comment() error {
	rest := p.src[p.pos:]
	end, tail := "\n", 1
	switch {
	case strings.HasPrefix(rest, "//"):
	case strings.HasPrefix(rest, "/*"):
		end, tail = "*/", 2
	default:
		return p.fail(p.pos, "a single slash")
	}
	i := strings.Index(rest[2:], end)
	switch {
	case i >= 0:
		p.pos += 2 + i + tail
	case tail == 1:
		p.pos = len(p.src)
	default:
		return p.fail(p.pos, "a comment without end")
	}
	return nil
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
	start := p.pos
	n, err := p.bare(depth)
	if err != nil {
		return nil, err
	}
	n.offset = start
	return n, nil
}

func (p *parser) bare(depth int) (*node, error) {
	switch c := p.peek(); {
	case p.pos >= len(p.src):
		return nil, p.fail(p.pos, "the text ends where a value should be")
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.list(depth)
	case c == '"' || c == '\'' && p.lenient:
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
	if err := p.blanks(); err != nil {
		return false, err
	}
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
	if err := p.blanks(); err != nil {
		return false, err
	}
	if p.lenient && p.peek() == end {
		p.pos++
		return false, nil
	}
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
	if err := p.blanks(); err != nil {
		return err
	}
	if p.peek() != ':' {
		return p.fail(p.pos, "a colon is missing after a name")
	}
	p.pos++
	return p.blanks()
}

// name reads a member's name.
func (p *parser) name() (string, error) {
	if c := p.peek(); c == '"' || c == '\'' && p.lenient {
		return p.text()
	}
	start := p.pos
	for p.lenient && p.pos < len(p.src) && isNameByte(p.src[p.pos]) {
		p.pos++
	}
	if p.pos == start {
		return "", p.fail(p.pos, "no name of a member")
	}
	return p.src[start:p.pos], nil
}

func isNameByte(c byte) bool {
	return c == '_' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf
}

// number reads a number; its literal is kept. Lenient ones need no digit
// before the point.
func (p *parser) number() (*node, error) {
	start := p.pos
	if p.peek() == '-' {
		p.pos++
	}
	whole := p.digits()
	if whole == 0 || !p.lenient && whole > 1 && p.src[p.pos-whole] == '0' {
		return nil, p.fail(start, "no JSON number")
	}
	if p.peek() == '.' {
		p.pos++
		if p.digits() == 0 && !p.lenient {
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
	start, quote := p.pos, p.src[p.pos]
	p.pos++
	if i := strings.IndexAny(p.src[p.pos:], "\\\"'\n"); i >= 0 && p.src[p.pos+i] == quote {
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
		case c == quote:
			p.pos++
			return b.String(), nil
		case c == '\\':
			if err := p.escape(&b); err != nil {
				return "", err
			}
		case c < 0x20 && !p.lenient:
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
var escapes = map[byte]byte{'"': '"', '\'': '\'', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (p *parser) escape(b *strings.Builder) error {
	start := p.pos
	p.pos++
	c := p.peek()
	if e, ok := escapes[c]; ok && (c != '\'' || p.lenient) {
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
