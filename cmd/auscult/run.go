package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"auscult/internal/config"
	"auscult/kafka"
	"auscult/topology"
)

// running is what the flags of run say.
type running struct {
	config       string
	stages       []string
	untilDrained bool
	printConfig  bool
	acceptGap    bool
}

func runCommand() *cobra.Command {
	var r running
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run all stages, or some of them",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(r.config, os.Environ())
			if err != nil {
				return err
			}
			if r.printConfig {
				return cfg.Print(cmd.OutOrStdout())
			}
			return r.run(cmd.Context(), cfg, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	configFlag(cmd, &r.config)
	flags.StringSliceVar(&r.stages, "stages", nil, "run only these stages; other processes run the rest")
	flags.BoolVar(&r.untilDrained, "until-drained", false, "end when everything that devicedata holds now has gone down the river; exit code 3 when dead letters were added")
	flags.BoolVar(&r.printConfig, "print-config", false, "print the configuration in force, secrets hidden, and end")
	flags.BoolVar(&r.acceptGap, "accept-gap", false, "go on where retention has removed records that were not read; a dead letter names them")
	return cmd
}

func (r *running) run(ctx context.Context, cfg *config.Config, out, errs io.Writer) (err error) {
	cfg.Identity.AtOnce = r.untilDrained
	stages, err := only(cfg, r.stages)
	if err != nil {
		return err
	}
	river, err := open(ctx, cfg, stages)
	if err != nil {
		return err
	}
	defer func() {
		if closing := river.close(); closing != nil {
			err = errors.Join(err, fmt.Errorf("closing: %w", closing))
		}
	}()
	if err := river.checkTopics(ctx); err != nil {
		return err
	}
	part, err := river.graph.Only(stages...)
	if err != nil {
		return err
	}
	log := newLog(errs)
	rt, err := river.runtime(log)
	if err != nil {
		return err
	}
	rt.AcceptGap = r.acceptGap
	if cfg.Console.Listen != "" {
		url, stop, failed := river.startConsole(ctx, cfg.Console.Listen, log)
		if failed != nil {
			return fmt.Errorf("%w (choose another address with console.listen)", failed)
		}
		defer func() {
			if closing := stop(); closing != nil {
				err = errors.Join(err, fmt.Errorf("stopping the console: %w", closing))
			}
		}()
		fmt.Fprintln(out, "console", url)
	}
	if r.untilDrained {
		return river.drain(ctx, part, rt, out)
	}
	running, err := topology.Start(ctx, river.graph, part, rt)
	if err != nil {
		return err
	}
	follow, stop := context.WithCancel(ctx)
	defer stop()
	go river.reload(follow, log)
	return running.Wait()
}

// only returns the names of the stages that this process runs: those of names,
// all for none. To name one that has nowhere to write to is a mistake: nothing
// would be done.
func only(cfg *config.Config, names []string) ([]string, error) {
	part, err := topology.Lay(topology.Parts{}).Only(names...)
	if err != nil || len(names) == 0 {
		return part.Names(), err
	}
	for _, s := range part {
		if setting := unset(cfg, s.Name); setting != "" {
			return nil, fmt.Errorf("stage %s has nowhere to write to: set %s", s.Name, setting)
		}
	}
	return part.Names(), nil
}

// unset returns the setting without which a stage has nowhere to write to;
// empty when it is there, or when the stage needs none.
func unset(cfg *config.Config, stage string) string {
	switch {
	case stage == topology.LoadRaw && cfg.Lake.Folder == "":
		return "lake.folder"
	case stage == topology.LoadWarehouse && cfg.Warehouse.Path == "":
		return "warehouse.path"
	}
	return ""
}

// checkTopics refuses to run on topics that are not as planned.
func (r *river) checkTopics(ctx context.Context) error {
	if err := r.reach(ctx); err != nil {
		return err
	}
	plan, err := kafka.PlanTopics(ctx, r.kafka, r.sourceOrNil())
	if err != nil {
		return err
	}
	for _, p := range plan {
		if !p.Exists && len(p.Problems) == 0 {
			return fmt.Errorf("topic %s does not exist: create the topics with `auscult topics apply`", p.Name)
		}
	}
	return kafka.CheckPlan(plan)
}

// reach looks for the brokers.
func (r *river) reach(ctx context.Context) error {
	if err := reach(ctx, "river", r.kafka); err != nil {
		return err
	}
	if source := r.sourceOrNil(); source != nil {
		return reach(ctx, "source", source)
	}
	return nil
}

// sourceOrNil is the source where it is another connection than the river's.
func (r *river) sourceOrNil() *kafka.Conn {
	if r.cfg.OneBroker() && r.cfg.Source.Topic == "" {
		return nil
	}
	return r.source
}

// drain runs part until everything that devicedata holds now has gone down the
// river.
func (r *river) drain(ctx context.Context, part topology.Graph, rt topology.Runtime, out io.Writer) error {
	until, err := kafka.DrainTarget(ctx, r.kafka, r.sourceOrNil())
	if err != nil {
		return err
	}
	letters, err := kafka.DeadLetters(ctx, r.kafka)
	if err != nil {
		return err
	}
	rt.Until = until
	running, err := topology.Start(ctx, r.graph, part, rt)
	if err != nil {
		return err
	}
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		defer cancel() // a stage that stops ends the watch
		ended <- running.Wait()
	}()
	result, err := kafka.Drain(watch, kafka.DrainConfig{
		River: r.kafka, Source: r.sourceOrNil(), Stages: r.drainStages(running), Until: until, DeadLetters: letters, Waiting: progress(out),
	})
	running.Stop()
	if stopped := <-ended; stopped != nil {
		return stopped
	}
	if err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted before the river had drained")
		}
		return err
	}
	if result.DeadLetters > 0 {
		return exitCode{exitDeadLetters, fmt.Sprintf("%v: %d; see `auscult dead-letters list`", kafka.ErrDeadLetters, result.DeadLetters)}
	}
	fmt.Fprintln(out, "drained")
	return nil
}

func (r *river) drainStages(running *topology.Running) []kafka.DrainStage {
	var all []kafka.DrainStage
	for _, s := range r.graph {
		if unset(r.cfg, s.Name) != "" {
			continue // nobody runs it with this configuration
		}
		d := kafka.DrainStage{Name: s.Name, Inputs: s.Inputs}
		if s.With != "" {
			d.With = []string{s.With}
		}
		if s.Keyed != nil {
			d.Visit = func(ctx context.Context, mark string) error {
				if g := running.Group(s.Name); g != nil {
					return g.VisitEnd(ctx, mark)
				}
				return nil // another process owns it and visits
			}
		}
		all = append(all, d)
	}
	return all
}

// progressEvery is how often a person who waits is told for what.
const progressEvery = 5 * time.Second

func progress(out io.Writer) func(stage, reason string) {
	var last time.Time
	return func(_, reason string) {
		if time.Since(last) >= progressEvery {
			last = time.Now()
			fmt.Fprintln(out, "waiting for", reason)
		}
	}
}
