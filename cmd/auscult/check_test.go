package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	device, fhir := mapFile("device.json"), mapFile("fhir.json")
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	other := write("other.json", `{"templateType":"CollectionFhir","template":[]}`)
	empty := write("empty.json", `{"templateType":"CollectionContent","template":[]}`)
	odd := write("odd.json", `{"templateType":"Collection","template":[]}`)
	for name, test := range map[string]struct {
		args      []string
		code      int
		out, errs string
	}{
		"what fits":        {[]string{device, fhir}, 0, "", "0 errors and 0 warnings in 2 files\n"},
		"warnings":         {[]string{device, other}, 0, "[type-unmapped]", "0 errors and 1 warning in 2 files\n"},
		"notes":            {[]string{empty, fhir}, 0, ": note: ", "0 errors, 1 warning and 1 note in 2 files\n"},
		"errors":           {[]string{odd}, 1, odd + ":1:", "auscult: 1 error and 0 warnings in 1 file\n"},
		"a kind by force":  {[]string{"--fhir", odd}, 1, "CollectionFhir", "auscult: 1 error and 0 warnings in 1 file\n"},
		"not comparable":   {[]string{device, device, other, other, other}, 0, "", "The kinds are not compared"},
		"JSON":             {[]string{"--format", "json", device, other}, 0, `"rule": "type-unmapped"`, "0 errors and 1 warning"},
		"SARIF":            {[]string{"--format", "sarif", odd, device}, 1, `"version": "2.1.0"`, "auscult: 1 error"},
		"SARIF of nothing": {[]string{"--format", "sarif", device}, 0, `"results": []`, "0 errors"},
	} {
		t.Run(name, func(t *testing.T) {
			got := auscult(t, append([]string{"check"}, test.args...)...)
			if got.code != test.code || !strings.Contains(got.out, test.out) || !strings.Contains(got.errs, test.errs) || test.out == "" && got.out != "" {
				t.Errorf("got %+v, want %+v", got, test)
			}
			if strings.Contains(name, "SARIF") && !json.Valid([]byte(got.out)) {
				t.Errorf("no JSON: %s", got.out)
			}
		})
	}
}
