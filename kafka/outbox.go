package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"auscult/schemas"
)

// Limits of sending outputs.
const (
	// maxBurstRecords and maxBurstBytes bound what is handed to the client
	// before its acknowledgements are waited for.
	maxBurstRecords = 5000
	maxBurstBytes   = 8 << 20
	// recordOverhead is more than Avro-encoded headers, offsets and the batch
	// frame add to one record.
	recordOverhead = 1024
	// MaxRecordBytes is the longest key, value and headers together that can be
	// written.
	MaxRecordBytes = MaxBatchBytes - recordOverhead
	sendBackoff    = 250 * time.Millisecond
	maxSendBackoff = 10 * time.Second
	// unknownTopicPatience is how long a missing output topic may be a broker
	// that has just started; afterwards it is a topic nobody has created.
	unknownTopicPatience = time.Minute
	// settleTimeout is how long a session that ends waits for requests on their
	// way before it closes the connection under them.
	settleTimeout = 2 * time.Second
)

// outbox writes the outputs of one share, in order, and returns when every one
// is acknowledged.
//
// Order is what makes it have a client of its own. Observe takes a measurement
// whose source position is not above the highest it has seen for a
// redelivery (rule G7): of two records of one key the second must never be
// written when the first was refused. A client that sends at once may have
// the first in a refused request while the next is already accepted. Here a
// burst is flushed as a whole, a refusal fails all that is queued behind it in
// that partition, and what was under way is refused by its sequence number.
type outbox struct {
	conn  *Conn
	stage string
	hooks *Hooks
	// oversize returns what is written in the place of an output that is longer
	// than a topic takes.
	oversize func(out schemas.Out, reason string) schemas.Out

	client *kgo.Client
	since  time.Time // first unknown topic without a success since
}

// send writes outs. It returns early only with the error of ctx or with one
// that no retry cures.
func (o *outbox) send(ctx context.Context, h *heart, outs []schemas.Out) error {
	began := time.Now()
	total := len(outs)
	for len(outs) > 0 {
		n := burst(outs)
		if err := o.sendBurst(ctx, h, outs[:n]); err != nil {
			return err
		}
		outs = outs[n:]
	}
	o.hooks.sent(o.stage, total, time.Since(began))
	return nil
}

// burst returns how many of outs are sent together, at least one.
func burst(outs []schemas.Out) int {
	size := 0
	for i := range outs {
		size += outBytes(&outs[i])
		if i > 0 && (size > maxBurstBytes || i == maxBurstRecords) {
			return i
		}
	}
	return len(outs)
}

func outBytes(out *schemas.Out) int {
	n := len(out.Key) + len(out.Value)
	for _, h := range out.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

func (o *outbox) sendBurst(ctx context.Context, h *heart, outs []schemas.Out) error {
	pending := make([]schemas.Out, len(outs))
	for i := range outs {
		pending[i] = o.fitting(outs[i])
	}
	backoff, alone := sendBackoff, false
	for {
		failed, err := o.attempt(ctx, h, pending, alone)
		if err != nil || len(failed) == 0 {
			return err
		}
		if errors.Is(failed[0].err, kerr.MessageTooLarge) {
			// The broker refused a whole batch: alone it will show which record it
			// was, and that one is a dead letter.
			if alone {
				failed[0].out = o.replaced(failed[0].out, failed[0].err.Error())
			}
			pending, alone = failedOuts(failed), true
			continue
		}
		pending, alone = failedOuts(failed), false
		o.hooks.retry(o.stage, failed[0].err, backoff)
		if err := sleep(ctx, backoff); err != nil {
			return err
		}
		backoff = min(2*backoff, maxSendBackoff)
	}
}

// fitting returns out, or what stands in its place when it is too long for any
// topic.
func (o *outbox) fitting(out schemas.Out) schemas.Out {
	if n := outBytes(&out); n > MaxRecordBytes {
		return o.replaced(out, fmt.Sprintf("%d bytes, at most %d fit into a record", n, MaxRecordBytes))
	}
	return out
}

func (o *outbox) replaced(out schemas.Out, why string) schemas.Out {
	o.hooks.deadLetter(o.stage, schemas.ReasonSize)
	return o.oversize(out, why)
}

// failedOut is an output that was not acknowledged.
type failedOut struct {
	out schemas.Out
	err error
}

func failedOuts(failed []failedOut) []schemas.Out {
	outs := make([]schemas.Out, len(failed))
	for i, f := range failed {
		outs[i] = f.out
	}
	return outs
}

// attempt writes outs once and returns those that were not acknowledged, in
// order. With alone it ends at the first that is refused and the rest counts
// as not acknowledged. The error is that of ctx, or one that stops the stage.
func (o *outbox) attempt(ctx context.Context, h *heart, outs []schemas.Out, alone bool) ([]failedOut, error) {
	guarded, release, err := h.guard(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if o.client == nil {
		if o.client, err = o.conn.Client(kgo.ManualFlushing(), kgo.MaxBufferedRecords(2*maxBurstRecords), kgo.WithHooks(throttleHook{o.stage, o.hooks})); err != nil {
			return nil, err
		}
	}
	var failed []failedOut
	step := len(outs)
	if alone {
		step = 1
	}
	for i := 0; i < len(outs); i += step {
		part := outs[i:min(i+step, len(outs))]
		if len(failed) > 0 {
			failed = append(failed, failedOut{part[0], errBehind})
			continue
		}
		failed = o.flush(guarded, part)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return failed, o.judge(failed)
}

// errBehind marks an output that was not tried, because one before it failed.
var errBehind = errors.New("waits for an output before it")

// judge returns an error when what failed will fail for ever.
func (o *outbox) judge(failed []failedOut) error {
	unknown := false
	for _, f := range failed {
		switch {
		case errors.Is(f.err, kerr.UnsupportedForMessageFormat):
			return fmt.Errorf("writing %s: the broker refuses this compression or record format; check the profile: %w", f.out.Topic, f.err)
		case errors.Is(f.err, kerr.InvalidRecord), errors.Is(f.err, kerr.InvalidTimestamp), errors.Is(f.err, kerr.InvalidTopicException):
			return fmt.Errorf("writing %s: %w", f.out.Topic, f.err)
		case errors.Is(f.err, kerr.TopicAuthorizationFailed), errors.Is(f.err, kerr.ClusterAuthorizationFailed), errors.Is(f.err, kerr.SaslAuthenticationFailed):
			return fmt.Errorf("writing %s: this user may not; grant it the right to write: %w", f.out.Topic, f.err)
		case errors.Is(f.err, kerr.UnknownTopicOrPartition), errors.Is(f.err, kerr.UnknownTopicID):
			unknown = true
			if o.since.IsZero() {
				o.since = time.Now()
			}
			if time.Since(o.since) > unknownTopicPatience {
				return fmt.Errorf("writing %s: there is no such topic; `auscult topics apply` creates it: %w", f.out.Topic, f.err)
			}
		}
	}
	if !unknown {
		o.since = time.Time{}
	}
	return nil
}

// flush hands outs to the client and waits for each to be acknowledged or
// refused.
func (o *outbox) flush(ctx context.Context, outs []schemas.Out) []failedOut {
	errs := make([]error, len(outs))
	var wg sync.WaitGroup
	wg.Add(len(outs))
	for i := range outs {
		o.client.Produce(ctx, o.record(&outs[i]), func(_ *kgo.Record, err error) {
			errs[i] = err
			wg.Done()
		})
	}
	if o.client.Flush(ctx) != nil {
		o.settle(&wg)
	}
	wg.Wait()
	var failed []failedOut
	for i, err := range errs {
		if err != nil {
			failed = append(failed, failedOut{outs[i], err})
		}
	}
	return failed
}

// settle waits for requests that are under way after the context has ended,
// and closes the connection under those that take too long.
func (o *outbox) settle(wg *sync.WaitGroup) {
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	t := time.NewTimer(settleTimeout)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		o.close()
		<-done
	}
}

func (o *outbox) record(out *schemas.Out) *kgo.Record {
	r := &kgo.Record{Topic: o.conn.Topic(out.Topic), Key: []byte(out.Key), Value: out.Value}
	if len(out.Headers) > 0 {
		r.Headers = make([]kgo.RecordHeader, len(out.Headers))
		for i, h := range out.Headers {
			r.Headers[i] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
		}
	}
	return r
}

// close gives the client back; send makes another one.
func (o *outbox) close() {
	if o.client != nil {
		o.client.Close()
		o.client = nil
	}
}

// sleep waits for d or the end of ctx, whose error it returns.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
