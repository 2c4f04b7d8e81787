// Package jmespath answers JMESPath expressions, in the dialect of the
// connector's library with its eight extra functions, over a parsed message. It
// does not know what an expression is for: whether its result is a match, an id
// or a value.
package jmespath

import "auscult/mapping/internal/tape"

// Fault is what is wrong with an expression.
type Fault struct {
	At      int    // byte position in the expression
	Message string // what is wrong
	Fix     string // the whole expression as it was probably meant; may be ""
}

func (f *Fault) Error() string { return f.Message }

// Expr is a parsed expression. It is not changed after Bind, so that any number
// of evaluators may share it.
type Expr struct {
	text  string // as it was written
	root  *node
	fixed []value  // parts of literal arrays and objects
	texts [][]byte // literal texts, names and digits
	names []string // member names it mentions, without repetitions
}

// op is what a node of the tree does.
type op uint8

const (
	opCurrent   op = iota // @
	opName                // a member
	opIndex               // [0]
	opSlice               // [0:2:1]
	opElements            // [*]
	opMembers             // *
	opFlatten             // []
	opFilter              // [?left]
	opList                // [args]
	opHash                // {keys: args}
	opCall                // name(args)
	opReference           // &left, an argument only
	opLiteral             // `json` or 'text'
	opChain               // args[0].args[1][...]
	opNot                 // !left
	opPipe                // left | right
	opOr
	opAnd
	opEqual
	opGreater
	opGreaterEqual
	opLess
	opLessEqual
	opNotEqual
)

// node is one part of an expression.
type node struct {
	op          op
	depth       int // levels of nodes below it, itself included
	at          int // opCall, opName: byte position in the expression
	left, right *node
	args        []*node
	keys        []key       // opHash
	name        string      // opName; opLiteral as it was written
	source      string      // opName: how a name that needs quotes was written
	quoted      bool        // opName: it was written in quotes, needed or not
	id          tape.NameID // opName, after Bind
	index       int         // opIndex
	slice       bounds      // opSlice
	literal     value       // opLiteral
	function    *function   // opCall
}

// key is the name of one member of {name: expression}.
type key struct {
	name   string
	source string
	text   uint32 // its place in Expr.texts
}

// bounds are the numbers of a slice.
type bounds struct {
	start, stop, step          int
	hasStart, hasStop, hasStep bool
}

// precedences tell how tightly operators bind; all group to the left, and each
// comparison has a level of its own. Everything else binds tighter.
var precedences = [...]int{
	opPipe: 1, opOr: 2, opAnd: 3, opEqual: 4, opGreater: 5, opGreaterEqual: 6,
	opLess: 7, opLessEqual: 8, opNotEqual: 9, opNot: precedenceNot,
}

const (
	precedenceNot     = 10
	precedencePrimary = 11
)

// precedence returns how tightly n binds.
func (n *node) precedence() int {
	if p := precedences[n.op]; p > 0 {
		return p
	}
	return precedencePrimary
}

// isProjection tells which expressions a list may follow without a dot.
func (n *node) isProjection() bool {
	switch n.op {
	case opSlice, opElements, opMembers, opFlatten, opFilter:
		return true
	}
	return false
}
