package processors

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"auscult/fhir"
	"auscult/schemas"
)

var deliverNames = fhir.Names{Scorer: "scorer"}

// scoredRecord is the record of one window: its RiskAssessment, the Flags that
// changed with it, and their Provenances.
func scoredRecord(version int64, window float64, total float64, flags ...schemas.Flag) *schemas.Resource {
	s := &schemas.Score{Kind: schemas.ScoreRule, Patient: "p1", Model: "news2", Start: deliverMinute(window), End: deliverMinute(window + 60), Final: true,
		Complete: true, Value: total, Min: total, Max: total, Risk: "high", Flags: flags,
		Lineage: schemas.Lineage{Run: schemas.RunLive, Generation: "g", Offset: 10 * version}}
	s.Assessment = fhir.AssessmentID(s.Patient, s.Model, s.Start, s.End)
	order := schemas.Order{Version: version}
	r := &schemas.Resource{Kind: schemas.ResourceWhole, Patient: s.Patient, Order: order, Lineage: s.Lineage}
	add := func(kind, id string, body []byte) {
		p := fhir.Provenance(deliverNames, kind+"/"+id, s, order)
		r.Whole = append(r.Whole, schemas.WholeResource{Type: kind, ID: id, JSON: string(body)},
			schemas.WholeResource{Type: "Provenance", ID: fhir.ProvenanceID(id), JSON: string(p)})
	}
	for _, f := range flags {
		add("Flag", f.ID, fhir.Flag(deliverNames, s, &f, fhir.FlagText{Text: "NEWS2 7 or more", Assessment: s.Assessment}))
	}
	add("RiskAssessment", s.Assessment, fhir.RiskAssessment(deliverNames, s, fhir.RiskText{}))
	return r
}

func flagEpisode(state schemas.FlagState, opened, closed float64) schemas.Flag {
	f := schemas.Flag{Rule: "news2", State: state, Opened: deliverMinute(opened)}
	f.ID = fhir.FlagID("p1", "news2", "", f.Opened)
	if closed > 0 {
		f.Closed = deliverMinute(closed)
	}
	return f
}

// asReplay makes a record one of a replay.
func asReplay(r *schemas.Resource, run string) *schemas.Resource {
	c := *r
	c.Whole = nil
	for _, w := range r.Whole {
		w.JSON = strings.Replace(w.JSON, `"value":"live/`, `"value":"`+run+`/`, 1)
		c.Whole = append(c.Whole, w)
	}
	c.Lineage.Run = run
	return &c
}

// names of the resources of a record, as the log has them.
func wholeName(r *schemas.Resource, i int) string {
	return shortKey(r.Whole[i].Type + "/" + r.Whole[i].ID)
}

func (b *deliverBench) flagStatus(f schemas.Flag) string {
	return fhir.Status([]byte(b.stored("Flag/" + f.ID)))
}

func TestDeliverWritesATransaction(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{Hot: true})
	r := scoredRecord(1, 0, 8)
	b.deliver(r)
	b.expect("GET "+wholeName(r, 0), "TX "+wholeName(r, 0)+", "+wholeName(r, 1))
	b.deliver(scoredRecord(2, 0, 8)) // same content, another order
	b.expect()
	r = scoredRecord(3, 0, 9)
	b.deliver(r)
	b.expect("TX " + wholeName(r, 0) + " v1, " + wholeName(r, 1) + " v2")
	if c := b.Counts(); c.Written != 4 || c.Unchanged != 1 {
		t.Errorf("counts %+v", c)
	}
}

func TestDeliverTransactionConflict(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{Hot: true})
	b.deliver(scoredRecord(1, 0, 8))
	r := scoredRecord(2, 0, 9)
	b.server.put("RiskAssessment/"+r.Whole[0].ID, `{"resourceType":"RiskAssessment","status":"cancelled"}`)
	b.server.requests()
	b.deliver(r)
	b.expect("TX "+wholeName(r, 0)+" v1, "+wholeName(r, 1)+" v2 -> the FHIR server answered 412",
		"GET "+wholeName(r, 0), "GET "+wholeName(r, 1), "TX "+wholeName(r, 0)+" v3, "+wholeName(r, 1)+" v2")
}

func TestDeliverFlagChangesFirst(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{Hot: true, Concurrency: 1})
	open := flagEpisode(schemas.FlagOpen, 120, 0)
	slow := scoredRecord(1, 0, 3)
	slow.Patient = "p0"
	plain, alert := scoredRecord(1, 0, 3), scoredRecord(2, 60, 8, open)
	b.deliver(slow, plain, alert)
	var txs []string
	for _, l := range strings.Split(b.server.requests(), "\n") {
		if strings.HasPrefix(l, "TX") {
			txs = append(txs, l[:12])
		}
	}
	if len(txs) == 0 || !strings.HasPrefix(txs[0], "TX Flag/") {
		t.Errorf("transactions %v", txs)
	}
}

// An older record that a Flag change has overtaken does not overwrite it.
func TestG3OvertakenRecordIsDropped(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{Hot: true})
	older, newer := scoredRecord(1, 60, 3), scoredRecord(2, 60, 8, flagEpisode(schemas.FlagOpen, 120, 0))
	b.deliver(older, newer)
	if got := b.stored("RiskAssessment/" + older.Whole[0].ID); !strings.Contains(got, "news2 8: high") {
		t.Errorf("stored %s", got)
	}
	if n := b.Counts().Outrun; n != 1 {
		t.Errorf("outrun %d", n)
	}
}

// Rule G3: open and closed are delivered, crash before the commit: open comes
// again and must not make the Flag active.
func TestG3OldStateNeverWins(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{Hot: true})
	open, closed := flagEpisode(schemas.FlagOpen, 60, 0), flagEpisode(schemas.FlagClosed, 60, 180)
	first, last := scoredRecord(1, 0, 8, open), scoredRecord(2, 120, 2, closed)
	b.deliver(first)
	b.deliver(last)
	for range 2 {
		b.offset = 0
		b.assign(2)
		b.Deliver = NewDeliver(b.server, b.mapping, b.cfg)
		b.server.requests()
		b.deliver(first)
		if b.flagStatus(open) != "inactive" || b.server.writes() != 0 {
			t.Fatalf("Flag %s after %s", b.flagStatus(open), b.server.requests())
		}
		b.deliver(last)
		if b.server.writes() != 0 {
			t.Errorf("written again: %s", b.server.requests())
		}
	}
	// The same order on a topic made anew is news: only redeliveries compare.
	b.assign(0)
	b.Deliver = NewDeliver(b.server, b.mapping, b.cfg)
	b.deliver(first)
	if b.flagStatus(open) != "active" {
		t.Errorf("Flag %s", b.flagStatus(open))
	}
}

// Rule G3, a predecessor's blind create landing late, for whole resources.
func TestG3LooksOnceMoreAtWholeResources(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{Hot: true})
	b.assign(1)
	b.offset = 1
	open, closed := flagEpisode(schemas.FlagOpen, 60, 0), flagEpisode(schemas.FlagClosed, 60, 180)
	late := scoredRecord(1, 0, 8, open)
	b.deliver(scoredRecord(2, 0, 8, closed))
	for _, w := range late.Whole { // A's transaction lands
		b.server.put(w.Type+"/"+w.ID, w.JSON)
	}
	b.now = b.now.Add(DefaultRequestTimeout + time.Second)
	if _, err := b.Tick(context.Background(), b.share, b.now); err != nil {
		t.Fatal(err)
	}
	if got := b.flagStatus(open); got != "inactive" {
		t.Errorf("Flag %s", got)
	}
}

func TestG3RespectsWhoClosedAFlag(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{Hot: true})
	open := flagEpisode(schemas.FlagOpen, 60, 0)
	b.deliver(scoredRecord(1, 0, 8, open))
	key := "Flag/" + open.ID
	b.server.put(key, strings.Replace(b.stored(key), `"active"`, `"inactive"`, 1)) // a clinician has seen to it
	higher := open
	higher.MaxScore = 9
	escalated := scoredRecord(2, 60, 9, higher)
	escalated.Whole[0].JSON = strings.Replace(escalated.Whole[0].JSON, "7 or more", "9 or more", 1)
	b.deliver(escalated)
	if b.flagStatus(open) != "inactive" || b.stored("RiskAssessment/"+escalated.Whole[2].ID) == "" {
		t.Errorf("Flag %s; stored %v", b.flagStatus(open), slices.Sorted(maps.Keys(b.server.stored)))
	}
	closed := flagEpisode(schemas.FlagClosed, 60, 240)
	b.deliver(scoredRecord(3, 120, 2, closed))
	if strings.Contains(b.stored(key), `"end"`) {
		t.Error("the clinician's Flag was written over")
	}
	next := flagEpisode(schemas.FlagOpen, 300, 0)
	b.deliver(scoredRecord(4, 240, 8, next))
	if b.flagStatus(next) != "active" {
		t.Errorf("the next episode is %s", b.flagStatus(next))
	}
	withdrawn := flagEpisode(schemas.FlagWithdrawn, 60, 0)
	b.deliver(scoredRecord(5, 240, 8, withdrawn))
	if got := b.flagStatus(open); got != "entered-in-error" {
		t.Errorf("withdrawn Flag is %s", got)
	}
	if n := b.Counts().Respected; n != 2 {
		t.Errorf("respected %d", n)
	}
}

// We closed a Flag ourselves; late data go on with the episode.
func TestDeliverReopensItsOwnFlag(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{Hot: true})
	b.deliver(scoredRecord(1, 0, 8, flagEpisode(schemas.FlagOpen, 60, 0)))
	b.deliver(scoredRecord(2, 120, 2, flagEpisode(schemas.FlagClosed, 60, 180)))
	b.Deliver = NewDeliver(b.server, b.mapping, b.cfg)
	open := flagEpisode(schemas.FlagOpen, 60, 0)
	b.deliver(scoredRecord(3, 120, 8, open))
	if got := b.flagStatus(open); got != "active" {
		t.Errorf("Flag %s", got)
	}
}

// Rule G12.
func TestG12DeliverOverwritesNothingNewer(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{Hot: true})
	live := scoredRecord(5, 0, 8)
	key := "RiskAssessment/" + live.Whole[0].ID
	b.deliver(live)
	b.server.requests()
	fresh := func(r *schemas.Resource) {
		b.Deliver = NewDeliver(b.server, b.mapping, b.cfg)
		b.deliver(r)
	}
	fresh(asReplay(scoredRecord(1, 0, 8), "again")) // what was live: nothing to write
	if b.server.writes() != 0 {
		t.Errorf("written: %s", b.server.requests())
	}
	fresh(asReplay(scoredRecord(4, 0, 3), "older")) // live data behind its range made what is stored
	if b.server.writes() != 0 || b.Counts().Outrun != 1 {
		t.Errorf("written: %s", b.server.requests())
	}
	fresh(asReplay(scoredRecord(5, 0, 7), "other-model"))
	if got := b.stored(key); !strings.Contains(got, "news2 7: high") {
		t.Errorf("stored %s", got)
	}
	fresh(scoredRecord(6, 0, 9)) // live goes on
	if got := b.stored(key); !strings.Contains(got, "news2 9: high") {
		t.Errorf("stored %s", got)
	}
	b.server.put(key, `{"resourceType":"RiskAssessment"}`)
	delete(b.server.stored, "Provenance/"+fhir.ProvenanceID(live.Whole[0].ID))
	fresh(asReplay(scoredRecord(9, 0, 1), "foreign")) // not ours: left alone
	if got := b.stored(key); got != `{"resourceType":"RiskAssessment"}` {
		t.Errorf("stored %s", got)
	}
}

func TestDeliverTransactionDeadLetter(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{Hot: true})
	b.server.script = failOnce("TX", &fhir.StatusError{Status: 400, Outcome: "bad prediction"})
	dead := b.deliver(scoredRecord(1, 0, 8), scoredRecord(2, 60, 8))
	if len(dead) != 1 || dead[0].Lineage.Offset != 10 || !strings.Contains(dead[0].Detail, "bad prediction") {
		t.Errorf("dead letters %+v", dead)
	}
}

func TestDeliverPutsTheScorerFirst(t *testing.T) {
	device := schemas.WholeResource{Type: "Device", ID: "scorer",
		JSON: string(fhir.ScorerDevice(deliverNames, []fhir.ModelVersion{{ID: "news2", Version: "1"}}))}
	b := newDeliverBench(t, DeliverConfig{Hot: true, Scorer: device})
	b.server.script = failOnce("PUT", &fhir.StatusError{Status: 503})
	assign := func() error {
		next, err := b.Assigned(context.Background(), b.share)
		if err == nil && next != -1 {
			t.Errorf("reads on at %d", next)
		}
		return err
	}
	for range 2 {
		if err := assign(); err != nil {
			t.Fatal(err)
		}
	}
	b.expect("GET Device/scorer", "PUT Device/scorer -> the FHIR server answered 503", "GET Device/scorer", "PUT Device/scorer")
	b.Deliver = NewDeliver(b.server, nil, b.cfg)
	if err := assign(); err != nil {
		t.Fatal(err)
	}
	b.expect("GET Device/scorer")
	b.server.script = failOnce("GET", &fhir.StatusError{Status: 401})
	b.Deliver = NewDeliver(b.server, nil, b.cfg)
	if err := assign(); err == nil || !strings.Contains(err.Error(), "credentials") {
		t.Errorf("error %v", err)
	}
}

// A Flag change that was put first refers to a RiskAssessment further behind.
func TestDeliverFlagGoesBehindWhatItRefersTo(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{Hot: true})
	plain, alert := scoredRecord(1, 0, 8), scoredRecord(2, 60, 8, flagEpisode(schemas.FlagOpen, 60, 0))
	b.server.script = func(request string) error {
		if strings.HasPrefix(request, "TX Flag") && b.server.stored["RiskAssessment/"+plain.Whole[0].ID].ID == "" {
			return &fhir.StatusError{Status: 400, MissingReference: true}
		}
		return nil
	}
	if dead := b.deliver(plain, alert); len(dead) != 0 || len(b.slept) != 0 {
		t.Errorf("dead letters %+v, slept %v", dead, b.slept)
	}
	if got := b.flagStatus(flagEpisode(schemas.FlagOpen, 60, 0)); got != "active" {
		t.Errorf("Flag %q", got)
	}
}

func TestDeliverPutsTheScorerBack(t *testing.T) {
	device := schemas.WholeResource{Type: "Device", ID: "scorer", JSON: string(fhir.ScorerDevice(deliverNames, nil))}
	b := newDeliverBench(t, DeliverConfig{Hot: true, Scorer: device})
	b.server.script = func(request string) error {
		if strings.HasPrefix(request, "TX") && b.server.stored["Device/scorer"].ID == "" {
			return &fhir.StatusError{Status: 400, MissingReference: true}
		}
		return nil
	}
	if dead := b.deliver(scoredRecord(1, 0, 8)); len(dead) != 0 || len(b.slept) != 1 {
		t.Errorf("dead letters %+v, slept %v", dead, b.slept)
	}
}
