package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// problem is an answer other than 2xx: a status and what an OperationOutcome
// tells of it.
type problem struct {
	status     int
	code       string // issue-type
	text       string
	expression string // where, empty when nowhere in particular
	entry      string // of the Bundle in which the request stood
	more       []fault
}

func (p *problem) Error() string { return p.text }

func problemf(status int, code, format string, args ...any) *problem {
	return &problem{status: status, code: code, text: fmt.Sprintf(format, args...)}
}

// invalid is the answer to a resource that breaks a rule at that place.
func invalid(expression, format string, args ...any) *problem {
	p := problemf(http.StatusBadRequest, "invalid", format, args...)
	p.expression = expression
	return p
}

// problemOf returns err as a problem; what is none is a fault of the server.
func problemOf(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	return problemf(http.StatusInternalServerError, "exception", "the store: %v", err)
}

type issue struct {
	Severity    string   `json:"severity"`
	Code        string   `json:"code"`
	Diagnostics string   `json:"diagnostics"`
	Expression  []string `json:"expression,omitempty"`
}

type operationOutcome struct {
	ResourceType string  `json:"resourceType"`
	Issue        []issue `json:"issue"`
}

// outcome returns p as an OperationOutcome.
func (p *problem) outcome() json.RawMessage {
	o := operationOutcome{ResourceType: "OperationOutcome"}
	for _, f := range append([]fault{{p.code, p.text, p.expression}}, p.more...) {
		o.Issue = append(o.Issue, issue{"error", f.code, f.text, p.places(f.expression)})
	}
	body, _ := json.Marshal(o) // strings always have a JSON form
	return body
}

// places returns the FHIRPaths of a fault. In a Bundle that is the entry and,
// when there is one, the place in its resource.
func (p *problem) places(expression string) []string {
	_, inside, deep := strings.Cut(expression, ".")
	switch {
	case p.entry == "" && expression == "":
		return nil
	case p.entry == "":
		return []string{expression}
	case !deep:
		return []string{p.entry}
	}
	return []string{p.entry, p.entry + ".resource." + inside}
}

// inEntry says which entry of a transaction the problem lies in.
func (p *problem) inEntry(i int) *problem {
	q := *p
	q.entry = fmt.Sprintf("Bundle.entry[%d]", i)
	q.text = fmt.Sprintf("entry %d: %s", i, p.text)
	return &q
}
