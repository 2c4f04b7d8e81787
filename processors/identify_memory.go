package processors

import (
	"context"
	"sync"
	"time"
)

// memory remembers answers for a while and lets only one goroutine at a time
// ask for each. Errors are not remembered.
type memory[V any] struct {
	limit   int
	clock   func() time.Time
	mu      sync.Mutex
	answers map[string]*remembered[V]
}

type remembered[V any] struct {
	done  chan struct{} // closed once value and err stand
	value V
	err   error
	at    time.Time
}

func newMemory[V any](limit int, clock func() time.Time) *memory[V] {
	return &memory[V]{limit: limit, clock: clock, answers: map[string]*remembered[V]{}}
}

// get returns the answer for key: a remembered one not older than age, that of
// a goroutine which is asking, or its own.
func (m *memory[V]) get(ctx context.Context, key string, age time.Duration, ask func() (V, error)) (V, error) {
	for {
		a, mine := m.place(key, age)
		if mine {
			a.value, a.err = ask()
			m.finish(key, a)
			return a.value, a.err
		}
		select {
		case <-a.done:
		case <-ctx.Done():
			var none V
			return none, ctx.Err()
		}
		if a.err == nil || ctx.Err() != nil {
			return a.value, a.err
		}
		// The other one failed, perhaps because its partition was taken away.
		// What failed for a better reason fails again.
	}
}

// know remembers an answer that nobody had to ask for.
func (m *memory[V]) know(key string, value V) {
	a := &remembered[V]{done: make(chan struct{}), value: value}
	m.mu.Lock()
	m.answers[key] = a
	m.mu.Unlock()
	m.finish(key, a)
}

// place returns the entry of key; mine tells that the caller has to fill it.
func (m *memory[V]) place(key string, age time.Duration) (a *remembered[V], mine bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a = m.answers[key]; a != nil {
		select {
		case <-a.done:
			if m.clock().Sub(a.at) < age {
				return a, false
			}
		default:
			return a, false
		}
	}
	a = &remembered[V]{done: make(chan struct{})}
	m.answers[key] = a
	return a, true
}

func (m *memory[V]) finish(key string, a *remembered[V]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a.at = m.clock()
	if a.err != nil {
		delete(m.answers, key)
	}
	close(a.done)
	if len(m.answers) <= m.limit {
		return
	}
	spare := m.limit / 8
	for k, old := range m.answers { // any will do: they are asked for again
		select {
		case <-old.done:
			delete(m.answers, k)
			spare--
		default:
		}
		if spare == 0 {
			return
		}
	}
}
