package jsonpath

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"auscult/mapping/internal/tape"
)

// maxNesting is how deep filters may stand in filters.
const maxNesting = 64

// parser reads one JSONPath expression. A fault is kept and moves the position
// to the end, so that every loop ends and the first fault stands.
type parser struct {
	s      string
	i      int
	depth  int // of filters
	doubts []Fault
	fault  *Fault
	fix    string // of fault, not yet tried
}

// Parse parses a JSONPath expression.
func Parse(s string) (*Path, *Fault) {
	p := &parser{s: s}
	path := p.main()
	if p.fault != nil {
		p.fault.Fix = repair(p.fix, len(p.doubts))
		return nil, p.fault
	}
	limitReach(path.Steps)
	return path, nil
}

// repair returns fix, itself repaired if need be, when that makes it valid
// without raising further doubts.
func repair(fix string, doubts int) string {
	for range maxRepairs {
		if fix == "" {
			break
		}
		p := &parser{s: fix}
		p.main()
		if len(p.doubts) > doubts {
			break
		}
		if p.fault == nil {
			return fix
		}
		fix = p.fix
	}
	return ""
}

// maxRepairs is how many faults of one expression are repaired.
const maxRepairs = 8

// main parses the whole expression. A $ is the root only before a dot or a
// bracket, else the start of a name.
func (p *parser) main() *Path {
	start := p.i
	p.blanks()
	if p.i == len(p.s) {
		return &Path{}
	}
	if p.s[p.i] == '$' {
		if p.i+1 == len(p.s) {
			if p.i > start {
				p.failAt(p.i, "$", "nothing may stand before a $ that is alone")
			}
			return &Path{}
		}
		if c := p.s[p.i+1]; c == '.' || c == '[' {
			p.i++
			start = p.i
		}
	}
	if start < p.i {
		p.doubt(start, p.s[p.i:], "the blanks at the start are part of the first name")
	}
	steps, ended := p.path(start, false)
	if at := p.i; !ended {
		if p.blanks(); p.i < len(p.s) {
			p.unexpected(at)
		}
	}
	return &Path{Steps: steps, Doubts: p.doubts}
}

func (p *parser) fail(fix, format string, args ...any) { p.failAt(p.i, fix, format, args...) }

func (p *parser) failAt(at int, fix, format string, args ...any) {
	if p.fault == nil {
		p.fault, p.fix = &Fault{At: min(at, len(p.s)), Message: fmt.Sprintf(format, args...)}, fix
	}
	p.i = len(p.s)
}

func (p *parser) doubt(at int, fix, format string, args ...any) {
	p.doubts = append(p.doubts, Fault{At: at, Message: fmt.Sprintf(format, args...), Fix: fix})
}

// char returns the character at the current position, 0 at the end.
func (p *parser) char() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

// accept skips text if it comes next.
func (p *parser) accept(text string) bool {
	if !strings.HasPrefix(p.s[p.i:], text) {
		return false
	}
	p.i += len(text)
	return true
}

func (p *parser) blanks() {
	for p.char() == ' ' {
		p.i++
	}
}

// pathReader is the state of reading one path.
type pathReader struct {
	*parser
	steps        []Step
	start        int  // of the name that is being read
	inFilter     bool // an operator ends the path
	scan         bool // after ..
	afterIndexer bool
	afterDot     bool
}

// path parses steps up to the end of the path; names begin at start. In a
// filter an operator ends it. It reports whether the expression ended with it.
func (p *parser) path(start int, inFilter bool) (steps []Step, ended bool) {
	r := pathReader{parser: p, start: start, inFilter: inFilter}
	for p.i < len(p.s) && r.next() {
	}
	ended = p.i == len(p.s)
	switch {
	case p.i > r.start:
		r.member(strings.TrimRightFunc(p.s[r.start:p.i], unicode.IsSpace))
	case r.afterDot && (ended || inFilter):
		p.fail(strings.TrimRight(p.s[:p.i], ".")+p.s[p.i:], "the path ends with a dot: a name or * must follow it")
	}
	return r.steps, ended
}

// next reads one character of a path, or a step in brackets; false at the end.
func (r *pathReader) next() bool {
	switch c := r.s[r.i]; {
	case c == '[' || c == '(':
		r.member(r.s[r.start:r.i])
		r.steps = append(r.steps, r.indexer(c, r.scan))
		r.i = min(r.i+1, len(r.s))
		r.start, r.scan, r.afterIndexer, r.afterDot = r.i, false, true, false
	case c == ']' || c == ')' || c == ' ':
		return false
	case c == '.':
		r.member(r.s[r.start:r.i])
		if r.accept("..") {
			r.scan = true
		} else {
			r.i++
		}
		r.start, r.afterIndexer, r.afterDot = r.i, false, true
	case r.inFilter && strings.IndexByte("=<!>|&", c) >= 0:
		return false
	case r.afterIndexer:
		r.fail(r.s[:r.i]+"."+r.s[r.i:], "unexpected %s behind a bracket: a dot or another bracket must follow it", r.at(r.i))
	default:
		r.i++
	}
	return true
}

// member adds the step of a name that was read; there is none between dots.
func (r *pathReader) member(name string) {
	if r.i <= r.start {
		return
	}
	step := Step{Kind: Name, Scan: r.scan, Name: name, At: r.start}
	if name == "*" {
		step.Kind, step.Name = Wild, ""
	}
	r.steps, r.scan = append(r.steps, step), false
}

// indexer parses what stands in brackets and stops at the closing one.
func (p *parser) indexer(open byte, scan bool) Step {
	at, closing := p.i, byte(']')
	if open == '(' {
		closing = ')'
	}
	p.i++
	p.blanks()
	var step Step
	switch p.char() {
	case '\'':
		step = p.quotedNames(closing)
		step.Scan = scan
	case '?':
		step = p.where(at, closing)
		step.Scan = scan
	default:
		step = p.numbers(at, closing)
		if scan {
			p.doubt(at, "", "the .. before this bracket has no effect: only names, * and filters look deeper")
		}
	}
	step.At = at
	return step
}

// quotedNames parses 'a' and lists of such. What stands where the quote of a
// further name belongs is taken for that quote.
func (p *parser) quotedNames(closing byte) Step {
	var names []string
	for p.i < len(p.s) {
		if c := p.char(); c != '\'' {
			p.doubt(p.i, "", "this is taken for the quote that opens a name: names in a list must all stand in single quotes")
		}
		names = append(names, p.quoted())
		p.blanks()
		switch p.char() {
		case closing:
			if len(names) > 1 {
				return Step{Kind: Names, Names: names}
			}
			return Step{Kind: Name, Name: names[0]}
		case ',':
			p.i++
			p.blanks()
			continue
		}
		break
	}
	if p.i == len(p.s) {
		p.fail(p.s+string(closing), "a list of names does not end: %q is missing", closing)
	}
	p.fail("", "unexpected %s: a quoted name must be followed by a comma or %q", p.at(p.i), closing)
	return Step{}
}

// quoted reads a text with its escapes; the opening quote may be any character.
func (p *parser) quoted() string {
	start := p.i
	_, size := utf8.DecodeRuneInString(p.s[p.i:])
	p.i += size
	var b strings.Builder
	for p.i < len(p.s) {
		c := p.s[p.i]
		p.i++
		switch {
		case c == '\'':
			return b.String()
		case c == '\\' && p.i < len(p.s):
			if strings.IndexByte(`btnfr\"'/`, p.s[p.i]) < 0 {
				p.failAt(p.i-1, p.withoutEscape(), `unknown escape: \b \t \n \f \r \\ \" \' and \/ are known`)
				return ""
			}
			b.WriteByte(tape.Unescaped(p.s[p.i]))
			p.i++
		default:
			b.WriteByte(c)
		}
	}
	p.failAt(start, p.withQuotes(start), "a text in quotes does not end: a single quote is missing")
	return ""
}

// numbers parses indices, lists of them, slices and the asterisk.
func (p *parser) numbers(open int, closing byte) Step {
	r := numberReader{parser: p, open: open, start: p.i, end: -1}
	for p.i < len(p.s) {
		switch c := p.s[p.i]; {
		case c == ' ':
			r.end = p.i
			p.blanks()
		case c == closing:
			return r.step()
		case c == ',':
			r.list = append(r.list, r.number())
			r.separator()
		case c == '*':
			return r.asterisk(closing)
		case c == ':':
			r.bound(true)
			r.separator()
		case c != '-' && c-'0' > 9:
			p.fail(p.bracketFix(open), "unexpected %s in a bracket: an index, a slice, *, a name in single quotes or ?( must stand there", p.at(p.i))
		case r.end >= 0:
			p.fail("", "unexpected %s in a bracket: a comma or a colon must stand between numbers", p.at(p.i))
		default:
			p.i++
		}
	}
	p.fail(p.s+string(closing), "a bracket does not close: %q is missing", closing)
	return Step{}
}

// numberReader is the state of reading the numbers in one bracket. A colon in a
// list loses what stood before it, and a fourth number of a slice replaces the
// third: so it is in Json.NET.
type numberReader struct {
	*parser
	open, start, end int // the number begins at start; end is behind it, or -1 when no blank has followed
	list             []int
	colons           int
	bounds           Bounds
}

// text returns the number that was read.
func (r *numberReader) text() string {
	if r.end < 0 {
		return r.s[r.start:r.i]
	}
	return r.s[r.start:r.end]
}

func (r *numberReader) number() int {
	text := r.text()
	if text == "" {
		r.failAt(r.i, "", "an index is missing")
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		r.failAt(r.start, "", "%q is no index: it must be a whole number of at most 32 bits", text)
	}
	return int(n)
}

// separator skips a comma or colon.
func (r *numberReader) separator() {
	r.i = min(r.i+1, len(r.s))
	r.blanks()
	r.start, r.end = r.i, -1
}

// bound takes a number of a slice, which may be left out.
func (r *numberReader) bound(colon bool) {
	if r.text() != "" {
		switch n := r.number(); r.colons {
		case 0:
			r.bounds.Start, r.bounds.HasStart = n, true
		case 1:
			r.bounds.End, r.bounds.HasEnd = n, true
		default:
			r.bounds.Step, r.bounds.HasStep = n, true
		}
	}
	if colon {
		r.colons++
	}
}

// step makes the step when the bracket closes.
func (r *numberReader) step() Step {
	switch {
	case r.list != nil:
		if r.colons > 0 {
			r.doubt(r.open, "", "a slice in a list is not a slice: only the number behind its last colon counts")
		}
		step := Step{Kind: Indexes, List: append(r.list, r.number())}
		for _, n := range step.List {
			r.negative(n, "")
		}
		return step
	case r.colons > 0:
		r.bound(false)
		if r.colons > 2 {
			r.doubt(r.open, "", "a slice has at most three numbers: only the last of the others counts")
		}
		if r.bounds.HasStep && r.bounds.Step == 0 && r.depth == 0 {
			r.failAt(r.start, "", "a slice cannot step by 0")
		}
		return Step{Kind: Slice, Bounds: r.bounds}
	}
	n := r.number()
	r.negative(n, r.s[:r.open]+lastSlice(n)+r.s[min(r.i+1, len(r.s)):])
	return Step{Kind: Index, Index: n}
}

// negative doubts an index that raises an error on every array.
func (r *numberReader) negative(n int, fix string) {
	if n < 0 {
		r.doubt(r.open, fix, "a negative index fails on every array: use a slice to count from the end")
	}
}

// lastSlice writes the slice that selects element n, counted from the end.
func lastSlice(n int) string {
	if n == -1 {
		return "[-1:]"
	}
	return fmt.Sprintf("[%d:%d]", n, n+1)
}

func (r *numberReader) asterisk(closing byte) Step {
	if r.start != r.i || r.list != nil || r.colons > 0 {
		r.doubt(r.open, "", "the * selects every element: the numbers before it have no effect")
	}
	r.i++
	if r.blanks(); r.i == len(r.s) {
		r.fail(r.s+string(closing), "a bracket does not close: %q is missing", closing)
	} else if r.char() != closing {
		r.fail("", "unexpected %s behind *: %q must follow it", r.at(r.i), closing)
	}
	return Step{Kind: Elements}
}
