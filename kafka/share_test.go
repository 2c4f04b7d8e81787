package kafka

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"auscult/schemas"
)

// shareUntil returns a share that reads no further than an offset, of a client
// that never connects.
func shareUntil(t *testing.T, until int64) *batchShare {
	client, err := kgo.NewClient()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	s := &batchSession{run: &batchRun{cfg: BatchesConfig{MaxBatch: 10, Until: map[int32]int64{0: until}}, client: client}}
	return newBatchShare(s, &schemas.Share{}, topicPartition{}, 0, CommitMeta{})
}

// TestG15WorkUnderWayIsNotFinishedAtTheTarget: the last message before D is in
// work when a message beyond D is fetched. Its offset must not count as finished:
// the river would look drained, and a crash would lose it.
func TestG15WorkUnderWayIsNotFinishedAtTheTarget(t *testing.T) {
	share := shareUntil(t, 3)
	fetch := func(offsets ...int64) {
		var rs []*kgo.Record
		for _, o := range offsets {
			rs = append(rs, &kgo.Record{Offset: o})
		}
		share.deliver(kgo.FetchTopicPartition{FetchPartition: kgo.FetchPartition{Records: rs}})
	}
	work := func() {
		for _, r := range share.take() {
			share.ledger.finish(r.Offset)
		}
	}
	fetch(0, 1)
	work()
	fetch(2)
	share.take()
	fetch(3, 4)
	if at := share.ledger.prefix(); at != 2 {
		t.Errorf("finished up to %d while message 2 is in work", at)
	}
	share.ledger.finish(2)
	if at := share.ledger.prefix(); at != 3 || len(share.take()) != 0 {
		t.Errorf("finished up to %d, want 3", at)
	}
}

// Offsets before the target that hold no record are read all the same.
func TestTargetBehindAGap(t *testing.T) {
	share := shareUntil(t, 5)
	share.deliver(kgo.FetchTopicPartition{FetchPartition: kgo.FetchPartition{Records: []*kgo.Record{{Offset: 1}, {Offset: 7}}}})
	for _, r := range share.take() {
		share.ledger.finish(r.Offset)
	}
	if at := share.ledger.prefix(); at != 5 {
		t.Errorf("finished up to %d, want 5", at)
	}
}

// What lies before a share's position, or comes a second time, is neither
// worked on nor moves the finished prefix.
func TestShareIgnoresWhatDoesNotFollow(t *testing.T) {
	share := shareUntil(t, 100)
	share.ledger = newLedger(10)
	for _, c := range []struct {
		fetched []int64
		queued  []int64
		prefix  int64 // when they are worked on
	}{
		{[]int64{7, 8, 9}, nil, 10},
		{[]int64{9, 10, 11}, []int64{10, 11}, 12},
		{[]int64{11, 12, 12, 13}, []int64{12, 13}, 14},
		{[]int64{3, 13}, nil, 14},
		{[]int64{17}, []int64{17}, 18}, // the offsets between hold no records
	} {
		var rs []*kgo.Record
		for _, o := range c.fetched {
			rs = append(rs, &kgo.Record{Offset: o})
		}
		share.deliver(kgo.FetchTopicPartition{FetchPartition: kgo.FetchPartition{Records: rs}})
		var queued []int64
		for _, r := range share.take() {
			queued = append(queued, r.Offset)
			share.ledger.finish(r.Offset)
		}
		if at := share.ledger.prefix(); at != c.prefix || !slices.Equal(queued, c.queued) {
			t.Errorf("of %d %d were queued, finished up to %d; want %d and %d", c.fetched, queued, at, c.queued, c.prefix)
		}
	}
}

// TestRebalanceWaitsForWhatWasPolled: between a poll and the hand-over the
// session stays, so that what was read for one share is never given to the next
// share of the partition, which begins at what was committed.
func TestRebalanceWaitsForWhatWasPolled(t *testing.T) {
	t.Parallel()
	r := newRiver(t)
	r.send(schemas.TopicDeviceData, 0, 100)
	cfg := r.echo()
	if err := cfg.check(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancelCause(context.Background())
	b := &batchRun{cfg: cfg, ctx: ctx, stop: stop, opened: make(chan struct{})}
	b.heart = newHeart(cfg.In.cfg.SessionTimeout, func() {})
	if err := b.open(); err != nil {
		t.Fatal(err)
	}
	defer func() { b.client.CloseAllowingRebalance(); stop(nil) }()
	current := func() *batchSession {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.session
	}
	var fetches kgo.Fetches
	eventually(t, "records are polled", func() bool {
		if fetches = b.client.PollFetches(ctx); fetches.NumRecords() > 0 {
			return true
		}
		b.client.AllowRebalance()
		return false
	})
	first := current()
	b.client.ForceRebalance()
	time.Sleep(2 * r.conn.cfg.SessionTimeout / 3) // over a heartbeat
	if current() != first {
		t.Error("the session ended before what was polled in it was handed over")
	}
	b.handOver(fetches)
	b.client.AllowRebalance()
	eventually(t, "the next session has begun", func() bool { s := current(); return s != nil && s != first })
	go b.poll()
	eventually(t, "all is through", func() bool { return sum(r.committed("echo", schemas.TopicDeviceData)) == 100 })
	if n := r.distinct(schemas.TopicMeasurements); n != 100 {
		t.Errorf("%d of 100 messages went through", n)
	}
}

// A group that could be joined is not blamed for what was before.
func TestAssignmentForgetsGroupErrors(t *testing.T) {
	b := &batchRun{ctx: context.Background(), opened: make(chan struct{}), groupErr: time.Now().Add(-2 * groupErrorPatience)}
	b.heart = newHeart(MinSessionTimeout, func() {})
	b.cfg.In = &Conn{}
	close(b.opened)
	b.assigned(context.Background(), nil, nil)
	defer b.endSession(false)
	if err := b.groupError(kerr.InconsistentGroupProtocol); err != nil {
		t.Errorf("the first refusal after an assignment stops the stage: %v", err)
	}
}

// A partition is taken away while its stage waits before another attempt: the
// stage goes on with what it is given next, it does not stop.
func TestRebalanceWhileAStageWaitsToTryAgain(t *testing.T) {
	t.Parallel()
	r := newRiver(t)
	r.send(schemas.TopicDeviceData, 0, 100)
	var down atomic.Bool
	var calls atomic.Int64
	down.Store(true)
	cfg := r.echo()
	next := cfg.Do
	cfg.Do = stageFunc(func(ctx context.Context, b schemas.Batch) ([]schemas.Out, error) {
		calls.Add(1)
		if down.Load() {
			return nil, retryError{time.Minute}
		}
		return next.Process(ctx, b)
	})
	first := run(t, cfg)
	eventually(t, "the first member waits", func() bool { return calls.Load() >= riverPartitions })
	down.Store(false)
	second := run(t, r.echo()) // its coming takes every partition away for a moment
	eventually(t, "all is through", func() bool { return sum(r.committed("echo", schemas.TopicDeviceData)) == 100 })
	for name, w := range map[string]*running{"first": first, "second": second} {
		select {
		case err := <-w.done:
			t.Errorf("the %s member has stopped: %v", name, err)
			close(w.done)
		default:
		}
		if err := w.stop(); err != nil {
			t.Errorf("the %s member ended with %v", name, err)
		}
	}
}
