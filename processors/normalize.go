package processors

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"auscult/mapping"
	"auscult/schemas"
	"auscult/state"
)

// stageNormalize is the stage's name in dead letters.
const stageNormalize = "normalize"

// DefaultClockAhead is how far a device's clock may be ahead of the broker's.
const DefaultClockAhead = 10 * time.Minute

// maxFailures is how many failures of one message its dead letter tells.
const maxFailures = 20

// maxKeys is how many device ids a worker keeps, so that records of one device
// share the text of their key.
const maxKeys = 10_000

// NormalizeConfig is what can be set about Normalize.
type NormalizeConfig struct {
	// ClockAhead is how far an occurrence may lie ahead of the time at which
	// the broker took the message; what is further ahead is quarantined.
	ClockAhead time.Duration `yaml:"clockAhead"`
	// Run is the lineage of what is made: empty for what is live, else the name
	// of a replay.
	Run string `yaml:"-"`
}

// NormalizeCounts are counted since the process started.
type NormalizeCounts struct {
	Messages     atomic.Int64
	Bytes        atomic.Int64 // of messages
	Measurements atomic.Int64 // emitted
	Unmatched    atomic.Int64 // messages that no template matched
	Unusable     atomic.Int64 // messages that are not what the contract says
	Failures     atomic.Int64 // templates or matches that failed
	ClockAhead   atomic.Int64 // measurements quarantined
	TooLarge     atomic.Int64 // measurements over the size of a record
}

// Normalize is the stage that makes measurements of device messages. It keeps
// nothing between batches: the same message gives the same records for as long
// as the mapping is the same.
type Normalize struct {
	device  atomic.Pointer[mapping.Device]
	ahead   schemas.Ticks
	run     string
	counts  NormalizeCounts
	workers sync.Pool // *normalizer
}

// NewNormalize returns the stage for a device mapping.
func NewNormalize(device *mapping.Device, cfg NormalizeConfig) *Normalize {
	if cfg.ClockAhead <= 0 {
		cfg.ClockAhead = DefaultClockAhead
	}
	if cfg.Run == "" {
		cfg.Run = schemas.RunLive
	}
	n := &Normalize{ahead: schemas.TicksIn(cfg.ClockAhead), run: cfg.Run}
	n.device.Store(device)
	n.workers.New = func() any { return newNormalizer(n) }
	return n
}

// Use takes another device mapping from the next message on. Measurements that
// have been made keep the version of the mapping that made them.
func (n *Normalize) Use(device *mapping.Device) { n.device.Store(device) }

// Counts returns the stage's counters.
func (n *Normalize) Counts() *NormalizeCounts { return &n.counts }

// Process makes the measurements of a batch, in source order, and one dead
// letter for each message and reason for which something of it cannot be used.
func (n *Normalize) Process(ctx context.Context, b schemas.Batch) ([]schemas.Out, error) {
	w := n.workers.Get().(*normalizer)
	defer n.workers.Put(w)
	w.begin(b)
	for i := range b.Records {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		w.message(&b.Records[i])
	}
	return w.finish(), nil
}

// normalizer is one goroutine's workplace.
type normalizer struct {
	n       *Normalize
	device  *mapping.Device // that mapper is of
	mapper  *mapping.Mapper
	msg     mapping.Message
	headers []schemas.Header
	yield   func(*schemas.Measurement)
	fail    func(mapping.Failure)

	outs  []schemas.Out
	arena []byte            // the encoded records of the batch
	keys  map[string]string // device ids that own their memory

	raw       *schemas.Raw
	ingestion schemas.Ticks
	lineage   schemas.Lineage
	failures  []mapping.Failure
	failed    int
	ahead     int // measurements of the message that are quarantined
	latest    schemas.Ticks
	large     int // bytes of the largest record over the limit
}

func newNormalizer(n *Normalize) *normalizer {
	w := &normalizer{n: n, headers: schemas.Measurements.Headers(), keys: map[string]string{}}
	w.yield, w.fail = w.measurement, w.failure
	return w
}

// begin prepares for a batch. What the last one gave belongs to the transport
// now.
func (w *normalizer) begin(b schemas.Batch) {
	w.outs = make([]schemas.Out, 0, len(b.Records)+len(b.Records)/4)
	w.arena = make([]byte, 0, cap(w.arena)/2)
	w.lineage = schemas.Lineage{Run: w.n.run}
	if b.Share != nil {
		w.lineage.Generation = b.Share.Generation
	}
}

func (w *normalizer) finish() []schemas.Out {
	outs := w.outs
	w.outs, w.raw = nil, nil
	return outs
}

// message maps one message.
func (w *normalizer) message(r *schemas.Raw) {
	c := &w.n.counts
	c.Messages.Add(1)
	c.Bytes.Add(int64(len(r.Value)))
	if d := w.n.device.Load(); d != w.device {
		w.device, w.mapper = d, d.NewMapper()
	}
	w.raw, w.failures = r, w.failures[:0]
	w.failed, w.ahead, w.large, w.latest = 0, 0, 0, 0
	w.lineage.Partition, w.lineage.Offset, w.lineage.Index = r.Partition, r.Offset, 0
	w.lineage.Mapping = w.device.Version()
	w.ingestion = schemas.TicksOf(r.Timestamp)
	if t, ok := mapping.EnqueuedTime(r.Headers); ok {
		w.ingestion = t
	}
	w.msg.Take(*r)
	if err := w.mapper.Map(&w.msg, w.yield, w.fail); err != nil {
		c.Unusable.Add(1)
		w.dead(schemas.ReasonMessage, err.Error(), "correct the sender; retrying the same bytes gives the same answer")
		return
	}
	if w.lineage.Index == 0 && w.failed == 0 {
		c.Unmatched.Add(1)
	}
	w.report()
}

// measurement emits what the mapper made.
func (w *normalizer) measurement(m *schemas.Measurement) {
	m.Ingestion, m.Lineage = w.ingestion, w.lineage
	w.lineage.Index++
	if m.Occurrence-w.ingestion > w.n.ahead {
		w.ahead++
		w.latest = max(w.latest, m.Occurrence)
		w.n.counts.ClockAhead.Add(1)
		return
	}
	start := len(w.arena)
	w.arena = m.Append(w.arena)
	size := len(w.arena) - start
	if size > state.MaxOutputBytes || len(m.Device) > state.MaxOwedKey {
		w.arena = w.arena[:start]
		w.large = max(w.large, size)
		w.n.counts.TooLarge.Add(1)
		return
	}
	value := w.arena[start:len(w.arena):len(w.arena)]
	w.outs = append(w.outs, schemas.Out{Topic: schemas.TopicMeasurements, Key: w.key(m.Device), Value: value, Headers: w.headers})
	w.n.counts.Measurements.Add(1)
}

// key returns a device id that outlives the message whose bytes it aliases.
func (w *normalizer) key(device string) string {
	key, known := w.keys[device]
	if !known {
		if len(w.keys) >= maxKeys {
			clear(w.keys)
		}
		key = strings.Clone(device)
		w.keys[key] = key
	}
	return key
}

// failure notes a template or match that failed.
func (w *normalizer) failure(f mapping.Failure) {
	w.failed++
	if len(w.failures) < maxFailures {
		w.failures = append(w.failures, f)
	}
	w.n.counts.Failures.Add(1)
}

// report writes the dead letters of a message that could be used in part.
func (w *normalizer) report() {
	if w.failed > 0 {
		w.dead(schemas.ReasonTemplate, w.failureText(), "correct the mapping or the sender, then retry")
	}
	if w.ahead > 0 {
		detail := fmt.Sprintf("%d measurements, up to %s, are ahead of the broker, which took the message at %s; %s is allowed",
			w.ahead, w.latest, w.ingestion, w.n.ahead.Duration())
		w.dead(schemas.ReasonClock, detail, "set the device's clock; retry when the time has come, or never")
	}
	if w.large > 0 {
		detail := fmt.Sprintf("a measurement has %d bytes, its limit is %d, that of a device id %d", w.large, state.MaxOutputBytes, state.MaxOwedKey)
		w.dead(schemas.ReasonSize, detail, "let the mapping take less text")
	}
}

func (w *normalizer) failureText() string {
	var b strings.Builder
	for i, f := range w.failures {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(f.Error())
	}
	if more := w.failed - len(w.failures); more > 0 {
		fmt.Fprintf(&b, "; and %d more", more)
	}
	return b.String()
}

// dead writes a dead letter of the message at hand, keyed as it was.
func (w *normalizer) dead(reason, detail, action string) {
	d := schemas.DeadLetterFor(stageNormalize, reason, detail, action, *w.raw)
	d.Lineage = w.lineage
	d.Lineage.Index = 0
	w.outs = append(w.outs, schemas.DeadLetters.Out(string(w.raw.Key), &d))
}
