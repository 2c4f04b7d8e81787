package mapping

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"auscult/schemas"
)

// inForms reads envelopes as messages in both forms: the text of the whole, and
// the body with the properties beside it.
func inForms(t testing.TB, lines [][]byte) (whole, apart []Message) {
	for _, line := range lines {
		var envelope struct{ Body, Properties, SystemProperties json.RawMessage }
		if err := json.Unmarshal(line, &envelope); err != nil {
			t.Fatal(err)
		}
		whole = append(whole, Message{Body: line, HasBody: true, Whole: true})
		apart = append(apart, Message{Body: envelope.Body, HasBody: true,
			Properties: propertiesOf(t, envelope.Properties), System: propertiesOf(t, envelope.SystemProperties)})
	}
	return whole, apart
}

// BenchmarkMap compares the way from the bytes of a message to those of its
// measurements with json.Valid on the bytes that are parsed. Passes are short
// and interleaved and the lower quartile counts, so that a busy machine does not
// change the ratio much.
func BenchmarkMap(b *testing.B) {
	for _, name := range workloads {
		for _, form := range []string{"whole", "apart"} {
			b.Run(name[:2]+"/"+form, func(b *testing.B) {
				device, lines := workload(b, name)
				messages, apart := inForms(b, lines)
				if form == "apart" {
					messages = apart
				}
				plain, shaped := newPass(device.NewMapper(WithoutShapes())), newPass(device.NewMapper())
				q := quartiles(b, messages, valid, plain.run, shaped.run)
				b.ReportMetric(q[0], "ns/valid")
				b.ReportMetric(q[1], "ns/plain")
				b.ReportMetric(q[2], "ns/shaped")
				b.ReportMetric(q[1]/q[0], "plain/valid")
				b.ReportMetric(q[2]/q[0], "shaped/valid")
			})
		}
	}
}

func valid(m *Message) bool { return json.Valid(m.Body) }

// pass maps messages to Avro bytes.
type pass struct {
	mapper *Mapper
	out    []byte
	yield  func(*schemas.Measurement)
	fail   func(Failure)
	failed bool
}

func newPass(m *Mapper) *pass {
	p := &pass{mapper: m}
	p.yield = func(m *schemas.Measurement) { p.out = m.Append(p.out) }
	p.fail = func(Failure) { p.failed = true }
	return p
}

func (p *pass) run(m *Message) bool {
	p.out = p.out[:0]
	return p.mapper.Map(m, p.yield, p.fail) == nil && !p.failed
}

// quartiles times passes over messages, one subject after the other in every
// round, and returns the lower quartile of each.
func quartiles(b *testing.B, messages []Message, subjects ...func(*Message) bool) []float64 {
	times := make([][]float64, len(subjects))
	for b.Loop() {
		for i, subject := range subjects {
			start := time.Now()
			for k := range messages {
				if !subject(&messages[k]) {
					b.Fatalf("refused: %s", messages[k].Body)
				}
			}
			times[i] = append(times[i], float64(time.Since(start))/float64(len(messages)))
		}
	}
	lower := make([]float64, len(subjects))
	for i := range times {
		slices.Sort(times[i])
		lower[i] = times[i][len(times[i])/4]
	}
	return lower
}

// BenchmarkMapChanging maps messages whose forms do not come again soon: arrays
// of other lengths, and objects of other names. Shapes must not cost much there.
func BenchmarkMapChanging(b *testing.B) {
	device, lines := workload(b, "W3_array100")
	random := rand.New(rand.NewPCG(1, 2))
	var arrays, objects []Message
	for range 100 {
		line := lines[random.IntN(len(lines))]
		end := []byte(`},{"heartRate"`)
		cut := 0
		for range random.IntN(100) {
			if next := bytes.Index(line[cut+1:], end); next >= 0 {
				cut += 1 + next
			}
		}
		if cut > 0 {
			line = append(line[:cut:cut], `}]}`...)
		}
		arrays = append(arrays, Message{Body: line, HasBody: true, Whole: true})
		objects = append(objects, Message{HasBody: true, Whole: true, Body: fmt.Appendf(nil,
			`{"Body":{"heartRate":1,"endDate":"2020-04-20T16:25:36Z","deviceId":"d","x%d":{"y%d":[1,2,"z"]}}}`, random.Uint32(), random.Uint32())})
	}
	for name, messages := range map[string][]Message{"arrays": arrays, "objects": objects} {
		b.Run(name, func(b *testing.B) {
			plain, shaped := newPass(device.NewMapper(WithoutShapes())), newPass(device.NewMapper())
			q := quartiles(b, messages, plain.run, shaped.run)
			b.ReportMetric(q[0], "ns/plain")
			b.ReportMetric(q[1]/q[0], "shaped/plain")
		})
	}
}
