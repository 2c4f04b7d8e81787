package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/lovoo/goka"
	"github.com/spf13/cobra"

	"auscult/internal/config"
	"auscult/kafka"
	"auscult/processors"
	"auscult/replay"
	"auscult/schemas"
	"auscult/sinks/lake"
	"auscult/topology"
)

// replaying is what the flags of replay say.
type replaying struct {
	config, run string
	topicRange  string
	capture     string
	dryRun      bool

	spans map[int32]kafka.Span // of topicRange; nil for all
}

func replayCommand() *cobra.Command {
	var p replaying
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Run the stages once more over messages that are kept, and write what came of it once",
		Long: "Run the stages once more over a range of devicedata, or over files of the raw zone or of Event Hubs Capture.\n" +
			"What comes of it is written to the river's topics, where Deliver and Load take it up; equal content changes nothing.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(p.config, os.Environ())
			if err != nil {
				return err
			}
			return p.replay(cmd.Context(), cfg, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	configFlag(cmd, &p.config)
	flags.StringVar(&p.run, "run", "", "name of the replay (needed)")
	flags.StringVar(&p.topicRange, "topic-range", "", "what to replay of devicedata: all, or PARTITION:FROM-TO,... (TO is not in it)")
	flags.StringVar(&p.capture, "capture", "", "folder of a raw zone or of Event Hubs Capture to replay instead")
	flags.BoolVar(&p.dryRun, "dry-run", false, "write nothing; print what would be new or different on the FHIR server")
	_ = cmd.MarkFlagRequired("run")
	return cmd
}

func (p *replaying) replay(ctx context.Context, cfg *config.Config, out io.Writer) error {
	if err := p.check(); err != nil {
		return err
	}
	river, err := open(ctx, cfg, nil) // the stages that load are not replayed
	if err != nil {
		return err
	}
	result, err := p.play(ctx, river)
	if err == nil {
		err = p.finish(ctx, river, result, out)
	}
	return errors.Join(err, river.close())
}

// check reads the flags before anything is opened.
func (p *replaying) check() (err error) {
	switch {
	case p.run == "" || p.run == schemas.RunLive:
		return fmt.Errorf("--run %q: a replay needs a name of its own, such as after-new-mapping", p.run)
	case (p.topicRange == "") == (p.capture == ""):
		return errors.New("choose one of --topic-range and --capture")
	case p.topicRange != "" && p.topicRange != "all":
		p.spans, err = parseSpans(p.topicRange)
	}
	return err
}

func (p *replaying) play(ctx context.Context, river *river) (*replay.Result, error) {
	cfg := replay.Config{
		Run: p.run, Graph: river.replayGraph(p.run),
		Identities: func(ctx context.Context, visit func(schemas.Raw) error) error {
			ends, err := river.kafka.Ends(ctx, schemas.TopicIdentities)
			if err != nil {
				return err
			}
			return river.kafka.ReadSpans(ctx, schemas.TopicIdentities, ends, visit)
		},
	}
	for _, m := range river.rules.Models {
		cfg.Horizon = max(cfg.Horizon, m.MaxHorizon)
	}
	var err error
	if p.capture != "" { // no need of a source
		if err = reach(ctx, "river", river.kafka); err == nil {
			err = capture(ctx, p.capture, &cfg)
		}
	} else if err = river.reach(ctx); err == nil {
		err = topicRange(ctx, river.source, p.spans, &cfg)
	}
	if err != nil {
		return nil, err
	}
	return replay.Play(ctx, cfg)
}

// replayGraph makes Normalize, Observe and Assess anew, for another run.
func (r *river) replayGraph(run string) topology.Graph {
	normalize := r.cfg.Normalize
	normalize.Run = run
	oc := observeConfig(r.cfg, r.rules, r.fhir)
	oc.Run = run
	observe := processors.NewObserve(oc)
	assess := processors.NewAssess(processors.AssessConfig{Rules: r.rules, Run: run})
	return topology.Lay(topology.Parts{
		Normalize: processors.NewNormalize(r.device, normalize),
		Observe:   &topology.Keyed{Inputs: []goka.ProcessCallback{observe.Measurement, observe.Identity}, Tick: observe.Tick},
		Assess:    &topology.Keyed{Inputs: []goka.ProcessCallback{assess.Window, assess.Score}, Tick: assess.Tick},
	})
}

// topicRange reads spans of devicedata, all that it holds for nil.
func topicRange(ctx context.Context, source *kafka.Conn, spans map[int32]kafka.Span, cfg *replay.Config) error {
	held, err := source.Ends(ctx, schemas.TopicDeviceData)
	if err != nil {
		return err
	}
	if spans == nil {
		spans = held
	}
	cfg.Sources, cfg.Extent = replay.Topic(ctx, source, spans), extentOf(spans, held)
	cfg.Generation, err = source.Generation(ctx, schemas.TopicDeviceData)
	return err
}

// extentOf compares spans with what the topic holds. It begins with offset 0,
// unless retention has removed that.
func extentOf(spans, held map[int32]kafka.Span) replay.Extent {
	e := replay.Extent{Begins: true, Ends: true, All: true}
	for p, h := range held {
		s, named := spans[p]
		e.All = e.All && (named || h.To == 0)
		e.Begins = e.Begins && h.From == 0 && (!named || s.From == 0)
		e.Ends = e.Ends && (!named || s.To >= h.To)
	}
	return e
}

// parseSpans reads PARTITION:FROM-TO,...
func parseSpans(text string) (map[int32]kafka.Span, error) {
	spans := map[int32]kafka.Span{}
	for part := range strings.SplitSeq(text, ",") {
		p, rest, ok1 := strings.Cut(part, ":")
		from, to, ok2 := strings.Cut(rest, "-")
		partition, err1 := strconv.ParseInt(p, 10, 32)
		first, err2 := strconv.ParseInt(from, 10, 64)
		next, err3 := strconv.ParseInt(to, 10, 64)
		if !ok1 || !ok2 || errors.Join(err1, err2, err3) != nil || first < 0 || next <= first {
			return nil, fmt.Errorf("--topic-range %q: write all, or PARTITION:FROM-TO such as 0:100-2000", part)
		}
		spans[int32(partition)] = kafka.Span{From: first, To: next}
	}
	return spans, nil
}

// capture reads the files of a folder, which must be of one topic's life.
func capture(ctx context.Context, folder string, cfg *replay.Config) error {
	f, err := lake.List(folder)
	if err != nil {
		return err
	}
	generations := f.Generations()
	if len(generations) > 1 {
		return fmt.Errorf("%s holds %d generations of the topic: name the folder of one of them (%s)", folder, len(generations), strings.Join(generations, ", "))
	}
	cfg.Generation = generations[0]
	cfg.Extent = replay.Extent{Begins: true, Ends: true, All: true}
	for _, p := range f.Partitions {
		cfg.Sources = append(cfg.Sources, replay.Records(p.Number, p.Records(ctx, 0)))
		cfg.Extent.Begins = cfg.Extent.Begins && p.Begins()
	}
	return nil
}

// finish writes what came of the replay, or prints what would change.
func (p *replaying) finish(ctx context.Context, river *river, result *replay.Result, out io.Writer) error {
	for _, reason := range slices.Sorted(maps.Keys(result.DeadLetters)) {
		fmt.Fprintf(out, "%d dead letters: %s\n", result.DeadLetters[reason], reason)
	}
	if p.dryRun {
		d, err := replay.Compare(ctx, river.client, river.fhir, result)
		if err != nil {
			return err
		}
		return d.Print(out)
	}
	sender, err := river.kafka.NewSender()
	if err != nil {
		return err
	}
	n := 0
	for o := range result.Outs() {
		if err := sender.Send(ctx, o); err != nil {
			return errors.Join(err, sender.Close(ctx))
		}
		n++
	}
	fmt.Fprintf(out, "%d messages gave %d records; left out because the range does not hold all of them: %d windows, %d Flags\n",
		result.Messages, n, result.SkippedWindows, result.SkippedFlags)
	return sender.Close(ctx)
}
