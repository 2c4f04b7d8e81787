package kafka

import (
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
)

// How much of one partition is kept that nobody has taken yet. When that is
// reached the client stops fetching this partition alone, until half of it is
// taken.
//
// A partition that is fetched again must wait for the fetch of the others that
// is under way, for as long as that may wait for records. The second half must
// last that long, or a full partition beside an idle one gets half a buffer for
// each of these waits.
const (
	intakeRecords = 10_000
	intakeBytes   = 8 << 20
	intakeMaxWait = 100 * time.Millisecond
)

// intake holds what was fetched of one partition until it is taken. Adding
// never waits, so a slow partition holds up no other.
type intake struct {
	client    *kgo.Client
	topic     string // the broker's name
	partition int32
	wake      chan struct{} // something has changed

	mu      sync.Mutex
	records []*kgo.Record
	head    int
	bytes   int
	paused  bool
	closed  bool
}

func newIntake(client *kgo.Client, topic string, partition int32) *intake {
	return &intake{client: client, topic: topic, partition: partition, wake: make(chan struct{}, 1)}
}

func recordBytes(r *kgo.Record) int { return len(r.Key) + len(r.Value) }

// add takes fetched records in.
func (q *intake) add(records []*kgo.Record) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.records = append(q.records, records...)
	for _, r := range records {
		q.bytes += recordBytes(r)
	}
	if !q.paused && (len(q.records)-q.head >= intakeRecords || q.bytes >= intakeBytes) {
		q.paused = true
		q.client.PauseFetchPartitions(map[string][]int32{q.topic: {q.partition}})
	}
	q.signal()
}

// signal makes a taker look again.
func (q *intake) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns the next record, nil when there is none.
func (q *intake) take() *kgo.Record {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head == len(q.records) {
		return nil
	}
	r := q.records[q.head]
	q.records[q.head] = nil
	q.head++
	q.bytes -= recordBytes(r)
	if q.head == len(q.records) {
		q.records, q.head = q.records[:0], 0
	}
	if q.paused && len(q.records)-q.head < intakeRecords/2 && q.bytes < intakeBytes/2 {
		q.resume()
	}
	return r
}

// resume lets the client fetch again. The lock is held.
func (q *intake) resume() {
	q.paused = false
	q.client.ResumeFetchPartitions(map[string][]int32{q.topic: {q.partition}})
}

// close drops what is left. A pause would outlive the assignment.
func (q *intake) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.records, q.head, q.bytes = nil, 0, 0
	if q.paused {
		q.resume()
	}
}

// buffered returns how many records wait.
func (q *intake) buffered() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.records) - q.head
}

// messageOf gives a record the form that Goka reads.
func messageOf(r *kgo.Record, topic string) *sarama.ConsumerMessage {
	m := &sarama.ConsumerMessage{
		Topic: topic, Partition: r.Partition, Offset: r.Offset,
		Key: r.Key, Value: r.Value, Timestamp: r.Timestamp,
	}
	if len(r.Headers) > 0 {
		headers := make([]sarama.RecordHeader, len(r.Headers))
		m.Headers = make([]*sarama.RecordHeader, len(r.Headers))
		for i, h := range r.Headers {
			headers[i] = sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value}
			m.Headers[i] = &headers[i]
		}
	}
	return m
}
