package processors

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"auscult/schemas"
)

// Sink stores records exactly once: it keeps the offset of each partition
// beside them, so that neither a crash nor a second owner doubles anything.
type Sink interface {
	// Assigned returns the offset from which the share goes on, -1 when the sink
	// has never seen it.
	Assigned(ctx context.Context, s *schemas.Share) (next int64, err error)
	// Write stores a batch and returns the offset from which to go on, which is
	// beyond the batch when another owner had stored more already.
	Write(ctx context.Context, b schemas.Batch) (next int64, err error)
}

// loadRetryWait is how long Load waits before it tries a sink again that is
// full, locked or down. Nothing is lost meanwhile: the topic keeps it.
const loadRetryWait = time.Second

// Load moves records into a sink: the raw zone or the warehouse (G13).
type Load struct {
	sink   Sink
	stored atomic.Int64
}

// NewLoad returns the stage for one sink.
func NewLoad(sink Sink) *Load { return &Load{sink: sink} }

// Assigned asks the sink where the share goes on.
func (l *Load) Assigned(ctx context.Context, s *schemas.Share) (int64, error) {
	next, err := l.sink.Assigned(ctx, s)
	if err != nil {
		return 0, retryLoad(err)
	}
	return next, nil
}

// Process stores a batch. It emits nothing.
func (l *Load) Process(ctx context.Context, b schemas.Batch) ([]schemas.Out, error) {
	if _, err := l.sink.Write(ctx, b); err != nil {
		return nil, retryLoad(err)
	}
	l.stored.Add(int64(len(b.Records)))
	return nil, nil
}

// Stored returns how many records this process has handed to the sink.
func (l *Load) Stored() int64 { return l.stored.Load() }

// permanent is an error that no waiting cures: damaged files, another topic. It
// stops the stage, so that somebody looks.
type permanent interface {
	error
	Permanent() bool
}

func retryLoad(err error) error {
	var p permanent
	if errors.As(err, &p) && p.Permanent() {
		return err
	}
	return &Retry{Err: err, Wait: loadRetryWait}
}
