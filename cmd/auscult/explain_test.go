package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func explainFile(name string) string { return filepath.Join("testdata", "explain", name) }

// TestExplain shows what a person reads: values, conversions, failures, and
// why nothing matched.
func TestExplain(t *testing.T) {
	device, messages := explainFile("devicecontent.json"), explainFile("messages.jsonl")
	for name, args := range map[string][]string{
		"text": {"--device", device, messages},
		"json": {"--device", device, "--format", "json", messages},
		"none": {"--device", device, "--number", "2", messages},
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, explainFile(name+".golden"), auscult(t, append([]string{"explain"}, args...)...).told())
		})
	}
}

func TestExplainRefusesFlags(t *testing.T) {
	device := explainFile("devicecontent.json")
	for want, args := range map[string][]string{
		"name the device mapping": {},
		"--number counts from 1":  {"--device", device, "--number", "0"},
		"write text or json":      {"--device", device, "--format", "table"},
		"--as \"x\"":              {"--device", device, "--as", "x"},
		"with --topic":            {"--device", device, "--from", "5"},
	} {
		if got := auscult(t, append([]string{"explain"}, args...)...); got.code != exitError || !strings.Contains(got.errs, want) {
			t.Errorf("%v: exit code %d, %s, want %s", args, got.code, got.errs, want)
		}
	}
}
