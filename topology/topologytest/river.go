package topologytest

import (
	"context"
	"errors"
	"math/rand/v2"

	"auscult/processors"
	"auscult/topology"
)

// Limits of the disturbance.
const (
	maxCuts    = 200 // stages that die in one River
	oneDiesOf  = 6   // steps, one at which the stage dies
	maxAtOnce  = 5   // records given to a stage in one disturbed step
	keepAtMost = 3   // outputs that are out when a stage dies after its row
)

// River is a whole river in memory that can be disturbed. Undisturbed it does
// everything in the graph's order; disturbed, in a random order, committing now
// and then, with stages dying at any place.
type River struct {
	*topology.Local
	// Calm lets no stage die: a new process counts silence from zero (G9), which
	// a test of silence cannot have at any moment.
	Calm bool
	// Trouble, when set, hears of the errors after which a stage is given the
	// same records again.
	Trouble func(error)

	anew       func() topology.Graph
	running    topology.Graph
	partitions int32
	rng        *rand.Rand
	cuts       int
}

// New returns a river of the graph that anew builds; a stage that dies is
// replaced by one that anew builds then, with nothing in its memory. seed 0
// means undisturbed.
func New(anew func() topology.Graph, partitions int32, seed uint64) *River {
	g := anew()
	r := &River{Local: topology.NewLocal(g, partitions), anew: anew, partitions: partitions}
	for _, s := range g {
		if s.Runs() {
			r.running = append(r.running, s)
		}
	}
	if seed != 0 {
		r.rng = rand.New(rand.NewPCG(seed, seed))
	}
	return r
}

// Settle runs until nothing is pending.
func (r *River) Settle(ctx context.Context) error {
	if r.rng == nil {
		return r.Run(ctx)
	}
	for {
		work := r.Pending()
		if len(work) == 0 {
			return nil
		}
		if err := r.step(ctx, work[r.rng.IntN(len(work))]); err != nil {
			return err
		}
	}
}

// Stir does at most n steps of what Settle would do: what is appended next meets
// a river that has not caught up.
func (r *River) Stir(ctx context.Context, n int) error {
	if r.rng == nil {
		return nil
	}
	for range r.rng.IntN(n + 1) {
		work := r.Pending()
		if len(work) == 0 {
			return nil
		}
		if err := r.step(ctx, work[r.rng.IntN(len(work))]); err != nil {
			return err
		}
	}
	return nil
}

// step does one thing to w, which may be its death.
func (r *River) step(ctx context.Context, w topology.Work) error {
	n, keep := 1+r.rng.IntN(maxAtOnce), r.rng.IntN(keepAtMost)
	if r.dies() {
		if err := r.patient(r.DoCut(ctx, w, keep)); err != nil {
			return err
		}
		r.die(w.Stage)
		return nil
	}
	if err := r.patient(r.Do(ctx, w, n)); err != nil {
		return err
	}
	if r.rng.IntN(2) == 0 {
		r.Commit(w.Stage)
	}
	return nil
}

func (r *River) dies() bool {
	return r.rng.IntN(oneDiesOf) == 0 && !r.Calm && r.cuts < maxCuts
}

func (r *River) die(stage string) {
	r.cuts++
	s, _ := r.anew().Stage(stage)
	r.Crash(stage, s)
}

// Restart ends the process of a stage in good order, all committed, and begins
// another one.
func (r *River) Restart(stage string) {
	r.Commit(stage)
	s, _ := r.anew().Stage(stage)
	r.Crash(stage, s)
}

// patient takes an error that time cures for nothing done: the same records come
// again.
func (r *River) patient(err error) error {
	var retry *processors.Retry
	if errors.As(err, &retry) {
		if r.Trouble != nil {
			r.Trouble(err)
		}
		return nil
	}
	return err
}

// Tick gives all stages the ticks that are due, Idle rows too, and settles.
func (r *River) Tick(ctx context.Context) error {
	if r.rng == nil {
		return r.Local.Tick(ctx, true)
	}
	if err := r.Settle(ctx); err != nil {
		return err
	}
	for _, s := range r.running {
		// Idle rows first: who dies begins to count silence anew.
		for p := range r.partitions - 1 {
			if err := r.patient(r.Visit(ctx, s.Name, p, processors.TickIdle, -1)); err != nil {
				return err
			}
		}
		if err := r.visit(ctx, s.Name, r.partitions-1, processors.TickIdle); err != nil {
			return err
		}
		for p := range r.partitions {
			if err := r.visit(ctx, s.Name, p, processors.TickWork); err != nil {
				return err
			}
		}
	}
	return r.Settle(ctx)
}

// End drains. A stage that dies at its end is told once more that the run has
// ended, as a new owner would be (G15).
func (r *River) End(ctx context.Context) error {
	if r.rng == nil {
		return r.Local.End(ctx)
	}
	for _, s := range r.running {
		if err := r.Settle(ctx); err != nil {
			return err
		}
		if s.Keyed == nil {
			continue
		}
		for p := range r.partitions {
			if err := r.visit(ctx, s.Name, p, processors.TickEnd); err != nil {
				return err
			}
		}
	}
	return r.Settle(ctx)
}

// visit gives one tick, of which the stage may die; then its next owner gets it.
func (r *River) visit(ctx context.Context, stage string, p int32, kind processors.TickKind) error {
	if r.dies() {
		if err := r.patient(r.Visit(ctx, stage, p, kind, r.rng.IntN(keepAtMost))); err != nil {
			return err
		}
		r.die(stage)
	}
	return r.patient(r.Visit(ctx, stage, p, kind, -1))
}

// Cuts returns how many stages have died.
func (r *River) Cuts() int { return r.cuts }
