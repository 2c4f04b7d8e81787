package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"auscult/schemas"
)

const riverPartitions = 4

// river is an embedded broker with the river's topics, and a connection to it.
type river struct {
	t      *testing.T
	broker *Embedded
	conn   *Conn
	client *kgo.Client
}

func newRiver(t *testing.T, options ...kfake.Opt) *river {
	t.Helper()
	e, err := StartEmbedded(EmbeddedConfig{Listen: "127.0.0.1:0", Partitions: riverPartitions, options: options})
	if err != nil {
		t.Fatal(err)
	}
	r := &river{t: t, broker: e}
	r.conn = r.dial(Config{})
	if r.client, err = r.conn.Client(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.client.Close(); e.Close() })
	return r
}

func (r *river) dial(cfg Config) *Conn {
	r.t.Helper()
	cfg.Profile, cfg.Brokers, cfg.Partitions, cfg.SessionTimeout = EmbeddedProfile, []string{r.broker.Addr()}, riverPartitions, MinSessionTimeout
	conn, err := Dial(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(conn.Close)
	return conn
}

// send produces n numbered messages, keys spread over the partitions.
func (r *river) send(topic string, from, n int) {
	r.t.Helper()
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "device-%d", (from+i)%97), Value: fmt.Appendf(nil, "%d", from+i)}
	}
	if err := r.client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		r.t.Fatal(err)
	}
}

// read returns every record of a topic, partition by partition, in order.
func (r *river) read(topic string) []*kgo.Record {
	r.t.Helper()
	var all []*kgo.Record
	for p := range int32(riverPartitions) {
		err := readThrough(context.Background(), r.conn, topic, p, func(record *kgo.Record) error {
			all = append(all, record)
			return nil
		})
		if err != nil {
			r.t.Fatal(err)
		}
	}
	return all
}

// values returns the distinct values of a topic and how many records there
// are.
func (r *river) values(topic string) (map[string]int, int) {
	counts := map[string]int{}
	all := r.read(topic)
	for _, record := range all {
		counts[string(record.Value)]++
	}
	return counts, len(all)
}

// count returns how many records a topic has.
func (r *river) count(topic string) int {
	r.t.Helper()
	s, err := topicStatus(context.Background(), r.conn, topic)
	if err != nil {
		r.t.Fatal(err)
	}
	return int(sum(s.End))
}

// distinct returns how many different values a topic has.
func (r *river) distinct(topic string) int {
	got, _ := r.values(topic)
	return len(got)
}

func (r *river) committed(stage, topic string) []int64 {
	r.t.Helper()
	s, err := topicStatus(context.Background(), r.conn, topic)
	if err != nil {
		r.t.Fatal(err)
	}
	reader, err := readerStatus(context.Background(), r.conn, stage, &s)
	if err != nil {
		r.t.Fatal(err)
	}
	return reader.Committed
}

// eventually polls until ok, for twenty seconds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}

// running is a RunBatches at work.
type running struct {
	cancel context.CancelFunc
	done   chan error
}

func run(t *testing.T, cfg BatchesConfig) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{cancel, make(chan error, 1)}
	go func() { r.done <- RunBatches(ctx, cfg) }()
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *running) stop() error {
	r.cancel()
	err, ok := <-r.done
	if ok {
		close(r.done)
	}
	return err
}

// wait returns how the run ended by itself.
func (r *running) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.done:
		close(r.done)
		return err
	case <-time.After(15 * time.Second):
		t.Fatal("the run goes on")
		return nil
	}
}

// stageFunc is a stage that is one function.
type stageFunc func(ctx context.Context, b schemas.Batch) ([]schemas.Out, error)

func (f stageFunc) Process(ctx context.Context, b schemas.Batch) ([]schemas.Out, error) {
	return f(ctx, b)
}

// echo copies every message to a topic.
func echo(topic string) stageFunc {
	return func(_ context.Context, b schemas.Batch) ([]schemas.Out, error) {
		outs := make([]schemas.Out, len(b.Records))
		for i, r := range b.Records {
			outs[i] = schemas.Out{Topic: topic, Key: string(r.Key), Value: r.Value, Headers: r.Headers}
		}
		return outs, nil
	}
}

func (r *river) echo() BatchesConfig {
	return BatchesConfig{Stage: "echo", In: r.conn, Out: r.conn, Topics: []string{schemas.TopicDeviceData}, Do: echo(schemas.TopicMeasurements), MaxBatch: 50}
}

// retryError is an error that time may cure.
type retryError struct{ wait time.Duration }

func (retryError) Error() string               { return "the other side is down" }
func (e retryError) RetryAfter() time.Duration { return e.wait }

func TestBatchesCarryEverythingInOrder(t *testing.T) {
	t.Parallel()
	r := newRiver(t)
	r.send(schemas.TopicDeviceData, 0, 3000)
	var stats Stats
	cfg := r.echo()
	cfg.Stats = &stats
	w := run(t, cfg)
	eventually(t, "everything arrives", func() bool { return r.count(schemas.TopicMeasurements) == 3000 })
	eventually(t, "everything is committed", func() bool { return sum(r.committed("echo", schemas.TopicDeviceData)) == 3000 })
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	last := map[string]int{}
	for _, record := range r.read(schemas.TopicMeasurements) {
		var n int
		fmt.Sscan(string(record.Value), &n)
		if before, ok := last[string(record.Key)]; ok && before >= n {
			t.Fatalf("key %s: %d comes after %d", record.Key, n, before)
		}
		last[string(record.Key)] = n
	}
	for _, p := range stats.Snapshot() {
		if p.Lag() != 0 || p.Owned || p.Message.IsZero() {
			t.Errorf("statistics after the end: %+v", p)
		}
	}
}

func sum(all []int64) int64 {
	n := int64(0)
	for _, v := range all {
		n += v
	}
	return n
}

// TestBatchesLoseNothingWhenOutputsFail: the first outputs are refused, the
// process ends, another goes on. Nothing is committed beyond what arrived.
func TestBatchesLoseNothingWhenOutputsFail(t *testing.T) {
	t.Parallel()
	r := newRiver(t)
	fault := r.broker.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: schemas.TopicMeasurements, Err: kerr.PolicyViolation, Count: -1})
	r.send(schemas.TopicDeviceData, 0, 500)
	var retries atomic.Int64
	cfg := r.echo()
	cfg.Hooks.Retry = func(string, error, time.Duration) { retries.Add(1) }
	w := run(t, cfg)
	eventually(t, "outputs are refused", func() bool { return retries.Load() > 4 })
	w.stop()
	if n := sum(r.committed("echo", schemas.TopicDeviceData)); n != 0 {
		t.Fatalf("%d messages are committed and none arrived", n)
	}
	fault.Remove()
	w = run(t, r.echo())
	eventually(t, "everything arrives", func() bool {
		return r.count(schemas.TopicMeasurements) >= 500 && r.distinct(schemas.TopicMeasurements) == 500
	})
	w.stop()
}

// TestBatchesKeepOrderThroughRefusals refuses requests at random while outputs
// of the same keys queue up behind them: rule G7 needs the order to hold.
func TestBatchesKeepOrderThroughRefusals(t *testing.T) {
	t.Parallel()
	r := newRiver(t)
	var n atomic.Int64
	r.broker.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r.broker.cluster.KeepControl()
		p := req.(*kmsg.ProduceRequest)
		if n.Add(1)%3 != 0 || !names.MatchString(r.conn.Bare(topicOf(r, p))) || topicOf(r, p) != schemas.TopicMeasurements {
			return nil, nil, false
		}
		return refuse(p, kerr.PolicyViolation), nil, true
	})
	r.send(schemas.TopicDeviceData, 0, 2000)
	w := run(t, r.echo())
	eventually(t, "everything arrives", func() bool {
		return r.count(schemas.TopicMeasurements) >= 2000 && r.distinct(schemas.TopicMeasurements) == 2000
	})
	w.stop()
	highest := map[string]int{}
	for _, record := range r.read(schemas.TopicMeasurements) {
		var n int
		fmt.Sscan(string(record.Value), &n)
		if n < highest[string(record.Key)] {
			t.Fatalf("key %s: %d was written after %d", record.Key, n, highest[string(record.Key)])
		}
		highest[string(record.Key)] = n
	}
}

// topicOf returns the topic of a produce request that has one.
func topicOf(r *river, p *kmsg.ProduceRequest) string {
	if len(p.Topics) != 1 {
		return ""
	}
	if p.Topics[0].Topic != "" {
		return p.Topics[0].Topic
	}
	for _, t := range schemas.Topics {
		if info := r.broker.cluster.TopicInfo(t.Name); info != nil && info.TopicID == p.Topics[0].TopicID {
			return t.Name
		}
	}
	return ""
}

// refuse answers every partition of a produce request with an error.
func refuse(p *kmsg.ProduceRequest, err *kerr.Error) kmsg.Response {
	resp := p.ResponseKind().(*kmsg.ProduceResponse)
	for _, topic := range p.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
		for _, partition := range topic.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.ErrorCode = partition.Partition, err.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

func TestBatchesShareAndTakeOver(t *testing.T) {
	t.Parallel()
	r := newRiver(t)
	stop := make(chan struct{})
	var sent atomic.Int64
	var feeding sync.WaitGroup
	feeding.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				r.send(schemas.TopicDeviceData, int(sent.Load()), 100)
				sent.Add(100)
			}
		}
	})
	var first, second Stats
	owned := func(s *Stats) int {
		n := 0
		for _, p := range s.Snapshot() {
			if p.Owned {
				n++
			}
		}
		return n
	}
	one := r.echo()
	one.Stats = &first
	a := run(t, one)
	eventually(t, "one member has all", func() bool { return owned(&first) == riverPartitions })
	two := r.echo()
	two.Stats = &second
	b := run(t, two)
	eventually(t, "two members share", func() bool { return owned(&first) == 2 && owned(&second) == 2 })
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one member has all again", func() bool { return owned(&first) == riverPartitions })
	close(stop)
	feeding.Wait()
	eventually(t, "everything arrives", func() bool {
		return sum(r.committed("echo", schemas.TopicDeviceData)) == sent.Load()
	})
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	got, n := r.values(schemas.TopicMeasurements)
	if len(got) != int(sent.Load()) {
		t.Errorf("%d of %d messages arrived", len(got), sent.Load())
	}
	if n != len(got) {
		t.Logf("%d arrived twice", n-len(got))
	}
}

func TestOversizedOutputBecomesADeadLetter(t *testing.T) {
	t.Parallel()
	r := newRiver(t)
	cfg := r.echo()
	cfg.Do = stageFunc(func(_ context.Context, b schemas.Batch) ([]schemas.Out, error) {
		var outs []schemas.Out
		for _, record := range b.Records {
			value := record.Value
			switch string(value) {
			case "3": // the client knows that it is too long
				value = make([]byte, 2<<20)
			case "5": // the broker says so
				value = make([]byte, 300_000)
			}
			outs = append(outs, schemas.Out{Topic: schemas.TopicMeasurements, Key: string(record.Key), Value: value})
		}
		return outs, nil
	})
	var letters atomic.Int64
	cfg.Hooks.DeadLetter = func(_, reason string) { letters.Add(1) }
	setTopicConfig(t, r, schemas.TopicMeasurements, "max.message.bytes", "200000")
	r.send(schemas.TopicDeviceData, 0, 20)
	w := run(t, cfg)
	eventually(t, "the others arrive", func() bool { return r.count(schemas.TopicMeasurements) == 18 })
	eventually(t, "everything is committed", func() bool { return sum(r.committed("echo", schemas.TopicDeviceData)) == 20 })
	w.stop()
	dead := r.read(schemas.TopicDeadLetters)
	if len(dead) != 2 || letters.Load() != 2 {
		t.Fatalf("%d dead letters, %d told", len(dead), letters.Load())
	}
	for _, record := range dead {
		d, err := schemas.DeadLetters.Decode(record.Value)
		if err != nil || d.Reason != schemas.ReasonSize || d.Stage != "echo" || d.Topic != schemas.TopicMeasurements {
			t.Errorf("dead letter %+v, %v", d, err)
		}
	}
}

func TestBatchesSurviveTheBrokersRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start := func(listen string) *Embedded {
		e, err := StartEmbedded(EmbeddedConfig{Dir: dir, Listen: listen, Partitions: riverPartitions})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	r := &river{t: t, broker: start("127.0.0.1:0")}
	r.conn = r.dial(Config{})
	r.client, _ = r.conn.Client()
	defer r.client.Close()
	w := run(t, r.echo())
	r.send(schemas.TopicDeviceData, 0, 300)
	eventually(t, "the first arrive", func() bool { return r.count(schemas.TopicMeasurements) >= 300 })
	addr := r.broker.Addr()
	r.broker.Close()
	time.Sleep(300 * time.Millisecond)
	r.broker = start(addr)
	defer func() { r.broker.Close() }()
	r.send(schemas.TopicDeviceData, 300, 300)
	eventually(t, "the others arrive", func() bool {
		return r.count(schemas.TopicMeasurements) >= 600 && r.distinct(schemas.TopicMeasurements) == 600
	})
	eventually(t, "everything is committed", func() bool { return sum(r.committed("echo", schemas.TopicDeviceData)) == 600 })
	if err := w.stop(); err != nil {
		t.Error(err)
	}
}

func TestSlowPartitionBlocksNoOther(t *testing.T) {
	t.Parallel()
	r := newRiver(t)
	cfg := r.echo()
	cfg.MaxBatch = 10
	gate := make(chan struct{})
	var paused atomic.Bool
	cfg.Hooks.Paused = func(_, _ string, p int32, on bool) {
		if p == 0 && on {
			paused.Store(true)
		}
	}
	next := echo(schemas.TopicMeasurements)
	cfg.Do = stageFunc(func(ctx context.Context, b schemas.Batch) ([]schemas.Out, error) {
		if b.Share.Partition == 0 {
			select {
			case <-gate:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return next(ctx, b)
	})
	w := run(t, cfg)
	for i := range 20 {
		r.send(schemas.TopicDeviceData, i*200, 200)
	}
	others := func() int64 {
		s, _ := topicStatus(context.Background(), r.conn, schemas.TopicDeviceData)
		return s.End[1] + s.End[2] + s.End[3]
	}
	eventually(t, "the other partitions are through", func() bool {
		c := r.committed("echo", schemas.TopicDeviceData)
		return c[1]+c[2]+c[3] == others()
	})
	if c := r.committed("echo", schemas.TopicDeviceData); c[0] > 0 {
		t.Errorf("partition 0 is committed to %d before anything was processed", c[0])
	}
	eventually(t, "the slow partition is paused", paused.Load)
	close(gate)
	eventually(t, "all is through", func() bool { return sum(r.committed("echo", schemas.TopicDeviceData)) == 4000 })
	w.stop()
}

func TestRetryAndStop(t *testing.T) {
	t.Parallel()
	r := newRiver(t)
	r.send(schemas.TopicDeviceData, 0, 10)
	var calls atomic.Int64
	cfg := r.echo()
	cfg.Do = stageFunc(func(_ context.Context, b schemas.Batch) ([]schemas.Out, error) {
		if calls.Add(1) < 3 {
			return nil, fmt.Errorf("asking: %w", retryError{10 * time.Millisecond})
		}
		return nil, errors.New("our own bug")
	})
	err := run(t, cfg).wait(t)
	if err == nil || !strings.Contains(err.Error(), "our own bug") || !strings.Contains(err.Error(), "running echo") {
		t.Fatalf("ended with %v", err)
	}
	if n := sum(r.committed("echo", schemas.TopicDeviceData)); n != 0 {
		t.Errorf("%d committed", n)
	}
}

// sinkStage keeps its position itself, as a warehouse does.
type sinkStage struct {
	mu      sync.Mutex
	next    map[int32]int64
	got     []int64
	revoked []int32
}

func (s *sinkStage) Assigned(_ context.Context, share *schemas.Share) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, ok := s.next[share.Partition]; ok {
		return n, nil
	}
	return -1, nil
}

func (s *sinkStage) Process(_ context.Context, b schemas.Batch) ([]schemas.Out, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range b.Records {
		if r.Partition == 1 {
			s.got = append(s.got, r.Offset)
		}
	}
	return nil, nil
}

func (s *sinkStage) Revoked(share *schemas.Share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = append(s.revoked, share.Partition)
}

func TestG13SinkSaysWhereToGoOn(t *testing.T) {
	t.Parallel()
	r := newRiver(t)
	r.send(schemas.TopicDeviceData, 0, 400)
	sink := &sinkStage{next: map[int32]int64{1: 40}}
	cfg := r.echo()
	cfg.Do = sink
	w := run(t, cfg)
	eventually(t, "everything is committed", func() bool { return sum(r.committed("echo", schemas.TopicDeviceData)) == 400 })
	w.stop()
	if sink.got[0] != 40 {
		t.Errorf("partition 1 was read from %d, the sink asked for 40", sink.got[0])
	}
	slices.Sort(sink.revoked)
	if !slices.Equal(sink.revoked, []int32{0, 1, 2, 3}) {
		t.Errorf("revoked %v", sink.revoked)
	}
	// The position of the sink is committed even when nothing is read.
	sink.next = map[int32]int64{1: 20}
	sink.got = nil
	cfg.Do = stuck{sink}
	w = run(t, cfg)
	eventually(t, "the sink's position is committed", func() bool { return r.committed("echo", schemas.TopicDeviceData)[1] == 20 })
	w.stop()
}

// stuck never processes anything.
type stuck struct{ *sinkStage }

func (stuck) Process(ctx context.Context, _ schemas.Batch) ([]schemas.Out, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestG15BatchesReadToTheTargetAndNoFurther(t *testing.T) {
	t.Parallel()
	r := newRiver(t)
	r.send(schemas.TopicDeviceData, 0, 400)
	until, err := DrainTarget(context.Background(), r.conn, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.send(schemas.TopicDeviceData, 400, 400)
	cfg := r.echo()
	cfg.Until = until
	w := run(t, cfg)
	want := func() bool {
		for p, c := range r.committed("echo", schemas.TopicDeviceData) {
			if c != until[int32(p)] {
				return false
			}
		}
		return true
	}
	eventually(t, "the target is committed", want)
	r.send(schemas.TopicDeviceData, 800, 400)
	time.Sleep(1200 * time.Millisecond) // over one commit
	w.stop()
	if _, n := r.values(schemas.TopicMeasurements); n != 400 || !want() {
		t.Errorf("%d messages were read, committed %v", n, r.committed("echo", schemas.TopicDeviceData))
	}
}

// tickStage counts its ticks and says so; restoreStage reads a topic first.
type tickStage struct {
	stageFunc
	mu       sync.Mutex
	restored map[int32][]string
	early    bool
}

func (s *tickStage) Restore(_ context.Context, share *schemas.Share, r schemas.Raw) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.restored[share.Partition] = append(s.restored[share.Partition], string(r.Key))
	return nil
}

func (s *tickStage) Tick(_ context.Context, share *schemas.Share, _ time.Time) ([]schemas.Out, error) {
	return []schemas.Out{{Topic: schemas.TopicScores, Key: fmt.Sprint(share.Partition), Value: []byte("tick")}}, nil
}

func TestRestoreThenTicks(t *testing.T) {
	t.Parallel()
	r := newRiver(t)
	r.send(schemas.TopicIdentities, 0, 97)
	r.send(schemas.TopicDeviceData, 0, 100)
	stage := &tickStage{restored: map[int32][]string{}}
	stage.stageFunc = func(_ context.Context, b schemas.Batch) ([]schemas.Out, error) {
		stage.mu.Lock()
		defer stage.mu.Unlock()
		if len(stage.restored[b.Share.Partition]) == 0 {
			stage.early = true
		}
		return nil, nil
	}
	cfg := r.echo()
	cfg.Do, cfg.Restore = stage, schemas.TopicIdentities
	w := run(t, cfg)
	eventually(t, "every partition ticks", func() bool { got, n := r.values(schemas.TopicScores); return len(got) == 1 && n >= 4 })
	eventually(t, "everything is committed", func() bool { return sum(r.committed("echo", schemas.TopicDeviceData)) == 100 })
	w.stop()
	n := 0
	for p, keys := range stage.restored {
		for _, k := range keys {
			if schemas.PartitionOf(k, riverPartitions) != p {
				t.Errorf("partition %d was given key %s", p, k)
			}
		}
		n += len(keys)
	}
	if n != 97 || stage.early {
		t.Errorf("restored %d of 97, a batch came first: %v", n, stage.early)
	}
	s, _ := topicStatus(context.Background(), r.conn, schemas.TopicDeviceData)
	reader, _ := readerStatus(context.Background(), r.conn, "echo", &s)
	if m := reader.Meta[0]; m.Parked != 3 || m.Owes != 4 || m.Generation != s.Generation {
		t.Errorf("metadata %v, generation %s", m, s.Generation)
	}
}

func (s *tickStage) Status(*schemas.Share) (parked, owes int) { return 3, 4 }

func setTopicConfig(t *testing.T, r *river, topic, key, value string) {
	t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	res := kmsg.NewIncrementalAlterConfigsRequestResource()
	res.ResourceType, res.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Value = key, &value
	res.Configs = append(res.Configs, c)
	req.Resources = append(req.Resources, res)
	resp, err := req.RequestWith(context.Background(), r.client)
	if err != nil || resp.Resources[0].ErrorCode != 0 {
		t.Fatalf("setting %s: %v %v", key, err, resp)
	}
}
