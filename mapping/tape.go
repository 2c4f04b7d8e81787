package mapping

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"unicode/utf8"
)

// Limits on a message.
const (
	// MaxMessageBytes is how long a message body may be.
	MaxMessageBytes = 4 << 20
	// MaxDepth is how deep arrays and objects of a message may be nested, the
	// limit of the connector's reader.
	MaxDepth = 64
)

// kind is the kind of a token.
type kind uint8

const (
	kindNone   kind = iota
	kindObject      // start, end: its braces
	kindArray
	kindString // JSON string; one that looks like a date is a date
	kindText   // a string that is never a date: application property
	kindDate   // a timestamp property, written in ISO 8601
	kindInt
	kindFloat
	kindTrue
	kindFalse
	kindNull
)

// flags of a node.
const (
	flagEscaped     = 1 << iota // the string holds escapes; equals scanEscaped
	flagNameEscaped             // so does the name
	flagSide                    // the text is in tape.side, not in the message
	flagNameSide
)

// node is one token. The nodes of a value's parts follow it, in document order.
type node struct {
	mask       uint64 // objects: a bit for each known name among its members
	start, end uint32 // its text; strings without the quotes
	name       uint32 // its member name, without the quotes
	nameEnd    uint32
	size       uint32 // nodes of the value, itself included
	id         nameID // of its member name
	kind       kind
	flags      uint8
}

// none is the index that stands for "no node": the root is nobody's member.
const none = 0

// tape is a parsed message. It is reused; its nodes point into src and side.
type tape struct {
	names   *names
	src     []byte
	side    []byte // texts that are not in the message: properties, computed values
	nodes   []node
	objects []uint32 // all objects, in document order
	depth   int
	high    bool // some string has a byte above 0x7F
	moved   bool // duplicates were removed: objects is stale
	at      int  // where the fault is
	fault   string

	seed  maphash.Seed
	table []repeats // of dedupe
	spare []node
	text  []byte // decoded name
	other []byte // decoded name to compare with
}

// repeats is the first and the last member of one name.
type repeats struct{ first, last uint32 }

// keepNodes is how many nodes a tape keeps between messages: one huge message
// must not hold its memory for ever.
const keepNodes = 1 << 16

var errTooLong = fmt.Errorf("the message is longer than %d bytes", MaxMessageBytes)

// reset empties the tape and points it at a new message.
func (t *tape) reset(src []byte) {
	if cap(t.nodes) > keepNodes {
		t.nodes, t.spare, t.table, t.objects, t.side = nil, nil, nil, nil, nil
	}
	t.src, t.side, t.nodes, t.objects = src, t.side[:0], t.nodes[:0], t.objects[:0]
	t.depth, t.high, t.moved, t.fault = 0, false, false, ""
}

// parse appends the value that is the whole of src, checked strictly: RFC 8259,
// UTF-8, at most MaxDepth levels.
func (t *tape) parse() error {
	if len(t.src) > MaxMessageBytes {
		return errTooLong
	}
	i := t.value(0)
	if i >= 0 {
		if i = t.blank(i); i < len(t.src) {
			i = t.failAt(i, "text after the end of the value")
		}
	}
	if i >= 0 && t.high && !utf8.Valid(t.src) {
		return errors.New("the message is not JSON: it is not valid UTF-8")
	}
	if i < 0 {
		return fmt.Errorf("the message is not JSON: %s at byte %d", t.fault, t.at)
	}
	return nil
}

func (t *tape) failAt(i int, fault string) int {
	if t.fault == "" {
		t.at, t.fault = i, fault
		if i >= len(t.src) {
			t.at, t.fault = len(t.src), "it ends too early"
		}
	}
	return -1
}

// whiteSpace has a bit for each character that JSON takes as white space.
const whiteSpace = uint64(1<<' ' | 1<<'\n' | 1<<'\t' | 1<<'\r')

// blank skips white space.
func (t *tape) blank(i int) int {
	for i < len(t.src) && t.src[i] <= ' ' && 1<<t.src[i]&whiteSpace != 0 {
		i++
	}
	return i
}

// push appends a node without name; the object it is a member of adds that.
func (t *tape) push(k kind, start, end int) {
	if len(t.nodes) < cap(t.nodes) {
		t.nodes = t.nodes[:len(t.nodes)+1]
		n := &t.nodes[len(t.nodes)-1]
		n.kind, n.flags, n.id, n.size = k, 0, 0, 1
		n.start, n.end, n.mask = uint32(start), uint32(end), 0
		return
	}
	t.nodes = append(t.nodes, node{kind: k, size: 1, start: uint32(start), end: uint32(end)})
}

// value parses the value at i and returns the position behind it, -1 when it is
// not JSON.
func (t *tape) value(i int) int {
	i = t.blank(i)
	if i >= len(t.src) {
		return t.failAt(i, "")
	}
	switch t.src[i] {
	case '"':
		end, found := scanString(t.src, i+1)
		if end < 0 {
			return t.failAt(i, "a string that does not end or has a bad escape or control character")
		}
		t.push(kindString, i+1, end)
		if found != 0 {
			t.nodes[len(t.nodes)-1].flags = found & scanEscaped // which is flagEscaped
			t.high = t.high || found&scanHigh != 0
		}
		return end + 1
	case '{':
		return t.object(i)
	case '[':
		return t.array(i)
	case 't':
		return t.word(i, "true", kindTrue)
	case 'f':
		return t.word(i, "false", kindFalse)
	case 'n':
		return t.word(i, "null", kindNull)
	}
	end, float := scanNumber(t.src, i)
	if end < 0 {
		return t.failAt(i, "no value")
	}
	k := kindInt
	if float {
		k = kindFloat
	}
	t.push(k, i, end)
	return end
}

func (t *tape) word(i int, word string, k kind) int {
	end := i + len(word)
	if end > len(t.src) || string(t.src[i:end]) != word {
		return t.failAt(i, "no value")
	}
	t.push(k, i, end)
	return end
}

func (t *tape) array(i int) int {
	a := len(t.nodes)
	t.push(kindArray, i, i)
	if t.depth++; t.depth > MaxDepth {
		return t.failAt(i, "nested too deep")
	}
	if i = t.blank(i + 1); i < len(t.src) && t.src[i] == ']' {
		return t.close(a, i)
	}
	for {
		if i = t.value(i); i < 0 {
			return i
		}
		i = t.blank(i)
		if i >= len(t.src) || t.src[i] != ',' && t.src[i] != ']' {
			return t.failAt(i, "no comma or end of array")
		}
		if t.src[i] == ']' {
			return t.close(a, i)
		}
		i++
	}
}

// close ends the array or object o, whose bracket is at i.
func (t *tape) close(o, i int) int {
	t.depth--
	n := &t.nodes[o]
	n.end, n.size = uint32(i+1), uint32(len(t.nodes)-o)
	return i + 1
}

func (t *tape) object(i int) int {
	o := len(t.nodes)
	t.push(kindObject, i, i)
	t.objects = append(t.objects, uint32(o))
	if t.depth++; t.depth > MaxDepth {
		return t.failAt(i, "nested too deep")
	}
	if i = t.blank(i + 1); i < len(t.src) && t.src[i] == '}' {
		return t.close(o, i)
	}
	var seen [8]uint64 // of name hashes: a name is new unless its bit is set
	var mask uint64
	again := false
	for {
		var hash uint64
		var id nameID
		i, id, hash = t.member(t.blank(i))
		if i < 0 {
			return i
		}
		word, bit := &seen[hash>>40&7], uint64(1)<<(hash>>43&63)
		again = again || *word&bit != 0
		*word |= bit
		if id != 0 {
			mask |= 1 << (id & 63)
		}
		i = t.blank(i)
		if i >= len(t.src) || t.src[i] != ',' && t.src[i] != '}' {
			return t.failAt(i, "no comma or end of object")
		}
		if t.src[i] == '}' {
			t.nodes[o].mask = mask
			if again {
				t.dedupe(o)
			}
			return t.close(o, i)
		}
		i++
	}
}

// member parses the name at i and its value.
func (t *tape) member(i int) (int, nameID, uint64) {
	if i >= len(t.src) || t.src[i] != '"' {
		return t.failAt(i, "no member name"), 0, 0
	}
	nameEnd, found := scanString(t.src, i+1)
	if nameEnd < 0 {
		return t.failAt(i, "a name that does not end or has a bad escape or control character"), 0, 0
	}
	name, flags := t.src[i+1:nameEnd], uint8(0)
	if found != 0 {
		t.high = t.high || found&scanHigh != 0
		if found&scanEscaped != 0 {
			t.text = unescape(t.text[:0], name)
			name, flags = t.text, flagNameEscaped
		}
	}
	id, hash := t.names.find(name)
	colon := t.blank(nameEnd + 1)
	if colon >= len(t.src) || t.src[colon] != ':' {
		return t.failAt(colon, "no colon"), 0, 0
	}
	k := len(t.nodes)
	end := t.value(colon + 1)
	if end >= 0 {
		n := &t.nodes[k]
		n.id, n.name, n.nameEnd = id, uint32(i+1), uint32(nameEnd)
		n.flags |= flags
	}
	return end, id, hash
}

// child returns the member id of object o, or none.
func (t *tape) child(o uint32, id nameID) uint32 {
	n := &t.nodes[o]
	if n.kind != kindObject || n.mask&(1<<(id&63)) == 0 {
		return none
	}
	for i, end := o+1, o+n.size; i < end; i += t.nodes[i].size {
		if t.nodes[i].id == id {
			return i
		}
	}
	return none
}

// element returns the element i of array a, or none.
func (t *tape) element(a uint32, i int) uint32 {
	n := &t.nodes[a]
	if n.kind != kindArray {
		return none
	}
	for k, end := a+1, a+n.size; k < end; k += t.nodes[k].size {
		if i == 0 {
			return k
		}
		i--
	}
	return none
}

// bytes returns the raw text of a node.
func (t *tape) bytes(n *node) []byte {
	if n.flags&flagSide != 0 {
		return t.side[n.start:n.end]
	}
	return t.src[n.start:n.end]
}

// nameOf returns the decoded name of a member; with escapes it is built in buf.
func (t *tape) nameOf(n *node, buf *[]byte) []byte {
	src := t.src
	if n.flags&flagNameSide != 0 {
		src = t.side
	}
	raw := src[n.name:n.nameEnd]
	if n.flags&flagNameEscaped != 0 {
		*buf = unescape((*buf)[:0], raw)
		return *buf
	}
	return raw
}

// dedupe removes repeated names from object o, whose members are the rest of
// the tape: the last value stands, at the place of the first. It is called when
// two names share a bit, so mostly finds nothing to do.
func (t *tape) dedupe(o int) {
	count := 0
	for i := o + 1; i < len(t.nodes); i += int(t.nodes[i].size) {
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
	repeated := false
	for i := o + 1; i < len(t.nodes); i += int(t.nodes[i].size) {
		slot := t.slot(uint32(i))
		repeated = repeated || slot.first != none
		if slot.first == none {
			slot.first = uint32(i)
		}
		slot.last = uint32(i)
	}
	if repeated {
		t.rewrite(o)
	}
}

// slot finds where the table keeps the name of member i.
func (t *tape) slot(i uint32) *repeats {
	name := t.nameOf(&t.nodes[i], &t.text)
	for h := maphash.Bytes(t.seed, name); ; h++ {
		slot := &t.table[h&uint64(len(t.table)-1)]
		if slot.first == none || bytes.Equal(name, t.nameOf(&t.nodes[slot.first], &t.other)) {
			return slot
		}
	}
}

// rewrite puts the last value of each name in the place of its first.
func (t *tape) rewrite(o int) {
	t.moved = true
	t.spare = t.spare[:0]
	for i := o + 1; i < len(t.nodes); i += int(t.nodes[i].size) {
		if s := t.slot(uint32(i)); s.first == uint32(i) {
			t.spare = append(t.spare, t.nodes[s.last:s.last+t.nodes[s.last].size]...)
		}
	}
	t.nodes = append(t.nodes[:o+1], t.spare...)
}

// settle lists the objects again when dedupe has moved them.
func (t *tape) settle() {
	if !t.moved {
		return
	}
	t.objects = t.objects[:0]
	for i := range t.nodes {
		if t.nodes[i].kind == kindObject {
			t.objects = append(t.objects, uint32(i))
		}
	}
}
