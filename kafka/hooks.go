package kafka

import "time"

// Hooks tell what happens inside a driver. Every field may be nil. They are
// called from many goroutines and must return at once.
type Hooks struct {
	// Assigned and Revoked tell how many partitions a stage was given and gave
	// back.
	Assigned func(stage string, shares int)
	Revoked  func(stage string, shares int)
	// Batch tells that a stage has processed records and how long it took, Sent
	// that its outputs are acknowledged.
	Batch func(stage, topic string, partition int32, records int, took time.Duration)
	Sent  func(stage string, outputs int, took time.Duration)
	// Retry tells that something failed and is tried again after wait.
	Retry func(stage string, err error, wait time.Duration)
	// DeadLetter tells that the driver itself wrote one.
	DeadLetter func(stage, reason string)
	// Paused tells that a partition is read no further for a while, because its
	// buffer is full, or again.
	Paused func(stage, topic string, partition int32, paused bool)
	// Silent tells that the broker has not answered a heartbeat for half the
	// session timeout: the stage sends nothing until it does (rule G3).
	Silent func(stage string)
	// Throttled tells that the broker makes a client wait.
	Throttled func(stage string, wait time.Duration)
}

func (h *Hooks) assigned(stage string, shares int) {
	if h.Assigned != nil {
		h.Assigned(stage, shares)
	}
}

func (h *Hooks) revoked(stage string, shares int) {
	if h.Revoked != nil {
		h.Revoked(stage, shares)
	}
}

func (h *Hooks) batch(stage, topic string, partition int32, records int, took time.Duration) {
	if h.Batch != nil {
		h.Batch(stage, topic, partition, records, took)
	}
}

func (h *Hooks) sent(stage string, outputs int, took time.Duration) {
	if h.Sent != nil {
		h.Sent(stage, outputs, took)
	}
}

func (h *Hooks) retry(stage string, err error, wait time.Duration) {
	if h.Retry != nil {
		h.Retry(stage, err, wait)
	}
}

func (h *Hooks) deadLetter(stage, reason string) {
	if h.DeadLetter != nil {
		h.DeadLetter(stage, reason)
	}
}

func (h *Hooks) paused(stage, topic string, partition int32, paused bool) {
	if h.Paused != nil {
		h.Paused(stage, topic, partition, paused)
	}
}

func (h *Hooks) silent(stage string) {
	if h.Silent != nil {
		h.Silent(stage)
	}
}

func (h *Hooks) throttled(stage string, wait time.Duration) {
	if h.Throttled != nil {
		h.Throttled(stage, wait)
	}
}
