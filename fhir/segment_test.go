package fhir

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"auscult/schemas"
)

func tick(t *testing.T, s string) schemas.Ticks {
	t.Helper()
	at, ok := parseTime(s)
	if !ok {
		t.Fatalf("no time: %s", s)
	}
	return at
}

func TestSegmentOf(t *testing.T) {
	for _, c := range []struct {
		period      Period
		at          string
		correlation string
		want        string
		start, end  string
	}{
		{Single, "2024-05-06T10:00:00.2500001Z", "", "20240506100000Z.20240506100000Z", "2024-05-06T10:00:00.2500001Z", "2024-05-06T10:00:00.2500001Z"},
		{Hourly, "2024-05-06T10:59:59.9999999Z", "", "20240506100000Z.20240506105959Z", "2024-05-06T10:00:00.0000000Z", "2024-05-06T10:59:59.9999999Z"},
		{Daily, "2024-02-29T00:00:00Z", "", "20240229000000Z.20240229235959Z", "2024-02-29T00:00:00.0000000Z", "2024-02-29T23:59:59.9999999Z"},
		{Hourly, "0001-01-01T00:00:00Z", "", "00010101000000Z.00010101005959Z", "0001-01-01T00:00:00.0000000Z", "0001-01-01T00:59:59.9999999Z"},
		{Daily, "9999-12-31T23:59:59.9999999Z", "", "99991231000000Z.99991231235959Z", "9999-12-31T00:00:00.0000000Z", "9999-12-31T23:59:59.9999999Z"},
		{Correlation, "2024-05-06T10:00:00Z", "run 1", "run 1", "2024-05-06T10:00:00.0000000Z", "2024-05-06T10:00:00.0000000Z"},
	} {
		segment, start, end, err := SegmentOf(c.period, tick(t, c.at), c.correlation)
		if err != nil || segment != c.want || periodTime(start) != c.start && c.period != Single || periodTime(end) != c.end && c.period != Single {
			t.Errorf("%v %s: %s [%s, %s] %v", c.period, c.at, segment, periodTime(start), periodTime(end), err)
		}
	}
	for p, correlation := range map[Period]string{Correlation: " \t", Period(7): "x"} {
		if _, _, _, err := SegmentOf(p, 0, correlation); err == nil {
			t.Errorf("%v %q: no error", p, correlation)
		}
	}
}

func TestObservationNames(t *testing.T) {
	value := ObservationIdentifier("pat-a", "dev-a", "hr", "20240506100000Z.20240506105959Z")
	if value != "pat-a.dev-a.hr.20240506100000Z.20240506105959Z" {
		t.Error(value)
	}
	if id := ObservationID(value); id != "3f52d00521d8cecde876e4f3dd923743ad4175448e6c95fd754fdc02f5c0975a" {
		t.Error(id)
	}
	for p, want := range map[Period]string{Single: "Single", Hourly: "Hourly", Daily: "Daily", Correlation: "CorrelationId", 7: "Period(7)"} {
		if p.String() != want {
			t.Errorf("%d: %s", int(p), p)
		}
	}
}

func TestParseTime(t *testing.T) {
	for in, want := range map[string]string{
		"2024": "2024-01-01T00:00:00Z", "2024-05": "2024-05-01T00:00:00Z", "2024-05-06": "2024-05-06T00:00:00Z",
		"2024-05-06T12:15:00+02:00": "2024-05-06T10:15:00Z", "2024-05-06T10:00:00.1234567Z": "2024-05-06T10:00:00.1234567Z",
		"2024-05-06T10:00:00": "2024-05-06T10:00:00Z", "2024-05-06t10:00:00z": "2024-05-06T10:00:00Z", "2024-05-06T10:00Z": "2024-05-06T10:00:00Z",
	} {
		if at, ok := parseTime(in); !ok || Times(at) != want {
			t.Errorf("%s: %s", in, Times(at))
		}
	}
	for _, in := range []string{"", "yesterday", "2024-13-01"} {
		if _, ok := parseTime(in); ok {
			t.Errorf("%q is a time", in)
		}
	}
}

// The naive way: for every slot look for the last sample within.
func layOutNaive(samples []sample, start, end, step schemas.Ticks) string {
	var out []string
	for s := start; s <= end; s += step {
		last := "E"
		for _, v := range samples {
			if v.time >= s && v.time < s+step && v.time <= end {
				last = v.text
			}
		}
		out = append(out, last)
	}
	return strings.Join(out, " ")
}

func TestLayOutAgainstTheNaiveWay(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 2))
	for range 2000 {
		start, step := schemas.Ticks(random.IntN(50)), schemas.Ticks(1+random.IntN(9))
		end := start + schemas.Ticks(random.IntN(60))
		var samples []sample
		for range random.IntN(12) {
			samples = append(samples, sample{start + schemas.Ticks(random.IntN(70)), string(rune('a' + random.IntN(26)))})
		}
		slices.SortStableFunc(samples, func(a, b sample) int { return int(a.time - b.time) })
		got, ok := layOut(samples, start, end, step)
		if want := layOutNaive(samples, start, end, step); !ok || got != want {
			t.Fatalf("%v [%d,%d] by %d:\n got %s\nwant %s", samples, start, end, step, got, want)
		}
		back, _ := layOut(readData(got, start, step), start, end, step)
		if back != got {
			t.Fatalf("read back %q, was %q", back, got)
		}
	}
}

func TestLayOutLimits(t *testing.T) {
	if _, ok := layOut(nil, 0, maxSamples, 1); ok {
		t.Error("one slot too many was laid out")
	}
	if _, ok := layOut(nil, 10, 9, 1); ok {
		t.Error("an end before the start was laid out")
	}
	if data, ok := layOut([]sample{{-5, "x"}, {0, "1"}, {1, "2"}, {99, "y"}}, 0, 2, 2); !ok || data != "2 E" {
		t.Errorf("%q", data)
	}
}
