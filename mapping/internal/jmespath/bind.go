package jmespath

import (
	"slices"

	"auscult/mapping/internal/tape"
)

// Names returns the member names that the expression mentions, in the order in
// which they are mentioned first.
func (x *Expr) Names() []string { return x.names }

// Bind gives every member name its number. It is called once, before anything
// is searched.
func (x *Expr) Bind(names *tape.NameSet) {
	x.root.walk(func(n *node) {
		if n.op == opName {
			n.id = names.ID(n.name)
		}
	})
}

// walk visits n and all nodes below it.
func (n *node) walk(visit func(*node)) {
	visit(n)
	if n.left != nil {
		n.left.walk(visit)
	}
	if n.right != nil {
		n.right.walk(visit)
	}
	for _, arg := range n.args {
		arg.walk(visit)
	}
}

// Chain returns the expression as steps from its root, if names and indices
// from the front are all it is made of.
func (x *Expr) Chain() ([]tape.Step, bool) { return x.root.chain(nil) }

func (n *node) chain(steps []tape.Step) ([]tape.Step, bool) {
	switch {
	case n.op == opCurrent:
		return steps, true
	case n.op == opName:
		return append(steps, tape.Step{Name: n.id}), true
	case n.op == opIndex && n.index >= 0:
		return append(steps, tape.Step{Index: n.index, IsIndex: true}), true
	case n.op == opPipe:
		steps, ok := n.left.chain(steps)
		if !ok {
			return nil, false
		}
		return n.right.chain(steps)
	case n.op != opChain:
		return nil, false
	}
	for _, step := range n.args {
		var ok bool
		if steps, ok = step.chain(steps); !ok {
			return nil, false
		}
	}
	return steps, true
}

// Needs returns the least that must be on the tape for exact answers. Whether
// an array or an object of a message is empty is seen in its text, so that
// conditions need no more than the names they mention; only the objects of
// properties have no text.
func (x *Expr) Needs() tape.Keep {
	keep := tape.KeepNamed
	if x.testsProperties() {
		return tape.KeepAll
	}
	x.root.needs(true, &keep)
	return keep
}

// testsProperties reports whether the expression may ask if an object of
// properties is empty: it has a condition and a path that ends at such an object.
func (x *Expr) testsProperties() bool {
	var tests, ends bool
	inner := map[*node]bool{} // steps of which only a member is looked at
	x.root.walk(func(n *node) {
		switch n.op {
		case opNot, opAnd, opOr, opFilter:
			tests = true
		case opChain:
			for i, step := range n.args[:len(n.args)-1] {
				inner[step] = n.args[i+1].op == opName
			}
		case opName:
			ends = ends || slices.Contains(propertyObjects, n.name) && !inner[n]
		}
	})
	return tests && ends
}

// propertyObjects are the names that an object of properties may have.
var propertyObjects = []string{"Properties", "SystemProperties", "matchedToken"}

// needs raises keep to what n needs. atRoot tells that n sees the root of the
// message, which is an object.
func (n *node) needs(atRoot bool, keep *tape.Keep) {
	raise := func(k tape.Keep) { *keep = max(*keep, k) }
	switch n.op {
	case opMembers:
		raise(tape.KeepAll)
	case opIndex, opSlice, opElements, opFlatten, opFilter:
		raise(tape.KeepElements)
	case opEqual, opNotEqual:
		if !n.left.isScalar() && !n.right.isScalar() {
			raise(tape.KeepAll)
		}
	case opCall:
		if slices.ContainsFunc(n.args, func(arg *node) bool { return !arg.isScalar() }) {
			raise(n.function.needs)
		}
	case opChain:
		n.chainNeeds(atRoot, keep)
		return
	}
	if n.left != nil {
		n.left.needs(atRoot && n.op != opFilter && n.op != opReference, keep)
	}
	if n.right != nil {
		n.right.needs(atRoot && n.op != opPipe, keep)
	}
	for _, arg := range n.args {
		arg.needs(atRoot, keep)
	}
}

// chainNeeds knows the idiom to_array(@)[?...], whose array is not one of the
// message: its one element is the root, which is always there.
func (n *node) chainNeeds(atRoot bool, keep *tape.Keep) {
	steps := n.args
	if first := steps[0]; atRoot && first.op == opCall && first.function.name == "to_array" && first.args[0].op == opCurrent {
		steps = steps[1:]
		if steps[0].op == opFilter {
			steps[0].left.needs(true, keep)
			steps = steps[1:]
		}
		atRoot = false
	}
	for _, step := range steps {
		step.needs(atRoot, keep)
		atRoot = false
	}
}

// isScalar reports whether n certainly is no array or object, so that nothing
// inside of what it is compared with matters.
func (n *node) isScalar() bool {
	switch n.op {
	case opLiteral:
		return n.literal.kind < array
	case opNot, opEqual, opNotEqual, opGreater, opGreaterEqual, opLess, opLessEqual:
		return true
	case opCall:
		return n.function.scalar
	}
	return false
}
