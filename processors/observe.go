package processors

import (
	"cmp"
	"sync"
	"sync/atomic"

	"github.com/lovoo/goka"

	"auscult/fhir"
	"auscult/schemas"
	"auscult/state"
)

// Defaults of ObserveConfig.
const (
	DefaultPane       = schemas.TicksPerMinute
	DefaultParkLimit  = 256
	DefaultFlushCount = 60
	DefaultFlushEvery = schemas.TicksPerMinute
)

// ObserveConfig is what Observe has to know. Only Plausible and Period must be
// set.
type ObserveConfig struct {
	Run  string        // RunLive when empty
	Mode Mode          // of identity; ModeLookup when empty
	Pane schemas.Ticks // DefaultPane when 0
	// Plausible reports whether a signal reads a value and whether the value lies
	// in its range.
	Plausible func(typ, name, text string) (bound, plausible bool)
	// Grace is how long after the end of a pane its values are not late: the
	// longest of the models that read the series, none when nil; MaxGrace is the
	// longest that it returns.
	Grace    func(typ, name string) schemas.Ticks
	MaxGrace schemas.Ticks
	// EmitValue reports that some model wants each value of a series at once; none
	// when nil.
	EmitValue func(typ, name string) bool
	// Period returns how the FHIR mapping cuts a type into Observations; false
	// when it has no template for it.
	Period func(typ string) (fhir.Period, bool)
	// Cutover is when another writer of the same Observations stopped
	// (migration.cutover).
	Cutover    schemas.Ticks
	IdleAfter  schemas.Ticks // 0 = no device ever falls idle
	ParkLimit  int           // DefaultParkLimit when 0
	FlushCount int           // values; DefaultFlushCount when 0
	FlushEvery schemas.Ticks // of the device's clock; DefaultFlushEvery when 0
}

// ObserveCounts is what Observe has done in this process.
type ObserveCounts struct {
	Applied, Redelivered, Parked, Released        int64 // measurements
	Late, Implausible                             int64 // values
	Unmapped                                      int64 // measurements without a FHIR template
	Panes                                         int64 // final panes, revisions included
	DeadLetters, Identities, Idled, Holds, Larges int64
}

// The inputs and outputs of Observe; rows hold their places.
var (
	observeInputs  = []string{schemas.TopicMeasurements, schemas.TopicIdentities}
	observeOutputs = []string{schemas.TopicWindows, schemas.TopicResources, schemas.TopicDeadLetters}
)

const (
	observeMeasurements = iota
	observeIdentities
)

// Observe joins measurements with the identity of their device, groups their
// values into Observation segments and cuts panes. What it does is in
// state.Device; here are its callbacks.
type Observe struct {
	rows Rows
	spec state.DeviceSpec
	pool sync.Pool

	applied, redelivered, parked, released, late, implausible, unmapped, panes atomic.Int64
	deadLetters, identities, idled, holds, larges                              atomic.Int64
}

// NewObserve returns the stage.
func NewObserve(cfg ObserveConfig) *Observe {
	cfg = cfg.withDefaults()
	o := &Observe{spec: state.DeviceSpec{
		Run: cfg.Run, Pane: cfg.Pane,
		Plausible: cfg.Plausible, Grace: cfg.Grace, MaxGrace: cfg.MaxGrace, EmitValue: cfg.EmitValue,
		Segment: segmentBy(cfg.Period), Observation: fhir.ObservationIdentifier, Cutover: cfg.Cutover,
		FlushCount: cfg.FlushCount, FlushEvery: cfg.FlushEvery,
		ByName: cfg.Mode == ModeCreate, NeedEncounter: cfg.Mode == ModeLookupWithEncounter,
		ParkLimit: cfg.ParkLimit, IdleAfter: cfg.IdleAfter,
	}}
	o.rows = Rows{Stage: "observe", Inputs: observeInputs, Outputs: observeOutputs, Large: func(int) { o.larges.Add(1) }}
	return o
}

func (c ObserveConfig) withDefaults() ObserveConfig {
	c.Run = cmp.Or(c.Run, schemas.RunLive)
	c.Mode = cmp.Or(c.Mode, ModeLookup)
	c.Pane = cmp.Or(c.Pane, DefaultPane)
	c.ParkLimit = cmp.Or(c.ParkLimit, DefaultParkLimit)
	c.FlushCount = cmp.Or(c.FlushCount, DefaultFlushCount)
	c.FlushEvery = cmp.Or(c.FlushEvery, DefaultFlushEvery)
	if c.Grace == nil {
		c.Grace = func(string, string) schemas.Ticks { return 0 }
	}
	if c.EmitValue == nil {
		c.EmitValue = func(string, string) bool { return false }
	}
	return c
}

// segmentBy puts values into the segments that their types' periods ask for.
func segmentBy(period func(typ string) (fhir.Period, bool)) func(string, schemas.Ticks, string) (state.SegmentSpan, bool, error) {
	return func(typ string, t schemas.Ticks, correlation string) (state.SegmentSpan, bool, error) {
		p, ok := period(typ)
		if !ok {
			return state.SegmentSpan{}, false, nil
		}
		text, start, end, err := fhir.SegmentOf(p, t, correlation)
		return state.SegmentSpan{Text: text, Start: start, End: end, Single: p == fhir.Single, Correlation: p == fhir.Correlation}, true, err
	}
}

// observing is the scratch of one callback.
type observing struct {
	device      state.Device
	measurement schemas.Measurement
	identity    schemas.Identity
	body        deviceBody
	emit        observed
}

func (o *Observe) begin() *observing {
	w, _ := o.pool.Get().(*observing)
	if w == nil {
		w = new(observing)
		w.body.Device = &w.device
	}
	w.device.Spec, w.device.Counts, w.body.read = &o.spec, state.DeviceCounts{}, false
	return w
}

// end adds up what the callback did.
func (o *Observe) end(w *observing) {
	c := &w.device.Counts
	o.applied.Add(int64(c.Applied))
	o.redelivered.Add(int64(c.Redelivered))
	o.parked.Add(int64(c.Parked))
	o.released.Add(int64(c.Released))
	o.late.Add(int64(c.Late))
	o.implausible.Add(int64(c.Implausible))
	o.unmapped.Add(int64(c.Unmapped))
	o.panes.Add(int64(c.Panes))
	o.deadLetters.Add(w.emit.refused)
	w.emit = observed{}
	o.pool.Put(w)
}

// Counts returns what this process has done so far.
func (o *Observe) Counts() ObserveCounts {
	return ObserveCounts{
		Applied: o.applied.Load(), Redelivered: o.redelivered.Load(), Parked: o.parked.Load(), Released: o.released.Load(),
		Late: o.late.Load(), Implausible: o.implausible.Load(), Unmapped: o.unmapped.Load(), Panes: o.panes.Load(),
		DeadLetters: o.deadLetters.Load(), Identities: o.identities.Load(), Idled: o.idled.Load(),
		Holds: o.holds.Load(), Larges: o.larges.Load(),
	}
}

// Measurement is the callback of the topic measurements.
func (o *Observe) Measurement(ctx goka.Context, msg any) {
	w := o.begin()
	defer o.end(w)
	o.rows.Message(ctx, observeMeasurements, msg, &w.body, func(b []byte, out *Outputs) {
		emit := w.emitter(out)
		if err := w.measurement.Read(b); err != nil {
			emit.unreadable(err)
			return
		}
		w.device.Measure(&w.measurement, state.Parked{Offset: ctx.Offset(), Timestamp: schemas.TicksOf(ctx.Timestamp()), Record: b}, emit)
		o.check(ctx, w)
	})
	o.hold(ctx, w)
}

// Identity is the callback of the topic identities.
func (o *Observe) Identity(ctx goka.Context, msg any) {
	w := o.begin()
	defer o.end(w)
	o.rows.Message(ctx, observeIdentities, msg, &w.body, func(b []byte, out *Outputs) {
		emit := w.emitter(out)
		if err := w.identity.Read(b); err != nil {
			emit.unreadable(err)
			return
		}
		o.identities.Add(1)
		w.device.Identify(&w.identity, emit)
		o.check(ctx, w)
	})
	o.hold(ctx, w)
}

// Tick is the callback of a visit; meta is its TickKind.
func (o *Observe) Tick(ctx goka.Context, meta any) {
	w := o.begin()
	defer o.end(w)
	o.rows.Tick(ctx, &w.body, func(out *Outputs) bool {
		emit := w.emitter(out)
		changed := false
		switch meta {
		case TickWork:
			changed = w.device.Work(emit)
		case TickIdle:
			if changed = w.device.Idle(emit); changed {
				o.idled.Add(1)
			}
		case TickEnd:
			changed = w.device.End(emit)
		}
		o.check(ctx, w)
		return changed
	})
	o.hold(ctx, w)
}

// check stops the stage when a part of the row turned out to be damaged.
func (o *Observe) check(ctx goka.Context, w *observing) {
	if err := w.device.Err(); err != nil {
		ctx.Fail(err)
	}
}

// hold asks for no more measurements while too many wait, and for more again
// once they do not (G14). A message that has been applied before says nothing.
func (o *Observe) hold(ctx goka.Context, w *observing) {
	h, ok := ctx.(Holder)
	if !ok || !w.body.read {
		return
	}
	if full := w.device.Full(); full || w.body.wasFull {
		h.Hold(schemas.TopicMeasurements, full)
		if full {
			o.holds.Add(1)
		}
	}
}

// deviceBody is a device as the body of a row.
type deviceBody struct {
	*state.Device
	read    bool
	wasFull bool
}

func (b *deviceBody) Read(row []byte) error {
	err := b.Device.Read(row)
	b.read, b.wasFull = true, err == nil && b.Full()
	return err
}

func (b *deviceBody) Shrink(out *Outputs) bool { return b.Device.Shrink(&observed{out: out}) }

// observed writes down what a device's row emits.
type observed struct {
	out     *Outputs
	refused int64
}

func (w *observing) emitter(out *Outputs) *observed {
	w.emit = observed{out: out}
	return &w.emit
}

// Window emits a pane or a clock.
func (e *observed) Window(w *schemas.Window) { e.out.Window(w) }

// Resource emits a segment.
func (e *observed) Resource(r *schemas.Resource) { e.out.Resource(r) }

// Full reports that the callback has emitted enough.
func (e *observed) Full() bool { return e.out.Full() }

// Refuse makes the measurement at hand, or a parked one, a dead letter.
func (e *observed) Refuse(r state.Refusal) {
	e.refused++
	raw := e.out.Raw()
	if p := r.Parked; p != nil {
		raw = schemas.Raw{
			Topic: schemas.TopicMeasurements, Partition: raw.Partition, Offset: p.Offset,
			Key: raw.Key, Value: p.Record, Timestamp: p.Timestamp.Time(),
		}
	}
	e.out.DeadRaw(r.Reason, r.Detail, r.Action, raw, r.Lineage)
}

func (e *observed) unreadable(err error) {
	e.Refuse(state.Refusal{
		Reason: schemas.ReasonRecord, Detail: err.Error(),
		Action: "find the producer of the record; retry after an upgrade when its schema is newer than this process",
	})
}
