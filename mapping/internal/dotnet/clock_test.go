package dotnet

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"auscult/schemas"
)

// TestPlainClock: what PlainClock takes, ISOClock takes too, and gives the same.
func TestPlainClock(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	taken := 0
	for i := range 200_000 {
		b := fmt.Appendf(nil, "%02d:%02d:%02d", random.IntN(26), random.IntN(62), random.IntN(62))
		if i%3 > 0 {
			b = fmt.Appendf(b, ".%07d", random.IntN(10_000_000))
		}
		b = append(b, 'Z')
		if i%7 == 0 {
			b[random.IntN(len(b))] = byte(random.Uint32())
		}
		got, ok := PlainClock(b)
		if !ok {
			if want, end, okay := ISOClock(b, 0); okay && end == len(b)-1 && b[end] == 'Z' && want < 24*60*60*10_000_000 && (len(b) == 9 || len(b) == 17) && b[0] < '2' {
				t.Fatalf("%q is refused", b)
			}
			continue
		}
		taken++
		if want, end, okay := ISOClock(b, 0); !okay || end != len(b)-1 || b[end] != 'Z' || want != got {
			t.Fatalf("%q: %d, want %d (%v)", b, got, want, okay)
		}
	}
	if taken < 100_000 {
		t.Errorf("only %d texts were taken", taken)
	}
}

// TestISODay compares with the library's calendar.
func TestISODay(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for i := range 200_000 {
		b := fmt.Appendf(nil, "%04d-%02d-%02dT", random.IntN(10_000), random.IntN(14), random.IntN(33))
		if i%5 == 0 {
			b[random.IntN(len(b))] = byte(random.Uint32())
		}
		got, ok := ISODay(b)
		want, err := time.Parse("2006-01-02", string(b[:10]))
		if fine := err == nil && want.Year() > 0; ok != fine || ok && got != schemas.TicksOf(want) {
			t.Fatalf("%q: %d, %v, want %v (%v)", b, got, ok, want, err)
		}
	}
	for i := range 10 {
		if _, ok := ISODay([]byte("2024-01-02")[:i]); ok {
			t.Errorf("a day in %d bytes", i)
		}
	}
}
