package server

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Limits of chained parameters.
const (
	maxChain   = 3   // references of one, as in encounter.subject.identifier
	maxChained = 500 // resources in the middle, of each type
)

// chain is a condition on what a reference means: patient.identifier=x finds
// what refers to a Patient with that identifier.
type chain struct {
	param   *param
	through []*search // one for each type that the reference may mean
}

// byChain reads a parameter such as patient.identifier: first is patient, rest
// is identifier.
func (s *search) byChain(first, rest, text string) (known bool, err error) {
	p, modifier, _ := s.param(first)
	if p == nil || p.kind != referenceParam || strings.HasPrefix(rest, "_") && rest != "_id" && rest != "_lastUpdated" {
		return false, nil
	}
	if strings.Count(rest, ".") >= maxChain {
		return false, problemf(http.StatusBadRequest, "too-costly", "a chained parameter follows at most %d references", maxChain)
	}
	targets := p.targets
	if modifier != "" {
		if !p.mayMean(modifier) {
			return false, unsupportedModifier(first)
		}
		targets = []string{modifier}
	}
	c := chain{param: p}
	for _, target := range targets {
		through, err := parseSearch(target, url.Values{rest: {text}}, false)
		if err != nil {
			return false, err
		}
		if len(through.ignored) == 0 {
			c.through = append(c.through, through)
		}
	}
	if c.through != nil {
		s.chains = append(s.chains, c)
	}
	return c.through != nil, nil
}

// follow returns the search with its chains replaced by what they lead to, nil
// when one of them leads nowhere.
func (v *view) follow(ctx context.Context, s *search) (*search, error) {
	if len(s.chains) == 0 {
		return s, nil
	}
	direct := *s // a conditional write may run its search twice
	direct.chains, direct.matches = nil, slices.Clone(s.matches)
	for _, c := range s.chains {
		m := match{rank: c.param.rank()}
		for _, through := range c.through {
			ids, err := v.chained(ctx, through)
			if err != nil {
				return nil, err
			}
			for _, id := range ids {
				k := keyOf(s.kind, c.param.name, "reference", through.kind+"/"+id)
				m.keys = append(m.keys, k[:])
			}
		}
		if m.keys == nil {
			return nil, nil
		}
		direct.matches = append(direct.matches, m)
	}
	return &direct, nil
}

// chained returns the ids of the resources in the middle of a chain.
func (v *view) chained(ctx context.Context, s *search) (ids []string, err error) {
	if s, err = v.follow(ctx, s); err != nil || s == nil {
		return nil, err
	}
	clause, args := s.from()
	rows, err := v.query(ctx, "SELECT r.id "+clause+" LIMIT ?", append(args, maxChained+1)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		if len(ids) == maxChained {
			return nil, problemf(http.StatusBadRequest, "too-costly", "a chained parameter leads over more than %d resources of type %s", maxChained, s.kind)
		}
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
