package check

import (
	"auscult/fhir"
	"auscult/internal/mapfile"
	"auscult/mapping"
)

// Level says how bad a finding is.
type Level string

// The levels, as SARIF names them.
const (
	LevelError   Level = "error"   // the file is refused
	LevelWarning Level = "warning" // it loads, but hardly does what its author meant
	LevelNote    Level = "note"    // it may well be meant
)

// RuleLoad is the rule of everything that makes a file be refused.
const RuleLoad = "load"

// Finding is one thing to be told about a mapping file.
type Finding struct {
	File    string `json:"file"`
	Level   Level  `json:"level"`
	Rule    string `json:"rule"`
	Line    int    `json:"line"`    // from 1
	Column  int    `json:"column"`  // from 1, in characters
	Pointer string `json:"pointer"` // JSON pointer of the element
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
	Excerpt string `json:"excerpt,omitempty"` // the line and, below it, a caret under the place
}

// Count returns how many findings have a level.
func Count(all []Finding, level Level) (n int) {
	for i := range all {
		if all[i].Level == level {
			n++
		}
	}
	return n
}

// Device loads a device mapping. It is nil when there are findings.
func Device(name string, text []byte) (*mapping.Device, []Finding) {
	d, err := mapping.LoadDevice(text)
	if err != nil {
		return nil, refused(name, mapping.LoadErrors(err))
	}
	return d, nil
}

// FHIR loads a FHIR mapping. It is nil when there are findings.
func FHIR(name string, text []byte) (*fhir.Mapping, []Finding) {
	m, err := fhir.LoadMapping(text)
	if err != nil {
		return nil, refused(name, fhir.LoadErrors(err))
	}
	return m, nil
}

// refused turns the faults of a file into findings.
func refused(name string, faults []*mapfile.Error) []Finding {
	all := make([]Finding, len(faults))
	for i, e := range faults {
		all[i] = Finding{
			File: name, Level: LevelError, Rule: RuleLoad, Line: e.Line, Column: e.Column,
			Pointer: e.Pointer, Message: e.Message, Fix: e.Fix, Excerpt: e.Excerpt,
		}
	}
	return all
}

// levelOf returns the level of a lint. A FHIR mapping may serve more device
// mappings than are checked, so what these do not give is but noted.
func levelOf(rule string) Level {
	if rule == RuleTypeNotEmitted || rule == RuleValueNotEmitted {
		return LevelNote
	}
	return LevelWarning
}

// warnings turns lints into findings.
func warnings(name string, lints []mapfile.Lint) []Finding {
	all := make([]Finding, len(lints))
	for i, l := range lints {
		all[i] = Finding{
			File: name, Level: levelOf(l.Rule), Rule: l.Rule, Line: l.Line, Column: l.Column,
			Pointer: l.Pointer, Message: l.Message, Fix: l.Fix, Excerpt: l.Excerpt,
		}
	}
	return all
}
