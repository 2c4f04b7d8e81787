package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// restoreIdle is how long a partition may give nothing before its end is asked
// for again: the last offset of a compacted topic may hold no record any more.
const restoreIdle = 3 * time.Second

// restore gives the stage everything its compacted topic holds for this
// partition, read to the end as it is now.
func (b *batchShare) restore() error {
	cfg := &b.session.run.cfg
	r, ok := cfg.Do.(restorer)
	if !ok {
		return nil
	}
	each := func(record *kgo.Record) error {
		return r.Restore(b.session.ctx, b.share, rawOf(cfg.Restore, record))
	}
	if err := readThrough(b.session.ctx, cfg.Out, cfg.Restore, b.share.Partition, each); err != nil {
		return fmt.Errorf("restoring from %s/%d: %w", cfg.Restore, b.share.Partition, err)
	}
	return nil
}

// readThrough reads one partition of a topic from its start to the end that it
// has when the reading begins.
func readThrough(ctx context.Context, c *Conn, bare string, partition int32, each func(*kgo.Record) error) error {
	topic := c.Topic(bare)
	ends, err := topicEnds(ctx, c, topic)
	if err != nil {
		return err
	}
	position, end := ends.start[partition], ends.end[partition]
	if position >= end {
		return nil
	}
	client, err := c.Client(
		kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(position)}}),
		// Compaction may move the start on meanwhile.
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	for idle := false; position < end; {
		fetches, err := pollFor(ctx, client, restoreIdle)
		if err != nil {
			return err
		}
		if fetches.NumRecords() == 0 {
			// Nothing came while the broker answers otherwise, twice: nothing is
			// left before the end.
			if _, err := topicEnds(ctx, c, topic); err != nil {
				return err
			}
			if idle {
				return nil
			}
			idle = true
			continue
		}
		idle = false
		for _, record := range fetches.Records() {
			position = record.Offset + 1
			if record.Attrs.IsControl() || record.Offset >= end {
				continue
			}
			if err := each(record); err != nil {
				return err
			}
		}
	}
	return nil
}

// pollFor polls for at most d.
func pollFor(ctx context.Context, client *kgo.Client, d time.Duration) (kgo.Fetches, error) {
	timed, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	fetches := client.PollFetches(timed)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for _, e := range fetches.Errors() {
		if !errors.Is(e.Err, context.DeadlineExceeded) && !passes(e.Err) {
			return nil, fmt.Errorf("reading %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
	}
	return fetches, nil
}
