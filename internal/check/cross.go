package check

import (
	"fmt"
	"slices"
	"strings"

	"auscult/internal/mapfile"
)

// The rules that compare device and FHIR mappings.
const (
	RuleTypeUnmapped      = "type-unmapped"
	RuleTypeNotEmitted    = "type-not-emitted"
	RuleTypeCase          = "type-case"
	RuleValueUnused       = "value-unused"
	RuleValueNotEmitted   = "value-not-emitted"
	RuleCorrelationNeeded = "correlation-needed"
)

// compare tells where device mappings and a FHIR mapping do not fit.
func (c couple) compare() (all []Finding) {
	if c.fhir == nil || slices.Contains(c.devices, nil) {
		return nil
	}
	for _, d := range c.devices {
		report := mapfile.NewReport(d.text)
		for i := range d.types {
			c.reads(report, &d.types[i])
		}
		all = append(all, warnings(d.file, report.Lints())...)
	}
	report := mapfile.NewReport(c.fhir.text)
	for i := range c.fhir.types {
		c.feeds(report, &c.fhir.types[i])
	}
	return append(all, warnings(c.fhir.file, report.Lints())...)
}

// reads looks for what the FHIR mapping does not take of a type that a device
// mapping emits.
func (c couple) reads(report *mapfile.Report, t *measured) {
	f := c.fhir.find(t.name)
	if f == nil {
		report.AddLint(RuleTypeUnmapped, t.At, t.Pointer,
			fmt.Sprintf("no template of %s has the type %q: its measurements never become Observations", c.fhir.file, t.name),
			instead(t.name, c.fhir.typeNames(), "add a template for it there"))
		return
	}
	if f.name != t.name {
		report.AddLint(RuleTypeCase, t.At, t.Pointer,
			fmt.Sprintf("%s spells the type %q: the Observations are coded %q", c.fhir.file, f.name, t.name), "write it alike in both files")
	}
	if f.correlation {
		for _, at := range t.uncorrelated {
			report.AddLint(RuleCorrelationNeeded, at.At, at.Pointer,
				fmt.Sprintf("%s groups type %q by correlation id, but this template gives none: its measurements are refused", c.fhir.file, t.name),
				"add correlationIdExpression here, or choose another periodInterval there")
		}
	}
	for _, v := range t.values {
		if !f.has(v.name) {
			report.AddLint(RuleValueUnused, v.At, v.Pointer,
				fmt.Sprintf("the template of type %q in %s does not use the value %q: it appears in no Observation", f.name, c.fhir.file, v.name),
				instead(v.name, f.valueNames(), "use it there, or remove it here"))
		}
	}
}

// feeds looks for what a template of the FHIR mapping waits for in vain.
func (c couple) feeds(report *mapfile.Report, t *measured) {
	values, given := c.given(t.name)
	if !given {
		var types []string
		for _, d := range c.devices {
			types = append(types, d.typeNames()...)
		}
		report.AddLint(RuleTypeNotEmitted, t.At, t.Pointer,
			fmt.Sprintf("no template of %s emits the type %q: this one is never used", c.deviceNames(), t.name),
			instead(t.name, types, "add a template for it there, or remove this one"))
		return
	}
	for _, v := range t.values {
		if !slices.Contains(values, v.name) {
			report.AddLint(RuleValueNotEmitted, v.At, v.Pointer,
				fmt.Sprintf("no template of type %q in %s gives the value %q: the element is never written", t.name, c.deviceNames(), v.name),
				instead(v.name, values, "give it there, or remove it here"))
		}
	}
}

// given returns the names of the values that the device mappings emit of a type;
// ok is false when none emits it.
func (c couple) given(typ string) (values []string, ok bool) {
	for _, d := range c.devices {
		for i := range d.types {
			if e := &d.types[i]; strings.EqualFold(e.name, typ) {
				values, ok = append(values, e.valueNames()...), true
			}
		}
	}
	return values, ok
}

func (c couple) deviceNames() string {
	names := make([]string, len(c.devices))
	for i, d := range c.devices {
		names[i] = d.file
	}
	return strings.Join(names, ", ")
}

// maxCandidates is among how many names one is looked for that was meant: the
// time goes with the square of it.
const maxCandidates = 1000

// instead names what was probably meant, else what can be done.
func instead(word string, candidates []string, otherwise string) string {
	if len(candidates) > maxCandidates {
		return otherwise
	}
	if near := mapfile.Nearest(word, candidates); near != "" {
		return fmt.Sprintf("write %q if that is meant, else %s", near, otherwise)
	}
	return otherwise
}
