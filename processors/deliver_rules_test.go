package processors

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"auscult/fhir"
	"auscult/schemas"
)

// The partition goes to another owner, who writes, and comes back: what this
// process remembers of the server is from before.
func TestG3ForgetsTheServerWithThePartition(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{})
	r := valueRecord("p1", deliverMinute(0), "60", true)
	b.deliver(r)
	b.Revoked(b.share)
	other := valueRecord("p1", deliverMinute(0), "61", false)
	b.server.put("Observation/"+observationIDOf(r), string(mustBuild(b.mapping.Build(other))))
	b.offset++
	b.assign(b.offset)
	b.deliver(valueRecord("p1", deliverMinute(0), "60", false)) // the third word on that instant
	if got := b.observation(); !strings.Contains(got, `"value":60,`) {
		t.Errorf("body %s", got)
	}
}

// What was created blindly is looked at once more together with everything that
// has been merged into it since.
func TestG3SecondLookKeepsLaterValues(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{})
	b.assign(5)
	b.offset = 5
	r := valueRecord("p1", deliverMinute(0), "60", true)
	b.deliver(r)
	b.deliver(valueRecord("p1", deliverMinute(0), "61", false)) // equal time: the later line wins
	b.now = b.now.Add(DefaultRequestTimeout + time.Second)
	if _, err := b.Tick(context.Background(), b.share, b.now); err != nil {
		t.Fatal(err)
	}
	if got := b.observation(); !strings.Contains(got, `"value":61,`) {
		t.Errorf("body %s", got)
	}
}

// One patient keeps the batch waiting until the time of the second look is over;
// what was created at its beginning is looked at all the same.
func TestG3SecondLookAfterASlowBatch(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{Concurrency: 1})
	b.assign(5)
	b.offset = 5
	slow := shortKey("Observation/" + observationIDOf(valueRecord("p2", deliverMinute(0), "70", true)))
	b.server.script = failOnce("PUT "+slow, &fhir.StatusError{Status: 503, RetryAfter: time.Minute})
	b.deliver(valueRecord("p1", deliverMinute(0), "60", true), valueRecord("p2", deliverMinute(0), "70", true))
	if _, owes := b.Status(b.share); owes != 1 {
		t.Errorf("%d are looked at once more, want that of p1", owes)
	}
}

// A dead letter that is sent again is old, however new its offset: it is
// compared with what the server holds, and never written unread.
func TestG3RetriedRecordIsNotNew(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{Hot: true})
	open, closed := flagEpisode(schemas.FlagOpen, 60, 0), flagEpisode(schemas.FlagClosed, 60, 180)
	b.deliver(scoredRecord(1, 0, 8, open))
	b.deliver(scoredRecord(2, 120, 2, closed))
	retried := func(r *schemas.Resource) {
		t.Helper()
		b.Deliver = NewDeliver(b.server, b.mapping, b.cfg)
		batch := b.records(r)
		batch.Records[0].Headers = []schemas.Header{{Key: RetryHeader}}
		b.process(batch)
	}
	retried(scoredRecord(1, 0, 8, open))
	if got := b.flagStatus(open); got != "inactive" {
		t.Errorf("Flag %s", got)
	}
	first := segmentRecord("p1", "ecg", "mv", fhir.Hourly, true, schemas.SegmentValue{Time: deliverMinute(0), Text: "1"})
	later := segmentRecord("p1", "ecg", "mv", fhir.Hourly, false, schemas.SegmentValue{Time: deliverMinute(10), Text: "2"})
	b.deliver(later)
	retried(first)
	if got := b.observation(); !strings.Contains(got, "1 2") {
		t.Errorf("body %s", got)
	}
}

// A record is overtaken by a Flag change whose other content is on the server
// already: nothing is written for that, and yet it is newer.
func TestG3OvertakenByWhatNeededNoWrite(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{Hot: true})
	b.deliver(scoredRecord(1, 60, 3))
	other := scoredRecord(2, 60, 5)
	back := scoredRecord(3, 60, 3, flagEpisode(schemas.FlagClosed, 0, 120))
	b.deliver(other, back)
	if got := b.stored("RiskAssessment/" + other.Whole[0].ID); !strings.Contains(got, "news2 3: ") {
		t.Errorf("stored %s", got)
	}
}

// Servers say that a reference is missing with other codes than 400 and 422.
func TestG14MissingReferenceWhateverItsStatus(t *testing.T) {
	for _, status := range []int{400, 404, 409, 412, 422} {
		b := newDeliverBench(t, DeliverConfig{ReferenceWait: time.Minute})
		began := b.now
		b.server.script = func(request string) error {
			if strings.HasPrefix(request, "PUT") {
				return &fhir.StatusError{Status: status, MissingReference: true}
			}
			return nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		outs, err := b.Process(ctx, b.records(valueRecord("p1", deliverMinute(0), "60", true)))
		cancel()
		if err != nil || len(outs) != 1 || b.now.Sub(began) < time.Minute || b.now.Sub(began) > 2*time.Minute {
			t.Errorf("status %d: %d dead letters after %s, %v", status, len(outs), b.now.Sub(began), err)
		}
	}
}

// A server that answers conflict to whatever is read before does not hold the
// partition for ever.
func TestG14ConflictWithoutEnd(t *testing.T) {
	for _, status := range []int{409, 410, 412} {
		b := newDeliverBench(t, DeliverConfig{})
		b.server.script = func(request string) error {
			if strings.HasPrefix(request, "PUT") {
				return &fhir.StatusError{Status: status, Outcome: "the id is taken"}
			}
			return nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		outs, err := b.Process(ctx, b.records(valueRecord("p1", deliverMinute(0), "60", true)))
		cancel()
		if errors.Is(err, context.DeadlineExceeded) || len(outs) != 1 {
			t.Errorf("status %d: %d dead letters, %v", status, len(outs), err)
		}
	}
}

// An encounter that never comes holds the partition up once, not for each of its
// records, also when the patient's other records are taken.
func TestG14MissingReferenceHoldsUpOnce(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{ReferenceWait: time.Minute})
	missing := map[string]bool{}
	b.server.script = func(request string) error {
		if missing[strings.TrimPrefix(request, "PUT ")] {
			return &fhir.StatusError{Status: 422, MissingReference: true}
		}
		return nil
	}
	began := b.now
	for i := range 4 {
		lost := valueRecord("p1", deliverMinute(float64(2*i)), "60", true)
		lost.Encounter = "never"
		missing[shortKey("Observation/"+observationIDOf(lost))] = true
		if n := len(b.deliver(lost)); n != 1 {
			t.Fatalf("%d dead letters", n)
		}
		b.deliver(valueRecord("p1", deliverMinute(float64(2*i+1)), "60", true))
	}
	if took := b.now.Sub(began); took > 3*time.Minute {
		t.Errorf("held up for %s", took)
	}
}
