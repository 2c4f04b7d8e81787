package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"auscult/internal/config"
	"auscult/kafka"
	"auscult/topology"
)

func topicsCommand() *cobra.Command {
	var path, data string
	plan := &cobra.Command{
		Use:   "plan",
		Short: "Print the plan, what differs, and how far each topic and its readers are; changes nothing",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withBrokers(cmd.Context(), path, data, func(river, source *kafka.Conn) error {
				return printPlan(cmd.Context(), cmd.OutOrStdout(), river, source)
			})
		},
	}
	apply := &cobra.Command{
		Use:   "apply",
		Short: "Create the topics that are missing; changes none that exist",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withBrokers(cmd.Context(), path, data, func(river, source *kafka.Conn) error {
				if err := kafka.ApplyTopics(cmd.Context(), river, source); err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), "all topics are there")
				return nil
			})
		},
	}
	for _, c := range []*cobra.Command{plan, apply} {
		configFlag(c, &path)
		c.Flags().StringVar(&data, "data", "", "data folder of an embedded broker that is not running")
	}
	return group("topics", "Compare the topics with the plan, or create them", plan, apply)
}

// withBrokers connects to the configured brokers, or to an embedded one that it
// starts over the given data folder. source is nil when both are one.
func withBrokers(ctx context.Context, path, data string, do func(river, source *kafka.Conn) error) error {
	if data != "" {
		return withStopped(path, data, func(river *kafka.Conn) error { return do(river, nil) })
	}
	return withRunning(ctx, path, do)
}

// withRunning connects to the configured brokers.
func withRunning(ctx context.Context, path string, do func(river, source *kafka.Conn) error) error {
	cfg, err := config.Load(path, os.Environ())
	if err != nil {
		return err
	}
	river, err := kafka.Dial(cfg.River)
	if err != nil {
		return err
	}
	defer river.Close()
	if err := reach(ctx, "river", river); err != nil {
		return err
	}
	if cfg.OneBroker() && cfg.Source.Topic == "" {
		return do(river, nil)
	}
	source, err := kafka.DialSource(cfg.Source)
	if err != nil {
		return err
	}
	defer source.Close()
	if err := reach(ctx, "source", source); err != nil {
		return err
	}
	return do(river, source)
}

// reachPatience is how long a broker may take to answer for the first time: a
// client would try for minutes.
const reachPatience = 20 * time.Second

// reach asks a broker for a first answer, and says what to change when there is
// none.
func reach(ctx context.Context, section string, c *kafka.Conn) error {
	limit, cancel := context.WithTimeout(ctx, reachPatience)
	defer cancel()
	_, err := c.Admin().BrokerMetadata(limit)
	if err == nil {
		return nil
	}
	if limit.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("no answer within %s: %w", reachPatience, err)
	}
	return fmt.Errorf("reaching the broker at %s: %w; start it, or correct brokers, profile, tls or sasl of %s",
		strings.Join(c.Config().Brokers, ", "), err, section)
}

// withStopped starts an embedded broker over its data for as long as do runs.
func withStopped(path, data string, do func(river *kafka.Conn) error) error {
	cfg, err := layout(path, data)
	if err != nil {
		return err
	}
	dir := filepath.Join(data, brokerFolder)
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("%s holds no broker's data: %w", data, err)
	}
	b, err := kafka.StartEmbedded(kafka.EmbeddedConfig{Dir: dir, Listen: "127.0.0.1:0", Partitions: cfg.Partitions, Prefix: cfg.Prefix})
	if err != nil {
		return err
	}
	defer b.Close()
	cfg.Brokers = []string{b.Addr()}
	river, err := kafka.Dial(cfg)
	if err != nil {
		return err
	}
	defer river.Close()
	return do(river)
}

// readers returns who reads what, from the graph.
func readers() []kafka.Reader {
	var all []kafka.Reader
	for _, s := range topology.Lay(topology.Parts{}) {
		all = append(all, kafka.Reader{Stage: s.Name, Topics: s.Inputs})
	}
	return all
}

func printPlan(ctx context.Context, w io.Writer, river, source *kafka.Conn) error {
	plan, err := kafka.PlanTopics(ctx, river, source)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "topic\tpartitions\tcleanup\tstate")
	missing := 0
	for _, p := range plan {
		state := "as planned"
		switch {
		case len(p.Problems) > 0:
			state = "differs"
		case !p.Exists:
			state, missing = "missing", missing+1
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\n", p.Name, p.Partitions, p.Topic.Cleanup, state)
		for _, note := range append(p.Problems, p.Notes...) {
			fmt.Fprintf(t, "\t\t\t%s\n", note)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if missing > 0 {
		fmt.Fprintln(w, "\nsome topics are missing: create them with `auscult topics apply`")
		return kafka.CheckPlan(plan)
	}
	status, err := kafka.TopicsStatus(ctx, river, source, readers())
	if err != nil {
		return err
	}
	fmt.Fprintln(w)
	if err := printStatus(w, status); err != nil {
		return err
	}
	return kafka.CheckPlan(plan)
}

// printStatus prints the end of every partition and what each reader has
// committed there; - where nobody reads.
func printStatus(w io.Writer, status []kafka.TopicStatus) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "topic\tpartition\tend\tgroup\tcommitted")
	for i := range status {
		s := &status[i]
		for p, end := range s.End {
			if len(s.Readers) == 0 {
				fmt.Fprintf(t, "%s\t%d\t%d\t-\t-\n", s.Name, p, end)
			}
			for _, r := range s.Readers {
				// A group that has committed nothing stands at the start.
				fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%d\n", s.Name, p, end, r.Group, max(r.Committed[p], s.Start[p]))
			}
		}
	}
	return t.Flush()
}
