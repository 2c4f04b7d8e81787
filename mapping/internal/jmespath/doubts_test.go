package jmespath

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func parsed(t *testing.T, s string) *Expr {
	t.Helper()
	x, fault := Parse(s)
	if fault != nil {
		t.Fatalf("%s: %+v", s, fault)
	}
	return x
}

func TestTruncations(t *testing.T) {
	for s, want := range map[string]string{
		"divide(`1`, `2`)":                     "0 both are",
		"divide(to_number('40'), `50`)":        "0 both are",
		"divide(to_number(a), `100`)":          "0 the fraction is dropped when the first",
		"divide(`100`, a)":                     "0 the fraction is dropped when the second",
		"a.b | add(`1.0`, divide(c, `2`))":     "17 the fraction is dropped when the first",
		"{a: divide(length(x), `3`)}":          "4 both are",
		"items[?divide(a, `2`) > `1`].b":       "7 the fraction is dropped when the first",
		"divide(abs(`7`), pow(`2`, `3`))":      "0 both are",
		"fromUnixTimestamp(divide(t, `1000`))": "", "fromUnixTimestamp(add(divide(t, `1000`), `5`))": "", "floor(divide(a, `2`))": "",
		"insertString(a, b, divide(length(a), `2`))": "", "insertString(to_string(divide(a, `2`)), b, `0`)": "23 the fraction",
		"divide(a, b)": "", "divide(a, `2.0`)": "", "divide(multiply(a, `1.0`), `2`)": "", "divide(avg(a), `2`)": "", "divide(to_number('1.5'), `2`)": "", "multiply(a, `2`)": "",
	} {
		var got []string
		for _, f := range parsed(t, s).Truncations() {
			got = append(got, fmt.Sprint(f.At, " ", f.Message))
		}
		if len(got) > 1 || !strings.HasPrefix(strings.Join(got, ""), want) || want == "" && len(got) > 0 {
			t.Errorf("%s: got %v, want %s", s, got, want)
		}
	}
}

func TestDemands(t *testing.T) {
	known := func(names []string) bool { return HasPath([]string{"match", "v"}, names) }
	for s, want := range map[string]string{
		"multiply(match.x, `2`)":                 "0 multiply fails when there is no match.x",
		"multiply(to_number(match.x), `2`)":      "0 multiply fails when there is no match.x",
		"a || multiply(match.x || match.y, `2`)": "5 multiply fails when there is no match.y",
		"match.y && multiply(match.x, match.y)":  "11 multiply fails when there is no match.x",
		"to_string(add(`1`, match.x))":           "10 add fails when there is no match.x",
		"add(`1`, match.x) | [0]":                "0 add fails when there is no match.x",
		"multiply(match.v, `2`)":                 "", "multiply(match, `2`)": "", "match.x && multiply(match.x, `2`)": "", "multiply(not_null(match.x, `0`), `2`)": "", "multiply(match.x || `0`, `2`)": "",
		"to_string(match.x)": "", "match.x": "", "items[?starts_with(name, 'a')].v | [0]": "", "match.x == 'a' && starts_with(match.x, 'b')": "", "items[0] | multiply(v, `2`)": "",
	} {
		var got []string
		for _, f := range parsed(t, s).Demands(known) {
			got = append(got, fmt.Sprint(f.At, " ", f.Message))
		}
		if len(got) > 1 || !strings.HasPrefix(strings.Join(got, ""), want) || want == "" && len(got) > 0 {
			t.Errorf("%s: got %v, want %s", s, got, want)
		}
	}
}

func TestTruncationsSayWhatToWrite(t *testing.T) {
	for s, want := range map[string]string{
		"divide(a, `1000`)":              "divide(a, `1000.0`)",
		"divide(` 7 `, a)":               "divide(`7.0`, a)",
		"divide(length(a), length(b.c))": "divide(multiply(length(a), `1.0`), length(b.c))",
	} {
		f := parsed(t, s).Truncations()
		if len(f) != 1 || f[0].Fix != want {
			t.Errorf("%s: got %v, want %s", s, f, want)
		} else if again := parsed(t, f[0].Fix).Truncations(); len(again) > 0 {
			t.Errorf("%s: the fix has %v", s, again)
		}
	}
}

func TestDemandsSayWhatToWrite(t *testing.T) {
	for s, want := range map[string]string{
		"multiply(a.\"x y\", `2`)":       "a.\"x y\" && multiply(a.\"x y\", `2`)",
		"multiply(a, `2`) || b":          "a && (multiply(a, `2`) || b)",
		"multiply(a, `2`) | to_array(@)": "a && (multiply(a, `2`) | to_array(@))",
	} {
		f := parsed(t, s).Demands(func([]string) bool { return false })
		if len(f) != 1 || f[0].Fix != want {
			t.Errorf("%s: got %v, want %s", s, f, want)
		} else if again := parsed(t, f[0].Fix).Demands(func([]string) bool { return false }); len(again) > 0 {
			t.Errorf("%s: the fix has %v", s, again)
		}
	}
}

func TestTested(t *testing.T) {
	for s, want := range map[string]string{
		"to_array(@)[?a]": "[[a]]", "to_array(Body) | [?a && b.c == 'x' && (d || e)]": "[[a] [b c]]", "a[?b].c": "[]", "a.b": "[]", "[?a > `5`]": "[[a]]", "[?!a]": "[]", "[?a == `null`]": "[]", "[?a == b]": "[]", "[?'x' == a]": "[[a]]", `[?"a b"]`: "[[a b]]",
	} {
		if got := fmt.Sprint(parsed(t, s).Tested()); got != want {
			t.Errorf("%s: got %s, want %s", s, got, want)
		}
	}
	names, ok := parsed(t, `@.a."b c"`).Members()
	if !ok || !slices.Equal(names, []string{"a", "b c"}) {
		t.Errorf("%v, %v", names, ok)
	}
	if _, ok := parsed(t, "a[0].b").Members(); ok {
		t.Error("an index is no name")
	}
}
