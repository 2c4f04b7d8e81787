package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// subject is one of the things that a meter compares. It works through its next
// n messages, and begins again behind the last one.
type subject struct {
	name string
	work func(n int) error
}

// reading is what a message costs a subject.
type reading struct {
	nanos  float64 // of CPU: the lower quartile of the rounds
	spread float64 // by how much the upper quartile is above it, 0.1 = 10 %
	allocs float64
}

// meter compares subjects by CPU time. In each lap of a round every subject gets
// a slot, one after another, so that whatever slows the machine down for a while
// slows all of them down. The lower quartile of the rounds leaves the disturbed
// ones out.
type meter struct {
	rounds int
	laps   int                  // of a round
	slot   time.Duration        // of CPU, about
	cpu    func() time.Duration // taken by this process so far
	settle func()               // before each slot, not measured
}

// newMeter returns a meter whose slots begin without the garbage of the slot
// before, whose collection would go on at the cost of another subject.
func newMeter(rounds, laps int, slot time.Duration) *meter {
	return &meter{rounds: rounds, laps: laps, slot: slot, cpu: ownCPU, settle: runtime.GC}
}

// measure returns the readings of the subjects, in their order.
func (m *meter) measure(ctx context.Context, subjects []subject) ([]reading, error) {
	counts := make([]int, len(subjects)) // of messages in a slot
	readings := make([]reading, len(subjects))
	for i := range subjects {
		var err error
		if counts[i], err = m.calibrate(&subjects[i]); err != nil {
			return nil, err
		}
		if readings[i].allocs, err = allocations(&subjects[i], counts[i]); err != nil {
			return nil, err
		}
	}
	taken, err := m.interleave(ctx, subjects, counts)
	if err != nil {
		return nil, err
	}
	for i := range subjects {
		readings[i].take(taken[i], m.laps*counts[i])
	}
	return readings, nil
}

// calibrate returns how many messages fill a slot. It warms the subject up.
func (m *meter) calibrate(s *subject) (int, error) {
	for n := 1; ; n *= 2 {
		d, err := m.time(s, n)
		if err != nil {
			return 0, err
		}
		if d >= m.slot {
			return max(1, int(int64(n)*int64(m.slot)/int64(d))), nil
		}
	}
}

// time returns the CPU time of n messages.
func (m *meter) time(s *subject, n int) (time.Duration, error) {
	begin := m.cpu()
	err := s.work(n)
	d := m.cpu() - begin
	if err != nil {
		return 0, fmt.Errorf("%s: %w", s.name, err)
	}
	return d, nil
}

// allocations counts what a message allocates on the heap once the subject is
// warm. Of three counts the lowest one counts: the runtime allocates now and
// then for itself.
func allocations(s *subject, n int) (float64, error) {
	lowest := ^uint64(0)
	var before, after runtime.MemStats
	for range 3 {
		runtime.ReadMemStats(&before)
		err := s.work(n)
		runtime.ReadMemStats(&after)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", s.name, err)
		}
		lowest = min(lowest, after.Mallocs-before.Mallocs)
	}
	return float64(lowest) / float64(n), nil
}

// interleave returns for each subject what its slots of each round took
// together.
func (m *meter) interleave(ctx context.Context, subjects []subject, counts []int) ([][]time.Duration, error) {
	taken := make([][]time.Duration, len(subjects))
	for i := range taken {
		taken[i] = make([]time.Duration, m.rounds)
	}
	for round := range m.rounds {
		for range m.laps {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			for i := range subjects {
				m.settle()
				d, err := m.time(&subjects[i], counts[i])
				if err != nil {
					return nil, err
				}
				taken[i][round] += d
			}
		}
	}
	return taken, nil
}

// take reads what the rounds took, which it sorts.
func (r *reading) take(rounds []time.Duration, messages int) {
	slices.Sort(rounds)
	low, high := percentile(rounds, 0.25), percentile(rounds, 0.75)
	r.nanos = float64(low) / float64(messages)
	if low > 0 {
		r.spread = float64(high-low) / float64(low)
	}
}
