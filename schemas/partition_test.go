package schemas

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
)

// Goka's views ask Sarama's partitioner with Goka's hasher; our producers must
// put every key where they look.
func TestPartitionIsSaramasWithGokasHasher(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	sarama1 := sarama.NewCustomHashPartitioner(NewHash)("any")
	sarama2 := sarama.NewCustomHashPartitioner(goka.DefaultHasher())("any")
	negative := 0
	for i := range 20_000 {
		key := fmt.Sprintf("device-%d-%x", i, rng.Uint64())
		if i%3 == 0 {
			b := make([]byte, rng.IntN(40))
			for j := range b {
				b[j] = byte(rng.Uint32())
			}
			key = string(b)
		}
		n := int32(1) << rng.IntN(8)
		got := PartitionOf(key, n)
		for _, p := range []sarama.Partitioner{sarama1, sarama2} {
			want, err := p.Partition(&sarama.ProducerMessage{Key: sarama.StringEncoder(key)}, n)
			if err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Fatalf("key %q of %d partitions: %d, Sarama says %d", key, n, got, want)
			}
		}
		h := NewHash()
		h.Write([]byte(key))
		if int32(h.Sum32()) < 0 {
			negative++
		}
	}
	if negative < 5_000 {
		t.Errorf("only %d keys try the sign rule", negative)
	}
}

func TestPartitionAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { _ = PartitionOf("bidmc-07", 8) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
