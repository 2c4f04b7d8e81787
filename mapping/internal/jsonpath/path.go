// Package jsonpath reads and evaluates JSONPath expressions in the dialect of
// Json.NET's SelectTokens, which device mappings are written in. It knows no
// mapping, only the tape of a message.
//
// The dialect is not RFC 9535: names may hold dashes, a filter after .. tests
// the start token too, a filter on an object tests its properties, a leading $
// may be left out. What Json.NET accepts is accepted here and means the same,
// odd or not; Path.Doubts lists what an author hardly meant.
package jsonpath

import (
	"iter"

	"auscult/mapping/internal/tape"
)

// StepKind is the kind of one step of a path.
type StepKind uint8

// The kinds of steps.
const (
	Name     StepKind = iota // .name ['name']
	Names                    // ['a','b']
	Index                    // [0]
	Indexes                  // [0,1]
	Slice                    // [a:b:c]
	Wild                     // .*: the members of an object; ..* every token
	Elements                 // [*]: the elements of an array
	Where                    // [?(...)]
	Root                     // $ at the start of a path in a filter
)

// Path is a parsed expression. It never changes after Bind, so goroutines may
// share it.
type Path struct {
	Steps []Step
	// Doubts are places that are read otherwise than they look; the path is
	// valid all the same.
	Doubts []Fault
}

// Step is one step of a path.
type Step struct {
	Kind   StepKind
	Scan   bool     // after ..
	Name   string   // of Name
	Names  []string // of Names
	Index  int      // of Index
	List   []int    // of Indexes
	Bounds Bounds   // of Slice
	Filter *Filter  // of Where
	At     int      // byte position in the expression

	ids []tape.NameID // of Name and Names, after Bind
	// reach says which candidates of a filter can match at all, so that the
	// others are not tried.
	reach reach
}

// Bounds are the numbers of a slice; those that are not Has are left out.
type Bounds struct {
	Start, End, Step          int
	HasStart, HasEnd, HasStep bool
}

// Op is the operator of a filter.
type Op string

// Operators of filters.
const (
	OpExists         Op = ""
	OpEqual          Op = "=="
	OpNotEqual       Op = "!="
	OpLess           Op = "<"
	OpLessOrEqual    Op = "<="
	OpGreater        Op = ">"
	OpGreaterOrEqual Op = ">="
	OpStrictEqual    Op = "==="
	OpStrictNotEqual Op = "!=="
	OpMatch          Op = "=~"
	OpAnd            Op = "&&"
	OpOr             Op = "||"
)

// Filter is a condition, or with OpAnd and OpOr several.
type Filter struct {
	Op          Op
	Left, Right Operand
	Parts       []*Filter // of OpAnd and OpOr
	At          int
}

// Operand is one side of a condition: a path or a literal.
type Operand struct {
	Path    []Step
	IsPath  bool
	Kind    tape.Kind // of the literal
	Text    string    // of the literal; a regular expression with its slashes
	IsRegex bool
	At      int

	value value  // of the literal
	regex *regex // of the literal that =~ matches with
}

// Fault is a fault in an expression.
type Fault struct {
	At      int    // byte position
	Message string // what is wrong and what was expected
	Fix     string // the whole expression as it was probably meant, or ""
}

func (f *Fault) Error() string { return f.Message }

// Property marks a selected node as the property itself, name and value, which
// is what filters on objects test; the rest of the number is the member's node.
const Property = 1 << 31

// Bind numbers every member name of the path. It is called once, before Chain
// and Select.
func (p *Path) Bind(names *tape.NameSet) { bind(p.Steps, names) }

func bind(steps []Step, names *tape.NameSet) {
	for i := range steps {
		s := &steps[i]
		s.ids = s.ids[:0]
		for name := range s.members {
			s.ids = append(s.ids, names.ID(name))
		}
		s.Filter.eachPath(func(steps []Step) { bind(steps, names) })
	}
}

// members yields the names that the step itself mentions.
func (s *Step) members(yield func(string) bool) {
	if s.Kind == Name {
		yield(s.Name)
		return
	}
	for _, name := range s.Names {
		if !yield(name) {
			return
		}
	}
}

// eachPath calls visit with every path of a filter, which may be nil.
func (f *Filter) eachPath(visit func([]Step)) {
	if f == nil {
		return
	}
	for _, part := range f.Parts {
		part.eachPath(visit)
	}
	for _, o := range []*Operand{&f.Left, &f.Right} {
		if o.IsPath {
			visit(o.Path)
		}
	}
}

// Names yields the member names that the path mentions, those of its filters
// included; a name may come several times.
func (p *Path) Names() iter.Seq[string] {
	return func(yield func(string) bool) { yieldNames(p.Steps, yield) }
}

func yieldNames(steps []Step, yield func(string) bool) bool {
	for i := range steps {
		s, more := &steps[i], true
		for name := range s.members {
			if more = yield(name); !more {
				break
			}
		}
		s.Filter.eachPath(func(steps []Step) { more = more && yieldNames(steps, yield) })
		if !more {
			return false
		}
	}
	return true
}

// Chain returns the path as a chain of names and indices from its root, which
// selects at most one node and cannot fail, if it is one.
func (p *Path) Chain() ([]tape.Step, bool) {
	chain := make([]tape.Step, 0, len(p.Steps))
	for i := range p.Steps {
		switch s := &p.Steps[i]; {
		case s.Kind == Name && !s.Scan && len(s.ids) == 1:
			chain = append(chain, tape.Step{Name: s.ids[0]})
		case s.Kind == Index && s.Index >= 0:
			chain = append(chain, tape.Step{Index: s.Index, IsIndex: true})
		default:
			return nil, false
		}
	}
	return chain, true
}
