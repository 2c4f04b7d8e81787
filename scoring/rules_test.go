package scoring

import (
	"testing"
	"time"
)

// icu is the configuration of the ICU recordings, as a user writes it.
func icu() Config {
	from := func(names ...string) (all []Source) {
		for _, n := range names {
			all = append(all, Source{n, "v"})
		}
		return all
	}
	return Config{
		Signals: map[string]Signal{
			"hr":   {From: from("HR"), Unit: "/min", Plausible: "(0,300]"},
			"rr":   {From: from("RespRate"), Unit: "/min", Plausible: "(0,80]"},
			"sbp":  {From: from("SysABP", "NISysABP"), Unit: "mm[Hg]", Plausible: "(20,320]"},
			"spo2": {From: from("SaO2"), Unit: "%", Plausible: "[30,100]"},
			"temp": {From: from("Temp"), Unit: "Cel", Plausible: "[25,45]"},
			"gcs":  {From: from("GCS"), Plausible: "[3,15]"},
			"fio2": {From: from("FiO2"), Plausible: "[0,1]"},
			"vent": {From: from("MechVent"), Plausible: "[0,1]"},
		},
		Scoring: Scoring{Models: []ModelConfig{{
			ID:     "news2",
			Window: Window{Size: time.Hour, Slide: time.Hour, Origin: time.Unix(0, 0).UTC(), Emit: EmitClose},
			Inputs: map[string]Input{
				"hr":            {Signal: "hr", Horizon: 120 * time.Minute},
				"rr":            {Signal: "rr", Horizon: 120 * time.Minute},
				"sbp":           {Signal: "sbp", Horizon: 120 * time.Minute},
				"spo2":          {Signal: "spo2", Horizon: 480 * time.Minute},
				"temp":          {Signal: "temp", Horizon: 480 * time.Minute},
				"consciousness": {Signal: "gcs", Cases: map[string]string{"15": "A"}, Else: "C", Horizon: 480 * time.Minute},
				"oxygen":        {Any: []Condition{{Signal: "fio2", GT: "0.21"}, {Signal: "vent", EQ: "1"}}, Horizon: 480 * time.Minute, Unknown: "air"},
			},
			Required: []string{"rr", "spo2", "sbp", "hr", "temp", "consciousness"},
			Flag:     &FlagConfig{Open: 7, On: 1, Close: 4, Off: 2, Incomplete: IncompleteSkip},
		}}},
	}
}

func mustCompile(t testing.TB, c Config) *Rules {
	t.Helper()
	r, err := Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPlausible(t *testing.T) {
	r := mustCompile(t, icu())
	for _, c := range []struct {
		typ, name, text  string
		bound, plausible bool
	}{
		{"HR", "v", "0", true, false}, {"HR", "v", "0.01", true, true}, {"HR", "v", "300", true, true}, {"HR", "v", "300.0001", true, false},
		{"NISysABP", "v", "20", true, false}, {"SaO2", "v", "30", true, true}, {"SaO2", "v", "29.99", true, false},
		{"HR", "v", "abc", true, false}, {"HR", "v", "", true, false}, {"HR", "v", "NaN", true, false},
		{"HR", "other", "5000", false, true}, {"Urine", "v", "-1", false, true}, {"FiO2", "v", "1", true, true}, {"FiO2", "v", "2.1E-1", true, true},
	} {
		if bound, plausible := r.Plausible(c.typ, c.name, c.text); bound != c.bound || plausible != c.plausible {
			t.Errorf("%s/%s %q: bound %v plausible %v, want %v %v", c.typ, c.name, c.text, bound, plausible, c.bound, c.plausible)
		}
	}
	if n := testing.AllocsPerRun(100, func() { r.Plausible("SysABP", "v", "120.5") }); n != 0 {
		t.Errorf("Plausible allocates %v times", n)
	}
}

func TestRulesTellObserveWhatToDo(t *testing.T) {
	c := icu()
	c.Scoring.Models[0].Window.Grace = time.Hour
	fast := c.Scoring.Models[0]
	fast.ID, fast.Chart = "news2-fast", "news2"
	fast.Window = Window{Size: 10 * time.Minute, Slide: 5 * time.Minute, Emit: EmitValue, Grace: 2 * time.Hour}
	c.Scoring.Models = append(c.Scoring.Models, fast)
	r := mustCompile(t, c)
	if !r.EmitValue("HR", "v") || r.EmitValue("Urine", "v") {
		t.Error("what is wanted at once is wrong")
	}
	if got := r.Grace("HR", "v").Duration(); got != 2*time.Hour || r.MaxGrace() != r.Grace("Temp", "v") || r.Grace("Urine", "v") != 0 {
		t.Errorf("grace %s", got)
	}
	if a, b := r.Models[0].Version, r.Models[1].Version; a == b || len(a) != 16 {
		t.Errorf("versions %q and %q", a, b)
	}
	if got := len(r.Models[0].Sources()); got != 9 {
		t.Errorf("%d sources", got)
	}
	if w := r.Watch(); len(w.Plans) != 2 || !w.Plans[1].Provisional || w.Plans[0].Horizon.Duration() != 8*time.Hour {
		t.Errorf("plans %+v", w.Plans)
	}
}
