package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"auscult/schemas"
)

// How long a topic may take to appear, and its partitions to get leaders. A
// real broker needs some 100 ms after a topic was created.
const (
	topicWait  = 5 * time.Second
	leaderWait = listPatience
	askAgain   = 100 * time.Millisecond
)

// topicManager is the goka.TopicManager of one keyed stage. It looks and never
// creates: topics are made by `auscult topics apply`, where somebody sees it.
type topicManager struct {
	ctx  context.Context // of the run: Goka asks without one
	conn *Conn
	note func(error) error // keeps the error's type, which Goka drops
}

// Partitions implements goka.TopicManager.
func (m *topicManager) Partitions(topic string) ([]int32, error) {
	ctx, cancel := context.WithTimeout(m.ctx, leaderWait)
	defer cancel()
	detail, err := describeTopic(ctx, m.conn, topic)
	if err != nil {
		return nil, m.note(err)
	}
	return detail.Partitions.Numbers(), nil
}

// EnsureTableExists implements goka.TopicManager: the table has as many
// partitions as its stage's inputs and is compacted, nothing else. A table that
// retention may empty, whatever else is right, loses rows silently.
func (m *topicManager) EnsureTableExists(topic string, partitions int) error {
	return m.note(m.check(topic, partitions, schemas.CleanupCompact))
}

// EnsureStreamExists implements goka.TopicManager.
func (m *topicManager) EnsureStreamExists(topic string, partitions int) error {
	return m.note(m.check(topic, partitions, ""))
}

// EnsureTopicExists implements goka.TopicManager.
func (m *topicManager) EnsureTopicExists(topic string, partitions, _ int, _ map[string]string) error {
	return m.note(m.check(topic, partitions, ""))
}

func (m *topicManager) check(topic string, partitions int, cleanup schemas.Cleanup) error {
	ctx, cancel := context.WithTimeout(m.ctx, leaderWait)
	defer cancel()
	detail, err := describeTopic(ctx, m.conn, topic)
	if err != nil {
		return err
	}
	name := m.conn.Topic(topic)
	if n := len(detail.Partitions); n != partitions {
		return stopf("topic %s has %d partitions and its stage's inputs have %d: give all topics of the river the same number; the partitions of a table cannot be changed in place", name, n, partitions)
	}
	if cleanup == "" {
		return nil
	}
	configs, err := m.conn.Admin().DescribeTopicConfigs(ctx, name)
	if err == nil {
		var config kadm.ResourceConfig
		if config, err = configs.On(name, nil); err == nil {
			err = config.Err
		}
		if err == nil {
			return checkCleanup(name, config, cleanup)
		}
	}
	if errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed) {
		return nil // not for us to see; `auscult topics plan` says so
	}
	return fmt.Errorf("reading the configuration of topic %s: %w", name, err)
}

func checkCleanup(name string, config kadm.ResourceConfig, want schemas.Cleanup) error {
	i := slices.IndexFunc(config.Configs, func(c kadm.Config) bool { return c.Key == "cleanup.policy" })
	if i < 0 {
		return nil // this broker does not say
	}
	if got := config.Configs[i].MaybeValue(); got != string(want) {
		return stopf("topic %s has cleanup.policy %q and must have %q, or rows are lost: run `auscult topics apply`", name, got, want)
	}
	return nil
}

// GetOffset implements goka.TopicManager.
func (m *topicManager) GetOffset(topic string, partition int32, at int64) (int64, error) {
	name := m.conn.Topic(topic)
	offsets, err := askOffsets(m.ctx, m.conn, name, func(ctx context.Context) (kadm.ListedOffsets, error) {
		if at == sarama.OffsetOldest {
			return m.conn.Admin().ListStartOffsets(ctx, name)
		}
		return m.conn.Admin().ListEndOffsets(ctx, name)
	})
	if err != nil {
		return 0, m.note(err)
	}
	offset, ok := offsets[partition]
	if !ok {
		return 0, m.note(stopf("topic %s has no partition %d", name, partition))
	}
	return offset, nil
}

// Close implements goka.TopicManager. The connection is the process's.
func (m *topicManager) Close() error { return nil }

// describeTopic asks for a topic until it is there.
func describeTopic(ctx context.Context, conn *Conn, topic string) (kadm.TopicDetail, error) {
	name := conn.Topic(topic)
	for start := time.Now(); ; {
		topics, err := conn.Admin().ListTopics(ctx, name)
		if err == nil {
			err = topics[name].Err
		}
		switch {
		case err == nil:
			return topics[name], nil
		case errors.Is(err, kerr.UnknownTopicOrPartition) && time.Since(start) > topicWait:
			return kadm.TopicDetail{}, stopf("topic %s does not exist: run `auscult topics apply`", name)
		case !passes(err) || sleep(ctx, askAgain) != nil:
			return kadm.TopicDetail{}, fmt.Errorf("asking for topic %s: %w", name, err)
		}
	}
}
