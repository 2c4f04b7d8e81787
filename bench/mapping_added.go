package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// addedTemplates is how many templates that do not match are added.
const addedTemplates = 19

// added measures what templates cost that do not match: W1 with its mapping,
// and with those templates of W4 behind it that know none of its names.
func (b *mappingBench) added(ctx context.Context) error {
	w, err := readWorkload(b.workloads, "W1")
	if err != nil {
		return err
	}
	others, err := readWorkload(b.workloads, "W4")
	if err != nil {
		return err
	}
	longer, err := addTemplates(w.template, others.template)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "\n%d more templates that do not match, W1: CPU relative to without them; at most %.2f\n", addedTemplates, mostAdded)
	for _, f := range forms {
		ratio, err := b.compareMappings(ctx, w.messages[f], w.template, longer)
		if err != nil {
			return err
		}
		fmt.Fprintf(b.out, "%s: %.3f, %s\n", f, ratio, verdict(ratio, mostAdded))
	}
	return nil
}

// compareMappings returns what the second mapping costs relative to the first.
// Both give the same measurements.
func (b *mappingBench) compareMappings(ctx context.Context, messages []input, first, second []byte) (float64, error) {
	short, err1 := loadOurs(first, plainMapper)
	long, err2 := loadOurs(second, plainMapper)
	if err := errors.Join(err1, err2); err != nil {
		return 0, err
	}
	if err := agree("W1", messages, "its mapping", short, "the longer mapping", long); err != nil {
		return 0, err
	}
	readings, err := b.meter.measure(ctx, []subject{
		{"its mapping", workOf(short, messages)},
		{"the longer mapping", workOf(long, messages)},
	})
	if err != nil {
		return 0, err
	}
	return readings[1].nanos / readings[0].nanos, nil
}

// collection is a mapping file, as far as templates can be moved.
type collection struct {
	TemplateType string            `json:"templateType"`
	Template     []json.RawMessage `json:"template"`
}

// addTemplates returns a mapping file with the templates of another behind its
// own, without those that would match too.
func addTemplates(file, other []byte) ([]byte, error) {
	var to, from collection
	if err := errors.Join(json.Unmarshal(file, &to), json.Unmarshal(other, &from)); err != nil {
		return nil, fmt.Errorf("reading the mapping files: %w", err)
	}
	own := len(to.Template)
	for _, t := range from.Template {
		if !bytes.Contains(t, []byte(`$..[?(@heartRate)]`)) {
			to.Template = append(to.Template, t)
		}
	}
	if n := len(to.Template) - own; n != addedTemplates {
		return nil, fmt.Errorf("the other mapping file has %d templates without a heart rate, want %d", n, addedTemplates)
	}
	return json.Marshal(to)
}
