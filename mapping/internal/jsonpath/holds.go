package jsonpath

import (
	"errors"

	"auscult/mapping/internal/tape"
)

// errPattern refuses what a message offers as a regular expression.
var errPattern = errors.New("the filter operator =~ needs a regular expression between slashes, /pattern/, on its right: the path there selects none that can be used")

// Limits on regular expressions that come from messages.
const (
	maxPatterns     = 64
	maxPatternBytes = 1024
	// stepsPerPattern is how many steps compiling one counts as.
	stepsPerPattern = 50_000
)

// holds reports whether the filter holds for node n.
func (e *Evaluator) holds(f *Filter, root, n uint32) bool {
	switch f.Op {
	case OpAnd:
		for _, part := range f.Parts {
			if !e.holds(part, root, n) {
				return false
			}
		}
		return true
	case OpOr:
		for _, part := range f.Parts {
			if e.holds(part, root, n) {
				return true
			}
			if e.err != nil {
				return false
			}
		}
		return false
	case OpExists:
		if !f.Left.IsPath {
			return true
		}
		r := run{steps: f.Left.Path, root: root}
		e.evaluate(&r, n)
		return r.found && e.err == nil
	}
	return e.compares(f, root, n)
}

// compares reports whether any pair of what the sides of a comparison select
// satisfies it. The right side is not looked at while the left one selects
// nothing.
func (e *Evaluator) compares(f *Filter, root, n uint32) bool {
	r := run{steps: f.Left.Path, root: root, compare: f, current: n}
	if f.Left.IsPath {
		e.evaluate(&r, n)
	} else {
		r.found = e.anyRight(&r, &f.Left.value)
	}
	if r.asked {
		e.right = e.right[:r.right[0]]
	}
	return r.found && e.err == nil
}

// anyRight compares left with what the right side selects.
func (e *Evaluator) anyRight(r *run, left *value) bool {
	o := &r.compare.Right
	if !o.IsPath {
		return e.satisfies(r.compare, left, &o.value)
	}
	if !r.asked {
		r.asked, r.right[0] = true, len(e.right)
		all := run{steps: o.Path, root: r.root, out: &e.right}
		e.evaluate(&all, r.current)
		r.right[1] = len(e.right)
	}
	side := len(e.t.Side)
	for i := r.right[0]; i < r.right[1] && e.err == nil; i++ {
		var right value
		right.load(e.t, e.right[i])
		if e.satisfies(r.compare, left, &right) {
			return true
		}
		e.t.Side = e.t.Side[:side]
	}
	return false
}

// bytesPerStep is how many bytes of text count as one step.
const bytesPerStep = 16

// satisfies reports whether one pair of values satisfies a comparison.
func (e *Evaluator) satisfies(f *Filter, l, r *value) bool {
	if !e.spend(1 + (len(l.text)+len(r.text))/bytesPerStep) {
		return false
	}
	if l.kind == tape.Object || r.kind == tape.Object {
		return f.Op == OpNotEqual
	}
	holds, why := false, ""
	switch f.Op {
	case OpEqual, OpStrictEqual:
		holds, why = equal(l, r, f.Op == OpStrictEqual)
	case OpNotEqual, OpStrictNotEqual:
		holds, why = equal(l, r, f.Op == OpStrictNotEqual)
		holds = !holds
	case OpMatch:
		return l.kind == tape.Text && r.kind == tape.Text && e.matches(f, l, r)
	default:
		var c int
		c, why = order(l, r)
		holds = ordered(f.Op, c)
	}
	if why != "" {
		return e.fail(&compareError{f.Op, l.class(), r.class(), why})
	}
	return holds
}

// ordered reports whether op holds for values that compare as c.
func ordered(op Op, c int) bool {
	switch op {
	case OpLess:
		return c < 0
	case OpLessOrEqual:
		return c <= 0
	case OpGreater:
		return c > 0
	}
	return c >= 0
}

// matches is the operator =~ on two texts.
func (e *Evaluator) matches(f *Filter, l, r *value) bool {
	re := f.Right.regex
	if re == nil {
		if re = e.pattern(r.text); re == nil {
			return e.fail(errPattern)
		}
	}
	return e.machine.match(re, l.text, e)
}

// pattern returns the regular expression that a message holds, nil if it is
// none.
func (e *Evaluator) pattern(text []byte) *regex {
	if re := e.patterns[string(text)]; re != nil || len(text) > maxPatternBytes {
		return re
	}
	pattern, flags, ok := splitRegex(string(text))
	if !ok || !e.spend(stepsPerPattern) {
		return nil
	}
	re, fault := compileRegex(pattern, flags)
	if fault != nil {
		return nil
	}
	if len(e.patterns) == maxPatterns {
		clear(e.patterns)
	}
	e.patterns[string(text)] = re
	return re
}
