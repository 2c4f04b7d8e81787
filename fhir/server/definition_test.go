package server

import (
	"strings"
	"testing"
)

func TestDefinitions(t *testing.T) {
	structures, err := definitions()
	if err != nil {
		t.Fatal(err)
	}
	for kind := range searchable {
		if s := structures[kind]; s == nil || !s.resource {
			t.Errorf("%s is searched but not defined", kind)
		}
	}
	for name, s := range structures {
		if len(s.elements) > maxElements || len(s.members) == 0 {
			t.Errorf("%s has %d elements", name, len(s.elements))
		}
		for json, m := range s.members {
			if m.contained || m.primitive != nil || m.structure != nil {
				continue
			}
			t.Errorf("%s.%s has no type", name, json)
		}
	}
	for _, wrong := range []struct{ text, want string }{
		{"\tx 0..1 string", "before the first type"},
		{"A : B", "before its parent"},
		{"A\n\tx 0..1", "an element has"},
		{"A\n\tx 1 string", "cardinality"},
		{"A\n\tx 0..1 B", "no type B"},
		{"A\n" + strings.Repeat("\tx 0..1 string\n", maxElements+1), "more than 64"},
	} {
		if _, err := parseDefinitions(wrong.text); err == nil || !strings.Contains(err.Error(), wrong.want) {
			t.Errorf("%q: %v", wrong.text, err)
		}
	}
}
