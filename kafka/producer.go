package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Headers by which a callback ties an output to the table record that it must
// wait for (rule G1). They never reach the broker.
const (
	headerRow     = "row"     // key of the row
	headerVersion = "version" // of the row, decimal
	// headerTick marks what a tick emits. Goka is told at once that it is out: a
	// visit stands for no offset, and Goka would wait for ever for one that has
	// failed. Whoever ticks waits with ticksOut.
	headerTick = "tick"
)

// Limits of what a producer holds back.
const (
	maxWaitingOutputs     = 16_384
	maxWaitingOutputBytes = 32 << 20
	// maxSentVersions is how many acknowledged versions of one row are kept for
	// Sent. A row asks in each of its callbacks, so only those that were
	// acknowledged since its last one matter.
	maxSentVersions = 1_024
)

var (
	errSessionEnded   = errors.New("the session has ended")
	errProducerClosed = errors.New("the producer is closed")
)

// rowProducer is the goka.Producer of one keyed stage. It sends table records
// at once, and an output of a row only after the table record that was sent
// last for that row is acknowledged: row first (rule G1). Outputs of one row
// leave in the order in which they were emitted.
//
// The first error breaks it: everything that waits fails, and so does
// everything emitted until the next session. That is what ends the session.
type rowProducer struct {
	client *kgo.Client
	wire   func(topic string) string // the broker's name of a topic
	table  string                    // bare name
	owes   func(row []byte) bool     // the row owes outputs of a tick
	failed func(error)               // hears the first error

	mu      sync.Mutex
	changed sync.Cond // room, work for the sender, or the end
	rows    map[string]*rowOutbox
	open    map[*emission]struct{} // emitted, promise not settled
	ready   []*emission            // may leave, in order
	waiting int                    // held back or ready
	bytes   int                    // of those
	ticks   int                    // emissions of ticks that are open
	broken  error
	closed  bool
	ctx     context.Context // of the session; its end cancels what has not been sent
	cancel  context.CancelFunc
	sender  sync.WaitGroup
}

// rowOutbox is what one row has under way.
type rowOutbox struct {
	written, acked uint64      // table records sent and acknowledged
	held           []*emission // outputs that wait for a table record
	open           []openVersion
	sent           []int64 // versions without open outputs, while the row owes
	owes           bool
}

type openVersion struct {
	version int64
	outputs int
}

// emission is one record on its way.
type emission struct {
	record  *kgo.Record
	key     string // of the row; of a table record its own
	row     *rowOutbox
	after   uint64 // the table record that must be acknowledged first
	table   bool
	tick    bool
	session context.Context
	version int64
	promise goka.PromiseFinisher
}

// answer settles the promise. That of a tick's emission is settled already.
func (e *emission) answer(err error) {
	switch {
	case e.tick:
	case err != nil:
		e.promise(nil, err)
	default:
		e.promise(&sarama.ProducerMessage{Topic: e.record.Topic, Partition: e.record.Partition, Offset: e.record.Offset}, nil)
	}
}

func newRowProducer(client *kgo.Client, wire func(string) string, table string, owes func([]byte) bool, failed func(error)) *rowProducer {
	p := &rowProducer{client: client, wire: wire, table: table, owes: owes, failed: failed, open: make(map[*emission]struct{})}
	p.changed.L = &p.mu
	p.begin()
	p.sender.Go(p.send)
	return p
}

// begin makes the producer ready for a session.
func (p *rowProducer) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rows = make(map[string]*rowOutbox)
	p.broken, p.ticks = nil, 0
	if p.cancel != nil {
		p.cancel()
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
}

// Emit implements goka.Producer.
func (p *rowProducer) Emit(topic, key string, value []byte) *goka.Promise {
	return p.EmitWithHeaders(topic, key, value, nil)
}

// EmitWithHeaders implements goka.Producer. It waits while too much is held
// back; acknowledgements alone make room, so that ends.
func (p *rowProducer) EmitWithHeaders(topic, key string, value []byte, headers goka.Headers) *goka.Promise {
	promise, settle := goka.NewPromiseWithFinisher()
	e := &emission{
		record:  &kgo.Record{Topic: p.wire(topic), Key: []byte(key), Value: value, Headers: recordHeaders(headers)},
		promise: settle,
	}
	_, e.tick = headers[headerTick]
	var err error
	switch row, ok := headers[headerRow]; {
	case topic == p.table:
		e.key, e.table = key, true
		err = p.write(e)
	case ok:
		e.key = string(row)
		e.version, err = strconv.ParseInt(string(headers[headerVersion]), 10, 64)
		if err != nil {
			p.fail(fmt.Errorf("emitting to %s: reading header %s: %w", topic, headerVersion, err))
		}
		err = p.hold(e, true)
	default:
		err = p.hold(e, false)
	}
	if e.tick {
		settle(nil, nil)
	} else if err != nil {
		settle(nil, err)
	}
	return promise
}

// recordHeaders gives what the broker gets to see, in a fixed order.
func recordHeaders(headers goka.Headers) []kgo.RecordHeader {
	if len(headers) == 0 {
		return nil
	}
	list := make([]kgo.RecordHeader, 0, len(headers))
	for k, v := range headers {
		if k != headerRow && k != headerVersion && k != headerTick {
			list = append(list, kgo.RecordHeader{Key: k, Value: v})
		}
	}
	slices.SortFunc(list, func(a, b kgo.RecordHeader) int { return cmp.Compare(a.Key, b.Key) })
	return list
}

// write sends a table record.
func (p *rowProducer) write(e *emission) error {
	p.mu.Lock()
	if p.broken != nil {
		defer p.mu.Unlock()
		return p.broken
	}
	e.row = p.outbox(e.key)
	e.row.written++
	e.after = e.row.written
	e.row.owes = p.owes(e.record.Value)
	if !e.row.owes {
		e.row.sent = nil
	}
	p.take(e)
	ctx := p.ctx
	p.mu.Unlock()
	// Outside the lock: this waits while the client's buffer is full, and only
	// promises, which take the lock, empty it.
	p.client.Produce(ctx, e.record, func(_ *kgo.Record, err error) { p.acked(e, err) })
	return nil
}

// take notes that e is under way.
func (p *rowProducer) take(e *emission) {
	p.open[e] = struct{}{}
	e.session = p.ctx
	if e.tick {
		p.ticks++
	}
}

// hold takes an output. One of a row waits for the row's table record.
func (p *rowProducer) hold(e *emission, ofRow bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.broken == nil && (p.waiting >= maxWaitingOutputs || p.bytes >= maxWaitingOutputBytes) {
		p.changed.Wait()
	}
	if p.broken != nil {
		return p.broken
	}
	p.take(e)
	p.waiting++
	p.bytes += len(e.record.Value)
	if !ofRow {
		p.release(e)
		return nil
	}
	row := p.outbox(e.key)
	e.row, e.after = row, row.written
	row.begin(e.version)
	if len(row.held) == 0 && row.acked >= e.after {
		p.release(e)
		return nil
	}
	row.held = append(row.held, e)
	return nil
}

func (p *rowProducer) outbox(key string) *rowOutbox {
	row := p.rows[key]
	if row == nil {
		row = new(rowOutbox)
		p.rows[key] = row
	}
	return row
}

// release lets an output go. The sender produces it: this may run in a promise
// of the client, where producing could wait for itself.
func (p *rowProducer) release(e *emission) {
	p.ready = append(p.ready, e)
	p.changed.Broadcast()
}

// send produces what is ready, until the producer is closed.
func (p *rowProducer) send() {
	for {
		p.mu.Lock()
		for len(p.ready) == 0 && !p.closed {
			p.changed.Wait()
		}
		if p.closed {
			p.mu.Unlock()
			return
		}
		batch, ctx := p.ready, p.ctx
		p.ready = nil
		for _, e := range batch {
			p.waiting--
			p.bytes -= len(e.record.Value)
		}
		p.changed.Broadcast()
		p.mu.Unlock()
		for _, e := range batch {
			p.client.Produce(ctx, e.record, func(_ *kgo.Record, err error) { p.acked(e, err) })
		}
	}
}

// acked takes the broker's answer to one record.
func (p *rowProducer) acked(e *emission, err error) {
	p.mu.Lock()
	_, ok := p.open[e]
	if ok && err == nil {
		delete(p.open, e)
	}
	p.mu.Unlock()
	switch {
	case !ok: // the session ended before the answer came
		return
	case err != nil:
		p.fail(fmt.Errorf("producing to %s: %w", e.record.Topic, err))
		return
	}
	// Goka hears of it first and without the lock: it notes the offset, and may
	// commit the message.
	e.answer(nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.tick && p.ctx == e.session {
		p.ticks--
		p.changed.Broadcast()
	}
	if e.row == nil {
		return
	}
	if e.table {
		e.row.acked = max(e.row.acked, e.after)
		for len(e.row.held) > 0 && e.row.held[0].after <= e.row.acked {
			p.release(e.row.held[0])
			e.row.held = e.row.held[1:]
		}
	} else {
		e.row.finish(e.version)
	}
	if e.row.idle() && p.rows[e.key] == e.row {
		delete(p.rows, e.key)
	}
}

// begin notes an output of version.
func (r *rowOutbox) begin(version int64) {
	for i := range r.open {
		if r.open[i].version == version {
			r.open[i].outputs++
			return
		}
	}
	r.open = append(r.open, openVersion{version, 1})
	// Sent again: not known to be out until all of it is.
	r.sent = slices.DeleteFunc(r.sent, func(v int64) bool { return v == version })
}

// finish notes that an output of version is acknowledged.
func (r *rowOutbox) finish(version int64) {
	i := slices.IndexFunc(r.open, func(o openVersion) bool { return o.version == version })
	if i < 0 {
		return
	}
	if r.open[i].outputs--; r.open[i].outputs > 0 {
		return
	}
	r.open = slices.Delete(r.open, i, i+1)
	if !r.owes {
		return
	}
	if len(r.sent) == maxSentVersions {
		r.sent = slices.Delete(r.sent, 0, 1)
	}
	r.sent = append(r.sent, version)
}

// idle reports whether nothing has to be remembered of the row.
func (r *rowOutbox) idle() bool {
	return r.acked == r.written && len(r.held) == 0 && len(r.open) == 0 && !r.owes
}

// sent reports whether all outputs of that version of a row are acknowledged,
// as far as this session has sent them.
func (p *rowProducer) sent(key string, version int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	row := p.rows[key]
	return row != nil && slices.Contains(row.sent, version)
}

// pending returns how many records are not acknowledged.
func (p *rowProducer) pending() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

// ticksOut waits until all that ticks have emitted is acknowledged.
func (p *rowProducer) ticksOut(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.changed.Broadcast()
	})()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.ticks > 0 && p.broken == nil && ctx.Err() == nil {
		p.changed.Wait()
	}
	if p.broken != nil {
		return p.broken
	}
	return ctx.Err()
}

// fail breaks the producer: what is open fails, what has not been sent never
// will be.
func (p *rowProducer) fail(err error) {
	p.mu.Lock()
	first := p.broken == nil
	if first {
		p.broken = err
	}
	err = p.broken
	p.cancel()
	lost := p.open
	p.open = make(map[*emission]struct{})
	p.ready, p.waiting, p.bytes = nil, 0, 0
	p.changed.Broadcast()
	p.mu.Unlock()
	if first && p.failed != nil && !errors.Is(err, errSessionEnded) {
		p.failed(err)
	}
	for e := range lost {
		e.answer(err)
	}
}

// Close implements goka.Producer.
func (p *rowProducer) Close() error {
	p.fail(errSessionEnded)
	p.mu.Lock()
	p.closed, p.broken = true, errProducerClosed
	p.changed.Broadcast()
	p.mu.Unlock()
	// The client first: it lets go of a Produce that waits for room.
	p.client.Close()
	p.sender.Wait()
	return nil
}
