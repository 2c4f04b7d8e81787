package jmespath

import "math"

// keyed is an element with what it is sorted by.
type keyed struct{ key, item value }

// sortElements sorts an array whose elements are of one type. The first one
// tells how: as floats, as integers of 32 bits, or as texts.
func sortElements(e *Evaluator, c call) (value, error) {
	list, err := c.array(0, "an array")
	if err != nil {
		return value{}, err
	}
	base := len(e.keyed)
	var first value
	for it := e.elements(list); ; {
		item, ok := it.element()
		if !ok {
			return e.sorted(base, e.order), nil
		}
		if first.kind == missing {
			first = item
		}
		key, err := e.sortKey(c, first.kind, item)
		if err != nil {
			e.keyed = e.keyed[:base]
			return value{}, err
		}
		e.keyed = append(e.keyed, keyed{key, item})
	}
}

// sortKey returns what sort orders an element by.
func (e *Evaluator) sortKey(c call, first kind, item value) (value, error) {
	switch {
	case typeNames[first] != typeNames[item.kind]:
		return item, c.fail("the array holds %s and %s, the elements must be of one type", kindNames[first], kindNames[item.kind])
	case item.kind >= array:
		return item, c.wrongElement(0, item, "an array of numbers, texts or booleans")
	case item.kind == bigInteger || first == bigInteger:
		return item, c.errBig()
	case first == boolean: // as texts False comes before True
		if e.bool(item) {
			return ofInt(1), nil
		}
		return ofInt(0), nil
	case first == float:
		return ofFloat(e.float(item)), nil
	case first == integer:
		f := math.RoundToEven(e.float(item))
		if !(f >= math.MinInt32 && f <= math.MaxInt32) {
			return item, c.fail("an integer beyond 32 bits cannot be sorted")
		}
		return ofInt(int64(f)), nil
	}
	return e.settled(item), nil
}

// sortBy sorts by what an expression gives: numbers only, or texts only.
func sortBy(e *Evaluator, c call) (value, error) {
	if err := c.byElement(0, 1); err != nil {
		return value{}, err
	}
	base := len(e.keyed)
	err := e.keysBy(c, base)
	if err == nil {
		err = e.comparable(c, base)
	}
	if err != nil {
		e.keyed = e.keyed[:base]
		return value{}, err
	}
	return e.sorted(base, e.orderBy), nil
}

// keysBy answers the expression at every element.
func (e *Evaluator) keysBy(c call, base int) error {
	for it := e.elements(c.values[0]); ; {
		item, ok := it.element()
		if !ok {
			return nil
		}
		mark := len(e.made)
		key, err := e.eval(c.args[1].left, item)
		e.made = e.made[:mark]
		switch {
		case err != nil:
			return err
		case !key.isNumber() && !key.isText():
			return c.fail("the expression gives %s, it must give numbers or texts", kindNames[key.kind])
		case len(e.keyed) > base && e.keyed[base].key.isNumber() != key.isNumber():
			return c.fail("the expression gives numbers and texts, it must give one of them")
		case key.kind == text:
			key = e.settled(key)
		}
		e.keyed = append(e.keyed, keyed{key, item})
	}
}

// comparable refuses keys that Json.NET cannot compare: dates with texts, and
// integers beyond 64 bits with NaN or infinities.
func (e *Evaluator) comparable(c call, base int) error {
	var dates, texts, bigs, wild bool
	for _, k := range e.keyed[base:] {
		dates = dates || k.key.kind == date
		texts = texts || k.key.kind == text
		bigs = bigs || k.key.kind == bigInteger
		if k.key.kind == float {
			f := e.float(k.key)
			wild = wild || math.IsNaN(f) || math.IsInf(f, 0)
		}
	}
	switch {
	case dates && texts:
		return c.fail("the expression gives dates and other texts, which cannot be compared")
	case bigs && wild:
		return c.errBig()
	}
	return nil
}

// orderBy orders two keys of sort_by.
func (e *Evaluator) orderBy(a, b value) int {
	switch a.kind {
	case text:
		return compareUTF16(e.textOf(a), e.textOf(b))
	case date:
		return int(min(max(e.instant(a).Ticks-e.instant(b).Ticks, -1), 1))
	}
	order, _ := e.compareNumbers(a, b)
	return order
}

// sorted sorts what was keyed since base and returns the elements. Equal ones
// keep their order.
func (e *Evaluator) sorted(base int, order func(a, b value) int) value {
	list := e.keyed[base:]
	for len(e.spare) < len(list) {
		e.spare = append(e.spare, keyed{})
	}
	from, to := list, e.spare[:len(list)]
	for width := 1; width < len(list); width *= 2 {
		for i := 0; i < len(list); i += 2 * width {
			middle, end := min(i+width, len(list)), min(i+2*width, len(list))
			merge(to[i:end], from[i:middle], from[middle:end], order)
			e.spend(end - i)
		}
		from, to = to, from
	}
	start := len(e.stack)
	for i := range from {
		e.push(from[i].item)
	}
	e.keyed = e.keyed[:base]
	return e.gather(start, array)
}

// merge fills dst with a and b, both sorted.
func merge(dst, a, b []keyed, order func(a, b value) int) {
	for i := range dst {
		if len(b) == 0 || len(a) > 0 && order(a[0].key, b[0].key) <= 0 {
			dst[i], a = a[0], a[1:]
		} else {
			dst[i], b = b[0], b[1:]
		}
	}
}
