package jmespath

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"testing"

	"auscult/mapping/internal/dotnet"
	"auscult/mapping/internal/tape"
)

// connectorCase is one line of the connector's own tests.
type connectorCase struct {
	ID, Kind, Language, Expression, KindOfResult, Select string
	Tolerance                                            float64
	Expressions                                          []string
	Data, Expected                                       json.RawMessage
	Rows                                                 []struct {
		Expression string
		Data       json.RawMessage
		Value      json.RawMessage
		Error      string
	}
}

func TestConnectorCases(t *testing.T) {
	for _, line := range readLines(t, "../../../../shared/cases/connector.jsonl") {
		var c connectorCase
		if err := json.Unmarshal(line, &c); err != nil || c.Language != "JmesPath" {
			continue
		}
		t.Run(c.ID, func(t *testing.T) {
			switch c.Kind {
			case "function-table":
				c.checkTable(t)
			case "expression-parse-errors":
				for _, s := range c.Expressions {
					if _, fault := Parse(s); fault == nil {
						t.Errorf("%s: parsed, want a fault", s)
					}
				}
			case "expression":
				c.checkExpression(t)
			}
		})
	}
}

func (c *connectorCase) checkTable(t *testing.T) {
	for _, row := range c.Rows {
		s := row.Expression
		if s == "" {
			s = c.Expression
		}
		x, e := bound(t, s, string(row.Data))
		r, err := e.Search(x, 0)
		switch {
		case row.Error != "":
			if err == nil {
				t.Errorf("%s of %s: no error, want one", s, row.Data)
			}
		case err != nil || !r.OK:
			t.Errorf("%s of %s: %v, %v", s, row.Data, r, err)
		default:
			c.checkValue(t, s, e.t, r.Node, row.Value)
		}
	}
}

func (c *connectorCase) checkValue(t *testing.T, s string, tp *tape.Tape, node uint32, want json.RawMessage) {
	kinds := map[string]tape.Kind{"integer": tape.Int, "float": tape.Float, "date": tape.Date}
	kind := tp.Nodes[node].Kind
	if k, ok := kinds[c.KindOfResult]; ok && k != kind {
		t.Errorf("%s: a node of kind %v, want %s", s, kind, c.KindOfResult)
	}
	switch kind {
	case tape.Float:
		f, _ := strconv.ParseFloat(string(want), 64)
		if got := tp.Float64(&tp.Nodes[node]); math.Abs(got-f) > c.Tolerance {
			t.Errorf("%s = %v, want %s", s, got, want)
		}
	case tape.Date:
		in, _ := tp.DateOf(&tp.Nodes[node])
		if got := string(dotnet.AppendDateISO(nil, in)); strconv.Quote(got) != string(want) {
			t.Errorf("%s = %s, want %s", s, got, want)
		}
	default:
		got, _ := nodeText(tp, node)
		var text string
		if json.Unmarshal(want, &text) != nil {
			text = string(want)
		}
		if got != text {
			t.Errorf("%s = %s, want %s", s, got, text)
		}
	}
}

func (c *connectorCase) checkExpression(t *testing.T) {
	x, e := bound(t, c.Expression, string(c.Data))
	r, err := e.Search(x, 0)
	if err != nil {
		t.Fatal(err)
	}
	var many []json.RawMessage
	isList := json.Unmarshal(c.Expected, &many) == nil
	switch {
	case c.Select == "many" && isList:
		matches, _ := matchesOf(e, x)
		if len(matches) != len(many) {
			t.Errorf("%s: %d tokens, want %d", c.Expression, len(matches), len(many))
		}
	case !isList && string(c.Expected) != "null":
		if !r.Projection || e.count(e.load(r.Node)) < 2 {
			t.Errorf("%s: want several tokens", c.Expression)
		}
	case r.OK == (string(c.Expected) == "null") || r.Projection:
		t.Errorf("%s: %s", c.Expression, fmt.Sprint(r))
	}
}
