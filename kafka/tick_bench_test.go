package kafka

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkTickIndex looks for the rows that a tick must visit among 100,000 of
// one partition, all of which may fall silent: ns/op is one look. It grows with
// what is due, not with what is there (rule G10). What visiting a row costs is
// measured by bench/.
func BenchmarkTickIndex(b *testing.B) {
	const rows = 100_000
	for _, due := range []int{0, 100, 1_000, 10_000, rows} {
		b.Run(fmt.Sprintf("due=%d", due), func(b *testing.B) {
			// Rows are touched in groups of due, one group a minute. A look finds
			// the group that has waited longest and touches it again.
			cutoff := time.Now()
			now := cutoff
			s := newRowStore(1, func(row []byte) uint8 { return row[0] }, nil)
			s.now = func() time.Time { return now }
			for i := range rows {
				if due == 0 && i == 0 || due > 0 && i%due == 0 {
					now = now.Add(time.Minute)
				}
				if err := s.Set(fmt.Sprintf("monitor-%06d", i), []byte{rowSilent}); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				if due > 0 {
					cutoff, now = cutoff.Add(time.Minute), now.Add(time.Minute)
				}
				if found := dueRows(b, s, cutoff); found != due {
					b.Fatalf("%d rows are due, want %d", found, due)
				}
			}
		})
	}
}

// dueRows returns how many rows a tick for silence finds.
func dueRows(b *testing.B, s *rowStore, cutoff time.Time) (found int) {
	if !s.arm(tickIdle, cutoff) {
		return 0
	}
	it, err := s.Iterator()
	if err != nil {
		b.Fatal(err)
	}
	defer it.Release()
	for it.Next() {
		found++
	}
	return found
}
