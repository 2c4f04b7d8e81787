package main

import (
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, c := range []struct {
		sorted []time.Duration
		p      float64
		want   time.Duration
	}{
		{hundred, 0.5, 50},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
		{hundred, 0, 1},
		{hundred[:1], 0.99, 1},
		{hundred[:2], 0.5, 1},
		{hundred[:3], 0.5, 2},
		{hundred[:3], 0.99, 3},
	} {
		if got := percentile(c.sorted, c.p); got != c.want {
			t.Errorf("percentile %g of %d is %d, want %d", c.p, len(c.sorted), got, c.want)
		}
	}
}

func TestSpread(t *testing.T) {
	got := spreadOf([]time.Duration{4 * time.Millisecond, time.Millisecond, 2500 * time.Microsecond})
	want := spread{N: 3, P50: 2.5, P99: 4, Max: 4, Mean: 2.5}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if (spreadOf(nil) != spread{}) {
		t.Error("nothing has no spread")
	}
}

// Arrivals do not drift: the millionth is where the rate says, whatever came
// before it.
func TestSchedule(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := schedule{begin, 250}
	for i, want := range map[int]time.Duration{0: 0, 1: 4 * time.Millisecond, 250: time.Second, 1_000_000: 4000 * time.Second} {
		if got := s.at(i).Sub(begin); got != want {
			t.Errorf("message %d arrives after %s, want %s", i, got, want)
		}
	}
	if n := s.count(30 * time.Second); n != 7500 {
		t.Errorf("%d arrive in 30 s", n)
	}
	if n := (schedule{begin, 0.3}).count(time.Second); n != 1 {
		t.Errorf("%d arrive", n)
	}
}
