package kafka

import (
	"math/rand/v2"
	"sync"
	"testing"
)

// TestLedgerPrefix finishes delivered offsets, with gaps between them, in a
// random order and compares every step with the naive answer.
func TestLedgerPrefix(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 200 {
		start := r.Int64N(1000)
		l := newLedger(start)
		var open, all []int64
		done := map[int64]bool{}
		offset := start + r.Int64N(3)
		for len(all) < 200 || len(open) > 0 {
			if len(all) < 200 && (len(open) == 0 || r.IntN(2) == 0) {
				l.delivered(offset)
				all, open = append(all, offset), append(open, offset)
				offset += 1 + r.Int64N(3)*r.Int64N(2)
				continue
			}
			i := r.IntN(len(open))
			o := open[i]
			open = append(open[:i], open[i+1:]...)
			before := l.prefix()
			got, moved := l.finish(o)
			done[o] = true
			want := naivePrefix(start, all, done)
			if got != want || moved != (want != before) || l.prefix() != want {
				t.Fatalf("finish(%d): prefix %d moved %v, want %d (before %d)", o, got, moved, want, before)
			}
			if again, moved := l.finish(o); again != want || moved {
				t.Fatalf("finishing %d twice moved the prefix", o)
			}
			if l.inFlight() != len(open) {
				t.Fatalf("%d in flight, want %d", l.inFlight(), len(open))
			}
		}
	}
}

func naivePrefix(start int64, all []int64, done map[int64]bool) int64 {
	for _, o := range all {
		if !done[o] {
			return start
		}
		start = o + 1
	}
	return start
}

func TestLedgerIgnoresWhatItDoesNotKnow(t *testing.T) {
	l := newLedger(10)
	if p, moved := l.finish(10); p != 10 || moved {
		t.Errorf("finish before delivered: %d %v", p, moved)
	}
	l.delivered(9) // below what is finished
	l.delivered(12)
	l.delivered(12)
	l.delivered(11)
	if n := l.inFlight(); n != 1 {
		t.Errorf("%d in flight, want 1", n)
	}
	if p, moved := l.finish(12); p != 13 || !moved {
		t.Errorf("prefix %d %v, want 13", p, moved)
	}
}

func TestLedgerTogether(t *testing.T) {
	l := newLedger(0)
	var wg sync.WaitGroup
	const n = 2000
	for i := range int64(n) {
		l.delivered(i)
	}
	for w := range int64(4) {
		wg.Go(func() {
			for i := w; i < n; i += 4 {
				l.finish(i)
			}
		})
	}
	wg.Wait()
	if l.prefix() != n || l.inFlight() != 0 {
		t.Errorf("prefix %d, %d in flight", l.prefix(), l.inFlight())
	}
}

func TestLedgerMemory(t *testing.T) {
	l := newLedger(0)
	step := func(i int64) { l.delivered(i + 3); l.finish(i) }
	for i := range int64(3) {
		l.delivered(i)
	}
	for i := range int64(100_000) {
		step(i)
	}
	if c := cap(l.entries); c > 8192 {
		t.Errorf("holds %d entries for 3 messages in flight", c)
	}
	i := int64(100_000)
	if n := testing.AllocsPerRun(1000, func() { step(i); i++ }); n != 0 {
		t.Errorf("%v allocations a message", n)
	}
}
