package mapping

import (
	"encoding/binary"
	"math/bits"
)

// nameID numbers the member names that the expressions of a mapping mention.
// Zero is any other name.
type nameID uint16

// maxNames is how many different member names one mapping may mention.
const maxNames = 1 << 15

// names finds the number of a member name. A name is told by its length, its
// first and its last eight bytes; only names longer than 16 bytes need a
// comparison in full.
type names struct {
	slots []nameSlot
	shift uint
	list  []string // list[id-1]
}

type nameSlot struct {
	first, last uint64
	length      uint32
	id          nameID
	text        string
}

// nameSet collects names while a mapping is compiled.
type nameSet struct {
	ids  map[string]nameID
	list []string
}

func newNameSet() *nameSet { return &nameSet{ids: map[string]nameID{}} }

// id returns the number of name, a new one when it has none.
func (s *nameSet) id(name string) nameID {
	if id, ok := s.ids[name]; ok {
		return id
	}
	s.list = append(s.list, name)
	id := nameID(len(s.list))
	s.ids[name] = id
	return id
}

// table freezes the set: open addressing, at most a quarter full, so that a
// name nobody asks for mostly meets an empty slot.
func (s *nameSet) table() *names {
	size := uint(3)
	for 1<<size < 4*len(s.list) {
		size++
	}
	t := &names{slots: make([]nameSlot, 1<<size), shift: 64 - size, list: s.list}
	for i, name := range s.list {
		first, last := edges([]byte(name))
		h := nameHash(first, last, len(name)) >> t.shift
		for t.slots[h].id != 0 {
			h = (h + 1) & uint64(len(t.slots)-1)
		}
		t.slots[h] = nameSlot{first, last, uint32(len(name)), nameID(i + 1), name}
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

func nameHash(first, last uint64, n int) uint64 {
	return (first ^ bits.RotateLeft64(last, 29) ^ uint64(n)) * 0x9E3779B97F4A7C15
}

// find returns the number of name b and a hash of it.
func (t *names) find(b []byte) (nameID, uint64) {
	first, last := edges(b)
	hash := nameHash(first, last, len(b))
	for h := hash >> t.shift; ; h = (h + 1) & uint64(len(t.slots)-1) {
		s := &t.slots[h]
		if s.id == 0 {
			return 0, hash
		}
		if s.first == first && s.last == last && int(s.length) == len(b) && (len(b) <= 16 || s.text == string(b)) {
			return s.id, hash
		}
	}
}
