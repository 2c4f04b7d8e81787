package fhir

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"auscult/internal/mapfile/mapfiletest"
)

// validFor tells what Schema has against a file.
func validFor(t *testing.T, file string) []string {
	t.Helper()
	against, err := mapfiletest.Validate(Schema(), []byte(file))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return against
}

// named is a mapping file, and what it is called.
type named struct{ name, text string }

// keptCases is the selection of recorded cases that package dryrun runs.
const keptCases = "../internal/dryrun/testdata/e2e.jsonl"

// recordedMappings returns the mappings of recorded cases, each once.
func recordedMappings(t *testing.T, file string) (all []named) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range bytes.Lines(text) {
		var c struct {
			ID string
			In struct{ FHIR string }
		}
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		if !seen[c.In.FHIR] {
			seen[c.In.FHIR] = true
			all = append(all, named{c.ID, c.In.FHIR})
		}
	}
	return all
}

// exampleMappings returns the mappings of the examples.
func exampleMappings(t *testing.T) (all []named) {
	t.Helper()
	files, _ := filepath.Glob("../examples/*/fhirmapping.json")
	if len(files) == 0 {
		t.Fatal("no examples")
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, named{f, string(text)})
	}
	return all
}

// sharedCases is the full set of recorded cases; the test is skipped without.
func sharedCases(t *testing.T) string {
	t.Helper()
	file := filepath.Join("..", "..", "shared", "cases", "e2e.jsonl")
	if _, err := os.Stat(file); err != nil {
		t.Skipf("the full set of recorded cases is not here: %v", err)
	}
	return file
}

// TestSchemaTakesWhatLoads: a mapping that loads is valid for the schema.
func TestSchemaTakesWhatLoads(t *testing.T) {
	checkSchemaTakes(t, append(exampleMappings(t), recordedMappings(t, keptCases)...), 92)
}

// TestSchemaTakesValues does so for values of every type, and what stands beside.
func TestSchemaTakesValues(t *testing.T) {
	all := []named{
		{"limits", mappingOf(pulse + besides + pulseLimits)},
		{"a vital sign", mappingOf(goodRate)}, {"a panel", mappingOf(goodPressure)},
	}
	for _, c := range valueCases {
		all = append(all, named{c.name, mappingOf(`"typeName":"t","codes":[],"value":{` + c.value + `}`)})
	}
	checkSchemaTakes(t, all, len(all))
}

// TestSchemaTakesAllCases does the same for all recorded cases, where they are.
func TestSchemaTakesAllCases(t *testing.T) {
	all := recordedMappings(t, sharedCases(t))
	for _, c := range readConnector(t) {
		all = append(all, named{c.ID, string(c.text())})
	}
	checkSchemaTakes(t, all, 330)
}

func checkSchemaTakes(t *testing.T, all []named, least int) {
	t.Helper()
	loaded := 0
	for _, m := range all {
		if _, err := LoadMapping([]byte(m.text)); err != nil {
			continue
		}
		loaded++
		if against := validFor(t, m.text); len(against) > 0 {
			t.Errorf("%s: %v", m.name, against)
		}
	}
	if loaded < least {
		t.Errorf("%d mappings", loaded)
	}
}

// TestSchemaRefuses: what an editor can see of a wrong mapping, it marks.
func TestSchemaRefuses(t *testing.T) {
	const good = `{"templateType":"CollectionFhir","template":[{"templateType":"CodeValueFhir","template":` +
		`{"typeName":"t","codes":[{"code":"c","system":"http://loinc.org"}],"periodInterval":60,"category":[{"text":"x","codes":[]}],` +
		`"value":{"valueType":"SampledData","valueName":"v","defaultPeriod":1000,"unit":"u"},` +
		`"components":[{"codes":[],"value":{"valueType":"CodeableConcept","valueName":"w","codes":[{"code":"y"}]}},` +
		`{"codes":[],"value":{"valueType":"Ratio","numerator":{"valueName":"n"},"denominator":{"valueName":"d"}}},` +
		`{"codes":[],"value":{"valueType":"Integer","valueName":"i"},"limits":{"low":1}}],"metaProfile":["urn:p"],"method":{"text":"m"}}}]}`
	if against := validFor(t, good); len(against) > 0 {
		t.Fatal(against)
	}
	for name, change := range map[string][2]string{
		"the root is a list":          {good, `[]`},
		"a device mapping":            {"CollectionFhir", "CollectionContent"},
		"no list of templates":        {`"template":[`, `"templates":[`},
		"another template type":       {"CodeValueFhir", "JsonPathContent"},
		"no template type":            {`"templateType":"CodeValueFhir",`, ``},
		"no template":                 {`"template":{`, `"templat":{`},
		"an unknown member":           {`"category"`, `"categories"`},
		"no type name":                {`"typeName":"t",`, ``},
		"type name is null":           {`"typeName":"t"`, `"typeName":null`},
		"type name is a list":         {`"typeName":"t"`, `"typeName":[]`},
		"no codes":                    {`"codes":[{"code":"c","system":"http://loinc.org"}],`, ``},
		"codes is a text":             {`[{"code":"c","system":"http://loinc.org"}]`, `"c"`},
		"a code is null":              {`{"code":"c","system":"http://loinc.org"}`, `null`},
		"an unknown member of a code": {`"system"`, `"systm"`},
		"an unknown period":           {`"periodInterval":60`, `"periodInterval":61`},
		"an unknown period name":      {`"periodInterval":60`, `"periodInterval":"Weekly"`},
		"no period":                   {`"periodInterval":60`, `"periodInterval":null`},
		"category is an object":       {`[{"text":"x","codes":[]}]`, `{}`},
		"category of a text":          {`{"text":"x","codes":[]}`, `"x"`},
		"value is null":               {`{"valueType":"SampledData","valueName":"v","defaultPeriod":1000,"unit":"u"}`, `null`},
		"no value type":               {`"valueType":"SampledData",`, ``},
		"value type in another case":  {`"valueType":"SampledData"`, `"valuetype":"SampledData"`},
		"an unknown value type":       {`"SampledData"`, `"Sampled"`},
		"the other spelling counts":   {`"valueType":"SampledData"`, `"valueType":"SampledData","ValueType":"Sampled"`},
		"no default period":           {`"defaultPeriod":1000,`, ``},
		"default period is true":      {`1000`, `true`},
		"default period in words":     {`1000`, `"a second"`},
		"default period is null":      {`1000`, `null`},
		"a unit that is an object":    {`"unit":"u"`, `"unit":{}`},
		"a concept without codes":     {`,"codes":[{"code":"y"}]`, ``},
		"a component without codes":   {`[{"codes":[],"value"`, `[{"value"`},
		"a component without value":   {`[{"codes":[],"value"`, `[{"codes":[],"val"`},
		"a component null":            {`"components":[`, `"components":[null,`},
		"half a ratio":                {`,"denominator":{"valueName":"d"}`, ``},
		"a part without a name":       {`{"valueName":"d"}`, `{"unit":"d"}`},
		"an unknown member of a part": {`{"valueName":"d"}`, `{"valueName":"d","units":"s"}`},
		"a limit in words":            {`"low":1`, `"low":"one"`},
		"an unknown limit":            {`"low":1`, `"lo":1`},
		"a profile that is no list":   {`["urn:p"]`, `"urn:p"`},
		"a profile null":              {`["urn:p"]`, `[null]`},
		"a method of a text":          {`{"text":"m"}`, `"m"`},
	} {
		text := strings.Replace(good, change[0], change[1], 1)
		if text == good {
			t.Errorf("%s: nothing is changed", name)
		}
		if against := validFor(t, text); len(against) == 0 {
			t.Errorf("%s: valid for the schema", name)
		}
		if _, err := LoadMapping([]byte(text)); err == nil {
			t.Errorf("%s: the loader takes it", name)
		}
	}
}

// TestSchemaTellsPeople: every member is explained, and the words of enumerations
// are offered.
func TestSchemaTellsPeople(t *testing.T) {
	var root any
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	members := 0
	eachMember(root, func(name string, schema map[string]any) {
		members++
		if doc, _ := schema["description"].(string); len(doc) < 5 && schema["pattern"] == nil {
			t.Errorf("%s is not explained", name)
		}
	})
	if members < 25 {
		t.Errorf("%d members", members)
	}
	for _, offered := range []string{`"SampledData"`, `"Quantity"`, `"CorrelationId"`, `"http://unitsofmeasure.org"`, `"8867-4"`} {
		if !strings.Contains(string(Schema()), offered) {
			t.Errorf("%s is not offered", offered)
		}
	}
}

// eachMember calls do for every member that a schema describes, those of
// conditions included.
func eachMember(schema any, do func(name string, schema map[string]any)) {
	switch s := schema.(type) {
	case []any:
		for _, one := range s {
			eachMember(one, do)
		}
	case map[string]any:
		properties, _ := s["properties"].(map[string]any)
		for name, m := range properties {
			do(name, m.(map[string]any))
		}
		for keyword, one := range s {
			if keyword != "examples" && keyword != "default" {
				eachMember(one, do)
			}
		}
	}
}
