package processors

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"auscult/fhir"
	"auscult/schemas"
	"auscult/scoring"
	"auscult/state"
)

// bed is one patient whose panes the test writes by hand.
type bed struct {
	*assessDriver
	version int64
	sent    []*schemas.Window
}

const bedOrigin = schemas.Ticks(730_000) * schemas.TicksPerDay

func newBed(t testing.TB, change func(*scoring.Config)) *bed {
	return &bed{assessDriver: newAssessDriver(t, AssessConfig{Rules: icuRules(t, change), IdleFlags: true})}
}

// vitals is a full set that scores 0.
func vitals() map[string]string {
	return map[string]string{"HR": "70", "RespRate": "16", "SysABP": "120", "SaO2": "98", "Temp": "37.0", "GCS": "15"}
}

// sick is a full set that scores 11.
func sick() map[string]string {
	return map[string]string{"HR": "135", "RespRate": "26", "SysABP": "88", "SaO2": "95", "Temp": "38.5", "GCS": "15"}
}

// chart sends values taken at a minute, as panes of which the last moves the
// clock to another minute.
func (b *bed) chart(minute int, values map[string]string, clock int) {
	var types []string
	for typ := range values {
		types = append(types, typ)
	}
	slices.Sort(types)
	b.version++
	at := bedOrigin + schemas.Ticks(minute)*schemas.TicksPerMinute
	for i, typ := range types {
		p := schemas.PanePoint{Time: at, Text: values[typ]}
		w := &schemas.Window{Type: typ, Name: "v", Start: at, End: at + schemas.TicksPerMinute, N: 1, First: p, Last: p,
			LastObservation: "pat.mon." + typ + "." + itoa(int64(minute)), Final: true}
		if i == len(types)-1 {
			w.Clock = bedOrigin + schemas.Ticks(clock)*schemas.TicksPerMinute
		}
		b.record(w, i)
	}
}

// say sends a record without a pane.
func (b *bed) say(kind schemas.WindowKind, clock int) {
	b.version++
	b.record(&schemas.Window{Kind: kind, Clock: bedOrigin + schemas.Ticks(clock)*schemas.TicksPerMinute}, 0)
}

func (b *bed) record(w *schemas.Window, index int) {
	w.Patient, w.Encounter, w.Device, w.Resource = "pat", "enc", "mon", "mon-resource"
	w.Order = schemas.Order{Version: b.version, Index: int32(index)}
	w.Lineage = schemas.Lineage{Run: schemas.RunLive, Generation: "g", Partition: 3, Offset: b.version, Mapping: "m"}
	b.sent = append(b.sent, w)
	b.window(w)
}

// transactions lists each resources-hot record as "type status type status".
func (b *bed) transactions() []string {
	var all []string
	for _, r := range b.resources() {
		var parts []string
		for _, w := range r.Whole {
			var head struct{ Status string }
			if err := json.Unmarshal([]byte(w.JSON), &head); err != nil {
				b.t.Fatal(err)
			}
			parts = append(parts, strings.TrimSpace(w.Type+" "+head.Status))
		}
		all = append(all, strings.Join(parts, ", "))
	}
	return all
}

func TestFlagsGoFirst(t *testing.T) {
	b := newBed(t, nil)
	b.chart(5, vitals(), 6)
	b.chart(65, sick(), 66)
	b.chart(185, vitals(), 186)
	b.chart(245, vitals(), 246)
	want := []string{
		"RiskAssessment final, Provenance", // 60
		// The window of 120 opens, those of 180 and 240 come with it: by the time
		// that a later event says that they exist.
		"RiskAssessment final, Provenance, Flag active, Provenance",
		"RiskAssessment final, Provenance",
		"RiskAssessment final, Provenance",
	}
	if got := b.transactions(); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	b.out = map[string][]schemas.Out{}
	b.chart(305, vitals(), 306)
	if got := b.transactions(); !slices.Equal(got, []string{"Flag inactive, Provenance", "RiskAssessment final, Provenance"}) {
		t.Errorf("closing: %q", got)
	}
	s := b.scores()[0]
	if len(s.Flags) != 1 || s.Flags[0].State != schemas.FlagClosed || s.Flags[0].ID != fhir.FlagID("pat", "news2", "", bedOrigin+120*schemas.TicksPerMinute) ||
		s.OpenFlags != 0 || s.Assessment == "" || s.Patient != "pat" || s.Encounter != "enc" || s.Lineage.Partition != 3 {
		t.Errorf("%+v", s)
	}
	r := b.resources()[0]
	if origin, ok := fhir.ReadProvenance([]byte(r.Whole[1].JSON)); !ok || origin.Order != r.Order {
		t.Errorf("the Provenance has order %v, its record %v", origin.Order, r.Order)
	}
}

func TestFlagRefersToWhatIsWritten(t *testing.T) {
	b := newBed(t, nil)
	b.chart(5, sick(), 66)
	var written []string
	for _, r := range b.resources() {
		for _, w := range r.Whole {
			if w.Type == "Flag" {
				var f struct {
					Extension []struct{ ValueReference struct{ Reference string } }
				}
				if err := json.Unmarshal([]byte(w.JSON), &f); err != nil {
					t.Fatal(err)
				}
				for _, e := range f.Extension {
					if ref := e.ValueReference.Reference; ref != "" && !slices.Contains(written, ref) {
						t.Errorf("%s is not written before the Flag; only %v", ref, written)
					}
				}
				if !strings.Contains(w.JSON, "NEWS2 reached 11: urgent or emergency response") || !strings.Contains(w.JSON, `"PH"`) {
					t.Errorf("the Flag says %s", w.JSON)
				}
			}
			written = append(written, w.Type+"/"+w.ID)
		}
	}
	if len(written) != 4 {
		t.Errorf("written %v", written)
	}
}

func TestG16MovedEpisodeIsWithdrawnInOneTransaction(t *testing.T) {
	b := newBed(t, func(c *scoring.Config) { c.Scoring.Models[0].Window.Grace = 10 * time.Hour })
	b.chart(5, vitals(), 6)
	b.chart(65, sick(), 126)
	b.out = map[string][]schemas.Out{}
	b.chart(50, sick(), 127) // late: the first window was high already
	var got []string
	for _, tx := range b.transactions() {
		if strings.Contains(tx, "Flag") {
			got = append(got, tx)
		}
	}
	want := "Flag entered-in-error, Provenance, RiskAssessment final, Provenance, Flag active, Provenance"
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSilentDevice(t *testing.T) {
	b := newBed(t, nil)
	b.chart(5, vitals(), 6)
	b.say(schemas.WindowIdle, 6)
	s := b.scores()
	if len(s) != 2 || s[0].Kind != schemas.ScoreFlags || s[0].Flags[0].Kind != schemas.FlagTechnical || s[0].Flags[0].Device != "mon" ||
		s[0].OpenFlags != 1 || s[1].Trigger != schemas.TriggerIdle {
		t.Fatalf("%+v", s)
	}
	if got := b.transactions(); !slices.Equal(got, []string{"Flag active, Provenance", "RiskAssessment final, Provenance"}) {
		t.Errorf("%q", got)
	}
	b.say(schemas.WindowAwake, 9)
	if last := b.scores()[2]; last.Flags[0].State != schemas.FlagClosed || last.Flags[0].ID != s[0].Flags[0].ID || last.OpenFlags != 0 {
		t.Errorf("%+v", last)
	}
}

// TestG2RedeliveredWindowChangesNothing sends records again, as Kafka does (same
// offset) and as Observe does (other offset): rules G1 and G2.
func TestG2RedeliveredWindowChangesNothing(t *testing.T) {
	b := newBed(t, nil)
	b.held = true
	b.chart(5, sick(), 66)
	row, out := string(b.rows["pat"]), len(b.out[schemas.TopicScores])
	b.again(b.sent[len(b.sent)-1], b.offset)
	if string(b.rows["pat"]) != row {
		t.Error("the row changed")
	}
	if got := b.out[schemas.TopicScores]; len(got) != 2*out || string(got[0].Value) != string(got[len(got)-1].Value) {
		t.Errorf("%d scores, then %d", out, len(got))
	}
	b.held = false
	for _, w := range b.sent {
		b.window(w)
	}
	if got := len(b.out[schemas.TopicScores]); got != 2*out {
		t.Errorf("records of Observe that came twice gave %d scores more", got-2*out)
	}
}

func TestAssessIgnoresOtherRunsAndItsOwnScores(t *testing.T) {
	b := newBed(t, nil)
	b.chart(5, sick(), 66)
	writes := b.writes
	w := *b.sent[0]
	w.Lineage.Run, w.Order.Version = "what-if", 99
	b.window(&w)
	b.stage.Score(&assessCall{d: b.assessDriver, topic: schemas.TopicScores, key: "pat", offset: 1}, b.out[schemas.TopicScores][0].Value)
	if b.writes != writes {
		t.Error("a row was written")
	}
}

func TestUnreadableRecordsBecomeDeadLetters(t *testing.T) {
	b := newBed(t, nil)
	b.chart(5, vitals(), 6)
	call := func(topic string, offset int64) *assessCall {
		return &assessCall{d: b.assessDriver, topic: topic, key: "pat", offset: offset}
	}
	b.stage.Window(call(schemas.TopicWindows, 100), []byte("no record"))
	b.stage.Score(call(schemas.TopicScores, 101), []byte("no record"))
	bad := *b.sent[0]
	bad.Order.Version, bad.Last.Time = 50, bad.End+1
	b.stage.Window(call(schemas.TopicWindows, 102), schemas.Windows.Encode(&bad))
	var got []string
	for _, o := range b.out[schemas.TopicDeadLetters] {
		d, err := schemas.DeadLetters.Decode(o.Value)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %s %s %d", d.Stage, d.Reason, d.Topic, d.Offset))
	}
	if want := []string{"assess record windows 100", "assess record scores 101", "assess record windows 102"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestG8ManyWindowsAtOnce lets one value pass a week of windows: rule G8.
func TestG8ManyWindowsAtOnce(t *testing.T) {
	b := newBed(t, func(c *scoring.Config) {
		c.Scoring.Models[0].Window.Size, c.Scoring.Models[0].Window.Slide = 5*time.Minute, 5*time.Minute
	})
	b.chart(5, sick(), 6)
	week := 6 * 24 * 60
	b.chart(week, vitals(), week+5)
	scores := b.scores()
	if len(scores) != week/5 {
		t.Errorf("%d windows, want %d", len(scores), week/5)
	}
	for topic, out := range b.out {
		for _, o := range out {
			if len(o.Value) > state.MaxOutputBytes {
				t.Errorf("%s: a record of %d bytes", topic, len(o.Value))
			}
		}
	}
	if b.writes > 60 || state.RowFlags(b.rows["pat"])&state.RowWork != 0 {
		t.Errorf("%d rows written; work left: %v", b.writes, state.RowFlags(b.rows["pat"]))
	}
}

// TestG8OneCallbackEvaluatesSoMany has most of a day of windows judged again. Those
// beyond the horizon of what changed give the same answer: nothing is emitted that
// could end the callback sooner.
func TestG8OneCallbackEvaluatesSoMany(t *testing.T) {
	most := 0
	rules := icuRules(t, func(c *scoring.Config) {
		m := &c.Scoring.Models[0]
		m.Window.Size, m.Window.Slide, m.Window.Grace = time.Minute, time.Minute, 1000*time.Hour
		hr := m.Inputs["hr"]
		hr.Horizon = 20 * time.Hour
		m.Inputs["hr"] = hr
	})
	b := &bed{assessDriver: newAssessDriver(t, AssessConfig{Rules: rules, Counted: func(c state.PatientCounts) { most = max(most, c.Evaluated) }})}
	b.chart(5, vitals(), 6)
	b.chart(19*60, vitals(), 19*60+1)
	most, b.ticks = 0, 0
	w := *b.sent[slices.IndexFunc(b.sent, func(w *schemas.Window) bool { return w.Type == "GCS" })]
	w.Last.Time, w.N = w.Last.Time+schemas.TicksPerSecond, 2
	b.version++
	b.record(&w, 0)
	if most != state.MaxSlides || b.ticks == 0 {
		t.Errorf("one callback evaluates %d windows, %d ticks", most, b.ticks)
	}
}

// leftWork is a bed whose last callback has left windows to the next ticks, in a
// row of that size at least.
func leftWork(t *testing.T, size int) *bed {
	b := newBed(t, func(c *scoring.Config) {
		c.Scoring.Models[0].Window.Size, c.Scoring.Models[0].Window.Slide = 5*time.Minute, 5*time.Minute
	})
	b.chart(5, sick(), 6)
	b.version, b.offset = b.version+1, b.offset+1
	at := bedOrigin + 6*schemas.TicksPerDay
	p := schemas.PanePoint{Time: at, Text: "70"}
	w := schemas.Window{Patient: "pat", Device: "mon", Type: "HR", Name: "v", Start: at, End: at + schemas.TicksPerMinute, N: 1, First: p, Last: p, Clock: at,
		Order: schemas.Order{Version: b.version}, Lineage: schemas.Lineage{Run: schemas.RunLive}}
	for range size / 4000 {
		w.Facts.Codes = append(w.Facts.Codes, strings.Repeat("x", 4000))
	}
	b.stage.Window(&assessCall{d: b.assessDriver, topic: schemas.TopicWindows, key: "pat", offset: b.offset}, schemas.Windows.Encode(&w))
	if row := b.rows["pat"]; state.RowFlags(row)&state.RowWork == 0 || len(row) < size {
		t.Fatalf("a row of %d bytes with flags %d", len(row), state.RowFlags(row))
	}
	return b
}

// workOff ticks until no work is left.
func (b *bed) workOff(t *testing.T) {
	t.Helper()
	for range 100 {
		if state.RowFlags(b.rows["pat"])&state.RowWork == 0 {
			return
		}
		b.offset++
		b.tick("pat", TickWork)
	}
	t.Fatal("a hundred ticks have not done the work that one callback left")
}

func TestG8LargeRowDoesItsWork(t *testing.T) {
	b := leftWork(t, assessRowBytes)
	b.workOff(t)
	if got, want := len(b.scores()), 6*24*12-1; got != want { // the last one is open
		t.Errorf("%d windows, want %d", got, want)
	}
}

func TestG8WorkEndsWithItsModel(t *testing.T) {
	b := leftWork(t, 0)
	b.stage = NewAssess(AssessConfig{Rules: icuRules(t, func(c *scoring.Config) { c.Scoring.Models = nil })})
	b.workOff(t)
}

// TestG15EndIsNotForgotten visits a row for the end of the run while earlier
// outputs are still under way: what is left closes all the same.
func TestG15EndIsNotForgotten(t *testing.T) {
	b := leftWork(t, assessRowBytes)
	b.held = true
	b.tick("pat", TickEnd)
	b.held = false
	b.workOff(t)
	scores := b.scores()
	if last := scores[len(scores)-1]; last.Trigger != schemas.TriggerEnd || !last.Final {
		t.Errorf("the last window: %+v", last)
	}
}

// TestBodiesDoNotDependOnTheOrder sends the same panes of two devices in many
// orders, with unlimited grace: the last bodies of all resources are the same.
func TestBodiesDoNotDependOnTheOrder(t *testing.T) {
	forever := func(c *scoring.Config) { c.Scoring.Models[0].Window.Grace = 100_000 * time.Hour }
	seed := rand.Uint64()
	var want map[string]string
	for round := range 12 {
		rnd := rand.New(rand.NewPCG(seed, uint64(round)))
		b := newBed(t, forever)
		type reading struct {
			minute int
			values map[string]string
		}
		var all []reading
		for hour := range 12 {
			v := vitals()
			if hour%5 == 2 || hour == 6 {
				v = sick()
			}
			if hour == 8 {
				delete(v, "GCS")
			}
			all = append(all, reading{hour*60 + 7*hour%50, v})
		}
		if round > 0 {
			rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		}
		high := 0
		for _, r := range all {
			high = max(high, r.minute+1)
			b.chart(r.minute, r.values, high)
		}
		b.tick("pat", TickEnd)
		got := map[string]string{}
		for _, r := range b.resources() {
			for _, w := range r.Whole {
				if w.Type != "Provenance" {
					got[w.Type+"/"+w.ID] = w.JSON
				}
			}
		}
		for id, body := range got {
			if strings.Contains(body, "entered-in-error") {
				delete(got, id)
			}
		}
		if want == nil {
			want = got
		}
		for id, body := range want {
			if got[id] != body {
				t.Fatalf("seed %d round %d: %s\n got %s\nwant %s", seed, round, id, got[id], body)
			}
		}
		if len(got) != len(want) || len(want) < 13 {
			t.Fatalf("seed %d round %d: %d resources, want %d", seed, round, len(got), len(want))
		}
	}
}
