package jmespath

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"auscult/mapping/internal/tape"
)

// function is one function of the language.
type function struct {
	name   string
	least  int       // arguments
	more   bool      // further ones may follow
	needs  tape.Keep // what must be on the tape when an argument is an array or object
	scalar bool      // its result is no array or object
	run    func(e *Evaluator, c call) (value, error)
}

// call is a function with its arguments.
type call struct {
	*node
	values []value
}

// functions are those of the language and the connector's eight.
var functions = func() map[string]*function {
	all := map[string]*function{}
	for _, group := range [][]function{numberFunctions, textFunctions, listFunctions, objectFunctions, typeFunctions} {
		for i := range group {
			all[group[i].name] = &group[i]
		}
	}
	return all
}()

// arity tells how many arguments the function takes.
func (f *function) arity() string {
	s := fmt.Sprintf("%d argument", f.least)
	if f.least > 1 {
		s += "s"
	}
	if f.more {
		s += " or more"
	}
	return s
}

// nearestFunction returns the name of the function that name was probably meant
// to be, "" when none is near.
func nearestFunction(name string) string {
	best, least := "", 2+len(name)/4
	for _, f := range slices.Sorted(maps.Keys(functions)) {
		if d := editDistance(simplified(name), simplified(f)); d < least {
			best, least = f, d
		}
	}
	return best
}

// simplified drops what names of functions are mostly confused by: case and
// underscores.
func simplified(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// editDistance counts the letters to insert, drop or change.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for k := range row {
		row[k] = k
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0]++
		for k := range len(b) {
			change := diagonal
			if a[i] != b[k] {
				change++
			}
			diagonal = row[k+1]
			row[k+1] = min(change, row[k]+1, row[k+1]+1)
		}
	}
	return row[len(b)]
}

// call answers a function at a token.
func (e *Evaluator) call(n *node, at value) (value, error) {
	mark, base := len(e.made), len(e.stack)
	e.spend(costOfValue * len(n.args))
	for _, arg := range n.args {
		v := value{kind: reference}
		if arg.op != opReference {
			var err error
			if v, err = e.eval(arg, at); err != nil {
				e.stack = e.stack[:base]
				return v, err
			}
		}
		e.stack = append(e.stack, v.token())
	}
	v, err := n.function.run(e, call{n, e.stack[base:]})
	e.stack = e.stack[:base]
	return e.release(mark, v), err
}

// wrong is the error about argument i, of which there are those that the
// function takes.
func (c call) wrong(i int, wanted string) error {
	return fmt.Errorf("function %s: argument %d is %s, it must be %s", c.name, i+1, kindNames[c.values[i].kind], wanted)
}

// wrongElement is the error about an element of argument i.
func (c call) wrongElement(i int, v value, wanted string) error {
	return fmt.Errorf("function %s: argument %d holds %s, it must be %s", c.name, i+1, kindNames[v.kind], wanted)
}

// fail is the error about the value of an argument.
func (c call) fail(format string, args ...any) error {
	return fmt.Errorf("function %s: "+format, append([]any{c.name}, args...)...)
}

// errBig is the error about a number that is beyond what can be computed with.
func (c call) errBig() error { return c.fail("an integer beyond 64 bits cannot be computed with") }

// array returns argument i, which must be an array.
func (c call) array(i int, wanted string) (value, error) {
	if c.values[i].kind != array {
		return value{}, c.wrong(i, wanted)
	}
	return c.values[i], nil
}
