package jmespath

import (
	"strings"

	"auscult/mapping/internal/dotnet"
	"auscult/mapping/internal/tape"
)

// rawText reads 'text'. It is never a date.
func (p *parser) rawText() (*node, *Fault) {
	s := p.token.text
	content := strings.ReplaceAll(s[1:len(s)-1], `\'`, `'`)
	v := valueAt(text, inExpression, p.addText([]byte(validText(content))))
	return &node{op: opLiteral, depth: 1, name: s, literal: v}, p.advance()
}

// literal reads `json`.
func (p *parser) literal() (*node, *Fault) {
	s := p.token.text
	r := &literalReader{p: p, s: strings.ReplaceAll(s[1:len(s)-1], "\\`", "`")}
	v, ok := r.value(0)
	if ok && r.blank() != 0 {
		ok = false
	}
	if !ok {
		return nil, p.badLiteral()
	}
	return &node{op: opLiteral, depth: 1, name: s, literal: v}, p.advance()
}

// badLiteral tells that a literal is not JSON: mostly a text without quotes.
func (p *parser) badLiteral() *Fault {
	t := p.token
	f := &Fault{At: t.at, Message: "the text between backticks is not JSON"}
	content := strings.TrimSpace(t.text[1 : len(t.text)-1])
	if content != "" && isNameStart(content[0]) && !strings.ContainsAny(content, "\"'\\`") {
		f.Message += "; a text is written between single quotes"
		f.Fix = p.replaced(t.at, t.at+len(t.text), "'"+content+"'")
	}
	return f
}

// literalReader reads the JSON of a literal. It takes what the connector's
// library takes, which allows 1. and refuses 0e1.
type literalReader struct {
	p *parser
	s string
	i int
}

// blank skips blanks and returns the next character, 0 at the end.
func (r *literalReader) blank() byte {
	for r.i < len(r.s) && strings.IndexByte(" \t\r\n", r.s[r.i]) >= 0 {
		r.i++
	}
	if r.i == len(r.s) {
		return 0
	}
	return r.s[r.i]
}

func (r *literalReader) value(depth int) (value, bool) {
	if depth > tape.MaxDepth {
		return value{}, false
	}
	switch c := r.blank(); c {
	case '"':
		return r.text()
	case '[':
		return r.array(depth + 1)
	case '{':
		return r.object(depth + 1)
	case 't':
		return ofBool(true), r.word("true")
	case 'f':
		return ofBool(false), r.word("false")
	case 'n':
		return value{kind: null}, r.word("null")
	}
	return r.number()
}

func (r *literalReader) word(w string) bool {
	ok := strings.HasPrefix(r.s[r.i:], w)
	r.i += len(w)
	return ok
}

// string reads a JSON string.
func (r *literalReader) string() ([]byte, bool) {
	start := r.i + 1
	for i := start; i < len(r.s); i++ {
		switch c := r.s[i]; {
		case c == '"':
			r.i = i + 1
			return []byte(validText(string(tape.Unescape(nil, []byte(r.s[start:i]))))), true
		case c < ' ':
			return nil, false
		case c == '\\':
			n := tape.EscapeLen([]byte(r.s[i:min(i+unicodeEscapeLen, len(r.s))]), 0)
			if n == 0 {
				return nil, false
			}
			i += n - 1
		}
	}
	return nil, false
}

// text reads a string; one that looks like a date is a date.
func (r *literalReader) text() (value, bool) {
	b, ok := r.string()
	if !ok {
		return value{}, false
	}
	if in, isDate := dotnet.DateToken(b); isDate {
		return value{kind: date, number: int64(in.Ticks), zone: in.Zone}, true
	}
	return valueAt(text, inExpression, r.p.addText(b)), true
}

// array reads an array; its elements get a place when all are read.
func (r *literalReader) array(depth int) (value, bool) {
	r.i++
	var parts []value
	if r.blank() == ']' {
		r.i++
		return r.keep(array, parts), true
	}
	for {
		v, ok := r.value(depth)
		if !ok {
			return v, false
		}
		parts = append(parts, v)
		c := r.blank()
		r.i++
		if c == ']' {
			return r.keep(array, parts), true
		}
		if c != ',' {
			return v, false
		}
	}
}

// object reads an object. Of members with one name the last value stands, at
// the place of the first.
func (r *literalReader) object(depth int) (value, bool) {
	r.i++
	var parts []value
	places := map[string]int{}
	if r.blank() == '}' {
		r.i++
		return r.keep(object, parts), true
	}
	for {
		if r.blank() != '"' {
			return value{}, false
		}
		name, ok := r.string()
		if !ok || r.blank() != ':' {
			return value{}, false
		}
		r.i++
		v, ok := r.value(depth)
		if !ok {
			return v, false
		}
		if at, again := places[string(name)]; again {
			parts[at] = v
		} else {
			parts = append(parts, valueAt(text, inExpression, r.p.addText(name)), v)
			places[string(name)] = len(parts) - 1
		}
		c := r.blank()
		r.i++
		if c == '}' {
			return r.keep(object, parts), true
		}
		if c != ',' {
			return v, false
		}
	}
}

// keep gives the parts of an array or object their place.
func (r *literalReader) keep(k kind, parts []value) value {
	x := r.p.x
	at := len(x.fixed)
	x.fixed = append(x.fixed, parts...)
	return valueIn(k, inExpression, at, len(x.fixed))
}

// number reads a number.
func (r *literalReader) number() (value, bool) {
	start := r.i
	if r.i < len(r.s) && r.s[r.i] == '-' {
		r.i++
	}
	zero := r.i < len(r.s) && r.s[r.i] == '0'
	if zero {
		r.i++
	} else if r.digits() == 0 {
		return value{}, false
	}
	isFloat := r.i < len(r.s) && r.s[r.i] == '.'
	if isFloat {
		r.i++
		r.digits()
	}
	if r.i < len(r.s) && r.s[r.i]|0x20 == 'e' && (isFloat || !zero) {
		isFloat = true
		if r.i++; r.i < len(r.s) && (r.s[r.i] == '+' || r.s[r.i] == '-') {
			r.i++
		}
		if r.digits() == 0 {
			return value{}, false
		}
	}
	b := []byte(r.s[start:r.i])
	if isFloat {
		return ofFloat(dotnet.ParseFloat(b)), true
	}
	if n, ok := parseInt(b); ok {
		return ofInt(n), true
	}
	return valueAt(bigInteger, inExpression, r.p.addText(b)), true
}

// digits skips digits and counts them.
func (r *literalReader) digits() int {
	start := r.i
	for r.i < len(r.s) && isDigit(r.s[r.i]) {
		r.i++
	}
	return r.i - start
}
