package jmespath

import "strconv"

// String prints the expression in one way: it parses to an equal expression,
// which prints the same. Literals stay as they were written.
func (x *Expr) String() string { return string(x.root.append(nil, 0)) }

// append prints n, in parentheses when it binds more loosely than least.
func (n *node) append(b []byte, least int) []byte {
	if n.precedence() < least {
		return append(n.append(append(b, '('), 0), ')')
	}
	switch n.op {
	case opNot:
		return n.left.append(append(b, '!'), precedenceNot)
	case opChain:
		return n.appendChain(b)
	case opReference:
		return n.left.append(append(b, '&'), 0)
	case opPipe, opOr, opAnd, opEqual, opGreater, opGreaterEqual, opLess, opLessEqual, opNotEqual:
		b = n.left.append(b, n.precedence())
		b = append(append(append(b, ' '), operatorTexts[n.op]...), ' ')
		return n.right.append(b, n.precedence()+1)
	}
	return n.appendPrimary(b)
}

var operatorTexts = func() map[op]string {
	texts := map[op]string{}
	for sign, o := range operators {
		texts[o] = sign
	}
	return texts
}()

func (n *node) appendChain(b []byte) []byte {
	for i, step := range n.args {
		if i > 0 && step.needsDot() {
			b = append(b, '.')
		}
		b = step.append(b, precedencePrimary)
	}
	return b
}

// needsDot tells which steps of a chain a dot stands before.
func (n *node) needsDot() bool {
	switch n.op {
	case opName, opMembers, opList, opHash, opCall:
		return true
	}
	return false
}

func (n *node) appendPrimary(b []byte) []byte {
	switch n.op {
	case opCurrent:
		return append(b, '@')
	case opName:
		return append(b, n.source...)
	case opLiteral:
		return append(b, n.name...)
	case opMembers:
		return append(b, '*')
	case opIndex:
		return append(strconv.AppendInt(append(b, '['), int64(n.index), 10), ']')
	case opSlice:
		return n.slice.append(b)
	case opElements:
		return append(b, "[*]"...)
	case opFlatten:
		return append(b, "[]"...)
	case opFilter:
		return append(n.left.append(append(b, "[?"...), 0), ']')
	case opList:
		return append(n.appendArgs(append(b, '[')), ']')
	case opHash:
		return append(n.appendArgs(append(b, '{')), '}')
	}
	return append(n.appendArgs(append(append(b, n.name...), '(')), ')')
}

// appendArgs prints the parts of a list, an object or a call.
func (n *node) appendArgs(b []byte) []byte {
	for i, arg := range n.args {
		if i > 0 {
			b = append(b, ", "...)
		}
		if n.op == opHash {
			b = append(append(b, n.keys[i].source...), ": "...)
		}
		b = arg.append(b, 0)
	}
	return b
}

func (s *bounds) append(b []byte) []byte {
	b = append(b, '[')
	if s.hasStart {
		b = strconv.AppendInt(b, int64(s.start), 10)
	}
	b = append(b, ':')
	if s.hasStop {
		b = strconv.AppendInt(b, int64(s.stop), 10)
	}
	if s.hasStep {
		b = strconv.AppendInt(append(b, ':'), int64(s.step), 10)
	}
	return append(b, ']')
}
