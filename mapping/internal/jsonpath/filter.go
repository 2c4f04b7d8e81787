package jsonpath

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"auscult/mapping/internal/tape"
)

// where parses ?(...) up to the closing bracket of the one at open.
func (p *parser) where(open int, closing byte) Step {
	p.i++
	if p.i < len(p.s) && p.s[p.i] != '(' {
		p.fail(p.parenthesesFix(closing), "a filter must stand in parentheses that follow the ? at once: ?(...)")
	}
	if p.depth++; p.depth > maxNesting {
		p.fail("", "filters are nested deeper than %d levels", maxNesting)
	}
	p.i = min(p.i+1, len(p.s))
	f := p.conditions(closing)
	p.depth--
	p.i = min(p.i+1, len(p.s))
	p.blanks()
	switch {
	case p.i == len(p.s):
		p.fail(p.s+string(closing), "a filter does not end: %q is missing", closing)
	case p.s[p.i] != closing:
		p.fail("", "unexpected %s: a filter is one pair of parentheses and then %q; && and || stand in it without further parentheses", p.at(p.i), closing)
	}
	return Step{Kind: Where, Filter: f}
}

// conditions parses conditions joined by && and ||, which bind to the right:
// a && b || c is a && (b || c). A condition that neither of them nor the closing
// parenthesis follows is lost when another one can be read there.
func (p *parser) conditions(closing byte) *Filter {
	var root, last *Filter // the whole, and what a further condition is added to
	for p.i < len(p.s) {
		f := p.condition(closing)
		if p.char() == ')' {
			if last == nil {
				return f
			}
			last.Parts = append(last.Parts, f)
			return root
		}
		joined := false
		for _, op := range []Op{OpAnd, OpOr} {
			if p.char() != op[0] {
				continue
			}
			if !p.accept(string(op)) {
				p.fail(p.s[:p.i]+string(op[0])+p.s[p.i:], "conditions are joined by && or ||, not by a single sign")
				return f
			}
			root, last = join(root, last, f, op)
			joined = true
		}
		if !joined && p.i < len(p.s) {
			p.doubt(f.At, "", "this condition has no effect: && or || is missing behind it")
		}
	}
	p.fail(p.s+")"+string(closing), "a filter does not end: %q is missing", ")"+string(closing))
	return &Filter{}
}

// join adds condition f, which op follows.
func join(root, last, f *Filter, op Op) (*Filter, *Filter) {
	if last == nil || last.Op != op {
		next := &Filter{Op: op, At: f.At}
		if last != nil {
			last.Parts = append(last.Parts, next)
		}
		if last = next; root == nil {
			root = next
		}
	}
	last.Parts = append(last.Parts, f)
	return root, last
}

func (p *parser) condition(closing byte) *Filter {
	p.blanks()
	f := &Filter{At: p.i}
	f.Left = p.operand(closing)
	if c := p.char(); c == ')' || c == '&' || c == '|' {
		return f
	}
	f.Op = p.operator(closing)
	f.Right = p.operand(closing)
	if f.Op == OpMatch && !f.Right.IsPath && f.Right.Kind == tape.Text {
		f.Right.regex = p.regex(&f.Right)
	}
	return f
}

// operators, the longer ones first.
var operators = []struct {
	text string
	op   Op
}{
	{"===", OpStrictEqual}, {"==", OpEqual}, {"=~", OpMatch}, {"!==", OpStrictNotEqual}, {"!=", OpNotEqual}, {"<>", OpNotEqual},
	{"<=", OpLessOrEqual}, {"<", OpLess}, {">=", OpGreaterOrEqual}, {">", OpGreater},
}

func (p *parser) operator(closing byte) Op {
	for _, o := range operators {
		if p.accept(o.text) {
			return o.op
		}
	}
	p.fail(p.operatorFix(closing), "unexpected %s in a filter: ) && || or one of == != < <= > >= === !== =~ must stand there", p.at(p.i))
	return OpExists
}

func (p *parser) operand(closing byte) Operand {
	p.blanks()
	o := Operand{At: p.i}
	switch c := p.char(); {
	case p.i == len(p.s):
	case c == '@' || c == '$':
		o.IsPath = true
		if c == '$' {
			o.Path = []Step{{Kind: Root, At: p.i}}
		}
		p.i++
		steps, _ := p.path(p.i, true)
		o.Path = append(o.Path, steps...)
	case c == '\'':
		o.Kind, o.Text = tape.Text, p.quoted()
	case c == '-' || c-'0' < 10:
		o.number(p)
	case c == '/':
		o.Kind, o.Text, o.IsRegex = tape.Text, p.slashed(), true
	default:
		o.Kind = p.word()
	}
	if p.blanks(); p.i == len(p.s) {
		p.fail(p.s+")"+string(closing), "a filter does not end: %q is missing", ")"+string(closing))
	}
	o.value.literal(&o)
	return o
}

// number reads a literal, which only a blank or a parenthesis ends.
func (o *Operand) number(p *parser) {
	o.Text = p.s[p.i:]
	if end := strings.IndexAny(o.Text, " )"); end >= 0 {
		o.Text = o.Text[:end]
	}
	text := strings.TrimRight(o.Text, "\t\n\v\f\r") // .NET reads numbers with white space around them
	if o.Kind = tape.Int; strings.ContainsAny(text, ".eE") {
		o.Kind = tape.Float
		f, ok := floatOf([]byte(text))
		if !ok {
			p.fail(p.numberFix(o.Text), "%q is no number: a number must be followed by a blank or )", o.Text)
			return
		}
		o.value.float = f
		p.i += len(o.Text)
		return
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		p.fail(p.numberFix(o.Text), "%q is no whole number of 64 bits: a number must be followed by a blank or )", o.Text)
		return
	}
	p.i += len(o.Text)
	o.Text, o.value.int = strconv.FormatInt(n, 10), n
}

// slashed reads /pattern/flags; any letter counts as a flag.
func (p *parser) slashed() string {
	start := p.i
	for p.i++; p.i < len(p.s) && p.s[p.i] != '/'; p.i++ {
		if p.s[p.i] == '\\' {
			p.i++
		}
	}
	if p.i >= len(p.s) {
		p.failAt(start, "", "a regular expression does not end: / is missing")
		return ""
	}
	p.i++
	for p.i < len(p.s) {
		r, size := utf8.DecodeRuneInString(p.s[p.i:])
		if !unicode.IsLetter(r) {
			break
		}
		p.i += size
	}
	return p.s[start:p.i]
}

// regex compiles the regular expression that =~ matches with.
func (p *parser) regex(o *Operand) *regex {
	pattern, flags, ok := splitRegex(o.Text)
	if !ok {
		p.failAt(o.At, p.s[:o.At]+"/"+slashless(o.Text)+"/"+p.s[p.i:], "=~ needs a regular expression between slashes: /pattern/")
		return nil
	}
	r, fault := compileRegex(pattern, flags)
	if fault != nil && p.fault == nil {
		at := o.At
		if o.IsRegex {
			at += 1 + fault.at
		}
		p.failAt(at, "", "the regular expression cannot be used: %s", fault.message)
	}
	return r
}

func (p *parser) word() tape.Kind {
	switch {
	case p.accept("true"):
		return tape.True
	case p.accept("false"):
		return tape.False
	case p.accept("null"):
		return tape.Null
	}
	p.fail(p.operandFix(), "unexpected %s in a filter: @ or $ with a path, a text in single quotes, a number, true, false, null or /pattern/ must stand there", p.at(p.i))
	return tape.Invalid
}
