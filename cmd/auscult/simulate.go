package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"

	"auscult/internal/config"
	"auscult/kafka"
	"auscult/schemas"
	"auscult/sim"
)

// simulation is what the flags of simulate say.
type simulation struct {
	config    string
	bidmc     string
	physionet string
	patients  string
	beds      int
	seed      uint64
	rate      float64
	speed     float64
	since     time.Duration
	length    time.Duration
	scenarios []string
}

func simulateCommand() *cobra.Command {
	var s simulation
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Send the messages of a simulated ward, or those of public recordings",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			messages, err := s.messages()
			if err != nil {
				return err
			}
			cfg, err := config.Load(s.config, os.Environ())
			if err != nil {
				return err
			}
			source, err := kafka.DialSource(cfg.Source)
			if err != nil {
				return err
			}
			defer source.Close()
			if err := sendable(cmd.Context(), source); err != nil {
				return err
			}
			n, err := s.send(cmd.Context(), source, messages)
			fmt.Fprintf(cmd.OutOrStdout(), "sent %d messages\n", n)
			return err
		},
	}
	flags := cmd.Flags()
	configFlag(cmd, &s.config)
	flags.StringVar(&s.bidmc, "bidmc", "", "send the 1 Hz numerics of the BIDMC recordings in this folder")
	flags.StringVar(&s.physionet, "physionet", "", "send the ICU stays of this file (Challenge 2012, set-a.tar.gz)")
	flags.StringVar(&s.patients, "patients", "", "with --physionet: file with the record ids to send, one a line")
	flags.IntVar(&s.beds, "beds", 12, "patients of the simulated ward")
	flags.Uint64Var(&s.seed, "seed", 1, "the same seed gives the same messages")
	flags.StringSliceVar(&s.scenarios, "scenario", nil, "scenarios of the first patients: stable, sepsis, hypovolaemia, sensor-off, clock-wrong, handover (default one of each)")
	flags.Float64Var(&s.rate, "rate", 0, "messages a second at the most (default: the ward's own pace; recordings as fast as they go)")
	flags.Float64Var(&s.speed, "speed", 1, "how much faster than the clock the ward's time runs, until it has caught up with now")
	flags.DurationVar(&s.since, "since", 0, "how long ago the ward's time begins (default: now, or 24h with --speed above 1)")
	flags.DurationVar(&s.length, "for", 0, "how much of the ward's time to send (default: until interrupted)")
	return cmd
}

// sendable looks for the broker and the topic: a client would wait for ever, for
// they may yet come.
func sendable(ctx context.Context, source *kafka.Conn) error {
	if err := reach(ctx, "source", source); err != nil {
		return err
	}
	_, err := source.Ends(ctx, schemas.TopicDeviceData)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return fmt.Errorf("topic %s does not exist: create it, the river's own with `auscult topics apply`, or correct source.topic", source.Topic(schemas.TopicDeviceData))
	}
	return err
}

func (s *simulation) send(ctx context.Context, source *kafka.Conn, messages iter.Seq2[sim.Message, error]) (int, error) {
	out, err := source.NewSender()
	if err != nil {
		return 0, err
	}
	n := 0
	began := time.Now()
	for m, err := range messages {
		if err == nil {
			err = s.pace(ctx, began, n, m.At)
		}
		if errors.Is(err, context.Canceled) {
			break // interrupted: what was sent is flushed
		}
		if err == nil {
			err = out.Send(ctx, schemas.Out{Topic: schemas.TopicDeviceData, Key: m.Key, Value: m.Body, Headers: m.Headers})
		}
		if err != nil {
			return n, errors.Join(err, closeSoon(ctx, out))
		}
		n++
	}
	return n, closeSoon(ctx, out)
}

// flushPatience is how long what was sent may take to arrive once someone waits
// for the end.
const flushPatience = 2 * time.Second

// closeSoon flushes; after an interrupt not for ever, for the broker may be what
// the interrupt is about.
func closeSoon(ctx context.Context, out *kafka.Sender) error {
	if ctx.Err() == nil {
		return out.Close(ctx)
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushPatience)
	defer cancel()
	return out.Close(limit)
}

// recording reports whether public recordings are sent.
func (s *simulation) recording() bool { return s.bidmc != "" || s.physionet != "" }

// pace waits until the nth message may be sent.
func (s *simulation) pace(ctx context.Context, began time.Time, n int, at time.Time) error {
	due := began
	if s.rate > 0 {
		due = began.Add(time.Duration(float64(n) / s.rate * float64(time.Second)))
	} else if !s.recording() {
		first := began.Add(-s.begins())
		due = began.Add(time.Duration(float64(at.Sub(first)) / s.speed))
		if at.After(due) {
			due = at // the ward's time never runs ahead of the clock
		}
	}
	wait := time.Until(due)
	if wait <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begins returns how long before now the ward's time begins.
func (s *simulation) begins() time.Duration {
	if s.since == 0 && s.speed > 1 {
		return 24 * time.Hour
	}
	return s.since
}

func (s *simulation) messages() (iter.Seq2[sim.Message, error], error) {
	if s.speed <= 0 || s.rate < 0 {
		return nil, errors.New("--speed must be above 0 and --rate not below")
	}
	switch {
	case s.bidmc != "" && s.physionet != "":
		return nil, errors.New("choose one of --bidmc and --physionet")
	case s.patients != "" && s.physionet == "":
		return nil, errors.New("--patients picks stays of --physionet: name that file as well")
	case s.bidmc != "":
		all, err := sim.BIDMC(os.DirFS(s.bidmc))
		return withoutErrors(all), err
	case s.physionet != "":
		return s.stays()
	}
	return s.ward(time.Now())
}

func (s *simulation) ward(now time.Time) (iter.Seq2[sim.Message, error], error) {
	start := now.Add(-s.begins())
	cfg := sim.Config{Patients: s.beds, Seed: s.seed, Start: start}
	for _, name := range s.scenarios {
		scenario, err := sim.ParseScenario(name)
		if err != nil {
			return nil, err
		}
		cfg.Scenarios = append(cfg.Scenarios, scenario)
	}
	w, err := sim.NewWard(cfg)
	if err != nil {
		return nil, err
	}
	all := w.Messages(start)
	if s.length == 0 {
		return withoutErrors(all), nil
	}
	end := start.Add(s.length)
	return func(yield func(sim.Message, error) bool) {
		for m := range all {
			if !m.At.Before(end) || !yield(m, nil) {
				return
			}
		}
	}, nil
}

func (s *simulation) stays() (iter.Seq2[sim.Message, error], error) {
	var ids []string
	if s.patients != "" {
		text, err := os.ReadFile(s.patients)
		if err != nil {
			return nil, fmt.Errorf("reading the list of patients: %w", err)
		}
		ids = strings.Fields(string(text))
	}
	f, err := os.Open(s.physionet)
	if err != nil {
		return nil, fmt.Errorf("opening the recordings: %w", err)
	}
	return func(yield func(sim.Message, error) bool) {
		defer f.Close()
		for m, err := range sim.PhysioNet(f, ids) {
			if !yield(m, err) {
				return
			}
		}
	}, nil
}

func withoutErrors(all iter.Seq[sim.Message]) iter.Seq2[sim.Message, error] {
	return func(yield func(sim.Message, error) bool) {
		for m := range all {
			if !yield(m, nil) {
				return
			}
		}
	}
}
