package jmespath

import (
	"bytes"
	"math"
	"strconv"
	"unicode/utf8"

	"auscult/mapping/internal/dotnet"
	"auscult/mapping/internal/tape"
)

// How many bytes of a text cost one step.
const (
	costOfText = 4  // to make
	costOfLook = 64 // to look at
)

// textOf returns the text of a text or date. A date reads as the connector
// writes it, MM/dd/yyyy HH:mm:ss.
func (e *Evaluator) textOf(v value) []byte {
	switch {
	case v.kind == date:
		start := len(e.t.Side)
		e.t.Side = dotnet.AppendDateText(e.t.Side, e.instant(v).Ticks)
		return e.t.Side[start:]
	case v.place == onTape:
		n := &e.t.Nodes[v.at()]
		if n.Flags&tape.FlagEscaped != 0 {
			e.spend(int(n.End-n.Start) / costOfText)
		}
		e.spend(int(n.End-n.Start) / costOfLook)
		return e.t.Decoded(n)
	case v.place == nameOnTape:
		n := &e.t.Nodes[v.at()]
		if n.Flags&tape.FlagNameEscaped == 0 {
			return e.t.NameOf(n, nil)
		}
		start := len(e.t.Side)
		e.t.Side = append(e.t.Side, e.t.NameOf(n, &e.name)...)
		return e.t.Side[start:]
	case v.place == inSide:
		return e.t.Side[v.at():v.end()]
	case v.place == inTypeTexts:
		return typeTexts[v.at()]
	}
	return e.x.texts[v.at()]
}

// settled returns a text that costs nothing to look at again: decoded, and a
// date as its text.
func (e *Evaluator) settled(v value) value {
	isName := v.place == nameOnTape && e.t.Nodes[v.at()].Flags&tape.FlagNameEscaped != 0
	isString := v.place == onTape && e.t.Nodes[v.at()].Flags&tape.FlagEscaped != 0
	if v.kind != date && !isName && !isString {
		return v
	}
	b := e.textOf(v)
	end := len(e.t.Side)
	return valueIn(text, inSide, end-len(b), end)
}

// write appends to the text that is being made.
func (e *Evaluator) write(b []byte) {
	e.spend(1 + len(b)/costOfText)
	if !e.spent {
		e.text = append(e.text, b...)
	}
}

// written returns the text that was made.
func (e *Evaluator) written() value {
	start := len(e.t.Side)
	e.t.Side = append(e.t.Side, e.text...)
	return valueIn(text, inSide, start, len(e.t.Side))
}

// writeScalar writes what .NET's conversion to a string gives; ok is false when
// there is none.
func (e *Evaluator) writeScalar(v value) (ok bool) {
	switch v.kind {
	case text, date:
		e.write(e.textOf(v))
	case integer:
		e.text = strconv.AppendInt(e.text, e.int(v), 10)
	case float:
		e.text = dotnet.AppendFloat(e.text, e.float(v))
	case boolean:
		e.text = append(e.text, booleanText(e.bool(v))...)
	default:
		return false
	}
	return true
}

// booleanText is how .NET writes a boolean.
func booleanText(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

// writeJSON writes a token as Json.NET does without indentation.
func (e *Evaluator) writeJSON(v value) {
	switch v.kind {
	case array, projection:
		e.writeArray(v)
	case object:
		e.writeObject(v)
	case text:
		e.writeQuoted(e.textOf(v))
	case date:
		e.text = append(e.text, '"')
		e.text = append(dotnet.AppendDateISO(e.text, e.instant(v)), '"')
	case integer:
		e.text = strconv.AppendInt(e.text, e.int(v), 10)
	case bigInteger:
		e.write(e.digits(v))
	case float:
		e.writeFloat(e.float(v))
	case boolean:
		e.text = strconv.AppendBool(e.text, e.bool(v))
	default:
		e.text = append(e.text, "null"...)
	}
}

// writeFloat writes a float with a point or an exponent; what JSON cannot
// express becomes a string.
func (e *Evaluator) writeFloat(f float64) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		e.text = append(dotnet.AppendFloat(append(e.text, '"'), f), '"')
		return
	}
	start := len(e.text)
	e.text = dotnet.AppendFloat(e.text, f)
	if !bytes.ContainsAny(e.text[start:], ".E") {
		e.text = append(e.text, ".0"...)
	}
}

func (e *Evaluator) writeArray(v value) {
	e.text = append(e.text, '[')
	it := e.elements(v)
	for first := true; ; first = false {
		item, ok := it.element()
		if !ok {
			break
		}
		if !first {
			e.text = append(e.text, ',')
		}
		e.writeJSON(item)
	}
	e.text = append(e.text, ']')
}

func (e *Evaluator) writeObject(v value) {
	e.text = append(e.text, '{')
	it := e.members(v)
	for first := true; ; first = false {
		name, item, ok := it.next()
		if !ok {
			break
		}
		if !first {
			e.text = append(e.text, ',')
		}
		e.writeQuoted(e.textOf(name))
		e.text = append(e.text, ':')
		e.writeJSON(item)
	}
	e.text = append(e.text, '}')
}

// writeQuoted writes a JSON string with the escapes that Json.NET uses.
func (e *Evaluator) writeQuoted(b []byte) {
	e.spend(1 + len(b)/costOfText)
	if e.spent {
		return
	}
	e.text = append(e.text, '"')
	start := 0
	for i := 0; i < len(b); {
		c := b[i]
		size := 1
		if c >= utf8.RuneSelf {
			var r rune
			r, size = utf8.DecodeRune(b[i:])
			if r != 0x85 && r != 0x2028 && r != 0x2029 {
				i += size
				continue
			}
			e.text = appendUnicodeEscape(append(e.text, b[start:i]...), r)
		} else if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		} else {
			e.text = appendEscape(append(e.text, b[start:i]...), c)
		}
		i += size
		start = i
	}
	e.text = append(append(e.text, b[start:]...), '"')
}

// appendEscape appends the escape of an ASCII character.
func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	return appendUnicodeEscape(dst, rune(c))
}

func appendUnicodeEscape(dst []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
