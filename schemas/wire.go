package schemas

import (
	"encoding/binary"
	"errors"
	"math"
	"unsafe"
)

// Why a record cannot be read. Nothing of its content is in these texts.
var (
	errShort    = errors.New("it ends too early")
	errNumber   = errors.New("a number is out of range")
	errLength   = errors.New("a length is negative or beyond the end")
	errTrailing = errors.New("bytes follow its end")
)

// The appenders write Avro's binary form.

func appendLong(dst []byte, v int64) []byte {
	u := uint64(v<<1) ^ uint64(v>>63)
	if u < 0x80 { // most lengths and counts
		return append(dst, byte(u))
	}
	return appendLonger(dst, u)
}

// appendLonger writes a number of several bytes. Times of this age have nine,
// which are made at once: 56 bits are spread to seven a byte.
func appendLonger(dst []byte, u uint64) []byte {
	if u < 1<<56 || u >= 1<<63 {
		return binary.AppendUvarint(dst, u)
	}
	x := u&0x0FFF_FFFF | u<<4&0x0FFF_FFFF_0000_0000
	x = x&0x0000_3FFF_0000_3FFF | x<<2&0x3FFF_0000_3FFF_0000
	x = x&0x007F_007F_007F_007F | x<<1&0x7F00_7F00_7F00_7F00
	return append(binary.LittleEndian.AppendUint64(dst, x|0x8080_8080_8080_8080), byte(u>>56))
}

func appendString(dst []byte, s string) []byte {
	switch n := len(s); {
	case n == 0:
		return append(dst, 0)
	case n < 64: // its length takes one byte
		return append(append(dst, byte(n<<1)), s...)
	}
	return append(appendLong(dst, int64(len(s))), s...)
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func appendDouble(dst []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
}

// appendNullable writes the union [null, bytes]: nil and empty differ, as they
// do for Kafka keys, values and header values.
func appendNullable(dst, v []byte) []byte {
	if v == nil {
		return append(dst, 0)
	}
	return append(appendLong(append(dst, 2), int64(len(v))), v...)
}

// appendCount opens an array of n items in one block. appendEnd closes it; an
// empty array is its end alone.
func appendCount(dst []byte, n int) []byte {
	if n == 0 {
		return dst
	}
	return appendLong(dst, int64(n))
}

func appendEnd(dst []byte) []byte { return append(dst, 0) }

func appendStrings(dst []byte, list []string) []byte {
	dst = appendCount(dst, len(list))
	for _, s := range list {
		dst = appendString(dst, s)
	}
	return appendEnd(dst)
}

// reader walks over the body of a record. The first error sticks and empties
// it, so that all loops end; callers look once, at the end. Lists grow only as
// their items are really there: a hostile length allocates nothing.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) long() int64 {
	if len(r.b) > 0 && r.b[0] < 0x80 {
		u := uint64(r.b[0])
		r.b = r.b[1:]
		return int64(u>>1) ^ -int64(u&1)
	}
	return r.longer()
}

func (r *reader) longer() int64 {
	u, n := binary.Uvarint(r.b)
	switch {
	case n == 0:
		r.fail(errShort)
		return 0
	case n < 0:
		r.fail(errNumber)
		return 0
	}
	r.b = r.b[n:]
	return int64(u>>1) ^ -int64(u&1)
}

func (r *reader) int() int32 {
	v := r.long()
	if v != int64(int32(v)) {
		r.fail(errNumber)
		return 0
	}
	return int32(v)
}

func (r *reader) ticks() Ticks { return Ticks(r.long()) }

// enum reads the index of one of n symbols.
func (r *reader) enum(n int) int32 {
	v := r.long()
	if v < 0 || v >= int64(n) {
		r.fail(errNumber)
		return 0
	}
	return int32(v)
}

func (r *reader) bool() bool {
	if len(r.b) == 0 {
		r.fail(errShort)
		return false
	}
	v := r.b[0]
	if v > 1 {
		r.fail(errNumber)
		return false
	}
	r.b = r.b[1:]
	return v == 1
}

func (r *reader) double() float64 {
	if len(r.b) < 8 {
		r.fail(errShort)
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(r.b))
	r.b = r.b[8:]
	return v
}

// bytes returns a part of the record itself, not a copy; never nil.
func (r *reader) bytes() []byte {
	n := r.long()
	if uint64(n) > uint64(len(r.b)) {
		r.fail(errLength)
		n = 0
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// string returns a part of the record itself: it changes when the buffer does.
func (r *reader) string() string {
	v := r.bytes()
	return unsafe.String(unsafe.SliceData(v), len(v))
}

func (r *reader) nullable() []byte {
	if r.enum(2) == 0 {
		return nil
	}
	return r.bytes()
}

// block returns how many items the next block of an array holds; 0 at its end.
// Other writers may cut arrays into several blocks, and give their sizes.
func (r *reader) block() int64 {
	n := r.long()
	if n < 0 {
		n = -n
		r.long()
	}
	// Each of our items takes at least one byte. The lowest number stays
	// negative when its sign is turned.
	if n < 0 || n > int64(len(r.b)) {
		r.fail(errLength)
		return 0
	}
	return n
}

func (r *reader) strings(list []string) []string {
	list = list[:0]
	for n := r.block(); n > 0; n = r.block() {
		for ; n > 0 && r.err == nil; n-- {
			list = append(list, r.string())
		}
	}
	return list
}

// more returns list with room for one item more. What the room held before is
// still there, so that its own lists can be used again.
func more[T any](list []T) []T {
	if len(list) < cap(list) {
		return list[:len(list)+1]
	}
	var zero T
	return append(list, zero)
}
