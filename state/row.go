package state

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// HeaderLayout is the first byte of every row: the layout of the header. What
// follows the header has a layout byte of its own. Layout 1:
//
//	flags, version
//	count of inputs, for each the next offset and its topic's generation (8 bytes)
//	count of owed outputs, for each input, output, offset, key and value
const HeaderLayout = 1

// The flags of a row, its second byte: what a tick looks for.
const (
	RowSilent = 1 << iota // closes something when its key falls silent
	RowWork               // has work for the next tick (G8)
	RowOwes               // owes the outputs of a tick (G1)
	RowParked             // holds values that wait for an identity (G14)
)

// Limits of a row header.
const (
	MaxInputs      = 4       // inputs of one keyed stage
	MaxOwed        = 1 << 16 // outputs that one row owes
	MaxOwedKey     = 1 << 10 // bytes of an output's key
	MaxRowBytes    = 900_000 // of a whole row; beyond it the row is full (G8)
	LargeRowBytes  = 64_000  // of a whole row; beyond it is counted
	MaxOwedBytes   = 64_000  // of what a row owes; beyond it the partition waits (G1)
	MaxOutputBytes = 900_000 // of one output; beyond it is a dead letter
)

// OwedByTick is the input of an output that no message caused.
const OwedByTick = 255

// Generation tells one life of a topic from another (G6). It is a hash: rows
// only ever ask whether two are the same. 0 = not known.
type Generation uint64

// GenerationOf returns the generation that a cluster and topic id stand for.
func GenerationOf(id string) Generation {
	if id == "" {
		return 0
	}
	h := uint64(14695981039346656037) // FNV-1a, 64 bits
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return Generation(max(h, 1))
}

// Applied says how much of one input partition a row has taken in.
type Applied struct {
	Next       int64      // offset after the highest one applied; 0 = none yet
	Generation Generation // of the topic that Next counts in
}

// Owed is an output that a row may have to send again (G1).
type Owed struct {
	Input  uint8  // which input's message caused it, or OwedByTick
	Topic  uint8  // which of the stage's outputs takes it
	Offset int64  // of the message; the row's version when a tick caused it
	Key    string // of the record
	Value  []byte // of the record
}

// Header is what every row begins with. Its zero value is that of a new row.
type Header struct {
	Flags   uint8
	Version int64 // counts the changes of the row; the order of its records (G2)
	Applied [MaxInputs]Applied
	Owed    []Owed
}

// ErrRow tells that a row cannot be read: written by a newer release, or
// damaged.
var ErrRow = errors.New("unreadable row")

// RowFlags returns the flags of a row without reading the rest; 0 of a row
// that is none.
func RowFlags(row []byte) uint8 {
	if len(row) < 2 || row[0] != HeaderLayout {
		return 0
	}
	return row[1]
}

// RowApplied returns what a row has applied without reading what it owes: for
// comparing rows with their inputs at assignment (G6).
func RowApplied(row []byte) ([MaxInputs]Applied, error) {
	var h Header
	r, err := h.readFixed(row)
	if err != nil {
		return h.Applied, err
	}
	return h.Applied, r.err
}

// Again reports whether the row has applied the message at offset before.
func (h *Header) Again(input uint8, offset int64) bool {
	return offset < h.Applied[input].Next
}

// Apply notes that the message at offset has been taken in. A generation that is
// known once stays known.
func (h *Header) Apply(input uint8, offset int64, g Generation) {
	if g == 0 {
		g = h.Applied[input].Generation
	}
	h.Applied[input] = Applied{Next: offset + 1, Generation: g}
}

// Prune drops the outputs of input whose messages are below finished, the
// first offset that is not known to be finished.
func (h *Header) Prune(input uint8, finished int64) {
	h.drop(func(o *Owed) bool { return o.Input == input && o.Offset < finished })
}

// PruneTicks drops the outputs of ticks of which sent says that they are out.
func (h *Header) PruneTicks(sent func(version int64) bool) {
	h.drop(func(o *Owed) bool { return o.Input == OwedByTick && sent(o.Offset) })
}

func (h *Header) drop(gone func(*Owed) bool) {
	kept := h.Owed[:0]
	for i := range h.Owed {
		if !gone(&h.Owed[i]) {
			kept = append(kept, h.Owed[i])
		}
	}
	clear(h.Owed[len(kept):])
	h.Owed = kept
}

// OwedBytes returns how many bytes the row owes because of input.
func (h *Header) OwedBytes(input uint8) int {
	n := 0
	for i := range h.Owed {
		if h.Owed[i].Input == input {
			n += len(h.Owed[i].Key) + len(h.Owed[i].Value)
		}
	}
	return n
}

// LastOwed returns the highest offset of input for which the row owes an
// output; -1 when there is none.
func (h *Header) LastOwed(input uint8) int64 {
	last := int64(-1)
	for i := range h.Owed {
		if h.Owed[i].Input == input {
			last = max(last, h.Owed[i].Offset)
		}
	}
	return last
}

// OwesTick reports whether the row owes the outputs of a tick.
func (h *Header) OwesTick() bool { return h.LastOwed(OwedByTick) >= 0 }

// AppendTo appends the header; the stage's own bytes follow.
func (h *Header) AppendTo(dst []byte) []byte {
	flags := h.Flags &^ RowOwes
	if h.OwesTick() {
		flags |= RowOwes
	}
	dst = append(dst, HeaderLayout, flags)
	dst = binary.AppendUvarint(dst, uint64(h.Version))
	n := MaxInputs
	for n > 0 && h.Applied[n-1] == (Applied{}) {
		n--
	}
	dst = append(dst, byte(n))
	for _, a := range h.Applied[:n] {
		dst = binary.AppendUvarint(dst, uint64(a.Next))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(a.Generation))
	}
	dst = binary.AppendUvarint(dst, uint64(len(h.Owed)))
	for i := range h.Owed {
		o := &h.Owed[i]
		dst = append(dst, o.Input, o.Topic)
		dst = binary.AppendUvarint(dst, uint64(o.Offset))
		dst = appendText(dst, o.Key)
		dst = appendText(dst, o.Value)
	}
	return dst
}

// ReadHeader reads the header of a row into h and returns what follows it.
// Values that the row owes alias row. An empty row is a new one.
func (h *Header) ReadHeader(row []byte) (body []byte, err error) {
	owed := h.Owed[:0]
	*h = Header{Owed: owed}
	if len(row) == 0 {
		return nil, nil
	}
	r, err := h.readFixed(row)
	if err != nil {
		return nil, err
	}
	n := r.count(MaxOwed)
	for range n {
		o := Owed{Input: r.byte(), Topic: r.byte(), Offset: r.int()}
		o.Key = string(r.bytes(MaxOwedKey))
		o.Value = r.bytes(MaxRowBytes)
		if r.err != nil {
			break
		}
		h.Owed = append(h.Owed, o)
	}
	return r.b, r.err
}

func (h *Header) readFixed(row []byte) (reader, error) {
	if len(row) < 2 {
		return reader{}, fmt.Errorf("%w: %d bytes", ErrRow, len(row))
	}
	if row[0] != HeaderLayout {
		return reader{}, fmt.Errorf("%w: header layout %d, this release knows %d", ErrRow, row[0], HeaderLayout)
	}
	r := reader{b: row[2:]}
	h.Flags = row[1]
	h.Version = r.int()
	n := r.count(MaxInputs)
	for i := range n {
		h.Applied[i] = Applied{Next: r.int(), Generation: Generation(r.uint64())}
	}
	return r, r.err
}
