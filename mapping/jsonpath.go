package mapping

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// This is the grammar of Json.NET's SelectTokens, not RFC 9535: names may hold
// dashes, a filter after .. tests the start token too, a leading $ may be left
// out. The parser reads all of it; what the engine cannot evaluate yet is said
// when the path is compiled.

// stepKind is the kind of one step of a path.
type stepKind uint8

const (
	stepName     stepKind = iota // .name ['name']
	stepNames                    // ['a','b']
	stepIndex                    // [0]
	stepIndexes                  // [0,1]
	stepSlice                    // [a:b:c]
	stepWild                     // .* [*]
	stepFilter                   // [?(...)]
	stepRootPath                 // $ at the start of a path in a filter
)

// pathStep is one step of a parsed path.
type pathStep struct {
	kind   stepKind
	scan   bool // after ..
	name   string
	index  int
	filter *filterExpr
	at     int // byte position in the expression
}

// Operators of filters.
const (
	opExists = ""
	opEqual  = "=="
	opAnd    = "&&"
	opOr     = "||"
)

// filterExpr is a condition, or with opAnd and opOr several.
type filterExpr struct {
	op          string
	left, right operand
	parts       []*filterExpr
	at          int
}

// operand is one side of a condition: a path or a literal.
type operand struct {
	path    []pathStep
	isPath  bool
	kind    kind // of the literal
	text    string
	isRegex bool
}

// pathError is a fault in an expression.
type pathError struct {
	at          int // byte position
	message     string
	unsupported bool // valid, but not for us yet
}

func (e *pathError) Error() string { return e.message }

// pathParser reads one JSONPath expression. A fault is kept and moves the
// position to the end, so that every loop ends and the first fault stands.
type pathParser struct {
	s     string
	i     int
	fault *pathError
}

// parsePath parses a JSONPath expression.
func parsePath(s string) ([]pathStep, *pathError) {
	p := &pathParser{s: s}
	p.blanks()
	start := p.i
	if p.char() == '$' {
		if p.i+1 == len(s) {
			return nil, nil
		}
		if c := s[p.i+1]; c == '.' || c == '[' { // else a name that begins with $
			p.i++
			start = p.i
		}
	}
	steps, ended := p.path(start, false)
	if at := p.i; !ended {
		if p.blanks(); p.i < len(s) {
			p.failAt(at, "unexpected %q", s[at])
		}
	}
	return steps, p.fault
}

func (p *pathParser) fail(format string, args ...any) { p.failAt(p.i, format, args...) }

func (p *pathParser) failAt(at int, format string, args ...any) {
	if p.fault == nil {
		p.fault = &pathError{at: min(at, len(p.s)), message: fmt.Sprintf(format, args...)}
	}
	p.i = len(p.s)
}

// char returns the character at the current position, 0 at the end.
func (p *pathParser) char() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

func (p *pathParser) blanks() {
	for p.char() == ' ' {
		p.i++
	}
}

// path parses steps up to the end of the path; names begin at start. In a
// filter an operator ends it. It reports whether the expression ended with it.
func (p *pathParser) path(start int, inFilter bool) (steps []pathStep, ended bool) {
	scan, afterIndexer, afterDot := false, false, false
	member := func() {
		if p.i > start {
			steps = append(steps, memberStep(p.s[start:p.i], scan, start))
			scan = false
		}
	}
loop:
	for p.i < len(p.s) {
		switch c := p.s[p.i]; {
		case c == '[' || c == '(':
			member()
			steps = append(steps, p.indexer(c, scan))
			scan = false
			p.i = min(p.i+1, len(p.s))
			start, afterIndexer, afterDot = p.i, true, false
		case c == ']' || c == ')' || c == ' ':
			break loop
		case c == '.':
			member()
			if strings.HasPrefix(p.s[p.i:], "..") {
				scan = true
				p.i++
			}
			p.i++
			start, afterIndexer, afterDot = p.i, false, true
		case inFilter && strings.IndexByte("=<!>|&", c) >= 0:
			break loop
		case afterIndexer:
			p.fail("unexpected %q after a bracket", c)
		default:
			p.i++
		}
	}
	ended = p.i == len(p.s)
	if p.i > start {
		steps = append(steps, memberStep(strings.TrimRight(p.s[start:p.i], " "), scan, start))
	} else if afterDot && (ended || inFilter) {
		p.fail("the path ends with a dot")
	}
	return steps, ended
}

func memberStep(name string, scan bool, at int) pathStep {
	if name == "*" {
		return pathStep{kind: stepWild, scan: scan, at: at}
	}
	return pathStep{kind: stepName, scan: scan, name: name, at: at}
}

// indexer parses what stands in brackets and stops at the closing one.
func (p *pathParser) indexer(open byte, scan bool) pathStep {
	closing := byte(']')
	if open == '(' {
		closing = ')'
	}
	at := p.i
	p.i++
	p.blanks()
	var step pathStep
	switch p.char() {
	case '\'':
		step = p.quotedNames(closing)
	case '?':
		step = p.filter(closing)
	default:
		step = p.indexes(closing)
	}
	step.scan, step.at = scan, at
	return step
}

func (p *pathParser) quotedNames(closing byte) pathStep {
	var names []string
	for {
		names = append(names, p.quoted())
		p.blanks()
		switch p.char() {
		case closing:
			if len(names) > 1 {
				return pathStep{kind: stepNames}
			}
			return pathStep{kind: stepName, name: names[0]}
		case ',':
			p.i++
			if p.blanks(); p.char() == '\'' {
				continue
			}
		}
		p.fail("a quoted name must be followed by %q", closing)
		return pathStep{}
	}
}

// quoted reads 'text' with its escapes.
func (p *pathParser) quoted() string {
	start := p.i
	p.i++
	var b strings.Builder
	for ; p.i < len(p.s); p.i++ {
		switch c := p.s[p.i]; c {
		case '\'':
			p.i++
			return b.String()
		case '\\':
			p.i++
			if strings.IndexByte(`btnfr\"'/`, p.char()) < 0 {
				p.fail("unknown escape in a quoted text")
				return ""
			}
			b.WriteByte(unescaped(p.char()))
		default:
			b.WriteByte(c)
		}
	}
	p.failAt(start, "a quoted text does not end")
	return ""
}

// indexes parses numbers, lists, slices and the asterisk.
func (p *pathParser) indexes(closing byte) pathStep {
	start := p.i
	end := strings.IndexByte(p.s[p.i:], closing)
	if end < 0 {
		p.fail("a bracket does not close")
		return pathStep{}
	}
	p.i += end
	text := strings.TrimRight(p.s[start:p.i], " ")
	switch {
	case text == "":
		p.failAt(start, "an index is missing")
		return pathStep{}
	case text == "*":
		return pathStep{kind: stepWild}
	case strings.Contains(text, ":"):
		p.integers(start, text, ":", 3, true)
		return pathStep{kind: stepSlice}
	case strings.Contains(text, ","):
		p.integers(start, text, ",", len(text), false)
		return pathStep{kind: stepIndexes}
	}
	step := pathStep{kind: stepIndex}
	for _, n := range p.integers(start, text, ",", 1, false) {
		step.index = n
	}
	return step
}

// integers checks the numbers of a list or slice.
func (p *pathParser) integers(at int, text, separator string, limit int, mayLack bool) []int {
	parts := strings.Split(text, separator)
	if len(parts) > limit {
		p.failAt(at, "too many numbers in a slice")
	}
	var ns []int
	for i, part := range parts {
		part = strings.TrimSpace(part)
		if part == "" && mayLack {
			continue
		}
		n, err := strconv.ParseInt(part, 10, 32)
		if err != nil {
			p.failAt(at, "%q is no index", part)
			return nil
		}
		if mayLack && i == 2 && n == 0 {
			p.failAt(at, "a slice cannot step by 0")
		}
		ns = append(ns, int(n))
	}
	return ns
}

// filter parses ?(...) up to the closing bracket.
func (p *pathParser) filter(closing byte) pathStep {
	p.i++
	if p.char() != '(' {
		p.fail("a filter must be written ?(...)")
		return pathStep{}
	}
	p.i++
	f := p.conditions()
	p.i = min(p.i+1, len(p.s))
	p.blanks()
	if p.char() != closing {
		p.fail("a filter must end with )%c", closing)
	}
	return pathStep{kind: stepFilter, filter: f}
}

// conditions parses conditions joined by && and ||, which bind to the right:
// a && b || c is a && (b || c).
func (p *pathParser) conditions() *filterExpr {
	at := p.i
	left := p.condition()
	switch c := p.char(); c {
	case ')':
		return left
	case '&', '|':
		op := strings.Repeat(string(c), 2)
		if !strings.HasPrefix(p.s[p.i:], op) {
			break
		}
		p.i += 2
		right := p.conditions()
		if right.op == op && op == opAnd {
			return &filterExpr{op: op, parts: append([]*filterExpr{left}, right.parts...), at: at}
		}
		return &filterExpr{op: op, parts: []*filterExpr{left, right}, at: at}
	}
	p.fail("a filter must end with ) or go on with && or ||")
	return left
}

func (p *pathParser) condition() *filterExpr {
	f := &filterExpr{at: p.i}
	f.left = p.operand()
	if c := p.char(); c == ')' || c == '&' || c == '|' {
		return f
	}
	f.op = p.operator()
	f.right = p.operand()
	return f
}

// operators, the longer ones first.
var operators = []string{"===", "!==", opEqual, "=~", "!=", "<>", "<=", ">=", "<", ">"}

func (p *pathParser) operator() string {
	for _, op := range operators {
		if strings.HasPrefix(p.s[p.i:], op) {
			p.i += len(op)
			return op
		}
	}
	p.fail("no operator that filters know")
	return ""
}

func (p *pathParser) operand() operand {
	p.blanks()
	var o operand
	switch c := p.char(); {
	case c == '@' || c == '$':
		o.isPath = true
		p.i++
		steps, ended := p.path(p.i, true)
		if ended {
			p.fail("a filter does not end")
		}
		if c == '$' {
			steps = append([]pathStep{{kind: stepRootPath}}, steps...)
		}
		o.path = steps
	case c == '\'':
		o.kind, o.text = kindText, p.quoted()
	case c == '-' || c-'0' < 10:
		o.kind, o.text = p.number()
	case c == '/':
		o.isRegex, o.text = true, p.regex()
	default:
		o.kind, o.text = p.word()
	}
	if p.blanks(); p.i == len(p.s) {
		p.fail("a filter does not end")
	}
	return o
}

// number reads a literal, which only a blank or a parenthesis ends.
func (p *pathParser) number() (kind, string) {
	start := p.i
	for c := p.char(); p.i < len(p.s) && c != ' ' && c != ')'; c = p.char() {
		p.i++
	}
	text := p.s[start:p.i]
	if strings.ContainsAny(text, ".eE") {
		if f, err := strconv.ParseFloat(text, 64); err != nil && !math.IsInf(f, 0) {
			p.failAt(start, "%q is no number; a number ends with a blank or )", text)
		}
		return kindFloat, text
	}
	if _, err := strconv.ParseInt(text, 10, 64); err != nil {
		p.failAt(start, "%q is no number; a number ends with a blank or )", text)
	}
	return kindInt, text
}

// regex skips /pattern/flags.
func (p *pathParser) regex() string {
	start := p.i
	for p.i++; p.i < len(p.s) && p.s[p.i] != '/'; p.i++ {
		if p.s[p.i] == '\\' {
			p.i++
		}
	}
	if p.i >= len(p.s) {
		p.failAt(start, "a regular expression does not end")
		return ""
	}
	for p.i++; strings.IndexByte("imsx", p.char()) >= 0 && p.char() != 0; {
		p.i++
	}
	return p.s[start:p.i]
}

func (p *pathParser) word() (kind, string) {
	for word, k := range map[string]kind{"true": kindTrue, "false": kindFalse, "null": kindNull} {
		if strings.HasPrefix(p.s[p.i:], word) {
			p.i += len(word)
			return k, word
		}
	}
	p.fail("unexpected %q in a filter", p.char())
	return kindNone, ""
}
