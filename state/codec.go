package state

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"auscult/schemas"
)

// reader takes values off the front of b. After the first error it returns
// zeros, so that a decoder checks once, at its end.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrRow, what)
	}
	r.b = nil
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail("ends within a byte")
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uint() uint64 {
	if len(r.b) > 0 && r.b[0] < 0x80 { // most are one byte
		v := r.b[0]
		r.b = r.b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("ends within a number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// int reads a number that is never negative.
func (r *reader) int() int64 {
	v := r.uint()
	if v > math.MaxInt64 {
		r.fail("number too large")
		return 0
	}
	return int64(v)
}

func (r *reader) zigzag() int64 {
	v := r.uint()
	return int64(v>>1) ^ -int64(v&1)
}

func (r *reader) uint64() uint64 {
	if len(r.b) < 8 {
		r.fail("ends within a word")
		return 0
	}
	v := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

func (r *reader) ticks() schemas.Ticks { return schemas.Ticks(r.zigzag()) }

// count reads how many items follow: at most limit, and each of them takes at
// least a byte.
func (r *reader) count(limit int) int {
	n := r.uint()
	if n > uint64(limit) || n > uint64(len(r.b)) {
		r.fail("too many items")
		return 0
	}
	return int(n)
}

// bytes reads a text of at most limit bytes; it aliases the row.
func (r *reader) bytes(limit int) []byte {
	n := r.uint()
	if n > uint64(limit) || n > uint64(len(r.b)) {
		r.fail("text too long")
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// text reads a text that aliases the row: rows are never written into.
func (r *reader) text() string {
	v := r.bytes(maxTextBytes)
	return unsafe.String(unsafe.SliceData(v), len(v))
}

// done reports the error met, or that bytes are left over.
func (r *reader) done() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail(fmt.Sprintf("%d bytes too many", len(r.b)))
	}
	return r.err
}

func appendText[T string | []byte](dst []byte, s T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendZigzag(dst []byte, v int64) []byte {
	return binary.AppendUvarint(dst, uint64(v)<<1^uint64(v>>63))
}

func appendTicks(dst []byte, t schemas.Ticks) []byte { return appendZigzag(dst, int64(t)) }

// maxTexts is how many different texts of a row are written once only.
const maxTexts = 64

// textTable writes a text in full the first time and as its number afterwards:
// ids are long, and each comes many times in a row.
type textTable struct{ seen []string }

func (t *textTable) reset() {
	clear(t.seen)
	t.seen = t.seen[:0]
}

func (t *textTable) append(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, 1)
	}
	for i, known := range t.seen {
		if known == s {
			return append(dst, byte(i+2))
		}
	}
	if len(t.seen) < maxTexts {
		t.seen = append(t.seen, s)
	}
	return appendText(append(dst, 0), s)
}

func (t *textTable) read(r *reader) string {
	n := r.byte()
	if n == 1 {
		return ""
	}
	if n > 1 {
		if int(n-2) >= len(t.seen) {
			r.fail("unknown text")
			return ""
		}
		return t.seen[n-2]
	}
	s := r.text()
	if s == "" {
		r.fail("empty text in full")
	}
	if len(t.seen) < maxTexts {
		t.seen = append(t.seen, s)
	}
	return s
}

func bitIf(on bool, bit byte) byte {
	if on {
		return bit
	}
	return 0
}
