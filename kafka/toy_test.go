package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"auscult/schemas"
)

// The stage of these tests: every message adds its text to the row of its key
// and sends all texts so far; a tick adds "tick". It follows rule G1 as simply
// as can be.
//
// A row is [flags][version 8][applied of in1, in2: 8 each], then owed outputs
// and the texts, as text: "owed|owed#text;text;".
type toyRow struct {
	flags   uint8
	version int64
	applied [2]int64
	owed    []toyOwed
	texts   string
}

type toyOwed struct {
	input  int // 2 = tick
	offset int64
	value  string
}

func readToy(v any) toyRow {
	r := toyRow{applied: [2]int64{-1, -1}}
	b, ok := v.([]byte)
	if !ok {
		return r
	}
	r.flags = b[0]
	r.version = int64(binary.BigEndian.Uint64(b[1:]))
	for i := range r.applied {
		r.applied[i] = int64(binary.BigEndian.Uint64(b[9+8*i:]))
	}
	owed, texts, _ := strings.Cut(string(b[25:]), "#")
	r.texts = texts
	for _, o := range strings.Split(owed, "|") {
		if f := strings.SplitN(o, ",", 3); len(f) == 3 {
			input, _ := strconv.Atoi(f[0])
			offset, _ := strconv.ParseInt(f[1], 10, 64)
			r.owed = append(r.owed, toyOwed{input, offset, f[2]})
		}
	}
	return r
}

func (r *toyRow) bytes() []byte {
	r.flags &^= rowOwes
	b := []byte{0}
	b = binary.BigEndian.AppendUint64(b, uint64(r.version))
	for _, a := range r.applied {
		b = binary.BigEndian.AppendUint64(b, uint64(a))
	}
	for i, o := range r.owed {
		if i > 0 {
			b = append(b, '|')
		}
		if o.input == 2 {
			r.flags |= rowOwes
		}
		b = fmt.Appendf(b, "%d,%d,%s", o.input, o.offset, o.value)
	}
	b[0] = r.flags
	return append(append(b, '#'), r.texts...)
}

type toyProgress interface {
	goka.Context
	Finished(topic string) int64
	Sent(key string, version int64) bool
	WaitFinished(topic string, offset int64) error
	Hold(topic string, on bool)
	Generation(topic string) string
}

// toy is the stage.
type toy struct {
	inputs []string
	before func(ctx toyProgress, text string) // of a message
	ticks  func(kind string, key string, r *toyRow) bool
	flags  uint8                           // of every row
	topic  func(text string) string        // of an output; nil = toyOut
	fold   func(texts, text string) string // nil = all texts
}

const toyOut = "out"

func (s *toy) message(input int) goka.ProcessCallback {
	return func(gctx goka.Context, msg any) {
		ctx := gctx.(toyProgress)
		text := string(msg.([]byte))
		if s.before != nil {
			s.before(ctx, text)
		}
		r := readToy(ctx.Value())
		s.prune(ctx, &r)
		if ctx.Offset() <= r.applied[input] {
			ctx.SetValue(r.bytes())
			for _, o := range r.owed {
				if o.input == input && o.offset == ctx.Offset() {
					s.emit(ctx, o.value, r.version)
				}
			}
			return
		}
		r.version++
		r.applied[input] = ctx.Offset()
		if s.fold == nil {
			r.texts += text + ";"
		} else {
			r.texts = s.fold(r.texts, text)
		}
		r.flags = s.flags
		r.owed = append(r.owed, toyOwed{input, ctx.Offset(), r.texts})
		ctx.SetValue(r.bytes())
		s.emit(ctx, r.texts, r.version)
	}
}

func (s *toy) prune(ctx toyProgress, r *toyRow) {
	r.owed = slices.DeleteFunc(r.owed, func(o toyOwed) bool {
		if o.input == 2 {
			return ctx.Sent(ctx.Key(), o.offset)
		}
		return o.offset < ctx.Finished(s.inputs[o.input])
	})
}

func (s *toy) emit(ctx goka.Context, value string, version int64) {
	topic := goka.Stream(toyOut)
	if s.topic != nil {
		topic = goka.Stream(s.topic(strings.TrimSuffix(value, ";")))
	}
	ctx.Emit(topic, ctx.Key(), []byte(value), goka.WithCtxEmitHeaders(goka.Headers{
		headerRow: []byte(ctx.Key()), headerVersion: strconv.AppendInt(nil, version, 10), schemas.HeaderContentType: []byte("text"),
	}))
}

func (s *toy) tick(gctx goka.Context, meta any) {
	ctx := gctx.(toyProgress)
	r := readToy(ctx.Value())
	s.prune(ctx, &r)
	changed := s.ticks != nil && s.ticks(meta.(string), ctx.Key(), &r)
	if changed {
		r.version++
		r.owed = append(r.owed, toyOwed{2, r.version, r.texts})
	}
	ctx.SetValue(r.bytes())
	for _, o := range r.owed {
		if o.input == 2 {
			s.emit(ctx, o.value, o.offset)
		}
	}
}

func (s *toy) config(conn *Conn) GroupConfig {
	if s.inputs == nil {
		s.inputs = []string{"in"}
	}
	cfg := GroupConfig{
		Stage: "toy", Conn: conn, Outputs: []string{toyOut},
		Tick: s.tick, TickWork: "work", TickIdle: "idle", TickEnd: "end",
		RowFlags: func(row []byte) uint8 { return row[0] },
		RowNext:  func(row []byte, input int) int64 { r := readToy(row); return r.applied[input] + 1 },
	}
	for i, topic := range s.inputs {
		cfg.Inputs = append(cfg.Inputs, GroupInput{topic, s.message(i)})
	}
	return cfg
}

// toyRiver is a broker with the toy's topics.
type toyRiver struct {
	t       *testing.T
	cluster *kfake.Cluster
	conn    *Conn
	client  *kgo.Client
}

// brokersVariable names a running broker for those of these tests that need no
// faults. Each makes topics of its own there.
const brokersVariable = "AUSCULT_TEST_BROKERS"

func newToyRiver(t *testing.T, partitions int32, prefix string, inputs ...string) *toyRiver {
	t.Helper()
	if len(inputs) == 0 {
		inputs = []string{"in"}
	}
	if brokers := os.Getenv(brokersVariable); brokers != "" {
		return newToyRiverOn(t, nil, strings.Split(brokers, ","), partitions, fmt.Sprintf("%st%d.", prefix, time.Now().UnixNano()), inputs)
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return newToyRiverOn(t, cluster, cluster.ListenAddrs(), partitions, prefix, inputs)
}

func newToyRiverOn(t *testing.T, cluster *kfake.Cluster, addrs []string, partitions int32, prefix string, inputs []string) *toyRiver {
	t.Helper()
	profile := EmbeddedProfile
	if cluster == nil {
		profile = Kafka
	}
	conn, err := Dial(Config{Profile: profile, Brokers: addrs, Prefix: prefix, Partitions: int(partitions), SessionTimeout: embeddedSessionTimeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	client, err := conn.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	r := &toyRiver{t, cluster, conn, client}
	for _, topic := range append([]string{toyOut, "dead-letters"}, inputs...) {
		r.create(topic, partitions, "delete")
	}
	r.create("toy-table", partitions, "compact")
	return r
}

// fake returns the broker for tests that make it fail.
func (r *toyRiver) fake() *kfake.Cluster {
	r.t.Helper()
	if r.cluster == nil {
		r.t.Skip("this needs a broker that fails on demand")
	}
	return r.cluster
}

func (r *toyRiver) create(topic string, partitions int32, cleanup string) {
	r.t.Helper()
	never := "-1"
	_, err := r.conn.Admin().CreateTopic(context.Background(), partitions, 1, map[string]*string{"cleanup.policy": &cleanup, "retention.ms": &never}, r.conn.Topic(topic))
	if err == nil {
		err = waitTopic(context.Background(), r.conn, topic)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *toyRiver) put(topic, key, value string) {
	r.t.Helper()
	if err := r.client.ProduceSync(context.Background(), &kgo.Record{Topic: r.conn.Topic(topic), Key: []byte(key), Value: []byte(value)}).FirstErr(); err != nil {
		r.t.Fatal(err)
	}
}

// all returns what a topic holds, by partition and offset.
func (r *toyRiver) all(topic string) []*kgo.Record {
	r.t.Helper()
	ends, err := inputEnds(context.Background(), r.conn, []string{topic})
	if err != nil {
		r.t.Fatal(err)
	}
	client, err := r.conn.Client(kgo.ConsumeTopics(r.conn.Topic(topic)), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(20*time.Millisecond))
	if err != nil {
		r.t.Fatal(err)
	}
	defer client.Close()
	want := int64(0)
	for _, end := range ends {
		want += end
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var list []*kgo.Record
	for int64(len(list)) < want && ctx.Err() == nil {
		list = append(list, client.PollFetches(ctx).Records()...)
	}
	return list
}

// last returns the last value of each key.
func (r *toyRiver) last(topic string) map[string]string {
	last := make(map[string]string)
	for _, rec := range r.all(topic) {
		last[string(rec.Key)] = string(rec.Value)
	}
	return last
}

func (r *toyRiver) committed(topic string, partition int32) (int64, CommitMeta) {
	r.t.Helper()
	offsets, err := r.conn.Admin().FetchOffsets(context.Background(), r.conn.Group("toy"))
	if errors.Is(err, kerr.GroupIDNotFound) {
		return -1, CommitMeta{}
	}
	if err != nil {
		r.t.Fatal(err)
	}
	o, ok := offsets.Lookup(r.conn.Topic(topic), partition)
	if !ok {
		return -1, CommitMeta{}
	}
	meta, _ := ParseCommitMeta(o.Metadata)
	return o.At, meta
}

// started is a stage that runs.
type started struct {
	group  *Group
	cancel context.CancelFunc
	done   chan error
	once   sync.Once
	err    error
}

func (r *toyRiver) start(cfg GroupConfig) *started {
	r.t.Helper()
	g, err := NewGroup(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &started{group: g, cancel: cancel, done: make(chan error, 1)}
	go func() { s.done <- g.Run(ctx) }()
	r.t.Cleanup(func() { s.stop(r.t) })
	return s
}

func (s *started) stop(t *testing.T) error {
	s.cancel()
	s.once.Do(func() {
		select {
		case s.err = <-s.done:
		case <-time.After(20 * time.Second):
			t.Error("the stage does not end")
		}
	})
	return s.err
}

// ends returns the error with which the stage ends by itself.
func (s *started) ends(t *testing.T) error {
	t.Helper()
	s.once.Do(func() {
		select {
		case s.err = <-s.done:
		case <-time.After(20 * time.Second):
			t.Error("the stage goes on")
		}
	})
	return s.err
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func (r *toyRiver) eventuallyLast(topic string, want map[string]string) {
	r.t.Helper()
	var got map[string]string
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if got = r.last(topic); maps.Equal(got, want) {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%s holds %v, want %v", topic, got, want)
		}
	}
}

func produceFault(topic string, err *kerr.Error, count int) kfake.Fault {
	return kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: err, Count: count}
}

// recreate deletes a topic and makes one of the same name.
func (r *toyRiver) recreate(topic string, partitions int32) {
	r.t.Helper()
	if _, err := r.conn.Admin().DeleteTopic(context.Background(), r.conn.Topic(topic)); err != nil {
		r.t.Fatal(err)
	}
	r.create(topic, partitions, "delete")
}

// commit sets what the group has committed; below zero nothing.
func (r *toyRiver) commit(topic string, partition int32, at int64, meta CommitMeta) {
	r.t.Helper()
	if at >= 0 {
		r.commitMeta("toy", topic, partition, at, meta.String())
	} else if _, err := r.conn.Admin().DeleteGroup(context.Background(), r.conn.Group("toy")); err != nil {
		r.t.Fatal(err)
	}
}

func (r *toyRiver) commitFor(stage, topic string, partition int32, at int64) {
	r.t.Helper()
	r.commitMeta(stage, topic, partition, at, "")
}

func (r *toyRiver) commitMeta(stage, topic string, partition int32, at int64, meta string) {
	r.t.Helper()
	group := r.conn.Group(stage)
	offset := kadm.Offset{Topic: r.conn.Topic(topic), Partition: partition, At: at, LeaderEpoch: -1, Metadata: meta}
	offsets := kadm.Offsets{}
	offsets.Add(offset)
	until(r.t, "the commit", func() bool {
		client, err := r.conn.Client() // the connection's knows the ids of topics that are gone
		if err != nil {
			r.t.Fatal(err)
		}
		defer client.Close()
		return kadm.NewClient(client).CommitAllOffsets(context.Background(), group, offsets) == nil
	})
}

// keysOf returns n keys of a partition.
func keysOf(n int, partition, partitions int32) []string {
	var keys []string
	for i := 0; len(keys) < n; i++ {
		if key := fmt.Sprint("key", i); schemas.PartitionOf(key, partitions) == partition {
			keys = append(keys, key)
		}
	}
	return keys
}

// putAll produces many messages at once, value after value.
func (r *toyRiver) putAll(topic string, keys []string, values ...string) {
	r.t.Helper()
	if err := r.produce(topic, keys, values...); err != nil {
		r.t.Fatal(err)
	}
}

func (r *toyRiver) produce(topic string, keys []string, values ...string) error {
	var records []*kgo.Record
	for _, v := range values {
		for _, k := range keys {
			records = append(records, &kgo.Record{Topic: r.conn.Topic(topic), Key: []byte(k), Value: []byte(v)})
		}
	}
	return r.client.ProduceSync(context.Background(), records...).FirstErr()
}
