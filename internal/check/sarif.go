package check

import (
	"io"
	"net/url"
	"path/filepath"
	"slices"

	"auscult/fhir"
	"auscult/mapping"
)

// What SARIF 2.1.0 asks of a log.
const (
	sarifSchema  = "https://json.schemastore.org/sarif-2.1.0.json"
	sarifVersion = "2.1.0"
)

// descriptions tell what rules are about that do not say so themselves.
var descriptions = map[string]string{
	RuleLoad:              "The mapping file is refused.",
	RuleTypeUnmapped:      "The device mapping emits a type that the FHIR mapping lacks.",
	RuleTypeNotEmitted:    "The FHIR mapping has a type that no device template emits.",
	RuleTypeCase:          "Device and FHIR mapping spell a type differently.",
	RuleValueUnused:       "The device mapping gives a value that the FHIR mapping does not use.",
	RuleValueNotEmitted:   "The FHIR mapping uses a value that no device template gives.",
	RuleCorrelationNeeded: "The FHIR mapping groups by a correlation id that the device template does not give.",

	fhir.RuleSeveralValues: "A value that must be single stands in an Observation that gathers several.",
	fhir.RuleUnitSystem:    "A unit code has no system, and is not written as a code.",
	fhir.RuleSampledSize:   "An Observation gathers very many samples.",
	fhir.RuleValueTwice:    "A template takes one value twice.",
	fhir.RuleValueMember:   "A member of a value is ignored and looks like a misspelled one.",
}

// description returns what a rule is about.
func description(rule string) string {
	for _, r := range mapping.LintRules() {
		if r.Name == rule {
			return r.Doc
		}
	}
	return descriptions[rule]
}

type (
	sarifText struct {
		Text string `json:"text"`
	}
	sarifConfiguration struct {
		Level Level `json:"level"`
	}
	sarifRule struct {
		ID            string             `json:"id"`
		Short         *sarifText         `json:"shortDescription,omitempty"`
		Configuration sarifConfiguration `json:"defaultConfiguration"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifLogical struct {
		Name string `json:"fullyQualifiedName"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations,omitempty"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		RuleIndex int             `json:"ruleIndex"`
		Level     Level           `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
)

// WriteSARIF writes findings as a SARIF 2.1.0 log, which code hosts and editors
// show beside the files. version is that of the program.
func WriteSARIF(w io.Writer, version string, all []Finding) error {
	rules := sarifRules(all)
	run := sarifRun{
		Tool:       sarifTool{sarifDriver{Name: "auscult", Version: version, Rules: rules}},
		ColumnKind: "unicodeCodePoints",
		Results:    make([]sarifResult, len(all)),
	}
	for i := range all {
		run.Results[i] = sarifOf(&all[i], rules)
	}
	return indented(w, sarifLog{sarifSchema, sarifVersion, []sarifRun{run}})
}

// sarifRules returns the rules that the findings name, each once.
func sarifRules(all []Finding) []sarifRule {
	rules := []sarifRule{}
	for i := range all {
		f := &all[i]
		if slices.ContainsFunc(rules, func(r sarifRule) bool { return r.ID == f.Rule }) {
			continue
		}
		r := sarifRule{ID: f.Rule, Configuration: sarifConfiguration{f.Level}}
		if text := description(f.Rule); text != "" {
			r.Short = &sarifText{text}
		}
		rules = append(rules, r)
	}
	return rules
}

func sarifOf(f *Finding, rules []sarifRule) sarifResult {
	text := f.Message
	if f.Fix != "" {
		text += ": " + f.Fix
	}
	at := sarifLocation{Physical: sarifPhysical{sarifArtifact{uriOf(f.File)}, sarifRegion{f.Line, f.Column}}}
	if f.Pointer != "" {
		at.Logical = []sarifLogical{{f.Pointer}}
	}
	return sarifResult{
		RuleID: f.Rule, RuleIndex: slices.IndexFunc(rules, func(r sarifRule) bool { return r.ID == f.Rule }),
		Level: f.Level, Message: sarifText{text}, Locations: []sarifLocation{at},
	}
}

// uriOf returns the URI of a file: relative to where the program runs, unless
// the name is absolute.
func uriOf(name string) string {
	u := url.URL{Path: filepath.ToSlash(name)}
	if filepath.IsAbs(name) {
		u.Scheme = "file"
		if u.Path[0] != '/' { // a drive letter
			u.Path = "/" + u.Path
		}
	}
	return u.String()
}
