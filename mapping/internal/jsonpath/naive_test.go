package jsonpath

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"auscult/mapping/internal/dotnet"
	"auscult/mapping/internal/tape"
)

// token is the plain form of a document: what Json.NET calls a JToken. A
// property is a token of its own with one child.
type token struct {
	kind     string // object, array, property, string, date, int, float, bool, null
	name     string // of a property
	children []*token
	text     string
	node     uint32 // what Select calls it
}

// readToken reads the JSON text and finds for each token its node.
func readToken(t *tape.Tape, raw json.RawMessage, i uint32) *token {
	v := &token{node: i, text: string(raw)}
	switch raw = bytes.TrimSpace(raw); raw[0] {
	case '{':
		v.kind = "object"
		d := json.NewDecoder(bytes.NewReader(raw))
		_, _ = d.Token()
		for k := i + 1; d.More(); k += t.Nodes[k].Size {
			name, _ := d.Token()
			var member json.RawMessage
			_ = d.Decode(&member)
			value := readToken(t, member, t.Resolve(k))
			v.children = append(v.children, &token{kind: "property", name: name.(string), children: []*token{value}, node: k | Property})
		}
	case '[':
		v.kind = "array"
		var elements []json.RawMessage
		_ = json.Unmarshal(raw, &elements)
		k := i + 1
		for _, element := range elements {
			v.children = append(v.children, readToken(t, element, t.Resolve(k)))
			k += t.Nodes[k].Size
		}
	case '"':
		v.kind = "string"
		_ = json.Unmarshal(raw, &v.text)
		if _, ok := dotnet.DateToken([]byte(v.text)); ok {
			v.kind = "date"
		}
	case 't', 'f':
		v.kind = "bool"
	case 'n':
		v.kind = "null"
	default:
		v.kind = "int"
		if bytes.ContainsAny(raw, ".eE") {
			v.kind = "float"
		}
	}
	return v
}

// naive evaluates as Json.NET does: each step is a lazy sequence over the one
// before it.
type naive struct {
	root *token
	err  error
}

var errNaive = errors.New("naive")

func (n *naive) fail() { n.err = errNaive }

func (n *naive) path(steps []Step, at *token) iter.Seq[*token] {
	var current iter.Seq[*token] = func(yield func(*token) bool) { yield(at) }
	for i := range steps {
		current = n.step(&steps[i], current)
	}
	return func(yield func(*token) bool) {
		for i := range steps {
			if b := &steps[i].Bounds; steps[i].Kind == Slice && b.HasStep && b.Step == 0 {
				n.fail()
				return
			}
		}
		for t := range current {
			if n.err != nil || !yield(t) {
				return
			}
		}
	}
}

func (n *naive) step(s *Step, in iter.Seq[*token]) iter.Seq[*token] {
	return func(yield func(*token) bool) {
		for t := range in {
			for _, out := range n.candidates(s, t) {
				if n.err != nil {
					return
				}
				if out.kind == failing {
					n.fail()
					return
				}
				if s.Kind == Where && !n.holds(s.Filter, out) {
					continue
				}
				if n.err != nil || !yield(out) {
					return
				}
			}
		}
	}
}

// failing is the kind of the token that stands for an error.
const failing = "failing"

// candidates lists what a step makes of one token, filters not yet asked.
func (n *naive) candidates(s *Step, t *token) (out []*token) {
	named := func(property *token, name string) {
		if property.kind == "property" && property.name == name {
			out = append(out, property.children[0])
		}
	}
	names := slices.Collect(s.members)
	switch {
	case s.Kind == Root:
		return []*token{n.root}
	case s.Scan:
		for _, d := range descendants(t) {
			switch {
			case s.Kind == Where:
				out = append(out, d)
			case s.Kind == Wild && (d == t || d.kind != "property"):
				out = append(out, d)
			case d != t:
				for _, name := range names {
					named(d, name)
				}
			}
		}
	case s.Kind == Where:
		return t.children
	case t.kind == "object":
		for _, name := range names {
			for _, child := range t.children {
				named(child, name)
			}
		}
		if s.Kind == Wild {
			for _, child := range t.children {
				out = append(out, child.children[0])
			}
		}
	case t.kind == "array":
		return elements(s, t)
	}
	return out
}

func elements(s *Step, t *token) (out []*token) {
	switch s.Kind {
	case Elements:
		return t.children
	case Index, Indexes:
		list := s.List
		if s.Kind == Index {
			list = []int{s.Index}
		}
		for _, i := range list {
			if i < 0 {
				return append(out, &token{kind: failing})
			}
			if i < len(t.children) {
				out = append(out, t.children[i])
			}
		}
	case Slice:
		step, count := 1, len(t.children)
		if s.Bounds.HasStep {
			step = s.Bounds.Step
		}
		start, stop := 0, count
		if step < 0 {
			start, stop = count-1, -1
		}
		if s.Bounds.HasStart {
			start = s.Bounds.Start
			if start < 0 {
				start += count
			}
		}
		if s.Bounds.HasEnd {
			stop = s.Bounds.End
			if stop < 0 {
				stop = max(-1, stop+count)
			}
		}
		for i := range count {
			k := i
			if step < 0 {
				k = count - 1 - i
			}
			first := max(start, 0)
			if step < 0 {
				first = min(start, count-1)
			}
			if distance := k - first; distance%step == 0 && distance/step >= 0 && (step > 0 && k < stop || step < 0 && k > stop) {
				out = append(out, t.children[k])
			}
		}
	}
	return out
}

func descendants(t *token) []*token {
	out := []*token{t}
	for _, child := range t.children {
		out = append(out, descendants(child)...)
	}
	return out
}

func (n *naive) holds(f *Filter, t *token) bool {
	switch f.Op {
	case OpAnd:
		for _, part := range f.Parts {
			if !n.holds(part, t) || n.err != nil {
				return false
			}
		}
		return true
	case OpOr:
		for _, part := range f.Parts {
			if n.holds(part, t) && n.err == nil {
				return true
			}
			if n.err != nil {
				return false
			}
		}
		return false
	case OpExists:
		for range n.side(&f.Left, t) {
			return true
		}
		return false
	}
	var right []*token
	asked := false
	for l := range n.side(&f.Left, t) {
		if !asked {
			asked, right = true, slices.Collect(n.side(&f.Right, t))
		}
		for _, r := range right {
			if n.err != nil {
				return false
			}
			if n.satisfies(f.Op, l, r) {
				return n.err == nil
			}
		}
	}
	return false
}

func (n *naive) side(o *Operand, t *token) iter.Seq[*token] {
	if o.IsPath {
		return n.path(o.Path, t)
	}
	kinds := map[tape.Kind]string{tape.Text: "string", tape.Int: "int", tape.Float: "float", tape.True: "bool", tape.False: "bool", tape.Null: "null"}
	text := o.Text
	switch o.Kind {
	case tape.True:
		text = "true"
	case tape.False:
		text = "false"
	}
	literal := &token{kind: kinds[o.Kind], text: text}
	return func(yield func(*token) bool) { yield(literal) }
}

func (t *token) isValue() bool {
	return !slices.Contains([]string{"object", "array", "property"}, t.kind)
}

func (t *token) number() *big.Float {
	f, _, err := big.ParseFloat(t.text, 10, 2000, big.ToNearestEven)
	if err != nil {
		f = new(big.Float).SetInf(strings.HasPrefix(t.text, "-"))
	}
	return f
}

func (t *token) isBig() bool {
	_, err := strconv.ParseInt(t.text, 10, 64)
	return t.kind == "int" && err != nil
}

func (t *token) double() float64 {
	f, _ := strconv.ParseFloat(t.text, 64)
	return f
}

func (t *token) isNumber() bool { return t.kind == "int" || t.kind == "float" }

func (n *naive) satisfies(op Op, l, r *token) bool {
	if !l.isValue() || !r.isValue() {
		return op == OpNotEqual
	}
	switch op {
	case OpEqual:
		return n.equal(l, r, false)
	case OpNotEqual:
		return !n.equal(l, r, false)
	case OpStrictEqual:
		return n.equal(l, r, true)
	case OpStrictNotEqual:
		return !n.equal(l, r, true)
	case OpMatch:
		return l.kind == "string" && r.kind == "string" && n.match(l.text, r.text)
	}
	return ordered(op, n.compare(l, r))
}

// match knows only what Go and .NET read alike.
func (n *naive) match(text, pattern string) bool {
	last := strings.LastIndex(pattern, "/")
	if last < 1 {
		n.fail()
		return false
	}
	flags := ""
	for _, f := range pattern[last+1:] {
		if strings.ContainsRune("ims", f) {
			flags += string(f)
		}
	}
	if flags != "" {
		flags = "(?" + flags + ")"
	}
	re, err := regexp.Compile(flags + pattern[1:last])
	if err != nil {
		n.fail()
		return false
	}
	return re.MatchString(text)
}

func (n *naive) equal(l, r *token, strict bool) bool {
	switch {
	case l.isNumber() && r.isNumber():
		return n.numbers(l, r) == 0
	case l.kind == "date" && r.kind == "string" && !strict:
		in, _ := dotnet.DateToken([]byte(l.text))
		return string(dotnet.AppendDateISO(nil, in)) == r.text
	case l.kind != r.kind:
		return false
	case l.kind == "date":
		a, _ := dotnet.ParseTime(l.text)
		b, _ := dotnet.ParseTime(r.text)
		return a == b
	case l.kind == "null":
		return true
	}
	return l.text == r.text
}

func (n *naive) numbers(l, r *token) int {
	if l.isBig() && r.kind == "float" && math.IsInf(r.double(), 0) || r.isBig() && l.kind == "float" && math.IsInf(l.double(), 0) {
		n.fail()
	}
	if l.kind == "int" && r.kind == "int" || l.isBig() || r.isBig() {
		exact := func(t *token) *big.Float {
			if t.kind == "float" {
				return new(big.Float).SetPrec(2000).SetFloat64(t.double())
			}
			return t.number()
		}
		return exact(l).Cmp(exact(r))
	}
	return doubles(l.double(), r.double())
}

func doubles(a, b float64) int {
	if dotnet.AlmostEqual(a, b) {
		return 0
	}
	return big.NewFloat(a).Cmp(big.NewFloat(b))
}

// compare follows JValue.CompareTo.
func (n *naive) compare(l, r *token) int {
	kind := l.kind
	if kind == "string" {
		kind = r.kind
	}
	switch {
	case l.kind == "null" && r.kind == "null":
		return 0
	case r.kind == "null":
		return 1
	case l.kind == "null":
		return -1
	case l.isNumber() && r.isNumber():
		return n.numbers(l, r)
	case kind == "string":
		return slices.Compare(utf16Of(l.text), utf16Of(r.text))
	case kind == "date":
		a, okLeft := dotnet.ParseTime(l.text)
		b, okRight := dotnet.ParseTime(r.text)
		if r.kind == "string" {
			b, okRight = dotnet.LenientTime(r.text)
		}
		if l.kind == "string" || !okLeft || !okRight || r.kind != "date" && r.kind != "string" {
			n.fail()
		}
		return int(min(max(a-b, -1), 1))
	case l.kind == "date" || r.kind == "date":
		n.fail()
		return 0
	case kind == "bool":
		return n.boolean(l) - n.boolean(r)
	case kind == "float" && !l.isBig() && !r.isBig():
		return doubles(n.asDouble(l), n.asDouble(r))
	}
	return n.asInt(l, l.isBig() || r.isBig()).Cmp(n.asInt(r, l.isBig() || r.isBig()))
}

func (n *naive) boolean(t *token) int {
	text := strings.ToLower(strings.TrimSpace(t.text))
	switch {
	case t.isBig() || t.kind == "string" && text != "true" && text != "false":
		n.fail()
	case text == "true", t.isNumber() && t.double() != 0:
		return 1
	}
	return 0
}

func (n *naive) asDouble(t *token) float64 {
	if t.kind == "bool" {
		return float64(n.boolean(t))
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(t.text), 64)
	if err != nil && !math.IsInf(f, 0) {
		n.fail()
	}
	return f
}

func (n *naive) asInt(t *token, anySize bool) *big.Int {
	if t.kind == "bool" {
		if anySize {
			n.fail()
		}
		return big.NewInt(int64(n.boolean(t)))
	}
	i, ok := new(big.Int).SetString(strings.TrimSpace(t.text), 10)
	if !ok || !anySize && !i.IsInt64() {
		n.fail()
		return new(big.Int)
	}
	return i
}

func utf16Of(s string) []uint16 {
	u := units{text: []byte(s)}
	var out []uint16
	for c := u.next(); c != noUnit; c = u.next() {
		out = append(out, uint16(c))
	}
	return out
}
