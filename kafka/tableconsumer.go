package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// probeAfter is how long a table partition may be silent during recovery
// before we ask the broker whether there is anything left.
const probeAfter = time.Second

// Sizes of a probe.
const (
	probeMaxWait  = 100 * time.Millisecond
	probeMaxBytes = 1 << 20
)

// tableConsumer is the sarama.Consumer of one keyed stage: Goka reads a table
// partition with it until the high-water mark that it has asked for before.
// That mark may never be seen as a record, when the last record was a marker or
// has been removed; then a probe says so.
type tableConsumer struct {
	conn   *Conn
	client *kgo.Client
	note   func(error) error
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	turn  *sync.Cond // the poll loop has begun another poll
	polls int
	poke  context.CancelFunc                 // ends the poll at hand
	parts map[topicPartition]*tablePartition // by bare name
	high  map[string]map[int32]int64
}

func newTableConsumer(ctx context.Context, conn *Conn, note func(error) error) (*tableConsumer, error) {
	client, err := conn.Client(kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	if err != nil {
		return nil, err
	}
	c := &tableConsumer{
		conn: conn, client: client, note: note, done: make(chan struct{}),
		parts: make(map[topicPartition]*tablePartition), high: make(map[string]map[int32]int64),
	}
	c.turn = sync.NewCond(&c.mu)
	c.ctx, c.cancel = context.WithCancel(ctx)
	go c.loop()
	return c, nil
}

// loop gives what is fetched to the partitions.
func (c *tableConsumer) loop() {
	defer close(c.done)
	for c.ctx.Err() == nil {
		c.mu.Lock()
		ctx, cancel := context.WithCancel(c.ctx)
		c.poke = cancel
		c.polls++
		c.turn.Broadcast()
		c.mu.Unlock()
		fetches := c.client.PollFetches(ctx)
		cancel()
		fetches.EachPartition(c.route)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.polls = -1
	c.turn.Broadcast()
}

func (c *tableConsumer) route(f kgo.FetchTopicPartition) {
	if errors.Is(f.Err, context.Canceled) || errors.Is(f.Err, kgo.ErrClientClosed) {
		return
	}
	topic := c.conn.Bare(f.Topic)
	c.mu.Lock()
	part := c.parts[topicPartition{topic, f.Partition}]
	if f.Err == nil {
		if c.high[topic] == nil {
			c.high[topic] = make(map[int32]int64)
		}
		c.high[topic][f.Partition] = f.HighWatermark
	}
	parts := c.parts
	if f.Err != nil && part == nil && f.Partition < 0 { // of the whole topic
		for _, p := range parts {
			p.fail(f.Err)
		}
	}
	c.mu.Unlock()
	switch {
	case part == nil:
	case f.Err != nil:
		part.fail(f.Err)
	default:
		part.in.add(f.Records)
	}
}

// ConsumePartition implements sarama.Consumer.
func (c *tableConsumer) ConsumePartition(topic string, partition int32, offset int64) (sarama.PartitionConsumer, error) {
	at := kgo.NewOffset().At(offset)
	switch offset {
	case sarama.OffsetOldest:
		at = kgo.NewOffset().AtStart()
	case sarama.OffsetNewest:
		at = kgo.NewOffset().AtEnd()
	}
	name, key := c.conn.Topic(topic), topicPartition{topic, partition}
	part := &tablePartition{
		consumer: c, topic: topic, partition: partition, next: offset,
		in:       newIntake(c.client, name, partition),
		messages: make(chan *sarama.ConsumerMessage, 256),
		errors:   make(chan *sarama.ConsumerError, 1),
	}
	part.ctx, part.cancel = context.WithCancel(c.ctx)
	c.mu.Lock()
	if c.parts[key] != nil {
		c.mu.Unlock()
		return nil, fmt.Errorf("%s/%d is being read already", name, partition)
	}
	c.parts[key] = part
	c.mu.Unlock()
	c.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{name: {partition: at}})
	go part.pump()
	return part, nil
}

// remove stops reading a partition. When it returns, no record of this reading
// can arrive any more: a later reading of the same partition must not take one
// of these for its end.
func (c *tableConsumer) remove(p *tablePartition) {
	c.client.RemoveConsumePartitions(map[string][]int32{p.in.topic: {p.partition}})
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.polls < 0 {
		delete(c.parts, topicPartition{p.topic, p.partition})
		return
	}
	c.poke()
	for now := c.polls; c.polls == now; {
		c.turn.Wait()
	}
	delete(c.parts, topicPartition{p.topic, p.partition})
}

// HighWaterMarks implements sarama.Consumer.
func (c *tableConsumer) HighWaterMarks() map[string]map[int32]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	marks := make(map[string]map[int32]int64, len(c.high))
	for t, ps := range c.high {
		marks[t] = make(map[int32]int64, len(ps))
		for p, h := range ps {
			marks[t][p] = h
		}
	}
	return marks
}

// Close implements sarama.Consumer.
func (c *tableConsumer) Close() error {
	c.cancel()
	<-c.done
	c.client.Close()
	return nil
}

// Topics implements sarama.Consumer; Goka does not ask.
func (c *tableConsumer) Topics() ([]string, error) { return nil, errors.ErrUnsupported }

// Partitions implements sarama.Consumer; Goka does not ask.
func (c *tableConsumer) Partitions(string) ([]int32, error) { return nil, errors.ErrUnsupported }

// Pause implements sarama.Consumer; Goka does not ask, nor below.
func (c *tableConsumer) Pause(map[string][]int32) {}

// Resume implements sarama.Consumer.
func (c *tableConsumer) Resume(map[string][]int32) {}

// PauseAll implements sarama.Consumer.
func (c *tableConsumer) PauseAll() {}

// ResumeAll implements sarama.Consumer.
func (c *tableConsumer) ResumeAll() {}

// tablePartition is the sarama.PartitionConsumer of one table partition.
type tablePartition struct {
	consumer  *tableConsumer
	topic     string // bare
	partition int32
	in        *intake
	messages  chan *sarama.ConsumerMessage
	errors    chan *sarama.ConsumerError
	ctx       context.Context
	cancel    context.CancelFunc
	next      int64 // the pump's: what comes after the last message
}

// pump hands messages on until the reading is closed.
func (p *tablePartition) pump() {
	defer close(p.messages)
	defer close(p.errors)
	defer p.consumer.remove(p)
	idle := time.NewTimer(probeAfter)
	defer idle.Stop()
	for {
		r := p.in.take()
		if r == nil {
			select {
			case <-p.in.wake:
			case <-idle.C:
				if !p.probe() {
					return
				}
				idle.Reset(probeAfter)
			case <-p.ctx.Done():
				return
			}
			continue
		}
		m := messageOf(r, p.topic)
		if r.Attrs.IsControl() {
			// A marker moves the offset and nothing else: without it a table that
			// ends with one would never be recovered.
			m.Key, m.Value = nil, nil
		}
		p.next = r.Offset + 1
		if !p.hand(m) {
			return
		}
		idle.Reset(probeAfter)
	}
}

func (p *tablePartition) hand(m *sarama.ConsumerMessage) bool {
	select {
	case p.messages <- m:
		return true
	case <-p.ctx.Done():
		return false
	}
}

// probe asks the broker what comes next. When only offsets without records are
// left, Goka gets an empty message at the last of them; when a record is there,
// it is on its way.
func (p *tablePartition) probe() bool {
	if p.next < 0 { // not read from an offset, so no end is waited for
		return true
	}
	ctx, cancel := context.WithTimeout(p.ctx, leaderWait)
	defer cancel()
	next, err := probeOffset(ctx, p.consumer.client, p.in.topic, p.partition, p.next)
	if err != nil || next <= p.next || p.in.buffered() > 0 {
		return p.ctx.Err() == nil // the next probe, or the fetch itself, will tell
	}
	p.next = next
	return p.hand(&sarama.ConsumerMessage{Topic: p.topic, Partition: p.partition, Offset: next - 1})
}

// probeOffset returns the offset of the first record at or after at, or what
// the broker's log ends with when none is left.
func probeOffset(ctx context.Context, client *kgo.Client, topic string, partition int32, at int64) (int64, error) {
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return 0, err
	}
	end, ok := ends.Lookup(topic, partition)
	if !ok || end.Err != nil {
		return 0, fmt.Errorf("listing the end of %s/%d: %w", topic, partition, end.Err)
	}
	for at < end.Offset {
		next, found, err := probeOnce(ctx, client, topic, partition, at)
		if err != nil || found || next <= at {
			return at, err
		}
		at = next
	}
	return at, nil
}

// probeOnce fetches at an offset. found = there is a record; else next is where
// the empty batches end.
func probeOnce(ctx context.Context, client *kgo.Client, topic string, partition int32, at int64) (next int64, found bool, err error) {
	topics, err := kadm.NewClient(client).ListTopics(ctx, topic)
	if err != nil {
		return 0, false, err
	}
	detail := topics[topic]
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.SessionEpoch = -1, -1
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = int32(probeMaxWait/time.Millisecond), 1, probeMaxBytes
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.FetchOffset, part.CurrentLeaderEpoch, part.PartitionMaxBytes = partition, at, -1, probeMaxBytes
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic, rt.TopicID, rt.Partitions = topic, detail.ID, append(rt.Partitions, part)
	req.Topics = append(req.Topics, rt)
	answer, err := client.Broker(int(detail.Partitions[partition].Leader)).RetriableRequest(ctx, req)
	if err != nil {
		return 0, false, err
	}
	resp := answer.(*kmsg.FetchResponse)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return 0, false, fmt.Errorf("fetching %s/%d: the answer is empty", topic, partition)
	}
	fetched, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: at, Topic: topic, Partition: partition},
		&resp.Topics[0].Partitions[0], kgo.DefaultDecompressor(), nil)
	return next, len(fetched.Records) > 0, fetched.Err
}

// fail gives a fetch error to Goka, which ends the recovery with it.
func (p *tablePartition) fail(err error) {
	if errors.Is(err, kerr.OffsetOutOfRange) {
		err = &passingError{err} // compaction has moved the start; the next recovery begins there
	}
	err = p.consumer.note(fmt.Errorf("reading table %s/%d: %w", p.in.topic, p.partition, err))
	select {
	case p.errors <- &sarama.ConsumerError{Topic: p.topic, Partition: p.partition, Err: err}:
	default: // one is enough
	}
}

// AsyncClose implements sarama.PartitionConsumer.
func (p *tablePartition) AsyncClose() { p.cancel() }

// Close implements sarama.PartitionConsumer.
func (p *tablePartition) Close() error {
	p.cancel()
	for range p.messages { // until the pump has gone
	}
	return nil
}

// Messages implements sarama.PartitionConsumer.
func (p *tablePartition) Messages() <-chan *sarama.ConsumerMessage { return p.messages }

// Errors implements sarama.PartitionConsumer.
func (p *tablePartition) Errors() <-chan *sarama.ConsumerError { return p.errors }

// HighWaterMarkOffset implements sarama.PartitionConsumer.
func (p *tablePartition) HighWaterMarkOffset() int64 {
	return p.consumer.HighWaterMarks()[p.topic][p.partition]
}

// Pause implements sarama.PartitionConsumer; Goka does not ask, nor below.
func (p *tablePartition) Pause() {}

// Resume implements sarama.PartitionConsumer.
func (p *tablePartition) Resume() {}

// IsPaused implements sarama.PartitionConsumer.
func (p *tablePartition) IsPaused() bool { return false }
