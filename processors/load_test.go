package processors

import (
	"context"
	"errors"
	"testing"

	"auscult/schemas"
)

// scripted is a sink that answers as it is told.
type scripted struct {
	err     error
	batches int
}

func (s *scripted) Assigned(context.Context, *schemas.Share) (int64, error) { return 7, s.err }

func (s *scripted) Write(_ context.Context, b schemas.Batch) (int64, error) {
	s.batches++
	return b.Records[len(b.Records)-1].Offset + 1, s.err
}

// damaged is an error that no waiting cures.
type damaged struct{}

func (damaged) Error() string   { return "damaged" }
func (damaged) Permanent() bool { return true }

func TestLoadRetriesWhatMayPass(t *testing.T) {
	share, batch := &schemas.Share{}, schemas.Batch{Records: make([]schemas.Raw, 3)}
	for _, c := range []struct {
		err   error
		retry bool
	}{{errors.New("disk full"), true}, {damaged{}, false}} {
		l := NewLoad(&scripted{err: c.err})
		_, first := l.Assigned(t.Context(), share)
		_, second := l.Process(t.Context(), batch)
		for _, err := range []error{first, second} {
			var retry *Retry
			if errors.As(err, &retry) != c.retry || !errors.Is(err, c.err) {
				t.Errorf("%v gave %v, to be tried again: %v", c.err, err, c.retry)
			}
		}
		if l.Stored() != 0 {
			t.Errorf("%d records count as stored", l.Stored())
		}
	}
}

func TestLoadGoesOnWhereTheSinkStands(t *testing.T) {
	sink := &scripted{}
	l := NewLoad(sink)
	if next, err := l.Assigned(t.Context(), &schemas.Share{}); next != 7 || err != nil {
		t.Errorf("the share goes on at %d (%v), the sink stands at 7", next, err)
	}
	outs, err := l.Process(t.Context(), schemas.Batch{Records: make([]schemas.Raw, 3)})
	if len(outs) != 0 || err != nil || sink.batches != 1 || l.Stored() != 3 {
		t.Errorf("outputs %v, error %v, %d batches, %d stored", outs, err, sink.batches, l.Stored())
	}
}
