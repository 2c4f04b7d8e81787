package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"auscult/schemas"
)

// Span is a range of offsets of one partition: From is in it, To is not.
type Span struct{ From, To int64 }

// Ends returns the first and the next offset of every partition of a topic.
func (c *Conn) Ends(ctx context.Context, bare string) (map[int32]Span, error) {
	e, err := topicEnds(ctx, c, c.Topic(bare))
	if err != nil {
		return nil, err
	}
	all := map[int32]Span{}
	for p, end := range e.end {
		all[p] = Span{e.start[p], end}
	}
	return all, nil
}

// ReadSpans gives visit every record of the spans, each partition in order, and
// returns when their ends are reached. It joins no group and commits nothing.
// Offsets that retention or compaction has removed are passed over.
func (c *Conn) ReadSpans(ctx context.Context, bare string, spans map[int32]Span, visit func(schemas.Raw) error) error {
	held, err := c.Ends(ctx, bare)
	if err != nil {
		return err
	}
	offsets := map[int32]kgo.Offset{}
	ends := map[int32]int64{}
	for p, s := range spans {
		h, ok := held[p]
		if !ok {
			return fmt.Errorf("topic %s has no partition %d: it has %d, counted from 0", c.Topic(bare), p, len(held))
		}
		from, to := max(s.From, h.From), min(s.To, h.To)
		if from < to {
			offsets[p], ends[p] = kgo.NewOffset().At(from), to
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	client, err := c.Client(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{c.Topic(bare): offsets}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		// A control record at the end of a span tells that the end is reached.
		kgo.KeepControlRecords(),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	return readTo(ctx, client, bare, ends, visit)
}

// readTo polls until every partition has come to its end.
func readTo(ctx context.Context, client *kgo.Client, bare string, ends map[int32]int64, visit func(schemas.Raw) error) error {
	for len(ends) > 0 {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, e := range fetches.Errors() {
			if !passes(e.Err) {
				return fmt.Errorf("reading %s/%d: %w", e.Topic, e.Partition, e.Err)
			}
		}
		var failed error
		fetches.EachRecord(func(r *kgo.Record) {
			end, wanted := ends[r.Partition]
			if failed != nil || !wanted {
				return
			}
			if r.Offset < end && !r.Attrs.IsControl() {
				failed = visit(rawOf(bare, r))
			}
			if r.Offset+1 >= end {
				delete(ends, r.Partition)
			}
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}

// Sender writes records outside of any stage: the simulator's messages, and
// dead letters that are tried again.
type Sender struct {
	conn   *Conn
	client *kgo.Client
	failed chan error
}

// NewSender returns a Sender on this connection.
func (c *Conn) NewSender() (*Sender, error) {
	client, err := c.Client()
	if err != nil {
		return nil, err
	}
	return &Sender{conn: c, client: client, failed: make(chan error, 1)}, nil
}

// maxUnacknowledged is below what the client buffers before it blocks, where no
// context would reach it.
const maxUnacknowledged = 5000

// Send hands a record over. It waits while too much is not acknowledged, and
// returns the error of an earlier record as soon as there is one.
func (s *Sender) Send(ctx context.Context, o schemas.Out) error {
	select {
	case err := <-s.failed:
		return err
	default:
	}
	if s.client.BufferedProduceRecords() >= maxUnacknowledged {
		if err := s.client.Flush(ctx); err != nil {
			return fmt.Errorf("waiting for acknowledgements: %w", err)
		}
	}
	r := &kgo.Record{Topic: s.conn.Topic(o.Topic), Key: []byte(o.Key), Value: o.Value}
	for _, h := range o.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	// What was handed over is written, also when the caller is told to stop.
	s.client.Produce(context.WithoutCancel(ctx), r, func(r *kgo.Record, err error) {
		if err == nil {
			return
		}
		select {
		case s.failed <- fmt.Errorf("writing to %s: %w", r.Topic, err):
		default: // the first one is enough
		}
	})
	return nil
}

// Flush waits until everything that was sent is acknowledged.
func (s *Sender) Flush(ctx context.Context) error {
	if err := s.client.Flush(ctx); err != nil {
		return fmt.Errorf("waiting for acknowledgements: %w", err)
	}
	select {
	case err := <-s.failed:
		return err
	default:
		return nil
	}
}

// Close flushes and lets go of the broker.
func (s *Sender) Close(ctx context.Context) error {
	err := s.Flush(ctx)
	s.client.Close()
	return err
}
