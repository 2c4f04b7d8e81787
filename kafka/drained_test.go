package kafka

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"auscult/schemas"
)

// keyed stands in for a stage with rows: it commits what it is told to about
// parked values and the visit with trigger end.
type keyed struct {
	stageFunc
	mu     sync.Mutex
	parked int
	owes   int
}

func (k *keyed) Status(*schemas.Share) (parked, owes int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.parked, k.owes
}

// Tick makes what set says be known.
func (k *keyed) Tick(context.Context, *schemas.Share, time.Time) ([]schemas.Out, error) {
	return nil, nil
}

func (k *keyed) set(parked, owes int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.parked, k.owes = parked, owes
}

func (r *river) drain(stages ...DrainStage) (DrainConfig, *atomic.Value) {
	r.t.Helper()
	until, err := DrainTarget(context.Background(), r.conn, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	var waiting atomic.Value
	waiting.Store("")
	return DrainConfig{River: r.conn, Stages: stages, Until: until, Waiting: func(_, reason string) { waiting.Store(reason) }}, &waiting
}

// members returns how many members a group has.
func members(t *testing.T, r *river, stage string) int {
	t.Helper()
	groups, err := r.conn.admin.DescribeGroups(context.Background(), r.conn.Group(stage))
	if err != nil {
		t.Error(err)
	}
	return len(groups[r.conn.Group(stage)].Members)
}

// TestG15Drained follows two stages down the river: the first reads to D, the
// second to the end of what the first wrote, then its rows are visited.
func TestG15Drained(t *testing.T) {
	t.Parallel()
	r := newRiver(t)
	r.send(schemas.TopicDeviceData, 0, 200)
	visited := map[int32]bool{}
	var visits atomic.Int64
	visit := func(ctx context.Context, mark string) error {
		visits.Add(1)
		if members(t, r, "rows") > 0 {
			return nil // its last commit would take the mark away
		}
		// The owner of the rows commits the mark with the offsets it has.
		for p, at := range r.committed("rows", schemas.TopicMeasurements) {
			if !visited[int32(p)] {
				r.commit("rows", schemas.TopicMeasurements, int32(p), at, CommitMeta{End: mark}.String())
				visited[int32(p)] = true
			}
		}
		return nil
	}
	cfg, waiting := r.drain(
		DrainStage{Name: "echo", Inputs: []string{schemas.TopicDeviceData}},
		DrainStage{Name: "rows", Inputs: []string{schemas.TopicMeasurements}, Visit: visit},
	)
	r.send(schemas.TopicDeviceData, 200, 200) // beyond D
	type ended struct {
		result DrainResult
		err    error
	}
	done := make(chan ended, 1)
	go func() {
		result, err := Drain(context.Background(), cfg)
		done <- ended{result, err}
	}()
	eventually(t, "the first stage is waited for", func() bool { return strings.HasPrefix(waiting.Load().(string), "echo") })
	one := r.echo()
	one.Until = cfg.Until
	w := run(t, one)
	eventually(t, "the second stage is waited for", func() bool { return strings.HasPrefix(waiting.Load().(string), "rows") })
	w.stop()
	state := &keyed{stageFunc: echo(schemas.TopicDeadLetters), parked: 2}
	two := BatchesConfig{Stage: "rows", In: r.conn, Out: r.conn, Topics: []string{schemas.TopicMeasurements}, Do: state}
	w = run(t, two)
	eventually(t, "parked values are waited for", func() bool { return strings.Contains(waiting.Load().(string), "parked") })
	if visits.Load() != 0 {
		t.Error("rows were visited before their stage was done")
	}
	state.set(0, 0)
	eventually(t, "the visit", func() bool { return visits.Load() != 0 })
	w.stop()
	select {
	case e := <-done:
		if e.err != nil || e.result.DeadLetters != 200 {
			t.Errorf("drained with %+v, %v", e.result, e.err)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("still waiting: %s", waiting.Load())
	}
	if _, n := r.values(schemas.TopicMeasurements); n != 200 {
		t.Errorf("%d messages were read, D is 200", n)
	}
}

func TestDrainRounds(t *testing.T) {
	d := drain{cfg: DrainConfig{Stages: []DrainStage{
		{Name: "normalize"}, {Name: "identify", With: []string{"observe"}}, {Name: "observe"}, {Name: "assess"},
	}}}
	var got []string
	for _, round := range d.rounds() {
		for _, s := range round {
			got = append(got, s.Name)
		}
		got = append(got, "|")
	}
	if text := strings.Join(got, " "); text != "normalize | identify observe | assess |" {
		t.Error(text)
	}
}

func TestBehind(t *testing.T) {
	topic := &TopicStatus{Topic: "windows"}
	for _, c := range []struct {
		name      string
		committed int64
		meta      CommitMeta
		end       int64
		mark      string
		want      string
	}{
		{"done", 5, CommitMeta{}, 5, "", ""},
		{"read on", 6, CommitMeta{}, 5, "", ""},
		{"behind", 4, CommitMeta{}, 5, "", "committed 4 of 5"},
		{"never began", -1, CommitMeta{}, 5, "", "committed -1 of 5"},
		{"empty and without owner", -1, CommitMeta{}, 0, "", ""},
		{"empty and not visited", -1, CommitMeta{}, 0, "d", "committed -1 of 0"},
		{"parked", 5, CommitMeta{Parked: 1}, 5, "", "values of 1 keys are parked"},
		{"owes", 5, CommitMeta{Owes: 2}, 5, "", "owes 2"},
		{"visited for an earlier D", 5, CommitMeta{End: "c"}, 5, "d", "not visited"},
		{"visited", 5, CommitMeta{End: "d"}, 5, "d", ""},
	} {
		got := behind(topic, &ReaderStatus{Stage: "assess", Committed: []int64{c.committed}, Meta: []CommitMeta{c.meta}}, []int64{c.end}, c.mark)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestDrainEndsWithItsContext(t *testing.T) {
	t.Parallel()
	r := newRiver(t)
	r.send(schemas.TopicDeviceData, 0, 1)
	cfg, _ := r.drain(DrainStage{Name: "echo", Inputs: []string{schemas.TopicDeviceData}})
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := Drain(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

func TestMarks(t *testing.T) {
	a := DrainMark(map[int32]int64{0: 1, 1: 2})
	if b := DrainMark(map[int32]int64{1: 2, 0: 1}); a != b || len(a) != 2*drainMarkBytes {
		t.Errorf("%q and %q", a, b)
	}
	if b := DrainMark(map[int32]int64{0: 1, 1: 3}); a == b {
		t.Error("another D has the same mark")
	}
}

func TestCommitMeta(t *testing.T) {
	m := CommitMeta{Parked: 3, Owes: 4, End: "ab", Generation: "cd"}
	if got, ok := ParseCommitMeta(m.String()); !ok || got != m {
		t.Errorf("%v, %v", got, ok)
	}
	if !strings.HasPrefix(m.String(), "parked=3 owes=4 end=ab") {
		t.Error(m.String())
	}
	if got, ok := ParseCommitMeta("parked=1 owes=0 end= later=x"); !ok || got != (CommitMeta{Parked: 1}) {
		t.Errorf("a later version's: %v, %v", got, ok)
	}
	for _, text := range []string{"", "kgo-1234", "parked=x"} {
		if _, ok := ParseCommitMeta(text); ok {
			t.Errorf("%q was taken for ours", text)
		}
	}
}
