package kafka

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// CommitMeta travels with every committed offset: what every process must be
// able to see of an owner that is not its own (rule G15), and which topic the
// offset belongs to (rule G6). Its text stays far below the 1,024 bytes that
// Event Hubs takes.
type CommitMeta struct {
	Parked     int    // keys with values that wait for an identity
	Owes       int    // outputs that are not out, and work for the next tick
	End        string // hash of D: rows have been visited with trigger end
	Generation string // of the topic
}

// String returns the metadata as it is committed.
func (m CommitMeta) String() string {
	return fmt.Sprintf("parked=%d owes=%d end=%s gen=%s", m.Parked, m.Owes, m.End, m.Generation)
}

// ParseCommitMeta reads metadata. Words it does not know are passed over; text
// of another program gives false.
func ParseCommitMeta(text string) (m CommitMeta, ok bool) {
	for word := range strings.FieldsSeq(text) {
		name, value, found := strings.Cut(word, "=")
		if !found {
			return CommitMeta{}, false
		}
		var err error
		switch name {
		case "parked":
			m.Parked, err = strconv.Atoi(value)
			ok = true
		case "owes":
			m.Owes, err = strconv.Atoi(value)
		case "end":
			m.End = value
		case "gen":
			m.Generation = value
		}
		if err != nil {
			return CommitMeta{}, false
		}
	}
	return m, ok
}

// topicPartition names a partition by the broker's name of its topic.
type topicPartition struct {
	topic     string
	partition int32
}

// commitPoint is an offset to commit with its metadata.
type commitPoint struct {
	offset int64
	meta   CommitMeta
}

// commitOffsets commits points for the group that client is a member of, and
// returns the first error of any partition. Not to be called for partitions
// of an earlier session: their new owner may be further.
func commitOffsets(ctx context.Context, client *kgo.Client, points map[topicPartition]commitPoint) error {
	if len(points) == 0 {
		return nil
	}
	offsets := map[string]map[int32]kgo.EpochOffset{}
	for tp, p := range points {
		if offsets[tp.topic] == nil {
			offsets[tp.topic] = map[int32]kgo.EpochOffset{}
		}
		offsets[tp.topic][tp.partition] = kgo.EpochOffset{Epoch: -1, Offset: p.offset}
	}
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		for i := range req.Topics {
			for j := range req.Topics[i].Partitions {
				p := &req.Topics[i].Partitions[j]
				p.Metadata = kmsg.StringPtr(points[topicPartition{req.Topics[i].Topic, p.Partition}].meta.String())
			}
		}
		return nil
	})
	var failed error
	client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		failed = commitError(resp, err)
	})
	if failed != nil {
		return fmt.Errorf("committing offsets: %w", failed)
	}
	return nil
}

func commitError(resp *kmsg.OffsetCommitResponse, err error) error {
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("%s/%d: %w", t.Topic, p.Partition, err)
			}
		}
	}
	return nil
}
