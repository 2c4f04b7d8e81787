package jmespath

import (
	"bytes"
	"math"
	"unicode/utf8"

	"auscult/mapping/internal/dotnet"
	"auscult/mapping/internal/tape"
	"auscult/schemas"
)

var textFunctions = []function{
	{name: "ends_with", least: 2, scalar: true, run: endsWith},
	{name: "fromUnixTimestamp", least: 1, scalar: true, run: fromUnixTimestamp},
	{name: "fromUnixTimestampMs", least: 1, scalar: true, run: fromUnixTimestampMs},
	{name: "insertString", least: 3, scalar: true, run: insertString},
	{name: "join", least: 2, scalar: true, needs: tape.KeepElements, run: join},
	{name: "starts_with", least: 2, scalar: true, run: startsWith},
}

// texts returns both arguments, which must be texts.
func (e *Evaluator) texts(c call) (s, part []byte, err error) {
	for i, v := range c.values {
		if !v.isText() {
			return nil, nil, c.wrong(i, "a text")
		}
	}
	return e.textOf(c.values[0]), e.textOf(c.values[1]), nil
}

func startsWith(e *Evaluator, c call) (value, error) {
	s, prefix, err := e.texts(c)
	return ofBool(bytes.HasPrefix(s, prefix)), err
}

func endsWith(e *Evaluator, c call) (value, error) {
	s, suffix, err := e.texts(c)
	return ofBool(bytes.HasSuffix(s, suffix)), err
}

func join(e *Evaluator, c call) (value, error) {
	const wanted = "an array of texts"
	if !c.values[0].isText() {
		return value{}, c.wrong(0, "a text")
	}
	list, err := c.array(1, wanted)
	if err != nil {
		return value{}, err
	}
	separator := e.textOf(c.values[0])
	e.text = e.text[:0]
	it := e.elements(list)
	for first := true; ; first = false {
		v, ok := it.element()
		if !ok {
			return e.written(), nil
		}
		if !v.isText() {
			return value{}, c.wrongElement(1, v, wanted)
		}
		if !first {
			e.write(separator)
		}
		e.write(e.textOf(v))
	}
}

// insertString counts UTF-16 code units. A date is no text here.
func insertString(e *Evaluator, c call) (value, error) {
	for i, v := range c.values[:2] {
		if v.kind != text {
			return value{}, c.wrong(i, "a text")
		}
	}
	switch v := c.values[2]; {
	case v.kind == bigInteger:
		return value{}, c.errBig()
	case v.kind != integer:
		return value{}, c.wrong(2, "an integer")
	}
	s, part, at := e.textOf(c.values[0]), e.textOf(c.values[1]), e.int(c.values[2])
	if units := unitsOf(s); at < 0 || at > min(int64(units), math.MaxInt32) {
		return value{}, c.fail("argument 3 is %d, but the text has %d characters", at, units)
	}
	if len(part) == 0 {
		return c.values[0], nil
	}
	before, after, split := cutUnits(s, int(at))
	e.text = e.text[:0]
	e.write(before)
	if split {
		e.write(replacement)
	}
	e.write(part)
	if split {
		e.write(replacement)
	}
	e.write(after)
	return e.written(), nil
}

// replacement stands for half of a surrogate pair, which no text can hold.
var replacement = []byte(string(utf8.RuneError))

// cutUnits cuts a text behind so many UTF-16 code units. split tells that this
// falls within a surrogate pair, which then is in neither part.
func cutUnits(s []byte, units int) (before, after []byte, split bool) {
	i := 0
	for units > 0 {
		_, size := utf8.DecodeRune(s[i:])
		if units -= 1 + size/4; units < 0 {
			return s[:i], s[i+size:], true
		}
		i += size
	}
	return s[:i], s[i:], false
}

// reversed reverses the UTF-16 code units of a text, which tears surrogate pairs
// apart.
func (e *Evaluator) reversed(s []byte) value {
	e.text = e.text[:0]
	for len(s) > 0 {
		_, size := utf8.DecodeLastRune(s)
		last := s[len(s)-size:]
		s = s[:len(s)-size]
		if size == 4 {
			e.write(replacement)
			last = replacement
		}
		e.text = append(e.text, last...)
	}
	e.spend(1 + len(e.text)/costOfText)
	return e.written()
}

func fromUnixTimestampMs(e *Evaluator, c call) (value, error) { return e.unixTime(c, 1) }

func fromUnixTimestamp(e *Evaluator, c call) (value, error) { return e.unixTime(c, 1000) }

// unixTime makes a date of so many units of so many milliseconds since 1970.
func (e *Evaluator) unixTime(c call, unit int64) (value, error) {
	switch v := c.values[0]; {
	case v.kind == bigInteger:
		return value{}, c.errBig()
	case v.kind != integer:
		return value{}, c.wrong(0, "an integer")
	}
	n := e.int(c.values[0])
	var ticks schemas.Ticks
	ok := n <= math.MaxInt64/unit && n >= math.MinInt64/unit
	if ok {
		ticks, ok = dotnet.TicksOfUnixMilli(n * unit)
	}
	if !ok {
		return value{}, c.fail("%d is beyond the years 1 to 9999", n)
	}
	return value{kind: date, number: int64(ticks), zone: dotnet.ZoneUTC}, nil
}
