package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"auscult/schemas"
)

func TestGroupFirstStart(t *testing.T) {
	r := newToyRiver(t, 2, "")
	s := r.start((&toy{}).config(r.conn))
	r.put("in", "a", "1")
	r.put("in", "b", "2")
	r.put("in", "a", "3")
	r.eventuallyLast(toyOut, map[string]string{"a": "1;3;", "b": "2;"})
	if err := s.stop(t); err != nil {
		t.Fatal(err)
	}
	for _, rec := range r.all(toyOut) {
		if len(rec.Headers) != 1 || rec.Headers[0].Key != "content-type" {
			t.Errorf("headers %v", rec.Headers)
		}
	}
	// A new process has nothing but the table.
	s = r.start((&toy{}).config(r.conn))
	r.put("in", "a", "4")
	r.eventuallyLast(toyOut, map[string]string{"a": "1;3;4;", "b": "2;"})
	if err := s.stop(t); err != nil {
		t.Fatal(err)
	}
}

// A message whose output cannot be written keeps its offset from being
// committed, whatever is finished after it.
func TestGroupCommitHole(t *testing.T) {
	r := newToyRiver(t, 1, "")
	r.create("other", 1, "delete")
	stage := &toy{topic: func(text string) string {
		if text == "0" {
			return "other"
		}
		return toyOut
	}}
	fault := r.fake().Fault(produceFault("other", kerr.PolicyViolation, -1))
	var retries atomic.Int64
	cfg := stage.config(r.conn)
	cfg.Outputs = append(cfg.Outputs, "other")
	cfg.Hooks.Retry = func(string, error, time.Duration) { retries.Add(1) }
	s := r.start(cfg)
	want := map[string]string{}
	for i := range 10 {
		r.put("in", fmt.Sprint("k", i), fmt.Sprint(i))
		if i > 0 {
			want[fmt.Sprint("k", i)] = fmt.Sprint(i, ";")
		}
	}
	until(t, "a restart", func() bool { return retries.Load() > 2 })
	s.stop(t)
	if at, _ := r.committed("in", 0); at > 0 {
		t.Fatalf("committed %d: message 0 is lost", at)
	}
	fault.Remove()
	s = r.start(cfg)
	r.eventuallyLast("other", map[string]string{"k0": "0;"})
	r.eventuallyLast(toyOut, want)
	s.stop(t)
	if at, _ := r.committed("in", 0); at != 10 {
		t.Errorf("committed %d, want 10", at)
	}
}

// While table records cannot be written, no output leaves.
func TestG1GroupRowFirst(t *testing.T) {
	r := newToyRiver(t, 1, "")
	fault := r.fake().Fault(produceFault("toy-table", kerr.NotLeaderForPartition, -1))
	s := r.start((&toy{}).config(r.conn))
	r.put("in", "a", "1")
	r.put("in", "a", "2")
	until(t, "a table record", func() bool { return fault.Hits() > 2 })
	if out := r.last(toyOut); len(out) != 0 {
		t.Fatalf("outputs %v before their rows", out)
	}
	fault.Remove()
	r.eventuallyLast(toyOut, map[string]string{"a": "1;2;"})
	s.stop(t)
}

// A table record that fails takes its output with it, and the message comes
// again: the row of a later owner has it.
func TestG1GroupTableWriteFails(t *testing.T) {
	r := newToyRiver(t, 1, "")
	s := r.start((&toy{}).config(r.conn))
	r.put("in", "a", "m0")
	r.eventuallyLast(toyOut, map[string]string{"a": "m0;"})
	fault := r.fake().Fault(produceFault("toy-table", kerr.PolicyViolation, 1))
	r.put("in", "a", "m1")
	r.eventuallyLast(toyOut, map[string]string{"a": "m0;m1;"})
	if fault.Hits() != 1 {
		t.Errorf("%d faults", fault.Hits())
	}
	s.stop(t)
	s = r.start((&toy{}).config(r.conn))
	r.put("in", "a", "m2")
	r.eventuallyLast(toyOut, map[string]string{"a": "m0;m1;m2;"})
	s.stop(t)
}

// What the row owes for a message is sent again even though a later message of
// the key has been applied.
func TestG1GroupOwesEveryMessageInFlight(t *testing.T) {
	r := newToyRiver(t, 1, "")
	fault := r.fake().Fault(produceFault(toyOut, kerr.PolicyViolation, 1))
	r.put("in", "a", "m0")
	r.put("in", "a", "m1")
	s := r.start((&toy{}).config(r.conn))
	until(t, "the fault", func() bool { return fault.Hits() == 1 })
	r.eventuallyLast(toyOut, map[string]string{"a": "m0;m1;"})
	s.stop(t)
	seen := map[string]bool{}
	for _, rec := range r.all(toyOut) {
		seen[string(rec.Value)] = true
	}
	if !seen["m0;"] || !seen["m0;m1;"] {
		t.Errorf("outputs %v: one is missing", seen)
	}
}

func TestGroupPrefix(t *testing.T) {
	r := newToyRiver(t, 2, "test.", "in", "second")
	var topics sync.Map
	stage := &toy{inputs: []string{"in", "second"}, before: func(ctx toyProgress, _ string) {
		topics.Store(ctx.Topic(), ctx.Generation(string(ctx.Topic())))
	}}
	s := r.start(stage.config(r.conn))
	r.put("in", "a", "1")
	r.eventuallyLast(toyOut, map[string]string{"a": "1;"})
	r.put("second", "a", "2")
	r.eventuallyLast(toyOut, map[string]string{"a": "1;2;"})
	s.stop(t)
	for _, topic := range []goka.Stream{"in", "second"} {
		if g, ok := topics.Load(topic); !ok || g == "" {
			t.Errorf("callbacks did not see %s (generation %v)", topic, g)
		}
	}
	if rows := r.last("toy-table"); len(rows) != 1 {
		t.Errorf("%d rows in the table with the prefix", len(rows))
	}
	if at, meta := r.committed("in", 0); at < 0 || meta.Generation == "" {
		t.Errorf("committed %d %v", at, meta)
	}
}

func TestGroupRefusesTopics(t *testing.T) {
	for _, c := range []struct {
		name       string
		partitions int32
		cleanup    string
		want       string
	}{
		{"partitions", 4, "compact", "has 4 partitions and its stage's inputs have 2"},
		{"delete", 2, "delete", `cleanup.policy "delete"`},
		{"both", 2, "compact,delete", `cleanup.policy "compact,delete"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newToyRiver(t, 2, "")
			r.create("bad-table", c.partitions, c.cleanup)
			cfg := (&toy{}).config(r.conn)
			cfg.Stage = "bad"
			if err := r.start(cfg).ends(t); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestGroupMissingTopic(t *testing.T) {
	t.Parallel()
	r := newToyRiver(t, 2, "")
	for name, change := range map[string]func(*GroupConfig){
		"table":  func(c *GroupConfig) { c.Stage = "missing" },
		"output": func(c *GroupConfig) { c.Outputs = append(c.Outputs, "missing") },
		"input":  func(c *GroupConfig) { c.Inputs[0].Topic = "missing" },
	} {
		cfg := (&toy{}).config(r.conn)
		change(&cfg)
		if err := r.start(cfg).ends(t); err == nil || !strings.Contains(err.Error(), "missing") || !strings.Contains(err.Error(), "topics apply") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A slow partition holds up no other.
func TestGroupSlowPartition(t *testing.T) {
	r := newToyRiver(t, 2, "")
	slow, fast := keysOf(intakeRecords*5/4, 0, 2), keysOf(50, 1, 2)
	free := make(chan struct{})
	stage := &toy{before: func(_ toyProgress, text string) {
		if text == "slow" {
			<-free
		}
	}}
	s := r.start(stage.config(r.conn))
	r.putAll("in", slow, "slow")
	until(t, "the slow partition is full", func() bool {
		p := s.group.Positions()
		return len(p) == 2 && p[0].Buffered >= intakeRecords
	})
	r.putAll("in", fast, "fast")
	until(t, "the fast one", func() bool { p := s.group.Positions(); return p[1].Finished == int64(len(fast)) })
	close(free)
	until(t, "the slow one", func() bool { p := s.group.Positions(); return p[0].Finished == int64(len(slow)) })
	s.stop(t)
}

func TestGroupHold(t *testing.T) {
	r := newToyRiver(t, 1, "", "in", "second")
	stage := &toy{inputs: []string{"in", "second"}, before: func(ctx toyProgress, text string) {
		switch text {
		case "full":
			ctx.Hold("in", true)
		case "known":
			ctx.Hold("in", false)
		}
	}}
	s := r.start(stage.config(r.conn))
	r.put("in", "a", "full")
	until(t, "held", func() bool { p := s.group.Positions(); return len(p) == 2 && p[0].Held })
	const n = 200
	for i := range n {
		r.put("in", "b", fmt.Sprint(i))
	}
	r.put("second", "c", "1")
	until(t, "the other input", func() bool { return r.last(toyOut)["c"] == "1;" })
	if p := s.group.Positions(); p[0].Finished > n/2 {
		t.Errorf("%d messages of a held input were taken", p[0].Finished)
	}
	r.put("second", "a", "known")
	until(t, "all of the input", func() bool { p := s.group.Positions(); return p[0].Finished == n+1 })
	s.stop(t)
}

// A callback can wait until what it has caused before is out.
func TestGroupWaitFinished(t *testing.T) {
	r := newToyRiver(t, 1, "")
	var waited atomic.Int64
	stage := &toy{before: func(ctx toyProgress, _ string) {
		if ctx.Offset() > 0 {
			if err := ctx.WaitFinished("in", ctx.Offset()-1); err != nil {
				ctx.Fail(err)
			}
			if ctx.Finished("in") < ctx.Offset() {
				t.Errorf("finished %d at offset %d", ctx.Finished("in"), ctx.Offset())
			}
			waited.Add(1)
		}
	}}
	s := r.start(stage.config(r.conn))
	for range 20 {
		r.put("in", "a", "x")
	}
	until(t, "all", func() bool { return waited.Load() == 19 })
	// At the end of a session the wait ends too.
	fault := r.fake().Fault(produceFault("toy-table", kerr.NotLeaderForPartition, -1))
	r.put("in", "a", "y")
	r.put("in", "a", "z")
	until(t, "waiting", func() bool { return fault.Hits() > 0 })
	began := time.Now()
	if err := s.stop(t); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

// Errors that come again stop the stage and say why; keys are not in the text.
func TestGroupStops(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(r *toyRiver, cfg *GroupConfig)
		want string
	}{
		"fail": {func(_ *toyRiver, cfg *GroupConfig) {
			cfg.Inputs[0].Do = func(ctx goka.Context, _ any) { ctx.Fail(errors.New("row of tomorrow")) }
		}, "row of tomorrow"},
		"panic": {func(_ *toyRiver, cfg *GroupConfig) {
			cfg.Inputs[0].Do = func(goka.Context, any) { panic("index out of range") }
		}, "index out of range"},
		"too large": {func(r *toyRiver, _ *GroupConfig) {
			r.fake().Fault(produceFault(toyOut, kerr.MessageTooLarge, -1))
		}, "MESSAGE_TOO_LARGE"},
		"large row": {func(_ *toyRiver, cfg *GroupConfig) {
			cfg.Inputs[0].Do = func(ctx goka.Context, _ any) { ctx.SetValue(make([]byte, 2<<20)) }
		}, "MESSAGE_TOO_LARGE"},
		"output": {func(_ *toyRiver, cfg *GroupConfig) {
			cfg.Inputs[0].Do = func(ctx goka.Context, _ any) { ctx.Emit("elsewhere", "k", []byte("v")) }
		}, "elsewhere"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newToyRiver(t, 2, "")
			cfg := (&toy{}).config(r.conn)
			c.do(r, &cfg)
			r.put("in", "secret-key", "1")
			err := r.start(cfg).ends(t)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "toy") {
				t.Errorf("%v, want %q", err, c.want)
			} else if strings.Contains(err.Error(), "secret-key") {
				t.Errorf("the error tells the key: %v", err)
			}
			if at, _ := r.committed("in", schemas.PartitionOf("secret-key", 2)); at > 0 {
				t.Errorf("committed %d", at)
			}
		})
	}
}

// Offsets count only in the topic that they were committed for (rule G6).
func TestGroupOffsetsOfAnotherWorld(t *testing.T) {
	run := func(r *toyRiver) {
		s := r.start((&toy{}).config(r.conn))
		for i := range 5 {
			r.put("in", "a", fmt.Sprint(i))
		}
		r.eventuallyLast(toyOut, map[string]string{"a": "0;1;2;3;4;"})
		s.stop(r.t)
	}
	again := func(r *toyRiver, want string) {
		r.t.Helper()
		if err := r.start((&toy{}).config(r.conn)).ends(r.t); err == nil || !strings.Contains(err.Error(), want) {
			r.t.Errorf("%v, want %q", err, want)
		}
	}
	t.Run("another topic", func(t *testing.T) {
		r := newToyRiver(t, 1, "")
		run(r)
		r.recreate("in", 1)
		r.commit("in", 0, 0, CommitMeta{Generation: "old"})
		again(r, "belongs to generation old")
	})
	t.Run("beyond the end", func(t *testing.T) {
		r := newToyRiver(t, 1, "")
		r.commit("in", 0, 7, CommitMeta{})
		again(r, "beyond the end 0")
	})
	t.Run("rows ahead", func(t *testing.T) {
		r := newToyRiver(t, 1, "")
		run(r)
		r.recreate("in", 1)
		r.commit("in", 0, -1, CommitMeta{})
		again(r, "rows have applied it up to 5")
	})
	t.Run("removed", func(t *testing.T) {
		r := newToyRiver(t, 1, "")
		run(r)
		for i := range 5 {
			r.put("in", "a", fmt.Sprint(5+i))
		}
		if _, err := r.conn.Admin().DeleteRecords(context.Background(), kadm.Offsets{r.conn.Topic("in"): {0: {Topic: r.conn.Topic("in"), At: 8}}}); err != nil {
			t.Fatal(err)
		}
		again(r, "offsets 5 to 7 of in/0 were removed")
		cfg := (&toy{}).config(r.conn)
		cfg.AcceptGap = true
		s := r.start(cfg)
		r.eventuallyLast(toyOut, map[string]string{"a": "0;1;2;3;4;8;9;"})
		s.stop(t)
		letters := r.all("dead-letters")
		if len(letters) != 1 {
			t.Fatalf("%d dead letters", len(letters))
		}
	})
}

// A topic that is made anew under a running stage stops it.
func TestGroupTopicRecreated(t *testing.T) {
	t.Parallel()
	r := newToyRiver(t, 1, "")
	s := r.start((&toy{}).config(r.conn))
	r.put("in", "a", "1")
	r.eventuallyLast(toyOut, map[string]string{"a": "1;"})
	r.recreate("in", 1)
	if err := s.ends(t); err == nil || !strings.Contains(err.Error(), "made anew") {
		t.Error(err)
	}
}
