package scoring

import (
	"bufio"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"auscult/schemas"
	"auscult/state"
)

// bedside is a configuration in which each input is one value as a nurse
// charts it.
func bedside() Config {
	c := Config{Signals: map[string]Signal{}}
	m := ModelConfig{ID: "news2", Window: Window{Size: time.Hour}, Inputs: map[string]Input{}, Scale2: "hypercapnic"}
	for _, in := range news2.inputs {
		c.Signals[in.name] = Signal{From: []Source{{in.name, "v"}}, Unit: in.unit}
		m.Inputs[in.name] = Input{Signal: in.name, Horizon: time.Hour}
		m.Required = append(m.Required, in.name)
	}
	c.Scoring.Models = []ModelConfig{m}
	return c
}

var noon = schemas.TicksOf(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))

// charted answers with one value for each input.
func charted(values map[string]string) state.Latest {
	return func(typ, _ string, _ schemas.Ticks) (state.Sample, bool) {
		text, ok := values[typ]
		return state.Sample{Text: text, Time: noon - schemas.TicksPerMinute, Observation: "obs-" + typ}, ok
	}
}

func scale2() schemas.PatientFacts { return schemas.PatientFacts{Codes: []string{"hypercapnic"}} }

type newsCase struct {
	ID     string
	Inputs struct {
		RR, SpO2, SBP, HR json.Number
		Temp              json.Number `json:"temp_c"`
		Scale             int         `json:"spo2_scale"`
		Oxygen            bool
		ACVPU             string
	}
	Expect struct {
		SubScores map[string]float64
		Total     float64
		Risk      string
	}
}

func (c *newsCase) values() map[string]string {
	in := c.Inputs
	v := map[string]string{"rr": in.RR.String(), "spo2": in.SpO2.String(), "sbp": in.SBP.String(), "hr": in.HR.String(),
		"temp": in.Temp.String(), "consciousness": in.ACVPU, "oxygen": wordAir}
	if in.Oxygen {
		v["oxygen"] = wordOxygen
	}
	return v
}

func (c *newsCase) facts() schemas.PatientFacts {
	if c.Inputs.Scale == 2 {
		return scale2()
	}
	return schemas.PatientFacts{}
}

func newsCases(t *testing.T) []newsCase {
	t.Helper()
	f, err := os.Open("testdata/news2_cases.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []newsCase
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var c newsCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	if len(all) < 80 {
		t.Fatalf("only %d cases", len(all))
	}
	return all
}

func TestNEWS2(t *testing.T) {
	m := mustCompile(t, bedside()).Models[0]
	for _, c := range newsCases(t) {
		r := m.Evaluate(0, noon, c.facts(), charted(c.values()))
		if !r.Complete || r.Value != c.Expect.Total || r.Min != r.Value || r.Max != r.Value || r.Risk != c.Expect.Risk {
			t.Errorf("%s: %+v, want %v %s", c.ID, r, c.Expect.Total, c.Expect.Risk)
		}
		got := map[string]float64{}
		for _, s := range r.SubScores {
			got[s.Name] = s.Score
		}
		if !maps.Equal(got, c.Expect.SubScores) {
			t.Errorf("%s: sub-scores %v, want %v", c.ID, got, c.Expect.SubScores)
		}
	}
}

// TestBoundsHoldTheScore drops every subset of the inputs of every case: the
// bounds contain the full score, and the risk is either right or left open.
func TestBoundsHoldTheScore(t *testing.T) {
	m := mustCompile(t, bedside()).Models[0]
	for _, c := range newsCases(t) {
		full := c.values()
		whole := m.Evaluate(0, noon, c.facts(), charted(full))
		names := slices.Sorted(maps.Keys(full))
		for set := range 1 << len(names) {
			some := maps.Clone(full)
			for i, n := range names {
				if set>>i&1 == 1 {
					delete(some, n)
				}
			}
			r := m.Evaluate(0, noon, c.facts(), charted(some))
			if r.Min > whole.Value || r.Max < whole.Value || r.Risk != "" && r.Risk != whole.Risk {
				t.Fatalf("%s with %v: %+v does not hold %v %s", c.ID, some, r, whole.Value, whole.Risk)
			}
			if r.Complete != (set == 0) || len(r.Missing)+len(r.Inputs) != len(names) || len(r.Inputs) != len(some) {
				t.Fatalf("%s with %v: complete %v, missing %v", c.ID, some, r.Complete, r.Missing)
			}
		}
	}
}

// TestBoundsAreTight fills what is missing with everything the chart knows:
// both ends of the bounds are reached.
func TestBoundsAreTight(t *testing.T) {
	m := mustCompile(t, bedside()).Models[0]
	can := map[string][]string{
		"rr": {"8", "9", "12", "21", "25"}, "spo2": {"83", "84", "86", "88", "91", "92", "93", "94", "95", "96", "97"}, "oxygen": {"air", "oxygen"},
		"sbp": {"90", "91", "101", "111", "220"}, "hr": {"40", "41", "51", "91", "111", "131"},
		"consciousness": {"A", "C"}, "temp": {"35", "35.1", "36.1", "38.1", "39.1"},
	}
	base := map[string]string{"rr": "16", "spo2": "97", "oxygen": "air", "sbp": "105", "hr": "95", "consciousness": "A", "temp": "37"}
	for _, facts := range []schemas.PatientFacts{{}, scale2()} {
		for a := range can {
			for b := range can {
				some := maps.Clone(base)
				delete(some, a)
				delete(some, b)
				r := m.Evaluate(0, noon, facts, charted(some))
				low, high := 99.0, -1.0
				for _, x := range can[a] {
					for _, y := range can[b] {
						full := maps.Clone(some)
						full[b], full[a] = y, x
						v := m.Evaluate(0, noon, facts, charted(full)).Value
						low, high = min(low, v), max(high, v)
					}
				}
				if r.Min != low || r.Max != high {
					t.Errorf("without %s and %s, facts %v: bounds %v to %v, reached %v to %v", a, b, facts.Codes, r.Min, r.Max, low, high)
				}
			}
		}
	}
}

func TestInputsAsTheChartReadsThem(t *testing.T) {
	m := mustCompile(t, bedside()).Models[0]
	values := map[string]string{"rr": " 20.5", "spo2": "97", "oxygen": "air", "sbp": "105.0", "hr": "95", "consciousness": "A", "temp": "36.05"}
	r := m.Evaluate(0, noon, schemas.PatientFacts{}, charted(values))
	var got []string
	for _, in := range r.Inputs {
		got = append(got, in.Name+"="+in.Text+in.Unit)
		if in.Time != noon-schemas.TicksPerMinute || in.Observation != "obs-"+in.Name {
			t.Errorf("%s is at %s from %s", in.Name, in.Time, in.Observation)
		}
	}
	if want := "rr=21/min spo2=97% oxygen=air sbp=105.0mm[Hg] hr=95/min consciousness=A temp=36.1Cel"; strings.Join(got, " ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, " "), want)
	}
	values["consciousness"] = "sleepy" // no word of the chart and no cases: not known
	if r := m.Evaluate(0, noon, schemas.PatientFacts{}, charted(values)); !slices.Equal(r.Missing, []string{"consciousness"}) {
		t.Errorf("missing %v", r.Missing)
	}
}

func TestConditionsAreAlternatives(t *testing.T) {
	m := mustCompile(t, icu()).Models[0]
	for _, c := range []struct {
		fio2, vent, word string
		at               schemas.Ticks
	}{
		{"0.5", "", wordOxygen, 1}, {"0.21", "", wordAir, 1}, {"0.210", "", wordAir, 1}, {"", "1", wordOxygen, 2}, {"0.21", "1.0", wordOxygen, 2},
		{"0.5", "0", wordOxygen, 1}, {"0.21", "0", wordAir, 2}, {"", "0", wordAir, 2}, {"", "", wordAir, 0},
	} {
		r := m.Evaluate(0, noon, schemas.PatientFacts{}, func(typ, _ string, _ schemas.Ticks) (state.Sample, bool) {
			s := map[string]state.Sample{"FiO2": {Text: c.fio2, Time: noon - 3}, "MechVent": {Text: c.vent, Time: noon - 2}}[typ]
			return s, s.Text != ""
		})
		want := map[schemas.Ticks]schemas.Ticks{0: 0, 1: noon - 3, 2: noon - 2}[c.at]
		if len(r.Inputs) != 1 || r.Inputs[0].Text != c.word || r.Inputs[0].Time != want {
			t.Errorf("fio2 %q vent %q: %+v, want %s at %s", c.fio2, c.vent, r.Inputs, c.word, want)
		}
	}
}

func TestHorizonAndSources(t *testing.T) {
	m := mustCompile(t, icu()).Models[0]
	two := 120 * schemas.TicksPerMinute
	for _, c := range []struct {
		name         string
		invasive, ni schemas.Ticks // ages at the end of the window, 0 = none
		want         string
	}{
		{"as old as the horizon", two, 0, "100"}, {"a tick older", two + 1, 0, ""}, {"later source", two, two - 1, "110"},
		{"equal time, first source", two, two, "100"}, {"first one too old", two + 1, two, "110"},
	} {
		r := m.Evaluate(0, noon, schemas.PatientFacts{}, func(typ, _ string, before schemas.Ticks) (state.Sample, bool) {
			if before != noon {
				t.Fatalf("asked for values before %s", before)
			}
			age, text := c.invasive, "100"
			if typ == "NISysABP" {
				age, text = c.ni, "110"
			}
			return state.Sample{Text: text, Time: noon - age}, age > 0 && (typ == "SysABP" || typ == "NISysABP")
		})
		got := ""
		for _, in := range r.Inputs {
			if in.Name == "sbp" {
				got = in.Text
			}
		}
		if got != c.want {
			t.Errorf("%s: sbp %q, want %q", c.name, got, c.want)
		}
	}
}
