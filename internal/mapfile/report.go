package mapfile

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxFaults is how many faults of one file are told.
const MaxFaults = 1000

// Report gathers the faults of one file, and the lints.
type Report struct {
	text    string
	faults  []finding
	lints   []finding
	dropped int
}

// finding is an Error whose line and column are still a byte position. Rule is
// that of a lint.
type finding struct {
	at   int
	rule string
	Error
}

// NewReport returns an empty report on a file's text.
func NewReport(text string) *Report { return &Report{text: text} }

// Add reports a fault at a byte position of the file.
func (r *Report) Add(at int, pointer, message, fix string) {
	if len(r.faults) == MaxFaults {
		r.dropped++
		return
	}
	r.faults = append(r.faults, r.finding(at, pointer, message, fix))
}

func (r *Report) finding(at int, pointer, message, fix string) finding {
	return finding{at: min(at, len(r.text)), Error: Error{Pointer: pointer, Message: message, Fix: fix}}
}

// AddLint reports a lint at a byte position of the file.
func (r *Report) AddLint(rule string, at int, pointer, message, fix string) {
	if len(r.lints) < MaxFaults {
		lint := r.finding(at, pointer, message, fix)
		lint.rule = rule
		r.lints = append(r.lints, lint)
	}
}

// AddInside reports a fault inside a text: at counts bytes of the decoded text.
func (r *Report) AddInside(v *Value, at int, pointer, message, fix string) {
	r.Add(r.Inside(v, at), pointer, message, fix)
}

// Inside returns the position in the file of byte at of the text v.
func (r *Report) Inside(v *Value, at int) int {
	if v.Kind != Text {
		return v.At
	}
	start := v.At + 1
	return start + encoded(r.text[start:v.End-1], at)
}

// Len counts the faults so far.
func (r *Report) Len() int { return len(r.faults) + r.dropped }

// Errors returns the faults in the order of the file. Those of one place stay in
// the order in which they were reported.
func (r *Report) Errors() []*Error {
	var found []*Error
	for _, f := range r.locate(r.faults) {
		found = append(found, &f.Error)
	}
	if r.dropped > 0 {
		more := *found[len(found)-1]
		more.Message = fmt.Sprintf("%d more faults are not shown", r.dropped)
		more.Pointer, more.Fix = "", "correct the ones above first"
		found = append(found, &more)
	}
	return found
}

// Lints returns the lints in the order of the file.
func (r *Report) Lints() []Lint {
	var found []Lint
	for _, f := range r.locate(r.lints) {
		found = append(found, Lint{
			Line: f.Line, Column: f.Column, Pointer: f.Pointer,
			Rule: f.rule, Message: f.Message, Fix: f.Fix, Excerpt: f.Excerpt,
		})
	}
	return found
}

// locate returns findings in the order of the file, with lines and columns.
func (r *Report) locate(findings []finding) []finding {
	sorted := slices.Clone(findings)
	slices.SortStableFunc(sorted, func(a, b finding) int { return a.at - b.at })
	p := place{line: 1, column: 1}
	for i := range sorted {
		f := &sorted[i]
		p.advance(r.text, f.at)
		f.Line, f.Column, f.Excerpt = p.line, p.column, excerpt(r.text, f.at)
	}
	return sorted
}

// Err joins the faults; it is nil when there are none.
func (r *Report) Err() error {
	var errs []error
	for _, e := range r.Errors() {
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

// place is a byte position as line and column.
type place struct{ at, line, column int }

// advance moves the place forward to byte position at.
func (p *place) advance(text string, at int) {
	passed := text[p.at:at]
	if p.at == 0 {
		passed = strings.TrimPrefix(passed, byteOrderMark)
	}
	if i := strings.LastIndexByte(passed, '\n'); i >= 0 {
		p.line += strings.Count(passed, "\n")
		p.column = 1
		passed = passed[i+1:]
	}
	p.column += utf8.RuneCountInString(passed)
	p.at = at
}
