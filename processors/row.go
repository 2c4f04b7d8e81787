package processors

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"

	"github.com/lovoo/goka"

	"auscult/schemas"
	"auscult/state"
)

// TickKind says why a row is visited without a message.
type TickKind int

// The kinds of ticks.
const (
	TickWork TickKind = iota // the row has work left, or owes the outputs of a tick
	TickIdle                 // the key has been silent for idleAfter, as rule G9 counts it
	TickEnd                  // the run ends (drained)
)

// Headers that tell the transport behind which table record an output waits.
// It strips both before the record leaves.
const (
	HeaderRow     = "row"     // key of the row
	HeaderVersion = "version" // of the row, decimal; what Progress.Sent is asked about
)

// Progress is what the transport knows of its own outputs. The transport's
// goka.Context implements it; so do the drivers of tests and replay. A context
// without it is taken to have finished all that went before.
//
// Here and below, topics carry their bare names.
type Progress interface {
	// Finished returns the first offset of topic that is not known to be
	// finished: its row and all its outputs acknowledged, as well as those of
	// every offset before.
	Finished(topic string) int64
	// Sent reports whether this session has had all outputs of key that carry
	// version acknowledged.
	Sent(key string, version int64) bool
}

// Toucher is a context that knows whether this session has written the row of
// key. What a row owes from an earlier session must leave before anything newer:
// a reader drops what is not above what it has (G2), so what is overtaken is
// lost. Its own input alone would bring it again in order, but a tick or the
// other input may come between any two of its messages.
type Toucher interface {
	Touched(key string) bool
}

// Waiter is a context that can wait until the message of topic at offset, and
// all before it, are finished.
type Waiter interface {
	WaitFinished(topic string, offset int64) error
}

// Holder is a context that can stop the delivery of one topic in its partition
// for as long as some key of it asks for that (G14). It counts keys: a second
// call with the same value changes nothing.
type Holder interface {
	Hold(topic string, on bool)
}

// Generations is a context that knows the generation of a topic (G6).
type Generations interface {
	Generation(topic string) string
}

// GenerationError stops a stage: the rows count in another life of the input.
type GenerationError struct{ Stage, Topic string }

// Error tells what to do.
func (e *GenerationError) Error() string {
	return fmt.Sprintf("%s: the rows of its table were made from another topic %q than this one (deleted and created again?): "+
		"delete the table topic and the group's offsets to begin anew, or bring the old topic back", e.Stage, e.Topic)
}

// RowBody is what a stage keeps in a row behind the header.
type RowBody interface {
	// Read replaces the body by the one that b holds; empty = a new row. What
	// it keeps may alias b.
	Read(b []byte) error
	// AppendTo appends the body.
	AppendTo(dst []byte) []byte
	// Flags returns state.RowSilent and state.RowWork as they hold now.
	Flags() uint8
	// Shrink makes the body smaller because the row is full (G8), emitting what
	// that closes; false when there is nothing left to close.
	Shrink(out *Outputs) bool
}

// Rows runs the callbacks of one keyed stage so that a message, a tick or a
// crash anywhere changes nothing (rule G1): row first, then the outputs; the
// row remembers what it has applied and every output that it may owe.
//
// The places of names in Inputs and Outputs are stored in rows: add at the end.
type Rows struct {
	Stage   string
	Inputs  []string // bare names
	Outputs []string // bare names
	// Large, when set, hears of rows over state.LargeRowBytes.
	Large func(bytes int)

	pool sync.Pool
}

// call is the scratch of one callback.
type call struct {
	h   state.Header
	out Outputs
	row []byte
}

func (k *Rows) begin(ctx goka.Context) *call {
	c, _ := k.pool.Get().(*call)
	if c == nil {
		c = new(call)
	}
	c.out.stage, c.out.inputs, c.out.topics = k.Stage, k.Inputs, k.Outputs
	c.out.ctx, c.out.key = ctx, ctx.Key()
	return c
}

func (k *Rows) end(c *call) {
	clear(c.h.Owed[:cap(c.h.Owed)]) // nothing of this row may stay alive
	c.h.Owed = c.h.Owed[:0]
	clear(c.out.list[:cap(c.out.list)])
	c.out = Outputs{list: c.out.list[:0], encoded: c.out.encoded[:0]}
	k.pool.Put(c)
}

// Message applies the message of ctx, which came from the input with the given
// number, to the row of its key. do changes body, which has been read, and
// emits into out; b is the message.
func (k *Rows) Message(ctx goka.Context, input uint8, msg any, body RowBody, do func(b []byte, out *Outputs)) {
	b, ok := msg.([]byte)
	if !ok {
		ctx.Fail(fmt.Errorf("%s: input %s gives %T where messages are bytes", k.Stage, k.Inputs[input], msg))
		return
	}
	c := k.begin(ctx)
	defer k.end(c)
	row, rest, err := k.read(ctx, &c.h)
	if err != nil {
		ctx.Fail(err)
		return
	}
	topic, offset := k.Inputs[input], ctx.Offset()
	generation := generationOf(ctx, topic)
	if old := c.h.Applied[input].Generation; old != 0 && generation != 0 && old != generation {
		ctx.Fail(&GenerationError{k.Stage, topic})
		return
	}
	k.prune(ctx, &c.h, input)
	behind := k.behind(ctx, &c.h)
	if c.h.Again(input, offset) {
		k.again(ctx, c, rest, func(o *state.Owed) bool { return behind || o.Input == input && o.Offset == offset })
		return
	}
	if err := k.waitForRoom(ctx, &c.h, input); err != nil {
		ctx.Fail(err)
		return
	}
	if err := body.Read(rest); err != nil {
		ctx.Fail(fmt.Errorf("%s: reading a row: %w", k.Stage, err))
		return
	}
	owedBefore := len(c.h.Owed)
	c.h.Version++
	c.h.Apply(input, offset, generation)
	c.out.begin(c.h.Version, input, offset)
	c.out.message = b
	do(b, &c.out)
	next := k.build(c, owedBefore, body)
	if next == nil {
		if next, err = k.refuse(c, owedBefore, body, rest, len(row)); err != nil {
			ctx.Fail(err)
			return
		}
	}
	if err := k.write(ctx, c, next); err != nil {
		ctx.Fail(err)
		return
	}
	if behind {
		owedBefore = 0
	}
	k.send(ctx, c.h.Owed[owedBefore:], c.h.Version)
}

// behind reports whether the row owes outputs that an earlier session may not
// have sent: the first callback of this one sends them all.
func (k *Rows) behind(ctx goka.Context, h *state.Header) bool {
	t, ok := ctx.(Toucher)
	return ok && len(h.Owed) > 0 && !t.Touched(ctx.Key())
}

// write stores the row. The outputs to be sent are those in the row: its bytes
// last, those that were encoded in passing do not.
func (k *Rows) write(ctx goka.Context, c *call, row []byte) error {
	ctx.SetValue(row)
	if _, err := c.h.ReadHeader(row); err != nil {
		return fmt.Errorf("%s: reading the header of a row that was just written: %w", k.Stage, err)
	}
	return nil
}

// Tick visits the row of ctx's key. do reports whether it changed body; when
// nothing changed and nothing is owed, nothing is written.
func (k *Rows) Tick(ctx goka.Context, body RowBody, do func(out *Outputs) bool) {
	c := k.begin(ctx)
	defer k.end(c)
	row, rest, err := k.read(ctx, &c.h)
	if err != nil {
		ctx.Fail(err)
		return
	}
	if len(row) == 0 {
		return
	}
	if err := body.Read(rest); err != nil {
		ctx.Fail(fmt.Errorf("%s: reading a row: %w", k.Stage, err))
		return
	}
	before := len(c.h.Owed)
	k.prune(ctx, &c.h, state.OwedByTick)
	owedBefore := len(c.h.Owed)
	behind := k.behind(ctx, &c.h)
	mine := func(o *state.Owed) bool { return behind || o.Input == state.OwedByTick }
	c.out.begin(c.h.Version+1, state.OwedByTick, c.h.Version+1)
	c.out.owes = owedBefore > 0
	if !do(&c.out) {
		if owedBefore < before || behind || c.h.OwesTick() {
			k.again(ctx, c, rest, mine)
		}
		return
	}
	c.h.Version++
	next := k.build(c, owedBefore, body)
	if next == nil {
		ctx.Fail(fmt.Errorf("%s: a tick made a row larger than %d bytes", k.Stage, state.MaxRowBytes))
		return
	}
	if err := k.write(ctx, c, next); err != nil {
		ctx.Fail(err)
		return
	}
	for i := range c.h.Owed {
		if mine(&c.h.Owed[i]) {
			k.send(ctx, c.h.Owed[i:i+1], c.h.Version)
		}
	}
}

// read gets the row of ctx's key and its header. rest is the body.
func (k *Rows) read(ctx goka.Context, h *state.Header) (row, rest []byte, err error) {
	switch v := ctx.Value().(type) {
	case nil:
	case []byte:
		row = v
	default:
		return nil, nil, fmt.Errorf("%s: its table gives %T where rows are bytes", k.Stage, v)
	}
	if rest, err = h.ReadHeader(row); err != nil {
		return nil, nil, fmt.Errorf("%s: reading the header of a row: %w", k.Stage, err)
	}
	return row, rest, nil
}

// prune drops what the row no longer owes. input is that of the message at
// hand: without a Progress all before it is finished.
func (k *Rows) prune(ctx goka.Context, h *state.Header, input uint8) {
	if len(h.Owed) == 0 {
		return
	}
	p, ok := ctx.(Progress)
	if !ok {
		for i := range k.Inputs {
			finished := h.Applied[i].Next
			if uint8(i) == input {
				finished = min(finished, ctx.Offset())
			}
			h.Prune(uint8(i), finished)
		}
		h.PruneTicks(func(int64) bool { return true })
		return
	}
	for i, topic := range k.Inputs {
		h.Prune(uint8(i), p.Finished(topic))
	}
	if h.OwesTick() {
		key := ctx.Key()
		h.PruneTicks(func(version int64) bool { return p.Sent(key, version) })
	}
}

// again writes the row as it was, pruned, and sends what it owes for the
// message or tick at hand once more.
func (k *Rows) again(ctx goka.Context, c *call, rest []byte, mine func(*state.Owed) bool) {
	ctx.SetValue(append(c.h.AppendTo(nil), rest...))
	for i := range c.h.Owed {
		if mine(&c.h.Owed[i]) {
			k.send(ctx, c.h.Owed[i:i+1], c.h.Version)
		}
	}
}

// waitForRoom waits while the row owes too much because of input. All messages
// of input that it owes for have gone through this partition before, so only
// acknowledgements are waited for; those of another input may not have.
func (k *Rows) waitForRoom(ctx goka.Context, h *state.Header, input uint8) error {
	w, ok := ctx.(Waiter)
	if !ok || h.OwedBytes(input) <= state.MaxOwedBytes {
		return nil
	}
	if err := w.WaitFinished(k.Inputs[input], h.LastOwed(input)); err != nil {
		return fmt.Errorf("%s: waiting for outputs: %w", k.Stage, err)
	}
	k.prune(ctx, h, input)
	return nil
}

// build takes over the outputs and returns the new row; nil when it stays over
// the limit whatever is closed.
func (k *Rows) build(c *call, owedBefore int, body RowBody) []byte {
	for {
		c.h.Owed = append(c.h.Owed[:owedBefore], c.out.list...)
		c.h.Flags = body.Flags()
		c.row = body.AppendTo(c.h.AppendTo(c.row[:0]))
		if len(c.row) > state.LargeRowBytes && k.Large != nil {
			k.Large(len(c.row))
		}
		if len(c.row) <= state.MaxRowBytes {
			return bytes.Clone(c.row)
		}
		if !body.Shrink(&c.out) {
			return nil
		}
	}
}

// refuse gives the row as it was before the message, which becomes a dead
// letter (G8).
func (k *Rows) refuse(c *call, owedBefore int, body RowBody, rest []byte, size int) ([]byte, error) {
	if err := body.Read(rest); err != nil {
		return nil, fmt.Errorf("%s: reading a row: %w", k.Stage, err)
	}
	c.out.list, c.out.bytes = c.out.list[:0], 0
	c.out.Dead(schemas.ReasonSize,
		fmt.Sprintf("the row of its key holds %d bytes and has no room for what the record adds", size),
		"look at the values of this key and at grace; retry the record when the row has become smaller", schemas.Lineage{})
	row := k.build(c, owedBefore, body)
	if row == nil {
		return nil, fmt.Errorf("%s: a row stays larger than %d bytes", k.Stage, state.MaxRowBytes)
	}
	return row, nil
}

// send emits outputs: those of a tick under the version that Progress.Sent will
// be asked about, others under that of the row. The transport keeps each back
// until the table record of this callback is acknowledged.
func (k *Rows) send(ctx goka.Context, owed []state.Owed, version int64) {
	if len(owed) == 0 {
		return
	}
	row, text := []byte(ctx.Key()), strconv.AppendInt(nil, version, 10)
	for i := range owed {
		o, under := &owed[i], text
		if o.Input == state.OwedByTick && o.Offset != version {
			under = strconv.AppendInt(nil, o.Offset, 10)
		}
		headers := goka.Headers{HeaderRow: row, HeaderVersion: under, schemas.HeaderContentType: contentType(o.Value)}
		ctx.Emit(goka.Stream(k.Outputs[o.Topic]), o.Key, o.Value, goka.WithCtxEmitHeaders(headers))
	}
}

func generationOf(ctx goka.Context, topic string) state.Generation {
	if g, ok := ctx.(Generations); ok {
		return state.GenerationOf(g.Generation(topic))
	}
	return 0
}
