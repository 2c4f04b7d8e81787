package topology

import (
	"context"
	"fmt"
	"sync"
	"time"

	"auscult/kafka"
	"auscult/processors"
	"auscult/schemas"
	"auscult/state"
)

// Runtime is what a graph needs to run on a broker.
type Runtime struct {
	Source *kafka.Conn // where devicedata is
	River  *kafka.Conn // where everything else is; may be the same broker
	Start  kafka.Start // where a new group begins to read devicedata
	// Until, when set, ends the reading of devicedata at these offsets (drained).
	Until map[int32]int64
	// IdleAfter is how long a device must say nothing to be silent.
	IdleAfter time.Duration
	// AcceptGap lets stages pass over records that retention has removed before
	// they were read.
	AcceptGap bool
	Hooks     kafka.Hooks
	Stats     *kafka.Stats
	Ticked    func(stage string, rows int64, took time.Duration)
}

// conn returns the broker that holds a topic.
func (r *Runtime) conn(topic string) *kafka.Conn {
	if topic == schemas.TopicDeviceData {
		return r.Source
	}
	return r.River
}

// Running is a graph at work in this process.
type Running struct {
	graph  Graph
	groups map[string]*kafka.Group
	wg     sync.WaitGroup
	cancel context.CancelFunc

	mu  sync.Mutex
	err error // of the first stage that stopped
}

// Start starts every stage of part that runs. whole is the graph that part was
// taken from: other processes may run the rest.
func Start(ctx context.Context, whole, part Graph, rt Runtime) (*Running, error) {
	ctx, cancel := context.WithCancel(ctx)
	r := &Running{graph: part, groups: map[string]*kafka.Group{}, cancel: cancel}
	runs := map[string]func(context.Context) error{}
	for i := range part {
		s := &part[i]
		switch {
		case s.Keyed != nil:
			g, err := kafka.NewGroup(rt.group(whole, s))
			if err != nil {
				cancel()
				return nil, err
			}
			r.groups[s.Name], runs[s.Name] = g, g.Run
		case s.Batch != nil:
			cfg := rt.batches(s)
			runs[s.Name] = func(ctx context.Context) error { return kafka.RunBatches(ctx, cfg) }
		}
	}
	for name, run := range runs {
		r.wg.Go(func() { r.stopped(name, run(ctx)) })
	}
	return r, nil
}

// stopped notes the end of a stage. One stage that must stop stops all of this
// process: a river with a hole in it only looks alive.
func (r *Running) stopped(stage string, err error) {
	if err == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = fmt.Errorf("stage %s: %w", stage, err)
	}
	r.cancel()
}

// Wait waits until every stage has ended and returns why, nil when they were
// told to.
func (r *Running) Wait() error {
	r.wg.Wait()
	r.cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Stop tells every stage to end.
func (r *Running) Stop() { r.cancel() }

// Group returns the running keyed stage of that name, nil when this process has
// none.
func (r *Running) Group(stage string) *kafka.Group { return r.groups[stage] }

// How many messages a file of the raw zone holds at most, and how long it waits
// for them.
const (
	rawBatch = 5000
	rawWait  = 2 * time.Second
)

func (rt *Runtime) batches(s *Stage) kafka.BatchesConfig {
	cfg := kafka.BatchesConfig{
		Stage: s.Name, In: rt.conn(s.Inputs[0]), Out: rt.River, Topics: s.Inputs, Do: s.Batch,
		Restore: s.Restore, AcceptGap: rt.AcceptGap, Hooks: rt.Hooks, Stats: rt.Stats,
	}
	if s.Inputs[0] == schemas.TopicDeviceData {
		cfg.Start, cfg.Until = rt.Start, rt.Until
	}
	if s.Name == LoadRaw { // each batch is a file
		cfg.MaxBatch, cfg.MaxWait = rawBatch, rawWait
	}
	return cfg
}

func (rt *Runtime) group(whole Graph, s *Stage) kafka.GroupConfig {
	cfg := kafka.GroupConfig{
		Stage: s.Name, Conn: rt.River, Outputs: s.Outputs,
		Tick: s.Keyed.Tick, TickWork: processors.TickWork, TickIdle: processors.TickIdle, TickEnd: processors.TickEnd,
		RowFlags: state.RowFlags, RowNext: rowNext,
		Hooks: rt.Hooks, Stats: rt.Stats, Ticked: rt.Ticked,
	}
	for i, t := range s.Inputs {
		cfg.Inputs = append(cfg.Inputs, kafka.GroupInput{Topic: t, Do: s.Keyed.Inputs[i]})
	}
	if s.Name == Observe { // silence is a device's; a patient has none of his own
		cfg.IdleAfter = rt.IdleAfter
		cfg.Upstream = rt.upstream(whole, s)
	}
	return cfg
}

// upstream returns the groups that must have read all of their inputs before a
// device can be called silent (G9), in the river's order.
func (rt *Runtime) upstream(g Graph, s *Stage) []kafka.Upstream {
	var all []kafka.Upstream
	seen := map[string]bool{s.Name: true}
	var visit func(*Stage)
	visit = func(s *Stage) {
		for _, up := range g.Upstream(s) {
			if seen[up.Name] {
				continue
			}
			seen[up.Name] = true
			visit(up)
			all = append(all, kafka.Upstream{Conn: rt.conn(up.Inputs[0]), Stage: up.Name, Topics: up.Inputs})
		}
	}
	visit(s)
	return all
}

// rowNext reads how far a row has applied one input (G6).
func rowNext(row []byte, input int) int64 {
	applied, err := state.RowApplied(row)
	if err != nil {
		return 0 // the callback will say what is wrong with the row
	}
	return applied[input].Next
}
