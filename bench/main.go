// Command bench measures the river (what a message costs, how many of them a
// core carries, how late an Observation and an alert are, what a tick costs when
// there are many devices) and the device mapping alone, beside other ways to do
// the same. README.md says how.
//
// For the river it runs the auscult program that it builds from this repository
// and knows nothing of how the stages work inside; for the mapping it calls
// package mapping as any program could.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options are the flags of a run.
type options struct {
	repo      string
	messages  int
	devices   int
	emit      string
	rates     []float64
	maximum   float64
	duration  time.Duration
	warmUp    time.Duration
	ticking   int
	parts     []string
	out       string
	profile   string
	limit     time.Duration
	keep      bool
	partLimit time.Duration
}

// The parts of a run.
const (
	partStages  = "stages"
	partDrain   = "drain"
	partLatency = "latency"
	partTicks   = "ticks"
)

var allParts = []string{partStages, partDrain, partLatency, partTicks}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 && args[0] == "mapping" {
		return runMapping(ctx, args[1:], out)
	}
	if len(args) == 0 || args[0] != "river" {
		return errors.New("what is to be measured? `go run . river` measures the river, `go run . mapping` the device mapping; -h behind either shows its flags")
	}
	return runRiver(ctx, args[1:], out)
}

func runRiver(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	r, err := measure(ctx, o, out)
	if r != nil {
		r.print(out) // what was measured before an error counts too
		err = errors.Join(err, r.write(o.out))
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = errors.Join(err, fmt.Errorf("not done within %s: take fewer -messages or a higher -limit", o.limit))
	}
	return err
}

func parse(args []string) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("river", flag.ContinueOnError)
	f.StringVar(&o.repo, "repo", "..", "folder of the repository")
	f.IntVar(&o.messages, "messages", 24_000, "device messages of a drain")
	f.IntVar(&o.devices, "devices", 1000, "devices of the ward, one a patient; each sends every 5 s of its own time")
	f.StringVar(&o.emit, "emit", "value", "when the model scores: with each value, or when a pane closes (close; then no alert is timed)")
	rates := f.String("rates", "0.1,0.7", "arrival rates of the latency part, as parts of the maximum")
	f.Float64Var(&o.maximum, "max", 0, "messages/s to take as the maximum (default: what the drain shows)")
	f.DurationVar(&o.duration, "duration", 30*time.Second, "how long each arrival rate is measured")
	f.DurationVar(&o.warmUp, "warmup", 5*time.Second, "of each arrival rate, before it is measured")
	f.IntVar(&o.ticking, "tick-devices", 100_000, "rows of the table that ticks are measured on")
	parts := f.String("parts", strings.Join(allParts, ","), "which parts to run")
	f.StringVar(&o.out, "out", "", "file for the figures as JSON")
	f.StringVar(&o.profile, "profile", "", "folder for CPU profiles of the stages; profiling itself costs a little")
	f.DurationVar(&o.limit, "limit", 30*time.Minute, "of the whole run")
	f.DurationVar(&o.partLimit, "part-limit", 10*time.Minute, "of a drain, a stage or the wait after an arrival rate")
	f.BoolVar(&o.keep, "keep", false, "keep the data folders and say where they are")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	o.parts = strings.Split(*parts, ",")
	return o, errors.Join(o.readRates(*rates), o.check())
}

func (o *options) readRates(text string) error {
	for word := range strings.SplitSeq(text, ",") {
		part, err := strconv.ParseFloat(strings.TrimSpace(word), 64)
		if err != nil || part <= 0 {
			return fmt.Errorf("-rates: %q is not a part of the maximum, such as 0.7", word)
		}
		o.rates = append(o.rates, part)
	}
	return nil
}

func (o *options) check() error {
	for _, p := range o.parts {
		if !slices.Contains(allParts, p) {
			return fmt.Errorf("-parts: there is no part %q, there are %s", p, strings.Join(allParts, ", "))
		}
	}
	switch {
	case o.emit != "value" && o.emit != "close":
		return fmt.Errorf("-emit is value or close, not %q", o.emit)
	case o.devices < 1 || o.messages < 2*o.devices:
		return errors.New("a drain needs at least two messages of each device: change -messages or -devices")
	case o.ticking < 1000:
		return errors.New("-tick-devices must be 1000 or more")
	case o.has(partLatency) && !o.has(partDrain) && o.maximum <= 0:
		return errors.New("the latency part needs the maximum: run the drain with it, or give -max")
	}
	if _, err := os.Stat(filepath.Join(o.repo, "cmd", "auscult")); err != nil {
		return fmt.Errorf("no program to measure: run from the folder bench, or set -repo: %w", err)
	}
	return nil
}

func (o *options) has(part string) bool { return slices.Contains(o.parts, part) }

// measure runs the parts. What was measured before an error is returned with
// it.
func measure(ctx context.Context, o *options, out io.Writer) (*report, error) {
	l, err := newLab(ctx, o, out)
	if err != nil {
		return nil, err
	}
	r := newReport(o)
	err = l.measure(ctx, r)
	return r, errors.Join(err, l.close())
}

func (l *lab) measure(ctx context.Context, r *report) error {
	if l.has(partStages) {
		l.say("stage by stage: %d messages, each stage as a process of its own", l.messages)
		if err := l.measureStages(ctx, r); err != nil {
			return fmt.Errorf("measuring the stages: %w", err)
		}
	}
	if l.has(partDrain) {
		l.say("drain: %d messages, all stages in one process", l.messages)
		if err := l.measureDrain(ctx, r); err != nil {
			return fmt.Errorf("measuring a drain: %w", err)
		}
	}
	if l.has(partLatency) {
		if err := l.measureLatency(ctx, r); err != nil {
			return fmt.Errorf("measuring latency: %w", err)
		}
	}
	if l.has(partTicks) {
		l.say("ticks: %d devices", l.ticking)
		if err := l.measureTicks(ctx, r); err != nil {
			return fmt.Errorf("measuring ticks: %w", err)
		}
	}
	return nil
}

// write keeps the figures.
func (r *report) write(path string) error {
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the figures: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the figures: %w", err)
	}
	return nil
}
