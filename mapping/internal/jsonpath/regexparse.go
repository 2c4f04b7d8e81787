package jsonpath

import (
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits on what a regular expression costs to read.
const (
	maxGroups = 100     // how deep groups and sets may be nested
	maxUnits  = 1 << 17 // ranges of all sets, and characters whose case is looked up
)

// regexParser reads the regular expressions of .NET. As in paths, the first
// fault stands and ends the reading.
type regexParser struct {
	s     string
	i     int
	depth int
	units int // spent of maxUnits
	flags flags
	fault *regexFault
}

func (p *regexParser) fail(at int, message string) {
	if p.fault == nil {
		p.fault = &regexFault{min(at, len(p.s)), message}
	}
	p.i = len(p.s)
}

func (p *regexParser) char() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

func (p *regexParser) accept(text string) bool {
	if !strings.HasPrefix(p.s[p.i:], text) {
		return false
	}
	p.i += len(text)
	return true
}

// rune reads one character.
func (p *regexParser) rune() rune {
	r, size := utf8.DecodeRuneInString(p.s[p.i:])
	p.i += size
	return r
}

// alternatives parses up to the ) that ends the group. Flags that are set in it
// end with it.
func (p *regexParser) alternatives() *node {
	if p.depth++; p.depth > maxGroups {
		p.fail(p.i, "its groups are nested too deep")
	}
	outer := p.flags
	choice := &node{kind: nodeChoice, parts: []*node{p.sequence()}}
	for p.accept("|") {
		choice.parts = append(choice.parts, p.sequence())
	}
	p.depth--
	p.flags = outer
	if len(choice.parts) == 1 {
		return choice.parts[0]
	}
	return choice
}

func (p *regexParser) sequence() *node {
	seq := &node{kind: nodeSequence}
	for p.blanks(); p.i < len(p.s) && p.s[p.i] != '|' && p.s[p.i] != ')'; p.blanks() {
		if part := p.repeated(); part != nil {
			seq.parts = append(seq.parts, part)
		}
	}
	return seq
}

// blanks skips comments, and white space where that means nothing.
func (p *regexParser) blanks() {
	for p.i < len(p.s) {
		switch c := p.s[p.i]; {
		case strings.HasPrefix(p.s[p.i:], "(?#"):
			end := strings.IndexByte(p.s[p.i:], ')')
			if end < 0 {
				p.fail(p.i, "a comment does not end")
				return
			}
			p.i += end + 1
		case p.flags.spaced && (c == ' ' || c >= '\t' && c <= '\r'):
			p.i++
		case p.flags.spaced && c == '#':
			if end := strings.IndexByte(p.s[p.i:], '\n'); end >= 0 {
				p.i += end
			} else {
				p.i = len(p.s)
			}
		default:
			return
		}
	}
}

// repeated parses one part and how often it may come.
func (p *regexParser) repeated() *node {
	at := p.i
	part := p.part()
	low, high, ok := p.count()
	if !ok {
		return part
	}
	if part == nil {
		p.fail(at, "flags cannot be repeated")
		return nil
	}
	p.accept("?") // lazy: as many ways to match, tried in another order
	p.blanks()
	next := p.i
	if _, _, again := p.count(); again {
		p.fail(next, "a repetition of a repetition; put a group around the first")
	}
	return &node{kind: nodeRepeat, parts: []*node{part}, low: low, high: high}
}

// count parses * + ? and {n,m}. Other braces are plain characters.
func (p *regexParser) count() (low, high int, ok bool) {
	p.blanks()
	switch {
	case p.accept("*"):
		return 0, -1, true
	case p.accept("+"):
		return 1, -1, true
	case p.accept("?"):
		return 0, 1, true
	case p.char() != '{':
		return 0, 0, false
	}
	at := p.i
	end := strings.IndexByte(p.s[at:], '}')
	if end < 0 {
		return 0, 0, false
	}
	first, last, isRange := strings.Cut(p.s[at+1:at+end], ",")
	if !isDigits([]byte(first+last)) || first == "" {
		return 0, 0, false
	}
	low = p.atoi(at, first)
	switch high = low; {
	case isRange && last == "":
		high = -1
	case isRange:
		high = p.atoi(at, last)
	}
	if high >= 0 && high < low {
		p.fail(at, "a repetition whose first count is above its last")
		return 0, 0, false
	}
	p.i = min(at+end+1, len(p.s))
	return low, high, true
}

func (p *regexParser) atoi(at int, digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil || n > math.MaxInt32 {
		p.fail(at, "a repetition with too large a count")
	}
	return n
}

// part parses one character, set, assertion or group.
func (p *regexParser) part() *node {
	at := p.i
	switch r := p.rune(); r {
	case '(':
		return p.group(at)
	case '[':
		return &node{kind: nodeSet, set: p.class(at)}
	case '\\':
		return p.escape(at)
	case '.':
		if p.flags.dotAll {
			return &node{kind: nodeSet, set: anySet}
		}
		return &node{kind: nodeSet, set: lineSet}
	case '^':
		if p.flags.multiline {
			return &node{kind: nodeAssert, assert: atLineStart}
		}
		return &node{kind: nodeAssert, assert: atStart}
	case '$':
		if p.flags.multiline {
			return &node{kind: nodeAssert, assert: atLineEnd}
		}
		return &node{kind: nodeAssert, assert: atLastLine}
	case '*', '+', '?', '{':
		p.i = at
		if _, _, ok := p.count(); ok {
			p.fail(at, "a repetition of nothing; to match the character itself write a backslash before it")
			return nil
		}
		p.i = min(at+1, len(p.s))
		return p.literal(r)
	default:
		return p.literal(r)
	}
}

// literal is the node of one character.
func (p *regexParser) literal(r rune) *node {
	if r > maxUnit {
		first, second := utf16.EncodeRune(r)
		return &node{kind: nodeSequence, parts: []*node{p.literal(first), p.literal(second)}}
	}
	set := &charset{}
	p.addRange(set, r, r)
	return &node{kind: nodeSet, set: set.settle()}
}

// charge spends units.
func (p *regexParser) charge(units int) {
	if p.units += units; p.units > maxUnits {
		p.fail(p.i, "its sets are too large")
	}
}

func (p *regexParser) addRange(set *charset, low, high rune) {
	if p.flags.ignoreCase {
		p.charge(int(high - low))
		set.addFolded(low, high)
	} else {
		set.add(low, high)
	}
}

// unsupported are the groups that no automaton can match.
var unsupported = []struct{ open, what string }{
	{"?<=", "lookbehind (?<=...)"}, {"?<!", "lookbehind (?<!...)"}, {"?=", "lookahead (?=...)"}, {"?!", "lookahead (?!...)"},
	{"?>", "an atomic group (?>...)"}, {"?(", "a condition (?(...)...)"},
}

// group parses what follows the ( at at; nil when that only sets flags.
func (p *regexParser) group(at int) *node {
	for _, u := range unsupported {
		if strings.HasPrefix(p.s[p.i:], u.open) {
			p.fail(at, u.what+" is not supported")
			return nil
		}
	}
	outer := p.flags
	if p.accept("?") && !p.name() && !p.accept(":") {
		if !p.setFlags(at) {
			return nil
		}
		if p.accept(")") { // the flags hold to the end of the group around
			return nil
		}
		p.i = min(p.i+1, len(p.s)) // the colon that setFlags has seen
	}
	inner := p.alternatives()
	p.flags = outer
	if !p.accept(")") {
		p.fail(at, "a ( without its )")
	}
	return inner
}

// name parses the <name> or 'name' of a group, which changes no answer.
func (p *regexParser) name() bool {
	closing := byte('>')
	switch p.char() {
	case '<':
	case '\'':
		closing = '\''
	default:
		return false
	}
	at := p.i
	end := strings.IndexByte(p.s[p.i+1:], closing)
	if end < 0 {
		p.fail(at, "the name of a group does not end")
		return true
	}
	name := p.s[p.i+1 : p.i+1+end]
	switch {
	case strings.Contains(name, "-"):
		p.fail(at, "a balancing group (?<a-b>...) is not supported")
	case name == "" || strings.ContainsFunc(name, func(r rune) bool { return !isWord(r) }) || name[0]-'0' < 10 && (!isDigits([]byte(name)) || name[0] == '0'):
		p.fail(at, "the name of a group must be a word or a number")
	default:
		p.i += end + 2
	}
	return true
}

// setFlags parses the flags imnsx-imnsx, which a ) or colon must follow.
func (p *regexParser) setFlags(at int) bool {
	on := true
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case 'i', 'I':
			p.flags.ignoreCase = on
		case 'm', 'M':
			p.flags.multiline = on
		case 's', 'S':
			p.flags.dotAll = on
		case 'x', 'X':
			p.flags.spaced = on
		case 'n', 'N':
		case '+':
			on = true
		case '-':
			on = false
		case ')', ':':
			return true
		default:
			p.fail(at, "a group that begins with (? and is none that .NET knows")
			return false
		}
		p.i++
	}
	p.fail(at, "a ( without its )")
	return false
}

// escape parses what follows the backslash at at, outside of sets.
func (p *regexParser) escape(at int) *node {
	assertions := map[byte]assertion{'A': atStart, 'z': atEnd, 'Z': atLastLine, 'b': atWordEdge, 'B': notAtWordEdge}
	c := p.char()
	if a, ok := assertions[c]; ok {
		p.i++
		return &node{kind: nodeAssert, assert: a}
	}
	switch {
	case c == 'G':
		p.fail(at, `\G is not supported`)
	case c == 'k' || c >= '1' && c <= '9':
		p.fail(at, `a backreference is not supported`)
	}
	if set := p.setEscape(at); set != nil {
		return &node{kind: nodeSet, set: set}
	}
	return p.literal(p.charEscape(at))
}

// setEscape parses the escapes that stand for sets; nil for others.
func (p *regexParser) setEscape(at int) *charset {
	c := p.char()
	var set *charset
	switch c | 0x20 {
	case 'd':
		set = digitSet
	case 's':
		set = spaceSet
	case 'w':
		set = wordSet
	case 'p':
		if set = p.category(at); set == nil {
			return nil
		}
	default:
		return nil
	}
	p.i = min(p.i+1, len(p.s))
	p.charge(len(set.ranges))
	if c&0x20 == 0 {
		return set.negated()
	}
	return set
}

// category parses p{Name} up to the brace.
func (p *regexParser) category(at int) *charset {
	end := strings.IndexByte(p.s[p.i:], '}')
	if end < 3 || p.s[p.i+1] != '{' {
		p.fail(at, `\p must be followed by {name}`)
		return nil
	}
	set := categorySet(p.s[p.i+2:p.i+end], p.flags.ignoreCase)
	if set == nil {
		p.fail(at, "no Unicode category that is known: those such as L, Lu, Nd are; blocks such as IsGreek are not supported")
		return nil
	}
	p.i += end
	return set
}

// letterEscapes stand for control characters.
var letterEscapes = map[rune]rune{'t': '\t', 'n': '\n', 'r': '\r', 'f': '\f', 'v': '\v', 'a': '\a', 'e': 0x1B}

// charEscape parses the escapes that stand for one character.
func (p *regexParser) charEscape(at int) rune {
	if p.i == len(p.s) {
		p.fail(at, "a backslash at the end")
		return 0
	}
	r := p.rune()
	if control, ok := letterEscapes[r]; ok {
		return control
	}
	switch {
	case r == 'x':
		return p.number(at, 2, 2, 16)
	case r == 'u':
		return p.number(at, 4, 4, 16)
	case r >= '0' && r <= '7':
		p.i--
		return p.number(at, 1, 3, 8) & 0xFF
	case r == 'c':
		return p.control(at)
	case isWord(r):
		p.fail(at, "an escape that .NET does not know")
	}
	return r
}

// number parses low to high digits.
func (p *regexParser) number(at, low, high, base int) rune {
	n := 0
	for n < high && p.i+n < len(p.s) && digitValue(p.s[p.i+n]) < base {
		n++
	}
	if n < low {
		p.fail(at, "an escape with too few digits")
		return 0
	}
	v, _ := strconv.ParseInt(p.s[p.i:p.i+n], base, 32)
	p.i += n
	return rune(v)
}

func digitValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return 16
}

func (p *regexParser) control(at int) rune {
	if p.i < len(p.s) {
		if c := unicode.ToUpper(p.rune()); c >= '@' && c <= '_' {
			return c - '@'
		}
	}
	p.fail(at, `\c must be followed by a letter`)
	return 0
}

// class parses a set up to its ].
func (p *regexParser) class(at int) *charset {
	if p.depth++; p.depth > maxGroups {
		p.fail(p.i, "its sets are nested too deep")
	}
	set, negated := &charset{}, p.accept("^")
	var minus *charset
	for first := true; ; first = false {
		switch {
		case p.i == len(p.s):
			p.fail(at, "a [ without its ]")
			return set.settle()
		case !first && p.accept("]"):
			p.depth--
			set.settle()
			if negated {
				set = set.negated()
			}
			if minus != nil {
				set = set.without(minus)
			}
			return set
		case !first && p.accept("-["):
			if minus = p.class(p.i - 1); p.char() != ']' {
				p.fail(p.i, "a subtraction must end its set")
			}
		default:
			p.member(set)
		}
	}
}

// member parses one character, range or escape of a set.
func (p *regexParser) member(set *charset) {
	at := p.i
	low, isSet := p.classChar(set)
	if isSet {
		return
	}
	if p.char() != '-' || p.i+1 >= len(p.s) || p.s[p.i+1] == ']' {
		p.addChar(set, low)
		return
	}
	if p.s[p.i+1] == '[' { // a subtraction follows
		p.addChar(set, low)
		return
	}
	p.i++
	high, isSet := p.classChar(set)
	switch {
	case isSet:
		p.fail(at, "a range that ends with a set")
	case high > maxUnit || low > maxUnit:
		p.fail(at, "a range beyond U+FFFF is not supported")
	case high < low:
		p.fail(at, "a range whose first character is behind its last")
	default:
		p.addRange(set, low, high)
	}
}

// classChar parses one character of a set, or adds the set that an escape
// stands for.
func (p *regexParser) classChar(set *charset) (r rune, isSet bool) {
	at := p.i
	if r = p.rune(); r != '\\' {
		return r, false
	}
	if p.accept("b") {
		return '\b', false
	}
	if sub := p.setEscape(at); sub != nil {
		set.addSet(sub)
		return 0, true
	}
	return p.charEscape(at), false
}

// addChar adds a character, both units of a long one.
func (p *regexParser) addChar(set *charset, r rune) {
	if r > maxUnit {
		first, second := utf16.EncodeRune(r)
		set.add(first, first)
		set.add(second, second)
		return
	}
	p.addRange(set, r, r)
}
