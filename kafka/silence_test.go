package kafka

import (
	"testing"
	"time"
)

// A device is silent by what it sends: an answer about it, which comes by the
// other input, or a tick that writes its row, is no sign of life (rule G9).
func TestG9OnlyTheFirstInputBreaksSilence(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newRowStore(2, func(row []byte) uint8 { return row[0] }, func(row []byte, input int) int64 {
		return int64(row[1+input])
	})
	s.now = func() time.Time { return now }
	_ = s.MarkRecovered()
	set := func(first, second byte) {
		now = now.Add(time.Minute)
		_ = s.Set("a", []byte{rowSilent, first, second})
	}
	touched := func() time.Time { return s.rows["a"].touched }
	set(1, 0)
	spoke := touched()
	set(1, 5) // an answer
	set(1, 5) // a tick
	if !touched().Equal(spoke) {
		t.Error("an answer or a tick broke the silence")
	}
	set(2, 5)
	if !touched().Equal(now) {
		t.Error("a message did not break the silence")
	}
	_ = s.Set("a", []byte{0, 2, 6})
	set(2, 7) // comes to be able to fall silent: counted from now
	if !touched().Equal(now) || s.silent.n != 1 {
		t.Errorf("a row that can fall silent again is counted from %s", touched())
	}
}
