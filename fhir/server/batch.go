package server

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxEntries is how many entries a bundle may have, as Microsoft's server.
const maxEntries = 500

// bundle runs a batch or a transaction.
func (s *Server) bundle(ctx context.Context, c *call) (*answer, error) {
	if c.method != http.MethodPost {
		return nil, problemf(http.StatusMethodNotAllowed, "not-supported", "send a Bundle by POST; a search names a type")
	}
	if got := c.resource.get("resourceType").text(); got != "Bundle" {
		return nil, invalid("resourceType", "the base address takes a Bundle, not %q", got)
	}
	var entries []*value
	c.resource.get("entry").each(func(e *value) { entries = append(entries, e) })
	if len(entries) > maxEntries {
		return nil, problemf(http.StatusRequestEntityTooLarge, "too-costly", "a Bundle has at most %d entries", maxEntries)
	}
	switch kind := c.resource.get("type").text(); kind {
	case "batch":
		return s.batch(ctx, c, entries)
	case "transaction":
		return s.transaction(ctx, c, entries)
	default:
		return nil, invalid("Bundle.type", "Bundle.type is batch or transaction, not %q", kind)
	}
}

// entryCall reads the request of an entry.
func entryCall(c *call, entry *value) (*call, error) {
	request := entry.get("request")
	e := &call{method: request.get("method").text(), base: c.base, minimal: c.minimal, strict: c.strict,
		unless:      preconditions{ifMatch: request.get("ifMatch").text(), ifNoneMatch: request.get("ifNoneMatch").text()},
		ifNoneExist: request.get("ifNoneExist").text(), resource: entry.get("resource")}
	address := request.get("url").text()
	if len(address) > maxAddressBytes {
		return nil, problemf(http.StatusRequestURITooLong, "too-long", "an address has at most %d bytes", maxAddressBytes)
	}
	// A time that cannot be read is no condition, as in a header.
	e.unless.modifiedSince, _ = time.Parse(time.RFC3339, request.get("ifModifiedSince").text())
	path, query, _ := strings.Cut(address, "?")
	var err error
	if e.query, err = url.ParseQuery(query); err != nil {
		return nil, invalid("request.url", "request.url: %v", err)
	}
	if path == "" {
		return nil, invalid("request.url", "an entry needs request.method and request.url")
	}
	return e, e.address(strings.TrimPrefix(strings.TrimPrefix(path, c.base), "/"))
}

// step is one entry of a bundle on its way.
type step struct {
	fullURL  string
	call     *call
	prepared *prepared // nil for a GET
	answer   *answer
	problem  *problem
}

func newStep(c *call, entry *value) *step {
	st := &step{fullURL: entry.get("fullUrl").text()}
	e, err := entryCall(c, entry)
	if err == nil && e.method != http.MethodGet {
		st.prepared, err = prepare(e)
	}
	st.call = e
	if err != nil {
		st.problem = problemOf(err)
	}
	return st
}

// run does the entry inside the transaction. Only faults of the store are
// errors; what is wrong with the entry is its problem. read counts the bytes
// that the entries before it have read.
func (st *step) run(ctx context.Context, w *writer, read *int) error {
	if st.problem != nil {
		return nil
	}
	var err error
	switch {
	case st.prepared != nil:
		st.answer, err = w.apply(ctx, st.prepared)
	case *read > maxPageBytes:
		err = problemf(http.StatusRequestEntityTooLarge, "too-costly", "the entries of a Bundle read at most %d bytes; send the rest in another", maxPageBytes)
	default:
		if st.answer, err = w.get(ctx, st.call); err == nil {
			*read += len(st.answer.body)
		}
	}
	if err == nil {
		return nil
	}
	p := problemOf(err)
	if p.status >= http.StatusInternalServerError {
		return err
	}
	st.answer, st.problem = nil, p
	return nil
}

// newSteps reads all entries, before the writer is asked for.
func newSteps(c *call, entries []*value) []*step {
	steps := make([]*step, len(entries))
	for i, e := range entries {
		steps[i] = newStep(c, e)
	}
	return steps
}

// again returns copies that a job may alter: it may run twice.
func again(steps []*step) []*step {
	copies := make([]*step, len(steps))
	for i, st := range steps {
		one := *st
		if st.prepared != nil {
			p := *st.prepared
			one.prepared = &p
		}
		copies[i] = &one
	}
	return copies
}

// batch runs each entry for itself, in one SQLite transaction.
func (s *Server) batch(ctx context.Context, c *call, entries []*value) (*answer, error) {
	ready := newSteps(c, entries)
	var steps []*step
	err := s.write(ctx, false, func(ctx context.Context, w *writer) error {
		steps = again(ready)
		read := 0
		for _, st := range steps {
			if err := st.run(ctx, w, &read); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return responses("batch-response", c.base, steps), nil
}

func responses(kind, base string, steps []*step) *answer {
	b := bundleWriter{kind: kind}
	for _, st := range steps {
		b.response(base, st.answer, st.problem)
	}
	return &answer{status: http.StatusOK, body: b.bytes()}
}
