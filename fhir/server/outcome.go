package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// problem is an answer other than 2xx: a status and what an OperationOutcome
// tells of it.
type problem struct {
	status     int
	code       string // issue-type
	text       string
	expression string // where, empty when nowhere in particular
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
	i := issue{Severity: "error", Code: p.code, Diagnostics: p.text}
	if p.expression != "" {
		i.Expression = []string{p.expression}
	}
	body, _ := json.Marshal(operationOutcome{"OperationOutcome", []issue{i}}) // strings always have a JSON form
	return body
}
