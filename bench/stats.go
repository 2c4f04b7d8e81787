package main

import (
	"math"
	"slices"
	"time"
)

// spread is what a set of durations comes to, in milliseconds.
type spread struct {
	N    int     `json:"n"`
	P50  float64 `json:"p50Milliseconds"`
	P99  float64 `json:"p99Milliseconds"`
	Max  float64 `json:"maxMilliseconds"`
	Mean float64 `json:"meanMilliseconds"`
}

// spreadOf sorts the durations.
func spreadOf(all []time.Duration) spread {
	if len(all) == 0 {
		return spread{}
	}
	slices.Sort(all)
	sum := 0.0
	for _, d := range all {
		sum += milliseconds(d)
	}
	return spread{
		N: len(all), P50: milliseconds(percentile(all, 0.5)), P99: milliseconds(percentile(all, 0.99)),
		Max: milliseconds(all[len(all)-1]), Mean: sum / float64(len(all)),
	}
}

// percentile returns the smallest of the sorted values that is not below a
// share p of them (nearest rank).
func percentile[T any](sorted []T, p float64) T {
	rank := int(math.Ceil(p * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// schedule says when messages arrive: an open loop, in which no arrival waits
// for an answer to an earlier one.
type schedule struct {
	begin time.Time
	rate  float64 // messages a second
}

// at returns the arrival of message i.
func (s schedule) at(i int) time.Time {
	return s.begin.Add(time.Duration(float64(i) / s.rate * float64(time.Second)))
}

// count returns how many messages arrive in the first d.
func (s schedule) count(d time.Duration) int { return int(math.Ceil(s.rate * d.Seconds())) }
