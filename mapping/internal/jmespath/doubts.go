package jmespath

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// This file finds what is valid, but what an author hardly meant.

// Members returns the names of an expression that is nothing but a path of names,
// as a.b.c is.
func (x *Expr) Members() ([]string, bool) { return x.root.members() }

func (n *node) members() ([]string, bool) {
	switch {
	case n.op == opName:
		return []string{n.name}, true
	case n.op != opChain:
		return nil, false
	}
	var names []string
	for _, step := range n.args {
		switch step.op {
		case opName:
			names = append(names, step.name)
		case opCurrent:
		default:
			return nil, false
		}
	}
	return names, true
}

// Tested returns the paths that every result of the expression has, as its last
// filter demands: a and b.c of x[?a && b.c == 'y'].
func (x *Expr) Tested() [][]string {
	n := x.root
	for n.op == opPipe {
		n = n.right
	}
	if n.op == opChain {
		n = n.args[len(n.args)-1]
	}
	if n.op != opFilter {
		return nil
	}
	return n.left.tested()
}

// tested returns the paths without which a condition does not hold.
func (n *node) tested() [][]string {
	switch n.op {
	case opAnd:
		return append(n.left.tested(), n.right.tested()...)
	case opEqual:
		switch { // two missing values are equal, too
		case n.right.isValue():
			return n.left.tested()
		case n.left.isValue():
			return n.right.tested()
		}
		return nil
	case opGreater, opGreaterEqual, opLess, opLessEqual:
		return append(n.left.tested(), n.right.tested()...)
	}
	if names, ok := n.members(); ok {
		return [][]string{names}
	}
	return nil
}

// isValue reports whether n is a literal other than null.
func (n *node) isValue() bool { return n.op == opLiteral && !n.literal.isNull() }

// integers are the functions whose argument, of that number, must be an integer.
var integers = map[string]int{"fromUnixTimestamp": 0, "fromUnixTimestampMs": 0, "insertString": 2, "floor": 0}

// Truncations returns the divisions that drop a fraction though nothing asks for
// an integer. The fix is the division that keeps it.
func (x *Expr) Truncations() []Fault {
	var found []Fault
	x.root.truncations(false, &found)
	return found
}

// truncations adds the divisions in n. whole tells that an integer is wanted.
func (n *node) truncations(whole bool, found *[]Fault) {
	if n.op == opCall {
		n.callTruncations(whole, found)
		return
	}
	for _, part := range n.parts() {
		part.truncations(false, found)
	}
}

func (n *node) callTruncations(whole bool, found *[]Fault) {
	if n.name == "divide" && !whole {
		if message := n.truncation(); message != "" {
			*found = append(*found, Fault{At: n.at, Message: message, Fix: n.broken()})
		}
	}
	wanted, hasInteger := integers[n.name]
	for i, arg := range n.args {
		arg.truncations(hasInteger && i == wanted || whole && slices.Contains(arithmetic, n.name), found)
	}
}

// arithmetic are the functions that give an integer of integers, and a float as
// soon as one argument is one.
var arithmetic = []string{"add", "subtract", "multiply", "divide", "pow"}

// truncation says why a division drops a fraction.
func (n *node) truncation() string {
	a, b := n.args[0].number(), n.args[1].number()
	switch {
	case a == integer && b == integer:
		return "both are integers: the result is one too, its fraction is dropped"
	case a == missing && b == integer:
		return "the fraction is dropped when the first argument is an integer too"
	case a == integer && b == missing:
		return "the fraction is dropped when the second argument is an integer too"
	}
	return ""
}

// broken prints a division with a float among its arguments: a literal written
// as one, or the first argument times 1.0.
func (n *node) broken() string {
	args := []string{string(n.args[0].append(nil, 0)), string(n.args[1].append(nil, 0))}
	for i := range args {
		if arg := n.args[1-i]; arg.op == opLiteral && arg.literal.kind == integer {
			args[1-i] = "`" + strings.Trim(arg.name, "` ") + ".0`"
			return "divide(" + strings.Join(args, ", ") + ")"
		}
	}
	return "divide(multiply(" + args[0] + ", `1.0`), " + args[1] + ")"
}

// number returns which kind of number n gives: integer, float, or missing when
// that depends on the message.
func (n *node) number() kind {
	switch {
	case n.op == opLiteral && (n.literal.kind == integer || n.literal.kind == float):
		return n.literal.kind
	case n.op != opCall:
		return missing
	}
	switch n.name {
	case "length", "ceil", "floor":
		return integer
	case "avg":
		return float
	case "abs":
		return n.args[0].number()
	case "to_number":
		return n.args[0].numberOfText()
	}
	if !slices.Contains(arithmetic, n.name) {
		return missing
	}
	a, b := n.args[0].number(), n.args[1].number()
	switch {
	case a == float || b == float:
		return float
	case a == integer && b == integer:
		return integer
	}
	return missing
}

// numberOfText returns which kind of number to_number makes of n.
func (n *node) numberOfText() kind {
	if n.op != opLiteral || n.literal.kind != text {
		return n.number()
	}
	s := strings.Trim(n.name, "`'\" ")
	if _, err := strconv.ParseInt(s, 10, 64); err == nil {
		return integer
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return float
	}
	return missing
}

// parts returns the nodes directly below n.
func (n *node) parts() []*node {
	parts := slices.Clone(n.args)
	for _, part := range []*node{n.left, n.right} {
		if part != nil {
			parts = append(parts, part)
		}
	}
	return parts
}

// takesNull are the functions that take a missing argument.
var takesNull = []string{"not_null", "to_array", "to_number", "to_string", "type"}

// Demands returns the calls that fail when a member is missing, unless known says
// that it is there. It looks only at what is computed from the root. The fix asks
// for the member first.
func (x *Expr) Demands(known func(names []string) bool) []Fault {
	var found []Fault
	x.root.demands(known, &found)
	for i := range found { // Fix holds the path that may be missing
		found[i].Fix += " && " + string(x.root.append(nil, precedences[opAnd]+1))
	}
	return found
}

func (n *node) demands(known func([]string) bool, found *[]Fault) {
	switch n.op {
	case opCall:
		if !slices.Contains(takesNull, n.name) {
			n.callDemands(known, found)
		}
		for _, arg := range n.args {
			arg.demands(known, found)
		}
	case opAnd:
		n.left.demands(known, found)
		tested := n.left.tested()
		n.right.demands(func(names []string) bool {
			return known(names) || slices.ContainsFunc(tested, func(t []string) bool { return HasPath(t, names) })
		}, found)
	case opChain:
		n.args[0].demands(known, found)
	case opPipe:
		n.left.demands(known, found)
	case opReference, opFilter:
	default:
		for _, part := range n.parts() {
			part.demands(known, found)
		}
	}
}

// callDemands reports the first argument that may be missing.
func (n *node) callDemands(known func([]string) bool, found *[]Fault) {
	for _, arg := range n.args {
		if missing := arg.mayMiss(known); missing != nil {
			path := string(missing.append(nil, precedencePrimary))
			message := fmt.Sprintf("%s fails when there is no %s, and with it the measurement", n.name, path)
			*found = append(*found, Fault{At: n.at, Message: message, Fix: path})
			return
		}
	}
}

// mayMiss returns the path without which n is null, if it may be missing.
func (n *node) mayMiss(known func([]string) bool) *node {
	switch {
	case n.op == opOr:
		return n.right.mayMiss(known)
	case n.op == opCall && n.name == "to_number":
		return n.args[0].mayMiss(known)
	}
	if names, ok := n.members(); !ok || known(names) {
		return nil
	}
	return n
}

// HasPath reports whether a value that has the path tested also has names: it is
// a part of that path.
func HasPath(tested, names []string) bool {
	return len(names) <= len(tested) && slices.Equal(tested[:len(names)], names)
}
