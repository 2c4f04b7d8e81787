package main

import (
	"bytes"
	"fmt"
	"strings"

	"auscult/schemas"
)

// disagreement is a message that two contenders map differently.
type disagreement struct {
	place         string
	first, second string // who
	got           [2]string
}

// Error implements error.
func (d *disagreement) Error() string {
	return fmt.Sprintf("%s: the contenders do not give the same measurements\n%s:\n%s%s:\n%s",
		d.place, d.first, d.got[0], d.second, d.got[1])
}

// agree compares a contender with the reference on all messages. Equal
// measurements are equal records, byte for byte.
func agree(place string, messages []input, referenceName string, reference contender, name string, c contender) error {
	var want, got output
	compared := 0
	for i := range messages {
		here := fmt.Sprintf("%s, message %d", place, i+1)
		want.reset()
		if err := reference.apply(&messages[i], &want); err != nil {
			return fmt.Errorf("%s: %s: %w", here, referenceName, err)
		}
		got.reset()
		if err := c.apply(&messages[i], &got); err != nil {
			return fmt.Errorf("%s: %s: %w", here, name, err)
		}
		compared += len(want.ends)
		if !bytes.Equal(want.bytes, got.bytes) {
			return &disagreement{here, referenceName, name, [2]string{spell(&want), spell(&got)}}
		}
	}
	if compared == 0 {
		return fmt.Errorf("%s: %s gives no measurement of any message: there is nothing to compare", place, referenceName)
	}
	return nil
}

// spell writes the measurements of an output for a person.
func spell(o *output) string {
	all, err := o.read()
	if err != nil {
		return fmt.Sprintf("  %v\n", err)
	}
	var text strings.Builder
	for i := range all {
		text.WriteString("  " + spellOne(&all[i]) + "\n")
	}
	return text.String()
}

func spellOne(m *schemas.Measurement) string {
	text := fmt.Sprintf("%s, device %q, patient %q, %s:", m.Type, m.Device, m.Patient, m.Occurrence)
	for _, v := range m.Values {
		text += fmt.Sprintf(" %s=%q", v.Name, v.Text)
	}
	return text
}
