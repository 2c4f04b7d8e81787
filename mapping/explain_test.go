package mapping

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestExplainTellsWhatMapGives: the matches of an explanation that have not
// failed are the measurements of Map, field by field, and the others its
// failures.
func TestExplainTellsWhatMapGives(t *testing.T) {
	path := "../../shared/cases/normalize.jsonl"
	if _, err := os.Stat(path); err != nil {
		path = "testdata/normalize.jsonl"
	}
	for _, c := range readCases(t, path) {
		d, err := LoadDevice([]byte(c.In.Device))
		if err != nil {
			continue
		}
		want, failures, err := mapAll(d.NewMapper(), c.message(t))
		e := d.Explain(c.message(t))
		if err != nil {
			if e.Error != err.Error() {
				t.Errorf("%s: %q, want %q", c.ID, e.Error, err)
			}
			continue
		}
		got, failed := e.measurements()
		if !reflect.DeepEqual(got, want) || failed != len(failures) {
			t.Errorf("%s: %d failures, want %d\n got %v\nwant %v", c.ID, failed, len(failures), got, want)
		}
	}
}

// measurements reads an explanation as measurements.
func (e *Explanation) measurements() (ms []wireMeasurement, failures int) {
	ms = []wireMeasurement{}
	for _, t := range e.Templates {
		if t.Error != "" {
			failures++
		}
		for _, m := range t.Matches {
			if m.Failure != "" {
				failures++
				continue
			}
			ms = append(ms, m.measurement(t.Type))
		}
	}
	return ms, failures
}

func (m *ExplainedMatch) measurement(typ string) wireMeasurement {
	w := wireMeasurement{Type: typ, Properties: []wireProperty{}}
	for _, f := range m.Fields {
		switch name, isValue := strings.CutPrefix(f.Field, "value "); {
		case f.Why != "":
		case isValue:
			w.Properties = append(w.Properties, wireProperty{name, f.Text})
		default:
			*map[string]*string{
				"deviceIdExpression": &w.DeviceID, "timestampExpression": &w.OccurrenceTimeUtc, "patientIdExpression": &w.PatientID,
				"encounterIdExpression": &w.EncounterID, "correlationIdExpression": &w.CorrelationID,
			}[f.Field] = f.Text
		}
	}
	return w
}

const explained = `{"templateType":"CollectionContent","template":[
{"templateType":"CalculatedContent","template":{"typeName":"a","typeMatchExpression":"$..[?(@unit == 'inches')]","deviceIdExpression":"$.matchedToken.d","timestampExpression":"$.matchedToken.t"}},
{"templateType":"CalculatedContent","template":{"typeName":"b","typeMatchExpression":"$..[?(@nothing.here)]","deviceIdExpression":"$.matchedToken.d","timestampExpression":"$.matchedToken.t"}},
{"templateType":"CalculatedContent","template":{"typeName":"c","typeMatchExpression":"$.Body.list.x","deviceIdExpression":"$.matchedToken.d","timestampExpression":"$.matchedToken.t"}},
{"templateType":"CalculatedContent","template":{"typeName":"d","typeMatchExpression":"$.Body.list[*].x","deviceIdExpression":"$.matchedToken.d","timestampExpression":"$.matchedToken.t"}},
{"templateType":"CalculatedContent","template":{"typeName":"e","typeMatchExpression":{"value":"Body.x","language":"JmesPath"},"deviceIdExpression":"$.matchedToken.d","timestampExpression":"$.matchedToken.t"}},
{"templateType":"CalculatedContent","template":{"typeName":"f","typeMatchExpression":"$.Elsewhere..[?(@x)]","deviceIdExpression":"$.matchedToken.d","timestampExpression":"$.matchedToken.t"}},
{"templateType":"CalculatedContent","template":{"typeName":"g","typeMatchExpression":"$.Body[?(@ > 5)]","deviceIdExpression":"$.matchedToken.d","timestampExpression":"$.matchedToken.t"}}]}`

// TestExplainWhyNot: each way of matching tells why there is no match.
func TestExplainWhyNot(t *testing.T) {
	want := []string{
		`unit is not what the filter wants: it is "meters"`, "no object has nothing.here", "nothing stands there: /Body/list has no x",
		"$.Body.list[*].x selects nothing", "the result of the expression is null", "the scan starts nowhere: the message has no Elsewhere",
		"$.Body[?(@ > 5)] selects nothing",
	}
	e := mustLoad(t, explained).Explain(&Message{Body: []byte(`{"unit":"meters","list":[{"y":1},3]}`), HasBody: true})
	for i, x := range e.Templates {
		if x.Why != want[i] {
			t.Errorf("%s: %q, want %q", x.Match, x.Why, want[i])
		}
	}
}

// TestFailurePaths: a failure tells where the value at fault stands, also when
// the elements beside it are not on the mapper's tape.
func TestFailurePaths(t *testing.T) {
	d := mustLoad(t, `{"templateType":"CollectionContent","template":[{"templateType":"CalculatedContent","template":{"typeName":"a",
"typeMatchExpression":"$..[?(@v)]","deviceIdExpression":"$.matchedToken.d","timestampExpression":"$.matchedToken.t"}}]}`)
	_, failures, err := mapAll(d.NewMapper(), &Message{HasBody: true, Body: []byte(`{"a/b":[1,2,"x",{"v":1,"d":"e","t":"yesterday"},{"v":1,"d":[1],"t":"2024-01-01"},{"v":1}]}`)})
	var got []string
	for _, f := range failures {
		got = append(got, f.Path+" "+f.Value)
	}
	if want := []string{`/Body/a~1b/3/t "yesterday"`, "/Body/a~1b/4/d [1]", " "}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q, %v", got, want, err)
	}
}
