package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Limits of one resource, so that no body can exhaust the stack or take
// quadratic time.
const (
	maxDepth   = 64
	maxMembers = 256
)

// kind is what a JSON value is.
type kind uint8

const (
	scalarKind kind = iota // number, true, false, null: the raw text says all
	textKind
	listKind
	objectKind
)

// value is one JSON value as a place in its text. The text stays as it came,
// so that numbers keep their digits: 22.40 is not 22.4.
type value struct {
	kind  kind
	at    int    // of the first byte, in the text of the whole resource
	raw   []byte // the text, without blanks
	names []string
	items []value // of a list, or of the object's members
}

// get returns a member of an object, nil when there is none.
func (v *value) get(name string) *value {
	if v == nil {
		return nil
	}
	for i, n := range v.names {
		if n == name {
			return &v.items[i]
		}
	}
	return nil
}

// text returns a string value decoded, "" for anything else.
func (v *value) text() string {
	if v == nil || v.kind != textKind {
		return ""
	}
	return unquote(v.raw)
}

func unquote(raw []byte) string {
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner)
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return string(inner)
	}
	return s
}

// each calls do with v, or with every item when v is a list: most FHIR members
// are one or many.
func (v *value) each(do func(*value)) {
	switch {
	case v == nil:
	case v.kind == listKind:
		for i := range v.items {
			do(&v.items[i])
		}
	default:
		do(v)
	}
}

// parse reads one JSON text, compacts it and checks what FHIR asks of every
// resource: no member twice, nothing empty.
func parse(text []byte) (*value, error) {
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("the text is not UTF-8")
	}
	var b bytes.Buffer
	b.Grow(len(text))
	if err := json.Compact(&b, text); err != nil {
		return nil, err
	}
	p := parser{text: b.Bytes()}
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// parser walks a text that is known to be valid, compact JSON.
type parser struct {
	text []byte
	at   int
}

func (p *parser) value(depth int) (value, error) {
	if depth > maxDepth {
		return value{}, fmt.Errorf("more than %d levels", maxDepth)
	}
	v := value{at: p.at}
	var err error
	switch p.text[p.at] {
	case '"':
		v.kind = textKind
		p.skipText()
		if p.at-v.at == 2 {
			err = fmt.Errorf("an empty string at byte %d; FHIR leaves such members out", v.at)
		}
	case '{':
		v.kind = objectKind
		err = p.object(&v, depth)
	case '[':
		v.kind = listKind
		err = p.list(&v, depth)
	default:
		for p.at < len(p.text) && !isEnd(p.text[p.at]) {
			p.at++
		}
	}
	v.raw = p.text[v.at:p.at]
	return v, err
}

func isEnd(c byte) bool { return c == ',' || c == ']' || c == '}' }

func (p *parser) skipText() {
	for p.at++; p.text[p.at] != '"'; p.at++ {
		if p.text[p.at] == '\\' {
			p.at++
		}
	}
	p.at++
}

func (p *parser) object(v *value, depth int) error {
	if p.text[p.at+1] == '}' {
		return fmt.Errorf("an empty object at byte %d; FHIR leaves such members out", p.at)
	}
	for p.text[p.at] != '}' {
		p.at++ // the brace or comma
		start := p.at
		p.skipText()
		name := unquote(p.text[start:p.at])
		p.at++ // the colon
		if v.get(name) != nil {
			return fmt.Errorf("the member %q twice in one object", name)
		}
		if len(v.names) == maxMembers {
			return fmt.Errorf("more than %d members in one object", maxMembers)
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		v.names, v.items = append(v.names, name), append(v.items, item)
	}
	p.at++
	return nil
}

func (p *parser) list(v *value, depth int) error {
	if p.text[p.at+1] == ']' {
		return fmt.Errorf("an empty array at byte %d; FHIR leaves such members out", p.at)
	}
	for p.text[p.at] != ']' {
		p.at++ // the bracket or comma
		item, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		v.items = append(v.items, item)
	}
	p.at++
	return nil
}

// serverMeta are the members of meta that the server writes, or that say
// nothing of the content.
var serverMeta = map[string]bool{"versionId": true, "lastUpdated": true, "source": true}

// compose returns the resource as it is stored and read: id and meta set,
// everything else as the client wrote it, in its order.
func compose(r *value, id, version, updated string) []byte {
	b := make([]byte, 0, len(r.raw)+len(id)+96)
	b = append(b, `{"resourceType":`...)
	b = append(b, r.get("resourceType").raw...)
	b = append(append(append(b, `,"id":"`...), id...), `","meta":{"versionId":"`...)
	b = append(append(append(b, version...), `","lastUpdated":"`...), updated...)
	b = append(b, '"')
	if meta := r.get("meta"); meta != nil {
		for i, name := range meta.names {
			if name != "versionId" && name != "lastUpdated" {
				b = appendMember(append(b, ','), name, meta.items[i].raw)
			}
		}
	}
	b = append(b, '}')
	for i, name := range r.names {
		if name != "resourceType" && name != "id" && name != "meta" {
			b = appendMember(append(b, ','), name, r.items[i].raw)
		}
	}
	return append(b, '}')
}

func appendMember(b []byte, name string, raw []byte) []byte {
	quoted, _ := json.Marshal(name) // a string always has a JSON form
	return append(append(append(b, quoted...), ':'), raw...)
}

// sameContent reports whether two versions of a resource say the same: members
// in any order, id and what the server writes into meta aside. Numbers are
// compared by their text: 71.0 tells more than 71.
func sameContent(a, b *value) bool {
	return sameMembers(a, b, map[string]bool{"id": true, "meta": true}) &&
		sameMembers(a.get("meta"), b.get("meta"), serverMeta)
}

func sameMembers(a, b *value, ignored map[string]bool) bool {
	return covers(a, b, ignored) && covers(b, a, ignored)
}

func covers(a, b *value, ignored map[string]bool) bool {
	if a == nil {
		return true
	}
	for i, name := range a.names {
		if !ignored[name] && !same(&a.items[i], b.get(name)) {
			return false
		}
	}
	return true
}

func same(a, b *value) bool {
	switch {
	case b == nil || a.kind != b.kind || len(a.items) != len(b.items):
		return false
	case bytes.Equal(a.raw, b.raw):
		return true
	case a.kind == textKind:
		return a.text() == b.text()
	case a.kind == objectKind:
		return covers(a, b, nil)
	case a.kind == listKind:
		for i := range a.items {
			if !same(&a.items[i], &b.items[i]) {
				return false
			}
		}
		return true
	}
	return false
}

// rewriteReferences returns r with every Reference.reference for which
// replace has another text; r itself when nothing is replaced.
func rewriteReferences(r *value, replace func(reference string) (string, error)) (*value, error) {
	var out []byte
	done := 0
	var walk func(v *value) error
	walk = func(v *value) error {
		for i := range v.items {
			item := &v.items[i]
			if v.kind != objectKind || v.names[i] != "reference" || item.kind != textKind {
				if err := walk(item); err != nil {
					return err
				}
				continue
			}
			old := item.text()
			text, err := replace(old)
			if err != nil {
				return err
			}
			if text != old {
				quoted, _ := json.Marshal(text) // a string always has a JSON form
				out = append(append(out, r.raw[done:item.at-r.at]...), quoted...)
				done = item.at - r.at + len(item.raw)
			}
		}
		return nil
	}
	if err := walk(r); err != nil || done == 0 {
		return r, err
	}
	return parse(append(out, r.raw[done:]...))
}
