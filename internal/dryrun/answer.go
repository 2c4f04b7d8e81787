package dryrun

import (
	"encoding/json"

	"auscult/internal/check"
)

// The answers, by what is known.
type (
	loadFault struct {
		Message string `json:"message"`
		Line    int    `json:"line"`
		Column  int    `json:"column"`
		Pointer string `json:"pointer"`
		File    string `json:"file"`
	}
	loadResult struct {
		Errors []loadFault `json:"errors"`
	}
	loadAnswer struct {
		ID   json.RawMessage `json:"id"`
		Load loadResult      `json:"load"`
	}
	normalizeAnswer struct {
		ID           json.RawMessage `json:"id"`
		Measurements []Measurement   `json:"measurements"`
		Errors       []Problem       `json:"errors"`
	}
	batchResult struct {
		Measurements []Measurement     `json:"measurements"`
		Writes       []json.RawMessage `json:"writes"`
		Errors       []Problem         `json:"errors"`
	}
	e2eAnswer struct {
		ID      json.RawMessage `json:"id"`
		Batches []batchResult   `json:"batches"`
	}
	errorAnswer struct {
		ID    json.RawMessage `json:"id"`
		Error string          `json:"error"`
	}
)

// Files of a line, as its answers name them.
const (
	fileDevice = "device"
	fileFHIR   = "fhir"
)

func faultsOf(findings []check.Finding) []loadFault {
	faults := make([]loadFault, len(findings))
	for i, f := range findings {
		faults[i] = loadFault{Message: f.Message, Line: f.Line, Column: f.Column, Pointer: f.Pointer, File: f.File}
		if f.Fix != "" {
			faults[i].Message += ": " + f.Fix
		}
	}
	return faults
}
