package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"auscult/schemas"
)

// batchShare is one partition while this process owns it: what is read and
// waits, how far it is, and the one goroutine that works on it. Shares do not
// wait for each other: a full one is paused at the client.
type batchShare struct {
	session *batchSession
	share   *schemas.Share
	tp      topicPartition
	ledger  *ledger
	gauge   *gauge
	outbox  *outbox
	until   int64 // first offset that is not read; -1 = none

	mu     sync.Mutex
	queue  []schemas.Raw
	bytes  int
	paused bool
	over   bool          // read to until
	more   chan struct{} // capacity 1: the queue is not empty
	meta   CommitMeta

	committed commitPoint // guarded by session.mu
}

// newBatchShare returns a share that goes on at position. Until its own stage
// says otherwise, it owes and has parked what the last owner said.
func newBatchShare(s *batchSession, share *schemas.Share, tp topicPartition, position int64, last CommitMeta) *batchShare {
	cfg := &s.run.cfg
	b := &batchShare{
		session: s, share: share, tp: tp,
		ledger: newLedger(position),
		gauge:  cfg.Stats.gauge(cfg.Stage, share.Topic, share.Partition),
		until:  -1,
		more:   make(chan struct{}, 1),
		meta:   CommitMeta{Parked: last.Parked, Owes: last.Owes, Generation: share.Generation},
	}
	b.outbox = &outbox{conn: cfg.Out, stage: cfg.Stage, hooks: &cfg.Hooks, oversize: b.oversize}
	if cfg.Until != nil {
		b.until = cfg.Until[share.Partition]
		b.over = position >= b.until
	}
	b.gauge.begin(position, share.End)
	return b
}

// deliver takes what was fetched and never waits. What comes again, or lies
// before the share's position, is ignored: its offset does not move back.
func (b *batchShare) deliver(p kgo.FetchTopicPartition) {
	b.gauge.saw(p.HighWatermark)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range p.Records {
		if b.until >= 0 && r.Offset >= b.until {
			b.finishReading()
			break
		}
		if !b.ledger.delivered(r.Offset) {
			continue
		}
		if r.Attrs.IsControl() {
			b.ledger.finish(r.Offset)
			continue
		}
		raw := rawOf(b.share.Topic, r)
		b.queue = append(b.queue, raw)
		b.bytes += rawBytes(&raw)
	}
	if b.over || b.full() {
		b.pause()
	}
	if len(b.queue) > 0 {
		b.wake()
	}
}

// finishReading notes that everything below until has been read, also when the
// last offsets before it hold no records. A record there may still be in work.
func (b *batchShare) finishReading() {
	if b.over {
		return
	}
	b.over = true
	if b.ledger.delivered(b.until - 1) {
		b.ledger.finish(b.until - 1)
	}
}

func (b *batchShare) full() bool {
	return len(b.queue) >= buffersPerBatch*b.session.run.cfg.MaxBatch || b.bytes >= maxBufferedShareBytes
}

func (b *batchShare) pause() {
	if !b.paused {
		b.paused = true
		b.session.run.client.PauseFetchPartitions(map[string][]int32{b.tp.topic: {b.tp.partition}})
		b.session.run.cfg.Hooks.paused(b.session.run.cfg.Stage, b.share.Topic, b.share.Partition, true)
	}
}

func (b *batchShare) resume() {
	if b.paused {
		b.paused = false
		b.session.run.client.ResumeFetchPartitions(map[string][]int32{b.tp.topic: {b.tp.partition}})
		b.session.run.cfg.Hooks.paused(b.session.run.cfg.Stage, b.share.Topic, b.share.Partition, false)
	}
}

func (b *batchShare) wake() {
	select {
	case b.more <- struct{}{}:
	default:
	}
}

func rawOf(topic string, r *kgo.Record) schemas.Raw {
	raw := schemas.Raw{Topic: topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value, Timestamp: r.Timestamp}
	if len(r.Headers) > 0 {
		raw.Headers = make([]schemas.Header, len(r.Headers))
		for i, h := range r.Headers {
			raw.Headers[i] = schemas.Header{Key: h.Key, Value: h.Value}
		}
	}
	return raw
}

func rawBytes(r *schemas.Raw) int {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

// take returns the next records, at most a batch.
func (b *batchShare) take() []schemas.Raw {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.queue), b.session.run.cfg.MaxBatch)
	records := append([]schemas.Raw(nil), b.queue[:n]...)
	for i := range records {
		b.bytes -= rawBytes(&records[i])
	}
	clear(b.queue[:n])
	b.queue = b.queue[n:]
	if len(b.queue) > 0 {
		b.wake()
	} else {
		b.queue = nil
	}
	if !b.over && len(b.queue) <= buffersPerBatch*b.session.run.cfg.MaxBatch/2 && b.bytes <= maxBufferedShareBytes/2 {
		b.resume()
	}
	return records
}

// work is the share's goroutine: restore, then batches and ticks in turn.
func (b *batchShare) work() {
	b.mu.Lock()
	if b.over {
		b.pause()
	}
	b.mu.Unlock()
	if err := b.restore(); err != nil {
		b.fail(err)
		return
	}
	b.noteStatus()
	var ticks <-chan time.Time
	tick, ok := b.session.run.cfg.Do.(ticker)
	if ok {
		t := time.NewTicker(tickInterval)
		defer t.Stop()
		ticks = t.C
	}
	for {
		// A full queue must not keep the tick waiting, nor the stop.
		select {
		case <-b.session.stop:
			return
		default:
		}
		select {
		case <-b.session.stop:
			return
		case now := <-ticks:
			if err := b.do(func(ctx context.Context) ([]schemas.Out, error) { return tick.Tick(ctx, b.share, now) }); err != nil {
				b.fail(fmt.Errorf("ticking %s/%d: %w", b.share.Topic, b.share.Partition, err))
				return
			}
			b.noteStatus()
		case <-b.more:
			if err := b.batch(); err != nil {
				b.fail(err)
				return
			}
		}
	}
}

// fail ends the run, unless the error is only that of a session that ends.
func (b *batchShare) fail(err error) {
	if b.session.ctx.Err() == nil && !errors.Is(err, errStopped) {
		b.session.run.stop(err)
	}
}

// batch processes the next records and finishes them.
func (b *batchShare) batch() error {
	cfg := &b.session.run.cfg
	if cfg.MaxWait > 0 {
		b.linger()
	}
	records := b.take()
	if len(records) == 0 {
		return nil
	}
	began := time.Now()
	err := b.do(func(ctx context.Context) ([]schemas.Out, error) {
		return cfg.Do.Process(ctx, schemas.Batch{Share: b.share, Records: records})
	})
	first, last := records[0].Offset, records[len(records)-1].Offset
	if err != nil {
		return fmt.Errorf("processing %s/%d offsets %d to %d: %w", b.share.Topic, b.share.Partition, first, last, err)
	}
	b.noteStatus() // first: the offsets must not be ahead of what is said of them
	for i := range records {
		b.ledger.finish(records[i].Offset)
	}
	b.gauge.moved(b.ledger.prefix(), len(records), records[len(records)-1].Timestamp)
	cfg.Hooks.batch(cfg.Stage, b.share.Topic, b.share.Partition, len(records), time.Since(began))
	return nil
}

// linger waits for a full batch, MaxWait at most.
func (b *batchShare) linger() {
	t := time.NewTimer(b.session.run.cfg.MaxWait)
	defer t.Stop()
	for {
		b.mu.Lock()
		enough := len(b.queue) >= b.session.run.cfg.MaxBatch || b.over || b.paused
		b.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-t.C:
			return
		case <-b.session.stop:
			return
		case <-b.more:
		}
	}
}

// do calls the stage until it succeeds and writes what it returns.
func (b *batchShare) do(call func(context.Context) ([]schemas.Out, error)) error {
	outs, err := b.call(call)
	if err != nil || len(outs) == 0 {
		return err
	}
	return b.outbox.send(b.session.ctx, b.session.run.heart, outs)
}

// call calls the stage under a context that also ends when the broker goes
// silent, and again when its error says that time may help.
func (b *batchShare) call(call func(context.Context) ([]schemas.Out, error)) ([]schemas.Out, error) {
	run := b.session.run
	for {
		ctx, release, err := run.heart.guard(b.session.ctx)
		if err != nil {
			return nil, err
		}
		outs, err := call(ctx)
		silent := ctx.Err() != nil
		release()
		var later retrier
		switch {
		case err == nil:
			return outs, nil
		case b.session.ctx.Err() != nil:
			return nil, b.session.ctx.Err()
		case silent:
			// The call broke off because the broker is away: once more when it
			// answers.
		case errors.As(err, &later):
			wait := max(later.RetryAfter(), sendBackoff)
			run.cfg.Hooks.retry(run.cfg.Stage, err, wait)
			if err := b.pauseFor(wait); err != nil {
				return nil, err
			}
		default:
			return nil, err
		}
	}
}

// pauseFor waits before a retry; a share that is given back does not wait.
func (b *batchShare) pauseFor(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-b.session.stop:
		return errStopped
	case <-b.session.ctx.Done():
		return b.session.ctx.Err()
	case <-t.C:
		return nil
	}
}

// errStopped ends the goroutine of a share that is given back.
var errStopped = errors.New("the session has ended")

// noteStatus asks the stage what the next commits must say of the share.
func (b *batchShare) noteStatus() {
	stage, ok := b.session.run.cfg.Do.(reporter)
	if !ok {
		return
	}
	parked, owes := stage.Status(b.share)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.meta.Parked, b.meta.Owes = parked, owes
}

// point returns what to commit now.
func (b *batchShare) point() commitPoint {
	offset := b.ledger.prefix()
	b.mu.Lock()
	defer b.mu.Unlock()
	return commitPoint{offset, b.meta}
}

// leave tells the stage that the share is gone. No call of it runs any more.
func (b *batchShare) leave() {
	b.outbox.close()
	b.mu.Lock()
	b.resume() // the client would keep the pause for the next owner of it in this process
	b.mu.Unlock()
	b.gauge.leave()
	if r, ok := b.session.run.cfg.Do.(revoker); ok {
		r.Revoked(b.share)
	}
}

// oversize makes the dead letter that stands in for an output no topic takes.
func (b *batchShare) oversize(out schemas.Out, why string) schemas.Out {
	cfg := &b.session.run.cfg
	prefix := b.ledger.prefix()
	d := schemas.DeadLetterFor(cfg.Stage, schemas.ReasonSize,
		fmt.Sprintf("a record for %s is too large: %s. It was made from %s/%d at or after offset %d", out.Topic, why, b.share.Topic, b.share.Partition, prefix),
		"make the messages or groups smaller that lead to it, then send the messages again",
		schemas.Raw{Topic: out.Topic, Partition: -1, Offset: -1, Key: []byte(out.Key), Value: out.Value, Headers: out.Headers, Timestamp: time.Now()})
	d.Lineage.Generation, d.Lineage.Partition, d.Lineage.Offset = b.share.Generation, b.share.Partition, prefix
	return schemas.DeadLetters.Out(out.Key, &d)
}
