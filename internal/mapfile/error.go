package mapfile

import (
	"errors"
	"fmt"
)

// Error is one fault of a mapping file: where it stands, what is wrong and what
// to write instead.
type Error struct {
	Line, Column int    // from 1; columns count characters
	Pointer      string // JSON pointer of the faulty value
	Message      string // what is wrong
	Fix          string // what to change; may be empty
	Excerpt      string // the line of the file and, below it, a caret under the place
}

// Error says where and what, on one line.
func (e *Error) Error() string {
	s := fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
	if e.Fix != "" {
		s += ": " + e.Fix
	}
	return s
}

// Errors returns the faults that err, the answer of a loader, joins.
func Errors(err error) []*Error {
	var found []*Error
	var one *Error
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			found = append(found, Errors(e)...)
		}
	} else if errors.As(err, &one) {
		found = append(found, one)
	}
	return found
}

// Lint is something that a mapping may say, but that its author hardly meant.
type Lint struct {
	Line, Column int    // from 1; columns count characters
	Pointer      string // JSON pointer of the value it is about
	Rule         string // the name of the rule, in kebab-case
	Message      string // what will happen
	Fix          string // what to change
	Excerpt      string // the line of the file and, below it, a caret under the place
}

// String says where and what, on one line.
func (l Lint) String() string {
	return fmt.Sprintf("line %d, column %d: %s: %s (%s)", l.Line, l.Column, l.Message, l.Fix, l.Rule)
}
