package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"auscult/schemas"
)

// Defaults and limits of RunBatches.
const (
	DefaultMaxBatch = 500
	// buffersPerBatch is how many batches a partition buffers before it is read
	// no further.
	buffersPerBatch = 4
	// maxBufferedShareBytes stops reading a partition of long records earlier.
	maxBufferedShareBytes = 8 << 20
	tickInterval          = time.Second
	// stopGrace is how long a batch may go on when its partition is taken away
	// or the process ends; then its context is cancelled.
	stopGrace = time.Second
	// lastCommitTimeout bounds the commit of a session that ends.
	lastCommitTimeout = 2 * time.Second
	leaveTimeout      = time.Second
	// groupErrorPatience is how long a group that cannot be joined is tried
	// when the reason does not look like a broker that is away.
	groupErrorPatience = time.Minute
)

// BatchStage is a stage that works on consecutive records of one partition.
//
// Process returns what is to be written because of the records; they count as
// finished when all of it is acknowledged. ctx ends when the partition is
// taken away or the broker has gone silent. An error with a method RetryAfter
// means the same batch again after that time, any other stops the stage: bad
// input is a dead letter among the outputs, never an error.
//
// What a stage also has of the methods Assigned, Revoked, Restore, Tick and
// Status is used. Calls for one share never overlap, those for several do.
type BatchStage interface {
	Process(ctx context.Context, b schemas.Batch) ([]schemas.Out, error)
}

// The optional methods of a stage.
type (
	// assigner is asked for the position when it lives elsewhere; below zero
	// stands for the committed offset.
	assigner interface {
		Assigned(ctx context.Context, s *schemas.Share) (resume int64, err error)
	}
	// revoker is told when a share is gone and no call for it runs.
	revoker interface{ Revoked(s *schemas.Share) }
	// restorer reads the partition of a compacted topic of the same number
	// before the first batch.
	restorer interface {
		Restore(ctx context.Context, s *schemas.Share, r schemas.Raw) error
	}
	// ticker is called once a second between batches.
	ticker interface {
		Tick(ctx context.Context, s *schemas.Share, now time.Time) ([]schemas.Out, error)
	}
	// reporter says what the owner of a share must tell the others with each
	// commit (rule G15).
	reporter interface {
		Status(s *schemas.Share) (parked, owes int)
	}
	// retrier is an error that time may cure.
	retrier interface {
		error
		RetryAfter() time.Duration
	}
)

// BatchesConfig says which stage RunBatches drives, and on what.
type BatchesConfig struct {
	Stage  string
	In     *Conn // where it reads: source or river
	Out    *Conn // where it writes: the river
	Topics []string
	Do     BatchStage

	MaxBatch int           // records given to Process at once; 0 = DefaultMaxBatch
	MaxWait  time.Duration // how long to wait for more records than there are
	// Start is where a group without committed offsets begins. It is resolved
	// once and committed before the first record is read, or else latest would
	// move with each restart.
	Start Start
	// Restore names the compacted topic of Out whose partition of the same
	// number is given to the stage's Restore before its first batch.
	Restore string
	// AcceptGap lets the stage go on when records it has not read are gone; a
	// dead letter names them. Without it the stage stops.
	AcceptGap bool
	// Until gives, for each partition, the offset at which reading ends (rule
	// G15). Nil reads on for ever; a partition that is missing is not read.
	Until map[int32]int64
	Hooks Hooks
	Stats *Stats
}

func (c *BatchesConfig) check() error {
	switch {
	case c.Stage == "" || c.Do == nil || c.In == nil || c.Out == nil || len(c.Topics) == 0:
		return errors.New("running batches: stage, connections, topics and the stage's code are all needed")
	case c.MaxBatch < 0 || c.MaxBatch > maxBurstRecords:
		return fmt.Errorf("running %s: a batch of %d records is not between 1 and %d", c.Stage, c.MaxBatch, maxBurstRecords)
	}
	if c.MaxBatch == 0 {
		c.MaxBatch = DefaultMaxBatch
	}
	if c.Until != nil && len(c.Topics) > 1 {
		return fmt.Errorf("running %s: offsets to read to belong to one topic, not to %d", c.Stage, len(c.Topics))
	}
	if _, ok := c.Do.(restorer); ok != (c.Restore != "") {
		return fmt.Errorf("running %s: a topic to restore from and a stage that restores belong together", c.Stage)
	}
	return nil
}

// RunBatches drives a stage as a member of its consumer group until ctx ends,
// which is no error, or until the stage must stop.
func RunBatches(ctx context.Context, cfg BatchesConfig) error {
	if err := cfg.check(); err != nil {
		return err
	}
	told := func(err error, wait time.Duration) { cfg.Hooks.retry(cfg.Stage, err, wait) }
	for _, topic := range cfg.Topics {
		if err := waitTopicTelling(ctx, cfg.In, topic, told); err != nil {
			return stopReason(ctx, cfg.Stage, err)
		}
	}
	run, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	b := &batchRun{cfg: cfg, ctx: run, stop: stop, opened: make(chan struct{})}
	b.heart = newHeart(cfg.In.cfg.SessionTimeout, func() { b.cfg.Hooks.silent(cfg.Stage) })
	if err := b.open(); err != nil {
		return err
	}
	b.poll()
	leave, cancel := context.WithTimeout(context.Background(), stopGrace+lastCommitTimeout+leaveTimeout)
	defer cancel()
	// Not leaving in time costs the others the session timeout, nothing else.
	_ = b.client.LeaveGroupContext(leave)
	b.endSession(true)
	b.client.Close()
	b.client.AllowRebalance() // Close has polled what was left, which a goroutine of the second leave waits for
	return stopReason(ctx, cfg.Stage, context.Cause(run))
}

// stopReason tells an end that was asked for from one that must be reported.
func stopReason(ctx context.Context, stage string, err error) error {
	if err == nil || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return fmt.Errorf("running %s: %w", stage, err)
}

// batchRun is one RunBatches at work.
type batchRun struct {
	cfg    BatchesConfig
	ctx    context.Context
	stop   context.CancelCauseFunc
	client *kgo.Client
	opened chan struct{} // closed when client is set
	heart  *heart

	mu      sync.Mutex
	session *batchSession
	metas   map[topicPartition]CommitMeta // as fetched with the offsets of this session

	groupErr time.Time // since when the group cannot be joined; guarded by mu
}

func (b *batchRun) open() error {
	topics := make([]string, len(b.cfg.Topics))
	for i, t := range b.cfg.Topics {
		topics[i] = b.cfg.In.Topic(t)
	}
	options := append(b.cfg.In.groupOptions(b.cfg.Stage),
		kgo.ConsumeTopics(topics...),
		// A marker of a transaction has an offset too; without it the finished
		// prefix would end before the end of the topic.
		kgo.KeepControlRecords(),
		// A record that was polled in one session must not be taken for one of the
		// next, which may begin at an earlier offset: a share cannot tell what lies
		// between from offsets that hold no records, and its prefix would jump over
		// it.
		kgo.BlockRebalanceOnPoll(),
		kgo.WithHooks(b.heart, throttleHook{b.cfg.Stage, &b.cfg.Hooks}),
		kgo.OnPartitionsAssigned(b.assigned),
		kgo.OnPartitionsRevoked(func(context.Context, *kgo.Client, map[string][]int32) { b.endSession(true) }),
		kgo.OnPartitionsLost(func(context.Context, *kgo.Client, map[string][]int32) { b.endSession(false) }),
		kgo.OnOffsetsFetched(b.fetched),
		kgo.AdjustFetchOffsetsFn(b.place),
	)
	var err error
	b.client, err = b.cfg.In.Client(options...)
	close(b.opened)
	return err
}

// assigned begins a session. The client may call it before it has been handed
// to open.
func (b *batchRun) assigned(_ context.Context, _ *kgo.Client, given map[string][]int32) {
	<-b.opened
	b.heart.beat(time.Now())
	ctx, cancel := context.WithCancel(b.ctx)
	s := &batchSession{run: b, ctx: ctx, cancel: cancel, stop: make(chan struct{}), shares: map[topicPartition]*batchShare{}}
	b.mu.Lock()
	b.session = s
	b.groupErr = time.Time{}
	b.mu.Unlock()
	n := 0
	for _, partitions := range given {
		n += len(partitions)
	}
	b.cfg.Hooks.assigned(b.cfg.Stage, n)
}

// fetched keeps the metadata of the committed offsets for place.
func (b *batchRun) fetched(_ context.Context, _ *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
	metas := map[topicPartition]CommitMeta{}
	note := func(topic string, partition int32, text *string) {
		if text != nil {
			if m, ok := ParseCommitMeta(*text); ok {
				metas[topicPartition{topic, partition}] = m
			}
		}
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			note(t.Topic, p.Partition, p.Metadata)
		}
	}
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				note(t.Topic, p.Partition, p.Metadata)
			}
		}
	}
	b.mu.Lock()
	b.metas = metas
	b.mu.Unlock()
	return nil
}

// endSession waits until no call of the stage runs and commits what is
// finished; lost sessions have nothing to commit with.
func (b *batchRun) endSession(commit bool) {
	b.mu.Lock()
	s := b.session
	b.session = nil
	b.mu.Unlock()
	if s != nil {
		s.end(commit)
	}
}

// poll hands fetched records to their shares until the run ends. No rebalance
// begins between a poll and the hand-over, which never waits.
func (b *batchRun) poll() {
	for b.ctx.Err() == nil {
		fetches := b.client.PollFetches(b.ctx)
		b.handOver(fetches)
		b.client.AllowRebalance()
		if fetches.IsClientClosed() {
			return
		}
	}
}

// handOver gives what one poll has fetched to the shares of the session.
func (b *batchRun) handOver(fetches kgo.Fetches) {
	if fetches.IsClientClosed() {
		return
	}
	fetches.EachError(func(topic string, partition int32, err error) {
		if err := b.fetchError(topic, partition, err); err != nil {
			b.stop(err)
		}
	})
	b.mu.Lock()
	s := b.session
	b.mu.Unlock()
	if s == nil {
		return
	}
	delivered := false
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if share := s.share(p.Topic, p.Partition); share != nil && (p.Err == nil || len(p.Records) > 0) {
			share.deliver(p)
			delivered = true
		}
	})
	if delivered {
		b.mu.Lock()
		b.groupErr = time.Time{}
		b.mu.Unlock()
	}
}

// fetchError returns what the client cannot get over by itself.
func (b *batchRun) fetchError(topic string, partition int32, err error) error {
	var session *kgo.ErrGroupSession
	var loss *kgo.ErrDataLoss
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil
	case errors.As(err, &session):
		return b.groupError(session.Err)
	case errors.Is(err, kerr.OffsetOutOfRange) && compacted(b.cfg.In.Bare(topic)):
		// The embedded broker's compaction moves the start past slow readers:
		// joining again places them there.
		b.client.ForceRebalance()
		return nil
	case errors.Is(err, kerr.OffsetOutOfRange):
		return fmt.Errorf("reading %s/%d: records that were not read yet are gone, or the topic was made anew (rule G6); check its retention, then start again: %w", topic, partition, err)
	case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID):
		return fmt.Errorf("reading %s/%d: the topic was deleted and made anew under a running process; its offsets mean nothing any more (rule G6): %w", topic, partition, err)
	case errors.As(err, &loss):
		return fmt.Errorf("reading %s/%d: the broker has lost records that were read (rule G6); find out why before you start again: %w", topic, partition, err)
	case kerr.IsRetriable(err), kgo.IsRetryableBrokerErr(err):
		b.cfg.Hooks.retry(b.cfg.Stage, err, 0)
		return nil
	}
	return fmt.Errorf("reading %s/%d: %w", topic, partition, err)
}

// groupError returns an error when the group will never take us. The client
// tries again by itself, with backoff.
func (b *batchRun) groupError(err error) error {
	b.cfg.Hooks.retry(b.cfg.Stage, err, 0)
	group := b.cfg.In.Group(b.cfg.Stage)
	fatal := []error{kerr.GroupAuthorizationFailed, kerr.TopicAuthorizationFailed, kerr.SaslAuthenticationFailed, kerr.InvalidSessionTimeout}
	switch {
	case slices.ContainsFunc(fatal, func(f error) bool { return errors.Is(err, f) }):
		return fmt.Errorf("joining group %s: %w", group, err)
	case errors.Is(err, kerr.FencedInstanceID):
		return fmt.Errorf("joining group %s: another process runs with the same instance; give each its own: %w", group, err)
	case !errors.Is(err, kerr.InconsistentGroupProtocol):
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.groupErr.IsZero() {
		b.groupErr = time.Now()
	}
	if time.Since(b.groupErr) > groupErrorPatience {
		return fmt.Errorf("joining group %s: another program is in this group; use another prefix or group: %w", group, err)
	}
	return nil
}

// batchSession is what a member has been given until the next rebalance.
type batchSession struct {
	run    *batchRun
	ctx    context.Context // of every call of the stage
	cancel context.CancelFunc
	stop   chan struct{} // closed: no new batch

	mu     sync.Mutex
	shares map[topicPartition]*batchShare
	wg     sync.WaitGroup // shares and the commit timer
	ended  bool
}

func (s *batchSession) share(topic string, partition int32) *batchShare {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shares[topicPartition{topic, partition}]
}

// begin starts the work on the shares.
func (s *batchSession) begin(shares []*batchShare) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	for _, share := range shares {
		s.shares[share.tp] = share
		s.wg.Go(share.work)
	}
	s.wg.Go(s.commitOnTime)
}

// end stops the shares: first kindly, then by their context.
func (s *batchSession) end(commit bool) {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	close(s.stop)
	if !commit {
		s.cancel()
	}
	hard := time.AfterFunc(stopGrace, s.cancel)
	s.wg.Wait()
	hard.Stop()
	if commit {
		ctx, cancel := context.WithTimeout(context.Background(), lastCommitTimeout)
		defer cancel()
		s.commit(ctx)
	}
	s.cancel()
	for _, share := range s.shares {
		share.leave()
	}
	s.run.cfg.Hooks.revoked(s.run.cfg.Stage, len(s.shares))
}

func (s *batchSession) commitOnTime() {
	t := time.NewTicker(CommitInterval)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
			s.commit(s.ctx)
		}
	}
}

// commit commits what has moved, or whose metadata has changed, since the last
// time. What fails is in the next one.
func (s *batchSession) commit(ctx context.Context) {
	s.mu.Lock()
	points := map[topicPartition]commitPoint{}
	for tp, share := range s.shares {
		if p := share.point(); p != share.committed {
			points[tp] = p
		}
	}
	s.mu.Unlock()
	if err := commitOffsets(ctx, s.run.client, points); err != nil {
		if ctx.Err() == nil {
			s.run.cfg.Hooks.retry(s.run.cfg.Stage, err, CommitInterval)
		}
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for tp, p := range points {
		s.shares[tp].committed = p
	}
}
