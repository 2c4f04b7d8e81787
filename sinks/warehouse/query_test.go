package warehouse

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"auscult/schemas"
)

// ward is a warehouse and a reader of it.
func ward(t *testing.T, records ...*topic) *Reader {
	t.Helper()
	// A name that a URI would have to escape.
	path := filepath.Join(t.TempDir(), "ward 7#a?.db")
	w := openAt(t, path)
	for _, p := range records {
		load(t, w, p)
	}
	return openReader(t, path)
}

func openReader(t *testing.T, path string) *Reader {
	t.Helper()
	r, err := OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// of makes a score of patient p as risky as the arguments say.
func of(p, risk string, end schemas.Ticks, low, high float64) *schemas.Score {
	s := score(int64(end/hour), end, low)
	s.Patient, s.Risk, s.Max, s.Complete = p, risk, high, low == high
	if !s.Complete {
		s.Missing = []string{"temp"}
	}
	return s
}

func scoresOf(all ...*schemas.Score) *topic {
	p := newTopic(schemas.TopicScores)
	for _, s := range all {
		p.add(schemas.Scores.Out(s.Patient, s))
	}
	return p
}

func opened(s *schemas.Score, flags ...schemas.Flag) *schemas.Score {
	s.Flags = flags
	return s
}

func patients(ids ...string) *topic {
	p := newTopic(schemas.TopicIdentities)
	for _, id := range ids {
		p.add(schemas.Identities.Out("d-"+id, &schemas.Identity{Device: "d-" + id, Assignments: []schemas.Assignment{
			{Patient: id, IdentifierSystem: "urn:mrn", IdentifierValue: "mrn-" + id, Facts: schemas.PatientFacts{Gender: "female"}, CheckedAt: day}}}))
	}
	return p
}

func TestWorklistIsOrderedByRisk(t *testing.T) {
	flag := schemas.Flag{ID: "flag-x", Rule: "news2", Opened: day, MaxScore: 8}
	silent := schemas.Flag{ID: "flag-y", Rule: "no-data", Device: "d", Kind: schemas.FlagTechnical, Opened: day}
	r := ward(t, patients("new", "low"), scoresOf(
		of("low", "low", day, 2, 2),
		of("high", "high", day, 9, 9),
		of("higher", "high", day, 11, 11),
		of("medium", "medium", day, 5, 5),
		of("medium-flagged", "medium", day, 5, 5), opened(&schemas.Score{Kind: schemas.ScoreFlags, Patient: "medium-flagged", Lineage: schemas.Lineage{Run: schemas.RunLive}}, flag),
		of("unsure", "", day, 4, 12),
		opened(of("unsure-silent", "", day, 4, 11), silent),
		opened(of("unsure-flagged", "", day, 0, 20), schemas.Flag{ID: "flag-z", Rule: "news2", Opened: day}),
		of("single", "low-medium", day, 3, 3),
	))
	all, err := r.Worklist(context.Background(), 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range all {
		got = append(got, s.Patient)
	}
	want := []string{"higher", "high", "medium-flagged", "unsure-flagged", "medium", "unsure", "unsure-silent", "single", "low", "new"}
	if !slices.Equal(got, want) {
		t.Errorf("order\n got %v\nwant %v", got, want)
	}
	if last := all[len(all)-1]; last.Model != "" || last.Identifier != "mrn-new" {
		t.Errorf("a patient without a score stands as %+v", last)
	}
	if some, err := r.Worklist(context.Background(), 2); err != nil || len(some) != 2 || some[1].Patient != "high" {
		t.Errorf("the first two are %+v (%v)", some, err)
	}
}

func TestStandingSaysHowItCameToBe(t *testing.T) {
	between := of("p1", "high", day-hour/2, 8, 8) // a slide that overlaps the latest window
	r := ward(t, patients("p1"), scoresOf(of("p1", "", day-2*hour, 2, 6), of("p1", "medium", day-hour, 5, 5), between, of("p1", "high", day, 7, 7)))
	all, err := r.Worklist(context.Background(), 10)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d standings (%v)", len(all), err)
	}
	s := all[0]
	if s.Identifier != "mrn-p1" || s.Start != day-hour || s.End != day || !s.Complete || s.Min != 7 || !s.Final {
		t.Errorf("standing %+v", s)
	}
	if want := []Past{{day - 2*hour, Bounds{2, 6, false}}, {day - hour, Bounds{5, 5, true}}, {day, Bounds{7, 7, true}}}; !slices.Equal(s.Recent, want) {
		t.Errorf("recent %v, want %v", s.Recent, want)
	}
	if want := []NamedScore{{"rr", 0}}; !slices.Equal(s.SubScores, want) {
		t.Errorf("sub-scores %v", s.SubScores)
	}
	want := []Input{{Name: "oxygen", Value: "air"}, {Name: "rr", Value: "18", Unit: "/min", Time: day - 1}}
	if !slices.Equal(s.Inputs, want) {
		t.Errorf("inputs %v, want %v", s.Inputs, want)
	}
}

func pane(device, typ string, start schemas.Ticks, last string) *schemas.Window {
	return &schemas.Window{Patient: "p1", Device: device, Type: typ, Name: "v", Start: start, End: start + schemas.TicksPerMinute,
		N: 2, Sum: "150", Min: "70", Max: "80", First: schemas.PanePoint{Time: start, Text: "70"}, Last: schemas.PanePoint{Time: start + 1, Text: last},
		Final: true, Revision: 1, Order: schemas.Order{Version: 1}, Lineage: schemas.Lineage{Run: schemas.RunLive}}
}

func panesOf(all ...*schemas.Window) *topic {
	p := newTopic(schemas.TopicWindows)
	for _, w := range all {
		p.add(schemas.Windows.Out(w.Patient, w))
	}
	return p
}

func TestCourseEndsAtLatestWindow(t *testing.T) {
	flags := []schemas.Flag{{ID: "f1", Rule: "news2", State: schemas.FlagClosed, Opened: day - 5*hour, Closed: day - 4*hour, MaxScore: 8},
		{ID: "f2", Rule: "no-data", Device: "d1", Kind: schemas.FlagTechnical, Opened: day}}
	r := ward(t, patients("p1"),
		scoresOf(of("p1", "", day-3*hour, 2, 6), of("p1", "", day-hour, 2, 6), opened(of("p1", "high", day, 7, 7), flags...)),
		panesOf(pane("d1", "HR", day-3*hour, "1"), pane("d2", "HR", day-hour, "3"), pane("d1", "HR", day-2*hour, "2"),
			pane("d1", "Temp", day-hour, "37.2"), pane("d1", "HR", day+schemas.TicksPerMinute, "4")))
	c, err := r.Course(context.Background(), "p1", 2*hour)
	if err != nil {
		t.Fatal(err)
	}
	if c.From != day-2*hour || c.To != day+2*schemas.TicksPerMinute || c.Gender != "female" {
		t.Errorf("course from %s to %s of a %s patient", c.From, c.To, c.Gender)
	}
	var got []string
	for _, s := range c.Series {
		for _, p := range s.Panes {
			got = append(got, s.Type+" "+p.Device+" "+p.Last)
		}
	}
	if want := []string{"HR d1 2", "HR d2 3", "HR d1 4", "Temp d1 37.2"}; !slices.Equal(got, want) {
		t.Errorf("panes %v, want %v", got, want)
	}
	if len(c.Windows) != 2 || c.Windows[0].End != day-hour || c.Windows[0].Complete || !slices.Equal(c.Windows[0].Missing, []string{"temp"}) {
		t.Errorf("windows %+v", c.Windows)
	}
	if len(c.Flags) != 2 || c.Flags[0].ID != "f2" || !c.Flags[0].Technical || c.Flags[1].Closed != day-4*hour {
		t.Errorf("flags %+v", c.Flags)
	}
	if len(c.Standings) != 1 || c.Standings[0].Identifier != "mrn-p1" || len(c.Standings[0].Inputs) != 2 {
		t.Errorf("standings %+v", c.Standings)
	}
}

func TestCourseWithoutScores(t *testing.T) {
	r := ward(t, patients("p1"), panesOf(pane("d1", "HR", day-3*hour, "1"), pane("d1", "HR", day, "2"), pane("d1", "HR", day-hour/2, "2")))
	c, err := r.Course(context.Background(), "p1", hour)
	if err != nil || len(c.Series) != 1 || len(c.Series[0].Panes) != 2 || c.To != day+schemas.TicksPerMinute {
		t.Errorf("course %+v (%v)", c, err)
	}
}

func TestUnknownPatient(t *testing.T) {
	if _, err := ward(t).Course(context.Background(), "nobody", hour); !errors.Is(err, ErrNoPatient) {
		t.Errorf("got %v, want ErrNoPatient", err)
	}
}

func TestOpenFlags(t *testing.T) {
	r := ward(t, scoresOf(opened(of("p1", "high", day, 8, 8),
		schemas.Flag{ID: "f1", Rule: "news2", Opened: day - hour, MaxScore: 8},
		schemas.Flag{ID: "f2", Rule: "news2", State: schemas.FlagClosed, Opened: day - 3*hour, Closed: day - 2*hour},
		schemas.Flag{ID: "f3", Rule: "no-data", Kind: schemas.FlagTechnical, Device: "d1", Opened: day})))
	got, err := r.OpenFlags(context.Background())
	want := []Flag{{ID: "f3", Patient: "p1", Rule: "no-data", Device: "d1", Technical: true, Opened: day},
		{ID: "f1", Patient: "p1", Rule: "news2", Opened: day - hour, MaxScore: 8}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v (%v)\nwant %+v", got, err, want)
	}
}

func TestDeadLettersAndFreshness(t *testing.T) {
	dead := newTopic(schemas.TopicDeadLetters)
	for i, kind := range []string{"normalize/message", "observe/late", "observe/late", "observe/clock", "deliver/late"} {
		stage, reason, _ := strings.Cut(kind, "/")
		dead.add(schemas.DeadLetters.Out("d1", &schemas.DeadLetter{Stage: stage, Reason: reason, Topic: "devicedata", Offset: int64(i)}))
	}
	r := ward(t, dead, patients("p1", "p2"), scoresOf(of("p1", "low", day, 1, 1), of("p1", "low", day-hour, 1, 1)))
	got, err := r.DeadLetters(context.Background())
	want := []LetterCount{{"deliver", "late", 1, false}, {"normalize", "message", 1, false}, {"observe", "clock", 1, false}, {"observe", "late", 2, false}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("dead letters %+v (%v)", got, err)
	}
	f, err := r.Freshness(context.Background())
	if err != nil || f != (Freshness{Patients: 2, Scored: 1, Latest: day, Records: 9}) {
		t.Errorf("freshness %+v (%v)", f, err)
	}
}

func TestEmptyWarehouse(t *testing.T) {
	r, ctx := ward(t), context.Background()
	all, err := r.Worklist(ctx, 10)
	letters, lerr := r.DeadLetters(ctx)
	f, ferr := r.Freshness(ctx)
	if err := errors.Join(err, lerr, ferr); err != nil || len(all)+len(letters) != 0 || f != (Freshness{}) {
		t.Errorf("an empty warehouse says %v %v %v (%v)", all, letters, f, err)
	}
}

// TestReaderCannotWrite shows that a question asked wrongly could not change a
// fact, and that a reader inside a transaction does not stop the writer.
func TestReaderCannotWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.db")
	w := openAt(t, path)
	r := openReader(t, path)
	if _, err := r.db.Exec(`DELETE FROM dim_patient`); err == nil {
		t.Error("the reader wrote")
	}
	err := r.read(context.Background(), "nothing", func(q queries) error {
		var n int
		if err := q.tx.QueryRow(`SELECT count(*) FROM dim_patient`).Scan(&n); err != nil {
			return err
		}
		began := time.Now()
		load(t, w, patients("p1"))
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("the writer waited %s for a reader", took)
		}
		var after int
		if err := q.tx.QueryRow(`SELECT count(*) FROM dim_patient`).Scan(&after); err != nil {
			return err
		}
		if after != n {
			t.Errorf("one answer saw %d and %d patients", n, after)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestQuestionsUseTheKeys looks at the plans: a question that scans a fact
// table would get slower every day.
func TestQuestionsUseTheKeys(t *testing.T) {
	r := ward(t)
	for name, c := range map[string]struct {
		query string
		args  []any
	}{
		"worklist":    {worklistQuery, []any{10, 10}},
		"next series": {nextSeriesQuery, []any{"p", "", "", "", ""}},
		"panes":       {panesQuery, []any{"p", "", "d", "t", "n", 0, 10}},
		"windows":     {windowsQuery, []any{"p", "m", 0, 10}},
		"standings":   {standingsQuery, []any{"p", 10}},
	} {
		err := r.read(context.Background(), name, func(q queries) error {
			rows, err := q.tx.Query("EXPLAIN QUERY PLAN "+c.query, c.args...)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var id, parent, unused int
				var step string
				if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
					return err
				}
				for _, table := range []string{"fact_vital_pane", "fact_risk_window", " w ", " r "} {
					if strings.HasPrefix(step, "SCAN") && strings.Contains(step+" ", table) {
						t.Errorf("%s: %s", name, step)
					}
				}
			}
			return rows.Err()
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkWorklist(b *testing.B) {
	path := filepath.Join(b.TempDir(), "w.db")
	w, err := Open(context.Background(), path, "bench")
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	p := newTopic(schemas.TopicScores)
	for i := range 500 {
		for h := range 48 {
			p.add(schemas.Scores.Out("p", of(fmt.Sprint("p", i), "low", day+schemas.Ticks(h)*hour, 1, 1)))
		}
	}
	if _, err := w.Assigned(context.Background(), &p.share); err != nil {
		b.Fatal(err)
	}
	if _, err := w.Write(context.Background(), p.batch(0, len(p.records))); err != nil {
		b.Fatal(err)
	}
	r, err := OpenReader(path)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	for b.Loop() {
		if all, err := r.Worklist(context.Background(), 500); err != nil || len(all) != 500 {
			b.Fatal(len(all), err)
		}
	}
}
