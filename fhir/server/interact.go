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
	case c.unless.unchanged(s):
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
	all, more, err := v.history(ctx, s, beforeOf(c.query), count)
	if err != nil {
		return nil, err
	}
	b := bundleWriter{kind: "history", total: s.version}
	address := c.base + "/" + c.kind + "/" + c.id + "/_history"
	b.link("self", address, c.query)
	if more {
		b.link("next", address, url.Values{"_count": {strconv.Itoa(count)}, "_before": {strconv.FormatInt(all[len(all)-1].version, 10)}})
	}
	for i := range all {
		b.version(c.base, &all[i])
	}
	return &answer{status: http.StatusOK, body: b.bytes()}, nil
}
