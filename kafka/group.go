package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"log"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// How a keyed stage is run.
const (
	groupWaitFirst = 100 * time.Millisecond // before the first restart
	groupWaitMost  = 10 * time.Second
	groupHealthy   = time.Minute // of running, after which waits begin anew
	partitionQueue = 16          // messages of all inputs that wait in Goka's queue of one partition
	tickName       = "tick"
)

// GroupInput is one input of a keyed stage. All inputs have the same keys and
// as many partitions as the stage's table.
type GroupInput struct {
	Topic string // bare name
	Do    goka.ProcessCallback
}

// Upstream is a group whose lag must be known before a key can be called
// silent (rule G9).
type Upstream struct {
	Conn   *Conn
	Stage  string   // gives the name of the group
	Topics []string // bare names of what it reads
}

// GroupConfig says how to run one keyed stage. Callbacks get messages and rows
// as []byte and see bare topic names, whatever the prefix is. Rows belong to
// the transport once they are set, and may not be changed when they are read.
//
// Their goka.Context has more methods than Goka's own:
//
//	Finished(topic string) int64                          // first offset not finished, -1 = not known
//	Sent(key string, version int64) bool                  // outputs of a tick are acknowledged
//	Touched(key string) bool                              // this session has written the row
//	WaitFinished(topic string, offset int64) error        // until offset and all before are finished
//	Hold(topic string, on bool)                           // stop that input of the partition while any key asks
//	Generation(topic string) string                       // of an input
//
// An output emitted with headers "row" and "version" waits for the table record
// that the callback has set; the headers do not leave the process (rule G1).
type GroupConfig struct {
	Stage   string // name of the stage and, with the prefix, of its group; its table is called Stage-table
	Conn    *Conn
	Inputs  []GroupInput
	Outputs []string // bare names

	// Tick is called for rows that are due, with one of the three values as its
	// message: the row has work or owes outputs, its key is silent, the run ends.
	Tick                        goka.ProcessCallback
	TickWork, TickIdle, TickEnd any
	// RowFlags reads the flags of a row: bit 0 its key may fall silent, bit 1 it
	// has work for a tick, bit 2 it owes the outputs of a tick, bit 3 it holds
	// values that wait: how many such rows a partition has is committed with its
	// offsets (rule G15).
	RowFlags func(row []byte) uint8
	// RowNext returns the offset after the highest one of an input that the row
	// has applied, 0 = none. With it, rows that are ahead of their input stop
	// the stage (rule G6).
	RowNext func(row []byte, input int) int64
	// IdleAfter is how long a key must say nothing to be silent; 0 = no key ever is.
	// With RowNext only the first input's messages are words of a key.
	IdleAfter time.Duration
	Upstream  []Upstream // in the order of the river

	// AcceptGap lets the stage go on when records it has not read are gone; a
	// dead letter names them. Without it the stage stops (rule G6).
	AcceptGap bool

	Hooks Hooks
	Stats *Stats
	// Ticked tells how many rows a tick has visited and how long it took.
	Ticked func(stage string, rows int64, took time.Duration)
}

func (c *GroupConfig) check() error {
	switch {
	case c.Stage == "" || c.Conn == nil || len(c.Inputs) == 0:
		return errors.New("a keyed stage needs a name, a connection and an input")
	case c.Tick == nil || c.RowFlags == nil:
		return fmt.Errorf("%s: a keyed stage needs Tick and RowFlags", c.Stage)
	}
	return nil
}

func (c *GroupConfig) table() string { return string(goka.GroupTable(goka.Group(c.Stage))) }

func (c *GroupConfig) topics() []string {
	topics := make([]string, len(c.Inputs))
	for i, in := range c.Inputs {
		topics[i] = in.Topic
	}
	return topics
}

// stopError is an error that comes again whatever is tried: wrong
// configuration, a topic of another world, or our own bug.
type stopError struct{ err error }

// Error returns the text of what it wraps.
func (e *stopError) Error() string { return e.err.Error() }

// Unwrap returns what it wraps.
func (e *stopError) Unwrap() error { return e.err }

// passingError is an error that a new start gets over, whatever it wraps.
type passingError struct{ err error }

// Error returns the text of what it wraps.
func (e *passingError) Error() string { return e.err.Error() }

// Unwrap returns what it wraps.
func (e *passingError) Unwrap() error { return e.err }

// mustStop tells what comes again from what may pass.
func mustStop(err error) bool {
	var passing *passingError
	var stop *stopError
	switch {
	case errors.As(err, &passing):
		return false
	case errors.As(err, &stop):
		return true
	}
	var lost *kgo.ErrDataLoss
	return errors.As(err, &lost) || slices.ContainsFunc(hopeless, func(k *kerr.Error) bool { return errors.Is(err, k) })
}

// hopeless are the broker's answers that no second try changes.
var hopeless = []*kerr.Error{
	kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.InvalidTimestamp, kerr.UnsupportedForMessageFormat, kerr.UnsupportedVersion,
	kerr.OffsetOutOfRange, kerr.UnknownTopicID, kerr.InconsistentTopicID,
	kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.SaslAuthenticationFailed,
	kerr.FencedInstanceID, kerr.InvalidSessionTimeout,
}

func stopf(format string, args ...any) error { return &stopError{fmt.Errorf(format, args...)} }

// Group runs one keyed stage in this process.
type Group struct {
	cfg GroupConfig

	mu  sync.Mutex
	run *groupRun // of the processor that runs now
}

// NewGroup prepares a keyed stage.
func NewGroup(cfg GroupConfig) (*Group, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return &Group{cfg: cfg}, nil
}

// Run runs the stage until ctx ends (nil) or the stage must stop (why). Errors
// that may pass are answered with a new processor, after a while.
func (g *Group) Run(ctx context.Context) error {
	for _, topic := range slices.Concat(g.cfg.topics(), g.cfg.Outputs, []string{g.cfg.table()}) {
		if err := waitTopic(ctx, g.cfg.Conn, topic); err != nil {
			return stopReason(ctx, g.cfg.Stage, err)
		}
	}
	wait := groupWaitFirst
	for {
		began := time.Now()
		err := g.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if mustStop(err) {
			return stopReason(ctx, g.cfg.Stage, err)
		}
		if time.Since(began) > groupHealthy {
			wait = groupWaitFirst
		}
		g.cfg.Hooks.retry(g.cfg.Stage, err, wait)
		if sleep(ctx, wait) != nil {
			return nil
		}
		wait = min(2*wait, groupWaitMost)
	}
}

// once runs one processor to its end.
func (g *Group) once(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	run := &groupRun{cfg: &g.cfg, ctx: ctx, stores: make(map[int32]*rowStore)}
	processor, err := goka.NewProcessor(g.cfg.Conn.Config().Brokers, g.graph(), run.options()...)
	if err == nil {
		run.processor = processor
		g.use(run)
		err = processor.Run(ctx)
		g.use(nil)
	}
	if cause := run.cause(); cause != nil {
		return cause
	}
	if err != nil {
		// What none of our parts has seen comes from Goka itself or is a panic in
		// a callback; neither goes away.
		return &stopError{err}
	}
	return errors.New("the processor has ended")
}

func (g *Group) use(run *groupRun) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.run = run
}

// session returns the session of now, nil when there is none.
func (g *Group) session() *groupSession {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.run == nil {
		return nil
	}
	return g.run.currentSession()
}

func (g *Group) graph() *goka.GroupGraph {
	edges := []goka.Edge{goka.Persist(bytesCodec{}), goka.Visitor(tickName, g.tick)}
	for _, in := range g.cfg.Inputs {
		edges = append(edges, goka.Input(goka.Stream(in.Topic), bytesCodec{}, in.Do))
	}
	for _, out := range g.cfg.Outputs {
		edges = append(edges, goka.Output(goka.Stream(out), bytesCodec{}))
	}
	return goka.DefineGroup(goka.Group(g.cfg.Stage), edges...)
}

// tick calls the stage's, unless the ticks of the session have ended: what
// Goka has still in its queue then passes quickly.
func (g *Group) tick(ctx goka.Context, meta any) {
	if c, ok := ctx.(*groupContext); ok && !c.session.quiet.Load() {
		g.cfg.Tick(ctx, meta)
	}
}

// bytesCodec leaves messages and rows as they are: what cannot be read is the
// stage's to make a dead letter of, and must not end the processor.
type bytesCodec struct{}

// Encode implements goka.Codec.
func (bytesCodec) Encode(value any) ([]byte, error) {
	b, ok := value.([]byte)
	if !ok {
		return nil, fmt.Errorf("emitting %T where bytes are expected", value)
	}
	return b, nil
}

// Decode implements goka.Codec.
func (bytesCodec) Decode(data []byte) (any, error) { return data, nil }

// groupRun is what the parts of one processor share: Goka knows them only one
// by one.
type groupRun struct {
	cfg       *GroupConfig
	ctx       context.Context
	processor *goka.Processor // set before any session begins

	mu       sync.Mutex
	first    error // what began its end
	producer *rowProducer
	group    *consumerGroup
	stores   map[int32]*rowStore
	session  *groupSession
}

// note keeps the first error: Goka passes errors on as text, and what is to be
// done depends on their type.
func (r *groupRun) note(err error) error {
	if err == nil || r.ctx.Err() != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first == nil {
		r.first = err
	}
	return err
}

// fail keeps the first error and ends the processor.
func (r *groupRun) fail(err error) {
	_ = r.note(err)
	r.mu.Lock()
	group := r.group
	r.mu.Unlock()
	if group != nil {
		group.fail(err)
	}
}

func (r *groupRun) newGroup() *consumerGroup {
	g := newConsumerGroup(r)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.group = g
	return g
}

func (r *groupRun) cause() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.first
}

func (r *groupRun) currentSession() *groupSession {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.session
}

func (r *groupRun) setSession(s *groupSession) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.session = s
}

// leaveSession forgets the session and the rows it had.
func (r *groupRun) leaveSession() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.session = nil
	r.stores = make(map[int32]*rowStore)
}

func (r *groupRun) store(partition int32) *rowStore {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stores[partition]
}

// options gives Goka our parts for its own. It names topics as we do, without
// the prefix; the parts add it where they speak to the broker.
func (r *groupRun) options() []goka.ProcessorOption {
	return []goka.ProcessorOption{
		goka.WithClientID(clientID),
		goka.WithLogger(log.New(io.Discard, "", 0)), // its texts hold keys; hooks tell what happens
		goka.WithPartitionChannelSize(partitionQueue),
		goka.WithTopicManagerBuilder(func([]string) (goka.TopicManager, error) {
			return &topicManager{ctx: r.ctx, conn: r.cfg.Conn, note: r.note}, nil
		}),
		goka.WithConsumerSaramaBuilder(func([]string, string) (sarama.Consumer, error) {
			c, err := newTableConsumer(r.ctx, r.cfg.Conn, r.note)
			return c, r.note(err)
		}),
		goka.WithProducerBuilder(func([]string, string, func() hash.Hash32) (goka.Producer, error) { return r.newProducer() }),
		goka.WithConsumerGroupBuilder(func([]string, string, string) (sarama.ConsumerGroup, error) { return r.newGroup(), nil }),
		goka.WithStorageBuilder(func(_ string, partition int32) (storage.Storage, error) { return r.newStore(partition), nil }),
		goka.WithContextWrapper(func(ctx goka.Context) goka.Context {
			return &groupContext{gokaContext: ctx, session: r.currentSession(), tick: ctx.Topic() == tickName}
		}),
	}
}

func (r *groupRun) newProducer() (*rowProducer, error) {
	client, err := r.cfg.Conn.Client(kgo.WithHooks(throttleHook{r.cfg.Stage, &r.cfg.Hooks}))
	if err != nil {
		return nil, r.note(err)
	}
	owes := func(row []byte) bool { return r.cfg.RowFlags(row)&rowOwes != 0 }
	p := newRowProducer(client, r.cfg.Conn.Topic, r.cfg.table(), owes, r.fail)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.producer = p
	return p, nil
}

// newStore makes the store of a partition that was just assigned: always an
// empty one, so that nothing can be in it that is not in the table.
func (r *groupRun) newStore(partition int32) *rowStore {
	s := newRowStore(len(r.cfg.Inputs), r.cfg.RowFlags, r.cfg.RowNext)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stores[partition] = s
	return s
}

// GroupPartition is how far a keyed stage is in one partition of one input.
type GroupPartition struct {
	Topic     string // bare name
	Partition int32
	Finished  int64 // first offset that is not finished
	End       int64 // of the topic, as of the last look
	InFlight  int   // delivered and not finished
	Buffered  int   // fetched and not delivered
	Held      bool  // the stage does not take this input now (rule G14)
}

// Positions returns where this process is in each partition that it has, in
// order of partition and topic.
func (g *Group) Positions() []GroupPartition {
	s := g.session()
	if s == nil {
		return nil
	}
	list := make([]GroupPartition, 0, len(s.claims))
	for _, c := range s.claims {
		list = append(list, c.position())
	}
	slices.SortFunc(list, func(a, b GroupPartition) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Topic, b.Topic))
	})
	return list
}

// Rows returns how many rows this process has and how many of them wait for a
// tick: silence, or work.
func (g *Group) Rows() (rows, silent, work int) {
	s := g.session()
	if s == nil {
		return 0, 0, 0
	}
	for _, p := range s.partitions {
		store := s.run.store(p)
		if store == nil { // not read yet, or given back
			continue
		}
		c := store.counts()
		rows, silent, work = rows+c.rows, silent+c.silent, work+c.work
	}
	return rows, silent, work
}

// Ready reports whether the stage is a member of its group and has read its
// rows.
func (g *Group) Ready() bool {
	s := g.session()
	return s != nil && s.began()
}
