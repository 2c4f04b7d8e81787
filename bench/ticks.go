package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"

	"auscult/fhir"
	"auscult/kafka"
	"auscult/processors"
	"auscult/schemas"
	"auscult/state"
	"auscult/topology"
)

// tickFigures is what ticks of Observe cost on a table with many rows.
type tickFigures struct {
	Rows     int     `json:"rows"`
	RowBytes float64 `json:"bytesPerRow"`
	Due      int     `json:"due"` // rows whose devices fall silent
	Visited  int64   `json:"visited"`
	Ticks    int     `json:"ticks"`        // in which they were visited
	Longest  float64 `json:"milliseconds"` // of the longest of them, all outputs acknowledged
	PerRow   float64 `json:"microsecondsPerDueRow"`
	// CPU of this process, broker included, for each second in which nothing is
	// due: a tick is one look of each partition into its index.
	IdleCPU  float64 `json:"idleCPUMillisecondsPerSecond"`
	Recovery float64 `json:"secondsToReadTheTable"`
}

// What the rows of the tick part are made of.
const (
	tickIdleAfter = time.Second
	tickQuiet     = 4 * time.Second // how long nothing is due, for the idle CPU
	tickPatience  = 2 * time.Minute // for a table to be read and its ticks to end
)

// shares of the rows that are due; 1 is a ward that falls silent as a whole.
var tickShares = []float64{0, 0.001, 0.01, 0.1, 1}

// measureTicks runs Observe, in this process and with the storage and transport
// that it always has, over tables whose rows were made by package state.
func (l *lab) measureTicks(ctx context.Context, r *report) (err error) {
	b, err := kafka.StartEmbedded(kafka.EmbeddedConfig{
		Dir: filepath.Join(l.folder, "ticks"), Listen: "127.0.0.1:0", Partitions: partitions,
	})
	if err != nil {
		return err
	}
	defer b.Close()
	for i, share := range tickShares {
		f, err := l.ticks(ctx, b.Addr(), fmt.Sprintf("t%d-", i), int(share*float64(l.ticking)))
		if err != nil {
			return err
		}
		r.Ticks = append(r.Ticks, *f)
	}
	return nil
}

// ticks measures one table, under a prefix of its own.
func (l *lab) ticks(ctx context.Context, broker, prefix string, due int) (*tickFigures, error) {
	conn, err := kafka.Dial(kafka.Config{Profile: kafka.EmbeddedProfile, Brokers: []string{broker}, Prefix: prefix, Partitions: partitions})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := kafka.ApplyTopics(ctx, conn, nil); err != nil {
		return nil, err
	}
	size, err := writeRows(ctx, conn, l.ticking, due)
	if err != nil {
		return nil, fmt.Errorf("writing the rows: %w", err)
	}
	f := &tickFigures{Rows: l.ticking, Due: due, RowBytes: float64(size) / float64(l.ticking)}
	return f, f.run(ctx, conn)
}

// run runs the stage until every row that is due was visited, then watches it
// do nothing.
func (f *tickFigures) run(ctx context.Context, conn *kafka.Conn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	observe := processors.NewObserve(processors.ObserveConfig{
		Plausible: tickSpec().Plausible, Period: func(string) (fhir.Period, bool) { return fhir.Single, true },
		IdleAfter: schemas.TicksIn(tickIdleAfter),
	})
	g, err := kafka.NewGroup(kafka.GroupConfig{
		Stage: topology.Observe, Conn: conn,
		Inputs:   []kafka.GroupInput{{Topic: schemas.TopicMeasurements, Do: observe.Measurement}, {Topic: schemas.TopicIdentities, Do: observe.Identity}},
		Outputs:  []string{schemas.TopicWindows, schemas.TopicResources, schemas.TopicDeadLetters},
		Tick:     func(ctx goka.Context, meta any) { observe.Tick(ctx, meta) },
		TickWork: processors.TickWork, TickIdle: processors.TickIdle, TickEnd: processors.TickEnd,
		RowFlags: state.RowFlags, IdleAfter: tickIdleAfter,
		Ticked: func(_ string, rows int64, took time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			f.Visited += rows
			f.Ticks++
			f.Longest = max(f.Longest, milliseconds(took))
			f.PerRow += float64(took.Microseconds()) // of all of them, divided at the end
		},
	})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- g.Run(ctx) }()
	err = f.watch(ctx, g, began, &mu)
	cancel()
	err = errors.Join(err, <-ended)
	if f.Visited > 0 {
		f.PerRow /= float64(f.Visited)
	}
	return err
}

// watch waits for the table, then for the ticks, then for a while of nothing.
func (f *tickFigures) watch(ctx context.Context, g *kafka.Group, began time.Time, mu *sync.Mutex) error {
	limit, cancel := context.WithTimeout(ctx, tickPatience)
	defer cancel()
	for !g.Ready() {
		if err := pause(limit, 10*time.Millisecond); err != nil {
			return fmt.Errorf("waiting for the table: %w", err)
		}
	}
	f.Recovery = time.Since(began).Seconds()
	if rows, _, _ := g.Rows(); rows != f.Rows {
		return fmt.Errorf("the table has %d rows, %d were written", rows, f.Rows)
	}
	for {
		mu.Lock()
		visited := f.Visited
		mu.Unlock()
		if visited >= int64(f.Due) {
			break
		}
		if err := pause(limit, 50*time.Millisecond); err != nil {
			return fmt.Errorf("waiting for ticks: %d of %d rows were visited: %w", visited, f.Due, err)
		}
	}
	if err := pause(limit, 2*time.Second); err != nil { // what the ticks left behind
		return err
	}
	before := ownCPU()
	if err := pause(limit, tickQuiet); err != nil {
		return err
	}
	f.IdleCPU = milliseconds(ownCPU()-before) / tickQuiet.Seconds()
	return nil
}

// ownCPU returns the user and system time of this process, all threads together:
// the garbage collector's share is in it.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// tickSpec is the configuration that the rows are made with.
func tickSpec() *state.DeviceSpec {
	return &state.DeviceSpec{
		Run: schemas.RunLive, Pane: schemas.TicksPerMinute,
		Plausible: func(string, string, string) (bound, plausible bool) { return true, true },
		Grace:     func(string, string) schemas.Ticks { return 0 },
		EmitValue: func(string, string) bool { return false },
		Segment: func(_ string, t schemas.Ticks, _ string) (state.SegmentSpan, bool, error) {
			return state.SegmentSpan{Text: t.String(), Start: t, End: t, Single: true}, true, nil
		},
		Observation: fhir.ObservationIdentifier, FlushCount: 60, FlushEvery: schemas.TicksPerMinute,
		ParkLimit: 256, IdleAfter: schemas.TicksIn(tickIdleAfter),
	}
}

// nowhere takes what a row emits while it is made.
type nowhere struct{}

// Window implements state.Emitter.
func (nowhere) Window(*schemas.Window) {}

// Resource implements state.Emitter.
func (nowhere) Resource(*schemas.Resource) {}

// Refuse implements state.Emitter.
func (nowhere) Refuse(state.Refusal) {}

// Full implements state.Emitter.
func (nowhere) Full() bool { return false }

// writeRows writes the rows of devices that send three vitals, and returns
// their bytes. The first due ones have kept pace with the clock for long enough
// to be called silent.
func writeRows(ctx context.Context, conn *kafka.Conn, rows, due int) (size int64, err error) {
	client, err := conn.Client()
	if err != nil {
		return 0, err
	}
	defer client.Close()
	failed := make(chan error, 1)
	spec, start := tickSpec(), schemas.TicksOf(time.Now()).Floor(schemas.TicksPerMinute, 0)
	for i := range rows {
		name := fmt.Sprintf("monitor-%06d", i)
		row := tickRow(spec, name, i, start, i < due)
		size += int64(len(name) + len(row))
		client.Produce(ctx, &kgo.Record{Topic: conn.Topic(schemas.TopicObserveTable), Key: []byte(name), Value: row}, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default: // the first one is enough
				}
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return 0, err
	}
	select {
	case err := <-failed:
		return 0, err
	default:
		return size, nil
	}
}

// tickRow is the row of a device that knows its patient and has an open pane of
// three vitals with three values each.
func tickRow(spec *state.DeviceSpec, name string, i int, start schemas.Ticks, due bool) []byte {
	d := &state.Device{Spec: spec}
	var out nowhere
	d.Identify(&schemas.Identity{
		Device: name, Resource: "sim-" + name, Identifiers: 1, CheckedAt: start,
		Assignments: []schemas.Assignment{{To: schemas.MaxTicks, Patient: fmt.Sprintf("sim-patient-%06d", i), CheckedAt: start}},
	}, out)
	version := int64(1)
	for k := range 3 {
		at := start + schemas.Ticks(5*k)*schemas.TicksPerSecond
		appended := at
		if !due {
			appended = start // its clock runs ahead of ours: silence means nothing
		}
		for index, typ := range []string{"heartRate", "respiratoryRate", "oxygenSaturation"} {
			m := schemas.Measurement{
				Device: name, Type: typ, Occurrence: at, Ingestion: appended, Values: []schemas.NamedText{{Name: "v", Text: "72"}},
				Lineage: schemas.Lineage{Run: schemas.RunLive, Generation: "g", Offset: int64(k), Index: int32(index), Mapping: "0123456789abcdef"},
			}
			d.Measure(&m, state.Parked{}, out)
			version++
		}
	}
	h := state.Header{Flags: d.Flags(), Version: version}
	return d.AppendTo(h.AppendTo(nil))
}
