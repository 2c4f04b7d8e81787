package mapping

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"auscult/mapping/internal/tape"
)

// loadPlain loads a mapping without a plan: its languages evaluate every
// expression, over tapes that hold all of a message.
func loadPlain(file []byte) (*Device, error) {
	return loadDevice(file, &compiler{names: tape.NewNameSet(), chains: map[string]*chain{}, keep: tape.KeepAll, plain: true})
}

// gen writes random mappings and messages that have something to do with each
// other: few names, all ways to match and to select.
type gen struct{ *rand.Rand }

func (g gen) of(texts ...string) string { return texts[g.IntN(len(texts))] }

func (g gen) name() string { return g.of("a", "b", "c", "v", "d e", "Body", "matchedToken") }

// path is JSONPath behind a start such as $ or @.
func (g gen) path(start string, steps int) string {
	var b strings.Builder
	b.WriteString(start)
	for range g.IntN(steps + 1) {
		switch name := g.name(); g.IntN(12) {
		case 0:
			b.WriteString("[*]")
		case 1:
			b.WriteString("..['" + name + "']")
		case 2:
			fmt.Fprintf(&b, "[%d]", g.IntN(3))
		case 3:
			b.WriteString(".*")
		case 4:
			b.WriteString("[?(@." + g.of("a", "b") + ")]")
		case 5:
			b.WriteString(g.of("[0,1]", "[1:]", "[-1:]", "['a','b']"))
		default:
			b.WriteString("['" + name + "']")
		}
	}
	return b.String()
}

func (g gen) condition() string {
	left := g.of("@a", "@b", "@c.a", "@v", "@['d e']", "@a[0]", "@", "$.Body.a", "@.b.c")
	if g.IntN(2) == 0 {
		return left
	}
	return left + " " + g.of("==", "==", "==", "!=", "<", ">=", "===", "=~") + " " +
		g.of("'x'", "'2024-01-01T00:00:00Z'", "1", "1.5", "true", "null", "@b", "/x/")
}

func (g gen) match() string {
	switch g.IntN(6) {
	case 0:
		return quoteJSON(g.path("$", 4))
	case 1:
		return jmes(g.of("Body.a[?b]", "to_array(@)[?Body.a]", "Body.*[?a == 'x'][]", "Body.a", "Body[].b", "[Body.a, Body.b]", "Body | [0]"))
	case 2:
		return quoteJSON(g.of("$.Body", "$.Body.a", "$", "$.Body.a.b") + "..[?(" + g.condition() + ")]")
	}
	parts := []string{g.condition()}
	for range g.IntN(3) {
		parts = append(parts, g.of("&&", "&&", "||"), g.condition())
	}
	return quoteJSON("$..[?(" + strings.Join(parts, " ") + ")]")
}

func (g gen) expression(whole bool) string {
	if whole && g.IntN(3) == 0 {
		return jmes(g.of("matchedToken.a", "Body.b", "matchedToken.a[0]", "to_number(matchedToken.v)", "multiply(to_number(matchedToken.v), `0.5`)",
			"join('-', [type(matchedToken.a), 'x'])", "keys(matchedToken)[0]", "Body.a[*].b | [0]", "matchedToken.\"d e\" || 'none'", "not_null(matchedToken.b, Body.a)",
			"length(Body.a)", "to_string(matchedToken)", "@", "values(@) | [0]"))
	}
	start := "$"
	if whole && g.IntN(2) == 0 {
		start = "$.matchedToken"
	}
	return quoteJSON(g.path(start, 3))
}

func quoteJSON(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func jmes(s string) string { return `{"value":` + quoteJSON(s) + `,"language":"JmesPath"}` }

func (g gen) mapping() string {
	var templates []string
	for i := range 1 + g.IntN(4) {
		typ := g.of("CalculatedContent", "CalculatedContent", "JsonPathContent", "IotJsonPathContent", "IotCentralJsonPathContent")
		whole := typ == "CalculatedContent"
		match := g.match()
		for !whole && match[0] == '{' {
			match = g.match()
		}
		fields := []string{`"typeName":"t` + fmt.Sprint(i) + `"`, `"typeMatchExpression":` + match}
		if typ == "CalculatedContent" || typ == "JsonPathContent" {
			device, at := g.expression(whole), g.of(`"$.t"`, `"$.matchedToken.t"`, g.expression(whole))
			if whole && g.IntN(3) > 0 {
				device, at = `"$.Properties.a"`, `"$.SystemProperties.iothub-enqueuedtime"`
			}
			fields = append(fields, `"deviceIdExpression":`+device, `"timestampExpression":`+at)
		}
		if g.IntN(3) == 0 {
			fields = append(fields, `"patientIdExpression":`+g.expression(whole))
		}
		var values []string
		for k := range g.IntN(4) {
			values = append(values, fmt.Sprintf(`{"valueName":"v%d","valueExpression":%s,"required":%t}`, k, g.expression(whole), g.IntN(4) == 0))
		}
		fields = append(fields, `"values":[`+strings.Join(values, ",")+`]`)
		templates = append(templates, `{"templateType":"`+typ+`","template":{`+strings.Join(fields, ",")+`}}`)
	}
	return `{"templateType":"CollectionContent","template":[` + strings.Join(templates, ",") + `]}`
}

// value is a random JSON value.
func (g gen) value(depth int) string {
	switch k := g.IntN(9); {
	case depth > 0 && k < 4:
		var members []string
		for range g.IntN(5) {
			members = append(members, quoteJSON(g.of("a", "b", "c", "v", "d e", "t", "deviceId", "enqueuedTime", "zz", "x"))+":"+g.value(depth-1))
		}
		return "{" + strings.Join(members, ",") + "}"
	case depth > 0 && k < 6:
		var items []string
		for range g.IntN(4) {
			items = append(items, g.value(depth-1))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return g.of(`"x"`, `"2024-01-01T00:00:00Z"`, "1", "1.50", "true", "null", `"\u0078"`, "12345678901234567890", `""`, "0", "-0", `"device"`)
}

// TestPlanEqualsPlain compares what the plan answers with what the languages do,
// for random mappings and messages.
func TestPlanEqualsPlain(t *testing.T) {
	seed := rand.Uint64()
	measured, failed := 0, 0
	for i := range 3000 {
		m, f := comparePlans(t, seed+uint64(i), nil)
		measured, failed = measured+m, failed+f
	}
	if measured < 500 || failed < 500 {
		t.Errorf("seed %d: only %d measurements and %d failures", seed, measured, failed)
	}
}

// FuzzPlanEqualsPlain does the same for messages that the fuzzer makes.
func FuzzPlanEqualsPlain(f *testing.F) {
	f.Add(uint64(1), []byte(`{"a":[{"b":1,"t":"2024-01-01T00:00:00Z"},2],"v":"12"}`))
	f.Add(uint64(2), []byte(`{"a":{"b":{"c":"x"}},"a":{"v":1}}`))
	f.Add(uint64(3), []byte(`[[{"a":"x","b":null}]]`))
	f.Fuzz(func(t *testing.T, seed uint64, body []byte) { comparePlans(t, seed, body) })
}

// withoutValues leaves out what depends on how much of a message is on the tape.
func withoutValues(failures []Failure) []Failure {
	for i := range failures {
		failures[i].Path, failures[i].Value = "", ""
	}
	return failures
}

// comparePlans makes a mapping of the seed and maps a few messages like body, or
// random ones, in every way there is.
func comparePlans(t *testing.T, seed uint64, body []byte) (measured, failed int) {
	t.Helper()
	g := gen{rand.New(rand.NewPCG(seed, 1))}
	text := g.mapping()
	planned, err := LoadDevice([]byte(text))
	plain, plainErr := loadPlain([]byte(text))
	if (err == nil) != (plainErr == nil) {
		t.Fatalf("seed %d: %v, without a plan %v", seed, err, plainErr)
	}
	if err != nil {
		return 0, 0
	}
	one, other := planned.NewMapper(), plain.NewMapper()
	for k := range 4 {
		message := &Message{Body: body, HasBody: len(body) > 0, Properties: []Property{{Name: "a", Text: "x"}}, System: []Property{{Name: "iothub-connection-device-id", Text: "d"}, {Name: "iothub-enqueuedtime", Text: "2024-05-05T00:00:00Z"}}}
		if body == nil {
			message.Body, message.HasBody = []byte(g.value(4)), true
		}
		got, failures, err := mapAll(one, message)
		want, plainFailures, plainErr := mapAll(other, message)
		if !reflect.DeepEqual(got, want) || fmt.Sprint(withoutValues(failures), err) != fmt.Sprint(withoutValues(plainFailures), plainErr) {
			t.Fatalf("seed %d, message %d: %s\n%s\n got %v %v %v\nwant %v %v %v", seed, k, message.Body, text, got, failures, err, want, plainFailures, plainErr)
		}
		measured, failed = measured+len(got), failed+len(failures)
	}
	return measured, failed
}
