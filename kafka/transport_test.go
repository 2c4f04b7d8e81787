package kafka

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// load produces numbered messages for some keys until it is stopped.
type load struct {
	stop chan struct{}
	done chan int // how many of each key
}

func (r *toyRiver) load(keys []string, pace time.Duration) *load {
	l := &load{make(chan struct{}), make(chan int, 1)}
	go func() {
		n := 0
		defer func() { l.done <- n }()
		for ; ; n++ {
			select {
			case <-l.stop:
				return
			case <-time.After(pace):
			}
			if err := r.produce("in", keys, fmt.Sprint(n)); err != nil {
				r.t.Errorf("the load ends: %v", err)
				return
			}
		}
	}()
	return l
}

// end returns what each key must have in the end: every message once, in order.
func (l *load) end(keys []string) map[string]string {
	close(l.stop)
	n := <-l.done
	var all strings.Builder
	for i := range n {
		fmt.Fprint(&all, i, ";")
	}
	want := make(map[string]string)
	for _, k := range keys {
		want[k] = all.String()
	}
	return want
}

// Members come and go under load: every message counts once, in order.
func TestGroupRebalance(t *testing.T) {
	t.Parallel()
	r := newToyRiver(t, 4, "")
	var keys []string
	for p := range int32(4) {
		keys = append(keys, keysOf(3, p, 4)...)
	}
	owned := func(s *started) int { return len(s.group.Positions()) }
	first := r.start((&toy{}).config(r.conn))
	until(t, "one member", func() bool { return owned(first) == 4 })
	l := r.load(keys, 10*time.Millisecond)
	for range 2 {
		second := r.start((&toy{}).config(r.conn))
		until(t, "two members", func() bool { return owned(first) == 2 && owned(second) == 2 && second.group.Ready() })
		time.Sleep(200 * time.Millisecond)
		if err := second.stop(t); err != nil {
			t.Fatal(err)
		}
		until(t, "one member again", func() bool { return owned(first) == 4 && first.group.Ready() })
	}
	r.eventuallyLast(toyOut, l.end(keys))
	r.sameInTable(keys)
	first.stop(t)
}

// sameInTable compares the rows with the outputs.
func (r *toyRiver) sameInTable(keys []string) {
	r.t.Helper()
	table, out := r.last("toy-table"), r.last(toyOut)
	for _, k := range keys {
		if got := readToy([]byte(table[k])).texts; got != out[k] {
			r.t.Errorf("row of %s has %q, its output %q", k, got, out[k])
		}
	}
}

// The broker goes and comes back; the stage goes on by itself.
func TestGroupBrokerRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var cluster *kfake.Cluster
	var err error
	// Not a port that somebody is given who asks for any while the broker is away.
	port := 20_000 + rand.IntN(10_000)
	until(t, "a free port", func() bool {
		port++
		cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(dir), kfake.Ports(port))
		return err == nil
	})
	r := newToyRiverOn(t, cluster, cluster.ListenAddrs(), 2, "", []string{"in"})
	keys := append(keysOf(3, 0, 2), keysOf(3, 1, 2)...)
	s := r.start((&toy{}).config(r.conn))
	l := r.load(keys, 10*time.Millisecond)
	time.Sleep(300 * time.Millisecond)
	cluster.Close()
	time.Sleep(700 * time.Millisecond)
	until(t, "the broker is back", func() bool {
		cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(dir), kfake.Ports(port))
		return err == nil
	})
	t.Cleanup(cluster.Close)
	time.Sleep(300 * time.Millisecond)
	r.eventuallyLast(toyOut, l.end(keys))
	r.sameInTable(keys)
	if err := s.stop(t); err != nil {
		t.Error(err)
	}
}

// With the broker away the process ends in time all the same.
func TestGroupStopsWithoutBroker(t *testing.T) {
	t.Parallel()
	r := newToyRiver(t, 2, "")
	s := r.start((&toy{flags: rowWork}).config(r.conn))
	r.put("in", "a", "1")
	r.eventuallyLast(toyOut, map[string]string{"a": "1;"})
	r.fake().Close()
	time.Sleep(1200 * time.Millisecond) // a tick meets the dead broker
	began := time.Now()
	if err := s.stop(t); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

// A member that the group has thrown out begins anew, and nothing is lost.
func TestGroupSessionLost(t *testing.T) {
	r := newToyRiver(t, 2, "")
	var retries atomic.Int64
	cfg := (&toy{}).config(r.conn)
	cfg.Hooks.Retry = func(string, error, time.Duration) { retries.Add(1) }
	s := r.start(cfg)
	r.put("in", "a", "1")
	r.eventuallyLast(toyOut, map[string]string{"a": "1;"})
	r.fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID, Count: 1})
	until(t, "thrown out", func() bool { return retries.Load() > 0 })
	r.put("in", "a", "2")
	r.eventuallyLast(toyOut, map[string]string{"a": "1;2;"})
	s.stop(t)
}

// Static members: a restart gives the partitions back without a rebalance.
func TestGroupStaticMember(t *testing.T) {
	r := newToyRiver(t, 2, "")
	cfg := r.conn.Config()
	cfg.Instance = "one"
	conn, err := Dial(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	for i := range 3 {
		s := r.start((&toy{}).config(conn))
		r.put("in", "a", fmt.Sprint(i))
		until(t, "the output", func() bool { return strings.HasSuffix(r.last(toyOut)["a"], fmt.Sprint(i, ";")) })
		if err := s.stop(t); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.last(toyOut)["a"]; got != "0;1;2;" {
		t.Errorf("%q", got)
	}
}

// Recovery gives the same rows as before, whatever the table ends with.
func TestTableRecovery(t *testing.T) {
	r := newToyRiver(t, 1, "")
	keys := keysOf(500, 0, 1)
	s := r.start((&toy{}).config(r.conn))
	r.putAll("in", keys, "1", "2", "3")
	until(t, "all", func() bool { p := s.group.Positions(); return len(p) == 1 && p[0].Finished == 1500 })
	s.stop(t)
	if err := s.stop(t); err != nil {
		t.Fatal(err)
	}
	r.fake().Compact()
	r.transaction("toy-table", false)
	want := r.last(toyOut)
	s = r.start((&toy{}).config(r.conn))
	until(t, "recovered", s.group.Ready)
	if rows, _, _ := s.group.Rows(); rows != len(keys) {
		t.Errorf("%d rows", rows)
	}
	r.putAll("in", keys, "4")
	for k := range want {
		want[k] += "4;"
	}
	r.eventuallyLast(toyOut, want)
	s.stop(t)
}

// transaction ends a topic with an aborted transaction or an empty one: offsets
// without a record that anybody may see.
func (r *toyRiver) transaction(topic string, record bool) {
	r.t.Helper()
	client, err := r.conn.Client(kgo.TransactionalID("somebody"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()
	if err := client.BeginTransaction(); err != nil {
		r.t.Fatal(err)
	}
	value := []byte{0}
	if !record {
		value = nil
	}
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: r.conn.Topic(topic), Partition: 0, Key: []byte("nobody"), Value: value}).FirstErr(); err != nil {
		r.t.Fatal(err)
	}
	if err := client.EndTransaction(ctx, kgo.TryAbort); err != nil {
		r.t.Fatal(err)
	}
}

// The end of a partition is reached also when no record is left to say so.
func TestTableProbe(t *testing.T) {
	r := newToyRiver(t, 1, "")
	r.put("in", "a", "1")
	r.put("in", "a", "2")
	r.transaction("in", true) // offsets 2 and 3
	until(t, "the marker", func() bool {
		ends, err := inputEnds(context.Background(), r.conn, []string{"in"})
		return err == nil && ends[topicPartition{r.conn.Topic("in"), 0}] == 4
	})
	client, err := r.conn.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for at, want := range map[int64]int64{0: 0, 1: 1, 2: 2, 3: 4, 4: 4} {
		got, err := probeOffset(context.Background(), client, r.conn.Topic("in"), 0, at)
		if err != nil || got != want {
			t.Errorf("from %d: %d, want %d (%v)", at, got, want, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c, err := newTableConsumer(ctx, r.conn, func(err error) error { return err })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p, err := c.ConsumePartition("in", 0, 3)
	if err != nil {
		t.Fatal(err)
	}
	m := <-p.Messages()
	if m.Offset != 3 || m.Key != nil || m.Value != nil {
		t.Errorf("message at %d: %q %q", m.Offset, m.Key, m.Value)
	}
	if _, err := c.ConsumePartition("in", 0, 0); err == nil {
		t.Error("a partition can be read twice at once")
	}
	p.Close()
	if p, err = c.ConsumePartition("in", 0, 0); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1", "2"} {
		if m := <-p.Messages(); string(m.Value) != want {
			t.Errorf("%q, want %q", m.Value, want)
		}
	}
	p.Close()
}

func TestTableErrors(t *testing.T) {
	r := newToyRiver(t, 1, "")
	r.put("in", "a", "1")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	noted := make(chan error, 10)
	c, err := newTableConsumer(ctx, r.conn, func(err error) error { noted <- err; return err })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r.fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "in", Err: kerr.TopicAuthorizationFailed, Count: 1})
	p, err := c.ConsumePartition("in", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-p.Errors():
		if err := <-noted; !mustStop(err) {
			t.Errorf("%v is no reason to stop", err)
		}
		if err.Topic != "in" {
			t.Errorf("error of %s", err.Topic)
		}
	case <-time.After(5 * time.Second):
		t.Error("the error is not told")
	}
	p.AsyncClose()
	for range p.Messages() {
	}
}

// A new topic answers NOT_LEADER and UNKNOWN_TOPIC for a while.
func TestTopicManagerAsksAgain(t *testing.T) {
	r := newToyRiver(t, 2, "")
	m := &topicManager{ctx: context.Background(), conn: r.conn, note: func(err error) error { return err }}
	for i := range 3 {
		r.put("in", keysOf(1, 1, 2)[0], fmt.Sprint(i))
	}
	for _, k := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.UnknownTopicOrPartition, kerr.LeaderNotAvailable} {
		r.fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: "in", Err: k, Count: 2})
		if at, err := m.GetOffset("in", 1, sarama.OffsetNewest); err != nil || at != 3 {
			t.Errorf("%s: %d %v", k.Message, at, err)
		}
		if at, err := m.GetOffset("in", 1, sarama.OffsetOldest); err != nil || at != 0 {
			t.Errorf("%s: %d %v", k.Message, at, err)
		}
	}
	if _, err := m.GetOffset("in", 9, sarama.OffsetNewest); err == nil {
		t.Error("a partition that is not there has an offset")
	}
	if p, err := m.Partitions("in"); err != nil || len(p) != 2 {
		t.Errorf("%v %v", p, err)
	}
}

// The producer alone: outputs in order behind their rows, and nothing after an
// error.
func TestRowProducer(t *testing.T) {
	r := newToyRiver(t, 1, "")
	newOne := func() (*rowProducer, *atomic.Value) {
		client, err := r.conn.Client()
		if err != nil {
			t.Fatal(err)
		}
		var failed atomic.Value
		p := newRowProducer(client, r.conn.Topic, "toy-table", func(row []byte) bool { return row[0] == 'o' }, func(err error) { failed.Store(err) })
		t.Cleanup(func() { p.Close() })
		return p, &failed
	}
	p, failed := newOne()
	headers := func(row string, version int64) goka.Headers {
		return goka.Headers{headerRow: []byte(row), headerVersion: fmt.Append(nil, version), "b": []byte("2"), "a": []byte("1")}
	}
	var acked atomic.Int64
	for v := range int64(200) {
		row := fmt.Sprint("row", v%7)
		p.Emit("toy-table", row, fmt.Append(nil, "o", v)).Then(func(error) { acked.Add(1) })
		for i := range 3 {
			p.EmitWithHeaders(toyOut, "k", fmt.Append(nil, v, ".", i), headers(row, v)).Then(func(error) { acked.Add(1) })
		}
	}
	until(t, "all acknowledged", func() bool { return acked.Load() == 800 && p.pending() == 0 })
	lastOf := map[int64]string{}
	for _, rec := range r.all(toyOut) {
		var v, i int64
		fmt.Sscanf(string(rec.Value), "%d.%d", &v, &i)
		if now := fmt.Sprintf("%04d.%d", v, i); now <= lastOf[v%7] {
			t.Fatalf("%s after %s", now, lastOf[v%7])
		} else {
			lastOf[v%7] = now
		}
		if len(rec.Headers) != 2 || rec.Headers[0].Key != "a" {
			t.Fatalf("headers %v", rec.Headers)
		}
	}
	if !p.sent("row3", 199-199%7+3-7) || p.sent("row3", 4) || p.sent("nobody", 1) {
		t.Error("sent does not know what is out")
	}
	p.Emit("toy-table", "row3", []byte("paid")).Then(func(error) { acked.Add(1) })
	until(t, "the row", func() bool { return acked.Load() == 801 })
	p.mu.Lock()
	if p.rows["row3"] != nil || len(p.rows) != 6 {
		t.Errorf("%d rows are remembered", len(p.rows))
	}
	p.mu.Unlock()

	r.fake().Fault(produceFault("toy-table", kerr.PolicyViolation, 1))
	var errs atomic.Int64
	count := func(err error) {
		if err != nil {
			errs.Add(1)
		}
	}
	p.Emit("toy-table", "row1", []byte("x")).Then(count)
	p.EmitWithHeaders(toyOut, "k", []byte("never"), headers("row1", 1000)).Then(count)
	until(t, "both fail", func() bool { return errs.Load() == 2 })
	p.EmitWithHeaders(toyOut, "k", []byte("never"), nil).Then(count)
	if errs.Load() != 3 || failed.Load() == nil {
		t.Errorf("%d errors, %v", errs.Load(), failed.Load())
	}
	p.begin()
	p.EmitWithHeaders(toyOut, "k", []byte("again"), nil).Then(func(err error) { count(err); acked.Add(1) })
	until(t, "the next session", func() bool { return acked.Load() == 802 })
	if last := r.last(toyOut); last["k"] != "again" || errs.Load() != 3 {
		t.Errorf("%v, %d errors", last, errs.Load())
	}
}

func TestRowProducerBounds(t *testing.T) {
	r := newToyRiver(t, 1, "")
	client, err := r.conn.Client()
	if err != nil {
		t.Fatal(err)
	}
	p := newRowProducer(client, r.conn.Topic, "toy-table", func([]byte) bool { return false }, nil)
	defer p.Close()
	fault := r.fake().Fault(produceFault("toy-table", kerr.NotLeaderForPartition, -1))
	p.Emit("toy-table", "a", []byte("x"))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range maxWaitingOutputs + 10 {
			p.EmitWithHeaders(toyOut, "k", nil, goka.Headers{headerRow: []byte("a"), headerVersion: []byte("1")})
		}
	}()
	until(t, "full", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.waiting == maxWaitingOutputs })
	select {
	case <-done:
		t.Error("nothing holds the callback back")
	case <-time.After(50 * time.Millisecond):
	}
	fault.Remove()
	<-done
	until(t, "all out", func() bool { return p.pending() == 0 })
}
