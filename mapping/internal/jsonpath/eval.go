package jsonpath

import (
	"errors"

	"auscult/mapping/internal/tape"
)

// Errors of evaluation; those of comparisons name the operator.
var (
	errNegative = errors.New("a negative index in a path fails on every array: use a slice, such as [-1:], to count from the end")
	errStep     = errors.New("a slice in a path cannot step by 0")
)

// Evaluator evaluates paths over one tape. It is used by one goroutine at a
// time and allocates nothing once it has grown to the size of its messages.
type Evaluator struct {
	t        *tape.Tape
	err      error
	right    []uint32 // what right sides of comparisons under way select: a stack
	elements []uint32 // of arrays that slices under way go through: a stack
	patterns map[string]*regex
	machine  machine
}

// NewEvaluator returns an evaluator over t, whatever message that holds.
func NewEvaluator(t *tape.Tape) *Evaluator {
	return &Evaluator{t: t, patterns: map[string]*regex{}}
}

// run is one evaluation of a path. Results go to out; without out the first is
// enough, unless the path is the left side of a comparison.
type run struct {
	steps []Step
	root  uint32 // $
	out   *[]uint32
	found bool

	compare *Filter // of which steps is the left side
	current uint32  // @ of that filter
	right   [2]int  // its right side's results, on the stack
	asked   bool    // right is known
}

// Select appends what the path selects, in the order of SelectTokens. After an
// error it returns what was selected before it. A property is its node with the
// flag Property; root may be one too.
func (e *Evaluator) Select(p *Path, root uint32, dst []uint32) ([]uint32, error) {
	e.err, e.right, e.elements = nil, e.right[:0], e.elements[:0]
	r := run{steps: p.Steps, root: root, out: &dst}
	e.evaluate(&r, root)
	return dst, e.err
}

// evaluate runs r from node n.
func (e *Evaluator) evaluate(r *run, n uint32) {
	if failsAlways(r.steps) {
		e.fail(errStep)
		return
	}
	e.step(r, 0, n)
}

func (e *Evaluator) fail(err error) bool {
	if e.err == nil {
		e.err = err
	}
	return false
}

func (e *Evaluator) spend(n int) bool {
	return e.t.Spend(n) || e.fail(tape.ErrSteps)
}

// step takes node n to step k and what that selects to the steps behind it. All
// methods that do return false to stop: after an error, or when enough is found.
func (e *Evaluator) step(r *run, k int, n uint32) bool {
	if k == len(r.steps) {
		return e.result(r, n)
	}
	if !e.spend(1) {
		return false
	}
	s := &r.steps[k]
	switch {
	case s.Kind == Root:
		return e.step(r, k+1, r.root)
	case s.Scan:
		return e.scan(r, k, n)
	case s.Kind == Where:
		return e.where(r, k, n)
	case n&Property != 0:
		return true
	case e.t.Nodes[n].Kind == tape.Object:
		return e.fromObject(r, k, n)
	case e.t.Nodes[n].Kind == tape.Array:
		return e.fromArray(r, k, n)
	}
	return true
}

// result takes a result of the whole path.
func (e *Evaluator) result(r *run, n uint32) bool {
	switch {
	case r.compare != nil:
		side := len(e.t.Side)
		var left value
		left.load(e.t, n)
		r.found = e.anyRight(r, &left)
		e.t.Side = e.t.Side[:side]
		return !r.found && e.err == nil
	case r.out != nil:
		*r.out = append(*r.out, n)
		return true
	}
	r.found = true
	return false
}

func (e *Evaluator) fromObject(r *run, k int, o uint32) bool {
	s := &r.steps[k]
	switch s.Kind {
	case Name, Names:
		for _, id := range s.ids {
			if v := e.member(o, id); v != tape.None && !e.step(r, k+1, v) {
				return false
			}
		}
	case Wild:
		for i, end := o+1, o+e.t.Nodes[o].Size; i < end; i += e.t.Nodes[i].Size {
			if !e.step(r, k+1, e.t.Resolve(i)) {
				return false
			}
		}
	}
	return e.err == nil
}

// member returns the member id of object o, or None.
func (e *Evaluator) member(o uint32, id tape.NameID) uint32 {
	n := &e.t.Nodes[o]
	if n.Mask&(1<<(id&63)) == 0 {
		return tape.None
	}
	count := 0
	for i, end := o+1, o+n.Size; i < end; i += e.t.Nodes[i].Size {
		count++
		if e.t.Nodes[i].ID == id {
			e.spend(count)
			return e.t.Resolve(i)
		}
	}
	e.spend(count)
	return tape.None
}

func (e *Evaluator) fromArray(r *run, k int, a uint32) bool {
	s := &r.steps[k]
	switch s.Kind {
	case Index:
		return e.index(r, k, a, s.Index)
	case Indexes:
		for _, n := range s.List {
			if !e.index(r, k, a, n) {
				return false
			}
		}
	case Slice:
		return e.slice(r, k, a)
	case Elements:
		for i, end := a+1, a+e.t.Nodes[a].Size; i < end; i += e.t.Nodes[i].Size {
			if !e.step(r, k+1, e.t.Resolve(i)) {
				return false
			}
		}
	}
	return true
}

func (e *Evaluator) index(r *run, k int, a uint32, index int) bool {
	if index < 0 {
		return e.fail(errNegative)
	}
	at := 0
	for i, end := a+1, a+e.t.Nodes[a].Size; i < end; i += e.t.Nodes[i].Size {
		if at == index {
			return e.spend(at) && e.step(r, k+1, e.t.Resolve(i))
		}
		at++
	}
	return e.spend(at)
}

// slice takes the elements of array a that the bounds of step k name. They are
// listed first, because a slice may go backwards.
func (e *Evaluator) slice(r *run, k int, a uint32) bool {
	base := len(e.elements)
	for i, end := a+1, a+e.t.Nodes[a].Size; i < end; i += e.t.Nodes[i].Size {
		e.elements = append(e.elements, e.t.Resolve(i))
	}
	count := len(e.elements) - base
	more := e.spend(count)
	start, stop, step := r.steps[k].Bounds.over(count)
	for i := start; more && (step > 0 && i < stop || step < 0 && i > stop); i += step {
		more = e.step(r, k+1, e.elements[base+i])
	}
	e.elements = e.elements[:base]
	return more
}

// over returns the first index, the one behind the last, and the step of a
// slice of count elements.
func (s *Bounds) over(count int) (start, stop, step int) {
	step = 1
	if s.HasStep {
		step = s.Step
	}
	start, stop = 0, count
	if step < 0 {
		start, stop = count-1, -1
	}
	if s.HasStart {
		if start = s.Start; start < 0 {
			start += count
		}
	}
	if s.HasEnd {
		if stop = s.End; stop < 0 {
			stop += count
		}
	}
	if step > 0 {
		return min(max(start, 0), count), min(max(stop, -1), count), step
	}
	return min(start, count-1), min(max(stop, -1), count), step
}

// where takes what node n holds to the filter of step k: elements of an array,
// properties of an object, the value of a property.
func (e *Evaluator) where(r *run, k int, n uint32) bool {
	if n&Property != 0 {
		return e.candidate(r, k, e.t.Resolve(n&^Property))
	}
	node := &e.t.Nodes[n]
	switch node.Kind {
	case tape.Array:
		for i, end := n+1, n+node.Size; i < end; i += e.t.Nodes[i].Size {
			if !e.candidate(r, k, e.t.Resolve(i)) {
				return false
			}
		}
	case tape.Object:
		if !r.steps[k].reach.properties {
			return true
		}
		for i, end := n+1, n+node.Size; i < end; i += e.t.Nodes[i].Size {
			if !e.candidate(r, k, i|Property) {
				return false
			}
		}
	}
	return true
}

// candidate takes node n to the steps behind k if the filter of step k holds.
func (e *Evaluator) candidate(r *run, k int, n uint32) bool {
	s := &r.steps[k]
	switch {
	case n&Property != 0:
		if !s.reach.properties {
			return true
		}
	case !s.reach.scalars && !e.isContainer(n):
		return e.spend(1)
	}
	if !e.spend(1) {
		return false
	}
	if e.holds(s.Filter, r.root, n) {
		return e.step(r, k+1, n)
	}
	return e.err == nil
}

func (e *Evaluator) isContainer(n uint32) bool {
	k := e.t.Nodes[n].Kind
	return k == tape.Object || k == tape.Array
}

// scan takes node n and everything below it, in document order, to step k.
func (e *Evaluator) scan(r *run, k int, n uint32) bool {
	if !e.token(r, k, n) {
		return false
	}
	if n&Property != 0 {
		n = e.t.Resolve(n &^ Property)
		if !e.token(r, k, n) {
			return false
		}
	}
	return e.below(r, k, n)
}

// below takes what lies below node n to step k, which scans.
func (e *Evaluator) below(r *run, k int, n uint32) bool {
	if !e.isContainer(n) {
		return true
	}
	isObject := e.t.Nodes[n].Kind == tape.Object
	for i, end := n+1, n+e.t.Nodes[n].Size; i < end; i += e.t.Nodes[i].Size {
		if !e.spend(1) || isObject && !e.property(r, k, i) {
			return false
		}
		v := e.t.Resolve(i)
		if !e.token(r, k, v) || !e.below(r, k, v) {
			return false
		}
	}
	return true
}

// token takes a token that a scan meets; names are not asked of tokens.
func (e *Evaluator) token(r *run, k int, n uint32) bool {
	switch r.steps[k].Kind {
	case Wild:
		return e.step(r, k+1, n)
	case Where:
		return e.candidate(r, k, n)
	}
	return true
}

// property takes member i of an object that a scan meets.
func (e *Evaluator) property(r *run, k int, i uint32) bool {
	s := &r.steps[k]
	if s.Kind == Where {
		return e.candidate(r, k, i|Property)
	}
	for _, id := range s.ids {
		if e.t.Nodes[i].ID == id && !e.step(r, k+1, e.t.Resolve(i)) {
			return false
		}
	}
	return true
}
