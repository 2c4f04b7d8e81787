package mapping

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"auscult/mapping/internal/jsonpath"
	"auscult/mapping/internal/tape"
)

// maxCompared is how many expressions of a template, or conditions of a filter,
// are compared with each other.
const maxCompared = 100

// filtersOnObjects finds filters whose start is certainly an object.
func (l *linter) filtersOnObjects(d *draft) {
	for _, s := range d.all() {
		if s.path == nil || s != d.match && !d.d.whole {
			continue
		}
		for i := range s.path.Steps {
			step := &s.path.Steps[i]
			if step.Kind != jsonpath.Where || step.Scan || !d.object(s.path.Steps[:i]) || !testsMembers(step.Filter) {
				continue
			}
			name, _ := firstName(relative(leaf(step.Filter)))
			l.addIn(s, step.At, fmt.Sprintf("this filter tests the properties of an object one by one, and none of them has a member %s: it never holds", name),
				"write "+s.text[:step.At]+".."+strings.TrimPrefix(s.text[step.At:], "."))
		}
	}
}

// object reports whether steps from the root certainly lead to an object: to the
// message itself, to its properties, or to where a required path goes on with a
// name.
func (d *draft) object(steps []jsonpath.Step) bool {
	name, ok := firstName(steps)
	switch {
	case len(steps) == 0:
		return true
	case ok && len(steps) == 1 && name != "Body" && slices.Contains(envelope, name):
		return true
	case !d.d.whole:
		return false
	}
	for _, s := range d.sources[:min(len(d.sources), maxCompared)] {
		if s.path == nil || s.optional || len(s.path.Steps) <= len(steps) {
			continue
		}
		last := &s.path.Steps[len(steps)]
		if last.Kind == jsonpath.Name && !last.Scan && sameSteps(s.path.Steps[:len(steps)], steps) {
			return true
		}
	}
	return false
}

// sameSteps compares steps that are names or indices; others are never the same.
func sameSteps(a, b []jsonpath.Step) bool {
	return slices.EqualFunc(a, b, func(x, y jsonpath.Step) bool {
		return (x.Kind == jsonpath.Name || x.Kind == jsonpath.Index) && !x.Scan && !y.Scan &&
			x.Kind == y.Kind && x.Name == y.Name && x.Index == y.Index
	})
}

// testsMembers reports whether a filter can hold only for a token with members.
func testsMembers(f *jsonpath.Filter) bool {
	switch f.Op {
	case jsonpath.OpAnd:
		return slices.ContainsFunc(f.Parts, testsMembers)
	case jsonpath.OpOr:
		return !slices.ContainsFunc(f.Parts, func(p *jsonpath.Filter) bool { return !testsMembers(p) })
	}
	_, ok := firstName(relative(f))
	return ok
}

// leaf returns the first condition of a filter that tests members.
func leaf(f *jsonpath.Filter) *jsonpath.Filter {
	for _, p := range f.Parts {
		if testsMembers(p) {
			return leaf(p)
		}
	}
	return f
}

// contradictions finds filters that never hold.
func (l *linter) contradictions(d *draft) {
	for _, s := range d.all() {
		if s.path == nil {
			continue
		}
		for i := range s.path.Steps {
			if f := s.path.Steps[i].Filter; f != nil {
				l.contradiction(s, f)
			}
		}
	}
}

// contradiction reports the condition that makes a filter fail, unless another
// way is left to satisfy it.
func (l *linter) contradiction(s *source, f *jsonpath.Filter) {
	if at, message := never(f); message != "" {
		l.addIn(s, at, message+": the filter never holds", "correct or remove one of the conditions, or join them with ||")
	}
}

// never says why a filter cannot hold, and where.
func never(f *jsonpath.Filter) (at int, why string) {
	switch f.Op {
	case jsonpath.OpOr:
		for _, p := range f.Parts {
			if at, why = never(p); why == "" {
				return 0, ""
			}
		}
		return at, why
	case jsonpath.OpAnd:
		return neverTogether(f)
	case jsonpath.OpEqual, jsonpath.OpStrictEqual:
		if !f.Left.IsPath && !f.Right.IsPath && !equalLiterals(&f.Left, &f.Right) {
			return f.At, "these two are never equal"
		}
	}
	return 0, ""
}

// neverTogether looks for two conditions on one path that exclude each other.
func neverTogether(f *jsonpath.Filter) (at int, why string) {
	var equal []*jsonpath.Filter
	all := conjuncts(f)
	for _, p := range all[:min(len(all), maxCompared)] {
		if at, why = never(p); why != "" {
			return at, why
		}
		path, literal := comparison(p)
		if path == nil {
			continue
		}
		for _, q := range equal {
			otherPath, other := comparison(q)
			if !sameSteps(path, otherPath) {
				continue
			}
			if same := equalLiterals(literal, other); p.Op != jsonpath.OpNotEqual && !same || p.Op == jsonpath.OpNotEqual && same {
				return p.At, "this contradicts an earlier condition on the same path"
			}
		}
		if p.Op != jsonpath.OpNotEqual {
			equal = append(equal, p)
		}
	}
	return 0, ""
}

// conjuncts returns the conditions that must all hold.
func conjuncts(f *jsonpath.Filter) []*jsonpath.Filter {
	if f.Op != jsonpath.OpAnd {
		return []*jsonpath.Filter{f}
	}
	var all []*jsonpath.Filter
	for _, p := range f.Parts {
		all = append(all, conjuncts(p)...)
	}
	return all
}

// comparison takes a condition apart that compares one value with a literal. A
// path that may select several values is not even the same as itself.
func comparison(f *jsonpath.Filter) (path []jsonpath.Step, literal *jsonpath.Operand) {
	if f.Op != jsonpath.OpEqual && f.Op != jsonpath.OpStrictEqual && f.Op != jsonpath.OpNotEqual {
		return nil, nil
	}
	path, literal = f.Left.Path, &f.Right
	if f.Right.IsPath {
		path, literal = f.Right.Path, &f.Left
	}
	if literal.IsPath || !sameSteps(path, path) || len(path) == 0 {
		return nil, nil
	}
	return path, literal
}

// equalLiterals reports whether one value can equal both literals. Whole and
// broken numbers compare.
func equalLiterals(a, b *jsonpath.Operand) bool {
	if numeric(a) && numeric(b) {
		x, _ := strconv.ParseFloat(a.Text, 64)
		y, _ := strconv.ParseFloat(b.Text, 64)
		return x == y
	}
	return a.Kind == b.Kind && a.Text == b.Text
}

func numeric(o *jsonpath.Operand) bool { return o.Kind == tape.Int || o.Kind == tape.Float }
