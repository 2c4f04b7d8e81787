package processors

import "time"

// Retry is an error that time may cure: the other side is down, or asks for
// patience. Whoever drives the stage gives it the same records again.
type Retry struct {
	Err  error
	Wait time.Duration // how long to wait first
}

// Error says what has to be cured.
func (r *Retry) Error() string { return r.Err.Error() }

// Unwrap returns what has to be cured.
func (r *Retry) Unwrap() error { return r.Err }

// RetryAfter returns how long to wait before the next attempt.
func (r *Retry) RetryAfter() time.Duration { return r.Wait }
