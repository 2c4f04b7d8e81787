// Package replay runs the stages once more over messages that are kept: a range
// of devicedata, or files of the raw zone. It drives the same functions as the
// running river, in one process, without a group and without a table topic.
//
// It gives each resource and fact once, in its last state; writing them, and
// deciding whether they may replace what is there, is for Deliver and Load.
package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/bits"

	"auscult/schemas"
	"auscult/topology"
)

// Config says what is replayed, through which stages.
type Config struct {
	Run string // name of the replay: the lineage of everything it gives
	// Graph has Normalize, Observe and Assess, made for this run; its other
	// stages do not run.
	Graph topology.Graph
	// Sources are the messages, one cursor a partition.
	Sources []Cursor
	// Identities visits every record of topic identities: a replay asks no
	// server, it takes the answers that the river got.
	Identities func(ctx context.Context, visit func(schemas.Raw) error) error
	// Generation is that of the messages' topic, as the running river has it in
	// its lineage: offsets of another one say nothing of what is newer (G6).
	Generation string
	Extent     Extent
	Horizon    schemas.Ticks // how far the models look back
}

// Extent is how much of the topic the sources are (rule G12).
type Extent struct {
	// Begins: they begin where the topic began. Otherwise windows count only
	// from Horizon after the first value of each of a patient's devices on.
	Begins bool
	// Ends: they go to the topic's end. Otherwise their end ends no window.
	Ends bool
	// All: they are all of its partitions. Otherwise no window counts: a patient
	// may have devices in the others.
	All bool
}

// whole reports whether nothing is missing.
func (e Extent) whole() bool { return e.Begins && e.Ends && e.All }

// MaxPartitions is how many partitions a replayed topic may have.
const MaxPartitions = 1024

// settleEvery is how many messages are taken in before what follows from them is
// worked off and forgotten.
const settleEvery = 2000

func (c *Config) check() error {
	switch {
	case c.Run == "" || c.Run == schemas.RunLive:
		return fmt.Errorf("a replay needs a name of its own, not %q", c.Run)
	case len(c.Sources) == 0:
		return errors.New("there is nothing to replay: the range is empty")
	}
	for _, s := range c.Sources {
		if s.Partition() < 0 || s.Partition() >= MaxPartitions {
			return fmt.Errorf("partition %d is not between 0 and %d", s.Partition(), MaxPartitions-1)
		}
	}
	return nil
}

// partitions returns how many partitions the replay's topics have: a power of
// two that leaves every source its own number.
func (c *Config) partitions() int32 {
	highest := uint32(0)
	for _, s := range c.Sources {
		highest = max(highest, uint32(s.Partition()))
	}
	return 1 << bits.Len32(highest)
}

// Play replays cfg and returns what came of it. Messages of several partitions
// are taken in the order in which the broker got them.
func Play(ctx context.Context, cfg Config) (*Result, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	p := player{local: topology.NewLocal(cfg.Graph, cfg.partitions()), identities: map[string]schemas.Identity{}, next: map[int32]int64{}}
	p.local.Generation = cfg.Generation
	result := newResult(cfg)
	p.local.Tap = result.tap
	if err := cfg.Identities(ctx, p.identity); err != nil {
		return nil, fmt.Errorf("reading identities: %w", err)
	}
	if err := p.settle(ctx); err != nil {
		return nil, err
	}
	for r, err := range merge(cfg.Sources) {
		if err == nil {
			err = cmp.Or(ctx.Err(), p.message(ctx, r))
		}
		if err != nil {
			return nil, err
		}
	}
	result.Messages = p.messages
	if err := p.settle(ctx); err != nil {
		return nil, err
	}
	if cfg.Extent.whole() {
		if err := p.local.End(ctx); err != nil {
			return nil, err
		}
	}
	return result, result.err
}

// player is one replay at work.
type player struct {
	local      *topology.Local
	identities map[string]schemas.Identity // the last of each device
	next       map[int32]int64             // offset behind the last message, by partition
	messages   int
	partition  int32 // of the last message
}

func (p *player) identity(r schemas.Raw) error {
	if id, err := schemas.Identities.Decode(r.Value); err == nil {
		p.identities[string(r.Key)] = *id
	}
	p.local.Append(schemas.TopicIdentities, -1, r)
	return nil
}

// message takes one message in. Before one of another partition the stages work
// off what is there: stages that read far ahead in one partition would close a
// patient's windows without what the broker got meanwhile in the other. Where the
// source has a gap all is forgotten, too: a record keeps its offset.
func (p *player) message(ctx context.Context, r schemas.Raw) error {
	next, begun := p.next[r.Partition]
	var err error
	switch {
	case p.messages%settleEvery == 0, begun && r.Offset != next:
		err = p.settle(ctx)
	case r.Partition != p.partition:
		err = p.local.Run(ctx)
	}
	if err != nil {
		return err
	}
	p.next[r.Partition], p.partition = r.Offset+1, r.Partition
	p.messages++
	p.local.Skip(schemas.TopicDeviceData, r.Partition, r.Offset)
	p.local.Advance(r.Timestamp)
	p.local.Append(schemas.TopicDeviceData, r.Partition, r)
	return nil
}

// settle works off what is pending and forgets what has been worked off. Nobody
// asks the server here: what still waits for an identity would hold its
// partition for ever, so its values become dead letters (rule G14).
func (p *player) settle(ctx context.Context) error {
	if err := p.local.Run(ctx); err != nil {
		return err
	}
	for _, key := range p.local.Parked(topology.Observe) {
		id := p.identities[key]
		id.Device, id.GiveUp = key, true
		id.Unknown = cmp.Or(id.Unknown, "the river never got an answer for this device")
		p.local.Append(schemas.TopicIdentities, -1, schemas.Raw{Key: []byte(key), Value: schemas.Identities.Encode(&id)})
	}
	if err := p.local.Run(ctx); err != nil {
		return err
	}
	p.local.Drop()
	return nil
}
