package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"auscult/schemas"
)

// place decides where each partition that was given to us begins, checks that
// the offsets belong to the topic that is there (rule G6), commits what is not
// committed yet, and starts the work.
func (b *batchRun) place(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	b.mu.Lock()
	s, metas := b.session, b.metas
	b.mu.Unlock()
	if s == nil {
		return nil, errors.New("the session ended while its offsets were fetched")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	shares, err := b.placeAll(ctx, s, offsets, metas)
	if err != nil {
		if ctx.Err() == nil && standing(err) {
			b.stop(err)
		}
		b.cfg.Hooks.retry(b.cfg.Stage, err, 0)
		return nil, err // the client joins again
	}
	for _, share := range shares {
		offsets[share.tp.topic][share.tp.partition] = kgo.NewOffset().At(share.ledger.prefix())
	}
	s.begin(shares)
	return offsets, nil
}

// standing reports whether joining again would end in the same error.
func standing(err error) bool {
	var stop *stopError
	if errors.As(err, &stop) {
		return true
	}
	session := []error{kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.RebalanceInProgress}
	return !passes(err) && !slices.ContainsFunc(session, func(s error) bool { return errors.Is(err, s) })
}

func (b *batchRun) placeAll(ctx context.Context, s *batchSession, offsets map[string]map[int32]kgo.Offset, metas map[topicPartition]CommitMeta) ([]*batchShare, error) {
	var shares []*batchShare
	points := map[topicPartition]commitPoint{}
	for topic, partitions := range offsets {
		ends, err := topicEnds(ctx, b.cfg.In, topic)
		if err != nil {
			return nil, err
		}
		for partition, fetched := range partitions {
			tp := topicPartition{topic, partition}
			share := &schemas.Share{
				Topic: b.cfg.In.Bare(topic), Partition: partition, Generation: ends.generation,
				Start: ends.start[partition], End: ends.end[partition],
				Committed: fetched.EpochOffset().Offset, AssignedAt: time.Now(),
			}
			if meta, ok := metas[tp]; ok && meta.Generation != "" && meta.Generation != share.Generation {
				return nil, stopf("%s/%d: the committed offset belongs to generation %s and the topic is generation %s, another topic of that name (rule G6): use another group or prefix, or delete the group's offsets", topic, partition, meta.Generation, share.Generation)
			}
			if share.Committed < 0 {
				share.Committed = -1
			}
			position, err := b.position(ctx, share, tp)
			if err != nil {
				return nil, err
			}
			placed := newBatchShare(s, share, tp, position, metas[tp])
			if position == share.Committed {
				placed.committed = commitPoint{position, metas[tp]}
			} else {
				points[tp] = placed.point()
				placed.committed = points[tp]
			}
			shares = append(shares, placed)
		}
	}
	return shares, b.commitPlaces(ctx, points)
}

func (b *batchRun) commitPlaces(ctx context.Context, points map[topicPartition]commitPoint) error {
	for {
		err := commitOffsets(ctx, b.client, points)
		if err == nil || !passes(err) {
			return err
		}
		b.cfg.Hooks.retry(b.cfg.Stage, err, sendBackoff)
		if err := sleep(ctx, sendBackoff); err != nil {
			return err
		}
	}
}

// position returns the offset at which a share begins.
func (b *batchRun) position(ctx context.Context, share *schemas.Share, tp topicPartition) (int64, error) {
	position := share.Committed
	if a, ok := b.cfg.Do.(assigner); ok {
		next, err := b.askStage(ctx, a, share)
		if err != nil {
			return 0, stopf("asking where %s/%d goes on: %w", share.Topic, share.Partition, err)
		}
		if next >= 0 {
			position = next
		}
	}
	switch {
	case position < 0:
		return b.startOffset(ctx, share, tp)
	case position > share.End:
		return 0, stopf("%s/%d: the position %d lies beyond the end %d, so it is of another topic or the broker has lost records (rule G6): find out which, then use another group or delete its offsets", tp.topic, tp.partition, position, share.End)
	case position < share.Start && compacted(share.Topic):
		// A later record of the same key stands for what is gone.
		return share.Start, nil
	case position < share.Start:
		return share.Start, b.gap(ctx, share, position)
	}
	return position, nil
}

// compacted reports whether a topic keeps only the last record of each key.
func compacted(bare string) bool {
	return slices.ContainsFunc(schemas.Topics, func(t schemas.Topic) bool { return t.Name == bare && t.Cleanup == schemas.CleanupCompact })
}

// askStage asks the stage for its position until it knows.
func (b *batchRun) askStage(ctx context.Context, a assigner, share *schemas.Share) (int64, error) {
	for {
		next, err := a.Assigned(ctx, share)
		var later retrier
		if err == nil || !errors.As(err, &later) {
			return next, err
		}
		wait := max(later.RetryAfter(), sendBackoff)
		b.cfg.Hooks.retry(b.cfg.Stage, err, wait)
		if err := sleep(ctx, wait); err != nil {
			return 0, err
		}
	}
}

// startOffset resolves where a group without an offset begins.
func (b *batchRun) startOffset(ctx context.Context, share *schemas.Share, tp topicPartition) (int64, error) {
	switch {
	case b.cfg.Start.Latest:
		return share.End, nil
	case b.cfg.Start.At.IsZero():
		return share.Start, nil
	}
	listed, err := askOffsets(ctx, b.cfg.In, tp.topic, func(ctx context.Context) (kadm.ListedOffsets, error) {
		return b.cfg.In.admin.ListOffsetsAfterMilli(ctx, b.cfg.Start.At.UnixMilli(), tp.topic)
	})
	if err != nil {
		return 0, err
	}
	return max(listed[tp.partition], share.Start), nil
}

// gap reports records that were removed before they were read: a stop, or a
// dead letter that names them.
func (b *batchRun) gap(ctx context.Context, share *schemas.Share, position int64) error {
	what := fmt.Sprintf("offsets %d to %d of %s/%d were removed before %s had read them", position, share.Start-1, share.Topic, share.Partition, b.cfg.Stage)
	if !b.cfg.AcceptGap {
		return stopf("%s (rule G6): run once with --accept-gap to go on at %d; the range is then named in a dead letter", what, share.Start)
	}
	d := schemas.DeadLetterFor(b.cfg.Stage, schemas.ReasonMessage, what, "if the raw zone or another copy has this range, replay it from there",
		schemas.Raw{Topic: share.Topic, Partition: share.Partition, Offset: position, Timestamp: time.Now()})
	d.Lineage.Generation, d.Lineage.Partition, d.Lineage.Offset = share.Generation, share.Partition, position
	o := outbox{conn: b.cfg.Out, stage: b.cfg.Stage, hooks: &b.cfg.Hooks, oversize: func(out schemas.Out, _ string) schemas.Out { return out }}
	defer o.close()
	b.cfg.Hooks.deadLetter(b.cfg.Stage, d.Reason)
	return o.send(ctx, b.heart, []schemas.Out{schemas.DeadLetters.Out(fmt.Sprintf("%s/%d", share.Topic, share.Partition), &d)})
}

// ends is where a topic begins and ends, and which topic it is.
type ends struct {
	generation string
	start, end map[int32]int64
}

// topicEnds asks the broker until it answers for every partition: a new topic
// needs some 100 ms before it does.
func topicEnds(ctx context.Context, c *Conn, topic string) (ends, error) {
	generation, err := c.Generation(ctx, c.Bare(topic))
	if err != nil {
		return ends{}, err
	}
	start, err := askOffsets(ctx, c, topic, func(ctx context.Context) (kadm.ListedOffsets, error) { return c.admin.ListStartOffsets(ctx, topic) })
	if err != nil {
		return ends{}, err
	}
	end, err := askOffsets(ctx, c, topic, func(ctx context.Context) (kadm.ListedOffsets, error) { return c.admin.ListEndOffsets(ctx, topic) })
	return ends{generation, start, end}, err
}

// Asking a broker again.
const (
	// listPatience is how long a broker may take to answer for all partitions.
	listPatience = 30 * time.Second
	// missingPatience is how long a topic may be missing before it is: what a
	// client knows of topics is some 100 ms old.
	missingPatience = time.Second
	askAgainEvery   = 100 * time.Millisecond
)

func askOffsets(ctx context.Context, c *Conn, topic string, list func(context.Context) (kadm.ListedOffsets, error)) (map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, listPatience)
	defer cancel()
	for {
		listed, err := list(ctx)
		if err == nil {
			err = listed.Error()
		}
		if err == nil {
			offsets := map[int32]int64{}
			listed.Each(func(o kadm.ListedOffset) { offsets[o.Partition] = o.Offset })
			return offsets, nil
		}
		if !passes(err) {
			return nil, fmt.Errorf("asking for the offsets of %s: %w", topic, err)
		}
		if sleep(ctx, askAgainEvery) != nil {
			return nil, fmt.Errorf("asking for the offsets of %s: no answer for %s: %w", topic, listPatience, err)
		}
	}
}

// passes reports whether asking again may help. Only an answer that stands
// does not pass: a refusal, a certificate that is not to be trusted, a wrong
// configuration. All else is a broker that is away, or still finding its leaders.
func passes(err error) bool {
	var refusal *kerr.Error
	if errors.As(err, &refusal) {
		return refusal.Retriable
	}
	var certificate *tls.CertificateVerificationError
	var config *ConfigError
	return !errors.As(err, &certificate) && !errors.As(err, &config)
}

// waitTopic waits until a topic can be read. That the broker is away is waited
// for; that the topic or the right to read it is missing is an error.
func waitTopic(ctx context.Context, c *Conn, bare string) error {
	return waitTopicTelling(ctx, c, bare, func(error, time.Duration) {})
}

// waitTopicTelling is waitTopic that tells each wait: a broker that cuts the
// connection may mean a wrong password too, and a person must see it.
func waitTopicTelling(ctx context.Context, c *Conn, bare string, told func(err error, wait time.Duration)) error {
	backoff := sendBackoff
	for began := time.Now(); ; {
		_, err := topicEnds(ctx, c, c.Topic(bare))
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, kerr.UnknownTopicOrPartition) && time.Since(began) > missingPatience {
			return fmt.Errorf("topic %s does not exist: `auscult topics apply` creates the river's topics: %w", c.Topic(bare), err)
		}
		if !passes(err) {
			return err
		}
		told(err, backoff)
		if err := sleep(ctx, backoff); err != nil {
			return err
		}
		backoff = min(2*backoff, maxSendBackoff)
	}
}
