package kafka

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// heart knows when the group's coordinator last heard of us and answered. A
// member that is not heard for the session timeout loses its partitions
// without being told, so after half of it nothing may be sent any more: the
// next owner may be at work when it arrives (rule G3).
type heart struct {
	limit time.Duration
	hush  func() // told when silence ends a guarded call

	mu    sync.Mutex
	last  time.Time
	again chan struct{} // closed at the next beat
}

func newHeart(session time.Duration, hush func()) *heart {
	return &heart{limit: session / 2, hush: hush, last: time.Now(), again: make(chan struct{})}
}

var _ kgo.HookBrokerE2E = (*heart)(nil)

// OnBrokerE2E takes note of an answered heartbeat. What counts is when it was
// sent: the broker has heard it no earlier.
func (h *heart) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	switch kmsg.Key(key) {
	case kmsg.Heartbeat, kmsg.SyncGroup, kmsg.JoinGroup:
		if e2e.Err() == nil {
			h.beat(time.Now().Add(-e2e.DurationE2E()))
		}
	}
}

// beat says that the coordinator heard us at t.
func (h *heart) beat(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.After(h.last) {
		h.last = t
		close(h.again)
		h.again = make(chan struct{})
	}
}

// left returns how long we may go on sending.
func (h *heart) left() (time.Duration, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.limit - time.Since(h.last), h.again
}

// guard waits until we may send and returns a context that ends when we may
// not any more, or with ctx. The error is that of ctx.
func (h *heart) guard(ctx context.Context) (context.Context, context.CancelFunc, error) {
	for {
		left, again := h.left()
		if left > 0 {
			guarded, cancel := context.WithCancel(ctx)
			stop := h.watch(left, cancel)
			return guarded, func() { stop(); cancel() }, nil
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-again:
		}
	}
}

// watch calls cancel once the heart has been silent for too long.
func (h *heart) watch(left time.Duration, cancel context.CancelFunc) (stop func()) {
	var mu sync.Mutex
	var timer *time.Timer
	stopped := false
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(left, func() {
		mu.Lock()
		defer mu.Unlock()
		if stopped {
			return
		}
		if left, _ := h.left(); left > 0 {
			timer.Reset(left)
			return
		}
		h.hush()
		cancel()
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		timer.Stop()
	}
}

// throttleHook passes on what the broker says of throttling.
type throttleHook struct {
	stage string
	hooks *Hooks
}

var _ kgo.HookBrokerThrottle = throttleHook{}

// OnBrokerThrottle passes the interval on.
func (t throttleHook) OnBrokerThrottle(_ kgo.BrokerMetadata, interval time.Duration, _ bool) {
	t.hooks.throttled(t.stage, interval)
}
