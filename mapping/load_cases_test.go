package mapping

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// loadCase is a line of the connector's own tests that is about loading.
type loadCase struct {
	ID                 string          `json:"id"`
	Kind               string          `json:"kind"`
	DeviceTemplate     json.RawMessage `json:"deviceTemplate"`
	DeviceTemplateText string          `json:"deviceTemplateText"`
	Expressions        []string        `json:"expressions"`
	Expected           json.RawMessage `json:"expected"` // a loadVerdict, if it is about loading
}

// loadVerdict is what the connector says of a mapping.
type loadVerdict struct {
	Valid     bool
	Templates int
	Errors    []connectorFault
	All       []connectorFault `json:"templateExceptions"`
}

// connectorFault is one fault that the connector finds.
type connectorFault struct {
	Message  string `json:"messageContains"`
	Category string
	Line     int
}

// file returns the text of the case's mapping.
func (c *loadCase) file() string {
	if c.DeviceTemplateText == "" {
		return string(c.DeviceTemplate)
	}
	return c.DeviceTemplateText
}

func readLoadCases(t *testing.T) []loadCase {
	t.Helper()
	text, err := os.ReadFile("../../shared/cases/connector.jsonl")
	if err != nil {
		t.Skipf("the connector's cases are not here: %v", err)
	}
	var cases []loadCase
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		var c loadCase
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		cases = append(cases, c)
	}
	return cases
}

// TestConnectorLoads: each mapping of the connector's tests has the same loadVerdict
// here, and a fault for each of the connector's.
func TestConnectorLoads(t *testing.T) {
	kinds := map[string]int{}
	for _, c := range readLoadCases(t) {
		file, want := c.file(), c.verdict()
		switch c.Kind {
		case "load-device":
		case "load-device-inner": // a template alone: it begins on the same line in a collection
			file = `{"templateType":"CollectionContent","template":[` + file + `]}`
		case "validate":
			if len(want.Errors) == 0 {
				continue
			}
		case "expression-parse-errors":
			c.expressions(t)
			kinds[c.Kind]++
			continue
		default:
			continue
		}
		kinds[c.Kind]++
		if c.ID == "quirk-load-calculatedcontenttemplate-name" { // read here, with a lint
			if lintsOf(t, file, "template-type-spelling") == nil {
				t.Errorf("%s: no lint", c.ID)
			}
			continue
		}
		d, err := LoadDevice([]byte(file))
		if want.Valid && (err != nil || len(d.templates) != want.Templates) {
			t.Errorf("%s: %v", c.ID, err)
		}
		checkConnectorFaults(t, c.ID, LoadErrors(err), want.Errors)
	}
	if fmt.Sprint(kinds) != "map[expression-parse-errors:8 load-device:34 load-device-inner:1 validate:2]" {
		t.Errorf("run: %v", kinds)
	}
}

// verdict returns what the connector says of the device mapping.
func (c *loadCase) verdict() loadVerdict {
	var v loadVerdict
	if json.Unmarshal(c.Expected, &v) != nil {
		return loadVerdict{} // another kind of answer
	}
	for _, f := range v.All {
		if f.Category == "NORMALIZATION" {
			v.Errors = append(v.Errors, f)
		}
	}
	return v
}

// expressions loads each expression of the case, which must be refused where it
// stands.
func (c *loadCase) expressions(t *testing.T) {
	for _, x := range c.Expressions {
		text := collectionOf(`CalculatedContent "typeMatchExpression": {"language": "JmesPath", "value": ` + fmt.Sprintf("%q", x) + `}`)
		_, err := LoadDevice([]byte(text))
		found := LoadErrors(err)
		if len(found) != 1 || !strings.HasSuffix(found[0].Pointer, "/typeMatchExpression/value") || found[0].Column <= strings.Index(text, x) {
			t.Errorf("%s: %s: %v", c.ID, x, err)
		}
	}
}

// memberOfFault finds the member that the connector names.
var memberOfFault = regexp.MustCompile(`Required property '(\w+)'|^(\w+)$`)

// checkConnectorFaults demands a fault of ours for each of the connector's, on its line
// and about its member.
func checkConnectorFaults(t *testing.T, id string, ours []*LoadError, theirs []connectorFault) {
	t.Helper()
	if len(ours) < len(theirs) {
		t.Errorf("%s: %d faults, the connector has %d: %v", id, len(ours), len(theirs), ours)
	}
	for _, want := range theirs {
		member := strings.Join(append(memberOfFault.FindStringSubmatch(want.Message), "", "")[1:], "")
		found := false
		for _, e := range ours {
			at := strings.ToLower(e.Pointer + " ")
			found = found || (want.Line == 0 || want.Line == e.Line) && strings.Contains(at, "/"+strings.ToLower(strings.TrimSpace(member)))
		}
		if !found && (member != "" || want.Line > 0) {
			t.Errorf("%s: nothing about %s in line %d: %v", id, want.Message, want.Line, ours)
		}
	}
}

// exactLines are the messages of the connector whose lines are those of the
// fault. Others give the start of what the fault is in.
var exactLines = regexp.MustCompile("Could not find member|Error converting value|could not be parsed|Additional text")

// TestRefusedLines: wherever the connector finds a fault, there is one of ours,
// and its caret is at its column.
func TestRefusedLines(t *testing.T) {
	cases := readCases(t, "testdata/normalize.jsonl")
	if _, err := os.Stat("../../shared/cases/normalize.jsonl"); err == nil {
		cases = readCases(t, "../../shared/cases/normalize.jsonl")
	}
	for _, c := range cases {
		if c.Want.Rule != "refuse" {
			continue
		}
		_, err := LoadDevice([]byte(c.In.Device))
		for _, e := range LoadErrors(err) {
			checkExcerpt(t, c.In.Device, e)
		}
		for _, want := range c.Want.Errors {
			found := want.Line == 0 && err != nil
			for _, e := range LoadErrors(err) {
				found = found || e.Line == want.Line || e.Line >= want.Line-1 && !exactLines.MatchString(want.Message)
			}
			if !found {
				t.Errorf("%s: line %d: %s: %v", c.ID, want.Line, want.Message, err)
			}
		}
	}
}

// checkExcerpt demands that the caret stands under the column, also of a line
// that was cut.
func checkExcerpt(t *testing.T, file string, e *LoadError) {
	t.Helper()
	excerpt, caret, _ := strings.Cut(e.Excerpt, "\n")
	at := strings.Index(caret, "^")
	line := strings.Split(file, "\n")[e.Line-1]
	rest := strings.TrimSuffix(string([]rune(excerpt)[at:]), " ...")
	if !strings.HasPrefix(string([]rune(line)[e.Column-1:]), rest) {
		t.Errorf("%v: the caret is not at the place:\n%s", e, e.Excerpt)
	}
}
