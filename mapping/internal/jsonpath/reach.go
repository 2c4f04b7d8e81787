package jsonpath

import "auscult/mapping/internal/tape"

// reach says what a filter, or a path in one, can select anything from.
type reach struct {
	scalars    bool // from a text, number, boolean or null
	properties bool // from a property
}

var everywhere = reach{true, true}

// limitReach sets the reach of every filter in steps.
func limitReach(steps []Step) {
	for i := range steps {
		s := &steps[i]
		if s.Filter == nil {
			continue
		}
		s.Filter.eachPath(limitReach)
		s.reach = s.Filter.reach()
	}
}

// reach tells what the filter may hold for, or fail on. What the first part of
// && cannot select from is never shown to the others; the same is true of the
// sides of a comparison.
func (f *Filter) reach() reach {
	switch {
	case f.Op == OpAnd:
		return f.Parts[0].reach()
	case f.Op == OpOr:
		var all reach
		for _, part := range f.Parts {
			r := part.reach()
			all = reach{all.scalars || r.scalars, all.properties || r.properties}
		}
		return all
	case f.Left.IsPath:
		return reachOf(f.Left.Path)
	case f.Op != OpExists && f.Right.IsPath:
		return reachOf(f.Right.Path)
	}
	return everywhere
}

// reachOf tells what a path can select from; the first step decides.
func reachOf(steps []Step) reach {
	if len(steps) == 0 || steps[0].Kind == Root || failsAlways(steps) {
		return everywhere
	}
	s := &steps[0]
	switch {
	case s.Kind == Where && s.Scan:
		return reach{s.reach.scalars, true}
	case s.Kind == Wild && s.Scan:
		return everywhere
	case s.Kind == Where || s.Scan:
		return reach{false, true}
	}
	return reach{}
}

// failsAlways reports whether a path cannot be evaluated: Json.NET asks for the
// results of the last step first, and a slice refuses to step by 0 before it
// asks on.
func failsAlways(steps []Step) bool {
	for i := range steps {
		if b := &steps[i].Bounds; steps[i].Kind == Slice && b.HasStep && b.Step == 0 {
			return true
		}
	}
	return false
}

// Needs returns the least that must be on the tape for exact answers. Properties
// need no rule of their own: a filter that tells one scalar property from
// another asks for scalars too, or holds a filter that does.
func (p *Path) Needs() tape.Keep { return needs(p.Steps) }

func needs(steps []Step) tape.Keep {
	most := tape.KeepNamed
	for i := range steps {
		s := &steps[i]
		switch s.Kind {
		case Wild:
			most = tape.KeepAll
		case Index, Indexes, Slice, Elements:
			most = max(most, tape.KeepElements)
		case Where:
			if s.reach.scalars {
				most = tape.KeepAll
			}
			s.Filter.eachPath(func(steps []Step) { most = max(most, needs(steps)) })
		}
	}
	return most
}
