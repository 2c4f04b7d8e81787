package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/bloblang"

	"auscult/schemas"
)

// bloblangMapping runs a Bloblang mapping and reads its result. It looks at the
// body alone and not for objects at any depth, as a person who knows the
// messages would write it: less work than the mapping files ask for.
type bloblangMapping struct {
	executor *bloblang.Executor
	out      schemas.Measurement
}

func newBloblang(w *workload, f form) (contender, error) {
	text := bloblangText(w.hand, f)
	executor, err := bloblang.NewEnvironment().Parse(text)
	if err != nil {
		return nil, fmt.Errorf("parsing the Bloblang mapping:\n%s\n%w", text, err)
	}
	return &bloblangMapping{executor: executor}, nil
}

func (b *bloblangMapping) apply(m *input, out *output) error {
	result, err := b.executor.Query(m.text)
	if err != nil {
		return err
	}
	list, ok := result.([]any)
	if !ok {
		return errors.New("the result of the Bloblang mapping is not a list")
	}
	for _, one := range list {
		if err := b.fill(one); err != nil {
			return err
		}
		out.add(&b.out)
	}
	return nil
}

// fill reads one measurement of the result.
func (b *bloblangMapping) fill(result any) error {
	r, _ := result.(map[string]any)
	m := &b.out
	*m = schemas.Measurement{Values: m.Values[:0]}
	m.Type, _ = r["type"].(string)
	m.Device, _ = r["device"].(string)
	m.Patient, _ = r["patient"].(string)
	at, _ := r["time"].(string)
	var err error
	if m.Occurrence, err = ticksOf(at); err != nil {
		return err
	}
	values, _ := r["values"].([]any)
	for _, v := range values {
		pair, _ := v.(map[string]any)
		name, _ := pair["name"].(string)
		text, _ := pair["text"].(string)
		m.Values = append(m.Values, schemas.NamedText{Name: name, Text: text})
	}
	return nil
}

// bloblangText writes a hand-written mapping down in Bloblang.
func bloblangText(h handMapping, f form) string {
	body := "this.parse_json()"
	if f == formEnvelope {
		body += ".Body"
	}
	parts := make([]string, len(h.templates))
	for i := range h.templates {
		parts[i] = bloblangTemplate(&h.templates[i], "$body")
		if h.readings {
			parts[i] = "$body.map_each(r -> " + bloblangTemplate(&h.templates[i], "r") + ")"
		}
	}
	root := "[\n" + strings.Join(parts, ",\n") + "\n]"
	switch {
	case h.readings && len(parts) == 1:
		root = parts[0]
	case h.readings:
		root += ".flatten()"
	}
	return "let body = " + body + "\nroot = " + root + "\n"
}

// bloblangTemplate writes the measurement of one reading, or what Bloblang
// leaves out of a list.
func bloblangTemplate(t *handTemplate, reading string) string {
	at := func(c chain) string { return reading + "." + strings.Join(c, ".") }
	var conditions, values []string
	for _, c := range t.conditions {
		if c.text == "" {
			conditions = append(conditions, at(c.at)+" != null")
		} else {
			conditions = append(conditions, at(c.at)+" == "+strconv.Quote(c.text))
		}
	}
	for _, v := range t.values {
		text := at(v.at)
		if v.factor != 0 {
			text = fmt.Sprintf("(%s.number() * %g)", text, v.factor)
		}
		values = append(values, fmt.Sprintf(`{"name": %q, "text": %s.string()}`, v.name, text))
	}
	members := fmt.Sprintf(`"type": %q, "device": %s, "time": %s, "values": [%s]`, t.typeName, at(t.device), at(t.time), strings.Join(values, ", "))
	if t.patient != nil {
		members += fmt.Sprintf(`, "patient": %s`, at(t.patient))
	}
	return fmt.Sprintf("if %s { {%s} } else { deleted() }", strings.Join(conditions, " && "), members)
}
