package jsonpath

import (
	"errors"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"auscult/mapping/internal/tape"
)

func matcher() *Evaluator {
	e := NewEvaluator(tape.New(tape.NewNameSet().Table()))
	e.t.Reset(nil)
	return e
}

// TestRegex: where .NET and package regexp differ, .NET is right.
func TestRegex(t *testing.T) {
	for _, c := range []struct {
		pattern, flags, text string
		want                 bool
	}{
		{"", "", "", true},
		{"b", "", "abc", true},
		{"^b", "", "abc", false},
		{"^a.c$", "", "abc", true},
		{"c$", "", "abc\n", true},
		{"c$", "", "abc\n\n", false},
		{`c\z`, "", "abc\n", false},
		{`c\Z`, "", "abc\n", true},
		{`c$\n`, "", "abc\n", true},
		{"a.c", "", "a\nc", false},
		{"a.c", "s", "a\nc", true},
		{"^b$", "", "a\nb\nc", false},
		{"^b$", "m", "a\nb\nc", true},
		{"^a$", "m", "a\nb", true},
		{"ABC", "i", "xabcx", true},
		{"k", "i", "\u212A", true},
		{"s", "i", "\u017F", false},
		{"[^a]", "i", "A", false},
		{`\p{Lu}`, "i", "a", true},
		{`^\d$`, "", "\u0665", true},
		{`^\D$`, "", "\u0665", false},
		{`^\w+$`, "", "h\u00E9_9", true},
		{`\bh\u00E9\b`, "", "x h\u00E9 y", true},
		{`\bh\b`, "", "h\u00E9", false},
		{`a\Bb`, "", "ab", true},
		{`^\s$`, "", "\u2028", true},
		{`^\S$`, "", "\u2028", false},
		{"^.$", "", "\U0001F600", false},
		{"^..$", "", "\U0001F600", true},
		{"^\U0001F600+$", "", "\U0001F600", true},
		{"^[\U0001F600]{2}$", "", "\U0001F600", true},
		{"a{2,3}", "", "aa", true},
		{"^a{2}$", "", "aaa", false},
		{"^a{2,}?$", "", "aaaa", true},
		{"a{,2}", "", "a{,2}", true},
		{"a{", "", "a{", true},
		{"^(?:a|b|)c$", "", "c", true},
		{"(?<x>a)(?'y'b)(c)", "", "abc", true},
		{"(?i)AB(?-i)c", "", "abc", true},
		{"(?i)AB(?-i)c", "", "abC", false},
		{"(?i:A)b", "", "aB", false},
		{"(?x) a b # comment\n c", "", "abc", true},
		{"a b", "x", "ab", false},
		{"a(?# comment )b", "", "ab", true},
		{"^[a-z-[aeiou]]+$", "", "xyz", true},
		{"^[a-z-[aeiou]]+$", "", "xaz", false},
		{`^[\d\-x]+$`, "", "1-x", true},
		{"^[]a]+$", "", "]a", true},
		{`^[^\W_]$`, "", "_", false},
		{`[\b]`, "", "\b", true},
		{`\x41\u0042[\103]\cA\e\t`, "", "ABC\x01\x1b\t", true},
		{`\.\-\/\$`, "", ".-/$", true},
		{"(a*)*b", "", strings.Repeat("a", 5000), false},
		{"(a|aa)+$", "", strings.Repeat("a", 5000) + "b", false},
		{`\P{L}`, "", "a1", true},
		{"^^a$$", "", "a", true},
		{"^*a", "", "ba", true},
	} {
		re, fault := compileRegex(c.pattern, c.flags)
		if fault != nil {
			t.Errorf("/%s/: %s", c.pattern, fault.message)
			continue
		}
		e := matcher()
		if got := e.machine.match(re, []byte(c.text), e); got != c.want || e.err != nil {
			t.Errorf("/%s/%s on %.40q: %v, %v", c.pattern, c.flags, c.text, got, e.err)
		}
	}
}

func TestRegexFaults(t *testing.T) {
	for pattern, at := range map[string]int{
		"a(": 1, "a)": 1, "[a": 0, "a**": 2, "*": 0, "a{2}{3}": 4, "a{3,2}": 1, "(?=a)": 0, "(?!a)": 0, "(?<=a)": 0, "(?<!a)": 0, "(?>a)": 0, "(?(a)b)": 0, `(a)\1`: 3, `\k<a>`: 0,
		"(?<a-b>c)": 2, "(?P<a>b)": 0, `\q`: 0, `\`: 0, `\x1`: 0, `\u12`: 0, `\p{Foo}`: 0, `\pL`: 0, "[b-a]": 1, `[a-\d]`: 1, `\G`: 0, "(?i)*": 0, "{2}": 0, "(?#": 0, "[a-[b]c]": 6, "((a{1000}){1000}){1000}": 0,
	} {
		if _, fault := compileRegex(pattern, ""); fault == nil || fault.at != at || fault.message == "" {
			t.Errorf("%s: %+v, want a fault at %d", pattern, fault, at)
		}
	}
}

// TestRegexUnits: sets that cost much to build are refused.
func TestRegexUnits(t *testing.T) {
	for _, pattern := range []string{strings.Repeat(`[\u0000-\uFFFF]`, 3), strings.Repeat(`\W`, 1000)} {
		if _, fault := compileRegex(pattern, "i"); fault == nil || fault.message != "its sets are too large" {
			t.Errorf("%.20s...: %+v", pattern, fault)
		}
	}
}

// TestRegexBudget: a long text and a large expression stop at the step limit.
func TestRegexBudget(t *testing.T) {
	re, fault := compileRegex("(a?){1500}b", "")
	if fault != nil {
		t.Fatal(fault.message)
	}
	e := matcher()
	if e.machine.match(re, []byte(strings.Repeat("a", 1<<20)), e) || !errors.Is(e.err, tape.ErrSteps) {
		t.Errorf("error %v", e.err)
	}
}

// randomRegex writes an expression that .NET and package regexp read alike.
func randomRegex(r *rand.Rand, depth int) string {
	var b strings.Builder
	for range 1 + r.IntN(3) {
		part := pick(r, "a", "b", "c", ".", "[ab]", "[^a]", "[b-c]", "^", `\z`, "x", `\b`)
		if depth > 0 && r.IntN(2) == 0 {
			part = pick(r, "(", "(?:", "(?i:") + randomRegex(r, depth-1) + pick(r, "", "|"+randomRegex(r, depth-1)) + ")"
		}
		b.WriteString(part)
		if part != "^" && part != `\z` && part != `\b` {
			b.WriteString(pick(r, "", "", "*", "+", "?", "{2}", "{1,3}", "*?", "{0,1}"))
		}
	}
	return b.String()
}

// TestRegexAgainstGo compares with package regexp where both mean the same.
func TestRegexAgainstGo(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	matched := 0
	for range 20000 {
		pattern := randomRegex(r, 3)
		want := regexp.MustCompile(pattern)
		re, fault := compileRegex(pattern, "")
		if fault != nil {
			if fault.message == "it is too large; use smaller counts of repetition" {
				continue
			}
			t.Fatalf("/%s/: %s", pattern, fault.message)
		}
		e := matcher()
		for range 5 {
			text := make([]byte, r.IntN(8))
			for i := range text {
				text[i] = pick(r, "a", "b", "c", "A", " ", "x")[0]
			}
			got := e.machine.match(re, text, e)
			if got != want.Match(text) {
				t.Fatalf("seed %d: /%s/ on %q: %v", seed, pattern, text, got)
			}
			if got {
				matched++
			}
		}
	}
	if matched < 10000 {
		t.Errorf("only %d matches", matched)
	}
}

// FuzzRegex: no pattern crashes or runs on.
func FuzzRegex(f *testing.F) {
	f.Add(`(a|b)*?[^x-z-[y]]{2,5}\d\b$`, "im", "abc\n")
	f.Fuzz(func(t *testing.T, pattern, flags, text string) {
		re, fault := compileRegex(pattern, flags)
		if fault != nil {
			if fault.at < 0 || fault.at > len(pattern) || fault.message == "" {
				t.Fatalf("%q: %+v", pattern, fault)
			}
			return
		}
		e := matcher()
		e.machine.match(re, []byte(text), e)
	})
}
