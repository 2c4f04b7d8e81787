package dryrun

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// trimTexts returns JSON with the blanks cut off the ends of all texts, as a
// FHIR server gives resources back. Numbers keep their text.
func trimTexts(text []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return plainJSON(trimmed(v))
}

func trimmed(v any) any {
	switch v := v.(type) {
	case string:
		return strings.TrimSpace(v)
	case []any:
		for i := range v {
			v[i] = trimmed(v[i])
		}
	case map[string]any:
		for name, value := range v {
			v[name] = trimmed(value)
		}
	}
	return v
}

// plainJSON encodes without what is meant for HTML.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// without returns an object without some of its members; the others stay as
// they are, in order.
func without(object []byte, names ...string) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	out := []byte{'{'}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		if text, ok := name.(string); ok && slices.Contains(names, text) {
			continue
		}
		quoted, err := plainJSON(name)
		if err != nil {
			return nil, err
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, quoted...), ':'), value...)
	}
	return append(out, '}'), nil
}
