package jmespath

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// TestPowerIsRounded compares with exact powers of integers exponents.
func TestPowerIsRounded(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 5000 {
		x, n := math.Exp(r.Float64()*10-5), r.IntN(30)+1
		exact := new(big.Float).SetPrec(4000).SetInt64(1)
		for range n {
			exact.Mul(exact, big.NewFloat(x))
		}
		if want, _ := exact.Float64(); power(x, float64(n)) != want {
			t.Errorf("power(%v, %d) = %v, want %v", x, n, power(x, float64(n)), want)
		}
		exact.Quo(new(big.Float).SetPrec(4000).SetInt64(1), exact)
		if want, _ := exact.Float64(); power(x, -float64(n)) != want {
			t.Errorf("power(%v, -%d) = %v, want %v", x, n, power(x, -float64(n)), want)
		}
		exact.SetFloat64(x).Sqrt(exact)
		if want, _ := exact.Float64(); power(x, 0.5) != want {
			t.Errorf("power(%v, 0.5) = %v, want %v", x, power(x, 0.5), want)
		}
	}
}

func TestPowerEdges(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range [][3]float64{
		{0, 0, 1}, {0, -1, inf}, {1, nan, 1}, {nan, 0, 1}, {2, inf, inf}, {0.5, inf, 0}, {-1, inf, 1}, {inf, -1, 0},
		{-2, 3, -8}, {-2, 2, 4}, {-2, -1, -0.5}, {-2, 0.5, nan}, {10, 2, 100}, {10, 308, 1e308}, {10, 309, inf}, {10, -400, 0},
		{2, 1023, 0x1p1023}, {2, -1074, 5e-324}, {2, -1076, 0}, {10, 22, 1e22}, {-inf, 3, -inf}, {1.5, 1e300, inf}, {0.5, 1e300, 0},
	} {
		if got := power(c[0], c[1]); got != c[2] && !(math.IsNaN(got) && math.IsNaN(c[2])) {
			t.Errorf("power(%v, %v) = %v, want %v", c[0], c[1], got, c[2])
		}
	}
}
