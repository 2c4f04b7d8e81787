package kafka

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
)

// claim is the sarama.ConsumerGroupClaim of one partition of one input: what
// was fetched of it, what is in work, and what is finished.
type claim struct {
	session   *groupSession
	input     int    // which of the stage's inputs
	topic     string // bare name
	partition int32
	in        *intake
	gauge     *gauge
	messages  chan *sarama.ConsumerMessage
	ledger    atomic.Pointer[ledger] // nil until the position is known
	committed commitPoint            // the commit timer's, and the last commit's after it
	message   atomic.Int64           // timestamp of the last delivered record, unix ms

	mu         sync.Mutex
	generation string          // of the topic
	holders    map[string]bool // keys that ask for no more of this input
	moved      chan struct{}   // closed when the prefix moves; nil when nobody waits
	mark       string          // rows were visited with trigger end
	markAt     int64           // when the prefix was this
}

func newClaim(s *groupSession, input int, topic string, partition int32) *claim {
	return &claim{
		session: s, input: input, topic: topic, partition: partition,
		in:       newIntake(s.client, s.run.cfg.Conn.Topic(topic), partition),
		gauge:    s.run.cfg.Stats.gauge(s.run.cfg.Stage, topic, partition),
		messages: make(chan *sarama.ConsumerMessage),
		holders:  make(map[string]bool),
	}
}

// Topic implements sarama.ConsumerGroupClaim.
func (c *claim) Topic() string { return c.topic }

// Partition implements sarama.ConsumerGroupClaim.
func (c *claim) Partition() int32 { return c.partition }

// InitialOffset implements sarama.ConsumerGroupClaim.
func (c *claim) InitialOffset() int64 { return sarama.OffsetNewest } // Goka only prints it

// HighWaterMarkOffset implements sarama.ConsumerGroupClaim.
func (c *claim) HighWaterMarkOffset() int64 { return c.gauge.end.Load() }

// Messages implements sarama.ConsumerGroupClaim.
func (c *claim) Messages() <-chan *sarama.ConsumerMessage { return c.messages }

// place decides where the partition begins. committed is below zero when the
// group has no offset of it.
func (c *claim) place(ctx context.Context, committed int64, e ends) (int64, error) {
	start, end := e.start[c.partition], e.end[c.partition]
	tp := topicPartition{c.in.topic, c.partition}
	c.session.group.mu.Lock()
	meta, known := c.session.group.metas[tp]
	c.session.group.mu.Unlock()
	if known && meta.Generation != "" && meta.Generation != e.generation {
		return 0, stopf("%s/%d: the committed offset belongs to generation %s and the topic is generation %s, another topic of that name (rule G6): use another group or prefix, or delete the group's offsets", tp.topic, tp.partition, meta.Generation, e.generation)
	}
	applied := c.session.run.store(c.partition).applied(c.input)
	if applied > end {
		return 0, stopf("%s/%d ends at %d and rows have applied it up to %d, so it is another topic or the broker has lost records (rule G6): find out which, then begin anew with another prefix", tp.topic, tp.partition, end, applied)
	}
	at := committed
	if at < 0 && applied > 0 {
		at = min(applied, start) // the group's offsets have expired; the rows know how far it was
	}
	switch {
	case at < 0:
		at = start
	case at > end:
		return 0, stopf("%s/%d: the committed offset %d lies beyond the end %d, so it is of another topic or the broker has lost records (rule G6): find out which, then use another group or delete its offsets", tp.topic, tp.partition, committed, end)
	case at < start && compacted(c.topic):
		at = start // what is gone was replaced by later records of its keys
	case at < start:
		if err := c.gap(ctx, at, start); err != nil {
			return 0, err
		}
		at = start
	}
	c.mu.Lock()
	c.generation = e.generation
	c.mu.Unlock()
	if known {
		c.committed = commitPoint{committed, meta}
	} else {
		c.committed = commitPoint{offset: -1}
	}
	c.gauge.begin(at, end)
	c.ledger.Store(newLedger(at))
	return at, nil
}

// gap is about records that retention removed before they were read.
func (c *claim) gap(ctx context.Context, from, to int64) error {
	what := fmt.Sprintf("offsets %d to %d of %s/%d were removed before %s had read them", from, to-1, c.topic, c.partition, c.session.run.cfg.Stage)
	if !c.session.run.cfg.AcceptGap {
		return stopf("%s (rule G6): run once with --accept-gap to go on at %d; the range is then named in a dead letter", what, to)
	}
	return c.session.gapLetter(ctx, c, from, to, what)
}

// pump hands messages to Goka until the session ends.
func (c *claim) pump() {
	defer close(c.messages)
	for {
		r := c.next()
		if r == nil {
			return
		}
		l := c.ledger.Load()
		l.delivered(r.Offset)
		if r.Attrs.IsControl() {
			c.finish(r.Offset)
			continue
		}
		c.message.Store(r.Timestamp.UnixMilli())
		select {
		case c.messages <- messageOf(r, c.topic):
		case <-c.session.ctx.Done():
			return
		}
	}
}

// next returns the next record that may be delivered, nil at the end.
func (c *claim) next() *kgo.Record {
	var again <-chan time.Time
	for {
		if c.session.ctx.Err() != nil {
			return nil
		}
		held := c.held()
		if !held && c.ledger.Load() != nil && c.ledger.Load().inFlight() < maxInFlight {
			if r := c.in.take(); r != nil {
				return r
			}
		}
		if held {
			again = time.After(heldAgain)
		}
		select {
		case <-c.in.wake:
		case <-again:
		case <-c.session.ctx.Done():
			return nil
		}
	}
}

// hold stops the input, or lets it go on, for one key.
func (c *claim) hold(key string, on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if on {
		c.holders[key] = true
		return
	}
	delete(c.holders, key)
	if len(c.holders) == 0 {
		c.in.signal()
	}
}

func (c *claim) held() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.holders) > 0
}

// finish says that a message and all that it caused is acknowledged.
func (c *claim) finish(offset int64) {
	l := c.ledger.Load()
	if l == nil {
		return
	}
	prefix, moved := l.finish(offset)
	c.gauge.moved(prefix, 1, time.UnixMilli(c.message.Load()))
	c.in.signal()
	if !moved {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.moved != nil {
		close(c.moved)
		c.moved = nil
	}
}

// finished returns the first offset that is not known to be finished, -1 while
// the position is not known.
func (c *claim) finished() int64 {
	l := c.ledger.Load()
	if l == nil {
		return -1
	}
	return l.prefix()
}

// wait waits until the message at offset and all before it are finished.
func (c *claim) wait(ctx context.Context, offset int64) error {
	for {
		c.mu.Lock()
		if c.moved == nil {
			c.moved = make(chan struct{})
		}
		moved := c.moved
		c.mu.Unlock()
		if c.finished() > offset {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return errSessionEnded
		}
	}
}

// visited notes that all rows were visited with trigger end. The note counts
// while the offset stands.
func (c *claim) visited(mark string, at int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mark, c.markAt = mark, at
}

// marked reports whether the note of visited stands for mark and offset.
func (c *claim) marked(mark string, at int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mark == mark && c.markAt == at
}

// point returns what to commit now. The offset is taken first: what is parked
// or owed because of anything below it is then counted.
func (c *claim) point() (commitPoint, bool) {
	at := c.finished()
	if at < 0 {
		return commitPoint{}, false
	}
	p := commitPoint{offset: at}
	p.meta.Parked, p.meta.Owes = c.session.parked(c.partition), c.session.owes(c.partition)
	c.mu.Lock()
	defer c.mu.Unlock()
	p.meta.Generation = c.generation
	if c.mark != "" && c.markAt == at {
		p.meta.End = c.mark
	}
	return p, true
}

func (c *claim) position() GroupPartition {
	p := GroupPartition{Topic: c.topic, Partition: c.partition, Finished: c.finished(), End: c.gauge.end.Load(), Buffered: c.in.buffered(), Held: c.held()}
	if l := c.ledger.Load(); l != nil {
		p.InFlight = l.inFlight()
	}
	return p
}

func (c *claim) leave() {
	c.in.close()
	c.gauge.leave()
}
