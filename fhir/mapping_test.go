package fhir

import (
	"errors"
	"strings"
	"testing"
)

// mappingOf wraps the members of one CodeValueFhir.
func mappingOf(members string) string {
	return `{"templateType":"CollectionFhir","template":[{"templateType":"CodeValueFhir","template":{` + members + `}}]}`
}

func load(t *testing.T, text string) *Mapping {
	t.Helper()
	m, err := LoadMapping([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestLoadMapping(t *testing.T) {
	m := load(t, `// a comment
{'templateType': 'collectionfhirtemplate', "template": [
  {templateType: "CodeValueFhir", "template": {"TypeName": "Hr", "periodinterval": "hourly", "CODES": [{"code": 5}], "value": {"ValueType": "quantity"}, }},
]}`)
	if p, ok := m.Period("hR"); !ok || p != Hourly {
		t.Errorf("period %v, %v", p, ok)
	}
	if _, ok := m.Period("other"); ok {
		t.Error("a template for an unknown type")
	}
	if v := m.Version(); len(v) != 16 || v == load(t, mappingOf(`"typeName":"a","codes":[]`)).Version() {
		t.Errorf("version %q", v)
	}
}

func TestLoadMappingNamesEveryFault(t *testing.T) {
	const codes = `"codes":[{"code":"8867-4","system":"http://loinc.org"}]`
	for _, c := range []struct{ name, text, want string }{
		{"not JSON", "{\n \"a\" 1}", `line 2, column 6: a colon is missing`},
		{"empty", "", `line 1, column 1: the text ends`},
		{"byte order mark", "\ufeff{}", "line 1, column 1: the file begins with a byte order mark"},
		{"not an object", "[]", `line 1, column 1: an object is needed`},
		{"other container", `{"templateType":"CollectionContent","template":[]}`, `column 17: templateType "CollectionContent" is not supported`},
		{"no container type", `{"template":[]}`, `templateType is missing`},
		{"no list", `{"templateType":"CollectionFhir"}`, `template must be an array`},
		{"other template", `{"templateType":"CollectionFhir","template":[{"templateType":"X","template":{}}]}`, `column 62: templateType "X" is not`},
		{"element of the list", `{"templateType":"CollectionFhir","template":[5]}`, `column 46: an object is needed`},
		{"no inner template", `{"templateType":"CollectionFhir","template":[{"templateType":"CodeValueFhir"}]}`, `template is missing`},
		{"no type name", mappingOf(codes), `typeName is missing`},
		{"blank type name", mappingOf(`"typeName":" ",` + codes), `typeName is empty`},
		{"type name is an object", mappingOf(`"typeName":{},` + codes), `a text is needed`},
		{"no codes", mappingOf(`"typeName":"a"`), `codes is missing`},
		{"codes is a text", mappingOf(`"typeName":"a","codes":"x"`), `an array is needed`},
		{"code is a text", mappingOf(`"typeName":"a","codes":["x"]`), `an object is needed`},
		{"unknown member", mappingOf(`"typeName":"a",` + codes + `,"typeNam":1`), `unknown member "typeNam"`},
		{"unknown period", mappingOf(`"typeName":"a","periodInterval":61,` + codes), `periodInterval "61" is not supported (write 0 (Single)`},
		{"value null", mappingOf(`"typeName":"a",` + codes + `,"value":null`), `value must be an object`},
		{"no value type", mappingOf(`"typeName":"a",` + codes + `,"value":{"valuetype":"Quantity"}`), `valueType is missing`},
		{"unknown value type", mappingOf(`"typeName":"a",` + codes + `,"value":{"valueType":"Ratio"}`), `valueType "Ratio" is not supported`},
		{"relative system", mappingOf(`"typeName":"a",` + codes + `,"value":{"valueType":"Quantity","system":"ucum"}`), `system "ucum" is no absolute URI`},
		{"no period", mappingOf(`"typeName":"a",` + codes + `,"value":{"valueType":"SampledData"}`), `defaultPeriod is missing`},
		{"endless series", mappingOf(`"typeName":"a",` + codes + `,"value":{"valueType":"SampledData","defaultPeriod":0.00001}`), `defaultPeriod "0.00001" is no usable period`},
		{"negative period", mappingOf(`"typeName":"a",` + codes + `,"value":{"valueType":"SampledData","defaultPeriod":-1}`), `no usable period`},
		{"huge period", mappingOf(`"typeName":"a",` + codes + `,"value":{"valueType":"SampledData","defaultPeriod":1e300}`), `no usable period`},
		{"concept without codes", mappingOf(`"typeName":"a",` + codes + `,"value":{"valueType":"CodeableConcept","text":"x"}`), `codes is missing`},
		{"empty concept", mappingOf(`"typeName":"a",` + codes + `,"value":{"valueType":"CodeableConcept","codes":[]}`), `neither text nor codes`},
		{"component without value", mappingOf(`"typeName":"a",` + codes + `,"components":[{"codes":[]}]`), `value is missing`},
		{"component null", mappingOf(`"typeName":"a",` + codes + `,"components":[null]`), `an object is needed`},
		{"component with the own code", mappingOf(`"typeName":"a",` + codes + `,"value":{"valueType":"String","valueName":"v"},"components":[{` + codes +
			`,"value":{"valueType":"String","valueName":"w"}}]`), `obs-7`},
		{"category is an object", mappingOf(`"typeName":"a",` + codes + `,"category":{}`), `an array is needed`},
	} {
		m, err := LoadMapping([]byte(c.text))
		var fault *LoadError
		if m != nil || !errors.As(err, &fault) || !strings.Contains(err.Error(), c.want) || fault.Fix == "" {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestLoadMappingReportsAllAtOnce(t *testing.T) {
	_, err := LoadMapping([]byte("{\"templateType\":\"CollectionFhir\",\"template\":[\n" +
		"{\"templateType\":\"CodeValueFhir\",\"template\":{\"typeName\":\"a\",\"codes\":[]}},\n" +
		"{\"templateType\":\"CodeValueFhir\",\"template\":{\"typeName\":\"é\",\"codes\":[], \"x\":1}},\n" +
		"{\"templateType\":\"CodeValueFhir\",\"template\":{\"typeName\":\"A\",\"codes\":[]}}]}"))
	faults := loadErrors(err)
	if len(faults) != 2 || faults[0].Line != 3 || faults[0].Column != 76 || faults[0].Pointer != "/template/1/template/x" ||
		faults[1].Line != 4 || faults[1].Pointer != "/template/2/template/typeName" {
		t.Errorf("%v", err)
	}
}
