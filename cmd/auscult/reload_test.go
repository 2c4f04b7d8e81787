package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"auscult/mapping"
)

const reloadable = `{"templateType":"CollectionContent","template":[{"templateType":"JsonPathContent","template":{
"typeName":"NAME","typeMatchExpression":"$..[?(@v)]","deviceIdExpression":"$.d","timestampExpression":"$.t"}}]}`

// TestReloader: a good file comes into use, a bad one and a missing one do not,
// and each is told once.
func TestReloader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "devicecontent.json")
	write := func(text string) func() {
		return func() {
			t.Helper()
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	one, two := strings.Replace(reloadable, "NAME", "one", 1), strings.Replace(reloadable, "NAME", "two", 1)
	stay := func() {}
	var used []string
	r := &reloader{path: path, seen: []byte(one), use: func(d *mapping.Device) { used = append(used, d.Types()[0].Type) }}
	for _, step := range []struct {
		name    string
		do      func()
		changed bool
		err     string
		used    string
	}{
		{"as it was", write(one), false, "", ""},
		{"half written", write(two[:40]), false, "", ""},
		{"written", write(two), false, "", ""},
		{"the same at two looks", stay, true, "", "two"},
		{"half of it", write(two[:40]), false, "", "two"},
		{"still half", stay, true, "refused", "two"},
		{"told once", stay, false, "", "two"},
		{"emptied", write(" \n"), false, "", "two"},
		{"still empty", stay, true, "is empty", "two"},
		{"gone", func() { _ = os.Remove(path) }, true, "reading", "two"},
		{"still gone", stay, false, "reading", "two"},
		{"back", write(one), false, "", "two"},
		{"stays", stay, true, "", "two one"},
	} {
		step.do()
		version, changed, err := r.look()
		if changed != step.changed || (err == nil) != (step.err == "") || err != nil && !strings.Contains(err.Error(), step.err) {
			t.Errorf("%s: changed %v, error %v", step.name, changed, err)
		}
		if got := strings.Join(used, " "); got != step.used || (version != "") != (changed && err == nil) {
			t.Errorf("%s: used %q, version %q", step.name, got, version)
		}
	}
}
