package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"auscult/mapping"
	"auscult/schemas"
)

// contender maps messages of one workload in one form: bytes in, Avro out.
type contender interface {
	// apply adds the measurements of a message to out, template by template,
	// matches in document order.
	apply(m *input, out *output) error
}

// entry is a way to map. Its contender is made once for each workload and form;
// a *refusal leaves it out.
type entry struct {
	name string
	make func(w *workload, f form) (contender, error)
}

// contenders are measured beside json.Valid. The first one is what the others
// must agree with.
var contenders = []entry{
	{"encoding/json, tree walk", newTree},
	{"fastjson, same chains", newFast},
	{"benthos Bloblang", newBloblang},
	{oursName + ", without shapes", oursWith(shapelessMapper)},
	{oursName, oursWith(plainMapper)},
}

// refusal is a mapping that a contender cannot load.
type refusal struct{ err error }

// Error implements error: the first fault stands for all.
func (r *refusal) Error() string {
	if faults := mapping.LoadErrors(r.err); len(faults) > 0 {
		return faults[0].Message
	}
	return r.err.Error()
}

// Unwrap implements errors.
func (r *refusal) Unwrap() error { return r.err }

// output takes the measurements of a message as Avro records, one behind the
// other.
type output struct {
	bytes []byte
	ends  []int // of the records
}

func (o *output) reset() { o.bytes, o.ends = o.bytes[:0], o.ends[:0] }

func (o *output) add(m *schemas.Measurement) {
	o.bytes = m.Append(o.bytes)
	o.ends = append(o.ends, len(o.bytes))
}

// read returns the measurements; they alias the output.
func (o *output) read() ([]schemas.Measurement, error) {
	all := make([]schemas.Measurement, len(o.ends))
	start := 0
	for i, end := range o.ends {
		if err := all[i].Read(o.bytes[start:end]); err != nil {
			return nil, err
		}
		start = end
	}
	return all, nil
}

// workOf returns a contender's work on messages.
func workOf(c contender, messages []input) func(int) error {
	out := &output{}
	next := 0
	return func(n int) error {
		for range n {
			out.reset()
			if err := c.apply(&messages[next], out); err != nil {
				return fmt.Errorf("message %d: %w", next+1, err)
			}
			if next++; next == len(messages) {
				next = 0
			}
		}
		return nil
	}
}

// validator is json.Valid as a contender: it adds nothing.
type validator struct{}

func (validator) apply(m *input, _ *output) error {
	if !json.Valid(m.text) {
		return errors.New("it is not JSON")
	}
	return nil
}

// yardstick is json.Valid on the bytes that the contenders read.
func yardstick(messages []input) subject {
	return subject{"json.Valid", workOf(validator{}, messages)}
}
