package jmespath

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"auscult/mapping/internal/tape"
)

// writer makes random messages and expressions about them.
type writer struct {
	r *rand.Rand
}

func (w writer) pick(of ...string) string { return of[w.r.IntN(len(of))] }

var (
	someNames   = []string{"a", "b", "c", "name", `"x-y"`}
	someScalars = []string{
		"null", "true", "false", "0", "1", "-3", "2.5", "1.0", "-0.0", "1e20", "72", "100", "9223372036854775807", "9223372036854775808",
		"-99999999999999999999", `""`, `"a"`, `"abc"`, `"b\n\u00e9"`, `"\ud83d\ude00x"`, `"\uffee"`, `"12"`, `" 1.50 "`, `"2020-01-01T00:00:00Z"`, `"\u0041"`,
	}
)

func (w writer) json(depth int) string {
	switch n := w.r.IntN(10); {
	case depth == 0 || n < 4:
		return w.pick(someScalars...)
	case n < 7:
		return "[" + w.several(func() string { return w.json(depth - 1) }) + "]"
	default:
		return "{" + w.several(func() string { return w.jsonName() + ":" + w.json(depth-1) }) + "}"
	}
}

func (w writer) jsonName() string { return w.pick(`"a"`, `"b"`, `"c"`, `"name"`, `"x-y"`, `"\u0061"`) }

func (w writer) several(one func() string) string {
	var all []string
	for range w.r.IntN(5) {
		all = append(all, one())
	}
	return strings.Join(all, ",")
}

func (w writer) expression(depth int) string {
	if depth == 0 {
		return w.pick("@", "a", "b", "c", "name", `"x-y"`, "'abc'", "`1`", "`null`", "`\"2020-01-01T00:00:00Z\"`", "`[1, 2.5, \"a\"]`", "`{\"a\": 1}`", "*", "[]")
	}
	sub := func() string { return w.expression(depth - 1) }
	switch w.r.IntN(12) {
	case 0:
		return "(" + sub() + w.pick(" | ", " || ", " && ") + sub() + ")"
	case 1:
		return "(" + sub() + w.pick(" == ", " != ", " < ", " <= ", " > ", " >= ") + sub() + ")"
	case 2:
		return "!" + "(" + sub() + ")"
	case 3:
		return "[" + sub() + ", " + sub() + "]"
	case 4:
		return "{a: " + sub() + ", b: " + sub() + "}"
	case 5, 6, 7:
		return w.call(sub)
	case 8:
		return "`" + strings.ReplaceAll(w.json(2), "`", "") + "`"
	default:
		return "(" + sub() + ")" + w.step(sub) + w.step(sub)
	}
}

func (w writer) step(sub func() string) string {
	return w.pick("."+w.pick(someNames...), ".*", "[*]", "[]", "[0]", "[-1]", "[::-1]", "[1:]", "[-5::2]", "[9::-2]", "[?"+sub()+"]", ".["+sub()+"]", ".{a: "+sub()+"}",
		"."+w.call(sub))
}

func (w writer) call(sub func() string) string {
	if w.r.IntN(5) == 0 {
		if w.r.IntN(4) == 0 {
			return "map(&" + sub() + ", " + sub() + ")"
		}
		return w.pick("sort_by", "max_by", "min_by") + "(" + sub() + ", &" + sub() + ")"
	}
	f := functions[w.pick(slices.Sorted(maps.Keys(functions))...)]
	args := []string{}
	for range f.least {
		args = append(args, sub())
	}
	if f.more && w.r.IntN(2) == 0 {
		args = append(args, sub())
	}
	return f.name + "(" + strings.Join(args, ", ") + ")"
}

// TestAgainstNaive compares random expressions over random messages with the
// naive evaluator.
func TestAgainstNaive(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	answered := 0
	for i := range 8_000 {
		w := writer{rand.New(rand.NewPCG(seed, uint64(i)))}
		if compareWithNaive(t, w.expression(1+w.r.IntN(4)), w.json(4)) {
			answered++
		}
	}
	if answered < 2_000 {
		t.Errorf("only %d of the expressions had an answer", answered)
	}
}

// compareWithNaive reports whether the expression had an answer.
func compareWithNaive(t *testing.T, expression, message string) bool {
	t.Helper()
	x, fault := Parse(expression)
	if fault != nil {
		return false
	}
	names := tape.NewNameSet()
	x.Bind(names)
	tp := tape.New(names.Table())
	tp.Reset([]byte(message))
	if tp.Parse() != nil {
		return false
	}
	want := naiveAnswer(x, plainNode(tp, 0))
	r, err := NewEvaluator(tp).Search(x, 0)
	got := "nothing"
	switch {
	case errors.Is(err, tape.ErrSteps):
		return false
	case err != nil:
		got = "failure"
	case r.OK:
		got = fmt.Sprintf("%v %s", r.Projection, dump(plainNode(tp, r.Node)))
	}
	if got != want {
		t.Errorf("%s\nof %s\n got %s (%v)\nwant %s", expression, message, got, err, want)
	}
	return err == nil && r.OK
}

func naiveAnswer(x *Expr, root any) (answer string) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(failure); !ok {
				panic(r)
			}
			answer = "failure"
		}
	}()
	v := naive(x, x.root, root)
	if v == any(absent{}) {
		return "nothing"
	}
	_, isProjection := v.(projected)
	return fmt.Sprintf("%v %s", isProjection, dump(plainToken(v)))
}

// dump prints a plain value with its kinds.
func dump(v any) string {
	switch v := v.(type) {
	case []any:
		s := "["
		for _, item := range v {
			s += dump(item) + ","
		}
		return s + "]"
	case members:
		s := "{"
		for _, m := range v {
			s += fmt.Sprintf("%q:%s,", m.name, dump(m.value))
		}
		return s + "}"
	}
	return fmt.Sprintf("%T(%v)", v, v)
}

func FuzzSearch(f *testing.F) {
	for _, s := range varied {
		f.Add(s, variedMessage)
	}
	f.Fuzz(func(t *testing.T, expression, message string) {
		if len(expression)+len(message) < 1000 {
			compareWithNaive(t, expression, message)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range varied {
		f.Add(s)
	}
	for _, s := range []string{"a.", "`", "'\\", `"\ud83d"`, `"\\\\/n"`, "[?", "(((", "a[0:0:0]", "[*][a]", "`\\``", "!!a==b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		x, fault := Parse(s)
		if fault != nil {
			if fault.At < 0 || fault.At > len(s) || fault.Message == "" {
				t.Errorf("%q: fault at %d: %q", s, fault.At, fault.Message)
			}
			return
		}
		printed := x.String()
		again, fault := Parse(printed)
		if fault != nil {
			t.Fatalf("%q prints %q, which is no expression: %s", s, printed, fault.Message)
		}
		if again.String() != printed {
			t.Errorf("%q prints %q, which prints %q", s, printed, again.String())
		}
	})
}
