package dotnet

import (
	"encoding/binary"

	"auscult/schemas"
)

// Eight characters of a time are read at once: one exclusive or turns those of
// a pattern into the values of its digits.
const (
	patternDay      = 0x2D30_302D_3030_3030 // "0000-00-"
	patternDashes   = 0xFF00_00FF_0000_0000
	patternClock    = 0x3030_3A30_303A_3030 // "00:00:00"
	patternColons   = 0x0000_FF00_00FF_0000
	patternFraction = 0x5A30_3030_3030_3030 // "0000000Z"
	overNine        = 0x7676_7676_7676_7676 // carries a digit's byte over 9 into its top bit
	topBits         = 0x8080_8080_8080_8080
)

// PlainClock reads HH:mm:ssZ or HH:mm:ss.fffffffZ, which nearly all times of
// messages end with; it refuses what ISOClock has to look at.
func PlainClock(b []byte) (schemas.Ticks, bool) {
	if len(b) != 9 && len(b) != 17 {
		return 0, false
	}
	x := binary.LittleEndian.Uint64(b) ^ patternClock
	if !digits(x) || x&patternColons != 0 {
		return 0, false
	}
	x = x*10 + x>>8 // each first digit's byte: the number of two digits
	h, m, s := x&0xFF, x>>24&0xFF, x>>48&0xFF
	if h > 23 || m > 59 || s > 59 {
		return 0, false
	}
	t := schemas.Ticks(h)*schemas.TicksPerHour + schemas.Ticks(m)*schemas.TicksPerMinute + schemas.Ticks(s)*schemas.TicksPerSecond
	if len(b) == 9 {
		return t, b[8] == 'Z'
	}
	f := binary.LittleEndian.Uint64(b[9:]) ^ patternFraction
	if b[8] != '.' || !digits(f) || f>>56 != 0 {
		return 0, false
	}
	return t + fraction(f), true
}

// digits reports whether each byte of x is at most 9.
func digits(x uint64) bool { return ((x+overNine)|x)&topBits == 0 }

// fraction returns the number of the first seven bytes of f, digits; the eighth
// is 0.
func fraction(f uint64) schemas.Ticks {
	f = f*10 + f>>8 // pairs
	const pairs = 0x0000_00FF_0000_00FF
	high := (f & pairs) * (100 + 1_000_000<<32)
	low := (f >> 16 & pairs) * (1 + 10_000<<32)
	return schemas.Ticks((high+low)>>32) / 10
}
