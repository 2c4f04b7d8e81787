package jmespath

import "math"

// power is x to the power of y, correctly rounded but for ties. The connector's
// runtime rounds so; math.Pow is off by some last digits, which a text shows.
func power(x, y float64) float64 {
	switch {
	case x < 0 && !math.IsInf(x, 0) && y == math.Trunc(y) && !math.IsInf(y, 0):
		if math.Mod(y, 2) != 0 {
			return -power(-x, y)
		}
		return power(-x, y)
	case !(x > 0) || x == 1 || y == 0 || math.IsInf(x, 0) || math.IsInf(y, 0) || math.IsNaN(y):
		return math.Pow(x, y)
	}
	e := ln(x).times(y)
	switch {
	case e.high > maxExponent:
		return math.Inf(1)
	case e.high < -maxExponent || math.IsNaN(e.high):
		return math.Pow(x, y)
	}
	m, scale := exp(e)
	return math.Ldexp(m.high, scale)
}

// maxExponent is beyond the natural logarithms of all floats.
const maxExponent = 750

// double is a number of about 106 bits: high is the nearest float, low the rest.
type double struct{ high, low float64 }

// ln2 is the natural logarithm of 2.
var ln2 = double{0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56}

// sum adds two floats without loss.
func sumOf(a, b float64) double {
	s := a + b
	bb := s - a
	return double{s, (a - (s - bb)) + (b - bb)}
}

func (a double) plus(b double) double {
	s := sumOf(a.high, b.high)
	return sumOf(s.high, s.low+(a.low+b.low))
}

func (a double) times(b float64) double { return a.by(double{b, 0}) }

// by multiplies.
func (a double) by(b double) double {
	p := a.high * b.high
	rest := math.FMA(a.high, b.high, -p)
	rest = math.FMA(a.high, b.low, math.FMA(a.low, b.high, rest))
	return sumOf(p, rest)
}

// over divides by a small whole number.
func (a double) over(n float64) double {
	q := a.high / n
	rest := math.FMA(-q, n, a.high) + a.low
	return sumOf(q, rest/n)
}

// exp returns e to the power of a as m * 2^scale, m between 0.7 and 1.5.
func exp(a double) (m double, scale int) {
	k := math.Round(a.high / ln2.high)
	r := a.plus(ln2.times(-k))
	m = double{1, 0}
	const terms = 26 // of the series, for 106 bits
	for n := float64(terms); n > 0; n-- {
		m = double{1, 0}.plus(r.over(n).by(m))
	}
	return m, int(k)
}

// ln returns the natural logarithm of x, which is above 0: one step from the
// logarithm that math.Log finds.
func ln(x float64) double {
	m, e := math.Frexp(x)
	if m < math.Sqrt2/2 {
		m, e = m*2, e-1
	}
	guess := math.Log(m)
	inverse, scale := exp(double{-guess, 0})
	ratio := inverse.times(math.Ldexp(m, scale))
	off := ratio.plus(double{-1, 0}) // m is e^guess * (1 + off), and off is tiny
	return ln2.times(float64(e)).plus(double{guess, 0}).plus(off).plus(double{-off.high * off.high / 2, 0})
}
