package fhir

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// kind is what a JSON value is.
type kind uint8

const (
	nullKind kind = iota
	boolKind
	numberKind
	textKind
	listKind
	objectKind
)

// node is one JSON value. Numbers keep their text and objects the order of
// their members, so that what others wrote into a resource goes back as it
// came. Nodes are never changed once they are shared: with and without copy.
type node struct {
	kind    kind
	text    string // decoded text, or the literal of a number or bool
	items   []*node
	members []member
}

// member is one name and value of an object.
type member struct {
	name  string
	value *node
}

// get returns the member of that name, nil when there is none. Of equal names
// the last one counts.
func (n *node) get(name string) *node {
	if n == nil {
		return nil
	}
	for i := len(n.members) - 1; i >= 0; i-- {
		if n.members[i].name == name {
			return n.members[i].value
		}
	}
	return nil
}

// path follows member names from n.
func (n *node) path(names ...string) *node {
	for _, name := range names {
		n = n.get(name)
	}
	return n
}

// str returns the trimmed text of a text value, else "".
func (n *node) str() string {
	if n == nil || n.kind != textKind {
		return ""
	}
	return trim(n.text)
}

// with returns a copy of object n in which name has that value; a nil value
// takes the member away.
func (n *node) with(name string, value *node) *node {
	c := &node{kind: objectKind, members: make([]member, 0, len(n.members)+1)}
	done := value == nil
	for _, m := range n.members {
		switch {
		case m.name != name:
			c.members = append(c.members, m)
		case !done:
			c.members = append(c.members, member{name, value})
			done = true
		}
	}
	if !done {
		c.members = append(c.members, member{name, value})
	}
	return c
}

// trim cuts the blanks off both ends, as every FHIR server does to texts.
func trim(s string) string { return strings.TrimSpace(s) }

// text returns a text value, nil for a blank one: FHIR has no empty strings,
// and none with control characters.
func text(s string) *node {
	if !plain(s) && strings.ContainsFunc(s, isControl) {
		s = strings.Map(func(r rune) rune {
			if isControl(r) {
				return -1
			}
			return r
		}, s)
	}
	if s = trim(s); s == "" {
		return nil
	}
	return &node{kind: textKind, text: s}
}

func isControl(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' }

// number returns a number value from its literal.
func number(literal string) *node { return &node{kind: numberKind, text: literal} }

// list returns a list of the items that are there, nil when none is: FHIR has
// no empty arrays.
func list(items ...*node) *node {
	l := &node{kind: listKind, items: make([]*node, 0, len(items))}
	for _, it := range items {
		if it != nil {
			l.items = append(l.items, it)
		}
	}
	if len(l.items) == 0 {
		return nil
	}
	return l
}

// object returns an object of the members that have a value, nil when none has.
func object(members ...member) *node {
	o := &node{kind: objectKind, members: make([]member, 0, len(members))}
	for _, m := range members {
		if m.value != nil {
			o.members = append(o.members, m)
		}
	}
	if len(o.members) == 0 {
		return nil
	}
	return o
}

// bytes writes n without blanks.
func (n *node) bytes() []byte { return n.appendTo(make([]byte, 0, 1024)) }

func (n *node) appendTo(b []byte) []byte {
	switch n.kind {
	case nullKind:
		return append(b, "null"...)
	case textKind:
		return appendText(b, n.text)
	case listKind:
		b = append(b, '[')
		for i, it := range n.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = it.appendTo(b)
		}
		return append(b, ']')
	case objectKind:
		b = append(b, '{')
		for i, m := range n.members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendText(b, m.name), ':')
			b = m.value.appendTo(b)
		}
		return append(b, '}')
	}
	return append(b, n.text...)
}

const hexDigits = "0123456789abcdef"

// appendText writes a JSON string. What is not UTF-8 becomes U+FFFD.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	if plain(s) && strings.IndexByte(s, '"') < 0 && strings.IndexByte(s, '\\') < 0 {
		return append(append(b, s...), '"')
	}
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			b = appendASCII(b, c)
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		b = utf8.AppendRune(b, r)
		i += size
	}
	return append(b, '"')
}

func appendASCII(b []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(b, '\\', c)
	case c == '\n':
		return append(b, '\\', 'n')
	case c == '\r':
		return append(b, '\\', 'r')
	case c == '\t':
		return append(b, '\\', 't')
	case c < 0x20:
		return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
	}
	return append(b, c)
}

// equal reports whether two values say the same: members in any order, numbers
// by value, texts without outer blanks.
func equal(a, b *node) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.kind != b.kind || len(a.items) != len(b.items) || len(a.members) != len(b.members) {
		return false
	}
	switch a.kind {
	case numberKind:
		return sameNumber(a.text, b.text)
	case textKind:
		return trim(a.text) == trim(b.text)
	case boolKind:
		return a.text == b.text
	}
	for i := range a.items {
		if !equal(a.items[i], b.items[i]) {
			return false
		}
	}
	for _, m := range a.members {
		if other := b.get(m.name); other == nil || !equal(m.value, other) {
			return false
		}
	}
	return true
}

// maxDepth is how deep values of a resource may be nested.
const maxDepth = 64

// syntaxError says where a text stops being JSON.
type syntaxError struct {
	offset  int
	message string
}

// Error names the place as an offset: callers that know the text translate it.
func (e *syntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.message, e.offset) }

var errNotJSON = errors.New("not JSON")

// parseJSON reads one JSON value, strictly. The error never quotes the text:
// it may hold what must not be logged.
func parseJSON(src string) (*node, error) {
	p := parser{src: src}
	n, err := p.document()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotJSON, err)
	}
	return n, nil
}
