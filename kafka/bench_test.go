package kafka

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"auscult/schemas"
)

// BenchmarkBatches carries messages of 300 bytes through the embedded broker
// and a stage that copies them: ns/op is the driver's and the broker's time
// for one message, in one process.
func BenchmarkBatches(b *testing.B) {
	e, err := StartEmbedded(EmbeddedConfig{Dir: b.TempDir(), Listen: "127.0.0.1:0", Partitions: riverPartitions})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	conn, err := Dial(Config{Profile: EmbeddedProfile, Brokers: []string{e.Addr()}, Partitions: riverPartitions})
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	client, err := conn.Client()
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	value := make([]byte, 300)
	for i := range b.N {
		client.Produce(context.Background(), &kgo.Record{Topic: schemas.TopicDeviceData, Key: fmt.Appendf(nil, "device-%d", i%1000), Value: value}, nil)
	}
	if err := client.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var stats Stats
	cfg := BatchesConfig{Stage: "echo", In: conn, Out: conn, Topics: []string{schemas.TopicDeviceData}, Do: echo(schemas.TopicMeasurements), Stats: &stats}
	done := make(chan error, 1)
	b.ResetTimer()
	go func() { done <- RunBatches(ctx, cfg) }()
	for finished := int64(0); finished < int64(b.N); time.Sleep(time.Millisecond) {
		finished = 0
		for _, p := range stats.Snapshot() {
			finished += p.Records
		}
	}
	b.StopTimer()
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
