package jmespath

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"auscult/mapping/internal/dotnet"
	"auscult/mapping/internal/tape"
	"auscult/schemas"
)

// The naive evaluator answers a parsed expression over plain Go values: absent{}
// (nothing), nil (null), bool, int64, *big.Int, float64, string, instant, []any,
// members, and projected while a projection lasts. It panics with a failure.

type (
	absent  struct{}
	instant struct{ ticks schemas.Ticks }
	member  struct {
		name  string
		value any
	}
	members   []member
	projected []any
	failure   string
)

func (m members) get(name string) any {
	for _, x := range m {
		if x.name == name {
			return x.value
		}
	}
	return absent{}
}

// naive answers n at a token.
func naive(x *Expr, n *node, at any) any {
	switch n.op {
	case opCurrent:
		return at
	case opName:
		if o, ok := at.(members); ok {
			return o.get(n.name)
		}
		return absent{}
	case opLiteral:
		return plainLiteral(x, n.literal)
	case opChain:
		v := naive(x, n.args[0], at)
		for _, step := range n.args[1:] {
			if isNothing(v) {
				return v
			}
			v = naiveThrough(x, step, v)
		}
		return v
	case opPipe:
		return naive(x, n.right, plainToken(naive(x, n.left, at)))
	case opNot:
		return !naiveTruth(naive(x, n.left, at))
	case opAnd, opOr:
		left := naive(x, n.left, at)
		if naiveTruth(left) == (n.op == opOr) {
			return left
		}
		return naive(x, n.right, at)
	case opList:
		list := []any{}
		for _, arg := range n.args {
			list = append(list, kept(naive(x, arg, at)))
		}
		return list
	case opHash:
		o := members{}
		for i, arg := range n.args {
			o = append(o, member{n.keys[i].name, kept(naive(x, arg, at))})
		}
		return o
	case opCall:
		args := make([]any, len(n.args))
		for i, arg := range n.args {
			if arg.op == opReference {
				args[i] = func(v any) any { return plainToken(naive(x, arg.left, v)) }
			} else {
				args[i] = plainToken(naive(x, arg, at))
			}
		}
		return naiveCall(n.name, args)
	case opEqual, opNotEqual, opGreater, opGreaterEqual, opLess, opLessEqual:
		return naiveCompare(n.op, plainToken(naive(x, n.left, at)), plainToken(naive(x, n.right, at)))
	}
	return naiveBracket(x, n, at)
}

func naiveThrough(x *Expr, n *node, v any) any {
	p, ok := v.(projected)
	if !ok || n.op == opFlatten {
		return naive(x, n, plainToken(v))
	}
	out := projected{}
	for _, item := range p {
		if r := naiveThrough(x, n, item); r != any(absent{}) {
			out = append(out, r)
		}
	}
	return out
}

func isNothing(v any) bool {
	_, gone := v.(absent)
	return v == nil || gone
}

// plainToken ends a projection.
func plainToken(v any) any {
	p, ok := v.(projected)
	if !ok {
		return v
	}
	list := []any{}
	for _, item := range p {
		list = append(list, kept(item))
	}
	return list
}

// kept is a value within an array or object, where nothing is null.
func kept(v any) any {
	if isNothing(v) {
		return nil
	}
	return plainToken(v)
}

func naiveTruth(v any) bool {
	switch v := plainToken(v).(type) {
	case nil, absent:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case members:
		return len(v) > 0
	}
	return true
}

func naiveBracket(x *Expr, n *node, at any) any {
	out := projected{}
	if n.op == opMembers {
		o, ok := at.(members)
		for _, m := range o {
			out = append(out, m.value)
		}
		if !ok {
			return absent{}
		}
		return out
	}
	list, ok := at.([]any)
	if !ok {
		return absent{}
	}
	switch n.op {
	case opIndex:
		i := n.index
		if i < 0 {
			i += len(list)
		}
		if i < 0 || i >= len(list) {
			return absent{}
		}
		return list[i]
	case opSlice:
		return naiveSlice(list, n.slice)
	case opFilter:
		for _, item := range list {
			if naiveTruth(naive(x, n.left, item)) {
				out = append(out, item)
			}
		}
		return out
	}
	for _, item := range list {
		if inner, isList := item.([]any); isList && n.op == opFlatten {
			out = append(out, slices.DeleteFunc(slices.Clone(inner), func(v any) bool { return v == nil })...)
		} else if item != nil {
			out = append(out, item)
		}
	}
	return out
}

func naiveSlice(list []any, b bounds) any {
	step := 1
	if b.hasStep {
		step = b.step
	}
	start, stop := 0, len(list)
	if step < 0 {
		start, stop = len(list)-1, -1
	}
	if b.hasStart {
		if start = b.start; start < 0 {
			start += len(list)
		}
	}
	if b.hasStop {
		if stop = b.stop; stop < 0 {
			stop += len(list)
		}
	}
	out := projected{}
	for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
		if i >= 0 && i < len(list) {
			out = append(out, list[i])
		}
	}
	return out
}

func naiveType(v any) string {
	switch v.(type) {
	case nil, absent:
		return "null"
	case bool:
		return "boolean"
	case int64, float64, *big.Int:
		return "number"
	case string, instant:
		return "string"
	case []any:
		return "array"
	case members:
		return "object"
	}
	panic(failure("an expression has no type"))
}

func naiveEqual(a, b any) bool {
	switch a := a.(type) {
	case nil, absent:
		return isNothing(b)
	case *big.Int:
		other, ok := b.(*big.Int)
		return ok && a.Cmp(other) == 0
	case float64:
		other, ok := b.(float64)
		return ok && compareFloats(a, other) == 0
	case []any:
		other, ok := b.([]any)
		return ok && slices.EqualFunc(a, other, naiveEqual)
	case members:
		other, ok := b.(members)
		if !ok || len(a) != len(other) {
			return false
		}
		for _, m := range a {
			if v := other.get(m.name); v == any(absent{}) || !naiveEqual(m.value, v) {
				return false
			}
		}
		return true
	}
	switch b.(type) {
	case []any, members:
		return false
	}
	return a == b
}

func naiveCompare(o op, a, b any) any {
	switch o {
	case opEqual:
		return naiveEqual(a, b)
	case opNotEqual:
		return !naiveEqual(a, b)
	}
	var order int
	if naiveType(a) == "number" {
		x := naiveFloat(a)
		if naiveType(b) != "number" {
			return absent{}
		}
		y := naiveFloat(b)
		if math.IsNaN(x) || math.IsNaN(y) {
			return false
		}
		order = compareExactly(x, y)
	} else {
		for _, v := range []any{a, b} {
			if t := naiveType(v); t != "string" && t != "null" {
				return absent{}
			}
		}
		switch {
		case isNothing(a) && isNothing(b):
		case isNothing(a):
			order = -1
		case isNothing(b):
			order = 1
		default:
			order = slices.Compare(units(naiveText(a)), units(naiveText(b)))
		}
	}
	return map[op]bool{opGreater: order > 0, opGreaterEqual: order >= 0, opLess: order < 0, opLessEqual: order <= 0}[o]
}

func compareExactly(x, y float64) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func units(s string) []uint16 { return utf16.Encode([]rune(s)) }

func naiveFloat(v any) float64 {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case float64:
		return v
	}
	panic(failure("not a number to compute with"))
}

// naiveText is .NET's conversion to a string.
func naiveText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case instant:
		return string(dotnet.AppendDateText(nil, v.ticks))
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return string(dotnet.AppendFloat(nil, v))
	case bool:
		return map[bool]string{true: "True", false: "False"}[v]
	}
	panic(failure("no text"))
}

// naiveJSON is what Json.NET writes.
func naiveJSON(v any) string {
	switch v := v.(type) {
	case nil, absent:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case *big.Int:
		return v.String()
	case float64:
		s := naiveText(v)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return `"` + s + `"`
		}
		if !strings.ContainsAny(s, ".E") {
			s += ".0"
		}
		return s
	case string:
		return naiveQuoted(v)
	case instant:
		in := dotnet.Instant{Ticks: v.ticks, Zone: dotnet.ZoneUTC}
		return `"` + string(dotnet.AppendDateISO(nil, in)) + `"`
	case []any:
		var parts []string
		for _, item := range v {
			parts = append(parts, naiveJSON(item))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case members:
		var parts []string
		for _, m := range v {
			parts = append(parts, naiveQuoted(m.name)+":"+naiveJSON(m.value))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	return naiveText(v)
}

func naiveQuoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if i := strings.IndexRune("\"\\\b\f\n\r\t", r); i >= 0 {
			b.WriteString(`\` + `"\bfnrt`[i:i+1])
		} else if r < ' ' || r == 0x85 || r == 0x2028 || r == 0x2029 {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String() + `"`
}

// plainNode is a node as a plain value.
func plainNode(t *tape.Tape, i uint32) any {
	i = t.Resolve(i)
	n := &t.Nodes[i]
	if in, ok := t.DateOf(n); ok {
		return instant{in.Ticks}
	}
	switch n.Kind {
	case tape.String, tape.Text:
		return string(t.Decoded(n))
	case tape.Int:
		v, _ := new(big.Int).SetString(string(t.Raw(n)), 10)
		if v.IsInt64() {
			return v.Int64()
		}
		return v
	case tape.Float:
		return t.Float64(n)
	case tape.True, tape.False:
		return n.Kind == tape.True
	case tape.Array:
		list := []any{}
		for k := i + 1; k < i+t.Nodes[i].Size; k += t.Nodes[k].Size {
			list = append(list, plainNode(t, k))
		}
		return list
	case tape.Object:
		o := members{}
		for k := i + 1; k < i+t.Nodes[i].Size; k += t.Nodes[k].Size {
			var buf []byte
			o = append(o, member{string(t.NameOf(&t.Nodes[k], &buf)), plainNode(t, k)})
		}
		return o
	}
	return nil
}

// plainLiteral is a literal as a plain value.
func plainLiteral(x *Expr, v value) any {
	e := &Evaluator{t: tape.New(tape.NewNameSet().Table()), x: x}
	e.t.Reset(nil)
	return plainNode(e.t, e.toNode(v))
}
