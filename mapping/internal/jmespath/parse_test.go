package jmespath

import (
	"slices"
	"strings"
	"testing"

	"auscult/mapping/internal/tape"
)

// TestPrint also tells how operators bind: parentheses stand only where they
// must.
func TestPrint(t *testing.T) {
	for _, c := range []struct{ in, out string }{
		{"a", "a"},
		{` "a" . b `, "a.b"},
		{`"a-b"."\u0061"`, `"a-b".a`},
		{"a.b[0].c[-1]", "a.b[0].c[-1]"},
		{"(a.b).c", "a.b.c"},
		{"(a[*].b)[0]", "a[*].b[0]"},
		{"a|b||c&&d", "a | b || c && d"},
		{"((a|b)||c)&&d", "((a | b) || c) && d"},
		{"a||(b||c)", "a || (b || c)"},
		{"(a||b).c", "(a || b).c"},
		{"!a.b", "!a.b"},
		{"!(a==b)", "!(a == b)"},
		{"!a==b", "!a == b"},
		{"(!a)==b", "!a == b"},
		{"a == !b", "a == !b"},
		{"!!a", "!!a"},
		{"(!a).b", "(!a).b"},
		{"a==b>c", "a == b > c"},
		{"(a>b)==c", "a > b == c"},
		{"a>(b==c)", "a > (b == c)"},
		{"(a==b)>c", "(a == b) > c"},
		{"(a<=b)<c", "a <= b < c"},
		{"(a<b)<=c", "(a < b) <= c"},
		{"a<b<=c", "a < b <= c"},
		{"a!=b==c", "a != b == c"},
		{"(a==b)!=c", "(a == b) != c"},
		{"a==b==c", "a == b == c"},
		{"a[?b==`1`&&c].d", "a[?b == `1` && c].d"},
		{"[*][a,b]", "[*].[a, b]"},
		{"*[a]", "*.[a]"},
		{"[?a][b]", "[?a].[b]"},
		{"a[*].[b,c]", "a[*].[b, c]"},
		{"[*]", "[*]"},
		{"[*,a]", "[*, a]"},
		{"a.[*]", "a.[*]"},
		{"[a|b,c]", "[a | b, c]"},
		{"{a:b,\"c d\":e|f}", `{a: b, "c d": e | f}`},
		{"a[]", "a[]"},
		{"a[][]", "a[][]"},
		{"a[::]", "a[:]"},
		{"a[1:-2:3]", "a[1:-2:3]"},
		{"a[::-1]", "a[::-1]"},
		{"a[99999999999]", "a[0]"},
		{"sort_by(a,&b.c|d)", "sort_by(a, &b.c | d)"},
		{"'it\\'s \\n'", "'it\\'s \\n'"},
		{"` {\"a\": 1} `", "` {\"a\": 1} `"},
		{"`\"\\`\"`", "`\"\\`\"`"},
		{"`1.`", "`1.`"},
		{"@.a", "@.a"},
		{"'x'.length(@)", "'x'.length(@)"},
	} {
		x, fault := Parse(c.in)
		if fault != nil {
			t.Errorf("%s: %s at %d", c.in, fault.Message, fault.At)
			continue
		}
		if got := x.String(); got != c.out {
			t.Errorf("%s prints %s, want %s", c.in, got, c.out)
		}
	}
}

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		in  string
		at  int
		fix string
	}{
		{"", 0, ""},
		{"   ", 0, ""},
		{"a.", 2, ""},
		{"a..b", 2, ""},
		{"multiply(a, b", 13, "multiply(a, b)"},
		{"a[?b == 'c'", 11, "a[?b == 'c']"},
		{"a == 'b", 5, "a == 'b'"},
		{`a == "b`, 5, `a == "b"`},
		{"a == `1", 5, "a == `1`"},
		{"multiplyy(a, b)", 0, "multiply(a, b)"},
		{"a | toNumber(b)", 4, "a | to_number(b)"},
		{"frobnicate(a)", 0, ""},
		{"zip(a, b)", 0, ""},
		{"add(a)", 0, ""},
		{"add(a, b, c)", 0, ""},
		{"not_null()", 0, ""},
		{"Body.heart-rate", 10, `Body."heart-rate"`},
		{"Body.spo2-1 == `2`", 9, "Body.\"spo2-1\" == `2`"},
		{"$.Body.a", 0, "Body.a"},
		{"a = `1`", 2, "a == `1`"},
		{"a == 1", 5, "a == `1`"},
		{"a == `b`", 5, "a == 'b'"},
		{"`0e1`", 0, ""},
		{"`1, 2`", 0, ""},
		{"`[1`", 0, ""},
		{`"to_string"(a)`, 11, "to_string(a)"},
		{"a[ ?b]", 3, ""},
		{"a[b]", 2, ""},
		{"a[*][b]", 5, ""},
		{"a[0:1:0]", 6, ""},
		{"a + b", 2, ""},
		{"&a", 0, ""},
		{"{a: b, a: c}", 7, ""},
		{"{}", 1, ""},
		{"a.{}", 3, ""},
		{"[a, ]", 4, ""},
		{"abs(a, )", 7, ""},
		{`"\ud83d\ud83d"`, 0, ""},
		{`"\x"`, 1, ""},
		{"a.\u00e9", 2, ""},
		{strings.Repeat("(", 600) + "a", 500, ""},
		{strings.Repeat("!", 600) + "a", 500, ""},
		{"a" + strings.Repeat(" || a", 600), 2502, ""},
	} {
		_, fault := Parse(c.in)
		if fault == nil {
			t.Errorf("%.40s: parsed, want a fault", c.in)
			continue
		}
		if fault.At != c.at || fault.Fix != c.fix || fault.Message == "" {
			t.Errorf("%.40s: at %d %q, fix %q; want at %d, fix %q", c.in, fault.At, fault.Message, fault.Fix, c.at, c.fix)
		}
		if fault.Fix != "" {
			if _, again := Parse(fault.Fix); again != nil {
				t.Errorf("%s: the fix %s is no expression: %s", c.in, fault.Fix, again.Message)
			}
		}
	}
}

func TestLongChainsAreNotDeep(t *testing.T) {
	s := "a" + strings.Repeat(".a", 10_000)
	if _, fault := Parse(s); fault != nil {
		t.Error(fault.Message)
	}
}

func TestChainAndNeeds(t *testing.T) {
	for _, c := range []struct {
		in    string
		steps int // -1: no chain
		needs tape.Keep
	}{
		{"@", 0, tape.KeepNamed},
		{"Body.a", 2, tape.KeepNamed},
		{"Body | a.b", 3, tape.KeepNamed},
		{"Body.a[1]", 3, tape.KeepElements},
		{"Body.a[-1]", -1, tape.KeepElements},
		{"Body.*", -1, tape.KeepAll},
		{"to_array(@)[?Body.a]", -1, tape.KeepNamed},
		{"to_array(@)[?Body.a == 'x' && !Body.b]", -1, tape.KeepNamed},
		{"to_array(@)[?Body.a[0]]", -1, tape.KeepElements},
		{"to_array(@)[?Body == @]", -1, tape.KeepAll},
		{"to_array(Body)[?a]", -1, tape.KeepElements},
		{"Body | to_array(@)[?a]", -1, tape.KeepElements},
		{"multiply(to_number(matchedToken.height), `0.0254`)", -1, tape.KeepNamed},
		{"to_string(add(a, b))", -1, tape.KeepNamed},
		{"to_string(a)", -1, tape.KeepAll},
		{"{x: a, y: b}.x", -1, tape.KeepNamed},
		{"a == b", -1, tape.KeepAll},
		{"a == 'b'", -1, tape.KeepNamed},
		{"sum(a)", -1, tape.KeepElements},
		{"Properties && Body", -1, tape.KeepAll},
		{"Properties.a || Properties.b", -1, tape.KeepNamed},
		{"to_array(@)[?!SystemProperties]", -1, tape.KeepAll},
		{"matchedToken.a && matchedToken.b", -1, tape.KeepNamed},
	} {
		x, fault := Parse(c.in)
		if fault != nil {
			t.Fatalf("%s: %s", c.in, fault.Message)
		}
		x.Bind(tape.NewNameSet())
		steps, ok := x.Chain()
		if ok != (c.steps >= 0) || ok && len(steps) != c.steps {
			t.Errorf("%s: chain of %d, %v, want %d", c.in, len(steps), ok, c.steps)
		}
		if got := x.Needs(); got != c.needs {
			t.Errorf("%s: needs %d, want %d", c.in, got, c.needs)
		}
	}
}

func TestNames(t *testing.T) {
	x, _ := Parse(`a.b[?c == 'd'].{e: a, f: "g h"} | sort_by(@, &i)`)
	if want := []string{"a", "b", "c", "g h", "i"}; !slices.Equal(x.Names(), want) {
		t.Errorf("names %q, want %q", x.Names(), want)
	}
}
