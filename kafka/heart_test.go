package kafka

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"auscult/schemas"
)

func TestSilentHeartEndsCalls(t *testing.T) {
	t.Parallel()
	hushed := make(chan struct{}, 1)
	h := newHeart(200*time.Millisecond, func() { hushed <- struct{}{} })
	h.beat(time.Now())
	ctx, release, err := h.guard(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	for range 3 { // as long as it beats nothing ends
		time.Sleep(50 * time.Millisecond)
		h.beat(time.Now())
		if ctx.Err() != nil {
			t.Fatal("ended while the heart beat")
		}
	}
	<-ctx.Done()
	<-hushed
	short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := h.guard(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a call may begin while the heart is silent: %v", err)
	}
	time.AfterFunc(20*time.Millisecond, func() { h.beat(time.Now()) })
	again, release2, err := h.guard(context.Background())
	if err != nil || again.Err() != nil {
		t.Fatalf("after a beat: %v", err)
	}
	release2()
}

func TestLateAnswersCountFromTheirQuestion(t *testing.T) {
	t.Parallel()
	h := newHeart(time.Minute, func() {})
	h.last = time.Now().Add(-time.Hour)
	h.OnBrokerE2E(kgo.BrokerMetadata{}, int16(kmsg.Produce), kgo.BrokerE2E{})
	if left, _ := h.left(); left > 0 {
		t.Error("a produce request is no heartbeat")
	}
	h.OnBrokerE2E(kgo.BrokerMetadata{}, int16(kmsg.Heartbeat), kgo.BrokerE2E{ReadErr: errors.New("cut")})
	if left, _ := h.left(); left > 0 {
		t.Error("a heartbeat without an answer counts")
	}
	h.OnBrokerE2E(kgo.BrokerMetadata{}, int16(kmsg.Heartbeat), kgo.BrokerE2E{ReadWait: 20 * time.Second})
	if left, _ := h.left(); left <= 0 || left > 10*time.Second {
		t.Errorf("%s left: the broker heard us 20 s ago", left)
	}
}

// TestG3UnansweredMemberSendsNothing is rule G3 in a run: heartbeats stop being
// answered, the call that is under way ends within half the session timeout,
// and the same batch goes on when the broker answers again.
func TestG3UnansweredMemberSendsNothing(t *testing.T) {
	t.Parallel()
	r := newRiver(t, kfake.GroupMinSessionTimeout(time.Second), kfake.SleepOutOfOrder())
	r.send(schemas.TopicDeviceData, 0, 1)
	var deaf atomic.Bool
	var silent, calls atomic.Int64
	r.broker.cluster.ControlKey(int16(kmsg.Heartbeat), func(kmsg.Request) (kmsg.Response, error, bool) {
		r.broker.cluster.KeepControl()
		r.broker.cluster.SleepControl(func() {
			for deaf.Load() {
				time.Sleep(10 * time.Millisecond)
			}
		})
		return nil, nil, false
	})
	cfg := r.echo()
	cfg.In.cfg.SessionTimeout = 2 * time.Second
	cfg.Hooks.Silent = func(string) { silent.Add(1); deaf.Store(false) }
	next := cfg.Do
	cfg.Do = stageFunc(func(ctx context.Context, b schemas.Batch) ([]schemas.Out, error) {
		if calls.Add(1) == 1 {
			deaf.Store(true)
			<-ctx.Done() // a request that hangs
			return nil, ctx.Err()
		}
		return next.Process(ctx, b)
	})
	w := run(t, cfg)
	eventually(t, "the message arrives", func() bool { return r.count(schemas.TopicMeasurements) == 1 })
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	if silent.Load() == 0 || calls.Load() < 2 {
		t.Errorf("silent %d times, %d calls", silent.Load(), calls.Load())
	}
}
