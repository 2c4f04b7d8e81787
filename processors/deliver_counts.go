package processors

import (
	"sync"
	"sync/atomic"
	"time"
)

// DeliverCounts is what Deliver has done since it started.
type DeliverCounts struct {
	Written      int64     // resources
	Unchanged    int64     // records whose content was on the server already
	Outrun       int64     // resources left alone because the server holds newer ones
	Respected    int64     // Flags left as somebody else has set them
	Conflicts    int64     // answers that somebody else had written
	Retries      int64     // requests made again after a pause
	DeadLetters  int64     // records
	WaitingSince time.Time // since when some patient waits for the server; zero when none does
}

type deliverCounters struct {
	written, unchanged, outrun, respected, conflicts, retries, dead atomic.Int64

	mu      sync.Mutex
	waiters int
	since   time.Time
}

// waiting notes that somebody waits, until the returned function is called.
func (c *deliverCounters) waiting(now time.Time) (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiters++; c.waiters == 1 {
		c.since = now
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.waiters--; c.waiters == 0 {
			c.since = time.Time{}
		}
	}
}

// Counts returns the counters.
func (d *Deliver) Counts() DeliverCounts {
	c := &d.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	return DeliverCounts{
		Written: c.written.Load(), Unchanged: c.unchanged.Load(), Outrun: c.outrun.Load(), Respected: c.respected.Load(),
		Conflicts: c.conflicts.Load(), Retries: c.retries.Load(), DeadLetters: c.dead.Load(), WaitingSince: c.since,
	}
}
