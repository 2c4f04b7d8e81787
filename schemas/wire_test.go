package schemas

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// TestAppendLong compares with the library, around every length and at random.
func TestAppendLong(t *testing.T) {
	check := func(v int64) {
		if got, want := appendLong([]byte{7}, v), binary.AppendVarint([]byte{7}, v); !bytes.Equal(got, want) {
			t.Fatalf("%d: % x, want % x", v, got, want)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for bit := range 64 {
		for d := int64(-3); d <= 3; d++ {
			check(1<<bit + d)
			check(-1<<bit + d)
		}
		for range 1000 {
			check(int64(random.Uint64()) >> bit)
		}
	}
}
