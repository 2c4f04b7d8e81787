package main

import (
	"testing"
	"time"
)

// What came is measured from when it was due; what did not come counts with the
// time that was waited for it.
func TestCompare(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	after := func(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }
	r := &roster{
		device:  map[string]string{"da": "a", "db": "b", "dc": "c"},
		patient: map[string]string{"pa": "a", "pb": "b", "pc": "c"},
	}
	arrivals := make([]arrival, 4)
	for i, a := range []struct {
		device string
		onset  bool
		counts bool
	}{{"a", false, false}, {"a", true, true}, {"b", true, true}, {"b", false, true}} {
		arrivals[i].device, arrivals[i].time, arrivals[i].onset, arrivals[i].counts = a.device, int64(i), a.onset, a.counts
		arrivals[i].due = after(100 * i)
		arrivals[i].acked.Store(int64(time.Millisecond))
	}
	tp := &tap{
		observations: map[observed]time.Time{
			{"da", 0, "hr"}: after(50), // warm-up
			{"da", 1, "hr"}: after(110), {"da", 1, "rr"}: after(120),
			{"db", 2, "hr"}: after(230),
		},
		flags: map[string]time.Time{"pa": after(140), "pc": after(5)}, // c was well
	}
	var f latencyFigures
	f.compare(arrivals, tp, r, after(1300))
	if f.Observation != (spread{N: 4, P50: 20, P99: 1000, Max: 1000, Mean: 265}) || f.MissingObservations != 1 {
		t.Errorf("Observations %+v, %d missing", f.Observation, f.MissingObservations)
	}
	if f.Alert != (spread{N: 2, P50: 40, P99: 1100, Max: 1100, Mean: 570}) || f.MissingAlerts != 1 || f.EarlyAlerts != 1 {
		t.Errorf("alerts %+v, %d missing, %d early", f.Alert, f.MissingAlerts, f.EarlyAlerts)
	}
	if f.AlertFromAck.P50 != 39 || f.Append.N != 3 {
		t.Errorf("from the acknowledgement %+v, appended %+v", f.AlertFromAck, f.Append)
	}
}
