package processors

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"auscult/mapping"
	"auscult/schemas"
	"auscult/state"
)

const normalizeMapping = `{"templateType":"CollectionContent","template":[
 {"templateType":"CalculatedContent","template":{"typeName":"hr","typeMatchExpression":"$..[?(@hr)]",
  "deviceIdExpression":"$.matchedToken.device","timestampExpression":"$.matchedToken.time","patientIdExpression":"$.matchedToken.patient",
  "values":[{"valueName":"v","valueExpression":"$.matchedToken.hr","required":true}]}},
 {"templateType":"CalculatedContent","template":{"typeName":"note","typeMatchExpression":"$..[?(@note)]",
  "deviceIdExpression":"$.matchedToken.device","timestampExpression":"$.matchedToken.time",
  "values":[{"valueName":"text","valueExpression":"$.matchedToken.note","required":true}]}}]}`

func deviceMapping(t testing.TB) *mapping.Device {
	t.Helper()
	d, err := mapping.LoadDevice([]byte(normalizeMapping))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// appended is when the broker of these tests took every message.
var appended = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

// batchOf puts bodies on partition 3 from offset 40 on.
func batchOf(bodies ...string) schemas.Batch {
	b := schemas.Batch{Share: &schemas.Share{Topic: schemas.TopicDeviceData, Partition: 3, Generation: "g1"}}
	for i, body := range bodies {
		b.Records = append(b.Records, schemas.Raw{Topic: schemas.TopicDeviceData, Partition: 3, Offset: int64(40 + i),
			Key: []byte("k"), Value: []byte(body), Timestamp: appended})
	}
	return b
}

// told writes what a batch gave, one line a record.
func told(t testing.TB, outs []schemas.Out) string {
	t.Helper()
	var b strings.Builder
	for _, o := range outs {
		switch o.Topic {
		case schemas.TopicMeasurements:
			m, err := schemas.Measurements.Decode(o.Value)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s: %s %s %v patient %q at %s, taken %s, %s/%s %d/%d/%d\n", o.Key, m.Device, m.Type, m.Values, m.Patient,
				m.Occurrence, m.Ingestion, m.Lineage.Run, m.Lineage.Generation, m.Lineage.Partition, m.Lineage.Offset, m.Lineage.Index)
		case schemas.TopicDeadLetters:
			d, err := schemas.DeadLetters.Decode(o.Value)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s: dead %s %s %d/%d: %s\n", o.Key, d.Stage, d.Reason, d.Lineage.Partition, d.Lineage.Offset, d.Detail)
			if d.Action == "" || len(d.Value) == 0 {
				t.Errorf("dead letter without action or bytes: %+v", d)
			}
		default:
			t.Fatalf("record for %s", o.Topic)
		}
	}
	return b.String()
}

// TestNormalize shows what becomes of good, bad, late and early messages of one
// batch: source order is kept, and nothing that fails stops what is beside it.
func TestNormalize(t *testing.T) {
	n := NewNormalize(deviceMapping(t), NormalizeConfig{})
	outs, err := n.Process(context.Background(), batchOf(
		`{"hr":72.50,"device":"d1","patient":"p1","time":"2026-03-01T09:59:58Z"}`,
		`{"hr":72`,
		`[{"hr":60,"device":"d\u0032","time":"2026-03-01T09:59:59Z"},{"hr":null,"device":"d2","time":"2026-03-01T09:59:59Z"},{"hr":61,"device":"d2","time":"2026-03-01T10:00:00Z","note":"n"}]`,
		`{"hr":80,"device":"d3","time":"2026-03-01T10:10:00Z"}`,
		`[{"hr":81,"device":"d3","time":"2026-03-01T10:10:00.0000001Z"},{"hr":82,"device":"d3","time":"2026-03-01T09:00:00Z"},{"hr":83,"device":"d3","time":"9999-03-01T10:00:00Z"}]`,
		`{"temperature":37}`,
		``,
	))
	if err != nil {
		t.Fatal(err)
	}
	want := `d1: d1 hr [{v 72.5}] patient "p1" at 2026-03-01T09:59:58Z, taken 2026-03-01T10:00:00Z, live/g1 3/40/0
k: dead normalize message 3/41: the message is not JSON: it ends too early at byte 8
d2: d2 hr [{v 60}] patient "" at 2026-03-01T09:59:59Z, taken 2026-03-01T10:00:00Z, live/g1 3/42/0
d2: d2 hr [{v 61}] patient "" at 2026-03-01T10:00:00Z, taken 2026-03-01T10:00:00Z, live/g1 3/42/1
d2: d2 note [{text n}] patient "" at 2026-03-01T10:00:00Z, taken 2026-03-01T10:00:00Z, live/g1 3/42/2
k: dead normalize template 3/42: template 1 (hr): value v $.matchedToken.hr: the message has no such value: /Body/1/hr is null
d3: d3 hr [{v 80}] patient "" at 2026-03-01T10:10:00Z, taken 2026-03-01T10:00:00Z, live/g1 3/43/0
d3: d3 hr [{v 82}] patient "" at 2026-03-01T09:00:00Z, taken 2026-03-01T10:00:00Z, live/g1 3/44/1
k: dead normalize clock 3/44: 2 measurements, up to 9999-03-01T10:00:00Z, are ahead of the broker, which took the message at 2026-03-01T10:00:00Z; 10m0s is allowed
`
	if got := told(t, outs); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	c := n.Counts()
	if c.Messages.Load() != 7 || c.Measurements.Load() != 6 || c.Unmatched.Load() != 2 || c.Unusable.Load() != 1 || c.Failures.Load() != 1 || c.ClockAhead.Load() != 2 {
		counts, _ := json.Marshal(map[string]int64{"messages": c.Messages.Load(), "measurements": c.Measurements.Load(), "unmatched": c.Unmatched.Load()})
		t.Errorf("counts %s", counts)
	}
}

// TestNormalizeIngestion: what an IoT Hub says about when it took a message
// counts before the append time of the broker, for the clock too.
func TestNormalizeIngestion(t *testing.T) {
	n := NewNormalize(deviceMapping(t), NormalizeConfig{Run: "again", ClockAhead: time.Hour})
	b := batchOf(`{"hr":72,"device":"d1","time":"2026-03-01T10:50:00Z"}`, `{"hr":73,"device":"d1","time":"2026-03-01T10:50:00Z"}`)
	b.Records[0].Headers = []schemas.Header{{Key: mapping.HeaderEnqueuedTime, Value: []byte("2026-03-01T09:55:00.5Z")}}
	b.Records[1].Headers = []schemas.Header{{Key: mapping.HeaderEnqueuedTime, Value: []byte("2026-03-01T09:45:00Z")}}
	outs, err := n.Process(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	want := `d1: d1 hr [{v 72}] patient "" at 2026-03-01T10:50:00Z, taken 2026-03-01T09:55:00.5Z, again/g1 3/40/0
k: dead normalize clock 3/41: 1 measurements, up to 2026-03-01T10:50:00Z, are ahead of the broker, which took the message at 2026-03-01T09:45:00Z; 1h0m0s is allowed
`
	if got := told(t, outs); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestNormalizeSize: what no broker would take becomes a dead letter, and so
// does a device id that no table row could have as its key.
func TestNormalizeSize(t *testing.T) {
	n := NewNormalize(deviceMapping(t), NormalizeConfig{})
	long := strings.Repeat("x", state.MaxOutputBytes)
	outs, err := n.Process(context.Background(), batchOf(
		`{"note":"`+long+`","hr":1,"device":"d","time":"2026-03-01T10:00:00Z"}`,
		`{"hr":1,"device":"`+long[:state.MaxOwedKey+1]+`","time":"2026-03-01T10:00:00Z"}`))
	if err != nil {
		t.Fatal(err)
	}
	var topics []string
	for _, o := range outs {
		topics = append(topics, o.Topic)
		if o.Topic == schemas.TopicDeadLetters {
			d, err := schemas.DeadLetters.Decode(o.Value)
			if err != nil || d.Reason != schemas.ReasonSize {
				t.Errorf("%v %v", d.Reason, err)
			}
		}
	}
	if got := strings.Join(topics, " "); got != "measurements dead-letters dead-letters" || n.Counts().TooLarge.Load() != 2 {
		t.Errorf("got %s, %d too large", got, n.Counts().TooLarge.Load())
	}
}

// TestNormalizeKeepsItsOutputs: what a batch gave stays as it was while the
// next one is made, for the transport may still be sending it.
func TestNormalizeKeepsItsOutputs(t *testing.T) {
	n := NewNormalize(deviceMapping(t), NormalizeConfig{})
	batch := func(hr int) schemas.Batch {
		var bodies []string
		for i := range 200 {
			bodies = append(bodies, fmt.Sprintf(`{"hr":%d,"device":"d\u003%d","time":"2026-03-01T10:00:00Z"}`, hr, i%10))
		}
		return batchOf(bodies...)
	}
	first, err := n.Process(context.Background(), batch(1))
	if err != nil {
		t.Fatal(err)
	}
	before := told(t, first)
	for hr := range 5 {
		if _, err := n.Process(context.Background(), batch(hr)); err != nil {
			t.Fatal(err)
		}
	}
	if after := told(t, first); after != before {
		t.Error("a later batch wrote over what an earlier one gave")
	}
}

func BenchmarkNormalize(b *testing.B) {
	n := NewNormalize(deviceMapping(b), NormalizeConfig{})
	var bodies []string
	for i := range 500 {
		bodies = append(bodies, fmt.Sprintf(`{"hr":72.5,"device":"monitor-%02d","patient":"p1","time":"2026-03-01T09:59:58.%03dZ"}`, i%20, i))
	}
	batch := batchOf(bodies...)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := n.Process(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/message")
}

// TestUseAnotherMapping: a mapping is swapped between two messages, and each
// measurement says which version made it.
func TestUseAnotherMapping(t *testing.T) {
	first := deviceMapping(t)
	second, err := mapping.LoadDevice([]byte(`{"templateType":"CollectionContent","template":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	n := NewNormalize(first, NormalizeConfig{})
	made := func() int {
		outs, err := n.Process(t.Context(), batchOf(`{"hr":72,"device":"d1","time":"2026-03-01T09:59:58Z"}`))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range outs {
			if m, err := schemas.Measurements.Decode(o.Value); err != nil || m.Lineage.Mapping != first.Version() {
				t.Errorf("made by version %q, want %q (%v)", m.Lineage.Mapping, first.Version(), err)
			}
		}
		return len(outs)
	}
	before := made()
	n.Use(second)
	between := made()
	n.Use(first)
	if after := made(); before == 0 || between != 0 || after != before {
		t.Errorf("%d, then %d with an empty mapping, then %d", before, between, after)
	}
}
