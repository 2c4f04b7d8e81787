package jmespath

import (
	"fmt"
	"strconv"
)

// maxDepth is how deep an expression may be nested.
const maxDepth = 500

// parser turns tokens into a tree. Operators bind as in the connector's library.
type parser struct {
	lexer
	x     *Expr
	token token // the next one
	last  token // the one before
	ahead []token
	depth int
	names map[string]bool
}

// Parse reads an expression.
func Parse(s string) (*Expr, *Fault) {
	p := &parser{lexer: lexer{s: s}, x: &Expr{text: s}, names: map[string]bool{}}
	if fault := p.advance(); fault != nil {
		return nil, fault
	}
	if p.token.kind == tokenEnd {
		return nil, &Fault{Message: "the expression is empty"}
	}
	root, fault := p.expression(0)
	if fault == nil && p.token.kind != tokenEnd {
		fault = p.unexpectedToken("the end of the expression")
	}
	if fault != nil {
		return nil, fault
	}
	p.x.root = root
	return p.x, nil
}

// advance moves to the next token.
func (p *parser) advance() *Fault {
	p.last = p.token
	if len(p.ahead) > 0 {
		p.token, p.ahead = p.ahead[0], p.ahead[1:]
		return nil
	}
	t, fault := p.next()
	p.token = t
	return fault
}

// peek returns the token i places behind the next one; a faulty one is the end.
func (p *parser) peek(i int) token {
	for len(p.ahead) <= i {
		before := p.i
		t, fault := p.next()
		if fault != nil {
			p.i = before
			return token{at: before}
		}
		p.ahead = append(p.ahead, t)
	}
	return p.ahead[i]
}

// expect takes the token sign.
func (p *parser) expect(sign string) *Fault {
	if !p.token.is(sign) {
		return p.unexpectedToken(sign)
	}
	return p.advance()
}

// unexpectedToken tells that something else was wanted at the next token.
func (p *parser) unexpectedToken(wanted string) *Fault {
	t := p.token
	f := &Fault{At: t.at, Message: fmt.Sprintf("%s cannot stand here, %s is wanted", t.text, wanted)}
	switch {
	case t.kind == tokenEnd:
		f.Message = fmt.Sprintf("it ends too early, %s is wanted", wanted)
		if wanted == ")" || wanted == "]" || wanted == "}" {
			f.Fix = p.s + wanted
		}
	case t.kind == tokenNumber && t.text[0] == '-' && p.last.kind == tokenName && p.last.at+len(p.last.text) == t.at:
		p.i = t.at
		if from, to := p.dashedName(); to > from {
			f.Message = "a name with a dash needs double quotes"
			f.Fix = p.replaced(from, to, `"`+p.s[from:to]+`"`)
		}
	case t.is("(") && p.last.kind == tokenQuoted:
		f.Message = "the name of a function stands without quotes"
		f.Fix = p.replaced(p.last.at, t.at, p.last.text[1:len(p.last.text)-1])
	case t.kind == tokenNumber:
		f.Message = fmt.Sprintf("%s cannot stand here: a number is written between backticks", t.text)
		f.Fix = p.replaced(t.at, t.at+len(t.text), "`"+t.text+"`")
	}
	return f
}

// deeper makes n a node one level above its parts.
func (p *parser) deeper(n *node, parts ...*node) (*node, *Fault) {
	for _, part := range parts {
		n.depth = max(n.depth, part.depth)
	}
	if n.depth++; n.depth > maxDepth {
		return nil, p.tooDeep()
	}
	return n, nil
}

func (p *parser) tooDeep() *Fault {
	return &Fault{At: p.token.at, Message: fmt.Sprintf("the expression is nested deeper than %d levels", maxDepth)}
}

var operators = map[string]op{
	"|": opPipe, "||": opOr, "&&": opAnd, "==": opEqual, ">": opGreater, ">=": opGreaterEqual,
	"<": opLess, "<=": opLessEqual, "!=": opNotEqual,
}

// expression reads operators that bind at least as tightly as least, with what
// stands between them.
func (p *parser) expression(least int) (*node, *Fault) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.tooDeep()
	}
	defer func() { p.depth-- }()
	left, fault := p.unary()
	for fault == nil {
		o, ok := operators[p.token.text]
		if p.token.kind != tokenSign || !ok || precedences[o] < least {
			return left, nil
		}
		if fault = p.advance(); fault != nil {
			break
		}
		var right *node
		if right, fault = p.expression(precedences[o] + 1); fault == nil {
			left, fault = p.deeper(&node{op: o, left: left, right: right}, left, right)
		}
	}
	return nil, fault
}

// unary reads !operand or a chain.
func (p *parser) unary() (*node, *Fault) {
	if !p.token.is("!") {
		return p.chain()
	}
	if fault := p.advance(); fault != nil {
		return nil, fault
	}
	operand, fault := p.expression(precedenceNot)
	if fault != nil {
		return nil, fault
	}
	return p.deeper(&node{op: opNot, left: operand}, operand)
}

// chain reads a.b[0] and the like.
func (p *parser) chain() (*node, *Fault) {
	head, fault := p.primary()
	if fault != nil {
		return nil, fault
	}
	steps := []*node{head}
	if head.op == opChain {
		steps = append([]*node(nil), head.args...)
	}
	for {
		step, fault := p.step(len(steps) == 1 && head.isProjection())
		if fault != nil {
			return nil, fault
		}
		if step == nil {
			break
		}
		steps = append(steps, step)
	}
	if len(steps) == 1 {
		return head, nil
	}
	return p.deeper(&node{op: opChain, args: steps}, steps...)
}

// step reads one step of a chain, nil when there is none. Directly behind a
// projection a list needs no dot.
func (p *parser) step(listFollows bool) (*node, *Fault) {
	switch {
	case p.token.is("."):
		if fault := p.advance(); fault != nil {
			return nil, fault
		}
		return p.afterDot()
	case p.token.is("[") && listFollows && p.isList():
		return p.list()
	case p.token.is("["), p.token.is("[]"), p.token.is("[?"):
		return p.bracket()
	}
	return nil, nil
}

// afterDot reads what may stand behind a dot.
func (p *parser) afterDot() (*node, *Fault) {
	switch {
	case p.token.kind == tokenName, p.token.kind == tokenQuoted:
		return p.nameOrCall()
	case p.token.is("*"):
		return p.simple(opMembers)
	case p.token.is("["):
		return p.list()
	case p.token.is("{"):
		return p.hash()
	}
	return nil, p.unexpectedToken("a name, *, [ or {")
}

// primary reads what may begin an expression.
func (p *parser) primary() (*node, *Fault) {
	switch t := p.token; {
	case t.kind == tokenName, t.kind == tokenQuoted:
		return p.nameOrCall()
	case t.kind == tokenRaw:
		return p.rawText()
	case t.kind == tokenLiteral:
		return p.literal()
	case t.is("@"):
		return p.simple(opCurrent)
	case t.is("*"):
		return p.simple(opMembers)
	case t.is("("):
		return p.parentheses()
	case t.is("{"):
		return p.hash()
	case t.is("[") && p.isList():
		return p.list()
	case t.is("["), t.is("[]"), t.is("[?"):
		return p.bracket()
	case t.is("&"):
		return nil, &Fault{At: t.at, Message: "& stands only before an argument of a function; the operator is &&"}
	}
	return nil, p.unexpectedToken("an expression")
}

func (p *parser) simple(o op) (*node, *Fault) {
	return &node{op: o, depth: 1}, p.advance()
}

func (p *parser) parentheses() (*node, *Fault) {
	if fault := p.advance(); fault != nil {
		return nil, fault
	}
	n, fault := p.expression(0)
	if fault != nil {
		return nil, fault
	}
	return n, p.expect(")")
}

// isList reports whether the bracket that is next begins a list of expressions
// rather than an index, a slice or [*].
func (p *parser) isList() bool {
	t := p.peek(0)
	all := t.is("*") && p.peek(1).is("]")
	return !all && !t.is(":") && t.kind != tokenNumber
}

// identifier reads a name.
func (p *parser) identifier() (name, source string, fault *Fault) {
	t := p.token
	name, source = t.text, t.text
	switch t.kind {
	case tokenQuoted:
		var ok bool
		if name, ok = unquote(t.text); !ok {
			return "", "", &Fault{At: t.at, Message: "the name has one half of a surrogate pair without the other"}
		}
		if isPlainName(name) {
			source = name
		}
	case tokenName:
	default:
		return "", "", p.unexpectedToken("a name")
	}
	return name, source, p.advance()
}

func (p *parser) nameOrCall() (*node, *Fault) {
	if p.token.kind == tokenName && p.peek(0).is("(") {
		return p.call()
	}
	at, quoted := p.token.at, p.token.kind == tokenQuoted
	name, source, fault := p.identifier()
	if fault != nil {
		return nil, fault
	}
	if p.token.is("(") {
		return nil, p.unexpectedToken("the end of the name")
	}
	if !p.names[name] {
		p.names[name] = true
		p.x.names = append(p.x.names, name)
	}
	return &node{op: opName, at: at, depth: 1, name: name, source: source, quoted: quoted}, nil
}

// call reads name(args).
func (p *parser) call() (*node, *Fault) {
	name := p.token
	f := functions[name.text]
	if f == nil {
		return nil, p.unknownFunction(name)
	}
	if fault := p.advance(); fault != nil {
		return nil, fault
	}
	args, fault := p.sequence("(", ")", p.argument)
	if fault != nil {
		return nil, fault
	}
	if len(args) < f.least || len(args) > f.least && !f.more {
		return nil, &Fault{At: name.at, Message: fmt.Sprintf("the function %s takes %s, not %d", f.name, f.arity(), len(args))}
	}
	return p.deeper(&node{op: opCall, at: name.at, name: f.name, function: f, args: args}, args...)
}

func (p *parser) unknownFunction(name token) *Fault {
	fault := &Fault{At: name.at, Message: fmt.Sprintf("there is no function %s", name.text)}
	if near := nearestFunction(name.text); near != "" {
		fault.Fix = p.replaced(name.at, name.at+len(name.text), near)
	}
	return fault
}

// argument reads an expression or &expression.
func (p *parser) argument() (*node, *Fault) {
	if !p.token.is("&") {
		return p.expression(0)
	}
	if fault := p.advance(); fault != nil {
		return nil, fault
	}
	n, fault := p.expression(0)
	if fault != nil {
		return nil, fault
	}
	return p.deeper(&node{op: opReference, left: n}, n)
}

// sequence reads parts between brackets, separated by commas; there may be none.
func (p *parser) sequence(open, closing string, part func() (*node, *Fault)) ([]*node, *Fault) {
	if fault := p.expect(open); fault != nil {
		return nil, fault
	}
	var parts []*node
	for !p.token.is(closing) || len(parts) > 0 {
		n, fault := part()
		if fault != nil {
			return nil, fault
		}
		parts = append(parts, n)
		if !p.token.is(",") {
			break
		}
		if fault := p.advance(); fault != nil {
			return nil, fault
		}
	}
	return parts, p.expect(closing)
}

// list reads [a, b].
func (p *parser) list() (*node, *Fault) {
	parts, fault := p.sequence("[", "]", func() (*node, *Fault) { return p.expression(0) })
	if fault != nil {
		return nil, fault
	}
	if len(parts) == 0 {
		return nil, &Fault{At: p.last.at, Message: "a list of expressions cannot be empty"}
	}
	return p.deeper(&node{op: opList, args: parts}, parts...)
}

// hash reads {a: b, c: d}.
func (p *parser) hash() (*node, *Fault) {
	n := &node{op: opHash}
	seen := map[string]bool{}
	parts, fault := p.sequence("{", "}", func() (*node, *Fault) {
		at := p.token.at
		name, source, fault := p.identifier()
		if fault != nil {
			return nil, fault
		}
		if seen[name] {
			return nil, &Fault{At: at, Message: fmt.Sprintf("the name %s stands twice", name)}
		}
		seen[name] = true
		n.keys = append(n.keys, key{name: name, source: source, text: p.addText([]byte(name))})
		if fault := p.expect(":"); fault != nil {
			return nil, fault
		}
		return p.expression(0)
	})
	if fault != nil {
		return nil, fault
	}
	if len(parts) == 0 {
		return nil, &Fault{At: p.last.at, Message: "an object of expressions cannot be empty"}
	}
	n.args = parts
	return p.deeper(n, parts...)
}

// bracket reads [0], [0:1], [*], [] or [?filter].
func (p *parser) bracket() (*node, *Fault) {
	switch {
	case p.token.is("[]"):
		return p.simple(opFlatten)
	case p.token.is("[?"):
		return p.filter()
	}
	if fault := p.advance(); fault != nil {
		return nil, fault
	}
	n := &node{op: opElements, depth: 1}
	switch {
	case p.token.is("*"):
		if fault := p.advance(); fault != nil {
			return nil, fault
		}
	case p.token.kind == tokenNumber && !p.peek(0).is(":"):
		n.op, n.index = opIndex, number32(p.token.text)
		if fault := p.advance(); fault != nil {
			return nil, fault
		}
	case p.token.kind == tokenNumber || p.token.is(":"):
		n.op = opSlice
		if fault := p.bounds(&n.slice); fault != nil {
			return nil, fault
		}
	default:
		return nil, p.unexpectedToken("a number, : or *")
	}
	return n, p.expect("]")
}

func (p *parser) filter() (*node, *Fault) {
	if fault := p.advance(); fault != nil {
		return nil, fault
	}
	condition, fault := p.expression(0)
	if fault != nil {
		return nil, fault
	}
	if fault := p.expect("]"); fault != nil {
		return nil, fault
	}
	return p.deeper(&node{op: opFilter, left: condition}, condition)
}

// bounds reads start:stop:step, each of which may be missing.
func (p *parser) bounds(b *bounds) *Fault {
	if fault := p.bound(&b.start, &b.hasStart); fault != nil {
		return fault
	}
	if fault := p.expect(":"); fault != nil {
		return fault
	}
	if fault := p.bound(&b.stop, &b.hasStop); fault != nil {
		return fault
	}
	if !p.token.is(":") {
		return nil
	}
	if fault := p.advance(); fault != nil {
		return fault
	}
	at := p.token.at
	if fault := p.bound(&b.step, &b.hasStep); fault != nil {
		return fault
	}
	if b.hasStep && b.step == 0 {
		return &Fault{At: at, Message: "the step of a slice cannot be 0"}
	}
	return nil
}

func (p *parser) bound(n *int, has *bool) *Fault {
	if p.token.kind != tokenNumber {
		return nil
	}
	*n, *has = number32(p.token.text), true
	return p.advance()
}

// number32 reads a number; one beyond 32 bits counts as 0, as in the connector's
// library.
func number32(s string) int {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return 0
	}
	return int(n)
}

// addText keeps a text of the expression and returns its place.
func (p *parser) addText(b []byte) uint32 {
	p.x.texts = append(p.x.texts, b)
	return uint32(len(p.x.texts) - 1)
}
