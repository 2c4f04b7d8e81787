package dryrun

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"auscult/mapping"
	"auscult/schemas"
)

// Message is a message as a line of JSON describes it: a body with properties,
// or the text of a whole envelope.
type Message struct {
	Body       *string         `json:"body"`
	Envelope   *string         `json:"envelope"`
	Properties json.RawMessage `json:"properties"`
	System     json.RawMessage `json:"system"`
	Enqueued   string          `json:"enqueued"`
}

// read returns what a mapper maps, and when the broker took the message.
func (m *Message) read() (*mapping.Message, schemas.Ticks, error) {
	enqueued, err := readTime("enqueued", m.Enqueued)
	if err != nil {
		return nil, 0, err
	}
	if m.Envelope != nil {
		if m.Body != nil {
			return nil, 0, errors.New("give body or envelope, not both")
		}
		return &mapping.Message{Body: []byte(*m.Envelope), HasBody: true, Whole: true}, enqueued, nil
	}
	msg := &mapping.Message{}
	if m.Body != nil && *m.Body != "" {
		msg.Body, msg.HasBody = []byte(*m.Body), true
	}
	if msg.Properties, err = readProperties("properties", m.Properties); err != nil {
		return nil, 0, err
	}
	msg.System, err = readProperties("system", m.System)
	return msg, enqueued, err
}

// readProperties reads an object of properties in the order of its members. A
// text stays a text, also when it looks like a date: a broker has no dates in
// texts.
func readProperties(where string, text json.RawMessage) ([]mapping.Property, error) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 || string(text) == "null" {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, fmt.Errorf("%s is not an object", where)
	}
	var all []mapping.Property
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", where, err)
		}
		value, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", where, err)
		}
		p, ok := propertyOf(value)
		if !ok {
			return nil, fmt.Errorf("%s: %q is an object or an array: a property is a text, a number, true, false or null", where, name)
		}
		p.Name, _ = name.(string)
		all = append(all, p)
	}
	return all, nil
}

// propertyOf returns a property of a JSON scalar. A number beyond 64 bits is
// one that no broker sends; its text is kept.
func propertyOf(value json.Token) (p mapping.Property, ok bool) {
	switch v := value.(type) {
	case string:
		return mapping.Property{Text: v}, true
	case bool:
		p = mapping.Property{Kind: mapping.PropertyBool}
		if v {
			p.Int = 1
		}
		return p, true
	case nil:
		return mapping.Property{Kind: mapping.PropertyNull}, true
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return mapping.Property{Kind: mapping.PropertyInt, Int: n}, true
		}
		f, err := strconv.ParseFloat(v.String(), 64)
		if err != nil || !bytes.ContainsAny([]byte(v), ".eE") {
			return mapping.Property{Text: v.String()}, true
		}
		return mapping.Property{Kind: mapping.PropertyFloat, Float: f}, true
	}
	return p, false
}

// IsEnvelope reports whether a text is an object with the members of an
// envelope, {Body, Properties, SystemProperties}, and at least Body among them.
func IsEnvelope(text []byte) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return false
	}
	body := false
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return false
		}
		switch name {
		case "Body":
			body = true
		case "Properties", "SystemProperties":
		default:
			return false
		}
		var skip json.RawMessage
		if d.Decode(&skip) != nil {
			return false
		}
	}
	_, err := d.Token()
	if err == nil {
		_, err = d.Token()
	}
	return body && errors.Is(err, io.EOF)
}
