package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"auscult/kafka"
)

// repeatEvery is how often the same trouble of a stage is logged.
const repeatEvery = 10 * time.Second

// log writes what an operator must know. Normal operation logs nothing.
type log struct {
	*slog.Logger
	mu   sync.Mutex
	last map[string]time.Time
}

func newLog(w io.Writer) *log {
	return &log{Logger: slog.New(slog.NewTextHandler(w, nil)), last: map[string]time.Time{}}
}

// due reports whether a message of that kind may be logged again.
func (l *log) due(kind string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.last[kind]) < repeatEvery {
		return false
	}
	l.last[kind] = time.Now()
	return true
}

// hooks returns the transport's hooks as log lines.
func (l *log) hooks() kafka.Hooks {
	return kafka.Hooks{
		Retry: func(stage string, err error, wait time.Duration) {
			if !errors.Is(err, context.Canceled) && l.due("retry "+stage) {
				l.Warn("trying again", "stage", stage, "wait", wait, "error", err)
			}
		},
		DeadLetter: func(stage, reason string) {
			if l.due("dead letter " + stage) {
				l.Warn("dead letter", "stage", stage, "reason", reason)
			}
		},
		Silent: func(stage string) {
			if l.due("silent " + stage) {
				l.Warn("the broker does not answer heartbeats: sending nothing until it does", "stage", stage)
			}
		},
		Throttled: func(stage string, wait time.Duration) {
			if l.due("throttled " + stage) {
				l.Warn("the broker throttles", "stage", stage, "wait", wait)
			}
		},
	}
}
