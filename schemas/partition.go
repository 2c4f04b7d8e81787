package schemas

import (
	"hash"
	"hash/fnv"
)

// NewHash returns the hash that Goka and our producers share: FNV-1a, 32 bits.
func NewHash() hash.Hash32 { return fnv.New32a() }

// PartitionOf returns the partition, out of n, of a key: FNV-1a 32 bits read
// as a signed number, the remainder made positive (Sarama's rule, which is
// Goka's). n must be a power of two: else Goka's views disagree on one key in
// 2^32.
func PartitionOf(key string, n int32) int32 {
	h := uint32(2166136261)
	for i := range len(key) {
		h = (h ^ uint32(key[i])) * 16777619
	}
	p := int32(h) % n
	if p < 0 {
		p = -p
	}
	return p
}
