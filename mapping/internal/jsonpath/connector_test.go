package jsonpath

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"testing"
)

// TestConnectorExpressions runs the connector's own tests of its JSONPath
// evaluator. One value is wanted of "one", where several are an error.
func TestConnectorExpressions(t *testing.T) {
	text, err := os.ReadFile("../../../../shared/cases/connector.jsonl")
	if err != nil {
		t.Skipf("the connector's cases are not here: %v", err)
	}
	count := 0
	for _, line := range bytes.Split(bytes.TrimSpace(text), []byte("\n")) {
		var c struct {
			ID, Kind, Language, Expression, Select string
			Data, Expected                         json.RawMessage
		}
		if err := json.Unmarshal(line, &c); err != nil || c.Kind != "expression" || c.Language != "JsonPath" {
			continue // of another kind, with members of other types
		}
		count++
		d := open(t, c.Expression, string(c.Data))
		nodes, err := NewEvaluator(d.t).Select(d.path, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		values := []any{}
		for _, n := range nodes {
			values = append(values, plainOf(d.t, n))
		}
		got, want := any(values), read(t, string(c.Expected))
		if c.Select == "one" {
			switch fault, failed := want.(map[string]any); {
			case failed && fault["error"] != nil && len(values) < 2, !failed && len(values) > 1:
				t.Errorf("%s: %d values", c.ID, len(values))
				continue
			case failed:
				continue
			case len(values) == 1:
				got = values[0]
			default:
				got = nil
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", c.ID, got, want)
		}
	}
	if count != 6 {
		t.Errorf("%d cases, want 6", count)
	}
}
