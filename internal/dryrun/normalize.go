package dryrun

import (
	"auscult/mapping"
	"auscult/schemas"
)

// Problem is something that could not be used, and why.
type Problem struct {
	Message    string `json:"message"`
	Template   int    `json:"template,omitempty"` // place in the device mapping, from 1; 0 when it is about the whole message
	Expression string `json:"expression,omitempty"`
}

// Normalize gives what a message becomes: its measurements, and what of it
// cannot be used. Both are empty, not nil, when there is none.
func Normalize(m *mapping.Mapper, msg *mapping.Message, enqueued schemas.Ticks) ([]Measurement, []Problem) {
	measurements, problems := []Measurement{}, []Problem{}
	err := m.Map(msg,
		func(out *schemas.Measurement) {
			patient, encounter := m.Given()
			measurements = append(measurements, measurementOf(out, patient, encounter, enqueued))
		},
		func(f mapping.Failure) {
			problems = append(problems, Problem{Message: f.Error(), Template: f.Template + 1, Expression: f.Expression})
		})
	if err != nil {
		problems = append(problems, Problem{Message: err.Error()})
	}
	return measurements, problems
}
