package tape

import (
	"bytes"
	"cmp"
	"math/bits"
	"slices"
	"sort"
	"unicode/utf8"
)

// shape is the form of a message: its text with holes where scalars are. A
// message that has the same text around the holes, and a string or other scalar
// in each of them, is JSON of the same tree, so its nodes are those of the shape
// at other places. Scalars without a node that were the same in all messages so
// far are not holes but text.
type shape struct {
	slot    int
	serial  uint32
	text    []byte // of the message that it was made from
	nodes   []Node // of it, the root is 0
	objects []uint32
	scalars []place // all of them
	frozen  []bool  // scalars that are text
	seen    bool    // a second message had this form, so holes and marks are made
	holes   []hole
	marks   []mark
	tail    uint32 // where the text behind the last hole begins
}

// place is where a scalar is in the text of a shape.
type place struct {
	at, end uint32
	hole    hole // what it is when it is not frozen
}

// hole is a scalar that messages of the shape fill. Holes and marks are small:
// with the nodes, a shape should stay in the processor's first cache.
type hole struct {
	before        []byte // the text before it, back to the last hole,
	from          uint32 // which begins here
	node          uint32 // noNode when it is not kept
	name, nameEnd uint32 // how far before it its name is
	length        uint32 // of the strings here so far,
	fixed         bool   // if they had one length
	isString      bool
	named         bool
	marks         uint32 // marks up to here lie before it
}

const noNode = ^uint32(0)

// mark is where an array or object begins or ends, seen from the text before
// the next hole.
type mark struct {
	hole          uint32
	node          uint32
	at            uint32
	name, nameEnd uint32
	closes, named bool
}

// shapeOf makes the shape of the message on t, whose root is node root; all has
// the same message with all scalars. It is nil when there is none: there are no
// scalars in the message, or names are repeated, so that nodes are not in
// document order.
func shapeOf(t, all *Tape, root uint32) *shape {
	if t.compacted || all.compacted || all.Nodes[0].Kind != Object && all.Nodes[0].Kind != Array {
		return nil
	}
	s := &shape{text: bytes.Clone(t.src), nodes: slices.Clone(t.Nodes[root:])}
	for _, o := range t.Objects {
		if o >= root {
			s.objects = append(s.objects, o-root)
		}
	}
	next := uint32(0)
	for i := range all.Nodes {
		n := &all.Nodes[i]
		h := hole{node: noNode, isString: n.Kind == String}
		if int(next) < len(s.nodes) && s.nodes[next].Start == n.Start {
			h.node = next
			next++
		}
		if n.Kind == Object || n.Kind == Array {
			continue
		}
		if h.named = n.NameEnd != 0; h.named {
			h.name, h.nameEnd = n.Start-n.Name, n.Start-n.NameEnd
		}
		s.scalars = append(s.scalars, place{n.Start, n.End, h})
		s.frozen = append(s.frozen, h.node == noNode)
	}
	for i := range s.nodes {
		s.nodes[i].Flags &^= FlagEscaped
	}
	if len(s.scalars) == 0 {
		return nil
	}
	return s
}

// see compares a message with the shape. When it is of this form, scalars that
// are another text in it are holes from here on.
func (s *shape) see(b []byte) bool {
	i, from := 0, uint32(0)
	same, fixed := make([]bool, len(s.scalars)), make([]bool, len(s.scalars))
	for k := range s.scalars {
		p := &s.scalars[k]
		if !hasText(b, i, s.text[from:p.at]) {
			return false
		}
		i += int(p.at - from)
		end := p.hole.scan(b, i)
		if end < 0 {
			return false
		}
		same[k] = string(b[i:end]) == string(s.text[p.at:p.end])
		fixed[k] = end-i == int(p.end-p.at)
		i, from = end, p.end
	}
	if string(b[i:]) != string(s.text[from:]) {
		return false
	}
	for k := range s.scalars {
		p := &s.scalars[k]
		s.frozen[k] = s.frozen[k] && same[k]
		p.hole.fixed, p.hole.length = fixed[k], p.end-p.at
	}
	s.compile()
	return true
}

// compile makes the holes and marks.
func (s *shape) compile() {
	s.seen = true
	s.holes, s.marks, s.tail = s.holes[:0], s.marks[:0], 0
	for k := range s.scalars {
		if p := &s.scalars[k]; !s.frozen[k] {
			h := p.hole
			h.before, h.from, s.tail = s.text[s.tail:p.at], s.tail, p.end
			s.holes = append(s.holes, h)
		}
	}
	for i := range s.nodes {
		if n := &s.nodes[i]; n.Kind == Object || n.Kind == Array {
			s.marks = append(s.marks, s.opening(uint32(i)), s.closing(uint32(i)))
		}
	}
	slices.SortStableFunc(s.marks, func(a, b mark) int { return cmp.Compare(a.hole, b.hole) })
	for k := range s.holes {
		s.holes[k].marks = uint32(sort.Search(len(s.marks), func(i int) bool { return s.marks[i].hole > uint32(k) }))
	}
}

// before returns the hole behind position i, or len(holes), and where the text
// before that hole begins.
func (s *shape) before(i uint32) (hole, from uint32) {
	k := sort.Search(len(s.holes), func(k int) bool { return s.holes[k].from+uint32(len(s.holes[k].before)) > i })
	if k == len(s.holes) {
		return uint32(k), s.tail
	}
	return uint32(k), s.holes[k].from
}

func (s *shape) opening(i uint32) mark {
	n := &s.nodes[i]
	k, from := s.before(n.Start)
	m := mark{hole: k, node: i, at: n.Start - from}
	if m.named = n.NameEnd != 0; m.named {
		m.name, m.nameEnd = n.Name-from, n.NameEnd-from
	}
	return m
}

func (s *shape) closing(i uint32) mark {
	k, from := s.before(s.nodes[i].End - 1)
	return mark{hole: k, node: i, closes: true, at: s.nodes[i].End - from}
}

// scan finds the end of the scalar at b[i], of the kind that the hole wants;
// negative when there is none.
func (h *hole) scan(b []byte, i int) (end int) {
	if h.isString {
		end, _ = holeEnd(b, i)
	} else {
		end, _ = scalar(b, i)
	}
	return end
}

// fill appends the nodes of the message if it is of this shape. progress is how
// far it came.
func (t *Tape) fill(s *shape) (progress int, ok bool) {
	b := t.src
	if !s.seen || !hasText(b, 0, s.text[:s.first()]) {
		return 0, false
	}
	root := uint32(len(t.Nodes))
	t.Nodes = append(t.Nodes, s.nodes...)
	nodes := t.Nodes[root:]
	i, m := 0, uint32(0)
	for k := range s.holes {
		h := &s.holes[k]
		if !hasText(b, i, h.before) {
			return t.unfill(root, i)
		}
		for ; m < h.marks; m++ {
			s.marks[m].set(nodes, i)
		}
		i += len(h.before)
		at := i
		kind, flags := String, uint8(0)
		if !h.isString {
			i, kind = scalar(b, i)
		} else if h.fixed && h.again(b, i) {
			i += int(h.length)
		} else {
			h.fixed = false
			i, flags = holeEnd(b, i)
		}
		if i < 0 {
			return t.unfill(root, at)
		}
		if h.node == noNode {
			continue
		}
		n := &nodes[h.node]
		n.Start, n.End, n.Kind = uint32(at), uint32(i), kind
		n.Flags |= flags
		if h.named {
			n.Name, n.NameEnd = uint32(at)-h.name, uint32(at)-h.nameEnd
		}
	}
	if tail := s.text[s.tail:]; len(b)-i != len(tail) || !hasText(b, i, tail) {
		return t.unfill(root, i)
	}
	for ; m < uint32(len(s.marks)); m++ {
		s.marks[m].set(nodes, i)
	}
	for _, o := range s.objects {
		t.Objects = append(t.Objects, root+o)
	}
	return len(b), true
}

// first returns where the first hole is.
func (s *shape) first() int {
	if len(s.holes) == 0 {
		return len(s.text)
	}
	return len(s.holes[0].before)
}

func (t *Tape) unfill(root uint32, progress int) (int, bool) {
	t.Nodes = t.Nodes[:root]
	return progress, false
}

// set moves the array or object to where its text, which begins at i, is.
func (m *mark) set(nodes []Node, i int) {
	n := &nodes[m.node]
	if m.closes {
		n.End = uint32(i) + m.at
		return
	}
	n.Start = uint32(i) + m.at
	if m.named {
		n.Name, n.NameEnd = uint32(i)+m.name, uint32(i)+m.nameEnd
	}
}

// hasText reports whether text stands at b[i]. Most texts between two scalars
// are short: for them two words are faster than a call.
func hasText(b []byte, i int, text []byte) bool {
	n := len(text)
	if len(b)-i < n {
		return false
	}
	if n < 8 || n > 16 {
		return string(b[i:i+n]) == string(text)
	}
	return load8(b, i) == load8(text, 0) && load8(b, i+n-8) == load8(text, n-8)
}

// again reports whether the string at b[i] has the length of those before and
// nothing special in it. Where it ends need not be computed then, so that the
// processor can go on with the next hole meanwhile.
func (h *hole) again(b []byte, i int) bool {
	end := i + int(h.length)
	if end >= len(b) || b[end] != '"' || h.length < 8 && i+8 > len(b) {
		return false
	}
	var seen uint64
	if h.length < 8 {
		mask := uint64(1)<<(8*uint(h.length)&63) - 1
		w := load8(b, i)&mask | ones*' '&^mask
		return (special(w)|w)&highs == 0
	}
	for ; i+8 < end; i += 8 {
		w := load8(b, i)
		seen |= special(w) | w
	}
	w := load8(b, end-8)
	return (seen|special(w)|w)&highs == 0
}

// holeEnd is stringEnd in a message that may not be UTF-8.
func holeEnd(b []byte, i int) (end int, flags uint8) {
	end, seen := i, uint64(0)
	for end+8 <= len(b) {
		w := load8(b, end)
		m := special(w)
		if m == 0 {
			seen |= w
			end += 8
			continue
		}
		seen |= w & (m&-m - 1)
		end += bits.TrailingZeros64(m) >> 3
		break
	}
	for end+8 > len(b) && end < len(b) && b[end] != '"' && b[end] != '\\' && b[end] >= ' ' {
		seen |= uint64(b[end])
		end++
	}
	if end >= len(b) || b[end] != '"' {
		seen = highs
		if end, flags = stringEnd(b, end); end < 0 {
			return failed, 0
		}
	}
	if seen&highs != 0 && !utf8.Valid(b[i:end]) {
		return failed, 0
	}
	return end, flags
}
