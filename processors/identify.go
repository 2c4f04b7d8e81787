package processors

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"auscult/schemas"
)

// Mode is how Identify finds Device and Patient, as MedTech names it.
type Mode string

// The modes.
const (
	ModeCreate              Mode = "create"
	ModeLookup              Mode = "lookup"
	ModeLookupWithEncounter Mode = "lookup-with-encounter"
)

// Mismatch is what happens in mode create to a message that names another
// patient than its Device does.
type Mismatch string

// The answers to a mismatch.
const (
	MismatchError    Mismatch = "error"    // the message is refused, as the connector does
	MismatchReassign Mismatch = "reassign" // from that event time on the device is his
)

// Defaults and limits of IdentifyConfig.
const (
	DefaultIdentityTTL    = 15 * time.Minute
	DefaultIdentityGiveUp = time.Hour
	DefaultConcurrency    = 16
	maxConcurrency        = 256
	maxFacts              = 64
)

// Limits of Identify's memory and work.
const (
	firstRecheck  = 5 * time.Second // after an answer "unknown"; doubles
	maxRecheck    = 5 * time.Minute
	retryWait     = time.Second // when the server did not say how long
	maxRetryWait  = time.Minute
	checksPerTick = 128 // of one share, in one second
	maxNames      = 64  // that messages of one device use and nobody has answered yet
	maxUnknown    = 100_000
)

// Fact is something that scoring wants to know of a patient.
type Fact struct {
	Name string `yaml:"name"` // e.g. spo2-scale-2
	// Codes are system|code; one of them on an active Condition or Flag of the
	// patient makes the fact hold.
	Codes []string `yaml:"codes"`
}

// IdentifyConfig is what can be set about Identify.
type IdentifyConfig struct {
	Mode Mode `yaml:"mode"`
	// DefaultDeviceSystem is the system of device identifiers; empty finds them
	// in any system.
	DefaultDeviceSystem string   `yaml:"defaultDeviceSystem"`
	Mismatch            Mismatch `yaml:"mismatch"`
	// TTL is how long an answer counts before the server is asked again.
	TTL time.Duration `yaml:"ttl"`
	// GiveUp is how long after the first "unknown" parked values become dead
	// letters, if the re-checks still say so (G14).
	GiveUp      time.Duration `yaml:"giveUp"`
	Facts       []Fact        `yaml:"facts"`
	Concurrency int           `yaml:"concurrency"` // questions to the server at a time, in one batch
	// AtOnce gives up with the first "unknown": a run until drained waits for
	// nobody (G15).
	AtOnce bool `yaml:"-"`
}

// WithDefaults returns c with what the configuration leaves open.
func (c IdentifyConfig) WithDefaults() IdentifyConfig {
	if c.Mode == "" {
		c.Mode = ModeLookup
	}
	if c.Mismatch == "" {
		c.Mismatch = MismatchError
	}
	if c.TTL == 0 {
		c.TTL = DefaultIdentityTTL
	}
	if c.GiveUp == 0 {
		c.GiveUp = DefaultIdentityGiveUp
	}
	if c.Concurrency == 0 {
		c.Concurrency = DefaultConcurrency
	}
	return c
}

// IdentifyConfigError is one thing wrong in an IdentifyConfig.
type IdentifyConfigError struct {
	Path string // relative to the configuration
	Text string // what is wrong and what to change
}

// Error says what to change.
func (e *IdentifyConfigError) Error() string { return e.Text }

// ConfigPath names the field.
func (e *IdentifyConfigError) ConfigPath() string { return e.Path }

// Validate says everything that is wrong with c, as errors that have a
// ConfigPath.
func (c IdentifyConfig) Validate() error {
	c = c.WithDefaults()
	var errs []error
	add := func(path, format string, args ...any) {
		errs = append(errs, &IdentifyConfigError{Path: path, Text: fmt.Sprintf(format, args...)})
	}
	if !slices.Contains([]Mode{ModeCreate, ModeLookup, ModeLookupWithEncounter}, c.Mode) {
		add("mode", "mode %q is not known: write create, lookup or lookup-with-encounter", c.Mode)
	}
	if c.Mismatch != MismatchError && c.Mismatch != MismatchReassign {
		add("mismatch", "mismatch %q is not known: write error or reassign", c.Mismatch)
	}
	if c.TTL < time.Second {
		add("ttl", "ttl must be 1s or more, e.g. %s", DefaultIdentityTTL)
	}
	if c.GiveUp < 0 {
		add("giveUp", "giveUp must not be below 0, e.g. %s", DefaultIdentityGiveUp)
	}
	if c.Concurrency < 1 || c.Concurrency > maxConcurrency {
		add("concurrency", "concurrency must be 1 to %d", maxConcurrency)
	}
	if len(c.Facts) > maxFacts {
		add("facts", "there are more than %d facts", maxFacts)
	}
	for i, f := range c.Facts {
		if f.Name == "" || len(f.Codes) == 0 {
			add(fmt.Sprintf("facts[%d]", i), "a fact needs a name and at least one code")
		}
		for k, code := range f.Codes {
			if system, value, ok := strings.Cut(code, "|"); !ok || system == "" || value == "" {
				add(fmt.Sprintf("facts[%d].codes[%d]", i, k), "write the code as system|code, e.g. http://snomed.info/sct|13645005")
			}
		}
	}
	return errors.Join(errs...)
}

// IdentifyCounts are counted since the process started.
type IdentifyCounts struct {
	Checks  atomic.Int64 // devices asked for
	Unknown atomic.Int64 // answers that a device, patient or encounter is not known
	GivenUp atomic.Int64
	Created atomic.Int64 // Patients and Devices
	Emitted atomic.Int64
	Retries atomic.Int64 // batches that the server's state held up
}

// Identify is the stage that asks the FHIR server to whom devices belong, and
// writes the answers to identities. Its truth is that topic: what it holds in
// memory was read from there or is being written there.
type Identify struct {
	cfg      IdentifyConfig
	registry *registry
	clock    func() time.Time
	counts   IdentifyCounts

	mu     sync.Mutex
	shares map[*schemas.Share]*devices
}

// NewIdentify returns the stage. clock is the wall clock.
func NewIdentify(d Directory, cfg IdentifyConfig, clock func() time.Time) *Identify {
	s := &Identify{cfg: cfg.WithDefaults(), clock: clock, shares: map[*schemas.Share]*devices{}}
	s.registry = newRegistry(d, s.cfg, &s.counts, clock)
	return s
}

// Counts returns the counters of this process.
func (s *Identify) Counts() *IdentifyCounts { return &s.counts }

// devices are the devices of one share. Calls for one share never overlap.
type devices struct {
	byID    map[string]*device
	due     dueHeap // those that will be checked by a tick
	unknown int     // how many the server does not know
}

func (s *Identify) devices(share *schemas.Share) *devices {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.shares[share]
	if d == nil {
		d = &devices{byID: map[string]*device{}}
		s.shares[share] = d
	}
	return d
}

// Restore takes in one record of identities, read at assignment. A record that
// cannot be read is passed over: the server will be asked again.
func (s *Identify) Restore(_ context.Context, share *schemas.Share, r schemas.Raw) error {
	ds := s.devices(share)
	if r.Value == nil {
		delete(ds.byID, string(r.Key))
		return nil
	}
	id, err := schemas.Identities.Decode(r.Value)
	if err != nil {
		return nil
	}
	d := newDevice(id.Device)
	d.identity = *id
	d.checkAt = s.expires(d, id.CheckedAt.Time())
	if open := openOf(id.Assignments); open != nil {
		d.confirmed = open.CheckedAt // what is older was his; in between nobody can tell
	}
	for _, w := range id.Wants {
		d.wants = append(d.wants, want{encounter: w.Encounter, name: w.Name, at: w.At, tried: true})
	}
	if id.Unknown != "" {
		d.unknownSince = id.CheckedAt.Time()
		d.checkAt = s.clock()
		ds.schedule(d)
	}
	if old := ds.byID[id.Device]; old != nil {
		ds.cancel(old)
	}
	ds.byID[id.Device] = d
	return nil
}

// Revoked forgets the share.
func (s *Identify) Revoked(share *schemas.Share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.shares, share)
}

// Status says what the share's owner owes (G15): nothing is parked here, and an
// answer that was not written yet is owed.
func (s *Identify) Status(share *schemas.Share) (parked, owes int) {
	for _, d := range s.devices(share).byID {
		if d.dirty {
			owes++
		}
	}
	return 0, owes
}

// Process answers for every device, patient and encounter that the batch names
// and that has no answer yet. What cannot be read is left to Observe, which
// reads the same records.
func (s *Identify) Process(ctx context.Context, b schemas.Batch) ([]schemas.Out, error) {
	if len(b.Records) == 0 {
		return nil, nil
	}
	ds := s.devices(b.Share)
	now := s.clock()
	var m schemas.Measurement
	var touched, asked []*device
	seen := map[*device]bool{}
	for i := range b.Records {
		if m.Read(b.Records[i].Value) != nil || m.Device == "" {
			continue
		}
		d := ds.device(m.Device)
		if !seen[d] {
			seen[d] = true
			touched = append(touched, d)
		}
		d.hear(m.Occurrence)
		if d.ask(&m, s.cfg) && !d.asking {
			d.asking = true
			asked = append(asked, d)
		}
	}
	err := s.checkAll(ctx, asked, now)
	for _, d := range touched {
		d.asking = false
		ds.settle(d, now)
	}
	if err != nil {
		return nil, err
	}
	first, last := b.Records[0].Offset, b.Records[len(b.Records)-1].Offset
	touched = slices.DeleteFunc(touched, func(d *device) bool { return !d.dirty && d.emittedAt < first })
	for _, d := range touched {
		if d.dirty {
			d.emittedAt = last
		}
	}
	return s.emit(touched), nil
}

// emit returns the identities of the devices. Process gives it those that
// changed because of its batch, also when the batch came before.
func (s *Identify) emit(changed []*device) []schemas.Out {
	var outs []schemas.Out
	for _, d := range changed {
		d.dirty = false
		outs = append(outs, schemas.Identities.Out(d.identity.Device, &d.identity))
	}
	s.counts.Emitted.Add(int64(len(outs)))
	return outs
}

// Tick asks again for devices whose answer has expired and who have spoken
// since, and for what was unknown.
func (s *Identify) Tick(ctx context.Context, share *schemas.Share, _ time.Time) ([]schemas.Out, error) {
	ds := s.devices(share)
	now := s.clock()
	var due []*device
	for len(ds.due) > 0 && len(due) < checksPerTick && !ds.due[0].checkAt.After(now) {
		due = append(due, heap.Pop(&ds.due).(*device))
	}
	err := s.checkAll(ctx, due, now)
	var retry *Retry
	for _, d := range due {
		if err != nil && !d.checkAt.After(now) { // was not answered
			d.checkAt = now.Add(firstRecheck)
			ds.schedule(d)
		}
		ds.settle(d, now)
	}
	if err != nil && !errors.As(err, &retry) {
		return nil, err
	}
	return s.emit(slices.DeleteFunc(due, func(d *device) bool { return !d.dirty })), nil
}

// checkAll asks the server for each of the devices, several at a time. The
// first error ends the others: the server is down for all of them.
func (s *Identify) checkAll(ctx context.Context, asked []*device, now time.Time) error {
	if len(asked) == 0 {
		return nil
	}
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(asked))
	next := make(chan int, len(asked))
	for i := range asked {
		next <- i
	}
	close(next)
	var workers sync.WaitGroup
	for range min(s.cfg.Concurrency, len(asked)) {
		workers.Go(func() {
			for i := range next {
				if limited.Err() != nil {
					return
				}
				if errs[i] = s.check(limited, asked[i], now); errs[i] != nil {
					cancel()
				}
			}
		})
	}
	workers.Wait()
	return s.worst(ctx, errs)
}

// worst returns what has to be done about errors: stop before retry, retry
// before the cancellation that either caused.
func (s *Identify) worst(ctx context.Context, errs []error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var worst error
	for _, err := range errs {
		var retry *Retry
		switch {
		case err == nil || errors.Is(err, context.Canceled):
		case !errors.As(err, &retry):
			return err
		default:
			worst = err
		}
	}
	if worst != nil {
		s.counts.Retries.Add(1)
	}
	return worst
}

// check brings one device up to date: the Device, its patients, then what its
// messages name.
func (s *Identify) check(ctx context.Context, d *device, now time.Time) error {
	s.counts.Checks.Add(1)
	c := &checking{cfg: &s.cfg, registry: s.registry, device: d, now: now, clock: s.clock, id: cloneIdentity(&d.identity)}
	if err := c.run(ctx); err != nil {
		return err
	}
	s.conclude(c)
	return nil
}

// expires returns when an answer given at t has to be confirmed: after the TTL,
// a fifth more or less, so that a ward switched on at once is not asked for at
// once for ever.
func (s *Identify) expires(d *device, t time.Time) time.Time {
	h := fnv.New32a()
	_, _ = h.Write([]byte(d.identity.Device)) // never fails
	spread := time.Duration(h.Sum32()%401) - 200
	return t.Add(s.cfg.TTL + s.cfg.TTL/1000*spread)
}

func (ds *devices) device(name string) *device {
	d := ds.byID[name]
	if d == nil {
		d = newDevice(strings.Clone(name))
		ds.byID[d.identity.Device] = d
	}
	return d
}

// settle schedules what a tick has to do for d, and keeps the number of unknown
// devices within bounds: ids that nobody knows may be noise.
func (ds *devices) settle(d *device, now time.Time) {
	wasUnknown := d.countedUnknown
	d.countedUnknown = d.identity.Resource == "" && d.identity.Unknown != ""
	switch {
	case d.countedUnknown && !wasUnknown:
		ds.unknown++
	case !d.countedUnknown && wasUnknown:
		ds.unknown--
	}
	waiting := d.identity.Unknown != "" && !d.identity.GiveUp
	if !d.checkAt.IsZero() && (waiting || d.heard) {
		ds.schedule(d)
	}
	if ds.unknown <= maxUnknown || !d.countedUnknown {
		return
	}
	for name, other := range ds.byID {
		if other != d && other.countedUnknown && !other.dirty {
			ds.cancel(other)
			delete(ds.byID, name)
			ds.unknown--
			return
		}
	}
}

func (ds *devices) schedule(d *device) {
	if d.place < 0 {
		heap.Push(&ds.due, d)
		return
	}
	heap.Fix(&ds.due, d.place)
}

func (ds *devices) cancel(d *device) {
	if d.place >= 0 {
		heap.Remove(&ds.due, d.place)
	}
}

// dueHeap orders devices by the time of their next check.
type dueHeap []*device

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, k int) bool { return h[i].checkAt.Before(h[k].checkAt) }
func (h dueHeap) Swap(i, k int) {
	h[i], h[k] = h[k], h[i]
	h[i].place, h[k].place = i, k
}

// Push implements heap.Interface.
func (h *dueHeap) Push(x any) {
	d := x.(*device)
	d.place = len(*h)
	*h = append(*h, d)
}

// Pop implements heap.Interface.
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	d.place = -1
	return d
}
