package jmespath

import "auscult/mapping/internal/tape"

// member answers a name.
func (e *Evaluator) member(n *node, v value) value {
	if v.kind != object {
		return value{}
	}
	if v.place == onTape {
		if i := e.child(v.at(), n.id); i != tape.None {
			return e.load(i)
		}
		return value{}
	}
	return e.lookup(v, n.name)
}

// child finds the member id of object o.
func (e *Evaluator) child(o uint32, id tape.NameID) uint32 {
	n := &e.t.Nodes[o]
	if n.Mask&(1<<(id&63)) == 0 {
		e.spend(1)
		return tape.None
	}
	looked := 1
	found := uint32(tape.None)
	for i, end := o+1, o+n.Size; i < end; i += e.t.Nodes[i].Size {
		if e.t.Nodes[i].ID == id {
			found = i
			break
		}
		looked++
	}
	e.spend(looked)
	return found
}

// lookup finds a member of any object by its name.
func (e *Evaluator) lookup(v value, name string) value {
	for it := e.members(v); ; {
		key, member, ok := it.next()
		if !ok {
			return value{}
		}
		if string(e.textOf(key)) == name {
			return member
		}
	}
}

// parts is an iteration over an array or an object.
type parts struct {
	e       *Evaluator
	place   place
	at, end uint32
}

// elements iterates over an array.
func (e *Evaluator) elements(v value) parts {
	if v.place == onTape {
		return parts{e, onTape, v.at() + 1, v.at() + e.t.Nodes[v.at()].Size}
	}
	return parts{e, v.place, v.at(), v.end()}
}

// members iterates over an object.
func (e *Evaluator) members(v value) parts { return e.elements(v) }

// take returns the part at the iterator and moves on.
func (p *parts) take() value {
	i := p.at
	switch p.place {
	case onTape:
		p.at += p.e.t.Nodes[i].Size
		return p.e.load(i)
	case made:
		p.at++
		return p.e.made[i].element()
	}
	p.at++
	return p.e.x.fixed[i]
}

// done reports whether there is no further part; it is asked once for each.
func (p *parts) done() bool {
	if p.at < p.end {
		p.e.spend(1)
	}
	return p.at >= p.end || p.e.spent
}

// element returns the next element of an array.
func (p *parts) element() (v value, ok bool) {
	if p.done() {
		return v, false
	}
	return p.take(), true
}

// next returns the next member of an object.
func (p *parts) next() (name, v value, ok bool) {
	if p.done() {
		return name, v, false
	}
	if p.place == onTape {
		name = valueAt(text, nameOnTape, p.at)
	} else {
		name = p.take()
	}
	return name, p.take(), true
}

// count returns how many elements an array, or members an object, has.
func (e *Evaluator) count(v value) int {
	if v.place != onTape {
		n := int(v.end() - v.at())
		if v.kind == object {
			n /= 2
		}
		return n
	}
	n := 0
	for i, end := v.at()+1, v.at()+e.t.Nodes[v.at()].Size; i < end; i += e.t.Nodes[i].Size {
		n++
	}
	e.spend(n)
	return n
}

// bracket answers the steps that stand in brackets, and *.
func (e *Evaluator) bracket(n *node, v value) value {
	if n.op == opMembers {
		return e.memberValues(v, projection)
	}
	if v.kind != array {
		return value{}
	}
	switch n.op {
	case opIndex:
		return e.index(v, n.index)
	case opSlice:
		return e.slice(v, &n.slice)
	case opElements:
		return e.wildcard(v)
	}
	return e.flatten(v)
}

// memberValues collects the values of an object.
func (e *Evaluator) memberValues(v value, k kind) value {
	if v.kind != object {
		return value{}
	}
	base := len(e.stack)
	it := e.members(v)
	for {
		_, member, ok := it.next()
		if !ok {
			return e.gather(base, k)
		}
		e.push(member)
	}
}

// index answers [i]; a negative one counts from the end.
func (e *Evaluator) index(v value, i int) value {
	if i < 0 {
		i += e.count(v)
	}
	if i < 0 {
		return value{}
	}
	if v.place != onTape {
		at := int(v.at()) + i
		if at >= int(v.end()) {
			return value{}
		}
		one := parts{e, v.place, uint32(at), v.end()}
		return one.take()
	}
	for k, end := v.at()+1, v.at()+e.t.Nodes[v.at()].Size; k < end; k += e.t.Nodes[k].Size {
		if i == 0 {
			return e.load(k)
		}
		e.spend(1)
		i--
	}
	return value{}
}

// wildcard answers [*], which drops nulls.
func (e *Evaluator) wildcard(v value) value {
	base := len(e.stack)
	it := e.elements(v)
	for {
		item, ok := it.element()
		if !ok {
			return e.gather(base, projection)
		}
		if !item.isNull() {
			e.push(item)
		}
	}
}

// flatten answers []: it lifts the elements of arrays by one level and drops
// nulls.
func (e *Evaluator) flatten(v value) value {
	base := len(e.stack)
	it := e.elements(v)
	for {
		item, ok := it.element()
		if !ok {
			return e.gather(base, projection)
		}
		if item.kind == array {
			e.lift(item)
		} else if !item.isNull() {
			e.push(item)
		}
	}
}

func (e *Evaluator) lift(v value) {
	it := e.elements(v)
	for {
		item, ok := it.element()
		if !ok {
			return
		}
		if !item.isNull() {
			e.push(item)
		}
	}
}

// filter answers [?condition], which keeps nulls that meet the condition.
func (e *Evaluator) filter(n *node, v value) (value, error) {
	if v.kind != array {
		return value{}, nil
	}
	base := len(e.stack)
	it := e.elements(v)
	for {
		item, ok := it.element()
		if !ok {
			return e.gather(base, projection), nil
		}
		keep, err := e.condition(n.left, item)
		if err != nil {
			e.stack = e.stack[:base]
			return value{}, err
		}
		if keep {
			e.push(item)
		}
	}
}

// slice answers [start:stop:step]. A start outside the array is not moved to
// its edge: the steps go on from where it is.
func (e *Evaluator) slice(v value, b *bounds) value {
	length := e.count(v)
	start, stop, step := b.within(length)
	base := len(e.stack)
	if step > 0 {
		e.sliceForward(v, start, min(stop, length), step)
		return e.gather(base, projection)
	}
	// Backwards: the elements are collected from the lowest, then turned round.
	if low := max(stop+1, 0); start >= low {
		e.sliceForward(v, low+(start-low)%-step, min(start+1, length), -step)
	}
	reverse(e.stack[base:])
	return e.gather(base, projection)
}

// sliceForward pushes the elements start, start+step and so on before stop.
func (e *Evaluator) sliceForward(v value, start, stop, step int) {
	if start < 0 {
		start += (-start + step - 1) / step * step
	}
	it := e.elements(v)
	for i := 0; i < stop; i++ {
		item, ok := it.element()
		if !ok {
			return
		}
		if i == start {
			e.push(item)
			start += step
		}
	}
}

// within returns the numbers of a slice of an array that long.
func (b *bounds) within(length int) (start, stop, step int) {
	start, stop, step = 0, length, 1
	if b.hasStep {
		step = b.step
	}
	if step < 0 {
		start, stop = length-1, -1
	}
	if b.hasStart {
		start = fromEnd(b.start, length)
	}
	if b.hasStop {
		stop = fromEnd(b.stop, length)
	}
	return start, stop, step
}

func fromEnd(i, length int) int {
	if i < 0 {
		return length + i
	}
	return i
}

func reverse(v []value) {
	for i, k := 0, len(v)-1; i < k; i, k = i+1, k-1 {
		v[i], v[k] = v[k], v[i]
	}
}
