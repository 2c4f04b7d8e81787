package console

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"auscult/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	minute = schemas.TicksPerMinute
	hour   = schemas.TicksPerHour
)

// noon is the ward's time in these tests.
var noon = time.Date(2026, 3, 5, 12, 4, 0, 0, time.UTC)

func at(d time.Duration) schemas.Ticks { return schemas.TicksOf(noon.Truncate(time.Hour).Add(d)) }

// fakeHistory is a history in memory.
type fakeHistory struct {
	mu        sync.Mutex
	standings []Standing
	flags     []Flag
	letters   []LetterCount
	courses   map[string]Course
	failing   error
	asked     int
}

// change changes what the history says.
func (f *fakeHistory) change(how func(*fakeHistory)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	how(f)
}

func (f *fakeHistory) Worklist(_ context.Context, limit int) ([]Standing, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	return slices.Clone(f.standings[:min(limit, len(f.standings))]), f.failing
}

func (f *fakeHistory) OpenFlags(context.Context) ([]Flag, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.flags), func(f Flag) bool { return f.Closed != 0 }), f.failing
}

func (f *fakeHistory) Course(_ context.Context, patient string, span schemas.Ticks) (Course, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, ok := f.courses[patient]
	if !ok {
		return c, ErrNoPatient
	}
	c.From = c.To - span
	for _, x := range f.flags {
		if x.Patient == patient {
			c.Flags = append(c.Flags, x)
		}
	}
	return c, f.failing
}

func (f *fakeHistory) DeadLetters(context.Context) ([]LetterCount, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.letters, f.failing
}

func (f *fakeHistory) Freshness(context.Context) (Freshness, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fresh := Freshness{Patients: int64(len(f.standings)), Records: 123456}
	for _, s := range f.standings {
		fresh.Latest = max(fresh.Latest, s.End)
	}
	return fresh, f.failing
}

// standing makes a patient whose vital signs are as the values say, in the
// chart's order; an empty one is missing.
func standing(name, risk string, low, high float64, values [7]string, subs [7]float64, recent ...float64) Standing {
	s := Standing{Patient: "id-" + name, System: "urn:ward-7", Identifier: name, Model: "news2", Start: at(-time.Hour), End: at(0),
		Bounds: Bounds{low, high, low == high}, Risk: risk, Final: true}
	units := [7]string{"/min", "%", "", "mm[Hg]", "/min", "", "Cel"}
	for i, k := range known {
		if values[i] == "" {
			s.Missing = append(s.Missing, k.name)
			continue
		}
		s.SubScores = append(s.SubScores, NamedScore{k.name, subs[i]})
		s.Inputs = append(s.Inputs, Input{k.name, values[i], units[i], at(-3 * time.Minute)})
	}
	for i, r := range append(recent, low) {
		s.Recent = append(s.Recent, Past{at(0) - schemas.Ticks(len(recent)-i)*hour, Bounds{r, r, true}})
	}
	s.Recent[len(recent)].Bounds = s.Bounds
	return s
}

// testWard is a ward with a bit of everything.
func testWard() *fakeHistory {
	f := &fakeHistory{courses: map[string]Course{}, standings: []Standing{
		standing("Bed 4", "high", 9, 9, [7]string{"26", "91", "oxygen", "98", "118", "A", "38.4"}, [7]float64{3, 2, 2, 2, 2, 0, 1}, 2, 2, 3, 3, 4, 5, 5, 7, 8),
		standing("Bed 11", "medium", 6, 6, [7]string{"22", "94", "air", "104", "112", "A", "38.2"}, [7]float64{2, 1, 0, 1, 2, 0, 1}, 3, 4, 4, 4, 5, 6, 6),
		standing("Bed 7", "", 3, 9, [7]string{"21", "", "air", "118", "92", "A", ""}, [7]float64{2, 0, 0, 0, 1, 0, 0}, 3, 3, 4, 3, 3),
		standing("Bed 2", "low-medium", 3, 3, [7]string{"25", "97", "air", "124", "84", "A", "36.9"}, [7]float64{3, 0, 0, 0, 0, 0, 0}, 1, 1, 2, 1, 1, 4),
		standing("Bed 9", "low", 2, 2, [7]string{"18", "95", "air", "131", "94", "A", "37.0"}, [7]float64{0, 1, 0, 0, 1, 0, 0}, 2, 2, 1, 1, 2, 2),
		standing("Bed 1", "low", 0, 0, [7]string{"16", "98", "air", "122", "71", "A", "36.7"}, [7]float64{}, 0, 1, 0, 0, 0, 0),
		{Patient: "id-Bed 12", Identifier: "Bed 12"},
	}}
	f.flags = []Flag{
		{ID: "flag-1", Patient: "id-Bed 4", Rule: "news2", Opened: at(-time.Hour), MaxScore: 9},
		{ID: "flag-2", Patient: "id-Bed 7", Rule: "no-data", Device: "ear-thermometer-7", Technical: true, Opened: at(-40 * time.Minute)},
		{ID: "flag-3", Patient: "id-Bed 4", Rule: "news2", Opened: at(-6 * time.Hour), Closed: at(-5 * time.Hour), MaxScore: 7},
	}
	f.letters = []LetterCount{{"observe", "late", 12, false}, {"normalize", "message", 3, false}}
	for _, s := range f.standings {
		f.courses[s.Patient] = courseOf(s)
	}
	return f
}

// courseOf makes the last day of a patient: a wave for each vital sign, with a
// gap, and one window an hour.
func courseOf(s Standing) Course {
	c := Course{Patient: s.Patient, System: s.System, Identifier: s.Identifier, Gender: "female", BirthDate: "1951-07-02", To: at(4 * time.Minute)}
	if s.Model == "" {
		return c
	}
	c.Standings = []Standing{s}
	for i, v := range []struct {
		typ       string
		mid, wave float64
	}{{"HR", 96, 14}, {"RespRate", 21, 4}, {"SysABP", 112, 11}, {"SaO2", 94, 2}, {"Temp", 37.6, .6}} {
		series := Series{Type: v.typ, Name: "v"}
		for m := range 8 * 60 {
			if v.typ == "SaO2" && m > 200 && m < 290 {
				continue // the sensor was off
			}
			x := v.mid + v.wave*math.Sin(float64(m+40*i)/70) + v.wave/6*math.Sin(float64(m*m+i))
			spread := v.wave / 5
			start := at(0) - 8*hour + schemas.Ticks(m+4)*minute
			series.Panes = append(series.Panes, Pane{Device: "monitor", Start: start, End: start + minute, N: 60,
				Min: fmt.Sprintf("%.1f", x-spread), Max: fmt.Sprintf("%.1f", x+spread), Last: fmt.Sprintf("%.1f", x), Final: true})
		}
		c.Series = append(c.Series, series)
	}
	c.Series = append(c.Series, Series{Type: "ACVPU", Name: "v", Panes: []Pane{{Start: at(-time.Hour), End: at(-time.Hour) + minute, N: 1, Last: "Alert"}}})
	for i, b := range s.Recent {
		end := at(0) - schemas.Ticks(len(s.Recent)-1-i)*hour
		w := Window{Model: s.Model, Start: end - hour, End: end, Bounds: b.Bounds, Risk: riskName(b.Min), Final: true}
		if i == 2 {
			w.Bounds, w.Risk, w.Missing = Bounds{2, 6, false}, "", []string{"temp"}
		}
		c.Windows = append(c.Windows, w)
	}
	return c
}

func riskName(score float64) string {
	switch {
	case score >= 7:
		return "high"
	case score >= 5:
		return "medium"
	}
	return "low"
}

func testConfig(f *fakeHistory) Config {
	return Config{
		History: f, Title: "Ward 7", Clock: func() time.Time { return noon },
		Models: map[string]Model{"news2": {Title: "NEWS2", Open: 7, Close: 4}},
		Vital: func(typ, _ string) Vital {
			v, ok := map[string]Vital{"HR": {"Heart rate", "/min", 1}, "RespRate": {"Respiration rate", "/min", 2}, "SaO2": {"Oxygen saturation", "%", 3},
				"SysABP": {"Systolic pressure", "mm[Hg]", 4}, "Temp": {"Temperature", "Cel", 5}}[typ]
			if !ok {
				return Vital{}
			}
			return v
		},
		Stages: func() []StageStatus {
			return []StageStatus{
				{Name: "normalize", About: "message -> measurements", Partitions: 4, Lag: 0, Records: 1284412, Message: noon.Add(-2 * time.Second)},
				{Name: "observe", About: "joins identity, cuts panes", Partitions: 4, Lag: 17, Records: 1284395, Message: noon.Add(-3 * time.Second)},
				{Name: "deliver", About: "Observations to the FHIR server", Partitions: 4, Lag: 5210, Records: 998213, Message: noon.Add(-4 * time.Minute),
					WaitingSince: noon.Add(-3 * time.Minute), WaitingFor: "dial tcp 127.0.0.1:8103: connection refused"},
				{Name: "load", About: "facts for dashboards"},
			}
		},
	}
}

// running is a console whose Run runs for as long as the test.
func running(t *testing.T, cfg Config) *Server {
	t.Helper()
	s := New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return s
}
