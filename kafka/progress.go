package kafka

import (
	"errors"

	"github.com/lovoo/goka"
)

// gokaContext gives the embedded field a name that is not one of its methods.
type gokaContext = goka.Context

// groupContext is what callbacks of a keyed stage get: Goka's context, and what
// only the transport knows.
type groupContext struct {
	gokaContext
	session *groupSession
	tick    bool // not a message
}

// ofTick marks what a tick emits, for the producer.
var ofTick = goka.WithCtxEmitHeaders(goka.Headers{headerTick: nil})

func (c *groupContext) marked(options []goka.ContextOption) []goka.ContextOption {
	if c.tick {
		return append(options, ofTick)
	}
	return options
}

// Emit implements goka.Context.
func (c *groupContext) Emit(topic goka.Stream, key string, value any, options ...goka.ContextOption) {
	c.gokaContext.Emit(topic, key, value, c.marked(options)...)
}

// SetValue implements goka.Context.
func (c *groupContext) SetValue(value any, options ...goka.ContextOption) {
	c.gokaContext.SetValue(value, c.marked(options)...)
}

// Delete implements goka.Context.
func (c *groupContext) Delete(options ...goka.ContextOption) {
	c.gokaContext.Delete(c.marked(options)...)
}

// Finished returns the first offset of topic in this partition that is not
// known to be finished: its row and all its outputs acknowledged, as well as
// those of every offset before. -1 = not known yet.
func (c *groupContext) Finished(topic string) int64 {
	if claim := c.session.claim(topic, c.Partition()); claim != nil {
		return claim.finished()
	}
	return -1
}

// Sent reports whether all outputs of that version of key's row, as far as this
// session has emitted any, are acknowledged. It is meant for the outputs of
// ticks, which no offset stands for; other versions are forgotten.
func (c *groupContext) Sent(key string, version int64) bool {
	return c.session.run.producer.sent(key, version)
}

// Touched reports whether this session has written key's row: what an earlier
// owner's row owes is not on its way.
func (c *groupContext) Touched(key string) bool {
	store := c.session.run.store(c.Partition())
	return store != nil && store.written(key)
}

// WaitFinished waits until the message of topic at offset, and all before it,
// are finished. The error says that the session has ended; pass it to Fail.
func (c *groupContext) WaitFinished(topic string, offset int64) error {
	claim := c.session.claim(topic, c.Partition())
	if claim == nil {
		return stopf("waiting for %s, which is no input of this partition", topic)
	}
	return claim.wait(c.session.ctx, offset)
}

// Hold stops the delivery of topic in this partition for as long as some key of
// it asks for that. A few messages that are on their way already still come
// (rule G14).
func (c *groupContext) Hold(topic string, on bool) {
	if claim := c.session.claim(topic, c.Partition()); claim != nil {
		claim.hold(c.Key(), on)
	}
}

// Generation returns the generation of an input, empty when it is not known
// (rule G6).
func (c *groupContext) Generation(topic string) string {
	claim := c.session.claim(topic, c.Partition())
	if claim == nil {
		return ""
	}
	claim.mu.Lock()
	defer claim.mu.Unlock()
	return claim.generation
}

// Fail ends the processor with err: a stop, unless it is the end of the session
// that err tells of. It never returns, where Goka's own does while a session
// ends and the message would then count as finished.
func (c *groupContext) Fail(err error) {
	if errors.Is(err, errSessionEnded) {
		c.session.interrupted.Store(true)
	} else {
		_ = c.session.run.note(&stopError{err})
	}
	c.gokaContext.Fail(err)
	panic(err)
}
