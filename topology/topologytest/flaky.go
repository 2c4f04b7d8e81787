package topologytest

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"

	"auscult/fhir"
	"auscult/schemas"
)

// Of so many requests to a flaky server one is refused, and of the others one
// loses its answer.
const (
	oneRefusedOf  = 12
	oneUnheardOf  = 12
	flakyAtMost   = 300 // faults of one server
	firstAnswered = 3   // requests that go well, so that short plays begin
)

// errUnheard is a connection that broke after the request was sent.
var errUnheard = errors.New("the connection was closed before the answer")

// Flaky is a Store behind a bad line: now and then it is too busy, and now and
// then it does what was asked and the answer is lost.
type Flaky struct {
	*Store
	// Calm makes the line good. It is not to be changed during a request.
	Calm bool

	mu     sync.Mutex
	rng    *rand.Rand
	asked  int
	faults int
}

// NewFlaky puts a bad line before a store.
func NewFlaky(s *Store, seed uint64) *Flaky {
	return &Flaky{Store: s, rng: rand.New(rand.NewPCG(seed, ^seed))}
}

// Faults returns how many requests have failed.
func (f *Flaky) Faults() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.faults
}

// fault decides what happens to one request.
func (f *Flaky) fault() (refused, unheard error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked++; f.Calm || f.asked <= firstAnswered || f.faults >= flakyAtMost {
		return nil, nil
	}
	switch {
	case f.rng.IntN(oneRefusedOf) == 0:
		f.faults++
		return &fhir.StatusError{Status: http.StatusServiceUnavailable, Outcome: "busy"}, nil
	case f.rng.IntN(oneUnheardOf) == 0:
		f.faults++
		return nil, errUnheard
	}
	return nil, nil
}

// over does one request over the bad line.
func over[T any](f *Flaky, do func() (T, error)) (T, error) {
	var none T
	refused, unheard := f.fault()
	if refused != nil {
		return none, refused
	}
	answer, err := do()
	if unheard != nil {
		return none, unheard
	}
	return answer, err
}

// Read is Store.Read over the bad line; so are the others.
func (f *Flaky) Read(ctx context.Context, resourceType, id string) (fhir.Stored, error) {
	return over(f, func() (fhir.Stored, error) { return f.Store.Read(ctx, resourceType, id) })
}

// Search searches.
func (f *Flaky) Search(ctx context.Context, resourceType string, query url.Values) ([]fhir.Stored, error) {
	return over(f, func() ([]fhir.Stored, error) { return f.Store.Search(ctx, resourceType, query) })
}

// History returns all versions.
func (f *Flaky) History(ctx context.Context, resourceType, id string) ([]fhir.Stored, error) {
	return over(f, func() ([]fhir.Stored, error) { return f.Store.History(ctx, resourceType, id) })
}

// Put writes a version.
func (f *Flaky) Put(ctx context.Context, resourceType, id string, body []byte, version string) (fhir.Stored, error) {
	return over(f, func() (fhir.Stored, error) { return f.Store.Put(ctx, resourceType, id, body, version) })
}

// Transaction writes all or none.
func (f *Flaky) Transaction(ctx context.Context, rs []schemas.WholeResource, versions []string) ([]fhir.Stored, error) {
	return over(f, func() ([]fhir.Stored, error) { return f.Store.Transaction(ctx, rs, versions) })
}
