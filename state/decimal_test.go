package state

import (
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestParseDecimal(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"0", "0"}, {"7", "7"}, {"-7", "-7"}, {"+7", "7"}, {"007.50", "7.50"}, {".5", "0.5"}, {"5.", "5"}, {"-0.05", "-0.05"},
		{"1E+21", "1000000000000000000000"}, {"1e-3", "0.001"}, {"12.5e1", "125"}, {"12.5e0", "12.5"}, {"0.0", "0.0"},
		{"123456789012345678", "123456789012345678"}, {"1234567890123456789", "1234567890123456789"},
		{"-99999999999999999999.25", "-99999999999999999999.25"}, {"0.0000000000000000000000001", "0.0000000000000000000000001"},
		{"", ""}, {"-", ""}, {".", ""}, {"x", ""}, {"1,5", ""}, {"1e", ""}, {"1e41", ""}, {"1e-41", ""}, {"1e5x", ""}, {"1 ", ""}, {"1.2.3", ""},
		{"--1", ""}, {"NaN", ""}, {strings.Repeat("9", maxDecimalText+1), ""},
	} {
		got := ""
		if d, ok := parseDecimal(c.text); ok {
			got = d.String()
		}
		if got != c.want {
			t.Errorf("%q is %q, want %q", c.text, got, c.want)
		}
	}
}

func randomDecimal(r *rand.Rand) string {
	text := ""
	if r.IntN(2) == 0 {
		text = "-"
	}
	for range 1 + r.IntN(24) {
		text += string(rune('0' + r.IntN(10)))
	}
	if r.IntN(2) == 0 {
		text += "."
		for range 1 + r.IntN(20) {
			text += string(rune('0' + r.IntN(10)))
		}
	}
	return text
}

func TestDecimalsAreExact(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		texts := []string{randomDecimal(r), randomDecimal(r), randomDecimal(r)}
		want, scale := new(big.Rat), 0
		var forth, back decimal
		for i, text := range texts {
			x, _ := new(big.Rat).SetString(text)
			want.Add(want, x)
			if _, f, ok := strings.Cut(text, "."); ok {
				scale = max(scale, len(f))
			}
			a, _ := parseDecimal(text)
			b, _ := parseDecimal(texts[len(texts)-1-i])
			forth, back = forth.plus(a), back.plus(b)
		}
		if got := forth.String(); got != want.FloatString(scale) || got != back.String() {
			t.Fatalf("sum of %v: %s, backwards %s, want %s", texts, got, back, want.FloatString(scale))
		}
		a, _ := parseDecimal(texts[0])
		b, _ := parseDecimal(texts[1])
		x, _ := new(big.Rat).SetString(texts[0])
		y, _ := new(big.Rat).SetString(texts[1])
		if a.compare(b) != x.Cmp(y) || b.compare(a) != y.Cmp(x) || a.compare(a) != 0 {
			t.Fatalf("%s against %s: %d", texts[0], texts[1], a.compare(b))
		}
	}
}

func FuzzParseDecimal(f *testing.F) {
	for _, s := range []string{"1.5", "-0.0", "1E+21", "99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, ok := parseDecimal(text)
		if !ok {
			return
		}
		x, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("%q is no number", text)
		}
		y, ok := new(big.Rat).SetString(d.String())
		if !ok || x.Cmp(y) != 0 {
			t.Fatalf("%q reads as %s", text, d)
		}
	})
}

func TestDecimalsDoNotAllocate(t *testing.T) {
	sum := decimal{}
	if n := testing.AllocsPerRun(100, func() {
		d, _ := parseDecimal("36.65")
		sum = sum.plus(d)
		if d.compare(sum) > 0 {
			t.Fail()
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
