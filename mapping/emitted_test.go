package mapping

import (
	"fmt"
	"strings"
	"testing"
)

// TestTemplates: what a mapping emits is told by template, with its places.
func TestTemplates(t *testing.T) {
	d := mustLoad(t, `{"templateType": "CollectionContent", "template": [
  {"templateType": "JsonPathContent", "template": {"TypeName": "hr", "typeMatchExpression": "$..[?(@hr)]", "correlationIdExpression": "",
    "deviceIdExpression": "$.d", "timestampExpression": "$.t", "values": [
      {"valueExpression": "$.hr", "valueName": "bpm"},
      {"ValueName": "2026-01-31T10:00:00Z", "valueExpression": "$.q"}]}},
  {"templateType": "CalculatedContent", "template": {"typeMatchExpression": "$..[?(@hr)]", "deviceIdExpression": "$.d",
    "timestampExpression": "$.t", "correlationIdExpression": "$.matchedToken.c", "values": [], "typeName": "hr"}}]}`)
	var b strings.Builder
	for _, e := range d.Templates() {
		fmt.Fprintf(&b, "%s %v %d:%d %s\n", e.Type, e.Correlated, e.Line, e.Column, e.Pointer)
		for _, v := range e.Values {
			fmt.Fprintf(&b, "  %s %d:%d %s\n", v.Name, v.Line, v.Column, v.Pointer)
		}
	}
	if want := `hr false 2:64 /template/0/template/TypeName
  bpm 4:48 /template/0/template/values/0/valueName
  01/31/2026 10:00:00 5:21 /template/0/template/values/1/ValueName
hr true 7:108 /template/1/template/typeName
`; b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
