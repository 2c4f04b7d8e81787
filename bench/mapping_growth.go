package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
)

// grower is an expression that a careless evaluator answers in more than linear
// time, with an element of a list that it finds something in.
type grower struct {
	language, expression, element string
}

var growers = []grower{
	{"JsonPath", "$..[?(@x)]", `{"x":1,"y":[2,3]}`},
	{"JsonPath", "$..a..b..c", `{"a":{"b":{"b":{"c":1}}}}`},
	{"JmesPath", "Body.a[].b[].c", `{"b":[{"c":1},{"c":2}]}`},
}

// growthSizes is how many elements the messages have.
var growthSizes = []int{200, 4 * 200, 16 * 200}

// growth measures whether a byte costs the same in a long message as in a short
// one.
func (b *mappingBench) growth(ctx context.Context) error {
	fmt.Fprintf(b.out, "\nGrowth: CPU ns a byte of messages with so many elements; the last may be %.1f times the first\n", mostGrowth)
	t := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\t")
	for _, n := range growthSizes {
		fmt.Fprintf(t, "%d\t", n)
	}
	fmt.Fprintln(t, "last/first\t\t")
	for i := range growers {
		nanos, err := b.grow(ctx, &growers[i])
		if refusal := (*refusal)(nil); errors.As(err, &refusal) {
			fmt.Fprintf(t, "%s\trefused\t\n", growers[i].expression)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", growers[i].expression, err)
		}
		fmt.Fprintf(t, "%s\t", growers[i].expression)
		for _, n := range nanos {
			fmt.Fprintf(t, "%.2f\t", n)
		}
		ratio := nanos[len(nanos)-1] / nanos[0]
		fmt.Fprintf(t, "%.2f\t%s\t\n", ratio, verdict(ratio, mostGrowth))
	}
	return t.Flush()
}

// grow returns the CPU time of a byte for each size.
func (b *mappingBench) grow(ctx context.Context, g *grower) ([]float64, error) {
	template, err := g.template()
	if err != nil {
		return nil, err
	}
	subjects := make([]subject, len(growthSizes))
	nanos := make([]float64, len(growthSizes))
	for i, n := range growthSizes {
		// Long messages have no shapes, so short ones must not either.
		o, err := loadOurs(template, shapelessMapper)
		if err != nil {
			return nil, err
		}
		messages := []input{g.input(n)}
		var out output
		if err := o.apply(&messages[0], &out); err != nil {
			return nil, fmt.Errorf("%d elements: %w", n, err)
		}
		if len(out.ends) < n {
			return nil, fmt.Errorf("%d matches in %d elements: it is something else that is measured", len(out.ends), n)
		}
		subjects[i] = subject{fmt.Sprint(n, " elements"), workOf(o, messages)}
		nanos[i] = float64(len(messages[0].text))
	}
	readings, err := b.meter.measure(ctx, subjects)
	if err != nil {
		return nil, err
	}
	for i, r := range readings {
		nanos[i] = r.nanos / nanos[i]
	}
	return nanos, nil
}

// template returns a mapping whose one template matches by the expression.
func (g *grower) template() ([]byte, error) {
	type expression struct {
		Value    string `json:"value"`
		Language string `json:"language"`
	}
	type object map[string]any
	return json.Marshal(object{"templateType": "CollectionContent", "template": []object{{
		"templateType": "CalculatedContent",
		"template": object{
			"typeName":            "found",
			"typeMatchExpression": expression{g.expression, g.language},
			"deviceIdExpression":  expression{"$.Body.id", "JsonPath"},
			"timestampExpression": expression{"$.Body.at", "JsonPath"},
			"values":              []object{},
		},
	}}})
}

// input returns a message with n elements.
func (g *grower) input(n int) input {
	list := strings.TrimSuffix(strings.Repeat(g.element+",", n), ",")
	return bodyInput([]byte(`{"id":"d1","at":"2024-01-01T00:00:00Z","a":[`+list+`]}`), nil, nil)
}
