package kafka

import (
	"context"
	"fmt"
	"time"
)

// endVisit asks the ticks to visit all rows with trigger end.
type endVisit struct {
	mark string
	done chan error
}

// startTicks begins to visit due rows, once at once: rows that owe the outputs
// of a tick of an earlier owner do not wait.
func (s *groupSession) startTicks() {
	ctx, stop := context.WithCancel(s.ctx)
	visits, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	s.tickMu.Lock()
	s.tickStop, s.tickCancel, s.tickDone = stop, cancel, done
	s.tickMu.Unlock()
	if s.run.cfg.IdleAfter > 0 {
		s.tasks.Go(func() { s.watch(ctx) })
	}
	go func() {
		defer close(done)
		s.tick(ctx, visits)
	}()
}

// quietGrace is how long a visit may take to pass when the ticks end. It does
// not unless a callback waits for the broker.
const quietGrace = 300 * time.Millisecond

// stopTicks ends the ticks and waits until no visit is under way. A visit is
// let through without calling the stage rather than cancelled, because Goka
// reads its count of rows while those of a cancelled visit still add to it.
func (s *groupSession) stopTicks() {
	s.tickMu.Lock()
	stop, cancel, done := s.tickStop, s.tickCancel, s.tickDone
	s.tickMu.Unlock()
	s.quiet.Store(true)
	if stop == nil {
		return
	}
	stop()
	cut := time.AfterFunc(quietGrace, cancel)
	<-done
	cut.Stop()
	cancel()
}

// tick visits due rows until ctx ends. All visits of a session run here, one
// after the other: two at once would take each other's keys when they end
// early.
func (s *groupSession) tick(ctx, visits context.Context) {
	t := time.NewTicker(tickInterval)
	defer t.Stop()
	for {
		_ = s.visit(visits, tickWork, s.partitions)
		_ = s.visit(visits, tickIdle, s.partitions)
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case end := <-s.ends:
			end.done <- s.visitEnd(visits, end.mark)
		}
	}
}

// visit has the tick callback called for the rows of some partitions that are
// due. It returns when the table records and outputs of all of them are
// acknowledged.
func (s *groupSession) visit(ctx context.Context, kind tickKind, partitions []int32) error {
	began, visited := time.Now(), int64(0)
	defer s.visiting.Store(false)
	// One partition after the other: when one fails, Goka cancels the visits of
	// all.
	for _, p := range partitions {
		if s.quiet.Load() {
			return errSessionEnded
		}
		if !s.run.store(p).arm(kind, s.cutoff(p)) {
			continue
		}
		s.visiting.Store(true)
		n, err := s.run.processor.VisitAllWithStats(ctx, tickName, s.run.cfg.meta(kind))
		if err != nil {
			return fmt.Errorf("visiting rows: %w", err)
		}
		visited += n
	}
	if visited == 0 {
		return nil
	}
	err := s.run.producer.ticksOut(ctx)
	if s.run.cfg.Ticked != nil {
		s.run.cfg.Ticked(s.run.cfg.Stage, visited, time.Since(began))
	}
	if s.quiet.Load() { // some rows may have been passed over
		return errSessionEnded
	}
	return err
}

func (c *GroupConfig) meta(kind tickKind) any {
	switch kind {
	case tickIdle:
		return c.TickIdle
	case tickEnd:
		return c.TickEnd
	}
	return c.TickWork
}

// cutoff returns the moment at or before which a silent row of the partition
// must have been touched to be due; the zero time lets none be.
func (s *groupSession) cutoff(partition int32) time.Time {
	f := s.frontier.Load()
	if f == nil {
		return time.Time{}
	}
	return f.cutoff(partition, s.run.cfg.IdleAfter)
}

// visitEnd visits all rows of the partitions that have moved since they were
// visited for mark, with trigger end, and notes it with their offsets.
func (s *groupSession) visitEnd(ctx context.Context, mark string) error {
	at, partitions := make(map[*claim]int64), []int32{}
	for _, p := range s.partitions {
		stands := true
		for _, c := range s.claims {
			if c.partition == p {
				at[c] = c.finished()
				stands = stands && c.marked(mark, at[c])
			}
		}
		if !stands {
			partitions = append(partitions, p)
		}
	}
	if err := s.visit(ctx, tickEnd, partitions); err != nil {
		return err
	}
	for c, offset := range at {
		c.visited(mark, offset)
	}
	return nil
}

// VisitEnd has the rows that this process owns visited with the meta TickEnd,
// waits until what that caused is acknowledged, and lets mark be committed with
// the offsets as they stand (rule G15). It is to be called again until the
// broker shows mark for all partitions: they may have other owners by then, and
// where the mark stands it does nothing.
func (g *Group) VisitEnd(ctx context.Context, mark string) error {
	s := g.session()
	if s == nil || !s.began() {
		return nil
	}
	end := endVisit{mark: mark, done: make(chan error, 1)}
	select {
	case s.ends <- end:
	case <-s.ctx.Done():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-end.done: // an error is that of a session that ends
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
