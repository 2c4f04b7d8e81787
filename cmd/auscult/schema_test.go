package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestSchema(t *testing.T) {
	for _, kind := range []string{"device", "fhir"} {
		got := auscult(t, "schema", kind)
		var schema struct {
			Schema string `json:"$schema"`
		}
		if err := json.Unmarshal([]byte(got.out), &schema); err != nil || schema.Schema == "" || got.code != 0 || !strings.HasSuffix(got.out, "}\n") {
			t.Errorf("%s: %v, %+v", kind, err, got)
		}
	}
	for args, want := range map[string]string{
		"schema": "say which kind of mapping: device or fhir", "schema device fhir": "say which kind of mapping",
		"schema x": `no such kind of mapping: "x"`,
	} {
		if got := auscult(t, strings.Fields(args)...); got.code != exitError || got.out != "" || !strings.Contains(got.errs, want) {
			t.Errorf("%s: %+v", args, got)
		}
	}
}
