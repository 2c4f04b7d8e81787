package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"auscult/schemas"
)

// PlannedTopic compares one topic of the plan with the broker.
type PlannedTopic struct {
	Topic      schemas.Topic
	Name       string // on the broker
	Source     bool   // on the source's connection; never created by us
	Partitions int    // planned; 0 = any
	Configs    map[string]string
	Exists     bool
	// Problems are differences that nothing of ours will change: what an
	// operator has to do.
	Problems []string
	// Notes are what could not be checked.
	Notes []string
}

// PlanTopics compares what should be on the brokers with what is. source is
// nil when river and source are one connection.
func PlanTopics(ctx context.Context, river, source *Conn) ([]PlannedTopic, error) {
	var plan []PlannedTopic
	for _, t := range schemas.Topics {
		p := PlannedTopic{Topic: t, Name: river.Topic(t.Name), Partitions: river.cfg.Partitions, Configs: topicConfigs(river.cfg.Profile, t)}
		conn := river
		if t.Name == schemas.TopicDeviceData && source != nil {
			p.Name, p.Source, p.Partitions, p.Configs, conn = source.Topic(t.Name), true, 0, nil, source
		}
		if err := compareTopic(ctx, conn, &p); err != nil {
			return nil, err
		}
		plan = append(plan, p)
	}
	return plan, nil
}

// topicConfigs returns what a topic is created with. Other limits are the
// operator's: our defaults must not overrule theirs.
func topicConfigs(p Profile, t schemas.Topic) map[string]string {
	c := map[string]string{"cleanup.policy": string(t.Cleanup)}
	switch {
	case p.EventHubs():
		// Its event hubs know the cleanup policy and no other of these.
	case t.Cleanup == schemas.CleanupCompact, p == EmbeddedProfile:
		// Kafka ignores both for a compacted topic; the embedded broker would
		// delete live rows of a table after a week.
		c["retention.ms"], c["retention.bytes"] = "-1", "-1"
	}
	return c
}

func compareTopic(ctx context.Context, c *Conn, p *PlannedTopic) error {
	found, err := c.describe(ctx, p.Name)
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		if p.Source {
			p.Problems = append(p.Problems, "does not exist: it is the source's, so create it there or set source.topic")
		}
		return nil
	case err != nil:
		return err
	}
	p.Exists = true
	if n := len(found.Partitions); p.Partitions != 0 && n != p.Partitions {
		p.Problems = append(p.Problems, fmt.Sprintf("has %d partitions, the configuration says %d: keys would move; set partitions to %d, or use another prefix", n, p.Partitions, n))
	}
	if len(p.Configs) > 0 {
		compareConfigs(ctx, c, p)
	}
	return nil
}

// compareConfigs checks what would lose state or messages if it were different.
func compareConfigs(ctx context.Context, c *Conn, p *PlannedTopic) {
	described, err := c.admin.DescribeTopicConfigs(ctx, p.Name)
	if err == nil {
		var one kadm.ResourceConfig
		if one, err = described.On(p.Name, nil); err == nil {
			err = one.Err
		}
		for _, config := range one.Configs {
			want, planned := p.Configs[config.Key]
			if got := config.MaybeValue(); planned && got != want {
				p.Problems = append(p.Problems, configProblem(config.Key, got, want))
			}
		}
	}
	if err != nil {
		p.Notes = append(p.Notes, fmt.Sprintf("its configuration could not be read (%v): make sure that cleanup.policy is %s", err, p.Configs["cleanup.policy"]))
	}
	// Retention is the operator's wherever it cannot delete what we need.
	if c.cfg.Profile != EmbeddedProfile {
		p.Problems = slices.DeleteFunc(p.Problems, func(s string) bool { return strings.HasPrefix(s, "retention.") })
	}
}

func configProblem(key, got, want string) string {
	why := ""
	if key == "cleanup.policy" {
		why = ": it would lose rows that are still in use"
		if want == string(schemas.CleanupDelete) {
			why = ": it would lose messages that have not been read"
		}
	}
	return fmt.Sprintf("%s is %s, it must be %s%s", key, got, want, why)
}

// ApplyTopics creates the topics that are missing and waits until all of them
// answer. It changes no topic that exists, and creates none while one of them
// is not as it must be.
func ApplyTopics(ctx context.Context, river, source *Conn) error {
	plan, err := PlanTopics(ctx, river, source)
	if err != nil {
		return err
	}
	if err := CheckPlan(plan); err != nil {
		return err
	}
	for _, p := range plan {
		if p.Exists {
			continue
		}
		if err := createTopic(ctx, river, p); err != nil {
			return err
		}
	}
	for _, p := range plan {
		if !p.Source {
			if err := waitAnswers(ctx, river, p.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// waitAnswers waits until every partition of a new topic answers. At first the
// broker, or our client's memory of what it said, does not know it.
func waitAnswers(ctx context.Context, c *Conn, name string) error {
	ctx, cancel := context.WithTimeout(ctx, listPatience)
	defer cancel()
	for {
		_, err := topicEnds(ctx, c, name)
		if err == nil || !passes(err) {
			return err
		}
		if sleep(ctx, askAgainEvery) != nil {
			return err
		}
	}
}

// CheckPlan returns every problem of a plan as one error.
func CheckPlan(plan []PlannedTopic) error {
	var all []error
	for _, p := range plan {
		for _, problem := range p.Problems {
			all = append(all, fmt.Errorf("topic %s %s", p.Name, problem))
		}
	}
	return errors.Join(all...)
}

// brokerReplication leaves the number of copies to the broker.
const brokerReplication = -1

func createTopic(ctx context.Context, c *Conn, p PlannedTopic) error {
	configs := map[string]*string{}
	for k, v := range p.Configs {
		configs[k] = kadm.StringPtr(v)
	}
	created, err := c.admin.CreateTopic(ctx, int32(p.Partitions), brokerReplication, configs, p.Name)
	if err == nil {
		err = created.Err
	}
	// Another process may have been quicker.
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("creating topic %s: %w", p.Name, err)
	}
	return nil
}

// Reader is a stage's group and the topics it reads.
type Reader struct {
	Stage  string
	Topics []string // bare names
}

// TopicStatus is how far a topic goes and how far its readers are.
type TopicStatus struct {
	Topic      string // bare name
	Name       string // on the broker
	Generation string // empty when the broker gives none and none is configured
	Start, End []int64
	Readers    []ReaderStatus
}

// ReaderStatus is what one group has committed, partition by partition; -1
// where it has committed nothing.
type ReaderStatus struct {
	Stage     string
	Group     string
	Committed []int64
	Meta      []CommitMeta
}

// Lag returns how many offsets the group has not committed.
func (r ReaderStatus) Lag(t *TopicStatus) int64 {
	lag := int64(0)
	for p, end := range t.End {
		lag += max(end-max(r.Committed[p], t.Start[p]), 0)
	}
	return lag
}

// TopicsStatus asks the brokers for the ends of every topic and for what each
// reader has committed. source is nil when river and source are one
// connection.
func TopicsStatus(ctx context.Context, river, source *Conn, readers []Reader) ([]TopicStatus, error) {
	var all []TopicStatus
	for _, t := range schemas.Topics {
		conn := connOf(t.Name, river, source)
		s, err := topicStatus(ctx, conn, t.Name)
		if err != nil {
			return nil, err
		}
		for _, r := range readers {
			if slices.Contains(r.Topics, t.Name) {
				status, err := readerStatus(ctx, conn, r.Stage, &s)
				if err != nil {
					return nil, err
				}
				s.Readers = append(s.Readers, status)
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// connOf returns the connection on which a topic lives.
func connOf(topic string, river, source *Conn) *Conn {
	if topic == schemas.TopicDeviceData && source != nil {
		return source
	}
	return river
}

func topicStatus(ctx context.Context, c *Conn, bare string) (TopicStatus, error) {
	s := TopicStatus{Topic: bare, Name: c.Topic(bare)}
	e, err := topicEnds(ctx, c, s.Name)
	if err != nil {
		return s, err
	}
	s.Generation = e.generation
	for _, p := range slices.Sorted(maps.Keys(e.end)) {
		s.Start, s.End = append(s.Start, e.start[p]), append(s.End, e.end[p])
	}
	return s, nil
}

func readerStatus(ctx context.Context, c *Conn, stage string, t *TopicStatus) (ReaderStatus, error) {
	r := ReaderStatus{Stage: stage, Group: c.Group(stage)}
	offsets, err := c.admin.FetchOffsets(ctx, r.Group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		err = nil
	}
	if err != nil {
		return r, fmt.Errorf("asking for the offsets of group %s: %w", r.Group, err)
	}
	for p := range t.End {
		at, meta := int64(-1), CommitMeta{}
		if o, ok := offsets.Lookup(t.Name, int32(p)); ok {
			if o.Err != nil {
				return r, fmt.Errorf("asking for the offsets of group %s: %w", r.Group, o.Err)
			}
			at = o.At
			meta, _ = ParseCommitMeta(o.Metadata)
		}
		r.Committed, r.Meta = append(r.Committed, at), append(r.Meta, meta)
	}
	return r, nil
}
