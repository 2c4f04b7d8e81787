package tape

import (
	"encoding/binary"
	"math/bits"
)

// NameID numbers the member names that the expressions of a mapping mention.
// Zero is any other name.
type NameID uint16

// MaxNames is how many different member names one mapping may mention.
const MaxNames = 1 << 15

// NameSet collects names while a mapping is compiled.
type NameSet struct {
	ids  map[string]NameID
	list []string
}

// NewNameSet returns an empty set.
func NewNameSet() *NameSet { return &NameSet{ids: map[string]NameID{}} }

// ID returns the number of name, a new one when it has none.
func (s *NameSet) ID(name string) NameID {
	if id, ok := s.ids[name]; ok {
		return id
	}
	s.list = append(s.list, name)
	id := NameID(len(s.list))
	s.ids[name] = id
	return id
}

// Len returns how many names there are.
func (s *NameSet) Len() int { return len(s.list) }

// Names finds the number of a member name. A name is told by its length, its
// first and its last eight bytes; only names longer than 16 bytes need a
// comparison in full.
type Names struct {
	slots []nameSlot
	shift uint
	list  []string // list[id-1]
}

// nameSlot is a place of the table. Names that have the same place stand in the
// next ones, behind more.
type nameSlot struct {
	first, last uint64
	length      uint32
	id          NameID
	more        bool
}

// Table freezes the set: open addressing, at most a quarter full, so that a
// name nobody asks for is told by one comparison in most cases.
func (s *NameSet) Table() *Names {
	size := uint(3)
	for 1<<size < 4*len(s.list) {
		size++
	}
	t := &Names{slots: make([]nameSlot, 1<<size), shift: 64 - size, list: s.list}
	for i, name := range s.list {
		b := []byte(name)
		first, last := edges(b)
		h := nameHash(b, first, last) >> (t.shift & 63)
		for t.slots[h].id != 0 {
			t.slots[h].more = true
			h = (h + 1) & uint64(len(t.slots)-1)
		}
		t.slots[h] = nameSlot{first, last, uint32(len(name)), NameID(i + 1), false}
	}
	return t
}

// edges returns the first and the last eight bytes of b, or b itself twice.
func edges(b []byte) (first, last uint64) {
	if n := len(b); n >= 8 {
		return binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[n-8:])
	}
	for i := len(b) - 1; i >= 0; i-- {
		first = first<<8 | uint64(b[i])
	}
	return first, first
}

// nameHash hashes name b, whose edges are first and last.
func nameHash(b []byte, first, last uint64) uint64 {
	h := shortHash(first, last, len(b))
	for i := 8; i < len(b)-8; i += 8 {
		h = shortHash(h, binary.LittleEndian.Uint64(b[i:]), i)
	}
	return h
}

// shortHash is nameHash for names of at most 16 bytes, which are all edge.
func shortHash(first, last uint64, n int) uint64 {
	high, low := bits.Mul64(first^0x9E3779B97F4A7C15, last^0xD6E8FEB86659FD93^uint64(n))
	return high ^ low
}

// Find returns the number of name b and a hash of it.
func (t *Names) Find(b []byte) (NameID, uint64) {
	first, last := edges(b)
	hash := nameHash(b, first, last)
	id := t.lookup(hash, first, last, len(b))
	if id != 0 && len(b) > 16 && t.list[id-1] != string(b) {
		return t.findLong(b, hash), hash
	}
	return id, hash
}

// lookup finds the name of n bytes with these edges.
func (t *Names) lookup(hash, first, last uint64, n int) NameID {
	h := hash >> (t.shift & 63)
	for {
		s := &t.slots[h&uint64(len(t.slots)-1)]
		if s.first == first && s.last == last && s.length == uint32(n) {
			return s.id
		}
		if !s.more {
			return 0
		}
		h++
	}
}

// findLong finds b among names that have the same edges.
func (t *Names) findLong(b []byte, hash uint64) NameID {
	for h := hash >> (t.shift & 63); ; h++ {
		s := &t.slots[h&uint64(len(t.slots)-1)]
		if s.id != 0 && t.list[s.id-1] == string(b) {
			return s.id
		}
		if !s.more {
			return 0
		}
	}
}

// Text returns the name that has number id.
func (t *Names) Text(id NameID) string { return t.list[id-1] }
