package mapping

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
)

// expression selects at most one node of a message: a value, an id, a time.
// A language that computes puts its result on the tape as a new node, so this
// stays the only way to get at values.
type expression interface {
	// one returns the node; match is the token that the template matched. ok is
	// false when the expression selects nothing.
	one(m *Mapper, match uint32) (node uint32, ok bool, err error)
}

// matcher selects the tokens that a template matches, in document order.
type matcher interface {
	matches(m *Mapper, dst []uint32) ([]uint32, error)
}

// step is one step of a chain: a member, or an element of an array.
type step struct {
	name    nameID
	index   int
	isIndex bool
}

// chain is a path that selects at most one node: names and indices only.
type chain struct {
	fromMatch bool // starts at the matched token, else at the envelope
	steps     []step
	memo      int // the place of its answer in Mapper.memos
}

// walk follows steps from node n; ok is false when they lead nowhere.
func (t *tape) walk(n uint32, steps []step) (uint32, bool) {
	for i := range steps {
		s := &steps[i]
		var next uint32
		if s.isIndex {
			next = t.element(n, s.index)
		} else {
			next = t.child(n, s.name)
		}
		if next == none {
			return none, false
		}
		n = next
	}
	return n, true
}

// memo is the last answer of a chain. Templates share the answers of equal
// chains, and the reading of a time.
type memo struct {
	epoch uint32
	start uint32
	node  uint32
	found bool
	timed bool // time is that of node
	time  instant
}

func (c *chain) one(m *Mapper, match uint32) (uint32, bool, error) {
	start := uint32(0)
	if c.fromMatch {
		start = match
	}
	e := &m.memos[c.memo]
	if e.epoch != m.epoch || e.start != start {
		node, found := m.tape.walk(start, c.steps)
		*e = memo{epoch: m.epoch, start: start, node: node, found: found}
	}
	return e.node, e.found, nil
}

// matches makes a chain that starts at the envelope a matcher.
func (c *chain) matches(m *Mapper, dst []uint32) ([]uint32, error) {
	if node, ok := m.tape.walk(0, c.steps); ok {
		dst = append(dst, node)
	}
	return dst, nil
}

// scan is the matcher of $..[?(@a && @b.c == 'x')]: every object, the start
// included, for which all conditions hold. The mapper answers the scans of all
// templates in one walk.
type scan struct {
	within     []step // where the scan starts, seen from the envelope
	conditions []condition
	required   uint64 // mask bits of the first names of all conditions
}

// condition is one condition on an object.
type condition struct {
	steps []step
	test  *literal // nil: that the steps lead somewhere is enough
}

// literal is what a condition compares with.
type literal struct {
	kind  kind
	text  string
	float float64
}

// holds reports whether all conditions hold for object o. exact tells that each
// name has a mask bit of its own, so that the mask alone proves existence.
func (s *scan) holds(m *Mapper, o uint32, exact bool) bool {
	for i := range s.conditions {
		c := &s.conditions[i]
		if exact && len(c.steps) == 1 && c.test == nil {
			continue
		}
		n, ok := m.tape.walk(o, c.steps)
		if !ok || c.test != nil && !m.equal(n, c.test) {
			return false
		}
	}
	return true
}

// equal compares as == does in filters: kinds must agree, but integers and
// floats are numbers alike, and a date equals its ISO text.
func (m *Mapper) equal(i uint32, l *literal) bool {
	n := &m.tape.nodes[i]
	b := m.tape.bytes(n)
	switch n.kind {
	case kindString:
		if l.kind != kindText {
			return false
		}
		b = m.decoded(n, b)
		if in, ok := dateToken(b); ok {
			b = appendDateISO(m.room(roomDate), in)
		}
		return string(b) == l.text
	case kindText:
		return l.kind == kindText && string(b) == l.text
	case kindDate:
		in, _ := dateToken(b)
		return l.kind == kindText && string(appendDateISO(m.room(roomDate), in)) == l.text
	case kindInt:
		if l.kind == kindInt {
			return string(b) == l.text || bytes.Equal(b, []byte("-0")) && l.text == "0"
		}
		return l.kind == kindFloat && almostEqual(parseFloat(b), l.float)
	case kindFloat:
		return (l.kind == kindInt || l.kind == kindFloat) && almostEqual(parseFloat(b), l.float)
	}
	return n.kind == l.kind
}

// almostEqual is Json.NET's equality of floating-point numbers.
func almostEqual(a, b float64) bool {
	const epsilon = 2.2204460492503131e-16
	if a == b {
		return true
	}
	tolerance := (math.Abs(a) + math.Abs(b) + 10) * epsilon
	return math.Abs(a-b) < tolerance
}

// compiler turns parsed paths into plans and hands out their numbers.
type compiler struct {
	names  *nameSet
	chains map[string]*chain
}

func newCompiler() *compiler {
	return &compiler{names: newNameSet(), chains: map[string]*chain{}}
}

func unsupported(at int, format string, args ...any) *pathError {
	return &pathError{at: at, message: fmt.Sprintf(format, args...), unsupported: true}
}

// singular turns steps into a chain's; anything that may select several nodes
// is not supported.
func (c *compiler) singular(steps []pathStep) ([]step, *pathError) {
	var out []step
	for i := range steps {
		s := &steps[i]
		switch {
		case s.scan:
			return nil, unsupported(s.at, "recursive descent (..) here")
		case s.kind == stepName:
			out = append(out, step{name: c.names.id(s.name)})
		case s.kind == stepIndex && s.index < 0:
			return nil, unsupported(s.at, "a negative index; it makes the connector fail on every array")
		case s.kind == stepIndex:
			out = append(out, step{index: s.index, isIndex: true})
		default:
			return nil, unsupported(s.at, "%s", stepNouns[s.kind])
		}
	}
	return out, nil
}

// stepNouns name the steps that a chain cannot have.
var stepNouns = map[stepKind]string{
	stepNames: "a list of names", stepIndexes: "a list of indices", stepSlice: "a slice",
	stepWild: "a wildcard", stepFilter: "a filter here", stepRootPath: "$ in a filter",
}

// matchedToken is the name under which CalculatedContent finds its match.
const matchedToken = "matchedToken"

// expression compiles a path. With whole it starts at the envelope, to which
// the match is added as matchedToken; else the match is all it sees.
func (c *compiler) expression(path string, whole bool) (expression, *pathError) {
	steps, fault := parsePath(path)
	if fault != nil {
		return nil, fault
	}
	fromMatch := !whole
	if whole && len(steps) > 0 && steps[0].kind == stepName && !steps[0].scan && steps[0].name == matchedToken {
		steps, fromMatch = steps[1:], true
	}
	singular, fault := c.singular(steps)
	if fault != nil {
		return nil, fault
	}
	key := fmt.Sprint(fromMatch, singular)
	if known := c.chains[key]; known != nil {
		return known, nil
	}
	ch := &chain{fromMatch: fromMatch, steps: singular, memo: len(c.chains)}
	c.chains[key] = ch
	return ch, nil
}

// match compiles a template's match: a scan with a filter, or a chain.
func (c *compiler) match(path string) (*scan, matcher, *pathError) {
	steps, fault := parsePath(path)
	if fault != nil {
		return nil, nil, fault
	}
	last := len(steps) - 1
	if last < 0 || steps[last].kind != stepFilter || !steps[last].scan {
		singular, fault := c.singular(steps)
		return nil, &chain{steps: singular}, fault
	}
	within, fault := c.singular(steps[:last])
	if fault != nil {
		return nil, nil, fault
	}
	s := &scan{within: within}
	return s, nil, c.conditions(s, steps[last].filter)
}

// conditions adds the conditions of a filter to a scan.
func (c *compiler) conditions(s *scan, f *filterExpr) *pathError {
	parts := []*filterExpr{f}
	if f.op == opAnd {
		parts = f.parts
	}
	for _, p := range parts {
		cond, fault := c.condition(p)
		if fault != nil {
			return fault
		}
		s.conditions = append(s.conditions, cond)
		s.required |= 1 << (cond.steps[0].name & 63)
	}
	return nil
}

func (c *compiler) condition(f *filterExpr) (condition, *pathError) {
	switch {
	case f.op == opOr || f.op == opAnd:
		return condition{}, unsupported(f.at, "|| in a filter")
	case f.op != opExists && f.op != opEqual:
		return condition{}, unsupported(f.at, "the operator %s", f.op)
	case !f.left.isPath:
		return condition{}, unsupported(f.at, "a filter that begins with a literal; write the path first")
	case f.op == opEqual && (f.right.isPath || f.right.isRegex):
		return condition{}, unsupported(f.at, "== with anything but a literal on its right")
	}
	steps, fault := c.singular(f.left.path)
	if fault != nil {
		return condition{}, fault
	}
	if len(steps) == 0 || steps[0].isIndex {
		return condition{}, unsupported(f.at, "a filter that does not begin with a name, as @name does")
	}
	cond := condition{steps: steps}
	if f.op == opEqual {
		cond.test = literalOf(f.right)
	}
	return cond, nil
}

func literalOf(o operand) *literal {
	l := &literal{kind: o.kind, text: o.text}
	if o.kind == kindInt || o.kind == kindFloat {
		l.float, _ = strconv.ParseFloat(o.text, 64)
	}
	if n, err := strconv.ParseInt(o.text, 10, 64); o.kind == kindInt && err == nil {
		l.text = strconv.FormatInt(n, 10)
	}
	return l
}
