package kafka

import (
	"context"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Silence is counted where it can be known (rule G9). A busy river is never at
// its end at the moment one looks, so we look for a moment T in the past up to
// which everything has arrived: all that was in an input at T is finished by
// its group now. T goes down the river: what the first group had finished of
// the source at T is in the second one's input by the time this is seen.
const (
	// frontierLag is how far T may lie behind before silence is counted from
	// zero again.
	frontierLag = 15 * time.Second
	// frontierSamples is how many looks are remembered.
	frontierSamples = 30
	watchTimeout    = 5 * time.Second
)

// look is where an input ended, and up to which moment all was in it then.
type look struct {
	ends  map[topicPartition]int64
	until time.Time
}

// looks are the looks at the inputs of one group, oldest first.
type looks []look

func (l *looks) add(next look) {
	if len(*l) == frontierSamples {
		*l = append((*l)[:0], (*l)[1:]...)
	}
	*l = append(*l, next)
}

// until returns up to which moment everything is finished, given what is.
// Partitions that are left out of done are taken to be finished.
func (l looks) until(done map[topicPartition]int64) time.Time {
	for i := len(l) - 1; i >= 0; i-- {
		reached := true
		for tp, at := range done {
			reached = reached && at >= l[i].ends[tp]
		}
		if reached {
			return l[i].until
		}
	}
	return time.Time{}
}

// frontiers says, for each partition of a stage, up to which moment all has
// arrived and since when that has been so without much lag.
type frontiers struct {
	until, since map[int32]time.Time
}

// cutoff returns the moment at or before which a key must have said its last
// word to be silent for d.
func (f *frontiers) cutoff(partition int32, d time.Duration) time.Time {
	until, since := f.until[partition], f.since[partition]
	if since.IsZero() || until.Sub(since) < d {
		return time.Time{}
	}
	return until.Add(-d)
}

// next returns the frontiers after a look at now.
func (f *frontiers) next(now time.Time, until map[int32]time.Time) *frontiers {
	n := &frontiers{until: until, since: make(map[int32]time.Time, len(until))}
	for p, t := range until {
		if now.Sub(t) > frontierLag {
			continue
		}
		n.since[p] = now
		if f != nil && !f.since[p].IsZero() {
			n.since[p] = f.since[p]
		}
	}
	return n
}

// watch keeps the frontiers until ctx ends.
func (s *groupSession) watch(ctx context.Context) {
	upstream, own := make([]looks, len(s.run.cfg.Upstream)), looks{}
	t := time.NewTicker(tickInterval)
	defer t.Stop()
	for {
		until, err := s.look(ctx, upstream, &own)
		if err != nil {
			until = make(map[int32]time.Time) // not known: as if far behind
			for _, p := range s.partitions {
				until[p] = time.Time{}
			}
		}
		s.frontier.Store(s.frontier.Load().next(time.Now(), until))
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// look looks once, down the river.
func (s *groupSession) look(ctx context.Context, upstream []looks, own *looks) (map[int32]time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	until := time.Now()
	for i, u := range s.run.cfg.Upstream {
		ends, err := inputEnds(ctx, u.Conn, u.Topics)
		if err != nil {
			return nil, err
		}
		committed, err := committedOffsets(ctx, u.Conn, u.Stage, ends)
		if err != nil {
			return nil, err
		}
		upstream[i].add(look{ends, until})
		until = upstream[i].until(committed)
	}
	ends, err := inputEnds(ctx, s.run.cfg.Conn, s.run.cfg.topics())
	if err != nil {
		return nil, err
	}
	own.add(look{ends, until})
	moments := make(map[int32]time.Time, len(s.partitions))
	for _, p := range s.partitions {
		done := make(map[topicPartition]int64)
		for tp, c := range s.claims {
			c.gauge.saw(ends[tp])
			if c.partition == p {
				done[tp] = c.finished()
			}
		}
		moments[p] = own.until(done)
	}
	return moments, nil
}

// inputEnds returns where topics end.
func inputEnds(ctx context.Context, conn *Conn, topics []string) (map[topicPartition]int64, error) {
	all := make(map[topicPartition]int64)
	for _, topic := range topics {
		name := conn.Topic(topic)
		ends, err := askOffsets(ctx, conn, name, func(ctx context.Context) (kadm.ListedOffsets, error) {
			return conn.Admin().ListEndOffsets(ctx, name)
		})
		if err != nil {
			return nil, err
		}
		for p, end := range ends {
			all[topicPartition{name, p}] = end
		}
	}
	return all, nil
}

// committedOffsets returns what a stage's group has committed of the
// partitions in of; 0 where it has committed nothing.
func committedOffsets(ctx context.Context, conn *Conn, stage string, of map[topicPartition]int64) (map[topicPartition]int64, error) {
	answer, err := conn.Admin().FetchOffsets(ctx, conn.Group(stage))
	if err != nil {
		return nil, err
	}
	committed := maps.Clone(of)
	for tp := range committed {
		committed[tp] = 0
		if o, ok := answer.Lookup(tp.topic, tp.partition); ok && o.Err == nil {
			committed[tp] = max(o.At, 0)
		}
	}
	return committed, nil
}
