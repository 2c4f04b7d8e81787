package mapping

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"auscult/mapping/internal/tape"
)

// otherScalars are what may stand in a message instead of one of its scalars.
var otherScalars = []string{`1`, `-0.5e+3`, `72.50`, `true`, `null`, `""`, `" "`, `"plain"`, `"\u00e9\\"`, `"x y"`, "\"\u00e9\"", "\"\xff\"", `"2019-02-01T22:46:01.8750000Z"`,
	`"2019-02-01T22:46:01"`, `"soon"`, `9223372036854775808`, `{"hr":1}`, `[1]`, `01`, `"open`}

// withOtherScalars returns b with some scalars exchanged; b itself when it is not
// JSON.
func withOtherScalars(b []byte, random *rand.Rand) []byte {
	all := tape.New(tape.NewNameSet().Table())
	all.Reset(b)
	if all.Parse() != nil {
		return b
	}
	var out []byte
	from := 0
	for i := range all.Nodes {
		n := &all.Nodes[i]
		start, end := int(n.Start), int(n.End)
		if n.Kind == tape.String {
			start, end = start-1, end+1
		}
		if n.Kind == tape.Object || n.Kind == tape.Array || start < from || random.IntN(4) > 0 {
			continue
		}
		out = append(append(out, b[from:start]...), otherScalars[random.IntN(len(otherScalars))]...)
		from = end
	}
	return append(out, b[from:]...)
}

// checkForms maps a message and others like it with and without shapes, and
// counts those that were read through one.
func checkForms(t *testing.T, d *Device, msg Message, count int, random *rand.Rand) (hits int) {
	t.Helper()
	plain, shaped := d.NewMapper(WithoutShapes()), d.NewMapper()
	body := msg.Body
	for i := range count {
		if i >= 5 {
			msg.Body = withOtherScalars(body, random)
		}
		if i%5 == 4 && len(msg.Properties) > 0 { // other properties, the same body
			msg.Properties = msg.Properties[1:]
		}
		want, wantFailures, wantErr := mapAll(plain, &msg)
		got, failures, err := mapAll(shaped, &msg)
		if fmt.Sprint(err) != fmt.Sprint(wantErr) || !reflect.DeepEqual(got, want) || !reflect.DeepEqual(failures, wantFailures) {
			t.Fatalf("message %d, %s: through a shape %v %v %v, without %v %v %v", i, msg.Body, got, failures, err, want, wantFailures, wantErr)
		}
		if shaped.form != nil {
			hits++
		}
	}
	return hits
}

// TestFormsOfCases runs the messages of the recorded cases, and others like
// them, through shapes.
func TestFormsOfCases(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	hits, all := 0, 0
	for _, path := range []string{"testdata/normalize.jsonl", "../../shared/cases/normalize.jsonl"} {
		for _, c := range readCases(t, path) {
			if d, err := LoadDevice([]byte(c.In.Device)); err == nil {
				hits += checkForms(t, d, *c.message(t), 12, random)
				all += 12
			}
		}
	}
	t.Logf("%d of %d messages through shapes", hits, all)
	if hits < all/10 {
		t.Errorf("only %d of %d messages through shapes", hits, all)
	}
}

// TestFormsOfWorkloads does the same with ordinary messages, all of one mapper.
func TestFormsOfWorkloads(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, name := range workloads {
		d, lines := workload(t, name)
		whole, apart := inForms(t, lines)
		for i := range 4 {
			checkForms(t, d, whole[i], 60, random)
			checkForms(t, d, apart[i], 60, random)
		}
	}
}

// languagesMapping has expressions that the plan does not answer itself.
const languagesMapping = `{"templateType":"CollectionContent","template":[
 {"templateType":"CalculatedContent","template":{"typeName":"sum","typeMatchExpression":"$..[?(@hr > 10 || @list)]",
  "deviceIdExpression":{"value":"matchedToken.device || Body.device","language":"JmesPath"},"timestampExpression":"$..time",
  "values":[{"valueName":"v","valueExpression":{"value":"add(matchedToken.hr, ` + "`1`" + `)","language":"JmesPath"}},
   {"valueName":"w","valueExpression":"$.matchedToken.list[-1:]"},{"valueName":"n","valueExpression":{"value":"length(matchedToken.list)","language":"JmesPath"}}]}}]}`

func FuzzForms(f *testing.F) {
	for seed, s := range []string{`{"hr":1,"time":"2019-02-01T22:46:01Z","device":"d","list":[1,{"k":2},"x"]}`, `[{"hr":72.5,"time":"2019-02-01","device":"a"},{"hr":"x","hr":2}]`,
		`{"a":{"note":"x y","when":"2024-01-02","device":"d","time":"2024-01-02T03:04:05Z","list":[0,{"k":1e21}]}}`, `{"x":{"hr":1},"x":5}`, `1`, `[[],{}]`} {
		f.Add([]byte(s), uint64(seed))
	}
	devices := []*Device{mustLoad(f, wardMapping), mustLoad(f, languagesMapping)}
	system := []Property{{Name: "iothub-connection-device-id", Text: "dev"}}
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		if len(b) > 4000 {
			return
		}
		random := rand.New(rand.NewPCG(seed, 1))
		msg := Message{Body: b, HasBody: true, Whole: seed&2 != 0, System: system, Properties: []Property{{Name: "hr", Text: "7"}, {Name: "z"}}}
		checkForms(t, devices[seed&1], msg, 25, random)
	})
}
