package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// What `mapping` measures beside the workloads.
const (
	partAdded   = "added"
	partGeneral = "general"
	partGrowth  = "growth"
)

var mappingParts = []string{"W1", "W2", "W3", "W4", "W5", partAdded, partGeneral, partGrowth}

// Slots are long enough for the collector to be at work in those of contenders
// that make garbage, and no longer.
const (
	mappingLaps = 3
	mappingSlot = 25 * time.Millisecond
)

// mappingOptions are the flags of `mapping`.
type mappingOptions struct {
	workloads string
	cases     string
	only      []string
	rounds    int
}

func parseMapping(args []string) (*mappingOptions, error) {
	o := &mappingOptions{}
	f := flag.NewFlagSet("mapping", flag.ContinueOnError)
	f.StringVar(&o.workloads, "workloads", "../../shared/workloads", "folder of the mappings and messages of W1 to W5")
	f.StringVar(&o.cases, "cases", "../../shared/cases/normalize.jsonl", "file of the recorded cases, for the part general")
	only := f.String("only", strings.Join(mappingParts, ","), "which parts to measure")
	f.IntVar(&o.rounds, "rounds", 11, "how often each contender is measured; the lower quartile counts")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	o.only = strings.Split(*only, ",")
	return o, o.check()
}

func (o *mappingOptions) check() error {
	if o.rounds < 1 {
		return errors.New("-rounds must be 1 or more")
	}
	for _, p := range o.only {
		if !slices.Contains(mappingParts, p) {
			return fmt.Errorf("-only: there is no part %q, there are %s", p, strings.Join(mappingParts, ", "))
		}
	}
	if _, err := os.Stat(o.workloads); err != nil {
		return fmt.Errorf("no workloads to measure: give -workloads the folder that holds the mappings and messages of W1 to W5: %w", err)
	}
	if _, err := os.Stat(o.cases); err != nil && o.has(partGeneral) {
		return fmt.Errorf("no cases to measure: give -cases the file normalize.jsonl of the recorded cases, or leave the part %s out with -only: %w",
			partGeneral, err)
	}
	return nil
}

func (o *mappingOptions) has(part string) bool { return slices.Contains(o.only, part) }

// mappingBench is one run of `mapping`.
type mappingBench struct {
	*mappingOptions
	meter *meter
	out   io.Writer
}

func runMapping(ctx context.Context, args []string, out io.Writer) error {
	o, err := parseMapping(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	b := &mappingBench{mappingOptions: o, meter: newMeter(o.rounds, mappingLaps, mappingSlot), out: out}
	return b.run(ctx)
}

// run measures the parts and prints each when it is done.
func (b *mappingBench) run(ctx context.Context) error {
	b.printMachine()
	figures, err := b.measureWorkloads(ctx)
	for _, f := range forms {
		b.printWorkloads(f, figures) // what was measured before an error counts too
	}
	if err != nil {
		return err
	}
	for _, part := range []struct {
		name    string
		measure func(context.Context) error
	}{{partAdded, b.added}, {partGeneral, b.general}, {partGrowth, b.growth}} {
		if b.has(part.name) {
			if err := part.measure(ctx); err != nil {
				return fmt.Errorf("measuring the part %s: %w", part.name, err)
			}
		}
	}
	return nil
}

// workloadNames are the parts that are workloads.
func workloadNames() []string { return mappingParts[:len(handMappings)] }

// workloadFigures is what a workload in one form costs.
type workloadFigures struct {
	workload string
	form     form
	messages int
	bytes    int // of a message
	valid    reading
	readings map[string]reading // by contender
	refused  map[string]error   // contenders that cannot load the mapping
}

func (b *mappingBench) measureWorkloads(ctx context.Context) ([]*workloadFigures, error) {
	var all []*workloadFigures
	for _, name := range workloadNames() {
		if !b.has(name) {
			continue
		}
		figures, err := b.measureWorkload(ctx, name)
		if err != nil {
			return all, err
		}
		all = append(all, figures...)
	}
	return all, nil
}

// measureWorkload compares the contenders' measurements and then their CPU
// time, in all forms.
func (b *mappingBench) measureWorkload(ctx context.Context, name string) ([]*workloadFigures, error) {
	w, err := readWorkload(b.workloads, name)
	if err != nil {
		return nil, err
	}
	var all []*workloadFigures
	for _, f := range forms {
		messages := w.messages[f]
		figures := &workloadFigures{workload: name, form: f, messages: len(messages), readings: map[string]reading{}}
		for i := range messages {
			figures.bytes += len(messages[i].text)
		}
		figures.bytes /= len(messages)
		agreed, refused, err := enter(w, f)
		if err != nil {
			return nil, err
		}
		figures.refused = refused
		readings, err := b.meter.measure(ctx, append([]subject{yardstick(messages)}, agreed...))
		if err != nil {
			return nil, fmt.Errorf("measuring %s, %s: %w", name, f, err)
		}
		figures.valid = readings[0]
		for i, r := range readings[1:] {
			figures.readings[agreed[i].name] = r
		}
		all = append(all, figures)
	}
	return all, nil
}

// enter makes the contenders and compares their measurements on every message.
func enter(w *workload, f form) (subjects []subject, refused map[string]error, err error) {
	refused = map[string]error{}
	messages := w.messages[f]
	var reference contender
	for _, e := range contenders {
		c, err := e.make(w, f)
		if refusal := (*refusal)(nil); errors.As(err, &refusal) {
			refused[e.name] = refusal
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %s: %w", w.name, e.name, err)
		}
		if reference == nil {
			reference = c
		}
		if err := agree(w.name+" as "+string(f), messages, contenders[0].name, reference, e.name, c); err != nil {
			return nil, nil, err
		}
		subjects = append(subjects, subject{e.name, workOf(c, messages)})
	}
	return subjects, refused, nil
}
