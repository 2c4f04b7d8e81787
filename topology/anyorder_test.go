package topology_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"auscult/internal/scene"
)

// TestAnyOrderSameBodies is the promise of the design in numbers: a final window
// is a pure function of the set of values in it. With unlimited grace the same
// values are sent in order, and then shuffled, partly repeated, through any
// partitions, with stages dying: the same Observations, RiskAssessments, Flags,
// panes and scores.
func TestAnyOrderSameBodies(t *testing.T) {
	for seed := range uint64(*seeds) + 1 {
		t.Run(fmt.Sprintf("seed %d", seed+1), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 7))
			lines := wardLines(rng)
			emit := []string{"close", "value"}[seed%2]
			want := playLines(t, 1, 0, emit, lines)
			lines = append(lines, lines[:rng.IntN(len(lines))]...)
			rng.Shuffle(len(lines), func(i, k int) { lines[i], lines[k] = lines[k], lines[i] })
			for i := range lines {
				lines[i] += fmt.Sprintf(" partition=%d", rng.IntN(4))
			}
			compareLeft(t, want, playLines(t, 4, 0, emit, lines))
			compareLeft(t, want, playLines(t, 2, seed+1, emit, lines))
			if t.Failed() {
				t.Logf("values:\n%s", strings.Join(lines, "\n"))
			}
		})
	}
}

// wardLines returns messages of three devices of two patients over two hours,
// some of them about the same instant from two devices.
func wardLines(rng *rand.Rand) []string {
	names := []string{"rr", "spo2", "sbp", "hr", "temp"}
	low := []int{8, 88, 85, 45, 35}
	spread := []int{20, 12, 60, 95, 5}
	var lines []string
	said := map[string]bool{} // device, minute
	for range 40 {
		device, minute := []string{"m1", "m2", "m3"}[rng.IntN(3)], rng.IntN(120)
		at := fmt.Sprintf("%s %02d:%02d", device, 10+minute/60, minute%60)
		if said[at] {
			continue // of equal times the position decides, which is another one then
		}
		said[at] = true
		var values []string
		for i, name := range names {
			if rng.IntN(3) > 0 {
				values = append(values, fmt.Sprintf("%s %d", name, low[i]+rng.IntN(spread[i])))
			}
		}
		if rng.IntN(2) == 0 {
			values = append(values, "acvpu "+[]string{"A", "A", "A", "V"}[rng.IntN(4)])
		}
		if len(values) > 0 {
			lines = append(lines, at+" "+strings.Join(values, " "))
		}
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[3:], b[3:]) })
	return lines
}

// playLines plays messages and returns what they leave. Flags that only a
// provisional score has opened are outside the promise (G16): they close when
// they open.
func playLines(t *testing.T, partitions int32, seed uint64, emit string, lines []string) map[string]string {
	t.Helper()
	p := newPlay(t, partitions, seed)
	for _, c := range []scene.Command{
		{Verb: "model", Args: []string{"grace=24h", "emit=" + emit, "off=1"}},
		{Verb: "fhir", Lines: []string{"Patient anna", "Patient ben", "Device m1 of anna", "Device m2 of anna", "Device m3 of ben"}},
		{Verb: "send", Args: []string{"arrives=13:00"}, Lines: lines},
		{Verb: "end"},
	} {
		if _, err := p.do(c); err != nil {
			t.Fatal(err)
		}
	}
	left := p.left()
	for name, body := range left {
		var f flagResource
		if strings.HasPrefix(name, "Flag/") && json.Unmarshal([]byte(body), &f) == nil && f.Period.Start == f.Period.End {
			delete(left, name)
		}
	}
	return left
}
