package mapping

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"auscult/internal/mapfile/mapfiletest"
)

// validFor tells what DeviceSchema has against a file.
func validFor(t *testing.T, file string) []string {
	t.Helper()
	against, err := mapfiletest.Validate(DeviceSchema(), []byte(file))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return against
}

// TestSchemaTakesWhatLoads: a mapping that loads is valid for the schema.
func TestSchemaTakesWhatLoads(t *testing.T) {
	var texts []string
	for _, c := range readCases(t, "testdata/normalize.jsonl") {
		texts = append(texts, c.In.Device)
	}
	for _, pattern := range []string{"../examples/*/devicecontent.json", "../../shared/workloads/*.template.json"} {
		files, _ := filepath.Glob(pattern)
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, string(text))
		}
	}
	checkSchemaTakes(t, texts)
}

// TestSchemaTakesAllCases does the same for all recorded cases, where they are.
func TestSchemaTakesAllCases(t *testing.T) {
	var texts []string
	for _, c := range readCases(t, "../../shared/cases/normalize.jsonl") {
		texts = append(texts, c.In.Device)
	}
	checkSchemaTakes(t, append(texts, connectorMappings(t)...))
}

func checkSchemaTakes(t *testing.T, texts []string) {
	t.Helper()
	seen, loaded := map[string]bool{}, 0
	for _, text := range texts {
		if seen[text] || strings.TrimSpace(text) == "" {
			continue
		}
		seen[text] = true
		if _, err := LoadDevice([]byte(text)); err != nil {
			continue
		}
		loaded++
		if against := validFor(t, text); len(against) > 0 {
			t.Errorf("%s: %v", text, against)
		}
	}
	t.Logf("%d mappings", loaded)
}

// connectorMappings returns the device mappings of the connector's own tests.
func connectorMappings(t *testing.T) []string {
	t.Helper()
	var texts []string
	for _, c := range readLoadCases(t) {
		if text := c.file(); text != "" {
			texts = append(texts, text)
		}
	}
	return texts
}

// TestSchemaRefuses: what an editor can see of a wrong mapping, it marks.
func TestSchemaRefuses(t *testing.T) {
	const good = `{"templateType":"CollectionContent","template":[{"templateType":"CalculatedContent","template":` +
		`{"typeName":"t","typeMatchExpression":"$","deviceIdExpression":"$.d","timestampExpression":{"value":"t","language":"JmesPath"},"defaultExpressionLanguage":"JsonPath",` +
		`"values":[{"valueName":"v","valueExpression":"$.v","required":true}]}}]}`
	if against := validFor(t, good); len(against) > 0 {
		t.Fatal(against)
	}
	for name, change := range map[string][2]string{
		"the root is a list":         {good, `[]`},
		"another kind of file":       {"CollectionContent", "CollectionFhir"},
		"no list of templates":       {`"template":[`, `"templates":[`},
		"an unknown template type":   {"CalculatedContent", "CalculatedContents"},
		"a template type as number":  {`"CalculatedContent"`, `3`},
		"an unknown member":          {`"values"`, `"value"`},
		"a member of another type":   {"CalculatedContent", "JsonPathContent"},
		"a required member missing":  {`"deviceIdExpression":"$.d",`, ``},
		"a required member null":     {`"typeName":"t"`, `"typeName":null`},
		"an expression as number":    {`"deviceIdExpression":"$.d"`, `"deviceIdExpression":5`},
		"an expression without text": {`{"value":"t",`, `{`},
		"an unknown language":        {"JmesPath", "Sql"},
		"an unknown language number": {`"defaultExpressionLanguage":"JsonPath"`, `"defaultExpressionLanguage":7`},
		"values is an object":        {`"values":[{`, `"values":{"a":[{`},
		"a value is a text":          {`"values":[{`, `"values":["x",{`},
		"a value without a name":     {`"valueName":"v",`, ``},
		"a misspelled member":        {`"required"`, `"requird"`},
		"no truth value":             {`true`, `"maybe"`},
		"a truth value of null":      {`true`, `null`},
	} {
		text := strings.Replace(good, change[0], change[1], 1)
		if name == "values is an object" {
			text = strings.Replace(text, "]}}]}", "]}}}]}", 1)
		}
		if against := validFor(t, text); len(against) == 0 {
			t.Errorf("%s: valid for the schema", name)
		}
		if _, err := LoadDevice([]byte(text)); err == nil {
			t.Errorf("%s: the loader takes it", name)
		}
	}
}

// TestSchemaTellsPeople: every member is explained, and the words of enumerations
// are offered.
func TestSchemaTellsPeople(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal(DeviceSchema(), &root); err != nil {
		t.Fatal(err)
	}
	members := 0
	objects := map[string]any{"the root": root}
	for name, o := range root["definitions"].(map[string]any) {
		objects[name] = o
	}
	for object, o := range objects {
		for name, m := range o.(map[string]any)["properties"].(map[string]any) {
			members++
			if m.(map[string]any)["description"] == "" {
				t.Errorf("%s of %s is not explained", name, object)
			}
		}
	}
	if members < 30 {
		t.Errorf("%d members", members)
	}
	for _, offered := range []string{`"JmesPath"`, `"IotCentralJsonPathContent"`, `"$..[?(@heartRate)]"`} {
		if !strings.Contains(string(DeviceSchema()), offered) {
			t.Errorf("%s is not offered", offered)
		}
	}
}
