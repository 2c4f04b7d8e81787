package kafka

import (
	"sync"
	"time"

	"github.com/lovoo/goka/storage"
)

// The flags of a row that a tick looks for: the same bits as in package state.
const (
	rowSilent uint8 = 1 << iota // closes something when its key falls silent
	rowWork                     // has work for the next tick
	rowOwes                     // owes the outputs of a tick
	rowParked                   // holds values that wait
)

// tickKind says which rows a tick visits.
type tickKind int

const (
	tickNone tickKind = iota // no tick is under way: an iterator gives nothing
	tickWork                 // rows with work, and once in a session those that owe
	tickIdle                 // rows whose key has been silent
	tickEnd                  // all rows
)

// rowStore is the storage.Storage of one table partition: the rows in memory
// and an index of what is due, kept up to date by Set and so by recovery too.
// Its iterator gives the keys that the tick at hand is due for and no others,
// which makes a Goka visit cost what is due, not what is there (rule G10).
//
// The offset has a field of its own, so no key can collide with it. Values are
// taken over by Set and given out by Get as they are: nobody may change them.
type rowStore struct {
	flags func(row []byte) uint8
	next  func(row []byte, input int) int64 // offset after the highest one applied; nil = not told
	now   func() time.Time

	mu     sync.Mutex
	rows   map[string]*storedRow
	silent rowList // least recently touched first
	work   map[*storedRow]struct{}
	owing  map[*storedRow]struct{} // not yet visited in this session
	parked int                     // rows with values that wait
	offset int64
	known  bool // offset is
	ready  bool // recovered: from now on Set means a callback
	kind   tickKind
	cutoff time.Time // tickIdle: rows touched at or before it are due
	high   []int64   // per input: the highest offset that next gave
}

type storedRow struct {
	key     string
	value   []byte
	flags   uint8
	touched time.Time // monotonic: the first input's last message, or visit that changed nothing
	ours    bool      // a callback of this session has set it
	prev    *storedRow
	after   *storedRow
	listed  bool
}

// rowList is a list of rows that costs nothing to change.
type rowList struct {
	first, last *storedRow
	n           int
}

func (l *rowList) push(r *storedRow) {
	r.prev, r.after, r.listed = l.last, nil, true
	if l.last == nil {
		l.first = r
	} else {
		l.last.after = r
	}
	l.last = r
	l.n++
}

func (l *rowList) remove(r *storedRow) {
	if !r.listed {
		return
	}
	if r.prev == nil {
		l.first = r.after
	} else {
		r.prev.after = r.after
	}
	if r.after == nil {
		l.last = r.prev
	} else {
		r.after.prev = r.prev
	}
	r.prev, r.after, r.listed = nil, nil, false
	l.n--
}

func newRowStore(inputs int, flags func([]byte) uint8, next func([]byte, int) int64) *rowStore {
	return &rowStore{
		flags: flags, next: next, now: time.Now, high: make([]int64, inputs),
		rows: make(map[string]*storedRow), work: make(map[*storedRow]struct{}), owing: make(map[*storedRow]struct{}),
	}
}

// Set implements storage.Storage.
func (s *rowStore) Set(key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rows[key]
	if r == nil {
		r = &storedRow{key: key}
		s.rows[key] = r
	}
	spoke := s.next == nil || !s.ready || r.value == nil || s.next(value, 0) != s.next(r.value, 0)
	r.value, r.ours = value, s.ready
	s.index(r, s.flags(value), spoke)
	if s.next != nil {
		for i := range s.high {
			s.high[i] = max(s.high[i], s.next(value, i))
		}
	}
	return nil
}

// index puts a row where its flags say, as touched now if its key spoke: what
// another input or a tick makes of it is no sign of life (rule G9).
func (s *rowStore) index(r *storedRow, flags uint8, spoke bool) {
	s.parked += int(flags&rowParked/rowParked) - int(r.flags&rowParked/rowParked)
	r.flags = flags
	if spoke || !r.listed || flags&rowSilent == 0 {
		r.touched = s.now()
		s.silent.remove(r)
		if flags&rowSilent != 0 {
			s.silent.push(r)
		}
	}
	mark(s.work, r, flags&rowWork != 0)
	// A row that comes to owe in this session has its outputs on their way;
	// only the rows of earlier owners must be visited.
	if !s.ready || flags&rowOwes == 0 {
		mark(s.owing, r, flags&rowOwes != 0)
	}
}

func mark(set map[*storedRow]struct{}, r *storedRow, in bool) {
	if in {
		set[r] = struct{}{}
	} else {
		delete(set, r)
	}
}

// written reports whether a callback of this session has set the row of key.
func (s *rowStore) written(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rows[key]
	return r != nil && r.ours
}

// Get implements storage.Storage.
func (s *rowStore) Get(key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.rows[key]; r != nil {
		return r.value, nil
	}
	return nil, nil
}

// Has implements storage.Storage.
func (s *rowStore) Has(key string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows[key] != nil, nil
}

// Delete implements storage.Storage.
func (s *rowStore) Delete(key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.rows[key]; r != nil {
		s.index(r, 0, true)
		delete(s.rows, key)
	}
	return nil
}

// GetOffset implements storage.Storage.
func (s *rowStore) GetOffset(def int64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known {
		return def, nil
	}
	return s.offset, nil
}

// SetOffset implements storage.Storage.
func (s *rowStore) SetOffset(offset int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset, s.known = offset, true
	return nil
}

// MarkRecovered implements storage.Storage.
func (s *rowStore) MarkRecovered() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = true
	return nil
}

// Open implements storage.Storage.
func (s *rowStore) Open() error { return nil }

// Close implements storage.Storage.
func (s *rowStore) Close() error { return nil }

// arm says which rows the next iterator gives and reports whether there are
// any.
func (s *rowStore) arm(kind tickKind, cutoff time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kind, s.cutoff = kind, cutoff
	switch kind {
	case tickWork:
		return len(s.work)+len(s.owing) > 0
	case tickIdle:
		return s.silent.first != nil && !s.silent.first.touched.After(cutoff)
	case tickEnd:
		return len(s.rows) > 0
	}
	return false
}

// Iterator implements storage.Storage: it gives the keys that are due.
func (s *rowStore) Iterator() (storage.Iterator, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := &dueIterator{at: -1}
	switch s.kind {
	case tickWork:
		for r := range s.work {
			it.keys = append(it.keys, r.key)
			delete(s.owing, r)
		}
		for r := range s.owing {
			it.keys = append(it.keys, r.key)
		}
		clear(s.owing)
	case tickIdle:
		it.keys = s.takeSilent()
	case tickEnd:
		for key := range s.rows {
			it.keys = append(it.keys, key)
		}
	}
	s.kind = tickNone
	return it, nil
}

// takeSilent returns the keys that are due. They count as touched: a row that
// its visit does not change is due again after another whole silence, not at
// each tick.
func (s *rowStore) takeSilent() []string {
	var keys []string
	now := s.now()
	for range s.silent.n {
		r := s.silent.first
		if r.touched.After(s.cutoff) {
			break
		}
		keys = append(keys, r.key)
		s.silent.remove(r)
		r.touched = now
		s.silent.push(r)
	}
	return keys
}

// IteratorWithRange implements storage.Storage; nobody visits a range.
func (s *rowStore) IteratorWithRange(_, _ []byte) (storage.Iterator, error) { return s.Iterator() }

// rowCounts says what is in a rowStore.
type rowCounts struct{ rows, silent, work, parked int }

// counts returns how many rows there are, and how many of them wait for
// silence, have work or outputs left for a tick, or hold values that wait.
func (s *rowStore) counts() rowCounts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return rowCounts{rows: len(s.rows), silent: s.silent.n, work: len(s.work) + len(s.owing), parked: s.parked}
}

// applied returns the offset after the highest one that any row has applied of
// an input.
func (s *rowStore) applied(input int) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.high[input]
}

// dueIterator is a storage.Iterator over keys alone; a visit reads the value
// when its turn comes.
type dueIterator struct {
	keys []string
	at   int
}

// Next implements storage.Iterator.
func (i *dueIterator) Next() bool { i.at++; return i.at < len(i.keys) }

// Err implements storage.Iterator.
func (i *dueIterator) Err() error { return nil }

// Key implements storage.Iterator.
func (i *dueIterator) Key() []byte { return []byte(i.keys[i.at]) }

// Value implements storage.Iterator; visits do not ask.
func (i *dueIterator) Value() ([]byte, error) { return nil, nil }

// Release implements storage.Iterator.
func (i *dueIterator) Release() { i.keys = nil }

// Seek implements storage.Iterator; visits do not ask.
func (i *dueIterator) Seek([]byte) bool { return false }
