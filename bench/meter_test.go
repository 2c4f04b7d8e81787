package main

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

// clockwork is a CPU clock that only its subjects move.
type clockwork struct {
	now   time.Duration
	order string // who ran, and "|" before each slot
}

// subject takes cost for a message.
func (c *clockwork) subject(name string, cost time.Duration) subject {
	return subject{name, func(n int) error {
		c.now += time.Duration(n) * cost
		c.order += name
		return nil
	}}
}

func (c *clockwork) meter(rounds, laps int, slot time.Duration) *meter {
	return &meter{
		rounds: rounds, laps: laps, slot: slot,
		cpu: func() time.Duration { return c.now }, settle: func() { c.order += "|" },
	}
}

func TestMeterInterleaves(t *testing.T) {
	c := &clockwork{}
	readings, err := c.meter(2, 3, time.Millisecond).measure(t.Context(), []subject{
		c.subject("a", 10*time.Microsecond), c.subject("b", 250*time.Microsecond), c.subject("c", 3*time.Millisecond),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.order[strings.Index(c.order, "|"):]; got != strings.Repeat("|a|b|c", 2*3) {
		t.Errorf("the slots went to %s", got)
	}
	for i, want := range []float64{10_000, 250_000, 3_000_000} {
		if r := readings[i]; r.nanos != want || r.spread != 0 {
			t.Errorf("subject %d: %+v, want %g ns a message", i, r, want)
		}
	}
}

func TestMeterFillsSlots(t *testing.T) {
	c := &clockwork{}
	m := c.meter(1, 1, time.Millisecond)
	for _, x := range []struct {
		cost time.Duration
		want int
	}{{time.Microsecond, 1000}, {300 * time.Microsecond, 3}, {time.Second, 1}} {
		s := c.subject("s", x.cost)
		if n, err := m.calibrate(&s); n != x.want || err != nil {
			t.Errorf("messages of %s: %d, %v, want %d", x.cost, n, err, x.want)
		}
	}
}

// Seven of eleven rounds are disturbed: the lower quartile is not.
func TestReadingTakesLowerQuartile(t *testing.T) {
	var rounds []time.Duration
	for i := range 11 {
		d := 100 * time.Microsecond
		if i%3 != 0 {
			d = 150 * time.Microsecond
		}
		rounds = append(rounds, d)
	}
	var r reading
	r.take(rounds, 50)
	if r.nanos != 2000 || math.Abs(r.spread-0.5) > 1e-9 {
		t.Errorf("got %+v, want 2000 ns and a spread of 50 %%", r)
	}
}

func TestMeterCountsAllocations(t *testing.T) {
	var kept []*[64]byte
	s := subject{"s", func(n int) error {
		kept = kept[:0]
		for range 2 * n {
			kept = append(kept, new([64]byte))
		}
		return nil
	}}
	if _, err := allocations(&s, 800); err != nil { // the list grows
		t.Fatal(err)
	}
	if n, err := allocations(&s, 800); n != 2 || err != nil {
		t.Errorf("%g allocations a message, %v, want 2", n, err)
	}
}

func TestMeterStops(t *testing.T) {
	c := &clockwork{}
	broken := errors.New("broken")
	_, err := c.meter(1, 1, time.Millisecond).measure(t.Context(), []subject{{"s", func(int) error { return broken }}})
	if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "s: ") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.meter(1, 1, time.Millisecond).measure(ctx, []subject{c.subject("s", time.Millisecond)}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestOwnCPU(t *testing.T) {
	begin, x := ownCPU(), 1.0
	for start := time.Now(); time.Since(start) < 20*time.Millisecond; {
		x = math.Sqrt(x + 1)
	}
	if took := ownCPU() - begin; took <= 0 || took > 10*time.Second {
		t.Errorf("20 ms of work took %s of CPU", took)
	}
}
