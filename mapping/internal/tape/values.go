package tape

import (
	"errors"
	"strconv"
	"unsafe"

	"auscult/mapping/internal/dotnet"
	"auscult/schemas"
)

// MaxSteps is how many nodes expressions may look at for one message, over all
// templates: paths such as $..a..b are not linear in the message.
const MaxSteps = 10_000_000

// ErrSteps stops an expression that has looked at too many nodes.
var ErrSteps = errors.New("the expressions of the mapping look at more than 10000000 nodes of this message: use narrower paths than .. and *")

// Spend takes n steps from what a message may cost; false when it is used up.
func (t *Tape) Spend(n int) bool {
	t.left -= n
	return t.left >= 0
}

// Spent reports whether what a message may cost is used up. Child, Element and
// Walk count the nodes that they pass, but do not stop.
func (t *Tape) Spent() bool { return t.left < 0 }

// Resolve follows an alias to the node that it stands for.
func (t *Tape) Resolve(i uint32) uint32 {
	if n := &t.Nodes[i]; n.Kind == Alias {
		return n.Start
	}
	return i
}

// Raw returns the text of a node as it stands: strings with their escapes,
// without quotes.
func (t *Tape) Raw(n *Node) []byte {
	if n.Flags&FlagSide != 0 {
		return t.Side[n.Start:n.End]
	}
	return t.src[n.Start:n.End]
}

// Decoded returns the text of a String, Text or Date node without escapes. It
// stays as it is until the next message.
func (t *Tape) Decoded(n *Node) []byte {
	raw := t.Raw(n)
	if n.Flags&FlagEscaped == 0 {
		return raw
	}
	start := len(t.Side)
	t.Side = Unescape(t.Side, raw)
	return t.Side[start:]
}

// DateOf reads a node that is a date token: a Date, or a String that looks like
// one to the connector's reader.
func (t *Tape) DateOf(n *Node) (dotnet.Instant, bool) {
	switch n.Kind {
	case String:
		return dotnet.DateToken(t.Decoded(n))
	case Date:
		return dotnet.DateToken(t.Raw(n))
	}
	return dotnet.Instant{}, false
}

// Int64 reads an Int node; false when it does not fit.
func (t *Tape) Int64(n *Node) (int64, bool) {
	v, err := strconv.ParseInt(alias(t.Raw(n)), 10, 64)
	return v, err == nil
}

// Float64 reads an Int or Float node; what is too large is infinite.
func (t *Tape) Float64(n *Node) float64 { return dotnet.ParseFloat(t.Raw(n)) }

// AddInt appends a made-up integer and returns its node.
func (t *Tape) AddInt(v int64) uint32 {
	start := len(t.Side)
	t.Side = strconv.AppendInt(t.Side, v, 10)
	return t.addSide(Int, start)
}

// AddBigInt appends a made-up integer beyond 64 bits, given by its digits.
func (t *Tape) AddBigInt(digits []byte) uint32 {
	start := len(t.Side)
	t.Side = append(t.Side, digits...)
	return t.addSide(Int, start)
}

// AddFloat appends a made-up number. It may be infinite or NaN, which no message
// can hold.
func (t *Tape) AddFloat(v float64) uint32 {
	start := len(t.Side)
	t.Side = dotnet.AppendFloat(t.Side, v)
	i := t.addSide(Float, start)
	t.Nodes[i].Flags |= FlagFinal
	return i
}

// AddText appends a made-up string, which never is a date.
func (t *Tape) AddText(s []byte) uint32 {
	start := len(t.Side)
	t.Side = append(t.Side, s...)
	return t.addSide(Text, start)
}

// AddDate appends a made-up date.
func (t *Tape) AddDate(in dotnet.Instant) uint32 {
	start := len(t.Side)
	t.Side = dotnet.AppendDateISO(t.Side, in)
	return t.addSide(Date, start)
}

// AddWord appends true, false or null.
func (t *Tape) AddWord(k Kind) uint32 { return t.addSide(k, len(t.Side)) }

// AddArray begins a made-up array; AddElement appends to the array that was
// begun last, before anything else is added.
func (t *Tape) AddArray() uint32 { return t.addSide(Array, len(t.Side)) }

// AddElement appends an alias of node i to array a.
func (t *Tape) AddElement(a, i uint32) {
	t.Push(Alias, int(t.Resolve(i)), 0)
	t.Nodes[a].Size++
}

// AddObject begins a made-up object; AddMember appends to the object that was
// begun last, before anything else is added.
func (t *Tape) AddObject() uint32 { return t.addSide(Object, len(t.Side)) }

// AddMember appends an alias of node i to object o under a name that o does not
// have yet.
func (t *Tape) AddMember(o, i uint32, name []byte) {
	t.Push(Alias, int(t.Resolve(i)), 0)
	t.SetName(o, uint32(len(t.Nodes)-1), alias(name))
	t.Nodes[o].Size++
}

// AddMemberLike appends an alias of node i to object o under the name of node
// like, which o does not have yet.
func (t *Tape) AddMemberLike(o, i, like uint32) {
	named := t.Nodes[like]
	t.Push(Alias, int(t.Resolve(i)), 0)
	n := &t.Nodes[len(t.Nodes)-1]
	n.ID, n.Name, n.NameEnd, n.Flags = named.ID, named.Name, named.NameEnd, named.Flags&(FlagNameEscaped|FlagNameSide)
	parent := &t.Nodes[o]
	parent.Size++
	if n.ID != 0 {
		parent.Mask |= 1 << (n.ID & 63)
	}
}

// Len counts the elements of array a, or the members of an object.
func (t *Tape) Len(a uint32) int {
	count := 0
	for i, end := a+1, a+t.Nodes[a].Size; i < end; i += t.Nodes[i].Size {
		count++
	}
	return count
}

// addSide appends a node whose text is Side from start on.
func (t *Tape) addSide(k Kind, start int) uint32 {
	t.Push(k, start, len(t.Side))
	t.Nodes[len(t.Nodes)-1].Flags = FlagSide
	return uint32(len(t.Nodes) - 1)
}

// SetName makes node i, the last one of object o, which is open, its member
// name.
func (t *Tape) SetName(o, i uint32, name string) {
	id, _ := t.names.Find(bytesOf(name))
	start := len(t.Side)
	t.Side = append(t.Side, name...)
	n := &t.Nodes[i]
	n.ID, n.Name, n.NameEnd = id, uint32(start), uint32(len(t.Side))
	n.Flags |= FlagNameSide
	if id != 0 {
		t.Nodes[o].Mask |= 1 << (id & 63)
	}
}

// bytesOf is s as bytes that are only read.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// AppendTime appends t as a date token spells it.
func AppendTime(dst []byte, t schemas.Ticks) []byte {
	return dotnet.AppendDateISO(dst, dotnet.Instant{Ticks: t, Zone: dotnet.ZoneUTC})
}

// alias returns b as a string that shares its bytes.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Step is one step of a chain: a member, or an element of an array.
type Step struct {
	Name    NameID
	Index   int
	IsIndex bool
}

// Walk follows steps from node n; ok is false when they lead nowhere.
func (t *Tape) Walk(n uint32, steps []Step) (node uint32, ok bool) {
	for i := range steps {
		s := &steps[i]
		var next uint32
		if s.IsIndex {
			next = t.Element(n, s.Index)
		} else {
			next = t.Child(n, s.Name)
		}
		if next == None {
			return None, false
		}
		n = next
	}
	return n, true
}
