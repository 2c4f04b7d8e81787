package kafka

import (
	"slices"
	"sync"
)

// ledger knows which messages of one partition are in work and how far all of
// them are finished. Only that contiguous prefix may be committed: message 43
// being done says nothing of 42, and committing 44 would lose it.
//
// Offsets come in rising order but not without gaps (compaction, transaction
// markers), so the prefix ends at the first delivered message that is not
// finished, wherever that is.
type ledger struct {
	mu      sync.Mutex
	next    int64 // the prefix: everything below is finished
	entries []ledgerEntry
	head    int // entries before it are finished and gone
	open    int // delivered and not finished
}

type ledgerEntry struct {
	offset int64
	done   bool
}

// newLedger returns the ledger of a partition whose first unread offset is
// next.
func newLedger(next int64) *ledger { return &ledger{next: next} }

// delivered enters a message. It must come before finish of the same message;
// an offset at or below one that was delivered before is ignored, and entered
// false.
func (l *ledger) delivered(offset int64) (entered bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.entries); n > l.head && offset <= l.entries[n-1].offset || offset < l.next {
		return false
	}
	l.entries = append(l.entries, ledgerEntry{offset: offset})
	l.open++
	return true
}

// finish says that a message is done with: all it caused is acknowledged. It
// returns the prefix, the offset to commit, and whether this call moved it.
// Finishing twice, or what was not delivered, changes nothing.
func (l *ledger) finish(offset int64) (prefix int64, moved bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	live := l.entries[l.head:]
	i, ok := slices.BinarySearchFunc(live, offset, func(e ledgerEntry, o int64) int { return int(min(max(e.offset-o, -1), 1)) })
	if !ok || live[i].done {
		return l.next, false
	}
	live[i].done = true
	l.open--
	for l.head < len(l.entries) && l.entries[l.head].done {
		l.next = l.entries[l.head].offset + 1
		l.head++
		moved = true
	}
	l.shrink()
	return l.next, moved
}

// shrink gives the space of finished entries back, seldom enough that each
// entry is moved about once.
func (l *ledger) shrink() {
	if l.head < len(l.entries) && l.head < 1024 {
		return
	}
	if l.head*2 >= len(l.entries) {
		l.entries = append(l.entries[:0], l.entries[l.head:]...)
		l.head = 0
	}
}

// prefix returns the offset to commit: every delivered message below it is
// finished.
func (l *ledger) prefix() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next
}

// inFlight returns how many messages are delivered and not finished.
func (l *ledger) inFlight() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}
