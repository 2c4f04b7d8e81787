package jmespath

import (
	"auscult/mapping/internal/dotnet"
	"auscult/mapping/internal/tape"
)

// Result is what an expression selects.
type Result struct {
	Node uint32 // its node
	OK   bool   // false when there is nothing; a null that was found is a Null node
	// Projection tells that Node is an array which the expression has collected:
	// a match is each of its elements, and a value may not be more than one.
	Projection bool
}

// Evaluator answers expressions over one tape. It is reused; results stay valid
// until the next message.
type Evaluator struct {
	t *tape.Tape
	x *Expr

	made  []value  // parts of arrays and objects that were made for this search
	stack []value  // parts that are being collected, arguments
	nodes []uint32 // parts of results
	keyed []keyed
	spare []keyed
	text  []byte // a text that is being made
	name  []byte
	spent bool // the message's budget is used up
}

// What an evaluator keeps room for: one huge message must not hold its memory
// for ever.
const (
	keepValues = 1 << 16
	keepText   = 1 << 20
)

// What is made costs of a message's budget, which so bounds memory too.
const (
	costOfValue = 2
	costOfNode  = 4
)

// NewEvaluator returns an evaluator over t.
func NewEvaluator(t *tape.Tape) *Evaluator { return &Evaluator{t: t} }

// Search answers x at node root.
func (e *Evaluator) Search(x *Expr, root uint32) (Result, error) {
	e.begin(x)
	v, err := e.eval(x.root, e.load(root))
	if e.spent {
		return Result{}, tape.ErrSteps
	}
	if err != nil || v.kind == missing {
		return Result{}, err
	}
	r := Result{Node: e.toNode(v), OK: true, Projection: v.kind == projection}
	if e.spent {
		return Result{}, tape.ErrSteps
	}
	return r, nil
}

func (e *Evaluator) begin(x *Expr) {
	if cap(e.made) > keepValues || cap(e.stack) > keepValues || cap(e.text) > keepText || cap(e.keyed) > keepValues {
		e.made, e.stack, e.nodes, e.keyed, e.spare, e.text = nil, nil, nil, nil, nil, nil
	}
	e.x, e.spent = x, false
	e.made, e.stack, e.nodes, e.keyed = e.made[:0], e.stack[:0], e.nodes[:0], e.keyed[:0]
}

// spend takes steps from the message's budget. When it is used up, iterations
// end and Search tells so.
func (e *Evaluator) spend(steps int) {
	if !e.t.Spend(steps) {
		e.spent = true
	}
}

// load returns the value of a node.
func (e *Evaluator) load(i uint32) value {
	i = e.t.Resolve(i)
	n := &e.t.Nodes[i]
	k := kindsOfNodes[n.Kind]
	switch n.Kind {
	case tape.String:
		if n.Flags&tape.FlagEscaped != 0 || dotnet.LooksLikeDate(e.t.Raw(n)) {
			if _, ok := e.t.DateOf(n); ok {
				k = date
			}
		}
	case tape.Int:
		if n.End-n.Start >= maxShortDigits {
			if _, ok := parseInt(e.t.Raw(n)); !ok {
				k = bigInteger
			}
		}
	}
	return valueAt(k, onTape, i)
}

// bool returns a boolean.
func (e *Evaluator) bool(v value) bool {
	if v.place == onTape {
		return e.t.Nodes[v.at()].Kind == tape.True
	}
	return v.number != 0
}

// maxShortDigits is how long the text of an integer must be to leave 64 bits.
const maxShortDigits = 19

var kindsOfNodes = [...]kind{
	tape.Object: object, tape.Array: array, tape.String: text, tape.Text: text, tape.Date: date,
	tape.Int: integer, tape.Float: float, tape.True: boolean, tape.False: boolean, tape.Null: null,
}

// eval answers n at one token.
func (e *Evaluator) eval(n *node, at value) (value, error) {
	switch n.op {
	case opName:
		return e.member(n, at), nil
	case opChain:
		return e.chain(n, at)
	case opCall:
		return e.call(n, at)
	case opLiteral:
		return n.literal, nil
	case opCurrent:
		return at, nil
	case opEqual, opNotEqual, opGreater, opGreaterEqual, opLess, opLessEqual:
		return e.comparison(n, at)
	case opFilter:
		return e.filter(n, at)
	case opList, opHash:
		return e.collect(n, at)
	case opNot, opAnd, opOr:
		return e.logic(n, at)
	case opPipe:
		v, err := e.eval(n.left, at)
		if err != nil {
			return v, err
		}
		return e.eval(n.right, v.token())
	}
	return e.bracket(n, at), nil
}

// chain answers the steps one after the other; one that leads nowhere ends it.
func (e *Evaluator) chain(n *node, at value) (value, error) {
	mark := len(e.made)
	v, err := e.eval(n.args[0], at)
	for _, step := range n.args[1:] {
		if err != nil || v.isNull() {
			break
		}
		v, err = e.through(step, v)
	}
	return e.release(mark, v), err
}

// release drops what was made since mark when v does not need it.
func (e *Evaluator) release(mark int, v value) value {
	if v.place != made {
		e.made = e.made[:mark]
	}
	return v
}

// through answers a step at a value. It goes through a projection element by
// element and drops what leads nowhere, but keeps nulls that were found.
func (e *Evaluator) through(n *node, v value) (value, error) {
	if v.kind != projection || n.op == opFlatten {
		return e.eval(n, v.token())
	}
	base := len(e.stack)
	for i := v.at(); i < v.end() && !e.spent; i++ {
		r, err := e.through(n, e.made[i])
		if err != nil {
			e.stack = e.stack[:base]
			return value{}, err
		}
		if r.kind != missing {
			e.push(r)
		}
	}
	return e.gather(base, projection), nil
}

// push adds a part to what is being collected.
func (e *Evaluator) push(v value) {
	e.spend(costOfValue)
	e.stack = append(e.stack, v)
}

// gather makes an array, an object or a projection of what was pushed since the
// stack had the length base.
func (e *Evaluator) gather(base int, k kind) value {
	at := len(e.made)
	e.made = append(e.made, e.stack[base:]...)
	e.stack = e.stack[:base]
	return valueIn(k, made, at, len(e.made))
}

// logic answers !, && and ||, whose result is one of the operands.
func (e *Evaluator) logic(n *node, at value) (value, error) {
	left, err := e.eval(n.left, at)
	if err != nil {
		return left, err
	}
	isTrue := e.truth(left)
	switch {
	case n.op == opNot:
		return ofBool(!isTrue), nil
	case isTrue == (n.op == opAnd):
		return e.eval(n.right, at)
	}
	return left, nil
}

// condition answers n as a condition and keeps nothing of the way there.
func (e *Evaluator) condition(n *node, at value) (bool, error) {
	mark := len(e.made)
	v, err := e.eval(n, at)
	ok := err == nil && e.truth(v)
	e.made = e.made[:mark]
	return ok, err
}

// truth reports whether v counts as true: everything but null, false and what
// is empty.
func (e *Evaluator) truth(v value) bool {
	switch v.kind {
	case missing, null:
		return false
	case boolean:
		return e.bool(v)
	case text:
		return len(e.textOf(v)) > 0
	case array, object, projection:
		return !e.isEmpty(v)
	}
	return true
}

// isEmpty reports whether an array or object has no parts. One of the message
// may have parts that nobody wanted on the tape; its text tells.
func (e *Evaluator) isEmpty(v value) bool {
	if v.place != onTape {
		return v.at() == v.end()
	}
	n := &e.t.Nodes[v.at()]
	if n.Size > 1 {
		return false
	}
	raw := e.t.Raw(n)
	for i := 1; i < len(raw)-1; i++ {
		if raw[i] > ' ' {
			return false
		}
	}
	return true
}

// collect answers [a, b] and {name: a}.
func (e *Evaluator) collect(n *node, at value) (value, error) {
	base := len(e.stack)
	for i, arg := range n.args {
		v, err := e.eval(arg, at)
		if err != nil {
			e.stack = e.stack[:base]
			return v, err
		}
		if n.op == opHash {
			e.push(valueAt(text, inExpression, n.keys[i].text))
		}
		e.push(v.element())
	}
	if n.op == opHash {
		return e.gather(base, object), nil
	}
	return e.gather(base, array), nil
}

// comparison answers the comparisons. What cannot be ordered gives nothing.
func (e *Evaluator) comparison(n *node, at value) (value, error) {
	mark := len(e.made)
	left, err := e.eval(n.left, at)
	if err != nil {
		return left, err
	}
	right, err := e.eval(n.right, at)
	if err != nil {
		return right, err
	}
	v, err := e.compare(n.op, left.token(), right.token())
	e.made = e.made[:mark]
	return v, err
}
