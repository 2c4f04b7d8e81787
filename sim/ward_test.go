package sim

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// reading is a message's body as a receiver sees it.
type reading struct {
	DeviceID  string   `json:"deviceId"`
	PatientID string   `json:"patientId"`
	Time      string   `json:"time"`
	HR        *float64 `json:"hr"`
	RR        *float64 `json:"rr"`
	SpO2      *float64 `json:"spo2"`
	SBP       *float64 `json:"sbp"`
	DBP       *float64 `json:"dbp"`
	Temp      *float64 `json:"temp"`
	AVPU      *string  `json:"avpu"`
	O2        *float64 `json:"o2"`
}

func ward(t testing.TB, cfg Config) *Ward {
	t.Helper()
	w, err := NewWard(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// until collects the messages of a time.
func until(w *Ward, from, to time.Time) []Message {
	var all []Message
	for m := range w.Messages(from) {
		if !m.At.Before(to) {
			break
		}
		all = append(all, m)
	}
	return all
}

func read(t testing.TB, m Message) reading {
	t.Helper()
	var r reading
	if err := json.Unmarshal(m.Body, &r); err != nil {
		t.Fatalf("%s: %v", m.Body, err)
	}
	return r
}

// TestSameSeedSameMessages: a ward is a function of its seed and of time, so
// whoever begins to read later gets the rest of the same stream.
func TestSameSeedSameMessages(t *testing.T) {
	cfg := Demo(12, 7, start)
	whole := until(ward(t, cfg), start, start.Add(5*time.Minute))
	var last time.Time
	for _, m := range whole {
		if m.At.Before(last) {
			t.Fatalf("%s after %s: not in order of time", m.At, last)
		}
		last = m.At
	}
	for _, d := range []time.Duration{0, time.Second, 90*time.Second + 137*time.Millisecond, 4 * time.Minute} {
		from := start.Add(d)
		rest := until(ward(t, cfg), from, start.Add(5*time.Minute))
		i := 0
		for i < len(whole) && whole[i].At.Before(from) {
			i++
		}
		if got, want := text(rest), text(whole[i:]); got != want {
			t.Errorf("from %s: %d messages differ from the %d of the whole stream", d, len(rest), len(whole)-i)
		}
	}
	other := cfg
	other.Seed++
	if text(until(ward(t, other), start, start.Add(time.Minute))) == text(until(ward(t, cfg), start, start.Add(time.Minute))) {
		t.Error("another seed gives the same messages")
	}
}

func text(ms []Message) string {
	var b strings.Builder
	for _, m := range ms {
		fmt.Fprintf(&b, "%s %s %s\n", m.At, m.Key, m.Body)
	}
	return b.String()
}

// between scores x by NEWS2's table: bounds are the upper ends of the bands.
func band(x float64, bounds []float64, scores []int) int {
	for i, b := range bounds {
		if x <= b {
			return scores[i]
		}
	}
	return scores[len(bounds)]
}

// news2 is the score of the latest values, -1 while one is missing.
func news2(r *reading) int {
	if r.HR == nil || r.RR == nil || r.SpO2 == nil || r.SBP == nil || r.Temp == nil || r.AVPU == nil || r.O2 == nil {
		return -1
	}
	total := band(*r.RR, []float64{8, 11, 20, 24}, []int{3, 1, 0, 2, 3}) +
		band(*r.SpO2, []float64{91, 93, 95}, []int{3, 2, 1, 0}) +
		band(*r.SBP, []float64{90, 100, 110, 219}, []int{3, 2, 1, 0, 3}) +
		band(*r.HR, []float64{40, 50, 90, 110, 130}, []int{3, 1, 0, 1, 2, 3}) +
		band(*r.Temp, []float64{35, 36, 38, 39}, []int{3, 1, 0, 1, 2})
	if *r.O2 > 0 {
		total += 2
	}
	if *r.AVPU != "A" {
		total += 3
	}
	return total
}

// merge keeps the latest of each value, without what no patient can have.
func (r *reading) merge(m reading) {
	keep := func(to **float64, from *float64) {
		if from != nil && *from > 20 && *from < 320 || from != nil && to == &r.RR && *from > 0 {
			*to = from
		}
	}
	keep(&r.HR, m.HR)
	keep(&r.RR, m.RR)
	keep(&r.SBP, m.SBP)
	keep(&r.Temp, m.Temp)
	if m.SpO2 != nil && *m.SpO2 <= 100 {
		r.SpO2 = m.SpO2
	}
	if m.AVPU != nil {
		r.AVPU, r.O2 = m.AVPU, m.O2
	}
}

// TestDemoDeteriorates: with any seed the first patient of the demo reaches an
// emergency within a minute, gets well again, and nobody else who is stable
// ever comes near it.
func TestDemoDeteriorates(t *testing.T) {
	for seed := range uint64(20) {
		cfg := Demo(8, seed, start)
		latest := map[string]*reading{}
		reached := time.Duration(-1)
		worstStable, last := 0, -1
		for _, m := range until(ward(t, cfg), start, start.Add(cfg.Course*cycleCourses)) {
			r := latest[m.Device]
			if r == nil {
				r = &reading{}
				latest[m.Device] = r
			}
			r.merge(read(t, m))
			score := news2(r)
			switch m.Device {
			case deviceID(0):
				if score >= 7 && reached < 0 {
					reached = m.At.Sub(start)
				}
				last = score
			case deviceID(6), deviceID(7):
				worstStable = max(worstStable, score)
			}
		}
		if reached < 0 || reached > 45*time.Second {
			t.Errorf("seed %d: an emergency after %s, want within 45s", seed, reached)
		}
		if last > 4 || worstStable >= 5 {
			t.Errorf("seed %d: well again with %d, stable patients up to %d", seed, last, worstStable)
		}
	}
}

// TestScenarios shows what each scenario does to a device's messages.
func TestScenarios(t *testing.T) {
	cfg := Config{Patients: 3, Seed: 1, Start: start, Every: time.Second, SpotEvery: time.Minute, Course: time.Minute,
		Scenarios: []Scenario{SensorOff, ClockWrong, Handover}}
	w := ward(t, cfg)
	silent, ahead, others, values := 0, 0, 0, 0
	for _, m := range until(w, start, start.Add(20*time.Minute)) {
		r := read(t, m)
		minute := m.At.Sub(start).Minutes()
		at, err := time.Parse(time.RFC3339Nano, r.Time)
		if err != nil || r.DeviceID != m.Device || m.Key != m.Device {
			t.Fatalf("%s: %v", m.Body, err)
		}
		if r.HR == nil || r.RR == nil || r.SpO2 == nil {
			values++
		}
		switch m.Device {
		case deviceID(0):
			if minute >= 2 && minute < 7 {
				silent++
			}
		case deviceID(1):
			if wrong := minute >= 2 && minute < 3; (at.Sub(m.At) == 24*time.Hour) != wrong || !wrong && !at.Equal(m.At) {
				t.Fatalf("minute %.2f: the device says %s at %s", minute, at, m.At)
			} else if wrong {
				ahead++
			}
		case deviceID(2):
			handed := minute >= 4 && minute < 14
			if (r.PatientID == w.patients[3].id) != handed {
				t.Fatalf("minute %.2f: the device names %s", minute, r.PatientID)
			}
			if handed {
				others++
			}
		}
	}
	if silent != 0 || ahead < 55 || others < 550 || values == 0 {
		t.Errorf("silent %d (want 0), ahead %d, others %d, messages with missing values %d", silent, ahead, others, values)
	}
}

// TestResources: every patient has what scoring wants to know, every device the
// patient who wears it first.
func TestResources(t *testing.T) {
	w := ward(t, Demo(6, 3, start))
	count := map[string]int{}
	known := map[string]bool{}
	for _, r := range w.Resources() {
		var v struct {
			ResourceType, ID, Gender, BirthDate string
			Identifier                          []struct{ System, Value string }
			Patient                             struct{ Reference string }
		}
		if err := json.Unmarshal(r.JSON, &v); err != nil {
			t.Fatal(err)
		}
		count[r.Type]++
		known[r.Type+"/"+r.ID] = true
		if v.ResourceType != r.Type || v.ID != r.ID || len(v.Identifier) != 1 || v.Identifier[0].System != IdentifierSystem {
			t.Errorf("%s", r.JSON)
		}
		if _, err := time.Parse(time.DateOnly, v.BirthDate); r.Type == "Patient" && (err != nil || v.Gender != "female" && v.Gender != "male") {
			t.Errorf("%s", r.JSON)
		}
		if r.Type == "Device" && !known[v.Patient.Reference] {
			t.Errorf("%s: no such patient", r.JSON)
		}
	}
	if count["Patient"] != 7 || count["Device"] != 6 {
		t.Errorf("resources %v, want 7 patients (one waits for a handover) and 6 devices", count)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no patients":   {Start: start},
		"no start":      {Patients: 1},
		"too often":     {Patients: 1, Start: start, Every: time.Microsecond},
		"spot too soon": {Patients: 1, Start: start, Every: time.Minute, SpotEvery: time.Second},
	} {
		if _, err := NewWard(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for i, name := range scenarioNames {
		if s, err := ParseScenario(name); err != nil || s != Scenario(i) || s.String() != name {
			t.Errorf("%s: %v %v", name, s, err)
		}
	}
	if _, err := ParseScenario("nope"); err == nil {
		t.Error("a scenario that does not exist was accepted")
	}
}

func BenchmarkMessages(b *testing.B) {
	w := ward(b, Demo(100, 1, start))
	n := 0
	b.ReportAllocs()
	for range w.Messages(start) {
		if n++; n == b.N {
			break
		}
	}
}
