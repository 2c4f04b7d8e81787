package tape

import (
	"bytes"
	"hash/maphash"
	"slices"
)

// watch looks at the names of an object's members for one that is repeated.
// Names that share a bit of seen are compared by their hashes. In objects with
// more members than hashes has room for, a shared bit is taken for a repeated
// name.
type watch struct {
	seen     [8]uint64
	hashes   [128]uint32
	count    uint
	repeated bool // or nearly certainly so
}

func (w *watch) reset() {
	w.seen = [8]uint64{}
	w.count, w.repeated = 0, false
}

// add takes the hash of a further name.
func (w *watch) add(hash uint64) {
	word, bit := &w.seen[hash>>3&7], uint64(1)<<(hash>>6&63)
	if *word&bit != 0 {
		w.compare(uint32(hash >> 32))
	}
	*word |= bit
	w.hashes[w.count%uint(len(w.hashes))] = uint32(hash >> 32)
	w.count++
}

// compare looks for a hash among those of the members so far.
func (w *watch) compare(hash uint32) {
	if w.count > uint(len(w.hashes)) || slices.Contains(w.hashes[:w.count], hash) {
		w.repeated = true
	}
}

// repeats is the first and the last member of one name.
type repeats struct{ first, last uint32 }

// dedupe marks repeated names of object o, whose members are the rest of the
// tape: the last value stands, at the place of the first. compact moves it there.
func (t *Tape) dedupe(o uint32) {
	count := 0
	for i := o + 1; i < uint32(len(t.Nodes)); i += t.Nodes[i].Size {
		count++
	}
	size := 4
	for size < 2*count {
		size *= 2
	}
	if cap(t.table) < size {
		t.table = make([]repeats, size)
	}
	t.table = t.table[:size]
	clear(t.table)
	for i := o + 1; i < uint32(len(t.Nodes)); i += t.Nodes[i].Size {
		slot := t.slot(i)
		if slot.first == None {
			slot.first, slot.last = i, i
			continue
		}
		t.replaced = true
		t.Nodes[slot.first].Flags |= flagReplaced
		t.Nodes[i].Flags |= flagGone
		slot.last = i
	}
	for _, s := range t.table {
		if s.first != s.last {
			t.Nodes[s.first].Start = s.last
		}
	}
}

// slot finds where the table keeps the name of member i.
func (t *Tape) slot(i uint32) *repeats {
	name := t.NameOf(&t.Nodes[i], &t.text)
	for h := maphash.Bytes(t.seed, name); ; h++ {
		slot := &t.table[h&uint64(len(t.table)-1)]
		if slot.first == None || bytes.Equal(name, t.NameOf(&t.Nodes[slot.first], &t.other)) {
			return slot
		}
	}
}

// compact rewrites the tape from node root on, once for all objects: what is
// replaced goes, what replaces it takes its place.
func (t *Tape) compact(root uint32) {
	t.spare = t.spare[:0]
	t.move(root)
	t.Nodes = append(t.Nodes[:root], t.spare...)
	t.replaced = false
	for len(t.Objects) > 0 && t.Objects[len(t.Objects)-1] >= root {
		t.Objects = t.Objects[:len(t.Objects)-1]
	}
	for i := root; i < uint32(len(t.Nodes)); i++ {
		if t.Nodes[i].Kind == Object {
			t.Objects = append(t.Objects, i)
		}
	}
}

// move appends node i and its parts to spare.
func (t *Tape) move(i uint32) {
	at := len(t.spare)
	t.spare = append(t.spare, t.Nodes[i])
	for k, end := i+1, i+t.Nodes[i].Size; k < end; k += t.Nodes[k].Size {
		switch n := &t.Nodes[k]; {
		case n.Flags&flagReplaced != 0:
			t.move(n.Start)
		case n.Flags&flagGone == 0:
			t.move(k)
		}
	}
	t.spare[at].Flags &^= flagGone
	t.spare[at].Size = uint32(len(t.spare) - at)
}
