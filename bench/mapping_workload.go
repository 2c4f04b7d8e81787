package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"auscult/mapping"
)

// form is how a message comes: as the text of the whole envelope, or as the
// bytes of its body with the properties beside it.
type form string

// The forms.
const (
	formEnvelope form = "envelope"
	formBody     form = "body"
)

var forms = []form{formEnvelope, formBody}

// input is one message in one form.
type input struct {
	text   []byte // what has to be parsed
	mapped mapping.Message
}

// workload is a mapping file, the same by hand, and messages for it.
type workload struct {
	name     string
	template []byte
	hand     handMapping
	messages map[form][]input
}

// readWorkload reads NAME_*.template.json and NAME_*.messages.jsonl.
func readWorkload(folder, name string) (*workload, error) {
	w := &workload{name: name, hand: handMappings[name], messages: map[form][]input{}}
	var err error
	if w.template, err = readOnly(folder, name+"_*.template.json"); err != nil {
		return nil, err
	}
	lines, err := readOnly(folder, name+"_*.messages.jsonl")
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(lines) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if err := w.addMessage(line); err != nil {
			return nil, fmt.Errorf("reading the messages of %s: line %d: %w", name, len(w.messages[formEnvelope])+1, err)
		}
	}
	if len(w.messages[formEnvelope]) == 0 {
		return nil, fmt.Errorf("there are no messages of %s in %s", name, folder)
	}
	return w, nil
}

// readOnly reads the one file of a folder whose name fits the pattern.
func readOnly(folder, pattern string) ([]byte, error) {
	files, err := filepath.Glob(filepath.Join(folder, pattern))
	if err != nil {
		return nil, err
	}
	if len(files) != 1 {
		return nil, fmt.Errorf("%d files %s in %s, want one: give -workloads the folder that holds the mappings and messages of W1 to W5",
			len(files), pattern, folder)
	}
	return os.ReadFile(files[0])
}

// envelope is the text of a whole message, its parts as they are spelled.
type envelope struct {
	Body             json.RawMessage
	Properties       json.RawMessage
	SystemProperties json.RawMessage
}

// addMessage adds an envelope in all forms.
func (w *workload) addMessage(text []byte) error {
	var e envelope
	if err := json.Unmarshal(text, &e); err != nil {
		return err
	}
	properties, err1 := readProperties(e.Properties)
	system, err2 := readProperties(e.SystemProperties)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	w.messages[formEnvelope] = append(w.messages[formEnvelope], wholeInput(text))
	w.messages[formBody] = append(w.messages[formBody], bodyInput(e.Body, properties, system))
	return nil
}

func wholeInput(text []byte) input {
	return input{text, mapping.Message{Body: text, HasBody: true, Whole: true}}
}

func bodyInput(text []byte, properties, system []mapping.Property) input {
	return input{text, mapping.Message{Body: text, HasBody: true, Properties: properties, System: system}}
}

// readProperties reads an object of scalars as the properties of a message, in
// its order.
func readProperties(text []byte) ([]mapping.Property, error) {
	if len(text) == 0 || string(text) == "null" {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, errors.Join(errors.New("properties are an object"), err)
	}
	var all []mapping.Property
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		value, err := d.Token()
		if err != nil {
			return nil, err
		}
		p, err := propertyOf(fmt.Sprint(name), value)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// propertyOf makes a property of a JSON token.
func propertyOf(name string, value json.Token) (mapping.Property, error) {
	p := mapping.Property{Name: name}
	switch v := value.(type) {
	case string:
		p.Text = v
	case nil:
		p.Kind = mapping.PropertyNull
	case bool:
		p.Kind = mapping.PropertyBool
		if v {
			p.Int = 1
		}
	case json.Number:
		var err error
		if strings.ContainsAny(v.String(), ".eE") {
			p.Kind = mapping.PropertyFloat
			p.Float, err = v.Float64()
		} else {
			p.Kind = mapping.PropertyInt
			p.Int, err = strconv.ParseInt(v.String(), 10, 64)
		}
		return p, err
	default:
		return p, fmt.Errorf("property %s is neither a text, a number, a truth value nor null", name)
	}
	return p, nil
}
