package mapping

import (
	"slices"

	"auscult/mapping/internal/jmespath"
	"auscult/mapping/internal/jsonpath"
)

func (l *linter) divisions(d *draft) {
	for _, s := range d.all() {
		if s.expr == nil {
			continue
		}
		for _, f := range s.expr.Truncations() {
			l.addIn(s, f.At, f.Message, "write "+f.Fix)
		}
	}
}

// missingArguments finds optional values whose computation fails without a
// member that the match does not demand.
func (l *linter) missingArguments(d *draft) {
	var there [][]string
	for _, s := range d.sources[:min(len(d.sources), maxCompared)] {
		if names, ok := s.members(); ok && !s.optional {
			there = append(there, names)
		}
	}
	matched := d.matched()
	there = append(there, matched[:min(len(matched), maxCompared)]...)
	known := func(names []string) bool {
		return slices.ContainsFunc(there, func(path []string) bool { return jmespath.HasPath(path, names) })
	}
	for _, s := range d.sources {
		if s.expr == nil || !s.optional {
			continue
		}
		for _, f := range s.expr.Demands(known) {
			l.addIn(s, f.At, f.Message, "let the match demand it, or write "+f.Fix)
		}
	}
}

// matched returns the paths that every match has, seen from the message.
func (d *draft) matched() [][]string {
	tested := [][]string{{}}
	whole := false
	switch {
	case d.match.expr != nil:
		tested = append(tested, d.match.expr.Tested()...)
	case len(d.match.path.Steps) > 0:
		last := &d.match.path.Steps[len(d.match.path.Steps)-1]
		tested = append(tested, demanded(last.Filter)...)
		whole = matchPlace(d.match.path.Steps) == placeWhole
	}
	var paths [][]string
	for _, names := range tested {
		paths = append(paths, append([]string{matchedToken}, names...))
		if whole || d.match.expr != nil && len(names) > 0 && slices.Contains(envelope, names[0]) {
			paths = append(paths, names)
		}
	}
	return paths
}

// demanded returns the paths without which a filter does not hold.
func demanded(f *jsonpath.Filter) [][]string {
	if f == nil || f.Op == jsonpath.OpOr {
		return nil
	}
	var paths [][]string
	for _, p := range f.Parts {
		paths = append(paths, demanded(p)...)
	}
	for _, o := range []*jsonpath.Operand{&f.Left, &f.Right} {
		if names, ok := memberNames(o.Path); ok && o.IsPath {
			paths = append(paths, names)
		}
	}
	return paths
}

// memberNames returns the names of a path that is made of nothing else.
func memberNames(steps []jsonpath.Step) ([]string, bool) {
	names := make([]string, len(steps))
	for i := range steps {
		if steps[i].Kind != jsonpath.Name || steps[i].Scan {
			return nil, false
		}
		names[i] = steps[i].Name
	}
	return names, len(names) > 0
}

// members returns the names of an expression that is a path of names.
func (s *source) members() ([]string, bool) {
	if s.expr != nil {
		return s.expr.Members()
	}
	return memberNames(s.path.Steps)
}
