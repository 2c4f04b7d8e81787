package topology_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lovoo/goka"

	"auscult/processors"
	"auscult/schemas"
	"auscult/state"
	"auscult/topology"
	"auscult/topology/topologytest"
)

// toyRow counts the messages of a key; work is how many of them a tick still has
// to tell of.
type toyRow struct {
	count, work uint64
	silent      bool
}

func (r *toyRow) Read(b []byte) error {
	*r = toyRow{}
	if len(b) > 0 {
		r.count, r.work, r.silent = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), b[16] == 1
	}
	return nil
}

func (r *toyRow) AppendTo(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(dst, r.count), r.work)
	if r.silent {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func (r *toyRow) Flags() (flags uint8) {
	if r.work > 0 {
		flags |= state.RowWork
	}
	if r.silent {
		flags |= state.RowSilent
	}
	return flags
}

func (r *toyRow) Shrink(*processors.Outputs) bool { return false }

// toy is a small river: devicedata is copied to measurements, whose messages are
// counted by key, as those of identities are. What is counted goes to windows.
type toy struct {
	rows  processors.Rows
	ticks []string
	busy  int // times that the copying stage asks for patience
}

// graph builds the stages; those of one graph share what t notes.
func (t *toy) graph() topology.Graph {
	t.rows = processors.Rows{Stage: "count", Inputs: []string{schemas.TopicMeasurements, schemas.TopicIdentities},
		Outputs: []string{schemas.TopicWindows}}
	input := func(n uint8) goka.ProcessCallback {
		return func(ctx goka.Context, msg any) { t.message(ctx, n, msg) }
	}
	return topology.Graph{
		{Name: "copy", Inputs: []string{schemas.TopicDeviceData}, Outputs: []string{schemas.TopicMeasurements}, Batch: (*toyCopy)(t)},
		{Name: "count", Inputs: t.rows.Inputs, Outputs: t.rows.Outputs, Keyed: &topology.Keyed{
			Inputs: []goka.ProcessCallback{input(0), input(1)}, Tick: t.tick}},
		{Name: "off", Inputs: []string{schemas.TopicWindows}},
	}
}

// message counts one message; "work" leaves telling to a tick, "hold" and "free"
// stop the measurements and let them go, "silent" makes the key able to fall
// silent.
func (t *toy) message(ctx goka.Context, input uint8, msg any) {
	row := &toyRow{}
	t.rows.Message(ctx, input, msg, row, func(b []byte, out *processors.Outputs) {
		row.count++
		row.silent = string(b) == "silent"
		switch string(b) {
		case "work":
			row.work += 3
		case "hold", "free":
			ctx.(processors.Holder).Hold(schemas.TopicMeasurements, string(b) == "hold")
		}
		t.tell(ctx, row, out)
	})
}

func (t *toy) tell(ctx goka.Context, row *toyRow, out *processors.Outputs) {
	out.Window(&schemas.Window{Patient: ctx.Key(), Device: ctx.Key(), N: int64(row.count)})
}

func (t *toy) tick(ctx goka.Context, meta any) {
	row := &toyRow{}
	t.rows.Tick(ctx, row, func(out *processors.Outputs) bool {
		t.ticks = append(t.ticks, fmt.Sprintf("%s %v", ctx.Key(), meta))
		switch {
		case meta == processors.TickWork && row.work > 0:
			row.work--
			t.tell(ctx, row, out)
			return true
		case meta == processors.TickIdle:
			row.silent = false
			return true
		}
		return false
	})
}

type toyCopy toy

// Process copies messages, unless it is busy.
func (c *toyCopy) Process(_ context.Context, b schemas.Batch) (outs []schemas.Out, err error) {
	if c.busy > 0 {
		c.busy--
		return nil, &processors.Retry{Err: errors.New("busy")}
	}
	for _, r := range b.Records {
		outs = append(outs, schemas.Out{Topic: schemas.TopicMeasurements, Key: string(r.Key), Value: r.Value})
	}
	return outs, nil
}

// heard is what windows hold, in order: key, order and count of each.
type heard []string

func (h *heard) tap(topic string, _ int32, r *schemas.Raw) {
	if w, err := schemas.Windows.Decode(r.Value); topic == schemas.TopicWindows && err == nil {
		*h = append(*h, fmt.Sprintf("%s v%d %d", w.Device, w.Order.Version, w.N))
	}
}

func (h *heard) says(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(*h, want) {
		t.Errorf("windows hold %v\nwant %v", *h, want)
	}
	*h = nil
}

func newToyLocal(t *testing.T, partitions int32) (*toy, *topology.Local, *heard) {
	t.Helper()
	s, h := &toy{}, &heard{}
	l := topology.NewLocal(s.graph(), partitions)
	l.Tap = h.tap
	l.Advance(time.Unix(1000, 0))
	return s, l, h
}

func put(l *topology.Local, topic, key string, values ...string) {
	for _, v := range values {
		l.Append(topic, -1, schemas.Raw{Key: []byte(key), Value: []byte(v)})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestLocalRunsWhatFollows(t *testing.T) {
	_, l, h := newToyLocal(t, 4)
	put(l, schemas.TopicDeviceData, "a", "x", "x")
	put(l, schemas.TopicDeviceData, "b", "x")
	if n := len(l.Pending()); n != 2 {
		t.Errorf("%d things to do, want one for each partition with messages", n)
	}
	must(t, l.Run(t.Context()))
	slices.Sort(*h)
	h.says(t, "a v1 1", "a v2 2", "b v1 1")
	if len(l.Pending()) != 0 || len(l.Row("count", "a")) == 0 || l.Row("count", "c") != nil {
		t.Error("something is left, or rows are not where they should be")
	}
}

func TestLocalCrash(t *testing.T) {
	s, l, h := newToyLocal(t, 1)
	put(l, schemas.TopicMeasurements, "a", "x", "x", "x")
	count := topology.Work{Stage: "count", Topic: schemas.TopicMeasurements}
	must(t, l.Do(t.Context(), count, 1))
	l.Commit("count")
	must(t, l.Do(t.Context(), count, 1))
	h.says(t, "a v1 1", "a v2 2")

	// What was not committed comes again and is not counted again; what it had
	// said it says again.
	l.Crash("count", nil)
	must(t, l.Run(t.Context()))
	h.says(t, "a v2 2", "a v3 3")

	// A row that is durable says later what its process could not.
	put(l, schemas.TopicMeasurements, "a", "x")
	must(t, l.DoCut(t.Context(), count, 0))
	h.says(t)
	anew, _ := s.graph().Stage("count")
	l.Crash("count", anew)
	must(t, l.Run(t.Context()))
	h.says(t, "a v4 4")

	// All of it once more: the row owes no more than what was in flight, which
	// leaves with the first message of a new process, and again in its turn.
	l.Rewind("count")
	must(t, l.Run(t.Context()))
	h.says(t, "a v4 4", "a v4 4")
}

// What a dead process owed because of one input leaves before anything that
// another input, or a tick, makes of the row (rules G1 and G2).
func TestG1NothingOvertakesWhatIsOwed(t *testing.T) {
	for name, next := range map[string]func(l *topology.Local){
		"a message": func(l *topology.Local) {
			put(l, schemas.TopicMeasurements, "a", "x")
			must(t, l.Do(t.Context(), topology.Work{Stage: "count", Topic: schemas.TopicMeasurements}, 1))
		},
		"a tick": func(l *topology.Local) {
			must(t, l.Visit(t.Context(), "count", 0, processors.TickWork, -1))
		},
	} {
		_, l, h := newToyLocal(t, 1)
		put(l, schemas.TopicMeasurements, "a", "work")
		put(l, schemas.TopicIdentities, "a", "x")
		must(t, l.Do(t.Context(), topology.Work{Stage: "count", Topic: schemas.TopicMeasurements}, 1))
		l.Commit("count")
		must(t, l.DoCut(t.Context(), topology.Work{Stage: "count", Topic: schemas.TopicIdentities}, 0))
		h.says(t, "a v1 1")
		l.Crash("count", nil)
		next(l)
		if len(*h) < 2 || (*h)[0] != "a v2 2" || !strings.HasPrefix((*h)[1], "a v3 ") {
			t.Errorf("%s: windows hold %v, want version 2 first", name, *h)
		}
	}
}

func TestLocalTicks(t *testing.T) {
	s, l, h := newToyLocal(t, 2)
	l.IdleAfter = time.Minute
	put(l, schemas.TopicMeasurements, "a", "work")
	must(t, l.Run(t.Context()))
	h.says(t, "a v1 1", "a v2 1", "a v3 1", "a v4 1") // a row with work is a thing to do

	s.ticks = nil
	put(l, schemas.TopicMeasurements, "a", "silent")
	put(l, schemas.TopicMeasurements, "b", "silent")
	must(t, l.Run(t.Context()))
	idle := func(after time.Duration) []string {
		s.ticks = nil
		l.Advance(l.Now().Add(after))
		must(t, l.Tick(t.Context(), true))
		s.ticks = slices.DeleteFunc(s.ticks, func(k string) bool { return strings.HasSuffix(k, fmt.Sprint(processors.TickWork)) })
		slices.Sort(s.ticks)
		return s.ticks
	}
	silent := func(keys ...string) []string {
		for i := range keys {
			keys[i] += fmt.Sprintf(" %v", processors.TickIdle)
		}
		return keys
	}
	if got := idle(59 * time.Second); len(got) != 0 {
		t.Errorf("too early: %v", got)
	}
	put(l, schemas.TopicMeasurements, "b", "silent")
	put(l, schemas.TopicIdentities, "a", "silent") // an answer is no sign of life
	must(t, l.Run(t.Context()))
	if got := idle(time.Second); !slices.Equal(got, silent("a")) {
		t.Errorf("a is silent, and %v were visited", got)
	}
	l.Crash("count", nil) // silence is counted from zero
	if got := idle(59 * time.Second); len(got) != 0 {
		t.Errorf("too early for a new owner: %v", got)
	}
	if got := idle(time.Second); !slices.Equal(got, silent("b")) {
		t.Errorf("b is silent, and %v were visited", got)
	}
	s.ticks = nil
	must(t, l.End(t.Context()))
	slices.Sort(s.ticks)
	if want := []string{fmt.Sprintf("a %v", processors.TickEnd), fmt.Sprintf("b %v", processors.TickEnd)}; !slices.Equal(s.ticks, want) {
		t.Errorf("at the end %v were visited, want %v", s.ticks, want)
	}
}

// A partition is held as long as some key asks for that (rule G14).
func TestG14LocalHolds(t *testing.T) {
	_, l, h := newToyLocal(t, 1)
	put(l, schemas.TopicMeasurements, "a", "hold")
	put(l, schemas.TopicMeasurements, "b", "x")
	must(t, l.Run(t.Context()))
	h.says(t, "a v1 1")
	put(l, schemas.TopicIdentities, "b", "hold")
	put(l, schemas.TopicIdentities, "a", "free")
	must(t, l.Run(t.Context()))
	h.says(t, "b v1 1", "a v2 2")
	put(l, schemas.TopicIdentities, "b", "free")
	must(t, l.Run(t.Context()))
	h.says(t, "b v2 2", "b v3 3")
}

func TestLocalKeepsOffsets(t *testing.T) {
	_, l, h := newToyLocal(t, 1)
	var offsets []int64
	l.Tap = func(topic string, _ int32, r *schemas.Raw) {
		if topic == schemas.TopicDeviceData {
			offsets = append(offsets, r.Offset)
		}
		h.tap(topic, 0, r)
	}
	l.Skip(schemas.TopicDeviceData, 0, 100)
	put(l, schemas.TopicDeviceData, "a", "x", "x")
	l.Skip(schemas.TopicDeviceData, 0, 200) // something is there: nothing is passed over
	must(t, l.Run(t.Context()))
	l.Drop()
	put(l, schemas.TopicDeviceData, "a", "x")
	must(t, l.Run(t.Context()))
	if !slices.Equal(offsets, []int64{100, 101, 102}) {
		t.Errorf("offsets %v", offsets)
	}
	h.says(t, "a v1 1", "a v2 2", "a v3 3")
	l.Rewind("copy") // what was dropped does not come again
	must(t, l.Run(t.Context()))
	h.says(t, "a v4 4")
}

func TestLocalGivesErrorsBack(t *testing.T) {
	s, l, h := newToyLocal(t, 1)
	put(l, schemas.TopicDeviceData, "a", "x")
	s.busy = 1
	var retry *processors.Retry
	if err := l.Run(t.Context()); !errors.As(err, &retry) || !strings.Contains(err.Error(), "stage copy") {
		t.Errorf("got %v", err)
	}
	must(t, l.Run(t.Context())) // the same records again
	h.says(t, "a v1 1")
	if err := l.Visit(t.Context(), "off", 0, processors.TickWork, -1); err != nil {
		t.Errorf("a stage that does not run: %v", err)
	}
}

// A disturbed river says the same as one that runs quietly: each key's highest
// count, whatever dies.
func TestRiverSettles(t *testing.T) {
	cuts := 0
	for seed := range uint64(40) {
		s, last := &toy{busy: 2}, map[string]int64{}
		high := map[string]schemas.Order{}
		r := topologytest.New(s.graph, 1<<(seed%3), seed)
		if seed == 0 {
			s.busy = 0 // nobody tries again
		}
		r.Tap = func(topic string, _ int32, raw *schemas.Raw) {
			w, err := schemas.Windows.Decode(raw.Value)
			if topic != schemas.TopicWindows || err != nil || !w.Order.Above(high[w.Device]) {
				return
			}
			if w.Order.Version > high[w.Device].Version+1 {
				t.Errorf("seed %d: version %d of %s comes behind %d", seed, w.Order.Version, w.Device, high[w.Device].Version)
			}
			high[w.Device], last[w.Device] = w.Order, w.N
		}
		for i := range 30 {
			put(r.Local, schemas.TopicDeviceData, []string{"a", "b", "c"}[i%3], []string{"x", "work"}[i%2])
			put(r.Local, schemas.TopicIdentities, []string{"a", "b", "c"}[i%3], "x")
			must(t, r.Stir(t.Context(), 3))
		}
		must(t, r.Settle(t.Context()))
		must(t, r.Tick(t.Context()))
		must(t, r.End(t.Context()))
		// The copying stage knows no redelivery, so a message may count twice.
		for _, key := range []string{"a", "b", "c"} {
			if n := last[key]; n < 20 || seed == 0 && n != 20 {
				t.Errorf("seed %d: %s counts %d", seed, key, n)
			}
		}
		cuts += r.Cuts()
	}
	if cuts == 0 {
		t.Error("nothing died")
	}
}

// What ends a callback for good is the error of its stage, not the end of the
// program: a replay is run by a person who reads it.
func TestLocalGivesFailuresBack(t *testing.T) {
	broken := errors.New("the row cannot be read")
	fails := func(ctx goka.Context, _ any) { ctx.Fail(broken) }
	l := topology.NewLocal(topology.Graph{{
		Name: "breaks", Inputs: []string{schemas.TopicDeviceData}, Table: "breaks-table",
		Keyed: &topology.Keyed{Inputs: []goka.ProcessCallback{fails}, Tick: fails},
	}}, 1)
	put(l, schemas.TopicDeviceData, "a", "x")
	if err := l.Run(t.Context()); !errors.Is(err, broken) || !strings.Contains(err.Error(), "stage breaks") {
		t.Errorf("got %v", err)
	}
}
