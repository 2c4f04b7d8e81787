package jmespath

import "auscult/mapping/internal/tape"

var typeFunctions = []function{
	{name: "not_null", least: 1, more: true, run: notNull},
	{name: "to_number", least: 1, scalar: true, run: toNumber},
	{name: "to_string", least: 1, scalar: true, needs: tape.KeepAll, run: toString},
	{name: "type", least: 1, scalar: true, run: typeOf},
}

// notNull returns the first argument that is not null.
func notNull(e *Evaluator, c call) (value, error) {
	for i, v := range c.values {
		if v.kind == reference {
			return value{}, c.wrong(i, "a value")
		}
	}
	for _, v := range c.values {
		if !v.isNull() {
			return v, nil
		}
	}
	return value{}, nil
}

// toNumber reads a text as a number; what is none gives nothing.
func toNumber(e *Evaluator, c call) (value, error) {
	switch v := c.values[0]; {
	case v.kind == reference:
		return value{}, c.wrong(0, "a value")
	case v.isNumber():
		return v, nil
	case v.kind == text:
		number, _ := parseNumber(e.textOf(v), false)
		return number, nil
	}
	return value{}, nil
}

// toString gives JSON for what is no text.
func toString(e *Evaluator, c call) (value, error) {
	v := c.values[0]
	if v.kind == reference {
		return value{}, c.wrong(0, "a value")
	}
	if v.isText() {
		return v, nil
	}
	e.text = e.text[:0]
	e.writeJSON(v)
	return e.written(), nil
}

func typeOf(e *Evaluator, c call) (value, error) {
	if c.values[0].kind == reference {
		return value{}, c.wrong(0, "a value")
	}
	return valueAt(text, inTypeTexts, uint32(c.values[0].kind)), nil
}
