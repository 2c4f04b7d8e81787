package server

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// do runs one interaction that came alone.
func (s *Server) do(ctx context.Context, c *call) (a *answer, err error) {
	if c.method == http.MethodGet {
		return s.reads.get(ctx, c)
	}
	p, err := prepare(c)
	if err != nil {
		return nil, err
	}
	err = s.write(ctx, false, func(ctx context.Context, w *writer) error {
		a, err = w.apply(ctx, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// get reads, vreads, searches or lists versions.
func (v *view) get(ctx context.Context, c *call) (*answer, error) {
	switch {
	case c.id == "":
		return v.search(ctx, c)
	case c.version > 0:
		found, err := v.version(ctx, c.kind, c.id, c.version)
		return found.answer(c, err)
	case c.history:
		return v.versions(ctx, c)
	}
	found, err := v.current(ctx, c.kind, c.id)
	return found.answer(c, err)
}

// answer returns a version that was asked for, or says why there is none.
func (s *stored) answer(c *call, err error) (*answer, error) {
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return nil, problemf(http.StatusNotFound, "not-found", "there is no such %s", c.kind)
	case s.deleted:
		return nil, problemf(http.StatusGone, "deleted", "the %s is deleted", c.kind)
	case c.ifNoneMatch != "" && c.ifNoneMatch == s.etag():
		return &answer{status: http.StatusNotModified, resource: s}, nil
	}
	return &answer{status: http.StatusOK, resource: s, body: s.body}, nil
}

func (v *view) search(ctx context.Context, c *call) (*answer, error) {
	q, err := parseSearch(c.kind, c.query, c.strict)
	if err != nil {
		return nil, err
	}
	p, err := v.page(ctx, q)
	if err != nil {
		return nil, err
	}
	b := bundleWriter{kind: "searchset", total: p.total}
	address := c.base + "/" + c.kind
	b.link("self", address, q.self)
	if p.next != nil {
		next := url.Values{}
		for name, texts := range q.self {
			next[name] = texts
		}
		next.Set("_cursor", p.next.String())
		b.link("next", address, next)
	}
	for i := range p.entries {
		b.match(c.base, &p.entries[i])
	}
	return &answer{status: http.StatusOK, body: b.bytes()}, nil
}

func (v *view) versions(ctx context.Context, c *call) (*answer, error) {
	s, err := v.current(ctx, c.kind, c.id)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return s.answer(c, nil)
	}
	count := countOf(c.query)
	all, err := v.history(ctx, s, beforeOf(c.query), count)
	if err != nil {
		return nil, err
	}
	b := bundleWriter{kind: "history", total: s.version}
	address := c.base + "/" + c.kind + "/" + c.id + "/_history"
	b.link("self", address, c.query)
	if n := len(all); n == count && all[n-1].version > 1 {
		b.link("next", address, url.Values{"_count": {strconv.Itoa(count)}, "_before": {strconv.FormatInt(all[n-1].version, 10)}})
	}
	for i := range all {
		b.version(c.base, &all[i])
	}
	return &answer{status: http.StatusOK, body: b.bytes()}, nil
}

// prepared is a write that was checked as far as it can be without the store.
type prepared struct {
	call   *call
	change change
	query  *search // of a conditional create or update
}

// prepare checks a write outside the writer, whose time is precious.
func prepare(c *call) (*prepared, error) {
	p := &prepared{call: c, change: change{kind: c.kind, id: c.id, ifMatch: c.ifMatch}}
	switch c.method {
	case http.MethodDelete:
		if c.id == "" {
			return nil, problemf(http.StatusMethodNotAllowed, "not-supported", "delete names one resource")
		}
		return p, nil
	case http.MethodPost:
		if c.id != "" {
			return nil, problemf(http.StatusMethodNotAllowed, "not-supported", "create is a POST to the type; operations are not supported")
		}
		if err := p.condition(c.ifNoneExist, false); err != nil {
			return nil, err
		}
		p.change.id = newID()
	case http.MethodPut:
		if c.id == "" {
			if err := p.condition(c.query.Encode(), true); err != nil {
				return nil, err
			}
		}
	default:
		return nil, problemf(http.StatusMethodNotAllowed, "not-supported", "%s is not supported", c.method)
	}
	return p, p.setResource(c.resource)
}

// condition reads the search of a conditional write. All of it must be
// understood: a criterion left out would find the wrong resource.
func (p *prepared) condition(text string, required bool) error {
	if text == "" && !required {
		return nil
	}
	query, err := url.ParseQuery(text)
	if err != nil || len(query) == 0 {
		return problemf(http.StatusBadRequest, "value", "a conditional write needs search parameters")
	}
	p.query, err = parseSearch(p.change.kind, query, true)
	if err == nil && len(p.query.matches)+len(p.query.conditions) == 0 {
		return problemf(http.StatusBadRequest, "value", "a conditional write needs a criterion")
	}
	return err
}

// setResource checks the body and extracts what it will be found by.
func (p *prepared) setResource(resource *value) error {
	c := p.call
	if resource == nil {
		return problemf(http.StatusBadRequest, "structure", "%s needs a resource", c.method)
	}
	if err := validate(resource, c.kind); err != nil {
		return err
	}
	if c.method == http.MethodPut && c.id != "" && resource.get("id").text() != c.id {
		return invalid(c.kind+".id", "the id in the body is not that of the address")
	}
	x, err := indexOf(c.kind, resource)
	if err != nil {
		return invalid(c.kind, "%v", err)
	}
	p.change.resource, p.change.index = resource, x
	return nil
}

// resolve runs the search of a conditional write: existing is the one match,
// nil when there is none.
func (w *writer) resolve(ctx context.Context, p *prepared) (existing *stored, err error) {
	if p.query == nil {
		return nil, nil
	}
	p.query.count = 2
	found, err := w.page(ctx, p.query)
	switch {
	case err != nil || len(found.entries) == 0:
		return nil, err
	case len(found.entries) > 1:
		return nil, problemf(http.StatusPreconditionFailed, "multiple-matches", "several resources match the condition")
	}
	return w.current(ctx, p.change.kind, found.entries[0].id)
}

// apply runs a prepared write inside the transaction.
func (w *writer) apply(ctx context.Context, p *prepared) (*answer, error) {
	c := p.call
	if c.method == http.MethodDelete {
		gone, err := w.remove(ctx, c.kind, c.id, c.ifMatch)
		return &answer{status: http.StatusNoContent, resource: gone}, err
	}
	existing, err := w.resolve(ctx, p)
	if err != nil {
		return nil, err
	}
	change := p.change // a job may run twice: nothing of p is altered
	if existing != nil {
		if c.method == http.MethodPost {
			return existing.written(http.StatusOK, c), nil
		}
		if id := change.resource.get("id").text(); id != "" && id != existing.id {
			return nil, invalid(c.kind+".id", "the id in the body is not that of the match")
		}
		change.id = existing.id
	} else if change.id == "" {
		if change.id = change.resource.get("id").text(); change.id == "" {
			change.id = newID()
		}
	}
	s, created, err := w.put(ctx, &change)
	if err != nil {
		return nil, err
	}
	if created {
		return s.written(http.StatusCreated, c), nil
	}
	return s.written(http.StatusOK, c), nil
}

func (s *stored) written(status int, c *call) *answer {
	a := &answer{status: status, resource: s}
	if !c.minimal {
		a.body = s.body
	}
	return a
}
