package kafka

import (
	"context"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"auscult/schemas"
)

// emptyBroker is a broker without topics, as an operator has it.
func emptyBroker(t *testing.T, options ...kfake.Opt) *Conn {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	conn, err := Dial(Config{Profile: Kafka, Brokers: cluster.ListenAddrs(), Prefix: "ward7.", Partitions: riverPartitions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

func TestApplyCreatesWhatIsMissing(t *testing.T) {
	t.Parallel()
	conn, ctx := emptyBroker(t), context.Background()
	plan, err := PlanTopics(ctx, conn, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(plan) != len(schemas.Topics) || plan[0].Exists || plan[0].Name != "ward7.devicedata" {
		t.Fatalf("plan of an empty broker: %+v", plan)
	}
	for range 2 { // the second time nothing is left to do
		if err := ApplyTopics(ctx, conn, nil); err != nil {
			t.Fatal(err)
		}
	}
	plan, err = PlanTopics(ctx, conn, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range plan {
		if !p.Exists || len(p.Problems) > 0 || len(p.Notes) > 0 {
			t.Errorf("after apply: %+v", p)
		}
		described, err := conn.Admin().DescribeTopicConfigs(ctx, p.Name)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range described[0].Configs {
			if want, ok := p.Configs[c.Key]; ok && c.MaybeValue() != want {
				t.Errorf("%s: %s is %s, want %s", p.Name, c.Key, c.MaybeValue(), want)
			}
		}
		if table := p.Topic.Cleanup == schemas.CleanupCompact; table != (p.Configs["retention.ms"] == "-1") {
			t.Errorf("%s: %v", p.Name, p.Configs)
		}
	}
}

func TestApplyRefusesWhatIsDifferent(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, c := range map[string]struct {
		topic      string
		partitions int32
		cleanup    string
		want       string
	}{
		"partitions":        {"ward7.windows", 3, "delete", "has 3 partitions, the configuration says 4"},
		"table with delete": {"ward7.observe-table", riverPartitions, "delete", "cleanup.policy is delete, it must be compact: it would lose rows"},
		"table with both":   {"ward7.observe-table", riverPartitions, "compact,delete", "must be compact"},
		"compacted stream":  {"ward7.scores", riverPartitions, "compact", "it would lose messages"},
	} {
		conn := emptyBroker(t)
		_, err := conn.Admin().CreateTopic(ctx, c.partitions, 1, map[string]*string{"cleanup.policy": &c.cleanup}, c.topic)
		if err != nil {
			t.Fatal(err)
		}
		if err := ApplyTopics(ctx, conn, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		topics, err := conn.Admin().ListTopics(ctx)
		if err != nil || len(topics.Names()) != 1 {
			t.Errorf("%s: topics %v were created beside a wrong one; %v", name, topics.Names(), err)
		}
	}
}

func TestSourceIsNeverCreated(t *testing.T) {
	t.Parallel()
	ctx, conn := context.Background(), emptyBroker(t)
	cfg := conn.Config()
	source, err := DialSource(SourceConfig{Config: cfg, Topic: "hub", Start: "earliest"})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	if err := ApplyTopics(ctx, conn, source); err == nil || !strings.Contains(err.Error(), "source.topic") {
		t.Errorf("a missing source: %v", err)
	}
	if _, err := conn.Admin().CreateTopic(ctx, 7, 1, nil, "hub"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the source is there", func() bool { return ApplyTopics(ctx, conn, source) == nil })
	topics, err := conn.Admin().ListTopics(ctx)
	if err != nil || topics.Has("ward7.devicedata") || !topics.Has("ward7.windows") {
		t.Errorf("topics %v, %v", topics.Names(), err)
	}
}

func TestStatusOfTopics(t *testing.T) {
	t.Parallel()
	r := newRiver(t)
	r.send(schemas.TopicDeviceData, 0, 100)
	readers := []Reader{{"echo", []string{schemas.TopicDeviceData}}, {"never", []string{schemas.TopicDeviceData, schemas.TopicWindows}}}
	w := run(t, r.echo())
	var all []TopicStatus
	eventually(t, "everything is committed", func() bool {
		var err error
		if all, err = TopicsStatus(context.Background(), r.conn, nil, readers); err != nil {
			t.Fatal(err)
		}
		return sum(all[0].End) == 100 && all[0].Readers[0].Lag(&all[0]) == 0
	})
	w.stop()
	s := all[0]
	if s.Topic != schemas.TopicDeviceData || sum(s.End) != 100 || len(s.Generation) != 32 || len(s.Readers) != 2 {
		t.Fatalf("status %+v", s)
	}
	if echo, never := s.Readers[0], s.Readers[1]; echo.Lag(&s) != 0 || never.Lag(&s) != 100 || never.Committed[0] != -1 {
		t.Errorf("readers %+v", s.Readers)
	}
	if windows := all[4]; len(windows.Readers) != 1 || windows.Readers[0].Lag(&windows) != 0 {
		t.Errorf("status %+v", windows)
	}
}
