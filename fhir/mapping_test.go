package fhir

import "testing"

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
