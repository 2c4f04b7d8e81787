package processors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"auscult/fhir"
	"auscult/schemas"
)

func TestDeliverWritesAFirstSegmentUnread(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{})
	r := valueRecord("p1", deliverMinute(0), "60.50", true)
	b.deliver(r)
	b.expect("PUT " + shortKey("Observation/"+observationIDOf(r)))
	if got := b.observation(); !strings.Contains(got, `"value":60.50,`) || strings.Contains(got, "issued") {
		t.Errorf("body %s", got)
	}
}

// Rule G3: below the end offset seen at assignment a first segment may have
// been sent before.
func TestG3ReadsWhatAPredecessorMayHaveSent(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{})
	r := valueRecord("p1", deliverMinute(0), "60", true)
	id := shortKey("Observation/" + observationIDOf(r))
	b.assign(1)
	b.deliver(r)
	b.expect("GET "+id, "SEARCH Observation", "PUT "+id)
	b.offset = 0 // the owner dies before the commit
	b.assign(1)
	b.Deliver = NewDeliver(b.server, b.mapping, b.cfg)
	b.deliver(r)
	b.expect("GET " + id)
	if n := b.Counts().Unchanged; n != 1 {
		t.Errorf("unchanged %d", n)
	}
}

// A batch whose call broke off comes again in the same session.
func TestG3ReadsWhatABrokenCallMayHaveSent(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{})
	r := valueRecord("p1", deliverMinute(0), "60", true)
	id := shortKey("Observation/" + observationIDOf(r))
	batch := b.records(r)
	ctx, cancel := context.WithCancelCause(context.Background())
	silent := errors.New("the broker is silent")
	b.server.after = func(string) error { cancel(silent); return errNetwork }
	if _, err := b.Process(ctx, batch); !errors.Is(err, silent) {
		t.Fatalf("error %v", err)
	}
	b.server.after = nil
	b.process(batch)
	b.expect("PUT "+id, "GET "+id)
}

func TestDeliverLooksAfterARequestWithoutAnswer(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{})
	r := valueRecord("p1", deliverMinute(0), "60", true)
	id := shortKey("Observation/" + observationIDOf(r))
	b.server.after = failOnce("PUT", errNetwork)
	b.deliver(r)
	b.expect("PUT "+id, "GET "+id)
	if c := b.Counts(); c.Retries != 1 || !c.WaitingSince.IsZero() {
		t.Errorf("counts %+v", c)
	}
}

func TestDeliverMergesOverTheCachedVersion(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{})
	mv := func(m float64, text string) *schemas.Resource {
		return segmentRecord("p1", "ecg", "mv", fhir.Hourly, false, schemas.SegmentValue{Time: deliverMinute(m), Text: text})
	}
	id := shortKey("Observation/" + observationIDOf(mv(0, "")))
	b.deliver(mv(0, "1"))
	b.expect("GET "+id, "SEARCH Observation", "PUT "+id)
	b.deliver(mv(20, "2"))
	b.expect("PUT " + id + " v1")
	b.deliver(mv(20, "2"))
	b.expect()
	if got := b.observation(); !strings.Contains(got, `"data":"1 E 2 E E E"`) || !strings.Contains(got, `"status":"amended"`) {
		t.Errorf("body %s", got)
	}
	// Somebody adds a note: the next write meets a conflict and keeps it.
	full := "Observation/" + observationIDOf(mv(0, ""))
	b.server.put(full, strings.Replace(b.stored(full), `"device"`, `"note":[{"text":"seen"}],"device"`, 1))
	b.deliver(mv(30, "3"))
	b.expect("PUT "+id+" v2 -> the FHIR server answered 412", "GET "+id, "PUT "+id+" v3")
	if got := b.observation(); !strings.Contains(got, `"data":"1 E 2 3 E E"`) || !strings.Contains(got, `"note":[{"text":"seen"}]`) {
		t.Errorf("body %s", got)
	}
	if n := b.Counts().Conflicts; n != 1 || len(b.slept) != 0 {
		t.Errorf("conflicts %d, slept %v", n, b.slept)
	}
	// Somebody deletes it: it is created again.
	gone := b.server.stored[full]
	gone.Gone = true
	b.server.stored[full] = gone
	b.deliver(mv(40, "4"))
	b.expect("PUT "+id+" v4 -> the FHIR server answered 410", "GET "+id, "SEARCH Observation", "PUT "+id)
	if got := b.observation(); !strings.Contains(got, `"data":"E E E E 4 E"`) || !strings.Contains(got, `"status":"final"`) {
		t.Errorf("body %s", got)
	}
}

func TestDeliverFindsWhatOlderSoftwareWrote(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{})
	r := valueRecord("p1", deliverMinute(0), "61", false)
	old := valueRecord("p1", deliverMinute(0), "60", false)
	body := string(mustBuild(b.mapping.Build(old)))
	b.server.put("Observation/old-1", strings.Replace(body, observationIDOf(old), "old-1", 1))
	b.deliver(r)
	b.expect("GET "+shortKey("Observation/"+observationIDOf(r)), "SEARCH Observation", "PUT Observation/old-1 v1")
	// Two with the identifier: nobody can say which one is meant.
	b.Deliver = NewDeliver(b.server, b.mapping, b.cfg)
	b.server.put("Observation/old-2", b.stored("Observation/old-1"))
	dead := b.deliver(r)
	if len(dead) != 1 || dead[0].Reason != schemas.ReasonServer || !strings.Contains(dead[0].Detail, "2 Observations") {
		t.Errorf("dead letters %+v", dead)
	}
}

// Rule G17: however a segment's values are cut into records and batches, the
// body is the same.
func TestG17BodyDoesNotDependOnTheCut(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	var want string
	for round := range 40 {
		b := newDeliverBench(t, DeliverConfig{})
		var batch []*schemas.Resource
		for i := range 12 {
			r := segmentRecord("p1", "ecg", "mv", fhir.Hourly, i == 0, schemas.SegmentValue{Time: deliverMinute(float64(i * 5)), Text: fmt.Sprint(i)})
			batch = append(batch, r)
			if round > 0 && random.IntN(3) == 0 {
				b.deliver(batch...)
				batch = nil
			}
			if round > 0 && random.IntN(8) == 0 { // a new owner repeats the last records
				b.assign(b.offset)
				b.Deliver = NewDeliver(b.server, b.mapping, b.cfg)
				b.offset = max(0, b.offset-int64(random.IntN(3)))
			}
		}
		b.deliver(batch...)
		if round == 0 {
			want = b.observation()
			b.expect("PUT " + shortKey("Observation/"+observationIDOf(batch[0])))
		} else if got := b.observation(); got != want {
			t.Fatalf("round %d\n got %s\nwant %s", round, got, want)
		}
	}
}

func TestDeliverRetracts(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{})
	r := valueRecord("p1", deliverMinute(0), "60", true)
	b.deliver(r)
	r.Kind, r.First = schemas.ResourceRetract, false
	b.deliver(r)
	if got := b.observation(); !strings.Contains(got, `"entered-in-error"`) || strings.Contains(got, "valueQuantity") {
		t.Errorf("body %s", got)
	}
	b.server.requests()
	b.deliver(r)
	b.expect()
	b.Deliver = NewDeliver(newFhirFake(), b.mapping, b.cfg)
	if dead := b.deliver(r); len(dead) != 0 { // nothing there to take back
		t.Errorf("dead letters %+v", dead)
	}
}

func TestDeliverDeadLetters(t *testing.T) {
	refusal := &fhir.StatusError{Status: 422, Outcome: "unit is not known"}
	for _, c := range []struct {
		name   string
		record *schemas.Resource
		script func(string) error
		reason string
		detail string
	}{
		{"no number", valueRecord("p1", deliverMinute(0), "n/a", true), nil, schemas.ReasonMapping, `"n/a" is no decimal number`},
		{"no template", segmentRecord("p1", "bp", "x", fhir.Single, true, schemas.SegmentValue{Time: deliverMinute(0)}), nil, schemas.ReasonMapping, "no template"},
		{"refused", valueRecord("p1", deliverMinute(0), "60", true), failOnce("PUT", refusal), schemas.ReasonServer, "unit is not known"},
		{"refused when read", valueRecord("p1", deliverMinute(0), "60", false), failOnce("GET", refusal), schemas.ReasonServer, "unit is not known"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newDeliverBench(t, DeliverConfig{Concurrency: 1})
			b.server.script = c.script
			batch := b.records(c.record, valueRecord("p1", deliverMinute(5), "61", true), valueRecord("p2", deliverMinute(0), "62", true))
			dead := b.process(batch)
			if len(dead) != 1 || dead[0].Reason != c.reason || !strings.Contains(dead[0].Detail, c.detail) || dead[0].Action == "" {
				t.Fatalf("dead letters %+v", dead)
			}
			l := dead[0]
			if string(l.Value) != string(batch.Records[0].Value) || string(l.Key) != "p1" || l.Lineage.Offset != 7 || l.Stage != "deliver" {
				t.Errorf("dead letter %+v", l)
			}
			if len(b.server.stored) != 2 {
				t.Errorf("the neighbours: %v", slices.Sorted(maps.Keys(b.server.stored)))
			}
		})
	}
}

func TestDeliverUnreadableRecord(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{})
	batch := b.records(valueRecord("p1", deliverMinute(0), "60", true))
	batch.Records[0].Value = []byte("nonsense")
	dead := b.process(batch)
	if len(dead) != 1 || dead[0].Reason != schemas.ReasonRecord || string(dead[0].Value) != "nonsense" {
		t.Errorf("dead letters %+v", dead)
	}
}

func TestDeliverWithoutMapping(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{})
	b.Deliver = NewDeliver(b.server, nil, b.cfg)
	dead := b.deliver(valueRecord("p1", deliverMinute(0), "60", true))
	if len(dead) != 1 || dead[0].Reason != schemas.ReasonMapping {
		t.Errorf("dead letters %+v", dead)
	}
}

func TestDeliverStopsOnWrongConfiguration(t *testing.T) {
	for status, want := range map[int]string{401: "credentials", 403: "right", 404: "base URL", 405: "assign ids"} {
		b := newDeliverBench(t, DeliverConfig{})
		b.server.script = func(request string) error {
			if strings.HasPrefix(request, "PUT") {
				return &fhir.StatusError{Status: status, Outcome: "secret of p1"}
			}
			return nil
		}
		_, err := b.Process(context.Background(), b.records(valueRecord("p1", deliverMinute(0), "60", true)))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "p1") {
			t.Errorf("%d: error %v", status, err)
		}
	}
}

func TestDeliverRetries(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want time.Duration
	}{
		{"network", errNetwork, firstDeliverWait},
		{"busy", &fhir.StatusError{Status: 503}, firstDeliverWait},
		{"timeout", &fhir.StatusError{Status: 408}, firstDeliverWait},
		{"throttled", &fhir.StatusError{Status: 429, RetryAfter: 7 * time.Second}, 7 * time.Second},
		{"throttled for a day", &fhir.StatusError{Status: 429, RetryAfter: 24 * time.Hour}, maxRetryAfter},
	} {
		b := newDeliverBench(t, DeliverConfig{})
		told := 0
		b.cfg.OnRetry = func(error, time.Duration) { told++ }
		b.server.script = failOnce("PUT", c.err)
		b.deliver(valueRecord("p1", deliverMinute(0), "60", true))
		if len(b.slept) != 1 || b.slept[0] != c.want || told != 1 || len(b.server.stored) != 1 {
			t.Errorf("%s: slept %v, told %d", c.name, b.slept, told)
		}
	}
}

func TestDeliverBacksOff(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{})
	left := 12
	b.server.script = func(string) error {
		if left--; left > 0 {
			return errNetwork
		}
		return nil
	}
	b.deliver(valueRecord("p1", deliverMinute(0), "60", true))
	if n := len(b.slept); n != 11 || b.slept[1] != 2*b.slept[0] || b.slept[n-1] != maxDeliverWait {
		t.Errorf("slept %v", b.slept)
	}
}

// Rule G14: a reference that never comes holds its patient up once.
func TestG14WaitsForAReference(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{})
	missing := &fhir.StatusError{Status: 400, MissingReference: true, Outcome: "Patient/p1 not found"}
	b.server.script = func(request string) error {
		if strings.HasPrefix(request, "PUT") {
			return missing
		}
		return nil
	}
	start := b.now
	dead := b.deliver(valueRecord("p1", deliverMinute(0), "60", true), valueRecord("p1", deliverMinute(1), "61", true))
	waited := b.now.Sub(start)
	if len(dead) != 2 || dead[1].Reason != schemas.ReasonServer || waited < DefaultReferenceWait || waited > DefaultReferenceWait+time.Minute {
		t.Errorf("%d dead letters after %v", len(dead), waited)
	}
	// It comes: nothing is lost, and the next wait begins anew.
	b.server.script = failOnce("PUT", missing)
	if dead := b.deliver(valueRecord("p1", deliverMinute(2), "62", true)); len(dead) != 1 {
		t.Errorf("%d dead letters: the clock runs on while nothing has been accepted", len(dead))
	}
	b.deliver(valueRecord("p1", deliverMinute(3), "63", true))
	b.server.script = failOnce("PUT", missing)
	if dead := b.deliver(valueRecord("p1", deliverMinute(4), "64", true)); len(dead) != 0 {
		t.Errorf("dead letters %+v", dead)
	}
}

func TestDeliverKeepsThePatientsOrder(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{Concurrency: 4})
	gate := make(chan struct{})
	b.server.script = func(request string) error {
		<-gate
		return nil
	}
	var rs []*schemas.Resource
	want := map[string][]string{}
	for i := range 60 {
		p := "p" + fmt.Sprint(i%6)
		r := valueRecord(p, deliverMinute(float64(i)), fmt.Sprint(i), true)
		rs = append(rs, r)
		want[p] = append(want[p], "PUT "+shortKey("Observation/"+observationIDOf(r)))
	}
	go func() { close(gate) }()
	b.deliver(rs...)
	log := strings.Split(b.server.requests(), "\n")
	for p, lines := range want {
		next := 0
		for _, l := range log {
			if next < len(lines) && l == lines[next] {
				next++
			}
		}
		if next != len(lines) {
			t.Errorf("%s: order lost", p)
		}
	}
	if len(log) != 60 || b.server.busiest > 4 {
		t.Errorf("%d requests, %d at once", len(log), b.server.busiest)
	}
}

func TestDeliverEndsWithItsContext(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{})
	ctx, cancel := context.WithCancel(context.Background())
	b.server.script = func(string) error { cancel(); return errNetwork }
	if _, err := b.Process(ctx, b.records(valueRecord("p1", deliverMinute(0), "60", true))); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if outs, err := b.Process(context.Background(), schemas.Batch{Share: b.share}); err != nil || outs != nil {
		t.Errorf("empty batch: %v %v", outs, err)
	}
	b.Revoked(b.share)
	if len(b.shares) != 0 {
		t.Error("the share is kept")
	}
}

// Rule G3: a predecessor's request lands after ours.
func TestG3LooksOnceMoreAtWhatItCreated(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{})
	b.assign(5) // others have written to the topic
	b.offset = 5
	r := valueRecord("p1", deliverMinute(0), "60", true)
	key := "Observation/" + observationIDOf(r)
	b.deliver(r)
	b.server.put(key, string(mustBuild(b.mapping.Build(valueRecord("p1", deliverMinute(0), "59", true))))) // A's PUT lands
	b.server.requests()
	tick := func() {
		t.Helper()
		if outs, err := b.Tick(context.Background(), b.share, b.now); err != nil || len(outs) != 0 {
			t.Fatalf("tick: %v %v", outs, err)
		}
	}
	tick()
	b.expect()
	if _, owes := b.Status(b.share); owes != 1 {
		t.Errorf("owes %d", owes)
	}
	b.now = b.now.Add(DefaultRequestTimeout + time.Second)
	tick()
	b.expect("GET "+shortKey(key), "PUT "+shortKey(key)+" v2")
	if got := b.observation(); !strings.Contains(got, `"value":60,`) {
		t.Errorf("body %s", got)
	}
	tick()
	b.expect()
	b.deliver(valueRecord("p1", deliverMinute(1), "61", true)) // late enough to need no second look
	b.server.requests()
	tick()
	b.expect()
}

func TestDeliverHoldsBackWhatItCouldNotLookAtAgain(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{})
	b.assign(1)
	own := b.Deliver.share(b.share)
	own.checks = slices.Repeat([]*deliverJob{{}}, maxChecks)
	b.deliver(valueRecord("p1", deliverMinute(0), "60", true))
	if len(b.slept) != 1 || b.slept[0] < DefaultRequestTimeout {
		t.Errorf("slept %v", b.slept)
	}
}

func TestDeliverCacheKeepsItsLimits(t *testing.T) {
	c := newStoredCache()
	for i := range maxCachedResources + 10 {
		c.put(fmt.Sprint(i), heldResource{Stored: Stored{ID: "x", Version: "1"}})
	}
	if _, ok := c.get("0"); ok || len(c.byKey) != maxCachedResources {
		t.Errorf("%d kept", len(c.byKey))
	}
	body := make([]byte, maxCachedBody)
	for i := range 2 * maxCachedBytes / maxCachedBody {
		c.put("big"+fmt.Sprint(i), heldResource{Stored: Stored{ID: "x", Version: "1", JSON: body}})
	}
	if c.bytes > maxCachedBytes {
		t.Errorf("%d bytes kept", c.bytes)
	}
	c.put("huge", heldResource{Stored: Stored{ID: "x", Version: "1", JSON: make([]byte, maxCachedBody+1)}})
	c.put("unversioned", heldResource{Stored: Stored{ID: "x"}})
	if _, ok := c.get("huge"); ok {
		t.Error("a body over the limit is kept")
	}
	if _, ok := c.get("unversioned"); ok {
		t.Error("a resource without version is kept")
	}
}

func TestDeliverConfigSaysWhatToChange(t *testing.T) {
	if err := (DeliverConfig{}).Validate(); err != nil {
		t.Error(err)
	}
	err := DeliverConfig{ReferenceWait: -1, Concurrency: 1000}.Validate()
	for _, want := range []string{"referenceWait must not be below 0, e.g. 10m0s", "concurrency must be between 1 and 256"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %s is missing", err, want)
		}
	}
	var fault *DeliverConfigError
	if !errors.As(err, &fault) || fault.ConfigPath() != "referenceWait" {
		t.Errorf("%v", err)
	}
}
