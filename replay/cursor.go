package replay

import (
	"context"
	"iter"

	"auscult/kafka"
	"auscult/schemas"
)

// Cursor gives the records of one partition in order.
type Cursor interface {
	Partition() int32
	// Next returns the next record; ok is false behind the last one.
	Next() (r schemas.Raw, ok bool, err error)
}

// chunkRecords is how many offsets of a topic are read at a time.
const chunkRecords = 5000

// topicCursor reads a span of one partition of a topic, a chunk at a time.
type topicCursor struct {
	ctx       context.Context
	conn      *kafka.Conn
	partition int32
	span      kafka.Span
	chunk     []schemas.Raw
}

// Topic returns the cursors of spans of devicedata.
func Topic(ctx context.Context, conn *kafka.Conn, spans map[int32]kafka.Span) []Cursor {
	var all []Cursor
	for p, s := range spans {
		all = append(all, &topicCursor{ctx: ctx, conn: conn, partition: p, span: s})
	}
	return all
}

// Partition returns the partition's number.
func (c *topicCursor) Partition() int32 { return c.partition }

// Next returns the next record of the span.
func (c *topicCursor) Next() (schemas.Raw, bool, error) {
	for len(c.chunk) == 0 {
		if c.span.From >= c.span.To {
			return schemas.Raw{}, false, nil
		}
		to := min(c.span.From+chunkRecords, c.span.To)
		one := map[int32]kafka.Span{c.partition: {From: c.span.From, To: to}}
		err := c.conn.ReadSpans(c.ctx, schemas.TopicDeviceData, one, func(r schemas.Raw) error {
			c.chunk = append(c.chunk, r)
			return nil
		})
		if err != nil {
			return schemas.Raw{}, false, err
		}
		c.span.From = to
	}
	r := c.chunk[0]
	c.chunk = c.chunk[1:]
	return r, true, nil
}

// pulled is a cursor over a sequence.
type pulled struct {
	partition int32
	next      func() (schemas.Raw, error, bool)
	stop      func()
}

// Records returns the cursor of a sequence of records of one partition, such as
// the files of a raw zone give.
func Records(partition int32, all iter.Seq2[schemas.Raw, error]) Cursor {
	next, stop := iter.Pull2(all)
	return &pulled{partition, next, stop}
}

// Partition returns the partition's number.
func (c *pulled) Partition() int32 { return c.partition }

// Next returns the next record of the sequence.
func (c *pulled) Next() (schemas.Raw, bool, error) {
	r, err, ok := c.next()
	if !ok || err != nil {
		c.stop()
		return schemas.Raw{}, false, err
	}
	return r, true, nil
}

// merge gives the records of all cursors in the order of their append times;
// within a partition in the order of their offsets.
func merge(cursors []Cursor) iter.Seq2[schemas.Raw, error] {
	return func(yield func(schemas.Raw, error) bool) {
		type head struct {
			cursor Cursor
			record schemas.Raw
		}
		var heads []head
		defer func() { // a replay that ends early lets go of its files
			for _, c := range cursors {
				if p, ok := c.(*pulled); ok {
					p.stop()
				}
			}
		}()
		for _, c := range cursors {
			r, ok, err := c.Next()
			if err != nil {
				yield(schemas.Raw{}, err)
				return
			}
			if ok {
				heads = append(heads, head{c, r})
			}
		}
		for len(heads) > 0 {
			first := 0
			for i := range heads {
				if before(&heads[i].record, &heads[first].record) {
					first = i
				}
			}
			h := &heads[first]
			if !yield(h.record, nil) {
				return
			}
			r, ok, err := h.cursor.Next()
			switch {
			case err != nil:
				yield(schemas.Raw{}, err)
				return
			case ok:
				h.record = r
			default:
				heads = append(heads[:first], heads[first+1:]...)
			}
		}
	}
}

func before(a, b *schemas.Raw) bool {
	if !a.Timestamp.Equal(b.Timestamp) {
		return a.Timestamp.Before(b.Timestamp)
	}
	return a.Partition < b.Partition
}
