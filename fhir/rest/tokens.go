package rest

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"auscult/fhir"
)

// Limits of how long tokens are used.
const (
	// maxEarly is how long before its end a token is renewed; one that lives
	// shortly is renewed in the last fifth of its life.
	maxEarly = 5 * time.Minute
	// maxTravel is how long before its end a token is not sent any more: the
	// request that carries it must still arrive.
	maxTravel = 10 * time.Second
	// defaultLife is how long a token is taken to live when the token endpoint
	// does not say.
	defaultLife = 5 * time.Minute
	maxLife     = 24 * time.Hour
	// unprovenLife is how old a token must be before its refusal is taken for
	// its age, where the server has never accepted it. A server that refuses
	// whatever we send must not cost a new token with each request.
	unprovenLife = time.Minute

	firstTokenPause = time.Second
	maxTokenPause   = 30 * time.Second
	// maxAskedPause bounds what a token endpoint may ask for.
	maxAskedPause = 5 * time.Minute
)

// grant is a token as it was issued.
type grant struct {
	hidden
	header  Secret
	issued  time.Time // not after the moment from which its life counts
	expires time.Time
	early   time.Time // when to ask for the next one; zero = as maxEarly says
}

func (g *grant) usable(now time.Time) bool {
	travel := min(g.expires.Sub(g.issued)/10, maxTravel)
	return g.header != "" && now.Before(g.expires.Add(-travel))
}

// old reports whether it is time for the next token. A clock that was set back
// says nothing about the age of this one.
func (g *grant) old(now time.Time) bool {
	early := g.early
	if early.IsZero() {
		early = g.expires.Add(-min(g.expires.Sub(g.issued)/5, maxEarly))
	}
	return !now.Before(early) || now.Before(g.issued)
}

// issuer asks for a new token. It is called by one goroutine at a time.
type issuer interface {
	issue(ctx context.Context) (grant, error)
}

// tokens keeps the token of an issuer and renews it early: one request at a
// time, while all others use the old one for as long as it is valid.
type tokens struct {
	hidden
	issuer issuer
	limit  time.Duration // of one renewal
	now    func() time.Time

	mu       sync.Mutex
	held     grant
	proven   bool          // the FHIR server has accepted what is held
	renewing chan struct{} // closed when the renewal under way has ended; nil = none is
	failed   error         // of the last renewal
	failures int           // since the last token
	again    time.Time     // no renewal before it
}

func newTokens(i issuer, c Config, now func() time.Time) *tokens {
	return &tokens{issuer: i, limit: c.Timeout, now: now}
}

func (t *tokens) authorize(ctx context.Context) (Secret, error) {
	for {
		header, under, err := t.take()
		if header != "" || err != nil {
			return header, err
		}
		if under == nil {
			return t.renew(ctx)
		}
		select {
		case <-under:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// take returns the header to send; or a renewal to wait for; or neither, when
// the caller is to renew.
func (t *tokens) take() (Secret, chan struct{}, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	paused := t.paused(now)
	switch usable := t.held.usable(now); {
	case usable && (paused || t.renewing != nil || !t.held.old(now)):
		return t.held.header, nil, nil
	case t.renewing != nil:
		return "", t.renewing, nil
	case paused:
		return "", nil, t.failed
	}
	t.renewing = make(chan struct{})
	return "", nil, nil
}

// paused reports whether the last failure is too fresh for another attempt. A
// clock that was set back does not make the pause longer.
func (t *tokens) paused(now time.Time) bool {
	wait := t.again.Sub(now)
	return t.failed != nil && wait > 0 && wait <= maxAskedPause
}

// renew asks for a token. Where that fails, the old one is good enough for as
// long as it is valid.
func (t *tokens) renew(ctx context.Context) (Secret, error) {
	limited, cancel := context.WithTimeout(ctx, t.limit)
	defer cancel()
	g, err := t.issuer.issue(limited)
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.renewing)
	t.renewing = nil
	now := t.now()
	switch {
	case err == nil:
		t.proven = t.proven && g.header == t.held.header
		t.held, t.failed, t.failures = g, nil, 0
		return g.header, nil
	case ctx.Err() != nil: // says nothing about the issuer: the next one tries
		err = ctx.Err()
	default:
		t.failed, t.again = err, now.Add(tokenPause(err, t.failures))
		t.failures++
	}
	if t.held.usable(now) {
		return t.held.header, nil
	}
	return "", err
}

// tokenPause is how long a token endpoint is left alone after a failure.
func tokenPause(err error, failures int) time.Duration {
	wait := min(firstTokenPause<<min(failures, 10), maxTokenPause)
	var status *fhir.StatusError
	if errors.As(err, &status) {
		wait = max(wait, min(status.RetryAfter, maxAskedPause))
	}
	return wait
}

// heard drops a token that the FHIR server no longer accepts.
func (t *tokens) heard(header Secret, status int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case status != http.StatusUnauthorized:
		t.proven = t.proven || header == t.held.header && status < http.StatusBadRequest
		return false
	case header != t.held.header:
		return true // renewed in the meantime, or dropped by another request
	case !t.proven && t.now().Sub(t.held.issued) < unprovenLife:
		return false
	}
	t.held, t.proven = grant{}, false
	return true
}
