package mapping

import (
	"errors"
	"fmt"

	"auscult/mapping/internal/jmespath"
	"auscult/mapping/internal/jsonpath"
	"auscult/mapping/internal/tape"
)

// This file holds what the plan cannot answer by following names: expressions
// and matches that their languages evaluate.

// errWrapper is what a template gets whose match selects the name of a member
// together with its value: the connector fails there too.
var errWrapper = errors.New("the expression selects members (name and value) instead of values; begin its filter with @")

// pathExpression is a JSONPath that may select several nodes, one at most of a
// given message.
type pathExpression struct {
	path  *jsonpath.Path
	whole bool
}

func (e *pathExpression) one(m *Mapper, match uint32) (uint32, bool, error) {
	found, err := m.paths.Select(e.path, m.rootOf(e.whole, match), m.several[:0])
	m.several = found[:0]
	switch {
	case err != nil || len(found) == 0:
		return tape.None, false, err
	case len(found) > 1:
		return tape.None, false, fmt.Errorf("the expression selects %d values where one is wanted", len(found))
	case found[0]&jsonpath.Property != 0:
		return tape.None, false, errWrapper
	}
	return found[0], true, nil
}

// pathMatcher is a JSONPath over the envelope.
type pathMatcher struct{ path *jsonpath.Path }

func (e *pathMatcher) matches(m *Mapper, dst []uint32) ([]uint32, error) {
	found, err := m.paths.Select(e.path, 0, dst)
	kept := dst
	for _, node := range found[len(dst):] {
		if node&jsonpath.Property == 0 {
			kept = append(kept, node)
		}
	}
	if err == nil && len(kept) < len(found) {
		err = errWrapper
	}
	return kept, err
}

// jmesExpression is a JMESPath that gives one value.
type jmesExpression struct {
	expr  *jmespath.Expr
	whole bool
}

func (e *jmesExpression) one(m *Mapper, match uint32) (uint32, bool, error) {
	r, err := m.jmes.Search(e.expr, m.rootOf(e.whole, match))
	if err != nil || !r.OK {
		return tape.None, false, err
	}
	if r.Projection {
		if n := m.tape.Len(r.Node); n > 1 {
			return tape.None, false, fmt.Errorf("the expression is a projection of %d values where one is wanted; add | [0]", n)
		}
	}
	return r.Node, true, nil
}

// jmesMatcher is a JMESPath over the envelope: each element of a projection is
// a match, nulls too; any other result but null is one.
type jmesMatcher struct{ expr *jmespath.Expr }

func (e *jmesMatcher) matches(m *Mapper, dst []uint32) ([]uint32, error) {
	r, err := m.jmes.Search(e.expr, 0)
	if err != nil || !r.OK {
		return dst, err
	}
	t := m.tape
	if !r.Projection {
		if t.Nodes[r.Node].Kind != tape.Null {
			dst = append(dst, r.Node)
		}
		return dst, nil
	}
	for i := r.Node + 1; i < r.Node+t.Nodes[r.Node].Size; i += t.Nodes[i].Size {
		dst = append(dst, t.Resolve(i))
	}
	return dst, nil
}

// rootOf is what $ and @ stand for: the match, or with whole the envelope with
// the match as one more member.
func (m *Mapper) rootOf(whole bool, match uint32) uint32 {
	if !whole {
		return match
	}
	if m.root == tape.None || m.rootMatch != match {
		m.root, m.rootMatch = m.withMatch(match), match
	}
	return m.root
}

// withMatch makes a copy of the envelope with the match at its end as
// matchedToken. A member that has this name in the message is not seen.
func (m *Mapper) withMatch(match uint32) uint32 {
	t := m.tape
	if match == 0 { // no alias can stand for node 0, which is None
		match = m.copyEnvelope(0)
	}
	root := m.copyEnvelope(m.device.matchedToken)
	t.AddMember(root, match, matchedTokenBytes)
	return root
}

// copyEnvelope makes an object of the envelope's members, but not of the one
// called without.
func (m *Mapper) copyEnvelope(without tape.NameID) uint32 {
	t := m.tape
	end := t.Nodes[0].Size
	root := t.AddObject()
	for i := uint32(1); i < end; i += t.Nodes[i].Size {
		if id := t.Nodes[i].ID; id == 0 || id != without {
			t.AddMemberLike(root, i, i)
		}
	}
	return root
}

var matchedTokenBytes = []byte(matchedToken)
