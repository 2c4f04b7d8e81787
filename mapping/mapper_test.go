package mapping

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"auscult/mapping/internal/tape"
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

var workloads = []string{"W1_single", "W2_multi4", "W3_array100", "W4_20tmpl", "W5_calc"}

func ignore(*schemas.Measurement) {}
func refuse(Failure)              {}

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
		d, lines := workload(t, name)
		whole, apart := inForms(t, lines)
		for _, messages := range [][]Message{whole, apart} {
			for _, m := range []*Mapper{d.NewMapper(), d.NewMapper(WithoutShapes())} {
				i := 0
				step := func() {
					if err := m.Map(&messages[i%len(messages)], ignore, refuse); err != nil {
						t.Fatal(err)
					}
					i++
				}
				for range messages {
					step()
				}
				if allocs := testing.AllocsPerRun(200, step); allocs != 0 {
					t.Errorf("%s: %v allocations a message", name, allocs)
				}
			}
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
template 1 (hr): value v $.matchedToken.hr: the message has no such value: /Body/1/hr is null
template 1 (hr): timestampExpression $.matchedToken.time: the value is not a time: /Body/2/time is "soon"
dev-1 hr 2024-05-06T00:00:00Z v=False
`
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
}

// TestComputedTime: a text that an expression makes is no date token, so that the
// forms that only tokens have are no times.
func TestComputedTime(t *testing.T) {
	for in, want := range map[string]string{
		"'2024-01-01T10:00:00Z'": "2024-01-01T10:00:00Z", "'2024-01-01T10:00:00.5+02:00'": "2024-01-01T08:00:00.5Z", "'13-Mar-2023'": "2023-03-13T00:00:00Z",
		"'2024-01-01T24:00:00Z'": "", "'2024-01-01T10:00:00+15:00'": "", "'/Date(0)/'": "", "`\"2024-01-01T24:00:00Z\"`": "2024-01-02T00:00:00Z", "`\"/Date(0)/\"`": "1970-01-01T00:00:00Z",
	} {
		d := mustLoad(t, fmt.Sprintf(`{"templateType":"CollectionContent","template":[{"templateType":"CalculatedContent","template":{"typeName":"a","defaultExpressionLanguage":"JmesPath",
"typeMatchExpression":"Body","deviceIdExpression":"'d'","timestampExpression":%q,"values":[]}}]}`, in))
		got, failures, err := mapAll(d.NewMapper(), &Message{HasBody: true, Body: []byte("1")})
		switch {
		case err != nil || len(got)+len(failures) != 1:
			t.Errorf("%s: got %v, %v, %v", in, got, failures, err)
		case len(got) == 1 && got[0].OccurrenceTimeUtc != want || len(got) == 0 && want != "":
			t.Errorf("%s: got %v, %v, want %q", in, got, failures, want)
		}
	}
}

// TestOwnMatchedToken: what a message itself calls matchedToken gives way to the
// match, which comes last.
func TestOwnMatchedToken(t *testing.T) {
	d := mustLoad(t, `{"templateType":"CollectionContent","template":[{"templateType":"CalculatedContent","template":{"typeName":"a","defaultExpressionLanguage":"JmesPath",
"typeMatchExpression":"x","deviceIdExpression":"matchedToken.d","timestampExpression":"t","values":[{"valueName":"keys","valueExpression":"to_string(keys(@))"}]}}]}`)
	got, failures, err := mapAll(d.NewMapper(), &Message{Whole: true, HasBody: true, Body: []byte(`{"matchedToken":5,"x":{"d":"e"},"t":"2024-01-01"}`)})
	if err != nil || len(failures) > 0 || len(got) != 1 || got[0].DeviceID != "e" || got[0].Properties[0].Value != `["x","t","matchedToken"]` {
		t.Errorf("got %v %v %v", got, failures, err)
	}
}

// manyMatches is a body with n objects that match, and at its end what every
// match needs.
func manyMatches(n int, note string) *Message {
	return &Message{HasBody: true, Body: []byte(`{"list":[` + strings.TrimSuffix(strings.Repeat(`{"x":1},`, n), ",") + `],"note":"` + note + `","d":"e","t":"2024-01-01"}`)}
}

const farChains = `{"templateType":"CollectionContent","template":[{"templateType":"CalculatedContent","template":{"typeName":"a","typeMatchExpression":"$..[?(@x)]",
"deviceIdExpression":"$.Body.d","timestampExpression":"$.Body.t","values":[{"valueName":"n","valueExpression":"$.Body.note"},{"valueName":"last","valueExpression":"$.Body.list[19999].x"}]}}]}`

// TestManyMatches: what all matches of a message share is looked for once, and
// what each of them decodes is let go.
func TestManyMatches(t *testing.T) {
	m := mustLoad(t, farChains).NewMapper()
	made := 0
	note := strings.Repeat(`\n`, 1000)
	err := m.Map(manyMatches(20_000, note), func(out *schemas.Measurement) {
		if len(out.Values) == 2 && len(out.Values[0].Text) == 1000 {
			made++
		}
	}, func(f Failure) { t.Fatal(f) })
	if err != nil || made != 20_000 || cap(m.tape.Side) > 1<<20 {
		t.Errorf("%d measurements, %d bytes of texts, %v", made, cap(m.tape.Side), err)
	}
}

// TestTooManyMatches: a template that goes beyond the limit fails; the others
// stand.
func TestTooManyMatches(t *testing.T) {
	d := mustLoad(t, strings.Replace(farChains, `"template":[`, `"template":[{"templateType":"CalculatedContent","template":{"typeName":"b","typeMatchExpression":"$.Body.list[*]",
"deviceIdExpression":"$.Body.d","timestampExpression":"$.Body.t"}},`, 1))
	made, failed := map[string]int{}, []Failure{}
	err := d.NewMapper().Map(manyMatches(60_000, ""), func(out *schemas.Measurement) { made[out.Type]++ }, func(f Failure) { failed = append(failed, f) })
	if err != nil || made["b"] != 60_000 || made["a"] != 0 || len(failed) != 1 || failed[0].Message != errMatches.Error() {
		t.Errorf("made %v, failed %v, %v", made, failed, err)
	}
}

// TestScansAreBounded: many templates over many objects end with a clear error.
func TestScansAreBounded(t *testing.T) {
	var templates []string
	for i := range 2000 {
		templates = append(templates, fmt.Sprintf(`{"templateType":"JsonPathContent","template":{"typeName":"t%d","typeMatchExpression":"$..[?(@x == 'v%d')]","deviceIdExpression":"$.d","timestampExpression":"$.t"}}`, i, i))
	}
	d := mustLoad(t, `{"templateType":"CollectionContent","template":[`+strings.Join(templates, ",")+`]}`)
	if err := d.NewMapper().Map(manyMatches(20_000, ""), ignore, refuse); !errors.Is(err, tape.ErrSteps) {
		t.Errorf("got %v, want %v", err, tape.ErrSteps)
	}
}
