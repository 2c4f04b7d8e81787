package kafka

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"auscult/schemas"
)

// deleteBefore removes the records of a partition below an offset, as
// retention does.
func (r *river) deleteBefore(topic string, partition int32, offset int64) {
	r.t.Helper()
	var o kadm.Offsets
	o.Add(kadm.Offset{Topic: topic, Partition: partition, At: offset, LeaderEpoch: -1})
	if _, err := r.conn.admin.DeleteRecords(context.Background(), o); err != nil {
		r.t.Fatal(err)
	}
}

// commit writes an offset into a group that has no members.
func (r *river) commit(stage, topic string, partition int32, offset int64, meta string) {
	r.t.Helper()
	var o kadm.Offsets
	o.Add(kadm.Offset{Topic: topic, Partition: partition, At: offset, LeaderEpoch: -1, Metadata: meta})
	if _, err := r.conn.admin.CommitOffsets(context.Background(), r.conn.Group(stage), o); err != nil {
		r.t.Fatal(err)
	}
}

// TestG6OffsetsOfAnotherWorld is rule G6: offsets are believed only in their own
// world.
func TestG6OffsetsOfAnotherWorld(t *testing.T) {
	t.Parallel()
	r := newRiver(t)
	r.send(schemas.TopicDeviceData, 0, 400)
	generation, err := r.conn.Generation(context.Background(), schemas.TopicDeviceData)
	if err != nil {
		t.Fatal(err)
	}
	r.deleteBefore(schemas.TopicDeviceData, 2, 20)
	mine := CommitMeta{Generation: generation}.String()
	for _, c := range []struct {
		stage     string
		partition int32
		offset    int64
		meta      string
		want      string // in the error
	}{
		{"beyond", 0, 1_000_000, mine, "beyond the end"},
		{"other", 0, 10, CommitMeta{Generation: "0123"}.String(), "belongs to generation 0123"},
		{"below", 2, 5, mine, "offsets 5 to 19 of devicedata/2 were removed"},
	} {
		r.commit(c.stage, schemas.TopicDeviceData, c.partition, c.offset, c.meta)
		cfg := r.echo()
		cfg.Stage = c.stage
		if err := run(t, cfg).wait(t); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: ended with %v, want %q", c.stage, err, c.want)
		}
	}
}

func TestG6AcceptedGapIsADeadLetter(t *testing.T) {
	t.Parallel()
	r := newRiver(t)
	r.send(schemas.TopicDeviceData, 0, 400)
	r.deleteBefore(schemas.TopicDeviceData, 2, 20)
	r.commit("echo", schemas.TopicDeviceData, 2, 5, "")
	cfg := r.echo()
	cfg.AcceptGap = true
	w := run(t, cfg)
	eventually(t, "the rest arrives", func() bool { return r.count(schemas.TopicMeasurements) == 380 })
	w.stop()
	dead := r.read(schemas.TopicDeadLetters)
	if len(dead) != 1 {
		t.Fatalf("%d dead letters", len(dead))
	}
	d, err := schemas.DeadLetters.Decode(dead[0].Value)
	if err != nil || !strings.Contains(d.Detail, "offsets 5 to 19 of devicedata/2") || d.Offset != 5 || d.Partition != 2 {
		t.Errorf("dead letter %+v, %v", d, err)
	}
}

// TestCompactedTopicHasNoGap: what compaction removed is not lost, a later
// record of the key stands for it.
func TestCompactedTopicHasNoGap(t *testing.T) {
	t.Parallel()
	r := newRiver(t)
	r.send(schemas.TopicIdentities, 0, 400)
	r.commit("echo", schemas.TopicIdentities, 2, 5, "")
	r.deleteBefore(schemas.TopicIdentities, 2, 20)
	cfg := r.echo()
	cfg.Topics = []string{schemas.TopicIdentities}
	w := run(t, cfg)
	eventually(t, "the rest arrives", func() bool { return r.count(schemas.TopicMeasurements) == 380 })
	w.stop()
	if n := len(r.read(schemas.TopicDeadLetters)); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}

// TestG6StartIsResolvedOnce: a reader that begins at latest and stops before it
// has read anything does not begin at a later latest.
func TestG6StartIsResolvedOnce(t *testing.T) {
	t.Parallel()
	r := newRiver(t)
	r.send(schemas.TopicDeviceData, 0, 100)
	var mayRead atomic.Bool
	cfg := r.echo()
	cfg.Start = Start{Latest: true}
	next := cfg.Do
	cfg.Do = stageFunc(func(ctx context.Context, b schemas.Batch) ([]schemas.Out, error) {
		if !mayRead.Load() {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return next.Process(ctx, b)
	})
	w := run(t, cfg)
	eventually(t, "the start is committed", func() bool { return sum(r.committed("echo", schemas.TopicDeviceData)) == 100 })
	r.send(schemas.TopicDeviceData, 100, 50)
	w.stop()
	r.send(schemas.TopicDeviceData, 150, 50)
	mayRead.Store(true)
	w = run(t, cfg)
	eventually(t, "what came since arrives", func() bool { return r.count(schemas.TopicMeasurements) == 100 })
	w.stop()
}

func TestStartAtATime(t *testing.T) {
	t.Parallel()
	r := newRiver(t)
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for i, at := range []time.Time{noon.Add(-time.Hour), noon, noon.Add(time.Hour)} {
		record := &kgo.Record{Topic: schemas.TopicDeviceData, Key: []byte("d"), Value: []byte{'a' + byte(i)}, Timestamp: at}
		if err := r.client.ProduceSync(context.Background(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	cfg := r.echo()
	start, err := ParseStart("2026-01-01T12:00:00Z")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Start = start
	w := run(t, cfg)
	eventually(t, "two arrive", func() bool { return r.count(schemas.TopicMeasurements) == 2 })
	w.stop()
	if got, _ := r.values(schemas.TopicMeasurements); got["a"] != 0 || got["b"] != 1 || got["c"] != 1 {
		t.Errorf("read %v", got)
	}
}

// TestPlacingIsTriedAgain: a session that ends while its partitions are placed
// is not the end of the run.
func TestPlacingIsTriedAgain(t *testing.T) {
	t.Parallel()
	r := newRiver(t)
	r.send(schemas.TopicDeviceData, 0, 100)
	fault := r.broker.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.IllegalGeneration, Count: 1})
	w := run(t, r.echo())
	eventually(t, "everything is committed", func() bool { return sum(r.committed("echo", schemas.TopicDeviceData)) == 100 })
	if err := w.stop(); err != nil || fault.Hits() == 0 {
		t.Errorf("ended with %v, %d commits refused", err, fault.Hits())
	}
}

func TestMissingTopicIsAnError(t *testing.T) {
	t.Parallel()
	r := newRiver(t)
	cfg := r.echo()
	cfg.Topics = []string{"no-such-topic"}
	err := run(t, cfg).wait(t)
	if err == nil || !strings.Contains(err.Error(), "topics apply") {
		t.Errorf("ended with %v", err)
	}
}

// TestG6PositionStandsBeforeTheFirstRecord: the first call of the stage finds the
// resolved position committed, so that a crash in it cannot move the start.
func TestG6PositionStandsBeforeTheFirstRecord(t *testing.T) {
	t.Parallel()
	r := newRiver(t)
	r.send(schemas.TopicDeviceData, 0, 100)
	found := make(chan int64, 100)
	cfg := r.echo()
	cfg.Do = stageFunc(func(_ context.Context, b schemas.Batch) ([]schemas.Out, error) {
		found <- r.committed("echo", schemas.TopicDeviceData)[b.Share.Partition]
		return nil, nil
	})
	w := run(t, cfg)
	if at := <-found; at != 0 {
		t.Errorf("the first call found %d committed, want 0", at)
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
}
