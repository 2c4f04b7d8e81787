package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"auscult/schemas"
	"auscult/topology"
)

// pollEvery is how often the broker is asked how far a river is.
const pollEvery = 250 * time.Millisecond

// lag returns how many records some stages have not finished, and how many
// they have. What is committed is read before the ends, so 0 is certain.
func (s *site) lag(ctx context.Context, stages topology.Graph) (behind, done int64, err error) {
	for i := range stages {
		offsets, err := s.conn.Admin().FetchOffsets(ctx, s.conn.Group(stages[i].Name))
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			return 0, 0, fmt.Errorf("asking how far %s is: %w", stages[i].Name, err)
		}
		for _, topic := range stages[i].Inputs {
			ends, err := s.conn.Ends(ctx, topic)
			if err != nil {
				return 0, 0, err
			}
			for p, span := range ends {
				at := span.From
				if o, ok := offsets.Lookup(s.conn.Topic(topic), p); ok {
					at = max(at, o.At)
				}
				behind += span.To - at
				done += at - span.From
			}
		}
	}
	return behind, done, nil
}

// errBehind tells that a river did not come to rest in time.
var errBehind = errors.New("not everything was finished in time")

// settle waits until some stages have nothing left to do, and returns the last
// time at which they finished something.
func (s *site) settle(ctx context.Context, p *process, stages topology.Graph, limit time.Duration) (time.Time, error) {
	deadline := time.Now().Add(limit)
	last, rests, before := time.Now(), 0, int64(-1)
	for rests < 2 {
		if time.Now().After(deadline) {
			return last, fmt.Errorf("%w (%s)", errBehind, limit)
		}
		if err := p.alive(); err != nil {
			return last, err
		}
		behind, done, err := s.lag(ctx, stages)
		if err != nil {
			return last, err
		}
		if done != before {
			last, before = time.Now(), done
		}
		if rests++; behind > 0 {
			rests = 0
		}
		if err := pause(ctx, pollEvery); err != nil {
			return last, err
		}
	}
	return last, nil
}

// preload sends messages of a ward, as fast as they go.
func (s *site) preload(ctx context.Context, w *ward, n int) error {
	out, err := s.conn.NewSender()
	if err != nil {
		return err
	}
	for range n {
		m := w.take()
		if err := out.Send(ctx, m.out()); err != nil {
			return errors.Join(err, out.Close(context.WithoutCancel(ctx)))
		}
	}
	return out.Close(ctx)
}

// topicFigures is what has been appended to one topic.
type topicFigures struct {
	Topic             string  `json:"topic"`
	RecordsPerMessage float64 `json:"recordsPerMessage"`
	BytesPerMessage   float64 `json:"bytesPerMessage"`
	BytesPerRecord    float64 `json:"bytesPerRecord"`
	// Compacted tells that the broker had removed records before they were
	// counted: bytes are then those of the rest, scaled up.
	Compacted bool `json:"compacted,omitempty"`
}

// topics counts what has been appended to every topic: keys, values and
// headers, before compression and framing.
func (s *site) topics(ctx context.Context, messages int) ([]topicFigures, error) {
	var all []topicFigures
	for _, t := range schemas.Topics {
		spans, err := s.conn.Ends(ctx, t.Name)
		if err != nil {
			return nil, err
		}
		var appended, read, size int64
		for _, span := range spans {
			appended += span.To // from offset 0: the broker is new
		}
		err = s.conn.ReadSpans(ctx, t.Name, spans, func(r schemas.Raw) error {
			read++
			size += recordBytes(&r)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("counting the bytes of %s: %w", t.Name, err)
		}
		f := topicFigures{Topic: t.Name, RecordsPerMessage: float64(appended) / float64(messages), Compacted: read != appended}
		if read > 0 {
			f.BytesPerRecord = float64(size) / float64(read)
			f.BytesPerMessage = f.BytesPerRecord * f.RecordsPerMessage
		}
		all = append(all, f)
	}
	return all, nil
}

func recordBytes(r *schemas.Raw) int64 {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return int64(n)
}

// deadLetters returns how many there are.
func (s *site) deadLetters(ctx context.Context) (int64, error) {
	ends, err := s.conn.Ends(ctx, schemas.TopicDeadLetters)
	n := int64(0)
	for _, span := range ends {
		n += span.To
	}
	return n, err
}
