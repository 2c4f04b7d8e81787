package processors

import (
	"strconv"
	"testing"

	"auscult/schemas"
)

// BenchmarkAssessWindow sends the panes of a monitor that measures six vitals
// every minute: nearly all of what Assess sees. It reports the bytes that each
// record adds to the changelog of the table.
func BenchmarkAssessWindow(b *testing.B) {
	d := newAssessDriver(b, AssessConfig{Rules: icuRules(b, nil)})
	values := vitals()
	types := []string{"GCS", "HR", "RespRate", "SaO2", "SysABP", "Temp"}
	w := schemas.Window{Patient: "9f0c6a4e-3c1b-4d0e-8a51-7e3f5b2d1c00", Encounter: "enc-1", Device: "monitor-17", Resource: "5d1f0a2b-monitor-17",
		Name: "v", N: 1, Final: true, Lineage: schemas.Lineage{Run: schemas.RunLive, Generation: "g", Mapping: "0123456789abcdef"}}
	minute := 0
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		place := n % len(types)
		if place == 0 {
			minute++
		}
		w.Type = types[place]
		w.Start = bedOrigin + schemas.Ticks(minute)*schemas.TicksPerMinute
		w.End = w.Start + schemas.TicksPerMinute
		w.First = schemas.PanePoint{Time: w.Start + 3*schemas.TicksPerSecond, Text: values[w.Type]}
		w.Last = w.First
		w.LastObservation = w.Patient + "." + w.Device + "." + w.Type + "." + strconv.Itoa(20_000_000+minute) + "0000Z"
		if place == len(types)-1 {
			w.Clock = w.End
		}
		w.Order = schemas.Order{Version: int64(minute), Index: int32(place)}
		d.window(&w)
		clear(d.out)
	}
	b.ReportMetric(float64(d.bytes)/float64(d.writes), "changelog-bytes/op")
}
