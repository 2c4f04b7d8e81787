package mapping

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits on a mapping file.
const (
	maxFileBytes = 8 << 20
	maxFileDepth = 128
)

// fileValue is one value of a mapping file, with where it stands.
type fileValue struct {
	kind    kind // kindText for strings
	at      int  // byte position of its first character
	text    string
	members []textMember
	items   []*fileValue
	plain   bool // a string without escapes: positions inside it can be told
}

type textMember struct {
	name  string
	at    int
	value *fileValue
}

// member returns the value of a member, names compared without case; of
// several the last.
func (v *fileValue) member(name string) *fileValue {
	var found *fileValue
	if v != nil {
		for i := range v.members {
			if strings.EqualFold(v.members[i].name, name) {
				found = v.members[i].value
			}
		}
	}
	return found
}

// null reports whether a value is absent or null.
func (v *fileValue) null() bool { return v == nil || v.kind == kindNull }

// fileParser reads a mapping file: JSON with what people put into it and
// Json.NET accepts, that is comments, trailing commas, single quotes, names
// without quotes and a byte order mark.
type fileParser struct {
	s     string
	i     int
	depth int
	fault *pathError
}

// parseFile parses the text of a mapping file.
func parseFile(s string) (*fileValue, *pathError) {
	if len(s) > maxFileBytes {
		return nil, &pathError{message: fmt.Sprintf("the file is longer than %d bytes", maxFileBytes)}
	}
	p := &fileParser{s: s, i: len(s) - len(strings.TrimPrefix(s, "\uFEFF"))}
	if !utf8.ValidString(s) {
		return nil, &pathError{message: "the file is not valid UTF-8"}
	}
	p.blanks()
	if p.i == len(s) && p.fault == nil {
		return nil, &pathError{message: "the file is empty"}
	}
	v := p.value()
	if p.fault == nil {
		if p.blanks(); p.i < len(s) {
			p.fail("unexpected text after the end of the mapping")
		}
	}
	return v, p.fault
}

// fail keeps the first fault and moves to the end, so that every loop ends.
func (p *fileParser) fail(format string, args ...any) {
	if p.fault == nil {
		p.fault = &pathError{at: p.i, message: fmt.Sprintf(format, args...)}
	}
	p.i = len(p.s)
}

func (p *fileParser) char() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

// blanks skips white space and comments.
func (p *fileParser) blanks() {
	for p.i < len(p.s) {
		rest := p.s[p.i:]
		switch {
		case strings.IndexByte(" \t\r\n", rest[0]) >= 0:
			p.i++
		case strings.HasPrefix(rest, "//"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			p.i += end
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest, "*/")
			if end < 0 {
				p.fail("a comment does not end")
				return
			}
			p.i += end + 2
		default:
			return
		}
	}
}

func (p *fileParser) value() *fileValue {
	p.blanks()
	v := &fileValue{at: p.i}
	if p.depth++; p.depth > maxFileDepth {
		p.fail("nested too deep")
		return v
	}
	defer func() { p.depth-- }()
	switch c := p.char(); c {
	case '{':
		p.object(v)
	case '[':
		p.array(v)
	case '"', '\'':
		v.kind = kindText
		v.text, v.plain = p.quoted(c)
	case 0:
		p.fail("the file ends too early")
	default:
		p.bare(v)
	}
	return v
}

func (p *fileParser) array(v *fileValue) {
	v.kind = kindArray
	p.i++
	for p.blanks(); p.char() != ']'; p.blanks() {
		v.items = append(v.items, p.value())
		if !p.comma(']') {
			return
		}
	}
	p.i++
}

// comma reads what separates elements; false when something else stands there.
func (p *fileParser) comma(closing byte) bool {
	p.blanks()
	switch p.char() {
	case ',':
		p.i++
		return true
	case closing:
		return true
	case 0:
		p.fail("the file ends too early: %c is missing", closing)
	}
	p.fail("expected a comma or %c", closing)
	return false
}

func (p *fileParser) object(v *fileValue) {
	v.kind = kindObject
	p.i++
	for p.blanks(); p.char() != '}'; p.blanks() {
		m := textMember{at: p.i}
		if c := p.char(); c == '"' || c == '\'' {
			m.name, _ = p.quoted(c)
		} else if m.name = p.word(); m.name == "" {
			p.fail("expected a member name")
			return
		}
		if p.blanks(); p.char() != ':' {
			p.fail("expected a colon after %q", m.name)
			return
		}
		p.i++
		m.value = p.value()
		v.members = append(v.members, m)
		if !p.comma('}') {
			return
		}
	}
	p.i++
}

// word reads letters, digits and the signs of numbers and names.
func (p *fileParser) word() string {
	start := p.i
	for p.i < len(p.s) && (p.s[p.i] >= utf8.RuneSelf || strings.IndexByte(" \t\r\n,:{}[]\"'/", p.s[p.i]) < 0) {
		p.i++
	}
	return p.s[start:p.i]
}

// bare reads a number or one of the three words.
func (p *fileParser) bare(v *fileValue) {
	start := p.i
	v.text = p.word()
	switch v.text {
	case "true":
		v.kind = kindTrue
	case "false":
		v.kind = kindFalse
	case "null":
		v.kind = kindNull
	default:
		end, float := scanNumber([]byte(v.text), 0)
		if end != len(v.text) || end == 0 {
			p.i = start
			p.fail("expected a value")
		}
		if v.kind = kindInt; float {
			v.kind = kindFloat
		}
	}
}

// quoted reads a string; plain tells that it has no escapes.
func (p *fileParser) quoted(quote byte) (s string, plain bool) {
	start := p.i + 1
	plain = true
	for p.i++; p.i < len(p.s); p.i++ {
		switch p.s[p.i] {
		case quote:
			raw := p.s[start:p.i]
			p.i++
			if plain {
				return raw, true
			}
			return string(unescape(nil, []byte(raw))), false
		case '\\':
			plain = false
			n := escapeLen([]byte(p.s[p.i:min(p.i+6, len(p.s))]), 0)
			if n == 0 && strings.HasPrefix(p.s[p.i:], `\'`) {
				n = 2
			}
			if n == 0 {
				p.fail("unknown escape in a string")
				return "", false
			}
			p.i += n - 1
		}
	}
	p.i = start - 1
	p.fail("a string does not end")
	return "", false
}

// place returns the line and column, from 1, of a byte position; columns count
// characters.
func place(s string, at int) (line, column int) {
	at = min(at, len(s))
	line = 1 + strings.Count(s[:at], "\n")
	start := strings.LastIndexByte(s[:at], '\n') + 1
	return line, 1 + utf8.RuneCountInString(s[start:at])
}

// asText reads a value where a string is wanted, as Json.NET does: numbers and
// truth values are texts too.
func (v *fileValue) asText() (string, bool) {
	switch v.kind {
	case kindText, kindInt, kindFloat:
		return v.text, true
	case kindTrue:
		return "True", true
	case kindFalse:
		return "False", true
	}
	return "", false
}

// asBool reads a value where a truth value is wanted.
func (v *fileValue) asBool() (is, ok bool) {
	switch v.kind {
	case kindTrue, kindFalse:
		return v.kind == kindTrue, true
	case kindText:
		switch strings.ToLower(strings.TrimSpace(v.text)) {
		case "true":
			return true, true
		case "false":
			return false, true
		}
	case kindInt, kindFloat:
		f, err := strconv.ParseFloat(v.text, 64)
		return f != 0, err == nil
	}
	return false, false
}
