package processors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"auscult/fhir"
	"auscult/schemas"
)

// Defaults and limits of Deliver.
const (
	// DefaultReferenceWait is how long a reference to what the server does not
	// hold yet is tried again (rule G14).
	DefaultReferenceWait = 10 * time.Minute
	// DefaultDeliverConcurrency is how many patients are written at once.
	DefaultDeliverConcurrency = 16
	// DefaultRequestTimeout is the limit of one request: below half of the
	// default session timeout (rule G3).
	DefaultRequestTimeout = 12 * time.Second
	maxDeliverConcurrency = 256
)

// RetryHeader marks a record that was a dead letter and was sent again: it has a
// new offset, but says nothing new.
const RetryHeader = "auscult-retry"

// DeliverConfig says how resources are written. Zero values stand for the
// defaults.
type DeliverConfig struct {
	// ReferenceWait is how long a missing reference is tried again before the
	// record becomes a dead letter.
	ReferenceWait time.Duration `yaml:"referenceWait"`
	// Concurrency is how many patients are written at once.
	Concurrency int `yaml:"concurrency"`

	// RequestTimeout limits one request. It must stay below half the session
	// timeout of the consumer group (rule G3).
	RequestTimeout time.Duration `yaml:"-"`
	// Hot: the stage reads resources-hot, writes Flag changes first and puts the
	// scorer's Device before anything else.
	Hot bool `yaml:"-"`
	// Scorer is the Device that all risk resources refer to; with Hot only.
	Scorer schemas.WholeResource `yaml:"-"`
	// OnRetry is told of each request that will be made again.
	OnRetry func(err error, wait time.Duration) `yaml:"-"`

	Now   func() time.Time                                 `yaml:"-"`
	Sleep func(ctx context.Context, d time.Duration) error `yaml:"-"`
	// Random returns a number in [0, 1): backoff is never the same for all.
	Random func() float64 `yaml:"-"`
}

// DeliverConfigError is one thing wrong in a DeliverConfig.
type DeliverConfigError struct {
	Path string // relative to the configuration
	Text string // what is wrong and what to change
}

// Error says what to change.
func (e *DeliverConfigError) Error() string { return e.Text }

// ConfigPath names the field.
func (e *DeliverConfigError) ConfigPath() string { return e.Path }

// Validate says everything that is wrong with c, as errors that have a
// ConfigPath.
func (c DeliverConfig) Validate() error {
	var errs []error
	if c.ReferenceWait < 0 {
		errs = append(errs, &DeliverConfigError{"referenceWait", fmt.Sprintf("referenceWait must not be below 0, e.g. %s", DefaultReferenceWait)})
	}
	if c.Concurrency < 0 || c.Concurrency > maxDeliverConcurrency {
		errs = append(errs, &DeliverConfigError{"concurrency", fmt.Sprintf("concurrency must be between 1 and %d, e.g. %d",
			maxDeliverConcurrency, DefaultDeliverConcurrency)})
	}
	return errors.Join(errs...)
}

func (c DeliverConfig) withDefaults() DeliverConfig {
	c.ReferenceWait = cmp.Or(c.ReferenceWait, DefaultReferenceWait)
	c.RequestTimeout = cmp.Or(c.RequestTimeout, DefaultRequestTimeout)
	c.Concurrency = min(max(cmp.Or(c.Concurrency, DefaultDeliverConcurrency), 1), maxDeliverConcurrency)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Sleep == nil {
		c.Sleep = deliverSleep
	}
	if c.Random == nil {
		c.Random = rand.Float64
	}
	if c.OnRetry == nil {
		c.OnRetry = func(error, time.Duration) {}
	}
	return c
}

func deliverSleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Deliver writes resources to a FHIR server: segments as Observations that are
// created or merged, finished resources as transactions.
//
// What belongs to one patient is written in order, different patients side by
// side. A batch is done when all of it is on the server or a dead letter.
type Deliver struct {
	to      Uploader
	mapping *fhir.Mapping
	cfg     DeliverConfig
	known   *storedCache
	counts  deliverCounters
	slots   chan struct{} // one for each request under way

	mu         sync.Mutex
	shares     map[*schemas.Share]*deliverShare
	missing    map[references]time.Time // since when something of them has been missing
	scorerDone bool
}

// deliverShare is what Deliver keeps of a partition while it owns it.
type deliverShare struct {
	begun  int64         // highest offset that has been given to Process, -1 = none
	checks []*deliverJob // to be read once more; guarded by Deliver.mu
}

// NewDeliver returns the stage. mapping may be nil where only finished
// resources flow.
func NewDeliver(to Uploader, mapping *fhir.Mapping, cfg DeliverConfig) *Deliver {
	cfg = cfg.withDefaults()
	return &Deliver{
		to: to, mapping: mapping, cfg: cfg, known: newStoredCache(), slots: make(chan struct{}, cfg.Concurrency),
		shares: map[*schemas.Share]*deliverShare{}, missing: map[references]time.Time{},
	}
}

// Assigned prepares for a share: the first one of the hot stage has the
// scorer's Device written. It reads on from the committed offset.
func (d *Deliver) Assigned(ctx context.Context, _ *schemas.Share) (int64, error) {
	if !d.cfg.Hot || d.cfg.Scorer.ID == "" {
		return -1, nil
	}
	d.mu.Lock()
	done := d.scorerDone
	d.mu.Unlock()
	if done {
		return -1, nil
	}
	if err := d.putScorer(ctx); err != nil {
		return 0, fmt.Errorf("writing the scorer's Device: %w", err)
	}
	d.mu.Lock()
	d.scorerDone = true
	d.mu.Unlock()
	return -1, nil
}

// Revoked forgets a share, and what is known of the server: from now on somebody
// else may write what it was about, and the share may come back.
func (d *Deliver) Revoked(s *schemas.Share) {
	d.known.clear()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.shares, s)
}

func (d *Deliver) share(s *schemas.Share) *deliverShare {
	d.mu.Lock()
	defer d.mu.Unlock()
	own := d.shares[s]
	if own == nil {
		own = &deliverShare{begun: -1}
		d.shares[s] = own
	}
	return own
}

// Status returns what the share owes: Deliver parks nothing, but may have to
// read once more what it has created.
func (d *Deliver) Status(s *schemas.Share) (parked, owes int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if own := d.shares[s]; own != nil {
		owes = len(own.checks)
	}
	return 0, owes
}

// Process writes a batch and returns the dead letters that it makes.
func (d *Deliver) Process(ctx context.Context, b schemas.Batch) ([]schemas.Out, error) {
	own := d.share(b.Share)
	if err := d.holdBack(ctx, b.Share); err != nil {
		return nil, err
	}
	var outs []schemas.Out
	var items []deliverItem
	for _, raw := range b.Records {
		r, err := schemas.Resources.Decode(raw.Value)
		if err != nil {
			outs = append(outs, d.dead(deliverItem{raw: raw, r: &schemas.Resource{}}, schemas.ReasonRecord, err.Error(),
				"the record was not written by auscult; find out who writes to this topic"))
			continue
		}
		// G3: what a predecessor may have sent, or this process before the call
		// broke off, is not written unread.
		again := raw.Offset < b.Share.End || raw.Offset <= own.begun || isRetried(raw)
		items = append(items, deliverItem{raw: raw, r: r, again: again})
	}
	if n := len(b.Records); n > 0 {
		own.begun = max(own.begun, b.Records[n-1].Offset)
	}
	lanes := lanesOf(items, d.cfg.Hot)
	refused, created, err := d.run(ctx, lanes)
	if err != nil {
		return nil, err
	}
	d.noteWritten(b.Share, own, lanes, created)
	return append(outs, refused...), nil
}

func isRetried(raw schemas.Raw) bool {
	return slices.ContainsFunc(raw.Headers, func(h schemas.Header) bool { return h.Key == RetryHeader })
}

// holdBack waits when so much was created blindly that it could not be kept for
// the second look: until nothing need be kept any longer.
func (d *Deliver) holdBack(ctx context.Context, s *schemas.Share) error {
	rest := d.cfg.RequestTimeout - d.cfg.Now().Sub(s.AssignedAt)
	_, owes := d.Status(s)
	if owes < maxChecks || rest < 0 {
		return nil
	}
	return d.cfg.Sleep(ctx, rest+time.Millisecond)
}

// noteWritten keeps what was created blindly soon after the assignment, to be
// read once more (rule G3): a predecessor's request may still be on its way.
// Where the topic was empty there is no predecessor with anything to send. What
// is written into a segment after that belongs to its second look, which would
// bring the first values back without it.
func (d *Deliver) noteWritten(s *schemas.Share, own *deliverShare, lanes []deliverLane, created []*deliverJob) {
	if s.End <= s.Start {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := map[string]*deliverJob{}
	for _, j := range own.checks {
		kept[j.id] = j
	}
	delete(kept, "") // transactions have their order
	for _, l := range lanes {
		for _, j := range l.jobs {
			if k := kept[j.id]; k != nil {
				k.items = append(k.items, j.items...)
			}
		}
	}
	for _, j := range created {
		if j.created.Sub(s.AssignedAt) <= d.cfg.RequestTimeout && kept[j.id] == nil {
			own.checks = append(own.checks, j)
		}
	}
}

// Tick reads what was created blindly once more when no request of a
// predecessor can be on its way any longer, and puts it right.
func (d *Deliver) Tick(ctx context.Context, s *schemas.Share, now time.Time) ([]schemas.Out, error) {
	own := d.share(s)
	if now.Sub(s.AssignedAt) <= d.cfg.RequestTimeout {
		return nil, nil
	}
	d.mu.Lock()
	due := own.checks[:min(len(own.checks), maxChecksPerTick)]
	d.mu.Unlock()
	lanes := make([]deliverLane, 0, len(due))
	for _, j := range due {
		lanes = append(lanes, deliverLane{patient: j.items[0].r.Patient, jobs: []*deliverJob{j.again()}})
	}
	outs, _, err := d.run(ctx, lanes)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	own.checks = slices.Clone(own.checks[len(due):])
	return outs, nil
}

// Limits of the second look at what was created after an assignment.
const (
	maxChecks        = 5_000 // jobs kept for it, for each share
	maxChecksPerTick = 500   // the rest is due in the next tick
)

// run writes lanes side by side and returns dead letters and the jobs that
// created something without a version to match, both in the lanes' order.
func (d *Deliver) run(ctx context.Context, lanes []deliverLane) (outs []schemas.Out, created []*deliverJob, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	results := make([]laneResult, len(lanes))
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(d.cfg.Concurrency, len(lanes)) {
		workers.Go(func() {
			for i := range next {
				if err := d.lane(ctx, lanes[i], &results[i]); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := range lanes {
		next <- i
	}
	close(next)
	workers.Wait()
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	for _, r := range results {
		outs, created = append(outs, r.outs...), append(created, r.created...)
	}
	return outs, created, nil
}

// laneResult is what one lane leaves behind.
type laneResult struct {
	outs    []schemas.Out
	created []*deliverJob
}

// lane writes the jobs of one patient in order. A Flag change that was put
// first and refers to what one of the others writes goes behind them.
func (d *Deliver) lane(ctx context.Context, l deliverLane, out *laneResult) error {
	jobs := slices.Clone(l.jobs)
	for len(jobs) > 0 {
		j := jobs[0]
		jobs = jobs[1:]
		j.mayWait = !j.mayWait && j.urgent() && slices.ContainsFunc(jobs, func(o *deliverJob) bool { return !o.urgent() })
		err := d.insist(ctx, j)
		if errors.Is(err, errGoBehind) {
			jobs = append(jobs, j)
			continue
		}
		if err != nil {
			return err
		}
		out.outs = append(out.outs, j.outs...)
		if !j.created.IsZero() {
			out.created = append(out.created, j)
		}
	}
	return nil
}

// deliverItem is one record.
type deliverItem struct {
	raw   schemas.Raw
	r     *schemas.Resource
	again bool // it may have been sent before
}

// deliverJob is what is written by one request: the records of one segment in
// a batch (rule G17), or one transaction.
type deliverJob struct {
	items []deliverItem
	id    string // segments: id of the Observation
	read  bool   // nothing is written unread: an earlier request has no answer
	// mayWait: at a missing reference the job goes behind the others once.
	mayWait bool

	outs    []schemas.Out // dead letters
	created time.Time     // when the request began that created something without a version to match
}

// again returns the job as if its records had come again.
func (j *deliverJob) again() *deliverJob {
	c := &deliverJob{id: j.id, read: true, items: slices.Clone(j.items)}
	for i := range c.items {
		c.items[i].again = true
	}
	return c
}

// deliverLane is the jobs of one patient.
type deliverLane struct {
	patient string
	jobs    []*deliverJob
}

// urgent reports whether the lane changes a Flag.
func (l deliverLane) urgent() bool { return slices.ContainsFunc(l.jobs, (*deliverJob).urgent) }

func (j *deliverJob) urgent() bool {
	return slices.ContainsFunc(j.items[0].r.Whole, func(w schemas.WholeResource) bool { return w.Type == "Flag" })
}

// lanesOf sorts records into jobs by patient. Hot lanes with Flag changes come
// first, and within a lane the transactions that change a Flag: the order in
// the Provenance keeps an older one from overwriting what has overtaken it.
func lanesOf(items []deliverItem, hot bool) []deliverLane {
	var lanes []deliverLane
	byPatient := map[string]int{}
	segments := map[string]*deliverJob{}
	for _, it := range items {
		i, ok := byPatient[it.r.Patient]
		if !ok {
			i = len(lanes)
			byPatient[it.r.Patient] = i
			lanes = append(lanes, deliverLane{patient: it.r.Patient})
		}
		if it.r.Kind == schemas.ResourceWhole {
			lanes[i].jobs = append(lanes[i].jobs, &deliverJob{items: []deliverItem{it}})
			continue
		}
		id := fhir.ObservationID(fhir.ObservationIdentifier(it.r.Patient, it.r.Device, it.r.Type, it.r.Segment))
		if j := segments[id]; j != nil {
			j.items = append(j.items, it)
			continue
		}
		segments[id] = &deliverJob{id: id, items: []deliverItem{it}}
		lanes[i].jobs = append(lanes[i].jobs, segments[id])
	}
	if !hot {
		return lanes
	}
	for _, l := range lanes {
		slices.SortStableFunc(l.jobs, func(a, b *deliverJob) int { return urgentFirst(a.urgent(), b.urgent()) })
	}
	slices.SortStableFunc(lanes, func(a, b deliverLane) int { return urgentFirst(a.urgent(), b.urgent()) })
	return lanes
}

func urgentFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// dead makes a record a dead letter, with its own lineage.
func (d *Deliver) dead(it deliverItem, reason, detail, action string) schemas.Out {
	d.counts.dead.Add(1)
	letter := schemas.DeadLetterFor("deliver", reason, detail, action, it.raw)
	letter.Lineage = it.r.Lineage
	return schemas.DeadLetters.Out(string(it.raw.Key), &letter)
}

// refuse makes all records of a job dead letters.
func (d *Deliver) refuse(j *deliverJob, reason, detail, action string) {
	j.outs = j.outs[:0]
	for _, it := range j.items {
		j.outs = append(j.outs, d.dead(it, reason, detail, action))
	}
}

// refuseMapping makes one record a dead letter because the mapping cannot use
// it.
func (d *Deliver) refuseMapping(j *deliverJob, it deliverItem, err error) {
	j.outs = append(j.outs, d.dead(it, schemas.ReasonMapping, err.Error(),
		"correct the FHIR mapping (or the stored Observation), then retry the dead letters of reason mapping"))
}

var (
	errNoMapping = errors.New("this stage has no FHIR mapping, but was given a segment")
	errGoBehind  = errors.New("refers to what another record may write")
)
