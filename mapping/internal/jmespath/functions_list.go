package jmespath

import (
	"bytes"

	"auscult/mapping/internal/tape"
)

var listFunctions = []function{
	{name: "contains", least: 2, scalar: true, needs: tape.KeepAll, run: contains},
	{name: "length", least: 1, scalar: true, needs: tape.KeepAll, run: length},
	{name: "map", least: 2, needs: tape.KeepElements, run: mapElements},
	{name: "max_by", least: 2, needs: tape.KeepElements, run: maxBy},
	{name: "min_by", least: 2, needs: tape.KeepElements, run: minBy},
	{name: "reverse", least: 1, needs: tape.KeepElements, run: reverseElements},
	{name: "sort", least: 1, needs: tape.KeepElements, run: sortElements},
	{name: "sort_by", least: 2, needs: tape.KeepElements, run: sortBy},
	{name: "to_array", least: 1, run: toArray},
}

// contains looks for a part of a text or an element of an array. A date contains
// nothing; what is looked for in a text is made a text first.
func contains(e *Evaluator, c call) (value, error) {
	switch v := c.values[0]; v.kind {
	case date:
		return ofBool(false), nil
	case text:
		e.text = e.text[:0]
		if !e.writeScalar(c.values[1]) {
			return value{}, c.wrong(1, "a text, a number or a boolean")
		}
		return ofBool(bytes.Contains(e.textOf(v), e.text)), nil
	case array:
		return ofBool(c.values[1].kind != reference && e.has(v, c.values[1])), nil
	}
	return value{}, c.wrong(0, "an array or a text")
}

// has reports whether an array has an element that is equal to v.
func (e *Evaluator) has(list, v value) bool {
	it := e.elements(list)
	for {
		item, ok := it.element()
		if !ok || e.equal(item, v) {
			return ok
		}
	}
}

// length counts elements, members or UTF-16 code units.
func length(e *Evaluator, c call) (value, error) {
	switch v := c.values[0]; v.kind {
	case text, date:
		return ofInt(int64(unitsOf(e.textOf(v)))), nil
	case array, object:
		return ofInt(int64(e.count(v))), nil
	}
	return value{}, c.wrong(0, "an array, an object or a text")
}

// byElement checks the arguments of a function that takes an array at one place
// and an expression at the other.
func (c call) byElement(list, expression int) error {
	if c.values[list].kind != array {
		return c.wrong(list, "an array")
	}
	if c.values[expression].kind != reference {
		return c.wrong(expression, "an expression (&...)")
	}
	return nil
}

// mapElements answers an expression at every element and keeps all answers.
func mapElements(e *Evaluator, c call) (value, error) {
	if err := c.byElement(1, 0); err != nil {
		return value{}, err
	}
	base := len(e.stack)
	it := e.elements(c.values[1])
	for {
		item, ok := it.element()
		if !ok {
			return e.gather(base, array), nil
		}
		v, err := e.eval(c.args[0].left, item)
		if err != nil {
			return value{}, err
		}
		e.push(v.element())
	}
}

func maxBy(e *Evaluator, c call) (value, error) { return e.extremeBy(c, 1) }

func minBy(e *Evaluator, c call) (value, error) { return e.extremeBy(c, -1) }

// extremeBy returns the element whose number is the greatest, or with direction
// -1 the least; the last one of several. A single element is not looked at.
func (e *Evaluator) extremeBy(c call, direction float64) (value, error) {
	if err := c.byElement(0, 1); err != nil {
		return value{}, err
	}
	it := e.elements(c.values[0])
	best, ok := it.element()
	if !ok {
		return value{}, c.fail("the array is empty")
	}
	known := false
	var most float64
	for {
		item, ok := it.element()
		if !ok {
			return best, nil
		}
		if !known {
			var err error
			if most, err = e.numberBy(c, best); err != nil {
				return value{}, err
			}
			known = true
		}
		f, err := e.numberBy(c, item)
		if err != nil {
			return value{}, err
		}
		if !(most*direction > f*direction) {
			best, most = item, f
		}
	}
}

// numberBy answers the expression at an element as a number.
func (e *Evaluator) numberBy(c call, item value) (float64, error) {
	mark := len(e.made)
	v, err := e.eval(c.args[1].left, item)
	e.made = e.made[:mark]
	switch {
	case err != nil:
		return 0, err
	case v.kind == bigInteger:
		return 0, c.errBig()
	case v.isNumber():
		return e.float(v), nil
	case !v.isText():
		return 0, c.fail("the expression gives %s, it must give numbers or texts", kindNames[v.kind])
	}
	number, ok := parseNumber(e.textOf(v), true)
	if !ok {
		return 0, c.fail("the expression gives a text that is no number")
	}
	return e.float(number), nil
}

func reverseElements(e *Evaluator, c call) (value, error) {
	switch v := c.values[0]; v.kind {
	case text, date:
		return e.reversed(e.textOf(v)), nil
	case array:
		base := len(e.stack)
		it := e.elements(v)
		for {
			item, ok := it.element()
			if !ok {
				reverse(e.stack[base:])
				return e.gather(base, array), nil
			}
			e.push(item)
		}
	}
	return value{}, c.wrong(0, "an array or a text")
}

// toArray makes an array of one element of what is none.
func toArray(e *Evaluator, c call) (value, error) {
	switch v := c.values[0]; v.kind {
	case reference:
		return value{}, c.wrong(0, "a value")
	case array:
		return v, nil
	default:
		base := len(e.stack)
		e.push(v.element())
		return e.gather(base, array), nil
	}
}
