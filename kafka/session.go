package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"auscult/schemas"
)

// Limits of a session of a keyed stage.
const (
	// maxInFlight is how many messages of one input partition are delivered and
	// not finished.
	maxInFlight = 4_096
	// revokeGrace is how long the outputs under way may take when partitions are
	// taken away, exitGrace when the process ends; then they fail and their
	// messages come again elsewhere.
	revokeGrace = 5 * time.Second
	exitGrace   = time.Second
	// exitCommitTimeout bounds the last commit of a process that ends.
	exitCommitTimeout = time.Second
	heldAgain         = 50 * time.Millisecond // how often a held input is looked at
)

var (
	errSessionLost = errors.New("the broker has given our partitions away: no heartbeat was answered in time")
	errGivenUp     = errors.New("a partition has stopped without saying why")
)

// consumerGroup is the sarama.ConsumerGroup of one keyed stage. Consume stays
// in the group through rebalances (Goka would sleep 5 s between two calls) and
// returns when the processor must end.
type consumerGroup struct {
	run     *groupRun
	errs    chan error
	client  *kgo.Client
	opened  time.Time
	handler sarama.ConsumerGroupHandler
	failed  chan struct{} // closed by the first error
	once    sync.Once
	closing sync.Once

	mu    sync.Mutex
	metas map[topicPartition]CommitMeta // as fetched with the offsets of this session
}

func newConsumerGroup(run *groupRun) *consumerGroup {
	return &consumerGroup{run: run, errs: make(chan error), failed: make(chan struct{})}
}

// fail ends Consume. The first cause that any part has noted counts.
func (g *consumerGroup) fail(err error) {
	_ = g.run.note(err)
	g.once.Do(func() { close(g.failed) })
}

// Consume implements sarama.ConsumerGroup.
func (g *consumerGroup) Consume(ctx context.Context, topics []string, handler sarama.ConsumerGroupHandler) error {
	g.handler = handler
	if err := g.open(topics); err != nil {
		return g.run.note(err)
	}
	polling, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); g.poll(polling) }()
	select {
	case <-ctx.Done():
	case <-g.failed:
	}
	stop()
	<-done
	g.end(g.run.currentSession(), false)
	leave, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	// Not leaving in time costs the others the session timeout, nothing else.
	_ = g.client.LeaveGroupContext(leave)
	g.client.Close()
	g.client.AllowRebalance() // Close has polled what was left, which a goroutine of the second leave waits for
	if ctx.Err() != nil {
		return nil
	}
	_ = g.run.note(errGivenUp)
	return g.run.cause()
}

func (g *consumerGroup) open(topics []string) error {
	conn, names := g.run.cfg.Conn, make([]string, len(topics))
	for i, t := range topics {
		names[i] = conn.Topic(t)
	}
	options := append(conn.groupOptions(g.run.cfg.Stage),
		kgo.ConsumeTopics(names...),
		// A marker of a transaction has an offset too; without it the finished
		// prefix would end before the end of the topic.
		kgo.KeepControlRecords(),
		// A record that was polled in one session must not be taken for one of the
		// next, which begins at an earlier offset: the prefix would jump over what
		// lies between.
		kgo.BlockRebalanceOnPoll(),
		kgo.FetchMaxWait(intakeMaxWait),
		kgo.WithHooks(throttleHook{g.run.cfg.Stage, &g.run.cfg.Hooks}),
		kgo.OnPartitionsAssigned(g.assigned),
		kgo.OnPartitionsRevoked(func(context.Context, *kgo.Client, map[string][]int32) { g.end(g.run.currentSession(), false) }),
		kgo.OnPartitionsLost(func(context.Context, *kgo.Client, map[string][]int32) { g.end(g.run.currentSession(), true) }),
		kgo.OnOffsetsFetched(g.fetched),
		kgo.AdjustFetchOffsetsFn(g.place),
	)
	var err error
	g.opened = time.Now()
	g.client, err = conn.Client(options...)
	return err
}

// poll hands fetched records to their partitions. It never waits for one.
func (g *consumerGroup) poll(ctx context.Context) {
	for ctx.Err() == nil {
		fetches := g.client.PollFetches(ctx)
		fetches.EachError(func(topic string, partition int32, err error) {
			if err := g.fetchError(topic, partition, err); err != nil {
				g.fail(err)
			}
		})
		if s := g.run.currentSession(); s != nil {
			fetches.EachPartition(func(p kgo.FetchTopicPartition) {
				if c := s.claims[topicPartition{p.Topic, p.Partition}]; c != nil && len(p.Records) > 0 {
					c.gauge.saw(p.HighWatermark)
					c.in.add(p.Records)
				}
			})
		}
		g.client.AllowRebalance()
	}
}

// fetchError returns what the client cannot get over by itself.
func (g *consumerGroup) fetchError(topic string, partition int32, err error) error {
	var group *kgo.ErrGroupSession
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, kgo.ErrClientClosed):
		return nil
	case errors.As(err, &group):
		g.run.cfg.Hooks.retry(g.run.cfg.Stage, err, 0)
		name := g.run.cfg.Conn.Group(g.run.cfg.Stage)
		switch {
		case errors.Is(group.Err, kerr.FencedInstanceID):
			return stopf("joining group %s: another process runs with the same instance; give each its own: %w", name, group.Err)
		case mustStop(group.Err):
			return stopf("joining group %s: %w", name, group.Err)
		case errors.Is(group.Err, kerr.InconsistentGroupProtocol) && time.Since(g.opened) > groupErrorPatience:
			return stopf("joining group %s: another program is in this group; use another prefix or group: %w", name, group.Err)
		}
		return nil // the client joins again by itself
	case errors.Is(err, kerr.OffsetOutOfRange) && compacted(g.run.cfg.Conn.Bare(topic)):
		// The embedded broker's compaction moves the start past slow readers:
		// joining again places them there.
		g.client.ForceRebalance()
		return nil
	case errors.Is(err, kerr.OffsetOutOfRange):
		return stopf("reading %s/%d: records that were not read yet are gone, or the topic was made anew (rule G6); check its retention, then start again: %w", topic, partition, err)
	case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID):
		return stopf("reading %s/%d: the topic was deleted and made anew under a running process; its offsets mean nothing any more (rule G6): %w", topic, partition, err)
	case kerr.IsRetriable(err):
		g.run.cfg.Hooks.retry(g.run.cfg.Stage, err, 0)
		return nil
	}
	return fmt.Errorf("reading %s/%d: %w", topic, partition, err)
}

// assigned begins a session: the rows are read, then messages are taken. It may
// be called before we have been given the client that we have made.
func (g *consumerGroup) assigned(_ context.Context, client *kgo.Client, given map[string][]int32) {
	g.end(g.run.currentSession(), false)
	s, err := newGroupSession(g, client, given)
	if err != nil {
		g.fail(err)
		return
	}
	g.run.producer.begin()
	g.run.setSession(s)
	defer close(s.prepared)
	if err := g.handler.Setup(s); err != nil {
		if s.ctx.Err() == nil {
			g.fail(err)
		}
		return
	}
	g.run.cfg.Hooks.assigned(g.run.cfg.Stage, len(s.claims))
	s.start()
}

// fetched keeps the metadata of the committed offsets for place.
func (g *consumerGroup) fetched(_ context.Context, _ *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
	metas := map[topicPartition]CommitMeta{}
	for _, group := range resp.Groups {
		for _, t := range group.Topics {
			for _, p := range t.Partitions {
				if p.Metadata == nil {
					continue
				}
				if m, ok := ParseCommitMeta(*p.Metadata); ok {
					metas[topicPartition{t.Topic, p.Partition}] = m
				}
			}
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.metas = metas
	return nil
}

// end ends a session: ticks first, because Goka panics when a visit meets its
// end (rule G10), then messages, then what is under way, then the last commit.
func (g *consumerGroup) end(s *groupSession, lost bool) {
	if s == nil {
		return
	}
	s.ending.Do(func() {
		s.stopTicks()
		s.cancel()
		<-s.prepared
		s.stopTicks() // that began meanwhile
		s.tasks.Wait()
		g.cleanup(s, lost)
		if lost {
			g.fail(errSessionLost)
		} else {
			s.lastCommit()
		}
		g.run.leaveSession()
		for _, c := range s.claims {
			c.leave()
		}
		g.run.cfg.Hooks.revoked(g.run.cfg.Stage, len(s.claims))
	})
}

// cleanup lets Goka finish what is under way, for a while.
func (g *consumerGroup) cleanup(s *groupSession, lost bool) {
	grace := revokeGrace
	switch {
	case lost:
		grace = 0 // the next owner is at work
	case g.run.ctx.Err() != nil:
		grace = exitGrace
	}
	cut := time.AfterFunc(grace, func() { s.interrupted.Store(true); g.run.producer.fail(errSessionEnded) })
	err := g.handler.Cleanup(s)
	_ = g.run.producer.ticksOut(context.Background()) // it breaks at the latest after grace
	cut.Stop()
	g.run.producer.fail(errSessionEnded)
	if err != nil && !s.interrupted.Load() {
		g.fail(&stopError{err}) // what one of our parts caused is noted already
	}
}

// Errors implements sarama.ConsumerGroup; all errors are Consume's.
func (g *consumerGroup) Errors() <-chan error { return g.errs }

// Close implements sarama.ConsumerGroup.
func (g *consumerGroup) Close() error {
	g.closing.Do(func() { close(g.errs) })
	return nil
}

// Pause implements sarama.ConsumerGroup; Goka does not ask, nor below.
func (g *consumerGroup) Pause(map[string][]int32) {}

// Resume implements sarama.ConsumerGroup.
func (g *consumerGroup) Resume(map[string][]int32) {}

// PauseAll implements sarama.ConsumerGroup.
func (g *consumerGroup) PauseAll() {}

// ResumeAll implements sarama.ConsumerGroup.
func (g *consumerGroup) ResumeAll() {}

// groupSession is the sarama.ConsumerGroupSession of one keyed stage: what a
// member has between two rebalances.
type groupSession struct {
	group      *consumerGroup
	run        *groupRun
	client     *kgo.Client
	ctx        context.Context
	cancel     context.CancelFunc
	partitions []int32
	claims     map[topicPartition]*claim // by the broker's names
	member     string
	generation int32

	prepared    chan struct{} // closed: Setup has returned
	tasks       sync.WaitGroup
	ending      sync.Once
	interrupted atomic.Bool // a callback or output failed because the session ends

	tickMu     sync.Mutex
	tickStop   context.CancelFunc // no new visit
	tickCancel context.CancelFunc // of the visit under way
	tickDone   chan struct{}
	visiting   atomic.Bool
	quiet      atomic.Bool // no more ticks
	frontier   atomic.Pointer[frontiers]
	ends       chan endVisit
}

func newGroupSession(g *consumerGroup, client *kgo.Client, given map[string][]int32) (*groupSession, error) {
	member, generation := client.GroupMetadata()
	s := &groupSession{
		group: g, run: g.run, client: client, member: member, generation: generation,
		claims: make(map[topicPartition]*claim), prepared: make(chan struct{}), ends: make(chan endVisit),
	}
	s.ctx, s.cancel = context.WithCancel(g.run.ctx)
	for i, in := range g.run.cfg.Inputs {
		partitions := slices.Sorted(slices.Values(given[g.run.cfg.Conn.Topic(in.Topic)]))
		if i == 0 {
			s.partitions = partitions
		}
		if !slices.Equal(partitions, s.partitions) {
			s.cancel()
			return nil, stopf("group %s gives out its inputs in different ways: all its members must run the same release", g.run.cfg.Conn.Group(g.run.cfg.Stage))
		}
		for _, p := range partitions {
			c := newClaim(s, i, in.Topic, p)
			s.claims[topicPartition{c.in.topic, p}] = c
		}
	}
	return s, nil
}

// start takes messages and ticks, unless the session has ended meanwhile.
func (s *groupSession) start() {
	if s.ctx.Err() != nil {
		return
	}
	for _, c := range s.claims {
		s.tasks.Go(c.pump)
		s.tasks.Go(func() {
			// Goka gives a partition up by returning; why is in Cleanup's error, or
			// was noted by one of our parts.
			_ = s.group.handler.ConsumeClaim(s, c)
			if s.ctx.Err() == nil {
				s.group.once.Do(func() { close(s.group.failed) })
			}
		})
	}
	s.tasks.Go(s.commits)
	s.startTicks()
}

// claim returns the part of the session that has an input's partition.
func (s *groupSession) claim(topic string, partition int32) *claim {
	return s.claims[topicPartition{s.run.cfg.Conn.Topic(topic), partition}]
}

// began reports whether the positions of all partitions are known.
func (s *groupSession) began() bool {
	for _, c := range s.claims {
		if c.ledger.Load() == nil {
			return false
		}
	}
	return true
}

// Claims implements sarama.ConsumerGroupSession.
func (s *groupSession) Claims() map[string][]int32 {
	claims := make(map[string][]int32)
	for _, in := range s.run.cfg.Inputs {
		if len(s.partitions) > 0 {
			claims[in.Topic] = s.partitions
		}
	}
	return claims
}

// MemberID implements sarama.ConsumerGroupSession.
func (s *groupSession) MemberID() string { return s.member }

// GenerationID implements sarama.ConsumerGroupSession.
func (s *groupSession) GenerationID() int32 { return s.generation }

// MarkOffset implements sarama.ConsumerGroupSession: the message before offset
// is finished. It is committed once all before it are.
func (s *groupSession) MarkOffset(topic string, partition int32, offset int64, _ string) {
	if c := s.claim(topic, partition); c != nil {
		c.finish(offset - 1)
	}
}

// MarkMessage implements sarama.ConsumerGroupSession.
func (s *groupSession) MarkMessage(m *sarama.ConsumerMessage, metadata string) {
	s.MarkOffset(m.Topic, m.Partition, m.Offset+1, metadata)
}

// ResetOffset implements sarama.ConsumerGroupSession; nobody goes back.
func (s *groupSession) ResetOffset(string, int32, int64, string) {}

// Commit implements sarama.ConsumerGroupSession; the timer commits.
func (s *groupSession) Commit() {}

// Context implements sarama.ConsumerGroupSession.
func (s *groupSession) Context() context.Context { return s.ctx }

// commits commits on time.
func (s *groupSession) commits() {
	t := time.NewTicker(CommitInterval)
	defer t.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-t.C:
			s.commit(s.ctx)
		}
	}
}

// commit commits what has moved, or whose metadata has changed, since the last
// time. What fails is in the next one.
func (s *groupSession) commit(ctx context.Context) {
	points := make(map[topicPartition]commitPoint)
	for tp, c := range s.claims {
		if p, ok := c.point(); ok && p != c.committed {
			points[tp] = p
		}
	}
	if err := commitOffsets(ctx, s.client, points); err != nil {
		if ctx.Err() == nil {
			s.run.cfg.Hooks.retry(s.run.cfg.Stage, err, CommitInterval)
		}
		return
	}
	for tp, p := range points {
		s.claims[tp].committed = p
	}
}

func (s *groupSession) lastCommit() {
	timeout := lastCommitTimeout
	if s.run.ctx.Err() != nil {
		timeout = exitCommitTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	s.commit(ctx)
}

// owes returns what keeps a partition from being drained: rows that a tick has
// still to visit, and visits under way.
func (s *groupSession) owes(partition int32) int {
	n := 0
	if s.visiting.Load() {
		n++
	}
	if store := s.run.store(partition); store != nil {
		n += store.counts().work
	}
	return n
}

// parked returns how many rows of a partition hold values that wait.
func (s *groupSession) parked(partition int32) int {
	store := s.run.store(partition)
	if store == nil {
		return 0
	}
	return store.counts().parked
}

// place decides where each partition begins and checks that its offsets belong
// to the topic that is there (rule G6).
func (g *consumerGroup) place(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	s := g.run.currentSession()
	if s == nil {
		return nil, errors.New("the session ended while its offsets were fetched")
	}
	err := s.placeAll(ctx, offsets)
	if err != nil {
		if ctx.Err() == nil && s.ctx.Err() == nil {
			g.fail(err)
		}
		return nil, err
	}
	return offsets, nil
}

func (s *groupSession) placeAll(ctx context.Context, offsets map[string]map[int32]kgo.Offset) error {
	for topic, partitions := range offsets {
		ends, err := topicEnds(ctx, s.run.cfg.Conn, topic)
		if err != nil {
			return err
		}
		for partition, fetched := range partitions {
			c := s.claims[topicPartition{topic, partition}]
			if c == nil {
				continue
			}
			at, err := c.place(ctx, fetched.EpochOffset().Offset, ends)
			if err != nil {
				return err
			}
			if at != fetched.EpochOffset().Offset {
				partitions[partition] = kgo.NewOffset().At(at)
			}
		}
	}
	return nil
}

// gapLetter writes the dead letter that names records which are gone.
func (s *groupSession) gapLetter(ctx context.Context, c *claim, from, to int64, what string) error {
	d := schemas.DeadLetterFor(s.run.cfg.Stage, schemas.ReasonMessage, what, "replay the range from the raw zone",
		schemas.Raw{Topic: c.topic, Partition: c.partition, Offset: from, Timestamp: time.Now()})
	o := outbox{conn: s.run.cfg.Conn, stage: s.run.cfg.Stage, hooks: &s.run.cfg.Hooks, oversize: func(out schemas.Out, _ string) schemas.Out { return out }}
	defer o.close()
	s.run.cfg.Hooks.deadLetter(s.run.cfg.Stage, d.Reason)
	heart := newHeart(s.run.cfg.Conn.cfg.SessionTimeout, func() {})
	return o.send(ctx, heart, []schemas.Out{schemas.DeadLetters.Out(fmt.Sprintf("%s/%d", c.topic, c.partition), &d)})
}
