package jmespath

import (
	"testing"

	"auscult/mapping/internal/tape"
)

// bound parses an expression and a message for it.
func bound(t testing.TB, expression, message string) (*Expr, *Evaluator) {
	t.Helper()
	x, fault := Parse(expression)
	if fault != nil {
		t.Fatalf("%s: %s at %d", expression, fault.Message, fault.At)
	}
	names := tape.NewNameSet()
	x.Bind(names)
	tp := tape.New(names.Table())
	tp.Reset([]byte(message))
	if err := tp.Parse(); err != nil {
		t.Fatal(err)
	}
	return x, NewEvaluator(tp)
}

const benchMessage = `{"matchedToken":{"height":"70.5","unit":"inches","values":[1,2,3,4,5,6,7,8]},"Body":{"heartRate":72}}`

func BenchmarkSearch(b *testing.B) {
	for _, s := range []string{
		"multiply(to_number(matchedToken.height), `0.0254`)",
		"to_array(@)[?Body.heartRate]",
		"Body.heartRate",
		"matchedToken.values[?@ > `3`] | [0]",
		"join('/', [matchedToken.height, matchedToken.unit])",
	} {
		b.Run(s, func(b *testing.B) {
			x, e := bound(b, s, benchMessage)
			nodes, side := len(e.t.Nodes), len(e.t.Side)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%10_000 == 0 { // a new message has a new budget
					e.t.Reset([]byte(benchMessage))
					if err := e.t.Parse(); err != nil {
						b.Fatal(err)
					}
				}
				e.t.Nodes, e.t.Side = e.t.Nodes[:nodes], e.t.Side[:side]
				if _, err := e.Search(x, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
