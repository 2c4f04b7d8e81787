package jsonpath

import (
	"strings"
	"unicode/utf8"
)

// regex is a compiled regular expression of .NET that is only asked whether it
// matches anywhere. Package regexp cannot stand in: .NET matches UTF-16 units,
// its $ is also before a last newline, its \b and \w know all scripts. What no
// automaton can do (lookaround, backreferences, atomic groups) is refused, so
// matching is linear in the text.
type regex struct {
	program []instruction
}

// maxInstructions is how large a regular expression may become, its counted
// repetitions written out.
const maxInstructions = 4000

// regexFault is a fault in a regular expression.
type regexFault struct {
	at      int // byte position in the pattern
	message string
}

// splitRegex takes /pattern/flags apart. .NET cuts the first character and
// everything from the last slash on, so a text without slashes is none.
func splitRegex(s string) (pattern, flags string, ok bool) {
	last := strings.LastIndexByte(s, '/')
	_, first := utf8.DecodeRuneInString(s)
	if last < first || last < 1 {
		return "", "", false
	}
	return s[first:last], s[last+1:], true
}

// slashless returns the pattern that a text without both slashes was meant as.
func slashless(s string) string {
	return strings.ReplaceAll(strings.TrimPrefix(strings.TrimSuffix(s, "/"), "/"), "/", `\/`)
}

// flags are the options that change what a pattern means. The flag x of a path
// is ExplicitCapture, which changes no answer; x within a pattern lets white
// space stand in it.
type flags struct{ ignoreCase, multiline, dotAll, spaced bool }

func compileRegex(pattern, options string) (*regex, *regexFault) {
	p := &regexParser{s: pattern}
	p.flags = flags{
		ignoreCase: strings.Contains(options, "i"), multiline: strings.Contains(options, "m"), dotAll: strings.Contains(options, "s"),
	}
	tree := p.alternatives()
	if p.fault == nil && p.i < len(p.s) {
		p.fail(p.i, "a ) without its (")
	}
	if p.fault != nil {
		return nil, p.fault
	}
	c := compiler{}
	c.compile(tree)
	c.emit(instruction{op: opFound})
	if len(c.program) > maxInstructions {
		return nil, &regexFault{0, "it is too large; use smaller counts of repetition"}
	}
	return &regex{c.program}, nil
}

// nodeKind is the kind of a part of a regular expression.
type nodeKind uint8

const (
	nodeSet      nodeKind = iota // one unit out of set
	nodeAssert                   // a place between units
	nodeSequence                 // parts, one behind the other
	nodeChoice                   // one of parts
	nodeRepeat                   // parts[0], low to high times; high < 0: without end
)

type node struct {
	kind      nodeKind
	set       *charset
	assert    assertion
	parts     []*node
	low, high int
}

// assertion is a condition on a place in the text.
type assertion uint8

const (
	atStart       assertion = iota // \A ^
	atEnd                          // \z
	atLastLine                     // \Z $: the end, or before a newline there
	atLineStart                    // ^ with m
	atLineEnd                      // $ with m
	atWordEdge                     // \b
	notAtWordEdge                  // \B
)

// opcode is the kind of an instruction.
type opcode uint8

const (
	opSet    opcode = iota // take a unit of set, go on behind
	opSplit                // go on at x and at y
	opJump                 // go on at x
	opAssert               // go on behind if assert holds
	opFound
)

type instruction struct {
	op     opcode
	assert assertion
	x, y   int32
	set    *charset
}

// compiler writes the instructions of a regular expression, but not many more
// than the limit.
type compiler struct{ program []instruction }

func (c *compiler) emit(in instruction) int {
	c.program = append(c.program, in)
	return len(c.program) - 1
}

func (c *compiler) here() int32 { return int32(len(c.program)) }

func (c *compiler) compile(n *node) {
	if len(c.program) > maxInstructions {
		return
	}
	switch n.kind {
	case nodeSet:
		c.emit(instruction{op: opSet, set: n.set})
	case nodeAssert:
		c.emit(instruction{op: opAssert, assert: n.assert})
	case nodeSequence:
		for _, part := range n.parts {
			c.compile(part)
		}
	case nodeChoice:
		c.choice(n.parts)
	case nodeRepeat:
		c.repeat(n)
	}
}

func (c *compiler) choice(parts []*node) {
	var jumps []int
	for _, part := range parts[:len(parts)-1] {
		split := c.emit(instruction{op: opSplit, x: c.here() + 1})
		c.compile(part)
		jumps = append(jumps, c.emit(instruction{op: opJump}))
		c.program[split].y = c.here()
	}
	c.compile(parts[len(parts)-1])
	for _, j := range jumps {
		c.program[j].x = c.here()
	}
}

func (c *compiler) repeat(n *node) {
	part := n.parts[0]
	for range n.low {
		if len(c.program) > maxInstructions {
			return
		}
		before := c.here()
		if c.compile(part); c.here() == before {
			return // nothing, any number of times
		}
	}
	if n.high < 0 {
		split := c.emit(instruction{op: opSplit, x: c.here() + 1})
		c.compile(part)
		c.emit(instruction{op: opJump, x: int32(split)})
		c.program[split].y = c.here()
		return
	}
	var splits []int
	for range n.high - n.low {
		if len(c.program) > maxInstructions {
			return
		}
		splits = append(splits, c.emit(instruction{op: opSplit, x: c.here() + 1}))
		c.compile(part)
	}
	for _, s := range splits {
		c.program[s].y = c.here()
	}
}
