package schemas

import "time"

// Raw is one record as a broker gave it.
type Raw struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       []byte // nil when the record has none
	Value     []byte // nil for a tombstone
	Headers   []Header
	Timestamp time.Time // append time or create time, as the topic is set up
}

// Out is one record to be written. Topics carry their bare names; the
// transport adds the river's prefix.
type Out struct {
	Topic   string
	Key     string
	Value   []byte
	Headers []Header
}

// Share is one partition of one input as it was given to this process. A
// stage may keep a pointer to it while it owns the partition.
type Share struct {
	Topic      string // bare name
	Partition  int32
	Generation string    // of the topic (G6)
	Start, End int64     // offsets of the topic when the partition was assigned
	Committed  int64     // where the group had got to; -1 = nowhere
	AssignedAt time.Time // monotonic
}

// Batch is consecutive records of one share, in order.
type Batch struct {
	Share   *Share
	Records []Raw
}
