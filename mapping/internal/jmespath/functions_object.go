package jmespath

import "auscult/mapping/internal/tape"

var objectFunctions = []function{
	{name: "keys", least: 1, needs: tape.KeepAll, run: keys},
	{name: "merge", least: 1, more: true, needs: tape.KeepAll, run: mergeObjects},
	{name: "values", least: 1, needs: tape.KeepAll, run: values},
}

// keys returns the names of an object in their order in the message.
func keys(e *Evaluator, c call) (value, error) {
	v := c.values[0]
	if v.kind != object {
		return value{}, c.wrong(0, "an object")
	}
	base := len(e.stack)
	it := e.members(v)
	for {
		name, _, ok := it.next()
		if !ok {
			return e.gather(base, array), nil
		}
		e.push(name)
	}
}

func values(e *Evaluator, c call) (value, error) {
	if c.values[0].kind != object {
		return value{}, c.wrong(0, "an object")
	}
	return e.memberValues(c.values[0], array), nil
}

// mergeObjects merges all arguments, later ones into earlier ones.
func mergeObjects(e *Evaluator, c call) (value, error) {
	for i, v := range c.values {
		if v.kind != object && (i == 0 || v.kind != reference) {
			return value{}, c.wrong(i, "an object")
		}
	}
	merged := c.values[0]
	for _, v := range c.values[1:] {
		if v.kind == object {
			merged = e.mergeTwo(merged, v)
		}
	}
	return merged, nil
}

// mergeTwo merges object b into object a as Json.NET does: names of a come
// first.
func (e *Evaluator) mergeTwo(a, b value) value {
	base := len(e.stack)
	for it := e.members(a); ; {
		name, x, ok := it.next()
		if !ok {
			break
		}
		y := e.lookup(b, alias(e.textOf(name)))
		x = e.mergeValues(x, y)
		e.push(name)
		e.push(x)
	}
	for it := e.members(b); ; {
		name, y, ok := it.next()
		if !ok {
			break
		}
		if e.lookup(a, alias(e.textOf(name))).kind == missing {
			e.push(name)
			e.push(y)
		}
	}
	return e.gather(base, object)
}

// mergeValues merges two values of one name: objects member by member, arrays
// one behind the other; else the later one stands, unless it is null.
func (e *Evaluator) mergeValues(a, b value) value {
	switch {
	case a.kind == object && b.kind == object:
		return e.mergeTwo(a, b)
	case a.kind == array && b.kind == array:
		base := len(e.stack)
		for _, list := range [...]value{a, b} {
			it := e.elements(list)
			for item, ok := it.element(); ok; item, ok = it.element() {
				e.push(item)
			}
		}
		return e.gather(base, array)
	case b.isNull():
		return a
	}
	return b
}
