package mapping

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"auscult/schemas"
)

func mustLoad(t testing.TB, text string) *Device {
	t.Helper()
	d, err := LoadDevice([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// workload loads one of the benchmark's mappings and messages.
func workload(t testing.TB, name string) (*Device, [][]byte) {
	t.Helper()
	text, err := os.ReadFile("../../shared/workloads/" + name + ".template.json")
	if err != nil {
		t.Skipf("workloads are not here: %v", err)
	}
	return mustLoad(t, string(text)), readLines(t, "../../shared/workloads/"+name+".messages.jsonl")
}

var workloads = []string{"W1_single", "W2_multi4", "W3_array100", "W4_20tmpl"}

func ignore(*schemas.Measurement) {}
func refuse(Failure)              {}

func BenchmarkMap(b *testing.B) {
	for _, name := range workloads {
		b.Run(name, func(b *testing.B) {
			d, messages := workload(b, name)
			m := d.NewMapper()
			msg := Message{HasBody: true, Whole: true}
			b.SetBytes(int64(len(messages[0])))
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				msg.Body = messages[i%len(messages)]
				i++
				if err := m.Map(&msg, ignore, refuse); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkValid is the yardstick: what encoding/json takes to say that the same
// bytes are JSON.
func BenchmarkValid(b *testing.B) {
	for _, name := range workloads {
		b.Run(name, func(b *testing.B) {
			_, messages := workload(b, name)
			i := 0
			for b.Loop() {
				if !json.Valid(messages[i%len(messages)]) {
					b.Fatal("not JSON")
				}
				i++
			}
		})
	}
}

const wardMapping = `{"templateType":"CollectionContent","template":[
 {"templateType":"CalculatedContent","template":{"typeName":"hr","typeMatchExpression":"$..[?(@hr)]",
  "deviceIdExpression":"$.SystemProperties.iothub-connection-device-id","timestampExpression":"$.matchedToken.time",
  "patientIdExpression":"$.matchedToken.patient",
  "values":[{"valueName":"v","valueExpression":"$.matchedToken.hr","required":true}]}},
 {"templateType":"JsonPathContent","template":{"typeName":"note","typeMatchExpression":"$..[?(@note == 'x y' && @when)]",
  "deviceIdExpression":"$.device","timestampExpression":"$.time",
  "values":[{"valueName":"when","valueExpression":"$.when"},{"valueName":"note","valueExpression":"$.note"},{"valueName":"list","valueExpression":"$.list[1].k"}]}}]}`

// TestMapAllocatesNothing drives every kind of value through a mapper that has
// seen such a message before.
func TestMapAllocatesNothing(t *testing.T) {
	d := mustLoad(t, wardMapping)
	record := schemas.Raw{Key: []byte("d1"), Offset: 7, Headers: []schemas.Header{
		{Key: "iothub-connection-device-id", Value: []byte("\xA1\x05dev-1")},
		{Key: HeaderEnqueuedTime, Value: []byte{amqpTimestamp, 0, 0, 1, 0x86, 0xdc, 0x86, 0x85, 0x43}},
		{Key: "batchid", Value: []byte("b")},
	}, Value: []byte(`{"hr":72.50,"time":"2024-05-06T07:08:09.1234567+02:00","patient":"p-1","device":"d","note":"x\u0020y","when":"2024-01-02T03:04:05Z","list":[0,{"k":1e21}],"hr2":1}`)}
	m := d.NewMapper()
	var msg Message
	n := 0
	yield := func(out *schemas.Measurement) { n += len(out.Values) }
	fail := func(f Failure) { t.Error(f) }
	step := func() {
		msg.Take(record)
		if err := m.Map(&msg, yield, fail); err != nil {
			t.Fatal(err)
		}
	}
	if allocs := testing.AllocsPerRun(200, step); allocs != 0 {
		t.Errorf("%v allocations a message", allocs)
	}
	if n != 201*4 {
		t.Errorf("%d values, want %d", n, 201*4)
	}
	for _, name := range workloads {
		d, messages := workload(t, name)
		m, i := d.NewMapper(), 0
		msg := Message{HasBody: true, Whole: true}
		if allocs := testing.AllocsPerRun(200, func() {
			msg.Body = messages[i%len(messages)]
			i++
			if err := m.Map(&msg, ignore, refuse); err != nil {
				t.Fatal(err)
			}
		}); allocs > 0.1 {
			t.Errorf("%s: %v allocations a message", name, allocs)
		}
	}
}

// TestMap shows what one message gives.
func TestMap(t *testing.T) {
	d := mustLoad(t, wardMapping)
	msg := EnvelopeOf(schemas.Raw{
		Headers: []schemas.Header{{Key: "iothub-connection-device-id", Value: []byte("dev-1")}},
		Value:   []byte(`[{"hr":72.50,"time":"2024-05-06T07:08:09Z"},{"hr":null,"time":"2024-05-06T07:08:09Z"},{"hr":60,"time":"soon"},{"hr":true,"time":"2024-05-06","hr":false}]`),
	})
	var got strings.Builder
	err := d.NewMapper().Map(&msg, func(m *schemas.Measurement) {
		got.WriteString(m.Device + " " + m.Type + " " + m.Occurrence.String())
		for _, v := range m.Values {
			got.WriteString(" " + v.Name + "=" + v.Text)
		}
		got.WriteString("\n")
	}, func(f Failure) { got.WriteString(f.Error() + "\n") })
	if err != nil {
		t.Fatal(err)
	}
	want := `dev-1 hr 2024-05-06T07:08:09Z v=72.5
template 1 (hr): value v: the value is blank or cannot be a text
template 1 (hr): timestampExpression: the value is not a time
dev-1 hr 2024-05-06T00:00:00Z v=False
`
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
}
