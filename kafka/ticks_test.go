package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// visits notes which keys were visited, by kind.
type visits struct {
	mu   sync.Mutex
	keys map[string][]string
}

func (v *visits) note(kind, key string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.keys == nil {
		v.keys = make(map[string][]string)
	}
	v.keys[kind] = append(v.keys[kind], key)
}

func (v *visits) of(kind string) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Sorted(slices.Values(v.keys[kind]))
}

// A tick visits the rows that have work, and no other.
func TestG10TicksVisitWhatIsDue(t *testing.T) {
	r := newToyRiver(t, 2, "")
	var seen visits
	stage := &toy{flags: rowWork, ticks: func(kind, key string, row *toyRow) bool {
		seen.note(kind, key)
		row.flags &^= rowWork
		row.texts += "tick;"
		return true
	}}
	cfg := stage.config(r.conn)
	cfg.RowFlags = func(row []byte) uint8 {
		toy := readToy(row)
		if len(toy.texts) > 0 && toy.texts[0] == 'w' {
			return toy.flags
		}
		return 0
	}
	var ticked atomic.Int64
	cfg.Ticked = func(_ string, rows int64, _ time.Duration) { ticked.Add(rows) }
	s := r.start(cfg)
	r.putAll("in", keysOf(300, 0, 2), "x")
	r.putAll("in", keysOf(300, 1, 2), "x")
	r.put("in", "a", "w")
	r.put("in", "b", "w")
	until(t, "both ticks", func() bool { return ticked.Load() >= 2 })
	until(t, "their outputs", func() bool { last := r.last(toyOut); return last["a"] == "w;tick;" && last["b"] == "w;tick;" })
	s.stop(t)
	if got := seen.of("work"); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("visited %v", got)
	}
}

// What a tick owes is sent by the next owner, as soon as he has the partition.
func TestG1TicksOwedAtAssignment(t *testing.T) {
	r := newToyRiver(t, 1, "")
	var ticks atomic.Int64
	stage := &toy{flags: rowWork, ticks: func(kind, _ string, row *toyRow) bool {
		if row.flags&rowWork == 0 {
			return false // only here to send what is owed
		}
		ticks.Add(1)
		row.flags &^= rowWork
		row.texts += "tick;"
		return true
	}}
	s := r.start(stage.config(r.conn))
	r.put("in", "a", "1")
	r.eventuallyLast(toyOut, map[string]string{"a": "1;"})
	fault := r.fake().Fault(produceFault(toyOut, kerr.NotLeaderForPartition, -1))
	until(t, "the tick's row", func() bool { return readToy([]byte(r.last("toy-table")["a"])).texts == "1;tick;" })
	s.stop(t)
	fault.Remove()
	if last := r.last(toyOut)["a"]; last != "1;" {
		t.Fatalf("the output is there already: %q", last)
	}
	s = r.start(stage.config(r.conn))
	r.eventuallyLast(toyOut, map[string]string{"a": "1;tick;"})
	// The next callback of the row knows that it is out.
	r.put("in", "a", "2")
	until(t, "the debt is paid", func() bool { return readToy([]byte(r.last("toy-table")["a"])).flags&rowOwes == 0 })
	s.stop(t)
	if ticks.Load() != 1 {
		t.Errorf("ticked %d times", ticks.Load())
	}
}

// Silence is counted only while nothing lags, and from zero after it (rule G9).
func TestG9SilenceCountsOnlyWithoutLag(t *testing.T) {
	t.Parallel()
	r := newToyRiver(t, 2, "")
	r.create("source", 2, "delete")
	var seen visits
	stage := &toy{flags: rowSilent, ticks: func(kind, key string, row *toyRow) bool {
		seen.note(kind, key)
		row.flags &^= rowSilent
		return true
	}}
	cfg := stage.config(r.conn)
	cfg.IdleAfter = time.Second
	cfg.Upstream = []Upstream{{r.conn, "normalize", []string{"source"}}}
	r.put("source", "x", "has not been read")
	p := partitionWith(t, r, "source")
	for i := range int32(2) {
		r.commitFor("normalize", "source", i, 0) // the group is there, and behind
	}
	s := r.start(cfg)
	r.put("in", "a", "1")
	r.eventuallyLast(toyOut, map[string]string{"a": "1;"})
	time.Sleep(4 * time.Second) // enough to fall silent, were it counted
	if got := seen.of("idle"); len(got) > 0 {
		t.Fatalf("%v fell silent while upstream lagged", got)
	}
	r.commitFor("normalize", "source", p, 1)
	r.commitFor("normalize", "source", 1-p, 0)
	until(t, "silence", func() bool { return slices.Equal(seen.of("idle"), []string{"a"}) })
	s.stop(t)
}

func partitionWith(t *testing.T, r *toyRiver, topic string) int32 {
	t.Helper()
	for _, rec := range r.all(topic) {
		return rec.Partition
	}
	t.Fatal("no record")
	return 0
}

// All rows are visited with trigger end, and the offsets say so as long as they
// stand (rule G15).
func TestG15MarksAndParkedKeysAreCommitted(t *testing.T) {
	t.Parallel()
	r := newToyRiver(t, 2, "")
	var seen visits
	stage := &toy{flags: rowParked, ticks: func(kind, key string, row *toyRow) bool {
		seen.note(kind, key)
		return false
	}}
	s := r.start(stage.config(r.conn))
	keys := append(keysOf(5, 0, 2), keysOf(5, 1, 2)...)
	r.putAll("in", keys, "x")
	marked := func(want string) func() bool {
		return func() bool {
			if err := s.group.VisitEnd(context.Background(), "D1"); err != nil {
				t.Error(err)
			}
			at, meta := r.committed("in", 1)
			end, _ := inputEnds(context.Background(), r.conn, []string{"in"})
			return at == end[topicPartition{r.conn.Topic("in"), 1}] && meta.End == want && meta.Parked == 5 && meta.Owes == 0
		}
	}
	until(t, "the mark", marked("D1"))
	slices.Sort(keys)
	if got := slices.Compact(seen.of("end")); !slices.Equal(got, keys) {
		t.Errorf("visited %v", got)
	}
	before := len(seen.of("end"))
	for range 3 {
		marked("D1")()
	}
	if after := len(seen.of("end")); after != before {
		t.Errorf("%d rows were visited again though nothing has moved", after-before)
	}
	r.put("in", keysOf(1, 1, 2)[0], "y")
	until(t, "the mark falls", func() bool { _, meta := r.committed("in", 1); return meta.End == "" })
	until(t, "the mark again", marked("D1"))
	s.stop(t)
}

// A run until drained ends when every row was visited and all that came of it
// is out, with two processes as with one.
func TestTicksDrained(t *testing.T) {
	t.Parallel()
	r := newToyRiver(t, 4, "")
	stage := &toy{ticks: func(kind, _ string, row *toyRow) bool {
		if kind != "end" || strings.HasSuffix(row.texts, "end;") {
			return false
		}
		row.texts += "end;"
		return true
	}}
	var keys []string
	for p := range int32(3) { // the fourth partition stays empty
		keys = append(keys, keysOf(4, p, 4)...)
	}
	r.putAll("in", keys, "1", "2")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var both sync.WaitGroup
	for range 2 {
		s := r.start(stage.config(r.conn))
		both.Go(func() {
			_, err := Drain(ctx, DrainConfig{River: r.conn, Stages: []DrainStage{{Name: "toy", Inputs: []string{"in"}, Visit: s.group.VisitEnd}}})
			if err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	want := make(map[string]string)
	for _, k := range keys {
		want[k] = "1;2;end;"
	}
	if got := r.last(toyOut); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A tick while a session ends is an end, not a panic (rule G10).
func TestG10TicksEndWithTheSession(t *testing.T) {
	r := newToyRiver(t, 2, "")
	stage := &toy{flags: rowWork, ticks: func(string, string, *toyRow) bool {
		time.Sleep(time.Millisecond)
		return true // and has work again
	}}
	for round := range 3 {
		s := r.start(stage.config(r.conn))
		if round == 0 {
			r.putAll("in", append(keysOf(200, 0, 2), keysOf(200, 1, 2)...), "x")
		}
		until(t, "ticks", func() bool { rows, _, _ := s.group.Rows(); return rows == 400 })
		if err := s.stop(t); err != nil {
			t.Fatal(err)
		}
	}
}

func TestG9Frontier(t *testing.T) {
	start := time.Now()
	sec := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	at := func(n int64) map[topicPartition]int64 { return map[topicPartition]int64{{"in", 0}: n} }
	var l looks
	for i := range 2 * frontierSamples {
		l.add(look{at(int64(10 * i)), sec(i)}) // ten messages a second, never at its end
	}
	if len(l) != frontierSamples {
		t.Errorf("%d looks are kept", len(l))
	}
	if got := l.until(at(581)); !got.Equal(sec(58)) {
		t.Errorf("all until %s, want 58", got.Sub(start))
	}
	if got := l.until(at(0)); !got.IsZero() {
		t.Errorf("far behind: all until %s", got.Sub(start))
	}
	var f *frontiers
	for i := range 10 {
		f = f.next(sec(i+2), map[int32]time.Time{0: sec(i)})
	}
	for idle, want := range map[time.Duration]time.Time{5 * time.Second: sec(4), 7 * time.Second: sec(2), 8 * time.Second: {}} {
		if got := f.cutoff(0, idle); !got.Equal(want) {
			t.Errorf("idle after %s: cutoff %s", idle, got.Sub(start))
		}
	}
	f = f.next(sec(30), map[int32]time.Time{0: sec(10)}) // lag
	f = f.next(sec(31), map[int32]time.Time{0: sec(30)})
	if got := f.cutoff(0, time.Second); !got.IsZero() {
		t.Error("silence was not counted from zero after lag")
	}
}

func TestG10RowStoreIndex(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newRowStore(1, func(row []byte) uint8 { return row[0] }, func(row []byte, _ int) int64 { return int64(row[1]) })
	s.now = func() time.Time { now = now.Add(time.Second); return now }
	set := func(key string, flags uint8, applied byte) { _ = s.Set(key, []byte{flags, applied}) }
	due := func(kind tickKind, cutoff time.Time) []string {
		some := s.arm(kind, cutoff)
		it, _ := s.Iterator()
		var keys []string
		for it.Next() {
			keys = append(keys, string(it.Key()))
		}
		if some != (len(keys) > 0) {
			t.Errorf("arm says %v, the iterator gives %v", some, keys)
		}
		slices.Sort(keys)
		return keys
	}
	check := func(got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("due %v, want %v", got, want)
		}
	}
	set("a", rowSilent, 1)
	set("owes", rowOwes, 9)
	set("paid", rowOwes, 2)
	set("paid", 0, 3)
	_ = s.MarkRecovered()
	set("b", rowSilent, 3)
	set("work", rowWork, 3)
	set("later", rowOwes, 3) // in this session: its outputs are on their way
	set("__offset", 0, 3)
	set("waits", rowParked, 3)
	set("waits", rowParked, 3)
	set("waited", rowParked, 3)
	if c := s.counts(); c.parked != 2 {
		t.Errorf("%d rows hold values that wait, want 2", c.parked)
	}
	set("waited", 0, 3)
	_ = s.Delete("waits")
	check(due(tickWork, time.Time{}), "owes", "work")
	check(due(tickWork, time.Time{}), "work")
	check(due(tickEnd, time.Time{}), "__offset", "a", "b", "later", "owes", "paid", "waited", "work")
	set("c", rowSilent, 3)
	set("a", rowSilent, 3) // a speaks again
	cut := s.rows["c"].touched
	check(due(tickIdle, cut), "b", "c")
	check(due(tickIdle, cut)) // not again at once
	_ = s.Delete("a")
	check(due(tickIdle, now), "b", "c")
	if it, _ := s.Iterator(); it.Next() {
		t.Error("an iterator that no tick has asked for gives keys")
	}
	if c := s.counts(); c != (rowCounts{rows: 8, silent: 2, work: 1}) {
		t.Errorf("counts %+v", c)
	}
	if s.written("owes") || !s.written("later") || s.written("a") {
		t.Error("what an earlier owner wrote, and what a callback of this session has, are mixed up")
	}
}

func TestRowStoreValues(t *testing.T) {
	s := newRowStore(1, func([]byte) uint8 { return 0 }, func(row []byte, _ int) int64 { return int64(row[0]) })
	for key, row := range map[string]byte{"a": 1, "b": 9, "c": 4} {
		_ = s.Set(key, []byte{row})
	}
	if n := s.applied(0); n != 9 {
		t.Errorf("applied %d", n)
	}
	_ = s.Delete("a")
	if v, _ := s.Get("a"); v != nil {
		t.Error("a deleted row is there")
	}
	if has, _ := s.Has("b"); !has {
		t.Error("a row is not there")
	}
	if o, _ := s.GetOffset(-3); o != -3 {
		t.Error("offset without one")
	}
	_ = s.SetOffset(0)
	if o, _ := s.GetOffset(-3); o != 0 {
		t.Error("offset 0 is forgotten")
	}
}

// Changing a row costs the same however many there are.
func BenchmarkRowStoreSet(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := newRowStore(1, func(row []byte) uint8 { return row[0] }, nil)
			keys := make([]string, n)
			for i := range keys {
				keys[i] = fmt.Sprint("device-", i)
				_ = s.Set(keys[i], []byte{rowSilent})
			}
			row := []byte{rowSilent}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				_ = s.Set(keys[i%n], row)
			}
		})
	}
}
