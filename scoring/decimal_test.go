package scoring

import (
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

func TestRoundsHalfUpFromTheText(t *testing.T) {
	for _, c := range []struct {
		text   string
		places int
		want   string
	}{
		{"36.05", 1, "36.1"}, {"36.04", 1, "36.0"}, {"35.05", 1, "35.1"}, {"38.05", 1, "38.1"}, {"39.05", 1, "39.1"},
		{"36.0499999999999999999999999", 1, "36.0"}, {"20.5", 0, "21"}, {"20.49", 0, "20"}, {"24.6", 0, "25"},
		{"0", 0, "0"}, {"0.5", 0, "1"}, {"0.49", 0, "0"}, {"0.04", 0, "0"}, {"9.95", 1, "10.0"}, {"1e2", 0, "100"}, {"1.5E+1", 0, "15"},
		{"-0.5", 0, "0"}, {"-0.51", 0, "-1"}, {"-1.5", 0, "-1"}, {"+7", 0, "7"}, {"007.50", 0, "8"}, {".5", 0, "1"}, {"5.", 0, "5"},
		{"1e30", 0, "1000000000000000000"}, {"-1e30", 0, "-1000000000000000000"}, {"1e-30", 1, "0.0"},
		{"-0.50000000000000000001", 0, "-1"},
	} {
		d, ok := parseDecimal(c.text)
		if !ok {
			t.Fatalf("%s: not read", c.text)
		}
		if got := formatRounded(d.round(c.places), c.places); got != c.want {
			t.Errorf("%s at %d places: got %s, want %s", c.text, c.places, got, c.want)
		}
	}
}

func TestRefusesWhatIsNoNumber(t *testing.T) {
	for _, s := range []string{"", " ", "abc", "NaN", "Infinity", "1,5", "1.2.3", "--1", "1e", "1e+", "1e99999", "0x10", ".", "-", "1 2", strings.Repeat("1", 300)} {
		if d, ok := parseDecimal(s); ok {
			t.Errorf("%q was read as %+v", s, d)
		}
	}
}

// TestDecimalsAgreeWithBigRationals compares order and rounding with exact
// arithmetic.
func TestDecimalsAgreeWithBigRationals(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	text := func() string {
		var b strings.Builder
		if r.IntN(3) == 0 {
			b.WriteByte('-')
		}
		for range 1 + r.IntN(4) {
			b.WriteByte(byte('0' + r.IntN(10)))
		}
		if r.IntN(2) == 0 {
			b.WriteByte('.')
			for range 1 + r.IntN(24) {
				b.WriteByte("05519"[r.IntN(5)])
			}
		}
		if r.IntN(4) == 0 {
			b.WriteString("e" + strconv.Itoa(r.IntN(9)-4))
		}
		return b.String()
	}
	for range 20_000 {
		a, b := text(), text()
		if r.IntN(8) == 0 {
			b = a + "0"
			if strings.ContainsAny(a, "e") || !strings.Contains(a, ".") {
				b = a
			}
		}
		x, ok1 := parseDecimal(a)
		y, ok2 := parseDecimal(b)
		p, _ := new(big.Rat).SetString(a)
		q, _ := new(big.Rat).SetString(b)
		// Beyond 19 digits two numbers that differ only there may tie.
		if !ok1 || !ok2 || x.compare(y) != p.Cmp(q) && (!x.more || !y.more) {
			t.Fatalf("seed %d: %s ? %s: got %d, want %d", seed, a, b, x.compare(y), p.Cmp(q))
		}
		places := r.IntN(3)
		scaled := new(big.Rat).Mul(p, new(big.Rat).SetInt64([]int64{1, 10, 100}[places]))
		scaled.Add(scaled, big.NewRat(1, 2))
		floor := new(big.Int).Div(scaled.Num(), scaled.Denom()) // Euclidean, hence floor: the denominator is positive
		if got := x.round(places); got != floor.Int64() {
			t.Fatalf("seed %d: %s at %d places: got %d, want %s", seed, a, places, got, floor)
		}
	}
}

func TestDecimalsAllocateNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() {
		d, _ := parseDecimal(" 36.05 ")
		e, _ := parseDecimal("1e1")
		_ = d.compare(e)
		_ = d.round(1)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
