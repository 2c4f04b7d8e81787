package mapping

import (
	"fmt"
	"strconv"

	"auscult/mapping/internal/jmespath"
	"auscult/mapping/internal/jsonpath"
	"auscult/mapping/internal/tape"
)

// fault is what is wrong with an expression.
type fault struct {
	at      int // byte position in the expression
	message string
	fix     string
}

// compiler turns expressions into plans and hands out their numbers.
type compiler struct {
	names  *tape.NameSet
	chains map[string]*chain
	keep   tape.Keep
	plain  bool // plan nothing, so that tests can compare: the languages evaluate everything
}

func newCompiler() *compiler {
	return &compiler{names: tape.NewNameSet(), chains: map[string]*chain{}}
}

func (c *compiler) needs(k tape.Keep) { c.keep = max(c.keep, k) }

// matchedToken is the name under which CalculatedContent finds its match.
const matchedToken = "matchedToken"

// expression compiles what gives one value. With whole it starts at the
// envelope, to which the match is added as matchedToken; else the match is all
// it sees.
func (c *compiler) expression(text string, language int, whole bool) (expression, *fault) {
	if language == languageJmes {
		x, f := jmespath.Parse(text)
		if f != nil {
			return nil, &fault{f.At, f.Message, f.Fix}
		}
		x.Bind(c.names)
		c.needs(x.Needs())
		if steps, ok := x.Chain(); ok && !c.plain {
			return c.chain(steps, whole), nil
		}
		return &jmesExpression{expr: x, whole: whole}, nil
	}
	p, f := jsonpath.Parse(text)
	if f != nil {
		return nil, &fault{f.At, f.Message, f.Fix}
	}
	p.Bind(c.names)
	c.needs(p.Needs())
	if steps, ok := p.Chain(); ok && !c.plain {
		return c.chain(steps, whole), nil
	}
	return &pathExpression{path: p, whole: whole}, nil
}

// chain returns the chain of steps; equal ones are one.
func (c *compiler) chain(steps []tape.Step, whole bool) expression {
	fromMatch := !whole
	if whole && len(steps) > 0 && !steps[0].IsIndex && steps[0].Name == c.names.ID(matchedToken) {
		steps, fromMatch = steps[1:], true
	}
	key := fmt.Sprint(fromMatch, steps)
	if known := c.chains[key]; known != nil {
		return known
	}
	ch := &chain{fromMatch: fromMatch, steps: steps, memo: len(c.chains)}
	c.chains[key] = ch
	return ch
}

// match compiles what finds the matches of a template: a scan, a chain, or
// whatever the language gives.
func (c *compiler) match(text string, language int) (*scan, matcher, *fault) {
	if language == languageJmes {
		x, f := jmespath.Parse(text)
		if f != nil {
			return nil, nil, &fault{f.At, f.Message, f.Fix}
		}
		x.Bind(c.names)
		c.needs(x.Needs())
		return nil, &jmesMatcher{x}, nil
	}
	p, f := jsonpath.Parse(text)
	if f != nil {
		return nil, nil, &fault{f.At, f.Message, f.Fix}
	}
	p.Bind(c.names)
	c.needs(p.Needs())
	if c.plain {
		return nil, &pathMatcher{p}, nil
	}
	if s := c.scan(p); s != nil {
		return s, nil, nil
	}
	if steps, ok := p.Chain(); ok {
		return nil, &chain{steps: steps}, nil
	}
	return nil, &pathMatcher{p}, nil
}

// scan returns the plan of a path that ends with ..[?(@a && @b.c == 'x')]; nil
// when the path is another one.
func (c *compiler) scan(p *jsonpath.Path) *scan {
	last := len(p.Steps) - 1
	if last < 0 || p.Steps[last].Kind != jsonpath.Where || !p.Steps[last].Scan {
		return nil
	}
	within, ok := (&jsonpath.Path{Steps: p.Steps[:last]}).Chain()
	if !ok {
		return nil
	}
	s := &scan{within: within}
	filter := p.Steps[last].Filter
	parts := []*jsonpath.Filter{filter}
	if filter.Op == jsonpath.OpAnd {
		parts = filter.Parts
	}
	for _, f := range parts {
		cond, ok := conditionOf(f)
		if !ok {
			return nil
		}
		s.conditions = append(s.conditions, cond)
		s.required |= 1 << (cond.steps[0].Name & 63)
	}
	return s
}

// conditionOf returns the plan of one condition, if it has one.
func conditionOf(f *jsonpath.Filter) (condition, bool) {
	if f.Op != jsonpath.OpExists && f.Op != jsonpath.OpEqual || !f.Left.IsPath {
		return condition{}, false
	}
	if f.Op == jsonpath.OpEqual && (f.Right.IsPath || f.Right.IsRegex) {
		return condition{}, false
	}
	steps, ok := (&jsonpath.Path{Steps: f.Left.Path}).Chain()
	if !ok || len(steps) == 0 || steps[0].IsIndex {
		return condition{}, false
	}
	cond := condition{steps: steps}
	if f.Op == jsonpath.OpEqual {
		cond.test = literalOf(f.Right)
	}
	return cond, true
}

func literalOf(o jsonpath.Operand) *literal {
	l := &literal{kind: o.Kind, text: o.Text}
	if o.Kind == tape.Int || o.Kind == tape.Float {
		l.float, _ = strconv.ParseFloat(o.Text, 64)
	}
	if n, err := strconv.ParseInt(o.Text, 10, 64); o.Kind == tape.Int && err == nil {
		l.text = strconv.FormatInt(n, 10)
	}
	return l
}
