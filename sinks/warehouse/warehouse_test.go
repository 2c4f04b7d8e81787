package warehouse

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"auscult/schemas"
)

func open(t *testing.T) *Warehouse {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "warehouse.db"))
}

func openAt(t *testing.T, path string) *Warehouse {
	t.Helper()
	w, err := Open(context.Background(), path, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// topic is an in-memory partition of one topic.
type topic struct {
	share   schemas.Share
	records []schemas.Raw
}

func newTopic(name string) *topic {
	return &topic{share: schemas.Share{Topic: name, Generation: "g1", Partition: 3}}
}

func (p *topic) add(o schemas.Out) {
	p.records = append(p.records, schemas.Raw{Topic: p.share.Topic, Partition: 3, Offset: int64(len(p.records)), Key: []byte(o.Key), Value: o.Value})
}

func (p *topic) batch(from, to int) schemas.Batch {
	return schemas.Batch{Share: &p.share, Records: p.records[from:to]}
}

func load(t *testing.T, w *Warehouse, p *topic) {
	t.Helper()
	if _, err := w.Assigned(context.Background(), &p.share); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(context.Background(), p.batch(0, len(p.records))); err != nil {
		t.Fatal(err)
	}
}

func query[T any](t *testing.T, w *Warehouse, q string, args ...any) T {
	t.Helper()
	var v T
	if err := w.db.QueryRow(q, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return v
}

const hour = schemas.TicksPerHour

var day = schemas.TicksPerDay * 734_000 // some midnight

func score(version int64, end schemas.Ticks, value float64) *schemas.Score {
	return &schemas.Score{Patient: "p1", Model: "news2", Start: end - hour, End: end, Value: value, Min: value, Max: value,
		Complete: true, Risk: "low", Assessment: "ra-1", Revision: 1, Final: true,
		SubScores: []schemas.NamedScore{{Name: "rr", Score: 0}},
		Inputs:    []schemas.ScoreInput{{Name: "rr", Text: "18", Unit: "/min", Time: end - 1}, {Name: "oxygen", Text: "air"}},
		Order:     schemas.Order{Version: version}, Lineage: schemas.Lineage{Run: schemas.RunLive, Generation: "g", Offset: 7}}
}

func TestScoreBecomesRow(t *testing.T) {
	w, p := open(t), newTopic(schemas.TopicScores)
	p.add(schemas.Scores.Out("p1", score(1, day, 3)))
	incomplete := score(2, day+hour, 0)
	incomplete.Complete, incomplete.Min, incomplete.Max, incomplete.Risk, incomplete.Missing = false, 1, 4, "", []string{"temp"}
	p.add(schemas.Scores.Out("p1", incomplete))
	load(t, w, p)

	want := `{"subscores":{"rr":0},"inputs":{"oxygen":{"value":"air"},"rr":{"value":"18","unit":"/min","time":"2010-08-16T23:59:59.9999999Z"}},"missing":[]}`
	got := query[string](t, w, `SELECT features FROM fact_risk_window WHERE window_end = ?`, day.UnixMicro())
	if got != want {
		t.Errorf("features\n got %s\nwant %s", got, want)
	}
	if v := query[sql.NullFloat64](t, w, `SELECT score FROM fact_risk_window WHERE window_end = ?`, (day + hour).UnixMicro()); v.Valid {
		t.Errorf("an incomplete window has the score %v", v.Float64)
	}
	if v := query[sql.NullString](t, w, `SELECT risk_level FROM patient_current`); v.Valid {
		t.Errorf("the risk of disagreeing bounds is %q", v.String)
	}
}

func TestHigherOrderWins(t *testing.T) {
	w, p := open(t), newTopic(schemas.TopicScores)
	for _, s := range []*schemas.Score{score(5, day, 5), score(4, day, 4), score(6, day, 6), score(6, day, 7)} {
		p.add(schemas.Scores.Out("p1", s))
	}
	load(t, w, p)
	if got := query[float64](t, w, `SELECT score FROM fact_risk_window`); got != 6 {
		t.Errorf("the score is %v, the highest order said 6", got)
	}
	if got := query[float64](t, w, `SELECT score FROM patient_current`); got != 6 {
		t.Errorf("patient_current has %v, the highest order said 6", got)
	}
}

func TestG13CurrentMovesOnlyForward(t *testing.T) {
	w, p := open(t), newTopic(schemas.TopicScores)
	p.add(schemas.Scores.Out("p1", score(1, day+hour, 9)))
	p.add(schemas.Scores.Out("p1", score(2, day, 2))) // a late revision of an older window
	load(t, w, p)
	if got := query[float64](t, w, `SELECT score FROM patient_current`); got != 9 {
		t.Errorf("patient_current went back to %v", got)
	}
}

func TestFlagEpisode(t *testing.T) {
	w, p := open(t), newTopic(schemas.TopicScores)
	s := score(1, day, 8)
	s.Flags = []schemas.Flag{{ID: "flag-1", Rule: "news2", Opened: day, MaxScore: 8}, {ID: "flag-2", Rule: "news2", Opened: day + hour, MaxScore: 8}}
	p.add(schemas.Scores.Out("p1", s))
	later := &schemas.Score{Kind: schemas.ScoreFlags, Patient: "p1", Order: schemas.Order{Version: 2}, Lineage: schemas.Lineage{Run: schemas.RunLive}}
	later.Flags = []schemas.Flag{{ID: "flag-1", Rule: "news2", State: schemas.FlagClosed, Opened: day, Closed: day + 2*hour, MaxScore: 9},
		{ID: "flag-2", Rule: "news2", State: schemas.FlagWithdrawn, Opened: day + hour}}
	p.add(schemas.Scores.Out("p1", later))
	load(t, w, p)
	if n := query[int](t, w, `SELECT count(*) FROM fact_flag`); n != 1 {
		t.Fatalf("%d flags, want 1: the other was withdrawn", n)
	}
	if c := query[int64](t, w, `SELECT closed_at FROM fact_flag`); c != (day + 2*hour).UnixMicro() {
		t.Errorf("closed at %d", c)
	}
	if n := query[int](t, w, `SELECT count(*) FROM fact_risk_window`); n != 1 {
		t.Errorf("%d windows: a record with Flags only made one", n)
	}
}

func TestG13FenceStopsSecondOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.db")
	first, second, p := openAt(t, path), openAt(t, path), newTopic(schemas.TopicScores)
	for i := range 4 {
		p.add(schemas.Scores.Out("p1", score(int64(i+1), day+schemas.Ticks(i)*hour, float64(i))))
	}
	ctx := context.Background()
	for _, w := range []*Warehouse{first, second} {
		if next, err := w.Assigned(ctx, &p.share); err != nil || next != 0 {
			t.Fatalf("a new sink stands at %d (%v)", next, err)
		}
	}
	if _, err := second.Write(ctx, p.batch(0, 3)); err != nil {
		t.Fatal(err)
	}
	// The first owner does not know that it has lost the partition.
	next, err := first.Write(ctx, p.batch(0, 2))
	if err != nil || next != 3 {
		t.Fatalf("the zombie was told to go on at %d (%v), want 3", next, err)
	}
	if next, err = first.Write(ctx, p.batch(2, 4)); err != nil || next != 4 {
		t.Fatalf("the zombie stored to %d (%v), want 4", next, err)
	}
	if n := query[int](t, first, `SELECT count(*) FROM fact_risk_window`); n != 4 {
		t.Errorf("%d windows, want 4", n)
	}
}

func TestG12ReplayChangesNothingThatIsEqual(t *testing.T) {
	w, p := open(t), newTopic(schemas.TopicScores)
	p.add(schemas.Scores.Out("p1", score(5, day, 5)))
	load(t, w, p)
	again := score(1, day, 5)
	again.Lineage.Run = "backfill"
	p.add(schemas.Scores.Out("p1", again))
	load(t, w, p)
	if run := query[string](t, w, `SELECT run FROM fact_risk_window`); run != schemas.RunLive {
		t.Errorf("an equal window was written again by the run %s", run)
	}
	other := score(1, day, 6)
	other.Lineage.Run = "backfill"
	p.add(schemas.Scores.Out("p1", other))
	load(t, w, p)
	if v := query[float64](t, w, `SELECT score FROM fact_risk_window`); v != 6 {
		t.Errorf("a replay with another answer left %v", v)
	}
	if v := query[float64](t, w, `SELECT score FROM patient_current`); v != 5 {
		t.Errorf("a replay moved patient_current to %v", v)
	}
	other.Lineage.Offset, other.Value = 3, 1
	p.add(schemas.Scores.Out("p1", other))
	load(t, w, p)
	if v := query[float64](t, w, `SELECT score FROM fact_risk_window`); v != 6 {
		t.Errorf("a replay of earlier messages overwrote what a later one made: %v", v)
	}
}

func TestPanesPatientsAndDeadLetters(t *testing.T) {
	w := open(t)
	windows, ids, dead := newTopic(schemas.TopicWindows), newTopic(schemas.TopicIdentities), newTopic(schemas.TopicDeadLetters)
	pane := &schemas.Window{Patient: "p1", Device: "d1", Type: "HR", Name: "v", Start: day, End: day + schemas.TicksPerMinute,
		N: 2, Sum: "150", Min: "70", Max: "80", First: schemas.PanePoint{Time: day, Text: "70"}, Last: schemas.PanePoint{Time: day + 1, Text: "80"},
		Revision: 1, Order: schemas.Order{Version: 1}, Lineage: schemas.Lineage{Run: schemas.RunLive}}
	windows.add(schemas.Windows.Out("p1", pane))
	windows.add(schemas.Windows.Out("p1", &schemas.Window{Kind: schemas.WindowPassed, Patient: "p1", Device: "d1"}))
	ids.add(schemas.Identities.Out("d1", &schemas.Identity{Device: "d1", Assignments: []schemas.Assignment{{Patient: "p1", IdentifierValue: "mrn-1", CheckedAt: day}}}))
	letter := &schemas.DeadLetter{Stage: "normalize", Reason: schemas.ReasonMessage, Topic: "devicedata", Offset: 4, Detail: "not JSON"}
	dead.add(schemas.DeadLetters.Out("d1", letter))
	dead.add(schemas.DeadLetters.Out("d1", letter)) // sent twice by a stage that crashed
	dead.add(schemas.Out{Key: "d1", Value: []byte("no record")})
	for _, p := range []*topic{windows, ids, dead} {
		load(t, w, p)
	}
	if n := query[int](t, w, `SELECT count(*) FROM fact_vital_pane WHERE last_value = '80'`); n != 1 {
		t.Errorf("%d panes, want 1", n)
	}
	if v := query[string](t, w, `SELECT identifier_value FROM dim_patient WHERE patient_id = 'p1'`); v != "mrn-1" {
		t.Errorf("identifier %q", v)
	}
	if n := query[int](t, w, `SELECT count(*) FROM fact_dead_letter`); n != 2 {
		t.Errorf("%d dead letters, want 2: one sent twice and one that cannot be read", n)
	}
}

func TestTombstonesAreNoFacts(t *testing.T) {
	w, p := open(t), newTopic(schemas.TopicIdentities)
	p.add(schemas.Out{Key: "d1"})
	load(t, w, p)
	if n := query[int64](t, w, `SELECT next_offset FROM sink_offset`); n != 1 {
		t.Errorf("the offset stands at %d", n)
	}
}

// A row that only a replay has made gives way to the first live record, whatever
// its order: orders are of rows, and the replay had rows of its own.
func TestG12LiveRecordReplacesAReplaysRow(t *testing.T) {
	w, p := open(t), newTopic(schemas.TopicScores)
	first := score(5000, day, 5)
	first.Lineage.Run = "backfill"
	p.add(schemas.Scores.Out("p1", first))
	live := score(3, day, 6)
	live.Lineage.Offset = 90
	p.add(schemas.Scores.Out("p1", live))
	load(t, w, p)
	if v := query[float64](t, w, `SELECT score FROM fact_risk_window`); v != 6 {
		t.Errorf("the live score 6 has lost against a replay's: %v", v)
	}
}

// What the topic of today has made is newer than all of an earlier one.
func TestG12ReplayOfAnEarlierGeneration(t *testing.T) {
	w, p := open(t), newTopic(schemas.TopicScores)
	p.add(schemas.Scores.Out("p1", score(5, day, 5)))
	old := score(1, day, 6)
	old.Lineage.Run, old.Lineage.Generation, old.Lineage.Offset = "backfill", "before", 1000
	p.add(schemas.Scores.Out("p1", old))
	load(t, w, p)
	if v := query[float64](t, w, `SELECT score FROM fact_risk_window`); v != 5 {
		t.Errorf("a replay of another topic has overwritten 5 with %v", v)
	}
}

// dim_patient moves only to a later checked at (rule G13).
func TestG13PatientMovesOnlyForward(t *testing.T) {
	w, p := open(t), newTopic(schemas.TopicIdentities)
	for _, c := range []struct {
		gender  string
		checked schemas.Ticks
	}{{"female", day + 2*hour}, {"male", day + hour}, {"other", day + 2*hour}} {
		p.add(schemas.Identities.Out("d1", &schemas.Identity{Device: "d1", Assignments: []schemas.Assignment{
			{To: schemas.MaxTicks, Patient: "p1", Facts: schemas.PatientFacts{Gender: c.gender}, CheckedAt: c.checked}}}))
	}
	load(t, w, p)
	if got := query[string](t, w, `SELECT gender FROM dim_patient`); got != "female" {
		t.Errorf("an older answer counts: %s", got)
	}
}

// Two owners stand at one position; the one that has lost the partition writes
// last. The offset must not go back, nor may its facts be stored.
func TestG13FenceStopsAZombieInTheMiddle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.db")
	zombie, owner, p := openAt(t, path), openAt(t, path), newTopic(schemas.TopicScores)
	for i := range 4 {
		p.add(schemas.Scores.Out("p1", score(int64(i+1), day+schemas.Ticks(i)*hour, float64(i))))
	}
	ctx := context.Background()
	if _, err := owner.Write(ctx, p.batch(0, 1)); err != nil {
		t.Fatal(err)
	}
	for _, w := range []*Warehouse{zombie, owner} {
		if next, err := w.Assigned(ctx, &p.share); err != nil || next != 1 {
			t.Fatalf("at %d (%v), want 1", next, err)
		}
	}
	if _, err := owner.Write(ctx, p.batch(1, 4)); err != nil {
		t.Fatal(err)
	}
	if next, err := zombie.Write(ctx, p.batch(1, 2)); err != nil || next != 4 {
		t.Errorf("the zombie was told to go on at %d (%v), want 4", next, err)
	}
	if at := query[int64](t, owner, `SELECT next_offset FROM sink_offset`); at != 4 {
		t.Errorf("the offset went back to %d", at)
	}
}

func TestRemovedWarehouseIsFilledAgain(t *testing.T) {
	w, p := open(t), newTopic(schemas.TopicScores)
	p.share.Start, p.share.Committed = 3, 9
	if next, err := w.Assigned(context.Background(), &p.share); err != nil || next != 3 {
		t.Errorf("an empty warehouse goes on at %d (%v), the topic begins at 3", next, err)
	}
}

func TestSeveralOpenANewWarehouseAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.db")
	failed := make(chan error)
	for range 4 {
		go func() {
			w, err := Open(context.Background(), path, "test")
			if err == nil {
				err = w.Close()
			}
			failed <- err
		}()
	}
	for range 4 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}
