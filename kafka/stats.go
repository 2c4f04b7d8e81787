package kafka

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Stats is where the drivers of a process say how far they are, for the
// console. The zero value is ready; a nil one takes everything and keeps
// nothing.
type Stats struct {
	mu     sync.Mutex
	gauges map[gaugeKey]*gauge
}

type gaugeKey struct {
	stage, topic string
	partition    int32
}

// gauge is how far one stage is in one partition.
type gauge struct {
	position, end atomic.Int64
	records       atomic.Int64
	message       atomic.Int64 // append time of the last finished record, unix ms
	owned         atomic.Bool
}

// PartitionStats is how far one stage is in one partition of an input, as this
// process saw it last.
type PartitionStats struct {
	Stage     string
	Topic     string // bare name
	Partition int32
	Owned     bool      // this process has the partition now
	Position  int64     // everything below is finished
	End       int64     // of the topic, as of the last fetch
	Records   int64     // finished since the process began
	Message   time.Time // timestamp of the last finished record
}

// Lag returns how many offsets are not finished.
func (p PartitionStats) Lag() int64 { return max(p.End-p.Position, 0) }

// gauge returns the gauge of a partition. It is the same one each time the
// partition comes back to this process.
func (s *Stats) gauge(stage, topic string, partition int32) *gauge {
	if s == nil {
		return &gauge{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gauges == nil {
		s.gauges = map[gaugeKey]*gauge{}
	}
	k := gaugeKey{stage, topic, partition}
	if s.gauges[k] == nil {
		s.gauges[k] = &gauge{}
	}
	return s.gauges[k]
}

// Snapshot returns the state of every partition, ordered by stage, topic and
// partition.
func (s *Stats) Snapshot() []PartitionStats {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]PartitionStats, 0, len(s.gauges))
	for k, g := range s.gauges {
		p := PartitionStats{
			Stage: k.stage, Topic: k.topic, Partition: k.partition, Owned: g.owned.Load(),
			Position: g.position.Load(), End: g.end.Load(), Records: g.records.Load(),
		}
		if ms := g.message.Load(); ms != 0 {
			p.Message = time.UnixMilli(ms)
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b PartitionStats) int {
		return cmp.Or(cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return all
}

// begin says that the partition is ours, read from position on.
func (g *gauge) begin(position, end int64) {
	g.position.Store(position)
	g.end.Store(max(end, position))
	g.owned.Store(true)
}

// saw says where the partition ended when it was last read.
func (g *gauge) saw(end int64) {
	if end > g.end.Load() {
		g.end.Store(end)
	}
}

// moved says that everything below position is finished, n records more.
func (g *gauge) moved(position int64, n int, message time.Time) {
	g.position.Store(position)
	g.records.Add(int64(n))
	if !message.IsZero() {
		g.message.Store(message.UnixMilli())
	}
}

// leave says that the partition is no longer ours.
func (g *gauge) leave() { g.owned.Store(false) }
