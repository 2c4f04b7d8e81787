package server

import (
	"context"
	"net/http"
	"net/url"
)

// prepared is a write that was checked as far as it can be without the store.
type prepared struct {
	call   *call
	change change
	query  *search // of a conditional create or update
	// settled says that the search was run; existing is its one match.
	settled  bool
	existing *stored
}

// prepare checks a write outside the writer, whose time is precious.
func prepare(c *call) (*prepared, error) {
	p := &prepared{call: c, change: change{kind: c.kind, id: c.id, unless: c.unless}}
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
		if err := p.readCondition(c.ifNoneExist, false); err != nil {
			return nil, err
		}
		p.change.id = newID()
	case http.MethodPut:
		if c.id == "" {
			if err := p.readCondition(c.query.Encode(), true); err != nil {
				return nil, err
			}
		}
	default:
		return nil, problemf(http.StatusMethodNotAllowed, "not-supported", "%s is not supported", c.method)
	}
	return p, p.setResource(c.resource)
}

// readCondition reads the search of a conditional write. All of it must be
// understood: a criterion left out would find the wrong resource.
func (p *prepared) readCondition(text string, required bool) error {
	if text == "" && !required {
		return nil
	}
	query, err := url.ParseQuery(text)
	if err != nil || len(query) == 0 {
		return problemf(http.StatusBadRequest, "value", "a conditional write needs search parameters")
	}
	p.query, err = parseSearch(p.change.kind, query, true)
	if err == nil && !p.query.selects() {
		return problemf(http.StatusBadRequest, "value", "a conditional write needs a criterion")
	}
	return err
}

// condition is the text of the search, "" when there is none or a resource
// matched it: two writes on one condition would create two.
func (p *prepared) condition() string {
	if p.query == nil || p.existing != nil {
		return ""
	}
	return p.query.kind + "?" + p.query.self.Encode()
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
	one := *p.query
	one.count, one.uncounted = 2, true
	found, err := w.page(ctx, &one)
	switch {
	case err != nil || len(found.entries) == 0:
		return nil, err
	case len(found.entries) > 1:
		return nil, problemf(http.StatusPreconditionFailed, "multiple-matches", "several resources match the condition")
	}
	return w.current(ctx, p.change.kind, found.entries[0].id)
}

// settle decides which resource a conditional write means. In a transaction
// that happens once, before the first entry runs: the references between the
// entries hang on it.
func (w *writer) settle(ctx context.Context, p *prepared) (err error) {
	if p.settled || p.query == nil {
		return nil
	}
	if p.existing, err = w.resolve(ctx, p); err != nil {
		return err
	}
	p.settled = true
	kind, id := p.change.kind, p.change.resource.get("id").text()
	switch {
	case p.call.method == http.MethodPost:
		if p.existing != nil {
			p.change.id = p.existing.id
		}
	case p.existing != nil:
		if id != "" && id != p.existing.id {
			return invalid(kind+".id", "the id in the body is not that of the match")
		}
		p.change.id = p.existing.id
	case id == "":
		p.change.id = newID()
	default:
		p.change.id = id
		taken, err := w.current(ctx, kind, id)
		if err == nil && taken != nil && !taken.deleted {
			// Nobody asked to overwrite what the condition does not match.
			err = problemf(http.StatusConflict, "duplicate", "the condition matches nothing, and the id in the body is that of another %s", kind)
		}
		return err
	}
	return nil
}

// apply runs a prepared write inside the transaction.
func (w *writer) apply(ctx context.Context, prepared *prepared) (*answer, error) {
	p := *prepared // a job may run twice: nothing of it is altered
	c := p.call
	if c.method == http.MethodDelete {
		gone, err := w.remove(ctx, c.kind, c.id, c.unless)
		return &answer{status: http.StatusNoContent, resource: gone}, err
	}
	if err := w.settle(ctx, &p); err != nil {
		return nil, err
	}
	if p.existing != nil && c.method == http.MethodPost {
		return p.existing.written(http.StatusOK, c), nil
	}
	s, created, err := w.put(ctx, &p.change)
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
