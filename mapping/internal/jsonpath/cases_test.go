package jsonpath

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"auscult/mapping/internal/dotnet"
	"auscult/mapping/internal/tape"
)

// recorded is one line of the recorded behaviour of the connector.
type recorded struct {
	ID   string   `json:"id"`
	Tags []string `json:"tags"`
	In   struct {
		Device     string          `json:"device"`
		Body       *string         `json:"body"`
		Properties json.RawMessage `json:"properties"`
		System     json.RawMessage `json:"system"`
	} `json:"in"`
	Want struct {
		Rule         string `json:"rule"`
		Measurements []struct {
			Properties []struct{ Name, Value string }
		} `json:"measurements"`
	} `json:"want"`
}

// recordedTemplate is the template of a recorded line: its match is a path, and
// the values show what that selects.
type recordedTemplate struct {
	Match  json.RawMessage `json:"typeMatchExpression"`
	Values []struct {
		Expression json.RawMessage `json:"valueExpression"`
	} `json:"values"`
}

// text returns an expression, which may be an object that holds it.
func text(t *testing.T, raw json.RawMessage) string {
	var s string
	var o struct{ Value string }
	if json.Unmarshal(raw, &s) != nil {
		if err := json.Unmarshal(raw, &o); err != nil {
			t.Fatal(err)
		}
		s = o.Value
	}
	return s
}

func (c *recorded) template(t *testing.T) *recordedTemplate {
	var file struct {
		Template []struct {
			Type     string           `json:"templateType"`
			Template recordedTemplate `json:"template"`
		} `json:"template"`
	}
	if err := json.Unmarshal([]byte(c.In.Device), &file); err != nil || len(file.Template) != 1 {
		t.Fatalf("%s: %v", c.ID, err)
	}
	return &file.Template[0].Template
}

// envelope reads the message of a line.
func (c *recorded) envelope(t *testing.T, names *tape.NameSet) *tape.Tape {
	m := tape.New(names.Table())
	m.Reset([]byte(*c.In.Body))
	root := m.Open()
	if err := m.Parse(); err != nil {
		t.Fatalf("%s: %v", c.ID, err)
	}
	m.SetName(root, root+1, "Body")
	for _, name := range []string{"Properties", "SystemProperties"} {
		o := m.Open()
		m.Close(o)
		m.SetName(root, o, name)
	}
	m.Close(root)
	return m
}

// plainOf writes a node as encoding/json would read what the connector's
// to_string says of it.
func plainOf(m *tape.Tape, i uint32) any {
	n := &m.Nodes[i]
	switch n.Kind {
	case tape.Object:
		o := map[string]any{}
		var room []byte
		for k := i + 1; k < i+n.Size; k += m.Nodes[k].Size {
			o[string(m.NameOf(&m.Nodes[k], &room))] = plainOf(m, m.Resolve(k))
		}
		return o
	case tape.Array:
		a := []any{}
		for k := i + 1; k < i+n.Size; k += m.Nodes[k].Size {
			a = append(a, plainOf(m, m.Resolve(k)))
		}
		return a
	case tape.String:
		b := m.Decoded(n)
		if in, ok := dotnet.DateToken(b); ok {
			b = dotnet.AppendDateISO(nil, in)
		}
		return string(b)
	case tape.Int:
		return json.Number(m.Raw(n))
	case tape.Float:
		return m.Float64(n)
	}
	return map[tape.Kind]any{tape.True: true, tape.False: false, tape.Null: nil}[n.Kind]
}

// read is the other way round.
func read(t *testing.T, s string) any {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return floats(v)
}

func floats(v any) any {
	switch v := v.(type) {
	case json.Number:
		if strings.ContainsAny(string(v), ".eE") {
			f, _ := strconv.ParseFloat(string(v), 64)
			return f
		}
	case map[string]any:
		for k := range v {
			v[k] = floats(v[k])
		}
	case []any:
		for i := range v {
			v[i] = floats(v[i])
		}
	}
	return v
}

// selectOne evaluates a path from root; more than one result is an error.
func selectOne(e *Evaluator, p *Path, root uint32) (n uint32, ok bool, err error) {
	found, err := e.Select(p, root, nil)
	if err == nil && len(found) > 1 {
		err = errors.New("several")
	}
	return slices.Concat(found, []uint32{0})[0], len(found) > 0, err
}

// run evaluates a line as far as this package can tell: for lines about the
// match, what it selects; for others, how often and with which values.
func (c *recorded) run(t *testing.T) {
	template := c.template(t)
	names := tape.NewNameSet()
	aboutMatch := !slices.Contains(c.Tags, "legacy-path")
	sources := []string{text(t, template.Match), "$..devId", "$..ts"}
	if !aboutMatch {
		sources = append(sources, text(t, template.Values[0].Expression))
	}
	paths := make([]*Path, len(sources))
	for i, s := range sources {
		p, fault := Parse(s)
		if fault != nil {
			if c.Want.Rule != "refuse-or-error" && c.Want.Rule != "any" {
				t.Errorf("%s: %s refused: %s (%s)", c.ID, s, fault.Message, c.Want.Rule)
			}
			return
		}
		p.Bind(names)
		paths[i] = p
	}
	m := c.envelope(t, names)
	e := NewEvaluator(m)
	matches, err := e.Select(paths[0], 0, nil)
	var got []uint32
	for _, match := range matches {
		if aboutMatch {
			got = append(got, match)
			continue
		}
		failed := err
		for i, p := range paths[1:] {
			n, ok, err := selectOne(e, p, match)
			if failed == nil && err != nil {
				failed = err
			}
			if failed == nil && !ok && i < 2 {
				failed = errors.New("a required value is missing")
			}
			if i == 2 && failed == nil {
				got = append(got, n)
			}
		}
		if err = failed; err != nil {
			break
		}
	}
	c.check(t, sources, m, got, err, aboutMatch)
}

func (c *recorded) check(t *testing.T, sources []string, m *tape.Tape, got []uint32, err error, aboutMatch bool) {
	switch rule := c.Want.Rule; {
	case rule == "any":
		return
	case (rule == "exact") != (err == nil):
		t.Errorf("%s: %q: rule %s, error %v", c.ID, sources, rule, err)
	case len(got) != len(c.Want.Measurements):
		t.Errorf("%s: %q: %d results, want %d", c.ID, sources, len(got), len(c.Want.Measurements))
	case aboutMatch:
		for i, want := range c.Want.Measurements {
			c.compare(t, sources[0], m, got[i], want.Properties)
		}
	}
}

// compare checks a match against the values text and kind.
func (c *recorded) compare(t *testing.T, path string, m *tape.Tape, n uint32, want []struct{ Name, Value string }) {
	values := map[string]string{}
	for _, p := range want {
		values[p.Name] = p.Value
	}
	have := plainOf(m, n)
	kinds := map[string]string{"map[string]interface {}": "object", "[]interface {}": "array", "string": "string", "json.Number": "number", "float64": "number", "bool": "boolean"}
	kind := "null"
	if have != nil {
		kind = kinds[reflect.TypeOf(have).String()]
	}
	said, hasText := values["text"]
	switch {
	case kind != values["kind"]:
		t.Errorf("%s: %s: kind %s, want %v", c.ID, path, kind, values)
	case !hasText || kind == "null":
	case kind == "string":
		if _, isDate := dotnet.DateToken([]byte(have.(string))); !isDate && have != said {
			t.Errorf("%s: %s: %v, want %s", c.ID, path, have, said)
		}
	case !reflect.DeepEqual(have, read(t, said)):
		t.Errorf("%s: %s: %v, want %s", c.ID, path, have, said)
	}
}

// TestRecorded runs what was recorded of the connector, where that is there.
func TestRecorded(t *testing.T) {
	for file, least := range map[string]int{"suites.jsonl": 703, "normalize.jsonl": 300} {
		b, err := os.ReadFile("../../../../shared/cases/" + file)
		if err != nil {
			t.Skipf("recorded cases are not here: %v", err)
		}
		s := bufio.NewScanner(bytes.NewReader(b))
		s.Buffer(nil, 1<<24)
		ran := map[string]int{}
		for s.Scan() {
			var c recorded
			if err := json.Unmarshal(s.Bytes(), &c); err != nil {
				t.Fatal(err)
			}
			if slices.Contains(c.Tags, "jsonpath") || slices.Contains(c.Tags, "legacy-path") {
				c.run(t)
				ran[c.Want.Rule]++
				ran["all"]++
			}
		}
		t.Logf("%s: %v", file, ran)
		if ran["all"] < least {
			t.Errorf("%s: only %d lines", file, ran["all"])
		}
	}
}
