package main

import (
	"auscult/mapping"
	"auscult/schemas"
)

// oursName is the contender that the targets are for.
const oursName = "auscult"

// ours is package mapping with the codec of package schemas.
type ours struct {
	mapper *mapping.Mapper
	yield  func(*schemas.Measurement)
	fail   func(mapping.Failure)
	out    *output // of the message at hand
	failed error
}

// oursWith returns the entry's maker for one way to make the mapper.
func oursWith(newMapper func(*mapping.Device) *mapping.Mapper) func(*workload, form) (contender, error) {
	return func(w *workload, _ form) (contender, error) { return loadOurs(w.template, newMapper) }
}

// plainMapper makes the mapper that the stages use.
func plainMapper(d *mapping.Device) *mapping.Mapper { return d.NewMapper() }

// shapelessMapper makes one that parses each message, also those like earlier
// ones.
func shapelessMapper(d *mapping.Device) *mapping.Mapper { return d.NewMapper(mapping.WithoutShapes()) }

// loadOurs returns the contender for the text of a mapping file.
func loadOurs(template []byte, newMapper func(*mapping.Device) *mapping.Mapper) (*ours, error) {
	device, err := mapping.LoadDevice(template)
	if err != nil {
		return nil, &refusal{err}
	}
	o := &ours{mapper: newMapper(device)}
	o.yield = func(m *schemas.Measurement) { o.out.add(m) }
	o.fail = func(f mapping.Failure) {
		if o.failed == nil {
			o.failed = f
		}
	}
	return o, nil
}

func (o *ours) apply(m *input, out *output) error {
	o.out, o.failed = out, nil
	if err := o.mapper.Map(&m.mapped, o.yield, o.fail); err != nil {
		return err
	}
	return o.failed
}
