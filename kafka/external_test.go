package kafka

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"auscult/schemas"
)

// TestOnARealBroker runs what the embedded broker might be too kind to on the
// broker that AUSCULT_TEST_BROKERS names (host:port,...): creating topics,
// strict checks, carrying, committing with metadata, going on, draining.
func TestOnARealBroker(t *testing.T) {
	t.Parallel()
	brokers := os.Getenv("AUSCULT_TEST_BROKERS")
	if brokers == "" {
		t.Skip("AUSCULT_TEST_BROKERS names no broker")
	}
	conn, err := Dial(Config{
		Profile: Kafka, Brokers: strings.Split(brokers, ","), Partitions: riverPartitions,
		Prefix: fmt.Sprintf("test-%d.", time.Now().UnixNano()), SessionTimeout: MinSessionTimeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := context.Background()
	defer func() {
		for _, topic := range schemas.Topics {
			if _, err := conn.Admin().DeleteTopic(ctx, conn.Topic(topic.Name)); err != nil {
				t.Error(err)
			}
		}
	}()
	if err := ApplyTopics(ctx, conn, nil); err != nil {
		t.Fatal(err)
	}
	if plan, err := PlanTopics(ctx, conn, nil); err != nil || CheckPlan(plan) != nil || len(plan[3].Notes) > 0 {
		t.Fatalf("the plan after apply: %v %v %v", CheckPlan(plan), plan[3].Notes, err)
	}
	r := &river{t: t, conn: conn}
	if r.client, err = conn.Client(); err != nil {
		t.Fatal(err)
	}
	defer r.client.Close()
	for round := 1; round <= 2; round++ {
		r.send(conn.Topic(schemas.TopicDeviceData), (round-1)*500, 500)
		until, err := DrainTarget(ctx, conn, nil)
		if err != nil {
			t.Fatal(err)
		}
		w := run(t, r.echo())
		result, err := Drain(ctx, DrainConfig{River: conn, Until: until, Stages: []DrainStage{{Name: "echo", Inputs: []string{schemas.TopicDeviceData}}}})
		if err != nil || result.DeadLetters != 0 {
			t.Fatalf("drained with %+v, %v", result, err)
		}
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
		if got, n := r.values(schemas.TopicMeasurements); len(got) != 500*round || n != 500*round {
			t.Errorf("round %d: %d messages, %d records", round, len(got), n)
		}
	}
	status, err := TopicsStatus(ctx, conn, nil, []Reader{{"echo", []string{schemas.TopicDeviceData}}})
	if err != nil || status[0].Readers[0].Lag(&status[0]) != 0 || status[0].Readers[0].Meta[0].Generation != status[0].Generation {
		t.Errorf("status %+v, %v", status[0], err)
	}
}
