package processors

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"auscult/fhir"
	"auscult/schemas"
)

// fhirFake is a FHIR server of maps. Before each request it asks the script,
// which may change what is stored or answer in its place.
type fhirFake struct {
	mu      sync.Mutex
	stored  map[string]Stored
	version int
	log     []string
	busy    int
	busiest int
	// ignoreVersions: the server does not enforce If-Match.
	ignoreVersions bool
	// script sees "PUT Observation/3f52d0 v2", "GET ...", "SEARCH ...", "TX ...".
	script func(request string) error
	// after runs once a request has been carried out: its answer is lost.
	after func(request string) error
}

func newFhirFake() *fhirFake { return &fhirFake{stored: map[string]Stored{}} }

// shortKey makes a log readable: the first six characters of an id's hash.
func shortKey(key string) string {
	kind, id, _ := strings.Cut(key, "/")
	prefix, hash, ok := strings.Cut(id, "-")
	if !ok {
		prefix, hash = "", id
	} else {
		prefix += "-"
	}
	return kind + "/" + prefix + hash[:min(6, len(hash))]
}

func (f *fhirFake) request(ctx context.Context, text string, do func() error) error {
	f.mu.Lock()
	f.busy++
	f.busiest = max(f.busiest, f.busy)
	f.mu.Unlock()
	defer func() { f.mu.Lock(); f.busy--; f.mu.Unlock() }()
	if err := ctx.Err(); err != nil {
		return err
	}
	if f.script != nil {
		if err := f.script(text); err != nil {
			f.mu.Lock()
			f.log = append(f.log, text+" -> "+err.Error())
			f.mu.Unlock()
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	err := do()
	if err != nil {
		text += " -> " + err.Error()
	}
	f.log = append(f.log, text)
	if err == nil && f.after != nil {
		err = f.after(text)
	}
	return err
}

func (f *fhirFake) Read(ctx context.Context, resourceType, id string) (s Stored, err error) {
	key := resourceType + "/" + id
	err = f.request(ctx, "GET "+shortKey(key), func() error {
		s = f.stored[key]
		return nil
	})
	return s, err
}

func (f *fhirFake) Search(ctx context.Context, resourceType string, query url.Values) (found []Stored, err error) {
	err = f.request(ctx, "SEARCH "+resourceType, func() error {
		_, value, _ := strings.Cut(query.Get("identifier"), "|")
		value = strings.NewReplacer(`\|`, `|`, `\,`, `,`, `\$`, `$`, `\\`, `\`).Replace(value)
		for key, s := range f.stored {
			if strings.HasPrefix(key, resourceType+"/") && !s.Gone && fhir.CarriesIdentifier(s.JSON, value) {
				found = append(found, s)
			}
		}
		return nil
	})
	return found, err
}

func (f *fhirFake) Put(ctx context.Context, resourceType, id string, body []byte, version string) (s Stored, err error) {
	key := resourceType + "/" + id
	err = f.request(ctx, trimRight("PUT "+shortKey(key)+" v"+version), func() error {
		if err := f.matches(key, version); err != nil {
			return err
		}
		s = f.put(key, string(body))
		s.JSON = nil
		return nil
	})
	return s, err
}

func trimRight(s string) string { return strings.TrimSuffix(s, " v") }

func (f *fhirFake) Transaction(ctx context.Context, resources []schemas.WholeResource, versions []string) (out []Stored, err error) {
	var names []string
	for i, w := range resources {
		names = append(names, trimRight(shortKey(w.Type+"/"+w.ID)+" v"+versions[i]))
	}
	err = f.request(ctx, "TX "+strings.Join(names, ", "), func() error {
		for i, w := range resources {
			if err := f.matches(w.Type+"/"+w.ID, versions[i]); err != nil {
				return err
			}
		}
		for _, w := range resources {
			s := f.put(w.Type+"/"+w.ID, w.JSON)
			s.JSON = nil
			out = append(out, s)
		}
		return nil
	})
	return out, err
}

func (f *fhirFake) matches(key, version string) error {
	s := f.stored[key]
	switch {
	case version == "" || f.ignoreVersions || s.Version == version && !s.Gone:
		return nil
	case s.Gone:
		return &fhir.StatusError{Status: 410}
	case s.ID == "":
		return &fhir.StatusError{Status: 404}
	}
	return &fhir.StatusError{Status: 412}
}

// put stores a resource as another writer would; the caller holds mu or runs
// alone.
func (f *fhirFake) put(key, body string) Stored {
	f.version++
	s := Stored{ID: key[strings.IndexByte(key, '/')+1:], Version: strconv.Itoa(f.version), JSON: []byte(body)}
	f.stored[key] = s
	return s
}

// requests returns the log and clears it.
func (f *fhirFake) requests() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := strings.Join(f.log, "\n")
	f.log = nil
	return s
}

// writes counts the requests that changed something.
func (f *fhirFake) writes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, l := range f.log {
		if !strings.Contains(l, "->") && (strings.HasPrefix(l, "PUT") || strings.HasPrefix(l, "TX")) {
			n++
		}
	}
	return n
}

// deliverBench is a Deliver with a fake server and a clock of its own.
type deliverBench struct {
	*Deliver
	t      *testing.T
	server *fhirFake
	now    time.Time
	mu     sync.Mutex
	slept  []time.Duration
	share  *schemas.Share
	offset int64
}

const deliverMapping = `{"templateType":"CollectionFhir","template":[
 {"templateType":"CodeValueFhir","template":{"typeName":"hr","codes":[{"code":"8867-4","system":"http://loinc.org"}],
  "value":{"valueName":"hr","valueType":"Quantity","unit":"/min"}}},
 {"templateType":"CodeValueFhir","template":{"typeName":"ecg","periodInterval":60,"codes":[{"code":"x"}],
  "value":{"valueName":"mv","valueType":"SampledData","defaultPeriod":600000,"unit":"mV"}}}]}`

func newDeliverBench(t *testing.T, cfg DeliverConfig) *deliverBench {
	t.Helper()
	m, err := fhir.LoadMapping([]byte(deliverMapping))
	if err != nil {
		t.Fatal(err)
	}
	b := &deliverBench{t: t, server: newFhirFake(), now: time.Unix(1_700_000_000, 0)}
	cfg.Now = func() time.Time { b.mu.Lock(); defer b.mu.Unlock(); return b.now }
	cfg.Sleep = func(ctx context.Context, d time.Duration) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.now = b.now.Add(d)
		b.slept = append(b.slept, d)
		return ctx.Err()
	}
	cfg.Random = func() float64 { return 1 }
	b.Deliver = NewDeliver(b.server, m, cfg)
	b.assign(0)
	return b
}

// assign gives the partition to a new owner that sees it end at end.
func (b *deliverBench) assign(end int64) {
	b.share = &schemas.Share{Topic: "resources", End: end, Committed: -1, AssignedAt: b.now}
}

var deliverEpoch = schemas.TicksOf(time.Date(2024, 5, 6, 10, 0, 0, 0, time.UTC))

// deliverMinute is an instant on the test's day.
func deliverMinute(m float64) schemas.Ticks {
	return deliverEpoch + schemas.Ticks(m*float64(schemas.TicksPerMinute))
}

// valueRecord is a record with one heart rate.
func valueRecord(patient string, at schemas.Ticks, text string, first bool) *schemas.Resource {
	return segmentRecord(patient, "hr", "hr", fhir.Single, first, schemas.SegmentValue{Time: at, Text: text})
}

func segmentRecord(patient, typ, name string, p fhir.Period, first bool, values ...schemas.SegmentValue) *schemas.Resource {
	seg, start, end, err := fhir.SegmentOf(p, values[0].Time, "")
	if err != nil {
		panic(err)
	}
	for i := range values {
		values[i].Name = name
	}
	return &schemas.Resource{Kind: schemas.ResourceSegment, Patient: patient, Device: "d1", Type: typ, Segment: seg, Start: start, End: end,
		Values: values, First: first, Lineage: schemas.Lineage{Run: schemas.RunLive, Generation: "g", Offset: 7, Mapping: "m"}}
}

// records numbers records as the topic would.
func (b *deliverBench) records(rs ...*schemas.Resource) schemas.Batch {
	batch := schemas.Batch{Share: b.share}
	for _, r := range rs {
		batch.Records = append(batch.Records, schemas.Raw{Topic: "resources", Offset: b.offset, Key: []byte(r.Patient),
			Value: schemas.Resources.Encode(r), Timestamp: b.now})
		b.offset++
	}
	return batch
}

// deliver processes records and returns the dead letters.
func (b *deliverBench) deliver(rs ...*schemas.Resource) []*schemas.DeadLetter {
	b.t.Helper()
	return b.process(b.records(rs...))
}

func (b *deliverBench) process(batch schemas.Batch) []*schemas.DeadLetter {
	b.t.Helper()
	outs, err := b.Process(context.Background(), batch)
	if err != nil {
		b.t.Fatalf("processing: %v", err)
	}
	return decodeLetters(b.t, outs)
}

func decodeLetters(t *testing.T, outs []schemas.Out) (all []*schemas.DeadLetter) {
	t.Helper()
	for _, o := range outs {
		l, err := schemas.DeadLetters.Decode(o.Value)
		if err != nil || o.Topic != schemas.TopicDeadLetters {
			t.Fatalf("output to %s: %v", o.Topic, err)
		}
		all = append(all, l)
	}
	return all
}

// expect compares the requests since the last call, line by line.
func (b *deliverBench) expect(want ...string) {
	b.t.Helper()
	if got := b.server.requests(); got != strings.Join(want, "\n") {
		b.t.Errorf("requests:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
}

func (b *deliverBench) stored(key string) string { return string(b.server.stored[key].JSON) }

// observation returns the only stored Observation.
func (b *deliverBench) observation() string {
	b.t.Helper()
	var all []string
	for key, s := range b.server.stored {
		if strings.HasPrefix(key, "Observation/") && !s.Gone {
			all = append(all, string(s.JSON))
		}
	}
	if len(all) != 1 {
		b.t.Fatalf("%d Observations", len(all))
	}
	return all[0]
}

var errNetwork = errors.New("connection reset")

// failOnce answers the nth request that begins with prefix.
func failOnce(prefix string, err error) func(string) error {
	done := false
	return func(request string) error {
		if done || !strings.HasPrefix(request, prefix) {
			return nil
		}
		done = true
		return err
	}
}

func mustBuild[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func observationIDOf(r *schemas.Resource) string {
	return fhir.ObservationID(fhir.ObservationIdentifier(r.Patient, r.Device, r.Type, r.Segment))
}
