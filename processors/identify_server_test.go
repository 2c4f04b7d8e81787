package processors_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"auscult/fhir/rest"
	"auscult/fhir/server"
	"auscult/processors"
	"auscult/schemas"
)

// startServer returns a client of the embedded FHIR server.
func startServer(t testing.TB, options ...server.Option) *rest.Client {
	t.Helper()
	s, err := server.Open(filepath.Join(t.TempDir(), server.FileName), options...)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	c, err := rest.New(rest.Config{BaseURL: h.URL + server.Base})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		h.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// messages returns a batch in which each device names its patient once.
func messages(share *schemas.Share, at time.Time, pairs ...[2]string) schemas.Batch {
	b := schemas.Batch{Share: share}
	for i, p := range pairs {
		m := &schemas.Measurement{Device: p[0], Patient: p[1], Type: "hr", Occurrence: schemas.TicksOf(at) + schemas.Ticks(i)*schemas.TicksPerSecond}
		b.Records = append(b.Records, schemas.Raw{Topic: schemas.TopicMeasurements, Offset: int64(i), Value: schemas.Measurements.Encode(m)})
	}
	return b
}

func identities(t testing.TB, outs []schemas.Out, err error) map[string]*schemas.Identity {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*schemas.Identity{}
	for _, o := range outs {
		id, err := schemas.Identities.Decode(o.Value)
		if err != nil {
			t.Fatal(err)
		}
		all[id.Device] = id
	}
	return all
}

func TestIdentifyOnTheEmbeddedServer(t *testing.T) {
	ctx := context.Background()
	c := startServer(t, server.EnforceReferences())
	cfg := processors.IdentifyConfig{Mode: processors.ModeCreate, Mismatch: processors.MismatchReassign, TTL: time.Second,
		Facts: []processors.Fact{{Name: "spo2-scale-2", Codes: []string{"http://snomed.info/sct|13645005"}}}}
	now := time.Now()
	s := processors.NewIdentify(c, cfg, func() time.Time { return now })
	share := &schemas.Share{Topic: schemas.TopicMeasurements}
	recorded := time.Date(2012, 1, 1, 0, 0, 0, 0, time.UTC)

	var pairs [][2]string
	for i := range 171 {
		pairs = append(pairs, [2]string{fmt.Sprint(132539 + i), fmt.Sprint(132539 + i)})
	}
	outs, err := s.Process(ctx, messages(share, recorded, pairs...))
	first := identities(t, outs, err)
	if len(first) != 171 {
		t.Fatalf("%d identities", len(first))
	}
	for name, id := range first {
		a := id.Assignments
		if len(a) != 1 || a[0].From != 0 || a[0].To != schemas.MaxTicks || a[0].IdentifierValue != name || a[0].Name != name || id.Unknown != "" {
			t.Fatalf("%s: %+v", name, id)
		}
		if stored, err := c.Read(ctx, "Device", id.Resource); err != nil || !strings.Contains(string(stored.JSON), "Patient/"+a[0].Patient) {
			t.Fatalf("%s: %s %v", name, stored.JSON, err)
		}
	}

	// A Condition of his, and the device given to another patient.
	patient := first["132540"].Assignments[0].Patient
	condition := `{"resourceType":"Condition","id":"c1","code":{"coding":[{"system":"http://snomed.info/sct","code":"13645005"}]},"subject":{"reference":"Patient/` + patient + `"}}`
	if _, err := c.Put(ctx, "Condition", "c1", []byte(condition), ""); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Second)
	outs, err = s.Process(ctx, messages(share, recorded.Add(time.Hour), [2]string{"132539", "132540"}, [2]string{"132541", "132541"}))
	moved := identities(t, outs, err)["132539"]
	if moved == nil || len(moved.Assignments) != 2 || moved.Assignments[1].Patient != patient || moved.Assignments[0].To != schemas.TicksOf(recorded.Add(time.Hour)) {
		t.Fatalf("%+v", moved)
	}
	if f := moved.Assignments[1].Facts; !slices.Equal(f.Codes, []string{"spo2-scale-2"}) {
		t.Errorf("facts %+v", f)
	}
	h, err := c.History(ctx, "Device", moved.Resource)
	if err != nil || len(h) != 2 {
		t.Errorf("the Device has %d versions, %v", len(h), err)
	}

	// The TTL confirms both and moves nothing: what it finds in the history is
	// what it wrote itself.
	now = now.Add(2 * time.Second)
	outs, err = s.Tick(ctx, share, now)
	confirmed := identities(t, outs, err)
	if again := confirmed["132541"]; again == nil || again.Assignments[0].CheckedAt <= first["132541"].Assignments[0].CheckedAt {
		t.Errorf("not confirmed: %+v", again)
	}
	found, err := c.Search(ctx, "Patient", url.Values{"identifier": {"132540"}})
	if err != nil || len(found) != 1 {
		t.Errorf("%d Patients of one name, %v", len(found), err)
	}
}

// BenchmarkIdentifyNew is the price of a device that nobody has seen: Device and
// Patient are created.
func BenchmarkIdentifyNew(b *testing.B) {
	c := startServer(b)
	s := processors.NewIdentify(c, processors.IdentifyConfig{Mode: processors.ModeCreate}, time.Now)
	share := &schemas.Share{}
	var pairs [][2]string
	for i := range b.N {
		pairs = append(pairs, [2]string{fmt.Sprint("d", i), fmt.Sprint("p", i)})
	}
	b.ResetTimer()
	for len(pairs) > 0 {
		n := min(500, len(pairs))
		outs, err := s.Process(context.Background(), messages(share, time.Now(), pairs[:n]...))
		if err != nil || len(outs) != n {
			b.Fatalf("%d records, %v", len(outs), err)
		}
		pairs = pairs[n:]
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "devices/s")
}
