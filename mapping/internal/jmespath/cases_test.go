package jmespath

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"auscult/mapping/internal/dotnet"
	"auscult/mapping/internal/tape"
)

// recorded is one line of the recorded behaviour of the connector.
type recorded struct {
	ID   string
	Tags []string
	In   struct {
		Device, Body, Envelope string
		Properties, System     json.RawMessage
	}
	Want struct {
		Rule         string
		Measurements []struct {
			DeviceID   string `json:"DeviceId"`
			Properties []pair
		}
	}
}

type pair struct{ Name, Value string }

// device is the part of a device mapping that the cases use.
type device struct {
	Template []struct {
		TemplateType string
		Template     struct {
			DefaultExpressionLanguage string
			TypeMatchExpression       written
			DeviceIDExpression        written `json:"deviceIdExpression"`
			Values                    []struct {
				ValueName       string
				ValueExpression written
			}
		}
	}
}

// written is an expression, which may be written without its language.
type written struct{ Value, Language string }

func (w *written) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, &w.Value)
	}
	type plain written
	return json.Unmarshal(b, (*plain)(w))
}

func TestSuiteCases(t *testing.T) {
	replayCases(t, "../../../../shared/cases/suites.jsonl", "jmespath", 892)
}

func TestNormalizeCases(t *testing.T) {
	for _, tag := range []string{"jmespath-value", "jmespath-match"} {
		replayCases(t, "../../../../shared/cases/normalize.jsonl", tag, 100)
	}
}

// replayCases runs the lines with a tag; there must be at least so many.
func replayCases(t *testing.T, file, tag string, least int) {
	lines := readLines(t, file)
	run := 0
	for _, line := range lines {
		var c recorded
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(c.Tags, tag) {
			continue
		}
		run++
		t.Run(c.ID, func(t *testing.T) { c.check(t) })
	}
	if run < least {
		t.Errorf("%d cases with tag %s, want at least %d", run, tag, least)
	}
}

// readLines returns the lines of a file outside of the project, and skips the
// test when it is absent.
func readLines(t *testing.T, file string) [][]byte {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Skipf("the recorded cases are not here: %v", err)
	}
	var lines [][]byte
	s := bufio.NewScanner(bytes.NewReader(b))
	s.Buffer(nil, 1<<24)
	for s.Scan() {
		lines = append(lines, bytes.Clone(s.Bytes()))
	}
	return lines
}

// outcome is what a case gives.
type outcome struct {
	refused bool
	failed  bool
	values  [][]pair
}

func (c *recorded) check(t *testing.T) {
	got, faults := c.run(t)
	switch c.Want.Rule {
	case "refuse":
		if !got.refused {
			t.Errorf("%s: parsed, want a fault", c.expressions(t))
		}
		return
	case "error":
		if !got.failed {
			t.Errorf("%s: no error, want one", c.expressions(t))
		}
		return
	case "exact":
	default:
		return
	}
	var want [][]pair
	for _, m := range c.Want.Measurements {
		want = append(want, m.Properties)
	}
	if got.refused || got.failed || fmt.Sprint(got.values) != fmt.Sprint(want) {
		t.Errorf("%s\nof %s\n got %v (%s)\nwant %v", c.expressions(t), c.In.Body, got, faults, want)
	}
}

func (c *recorded) device(t *testing.T) device {
	var d device
	if err := json.Unmarshal([]byte(c.In.Device), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func (c *recorded) expressions(t *testing.T) string {
	var all []string
	for _, template := range c.device(t).Template {
		all = append(all, template.Template.TypeMatchExpression.Value)
		for _, v := range template.Template.Values {
			all = append(all, v.ValueExpression.Value)
		}
	}
	return strings.Join(all, "\n")
}

// run answers the expressions of the one template of a case as the mapper would.
func (c *recorded) run(t *testing.T) (outcome, string) {
	template := c.device(t).Template[0].Template
	all := []written{template.TypeMatchExpression, template.DeviceIDExpression}
	for _, v := range template.Values {
		all = append(all, v.ValueExpression)
	}
	names := tape.NewNameSet()
	parsed := make([]*Expr, len(all))
	for i, w := range all {
		if w.Language == "JmesPath" || w.Language == "" && template.DefaultExpressionLanguage == "JmesPath" {
			x, fault := Parse(w.Value)
			if fault != nil {
				return outcome{refused: true}, fault.Message
			}
			parsed[i] = x
			x.Bind(names)
		}
	}
	tp := tape.New(names.Table())
	if err := envelope(tp, c.In.Body); err != nil {
		t.Fatal(err)
	}
	e := NewEvaluator(tp)
	matches, err := matchesOf(e, parsed[0])
	if err != nil {
		return outcome{failed: true}, err.Error()
	}
	var out outcome
	for _, match := range matches {
		root := withMatch(tp, match)
		if r, err := e.Search(parsed[1], root); err != nil || !r.OK {
			return outcome{failed: true}, fmt.Sprint(err)
		}
		var values []pair
		for i, v := range template.Values {
			s, ok, err := valueText(e, parsed[i+2], root, match)
			if err != nil {
				return outcome{failed: true}, err.Error()
			}
			if ok {
				values = append(values, pair{v.ValueName, s})
			}
		}
		out.values = append(out.values, values)
	}
	return out, ""
}

// envelope fills a tape with a message.
func envelope(tp *tape.Tape, body string) error {
	tp.Reset([]byte(body))
	root := tp.Open()
	if err := tp.Parse(); err != nil {
		return err
	}
	tp.SetName(root, root+1, "Body")
	for _, name := range []string{"Properties", "SystemProperties"} {
		o := tp.Open()
		tp.Close(o)
		tp.SetName(root, o, name)
	}
	tp.Close(root)
	return nil
}

// matchesOf answers a match expression; without one the root is the match.
func matchesOf(e *Evaluator, x *Expr) ([]uint32, error) {
	if x == nil {
		return []uint32{0}, nil
	}
	r, err := e.Search(x, 0)
	if err != nil || !r.OK {
		return nil, err
	}
	if !r.Projection {
		if e.t.Nodes[r.Node].Kind == tape.Null {
			return nil, nil
		}
		return []uint32{r.Node}, nil
	}
	var matches []uint32
	for i := r.Node + 1; i < r.Node+e.t.Nodes[r.Node].Size; i += e.t.Nodes[i].Size {
		matches = append(matches, e.t.Resolve(i))
	}
	return matches, nil
}

// withMatch makes the root that value expressions see.
func withMatch(tp *tape.Tape, match uint32) uint32 {
	var parts []uint32
	for i := uint32(1); i < tp.Nodes[0].Size; i += tp.Nodes[i].Size {
		parts = append(parts, i)
	}
	root := tp.AddObject()
	for _, i := range parts {
		tp.AddMember(root, i, tp.NameOf(&tp.Nodes[i], nil))
	}
	tp.AddMember(root, match, []byte("matchedToken"))
	return root
}

// valueText answers a value expression as text; without one the match is the
// value.
func valueText(e *Evaluator, x *Expr, root, match uint32) (string, bool, error) {
	node := match
	if x != nil {
		r, err := e.Search(x, root)
		if err != nil || !r.OK {
			return "", false, err
		}
		if r.Projection && e.count(e.load(r.Node)) > 1 {
			return "", false, fmt.Errorf("more than one token")
		}
		node = r.Node
	}
	s, ok := nodeText(e.t, node)
	return s, ok, nil
}

// nodeText converts a node as the connector does.
func nodeText(t *tape.Tape, i uint32) (string, bool) {
	n := &t.Nodes[i]
	if in, ok := t.DateOf(n); ok {
		return string(dotnet.AppendDateText(nil, in.Ticks)), true
	}
	switch n.Kind {
	case tape.String, tape.Text:
		return string(t.Decoded(n)), true
	case tape.Int:
		v, ok := t.Int64(n)
		return fmt.Sprint(v), ok
	case tape.Float:
		return string(dotnet.AppendFloat(nil, t.Float64(n))), true
	case tape.True:
		return "True", true
	case tape.False:
		return "False", true
	}
	return "", false
}
