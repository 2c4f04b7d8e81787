package console

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"auscult/kafka"
	"auscult/schemas"
	"auscult/topology"
)

func TestStagesOf(t *testing.T) {
	g := topology.Lay(topology.Parts{})
	stats := []kafka.PartitionStats{
		{Stage: topology.Observe, Topic: schemas.TopicMeasurements, Owned: true, Position: 10, End: 14, Records: 10, Message: noon},
		{Stage: topology.Observe, Topic: schemas.TopicIdentities, Partition: 1, Owned: true, Position: 3, End: 3, Records: 3, Message: noon.Add(-time.Minute)},
		{Stage: topology.Observe, Topic: schemas.TopicMeasurements, Partition: 2, Position: 1, End: 500, Records: 7}, // another process has it now
	}
	var w Waits
	w.Begin(topology.Deliver, "connection refused", time.Second)
	all := StagesOf(g, stats, &w)
	if len(all) != len(g) {
		t.Fatalf("%d stages of %d", len(all), len(g))
	}
	for _, s := range all {
		switch s.Name {
		case topology.Observe:
			if s.Partitions != 2 || s.Lag != 4 || s.Records != 20 || !s.Message.Equal(noon) || !s.WaitingSince.IsZero() {
				t.Errorf("observe %+v", s)
			}
		case topology.Deliver:
			if s.WaitingSince.IsZero() || s.WaitingFor != "connection refused" {
				t.Errorf("deliver %+v", s)
			}
		}
	}
	if all := StagesOf(g, nil, nil); all[0].Name != topology.Normalize || all[0].About == "" {
		t.Errorf("without numbers: %+v", all[0])
	}
}

func TestWaits(t *testing.T) {
	var w Waits
	var passed []string
	hooks := w.Hooks(kafka.Hooks{
		Retry: func(stage string, _ error, _ time.Duration) { passed = append(passed, "retry "+stage) },
		Sent:  func(stage string, _ int, _ time.Duration) { passed = append(passed, "sent "+stage) },
		Batch: func(stage, _ string, _ int32, _ int, _ time.Duration) { passed = append(passed, "batch "+stage) },
	})
	hooks.Retry("deliver", errors.New("refused"), time.Second)
	first, _ := w.of("deliver")
	hooks.Retry("deliver", errors.New("still refused"), time.Second)
	since, what := w.of("deliver")
	if first.IsZero() || !since.Equal(first) || what != "still refused" {
		t.Errorf("waits since %s (first %s) for %q", since, first, what)
	}
	hooks.Sent("deliver", 1, 0)
	if since, _ := w.of("deliver"); !since.IsZero() {
		t.Error("a stage that sends waits")
	}
	hooks.Retry("load", errors.New("busy"), -time.Hour)
	if since, _ := w.of("load"); !since.IsZero() {
		t.Error("a stage that should have tried again an hour ago and said nothing still waits")
	}
	hooks.Batch("load", "scores", 0, 1, 0)
	if len(passed) != 5 {
		t.Errorf("the hooks behind heard %v", passed)
	}
	w.Hooks(kafka.Hooks{}).Retry("load", errors.New(strings.Repeat("\u00e9", 1000)), 0) // nobody behind
	if _, what := w.of("load"); len(what) > maxWaitBytes+4 || !utf8.ValidString(what) {
		t.Errorf("it waits for %q", what)
	}
}
