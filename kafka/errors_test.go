package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"auscult/schemas"
)

// offline is a connection to nowhere: enough for what asks no broker.
func offline(t *testing.T) *Conn {
	t.Helper()
	conn, err := Dial(Config{Profile: EmbeddedProfile, Brokers: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// TestWhatStopsReading: each error of a fetch is waited out or stops the stage.
func TestWhatStopsReading(t *testing.T) {
	t.Parallel()
	b := &batchRun{cfg: BatchesConfig{Stage: "echo", In: offline(t)}}
	for _, c := range []struct {
		err   error
		stops bool
	}{
		{context.Canceled, false},
		{kerr.NotLeaderForPartition, false},
		{kerr.UnknownTopicOrPartition, false},
		{fmt.Errorf("reading: %w", io.EOF), false},
		{kerr.OffsetOutOfRange, true},
		{kerr.UnknownTopicID, true},
		{kerr.TopicAuthorizationFailed, true},
		{&kgo.ErrDataLoss{Topic: "t", ConsumedTo: 9, ResetTo: 5}, true},
		{errors.New("records that cannot be decoded"), true},
		{&kgo.ErrGroupSession{Err: kerr.RebalanceInProgress}, false},
		{&kgo.ErrGroupSession{Err: kerr.UnknownMemberID}, false},
		{&kgo.ErrGroupSession{Err: kerr.GroupAuthorizationFailed}, true},
		{&kgo.ErrGroupSession{Err: kerr.FencedInstanceID}, true},
		{&kgo.ErrGroupSession{Err: kerr.InconsistentGroupProtocol}, false}, // for a while
	} {
		if err := b.fetchError("t", 0, c.err); (err != nil) != c.stops || c.stops && !errors.Is(err, errors.Unwrap(err)) {
			t.Errorf("%v: %v", c.err, err)
		}
	}
	b.groupErr = time.Now().Add(-2 * groupErrorPatience)
	if err := b.fetchError("t", 0, &kgo.ErrGroupSession{Err: kerr.InconsistentGroupProtocol}); err == nil {
		t.Error("a group of another program is waited for without end")
	}
}

// TestWhatStopsWriting: each refusal of an output is tried again or stops the
// stage.
func TestWhatStopsWriting(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err   error
		stops bool
	}{
		{kerr.PolicyViolation, false},
		{kerr.NotEnoughReplicas, false},
		{kgo.ErrRecordTimeout, false},
		{kerr.UnknownTopicOrPartition, false}, // for a while
		{kerr.UnsupportedForMessageFormat, true},
		{kerr.InvalidRecord, true},
		{kerr.TopicAuthorizationFailed, true},
		{kerr.SaslAuthenticationFailed, true},
	} {
		o := &outbox{}
		if err := o.judge([]failedOut{{schemas.Out{Topic: "scores"}, c.err}}); (err != nil) != c.stops || c.stops && !errors.Is(err, c.err) {
			t.Errorf("%v: %v", c.err, err)
		}
	}
	o := &outbox{since: time.Now().Add(-2 * unknownTopicPatience)}
	if err := o.judge([]failedOut{{schemas.Out{Topic: "scores"}, kerr.UnknownTopicOrPartition}}); err == nil {
		t.Error("a missing topic is waited for without end")
	}
	if err := o.judge(nil); err != nil || !o.since.IsZero() {
		t.Errorf("after a success: since %v, %v", o.since, err)
	}
}

func TestWhatPasses(t *testing.T) {
	for err, want := range map[error]bool{
		kerr.NotCoordinator:           true,
		&net.OpError{Op: "dial"}:      true,
		context.DeadlineExceeded:      true,
		kerr.GroupIDNotFound:          false,
		kerr.SaslAuthenticationFailed: false,
		&tls.CertificateVerificationError{Err: errors.New("unknown authority")}: false,
	} {
		if passes(fmt.Errorf("asking: %w", err)) != want {
			t.Errorf("%v passes: %v", err, !want)
		}
	}
}

func TestBatchesConfigIsChecked(t *testing.T) {
	t.Parallel()
	conn := offline(t)
	whole := BatchesConfig{Stage: "echo", In: conn, Out: conn, Topics: []string{"devicedata"}, Do: echo("scores")}
	if err := whole.check(); err != nil || whole.MaxBatch != DefaultMaxBatch {
		t.Fatalf("%v, batches of %d", err, whole.MaxBatch)
	}
	for name, change := range map[string]func(*BatchesConfig){
		"no stage":                func(c *BatchesConfig) { c.Stage = "" },
		"no code":                 func(c *BatchesConfig) { c.Do = nil },
		"no topic":                func(c *BatchesConfig) { c.Topics = nil },
		"targets of two topics":   func(c *BatchesConfig) { c.Topics, c.Until = []string{"devicedata", "scores"}, map[int32]int64{0: 1} },
		"a batch too large":       func(c *BatchesConfig) { c.MaxBatch = maxBurstRecords + 1 },
		"a topic nobody restores": func(c *BatchesConfig) { c.Restore = "identities" },
		"nothing to restore from": func(c *BatchesConfig) { c.Do = &tickStage{} },
	} {
		c := whole
		change(&c)
		if err := RunBatches(context.Background(), c); err == nil {
			t.Errorf("%s: runs", name)
		}
	}
}

func TestBursts(t *testing.T) {
	many := make([]schemas.Out, maxBurstRecords+10)
	long := make([]schemas.Out, 12)
	for i := range long {
		long[i].Value = make([]byte, 800_000)
	}
	for _, c := range []struct {
		outs []schemas.Out
		want int
	}{{many, maxBurstRecords}, {many[:7], 7}, {long, 10}, {long[:1], 1}} {
		if n := burst(c.outs); n != c.want {
			t.Errorf("a burst of %d, want %d of %d", n, c.want, len(c.outs))
		}
	}
}

// TestLingering: a stage that likes full batches waits for them, but not for
// ever.
func TestLingering(t *testing.T) {
	t.Parallel()
	r := newRiver(t)
	cfg := r.echo()
	cfg.MaxBatch, cfg.MaxWait = 1000, 300*time.Millisecond
	sizes := make(chan int, 100)
	next := cfg.Do
	cfg.Do = stageFunc(func(ctx context.Context, b schemas.Batch) ([]schemas.Out, error) {
		sizes <- len(b.Records)
		return next.Process(ctx, b)
	})
	w := run(t, cfg)
	for i := range 20 {
		r.send(schemas.TopicDeviceData, i*20, 20)
	}
	eventually(t, "everything arrives", func() bool { return r.count(schemas.TopicMeasurements) == 400 })
	w.stop()
	if n := len(sizes); n > 3*riverPartitions {
		t.Errorf("%d batches for 400 messages in 20 requests", n)
	}
}
