// Package tape is the parsed form of a message: a flat, pre-order list of nodes
// that point into the message's bytes. It knows no mapping: whoever reads a
// message tells it which member names matter.
package tape

import "hash/maphash"

// Limits on a message.
const (
	// MaxMessageBytes is how long a message body may be.
	MaxMessageBytes = 4 << 20
	// MaxDepth is how deep arrays and objects of a message may be nested, the
	// limit of the connector's reader.
	MaxDepth = 64
)

// Kind is the kind of a token.
type Kind uint8

// The kinds of tokens.
const (
	Invalid Kind = iota
	Object       // Start, End: its braces
	Array
	String // JSON string; one that looks like a date is a date
	Text   // a string that is never a date: application property
	Date   // a timestamp property, written in ISO 8601
	Int
	Float
	True
	False
	Null
	Alias // stands for the node Start, under a name or at a place of its own; only in made-up arrays and objects
)

// Flags of a node.
const (
	FlagEscaped     = 1 << iota // the string holds escapes;
	FlagNameEscaped             // so does the name
	FlagSide                    // the text is in Side, not in the message
	FlagNameSide
	FlagFinal // a Float whose text is what .NET writes

	flagReplaced // a later member of the name, the node Start, takes this place
	flagGone     // an earlier member of the name has it
)

// Node is one token. The nodes of a value's parts follow it, in document order.
type Node struct {
	Mask       uint64 // objects: a bit for each known name among its members
	Start, End uint32 // its text; strings without the quotes
	Name       uint32 // its member name, without the quotes
	NameEnd    uint32
	Size       uint32 // nodes of the value, itself included
	ID         NameID // of its member name
	Kind       Kind
	Flags      uint8
}

// None is the index that stands for "no node": the root is nobody's member.
const None = 0

// Tape is a parsed message. It is reused; its nodes point into the message and
// into Side.
type Tape struct {
	Nodes   []Node
	Objects []uint32 // all objects of the message, in document order
	Side    []byte   // texts that are not in the message: properties, decoded and computed values

	// Keep is how much of a message gets nodes.
	Keep Keep

	names  *Names
	src    []byte
	stack  [MaxDepth + 1]frame // of the parser
	member member              // of the array or object that it opens next
	at     int                 // where the fault is
	fault  string
	left   int // steps that expressions may still take

	shapes *shapes // nil when they are not used
	shaped bool    // the message is of a known shape,
	shape  Shape   // this one

	compacted  bool   // the message has repeated names: nodes are not in document order
	watch      watch  // of the properties of the object that is open
	properties labels // of AddProperty
	parts      []part // of SetPart, which are
	prefix     []byte // at the beginning of Side
	coming     []part // of the next message

	replaced bool // there are repeated names: compact has something to do
	seed     maphash.Seed
	table    []repeats // of dedupe
	spare    []Node
	text     []byte // decoded name
	other    []byte // decoded name to compare with
}

// New returns a tape that keeps all of the messages, which are read through
// names.
func New(names *Names) *Tape { return &Tape{Keep: KeepAll, names: names, seed: maphash.MakeSeed()} }

// How many nodes and bytes of texts a tape keeps between messages: one huge
// message must not hold its memory for ever.
const (
	keepNodes = 1 << 16
	keepSide  = 1 << 20
)

// Reset empties the tape and points it at a new message.
func (t *Tape) Reset(src []byte) {
	if cap(t.Nodes) > keepNodes || cap(t.Side) > keepSide {
		t.Nodes, t.spare, t.table, t.Objects, t.Side = nil, nil, nil, nil, nil
	}
	t.src, t.Side, t.Nodes, t.Objects = src, t.Side[:0], t.Nodes[:0], t.Objects[:0]
	t.shaped, t.replaced, t.left = false, false, MaxSteps
	t.properties.next = 0
	if len(t.prefix) > 0 {
		t.Side, t.parts = append(t.Side, t.prefix...), t.coming
	}
}

// Push appends a node without name; the object it is a member of adds that.
func (t *Tape) Push(k Kind, start, end int) {
	if len(t.Nodes) < cap(t.Nodes) {
		t.Nodes = t.Nodes[:len(t.Nodes)+1]
		n := &t.Nodes[len(t.Nodes)-1]
		n.Kind, n.Flags, n.ID, n.Size = k, 0, 0, 1
		n.Start, n.End, n.Mask = uint32(start), uint32(end), 0
		return
	}
	t.Nodes = append(t.Nodes, Node{Kind: k, Size: 1, Start: uint32(start), End: uint32(end)})
}

// Child returns the member id of object o, or None.
func (t *Tape) Child(o uint32, id NameID) uint32 {
	n := &t.Nodes[o]
	if n.Kind != Object || n.Mask&(1<<(id&63)) == 0 {
		return None
	}
	passed := 0
	for i, end := o+1, o+n.Size; i < end; i += t.Nodes[i].Size {
		if t.Nodes[i].ID == id {
			t.left -= passed
			return t.Resolve(i)
		}
		passed++
	}
	t.left -= passed
	return None
}

// Element returns the element i of array a, or None.
func (t *Tape) Element(a uint32, i int) uint32 {
	n := &t.Nodes[a]
	if n.Kind != Array {
		return None
	}
	left := i
	for k, end := a+1, a+n.Size; k < end; k += t.Nodes[k].Size {
		if left == 0 {
			t.left -= i
			return t.Resolve(k)
		}
		left--
	}
	t.left -= i - left
	return None
}

// NameOf returns the decoded name of a member; with escapes it is built in buf.
func (t *Tape) NameOf(n *Node, buf *[]byte) []byte {
	src := t.src
	if n.Flags&FlagNameSide != 0 {
		src = t.Side
	}
	raw := src[n.Name:n.NameEnd]
	if n.Flags&FlagNameEscaped != 0 {
		*buf = Unescape((*buf)[:0], raw)
		return *buf
	}
	return raw
}

// Keep says which scalars of a message become nodes; arrays and objects always
// do. What no expression can see need not be kept.
type Keep uint8

// What is kept, each more than the one before.
const (
	KeepNamed    Keep = iota // members whose names are known
	KeepElements             // and elements of arrays
	KeepAll
)
