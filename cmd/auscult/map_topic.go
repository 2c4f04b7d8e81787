package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"auscult/internal/config"
	"auscult/kafka"
	"auscult/schemas"
)

// topicFlags name a range of a Kafka topic.
type topicFlags struct {
	name      string
	config    string
	brokers   []string
	from, to  string
	partition int32

	first, next bound
}

func (t *topicFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	configFlag(cmd, &t.config)
	flags.StringVar(&t.name, "topic", "", "Kafka topic to read the messages from, by the name that its broker knows it by")
	flags.StringSliceVar(&t.brokers, "brokers", nil, "host:port of the topic's brokers; with logins or TLS use --config, whose source is read")
	flags.StringVar(&t.from, "from", "", "first offset, or time such as 2026-01-31T00:00:00Z (default: what the topic holds)")
	flags.StringVar(&t.to, "to", "", "offset or time to stop before (default: the end as it is now)")
	flags.Int32Var(&t.partition, "partition", -1, "only this partition; offsets are those of a partition (default: all)")
}

func (t *topicFlags) validate(as string, args []string) (err error) {
	if t.name == "" {
		if t.from != "" || t.to != "" || t.partition >= 0 || t.config != "" || len(t.brokers) > 0 {
			return errors.New("--config, --brokers, --partition, --from and --to go with --topic: name the topic")
		}
		return nil
	}
	switch {
	case len(args) > 0:
		return errors.New("choose one of --topic and files of messages")
	case as == asCapture:
		return errors.New("--as capture is for files: leave it out with --topic")
	case (t.config == "") == (len(t.brokers) == 0):
		return errors.New("say where the topic is: one of --config and --brokers")
	}
	if t.first, err = parseBound("--from", t.from); err == nil {
		t.next, err = parseBound("--to", t.to)
	}
	return err
}

// bound is an offset or a time; neither is no bound.
type bound struct {
	offset int64 // -1 when it is none
	time   time.Time
}

func parseBound(flag, text string) (bound, error) {
	if text == "" {
		return bound{offset: -1}, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		return bound{offset: n}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return bound{}, fmt.Errorf("%s %q is neither an offset nor a time such as 2026-01-31T00:00:00Z", flag, text)
	}
	return bound{offset: -1, time: at}, nil
}

// source says how the topic is reached. It is read as the source's devicedata,
// which may have any name.
func (t *topicFlags) source() (kafka.SourceConfig, error) {
	var source kafka.SourceConfig
	if t.config == "" {
		source.Config = kafka.Config{Profile: kafka.Kafka, Brokers: t.brokers}
	} else {
		cfg, err := config.Load(t.config, os.Environ())
		if err != nil {
			return source, err
		}
		source = cfg.Source
	}
	source.Topic, source.Start = t.name, "earliest"
	return source, nil
}

// read visits the messages of the range, partition by partition.
func (t *topicFlags) read(ctx context.Context, as string, visit visitMessage) error {
	source, err := t.source()
	if err != nil {
		return err
	}
	conn, err := kafka.DialSource(source)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := reach(ctx, "source", conn); err != nil {
		return err
	}
	spans, err := t.spans(ctx, conn)
	if err != nil {
		return err
	}
	return conn.ReadSpans(ctx, schemas.TopicDeviceData, spans, func(r schemas.Raw) error {
		return visitRecord(t.name, r, as, visit)
	})
}

// spans resolves the bounds to offsets.
func (t *topicFlags) spans(ctx context.Context, conn *kafka.Conn) (map[int32]kafka.Span, error) {
	spans, err := conn.Ends(ctx, schemas.TopicDeviceData)
	if err != nil {
		return nil, err
	}
	if t.partition >= 0 {
		s, there := spans[t.partition]
		if !there {
			return nil, fmt.Errorf("topic %s has no partition %d: it has %d, counted from 0", t.name, t.partition, len(spans))
		}
		spans = map[int32]kafka.Span{t.partition: s}
	}
	from, err := t.first.offsets(ctx, conn, t.name)
	if err != nil {
		return nil, err
	}
	to, err := t.next.offsets(ctx, conn, t.name)
	if err != nil {
		return nil, err
	}
	for p, s := range spans {
		if at, bounded := from(p); bounded {
			s.From = max(s.From, at)
		}
		if at, bounded := to(p); bounded {
			s.To = min(s.To, at)
		}
		spans[p] = s
	}
	return spans, nil
}

// offsets returns the offset of a bound in each partition.
func (b bound) offsets(ctx context.Context, conn *kafka.Conn, topic string) (func(int32) (int64, bool), error) {
	if b.time.IsZero() {
		return func(int32) (int64, bool) { return b.offset, b.offset >= 0 }, nil
	}
	listed, err := conn.Admin().ListOffsetsAfterMilli(ctx, b.time.UnixMilli(), topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("looking for the offsets at %s: %w", b.time.Format(time.RFC3339), err)
	}
	return offsetIn(listed, topic), nil
}

func offsetIn(listed kadm.ListedOffsets, topic string) func(int32) (int64, bool) {
	return func(p int32) (int64, bool) {
		o, there := listed.Lookup(topic, p)
		return o.Offset, there && o.Offset >= 0
	}
}
