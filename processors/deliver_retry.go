package processors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"auscult/fhir"
	"auscult/schemas"
)

// Backoff of requests that are made again.
const (
	firstDeliverWait = 250 * time.Millisecond
	maxDeliverWait   = 30 * time.Second
	// maxRetryAfter bounds what a server may ask for.
	maxRetryAfter = 5 * time.Minute
	// maxQuickConflicts is how often a conflict is settled by reading again at
	// once; then there is a pause each time.
	maxQuickConflicts = 5
	// maxConflicts ends the attempts at what a server answers with conflict
	// whatever is read before: an id that it will not give again, say. The pauses
	// between them add up to ten minutes and more.
	maxConflicts = 30
	// maxNotFound is how often a write may be answered with 404 before the base
	// URL is taken to be wrong.
	maxNotFound = 3
	// maxMissing bounds what is remembered of missing references.
	maxMissing = 10_000
)

// disposition is what becomes of a request that failed.
type disposition int

const (
	dispositionRetry     disposition = iota // the other side is down or busy
	dispositionConflict                     // somebody else wrote: read and merge again
	dispositionReference                    // refers to what the server does not hold yet
	dispositionDead                         // the server refuses the content
	dispositionStop                         // configuration is wrong
)

// disposeOf decides what a failed request means.
func disposeOf(err error) disposition {
	var status *fhir.StatusError
	if !errors.As(err, &status) {
		return dispositionRetry
	}
	switch s := status.Status; {
	case s == 401 || s == 403 || s == 405:
		return dispositionStop
	case status.MissingReference: // whatever the server's code for it
		return dispositionReference
	case s == 404 || s == 409 || s == 410 || s == 412:
		return dispositionConflict
	case s == 408 || s == 429 || s >= 500 || s < 400:
		return dispositionRetry
	}
	return dispositionDead
}

// insist does a job until it is done or its records are dead letters. Only the
// end of ctx and wrong configuration are errors.
func (d *Deliver) insist(ctx context.Context, j *deliverJob) error {
	conflicts, notFound := 0, 0
	for try := 0; ; try++ {
		j.outs, j.created = nil, time.Time{}
		err := d.once(ctx, j)
		if err == nil {
			d.referenceFound(j)
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		j.read = true
		pause := true
		switch disposeOf(err) {
		case dispositionStop:
			return explainStop(err)
		case dispositionDead:
			d.refuse(j, schemas.ReasonServer, serverOutcome(err), "see what the server says; correct the mapping or the server's content, then retry the dead letters of reason server")
			return nil
		case dispositionReference:
			if j.mayWait {
				return errGoBehind
			}
			d.restoreScorer(ctx)
			if d.referenceMissing(j) >= d.cfg.ReferenceWait {
				d.refuse(j, schemas.ReasonServer, serverOutcome(err), "create what the resource refers to, then retry the dead letters of reason server")
				return nil
			}
		case dispositionConflict:
			d.counts.conflicts.Add(1)
			if serverStatus(err) == 404 {
				notFound++
			}
			if notFound > maxNotFound {
				return explainStop(err)
			}
			if conflicts++; conflicts > maxConflicts {
				d.refuse(j, schemas.ReasonServer, serverOutcome(err), "see why the server takes no version of the resource, then retry the dead letters of reason server")
				return nil
			}
			pause = conflicts > maxQuickConflicts
		}
		if pause {
			if err := d.pause(ctx, err, try); err != nil {
				return err
			}
		}
	}
}

// once makes one attempt at a job, when a slot is free.
func (d *Deliver) once(ctx context.Context, j *deliverJob) error {
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if j.items[0].r.Kind == schemas.ResourceWhole {
		return d.whole(ctx, j)
	}
	return d.segment(ctx, j)
}

// pause waits before another attempt: exponentially longer, never the same for
// two, and at least as long as the server asks.
func (d *Deliver) pause(ctx context.Context, err error, try int) error {
	wait := min(firstDeliverWait<<min(try, 10), maxDeliverWait)
	wait = time.Duration(float64(wait) * (0.5 + d.cfg.Random()/2))
	var status *fhir.StatusError
	if errors.As(err, &status) {
		wait = max(wait, min(status.RetryAfter, maxRetryAfter))
	}
	d.counts.retries.Add(1)
	d.cfg.OnRetry(err, wait)
	defer d.counts.waiting(d.cfg.Now())()
	if err := d.cfg.Sleep(ctx, wait); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return err
	}
	return nil
}

// referenceMissing returns how long what the job refers to has been missing. The
// clock runs on from one record to the next, so that a patient who never comes
// holds others up once, not for each record.
func (d *Deliver) referenceMissing(j *deliverJob) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.cfg.Now()
	since, ok := d.missing[j.refersTo()]
	if !ok {
		if len(d.missing) >= maxMissing {
			clear(d.missing)
		}
		since, d.missing[j.refersTo()] = now, now
	}
	return now.Sub(since)
}

func (d *Deliver) referenceFound(j *deliverJob) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.missing, j.refersTo())
}

// references name what a job refers to. That one of a patient's records is taken
// says nothing of those that name an encounter which never comes, or of a Flag
// whose RiskAssessment was refused.
type references struct{ patient, encounter, device, flag string }

func (j *deliverJob) refersTo() references {
	r := j.items[0].r
	all := references{patient: r.Patient, encounter: r.Encounter, device: r.Device}
	for _, w := range r.Whole {
		if w.Type == "Flag" {
			all.flag = w.ID
		}
	}
	return all
}

func serverStatus(err error) int {
	var status *fhir.StatusError
	if errors.As(err, &status) {
		return status.Status
	}
	return 0
}

// outcomeOf is what the server says, for a dead letter.
func serverOutcome(err error) string {
	var status *fhir.StatusError
	if errors.As(err, &status) && status.Outcome != "" {
		return fmt.Sprintf("%v: %s", err, status.Outcome)
	}
	return err.Error()
}

// explainStop says what to check when the configuration must be wrong.
func explainStop(err error) error {
	switch serverStatus(err) {
	case 401:
		return fmt.Errorf("the FHIR server does not accept our credentials; check how auscult logs in to it: %w", err)
	case 403:
		return fmt.Errorf("the FHIR server does not let us write; give this client the right to read and write resources: %w", err)
	case 405:
		return fmt.Errorf("the FHIR server does not take PUT with an id of ours; allow clients to assign ids (update as create): %w", err)
	}
	return fmt.Errorf("the FHIR server does not know the address we write to; check its base URL: %w", err)
}

// limited gives one request its time limit.
func (d *Deliver) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d.cfg.RequestTimeout)
}
