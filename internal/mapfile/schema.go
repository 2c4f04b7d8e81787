package mapfile

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"unicode"
)

// schema is a JSON Schema. It is draft 7, which editors complete best from.
type schema map[string]any

// generator writes definitions, each once.
type generator struct{ definitions schema }

// Schema returns the JSON Schema of files whose root is d. A file that the
// loader takes is valid; beyond that the schema can only check form. Members
// whose names are written in another case are valid, but not checked.
func Schema(d *Definition) []byte {
	g := &generator{definitions: schema{}}
	root := g.object(d)
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	root["title"] = d.Name
	if len(g.definitions) > 0 {
		root["definitions"] = g.definitions
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if e.Encode(root) != nil { // an example or default that is no JSON
		return nil
	}
	return b.Bytes()
}

// object writes a definition.
func (g *generator) object(d *Definition) schema {
	s := schema{"type": "object", "description": d.Doc}
	g.fields(s, d.Fields)
	if !d.Open {
		s["patternProperties"] = schema{anyCase(d.Fields): true}
		s["additionalProperties"] = false
	}
	if d.By != "" {
		all, _ := s["allOf"].([]schema)
		s["allOf"] = append(all, g.variants(d)...)
	}
	return s
}

// fields adds fields to the schema of an object.
func (g *generator) fields(s schema, fields []Field) {
	properties, names, required := schema{}, []string{}, []string{}
	for i := range fields {
		f := &fields[i]
		for _, name := range f.spellings() {
			properties[name] = schema{"description": f.Doc} // its check is one of spellings
		}
		properties[f.spellings()[0]] = g.field(f)
		names = append(names, f.Name)
		if f.Required {
			required = append(required, f.Name)
		}
	}
	s["properties"] = properties
	if all := g.spellings(fields); len(all) > 0 {
		s["allOf"] = all
	}
	if len(required) == 0 {
		return
	}
	// What is required is checked unless a name is written in another case: a
	// schema cannot tell which of them that is.
	s["anyOf"] = []schema{
		{"required": required},
		{"not": schema{"propertyNames": schema{"anyOf": []schema{{"enum": names}, {"not": schema{"pattern": anyCase(fields)}}}}}},
	}
}

// spellings writes what members may be whose name is the second spelling of a
// field, or a later one: they count where no earlier one is.
func (g *generator) spellings(fields []Field) []schema {
	var all []schema
	for i := range fields {
		f := &fields[i]
		for n := 1; n < len(f.Spellings); n++ {
			all = append(all, schema{
				"if":   schema{"not": anyOf(f.Spellings[:n])},
				"then": schema{"properties": schema{f.Spellings[n]: g.field(f)}},
			})
		}
	}
	return all
}

// anyOf is the condition that one of several members is there.
func anyOf(names []string) schema {
	ways := []schema{}
	for _, name := range names {
		ways = append(ways, schema{"required": []string{name}})
	}
	return schema{"anyOf": ways}
}

// field writes what a member may be, and what an editor shows of it.
func (g *generator) field(f *Field) schema {
	s := f.Type.schema(g)
	if !f.Required && !f.NotNull {
		s = orNull(s)
	}
	if f.EmptyIsNull {
		s = schema{"anyOf": []schema{s, {"enum": []string{""}}}}
	}
	s["description"] = f.Doc
	if f.Default != "" {
		s["default"] = json.RawMessage(f.Default)
	}
	if len(f.Examples) > 0 {
		examples := make([]json.RawMessage, len(f.Examples))
		for i, e := range f.Examples {
			examples[i] = json.RawMessage(e)
		}
		s["examples"] = examples
	}
	return s
}

// orNull lets null stand in for no member.
func orNull(s schema) schema {
	if types, ok := s["type"].([]string); ok {
		s["type"] = append(types, "null")
		return s
	}
	return schema{"anyOf": []schema{s, {"type": "null"}}}
}

// variants writes which fields each word of the deciding field adds.
func (g *generator) variants(d *Definition) []schema {
	var all []schema
	for i := range d.Fields {
		by, ok := d.Fields[i].Type.(*Enum)
		if !ok || d.Fields[i].Name != d.By {
			continue
		}
		for w := range by.Words {
			then := schema{}
			g.fields(then, d.Variants[w])
			all = append(all, schema{"if": decides(&d.Fields[i], by.pattern(by.Words[w:w+1])), "then": then})
		}
	}
	return all
}

// decides is the condition that a field matches a pattern.
func decides(f *Field, pattern string) schema {
	var ways []schema
	for i, name := range f.spellings() {
		way := schema{"required": []string{name}, "properties": schema{name: schema{"pattern": pattern}}}
		if i > 0 {
			way["not"] = anyOf(f.Spellings[:i])
		}
		ways = append(ways, way)
	}
	return schema{"anyOf": ways}
}

func (t TextType) schema(*generator) schema {
	if t.Strict {
		return schema{"type": []string{"string"}}
	}
	return schema{"type": []string{"string", "number", "boolean"}}
}

func (BoolType) schema(*generator) schema {
	return schema{"type": []string{"boolean", "string", "number"}, "pattern": `^\s*` + anyCaseOf([]string{"true", "false"}) + `\s*$`}
}

func (t NumberType) schema(*generator) schema {
	if t.Texts != "" {
		return schema{"type": []string{"number", "string"}, "pattern": t.Texts}
	}
	if t.Integer {
		return schema{"type": []string{"integer", "string"}, "pattern": `^\s*-?[0-9]+\s*$`}
	}
	return schema{"type": []string{"number", "string"}, "pattern": `^\s*-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$`}
}

func (t ListType) schema(g *generator) schema {
	return schema{"type": []string{"array"}, "items": t.Of.schema(g)}
}

func (t Either) schema(g *generator) schema {
	return schema{"anyOf": []schema{t.Plain.schema(g), t.Object.schema(g)}}
}

func (AnyType) schema(*generator) schema { return schema{} }

func (d *Definition) schema(g *generator) schema {
	if _, known := g.definitions[d.Name]; !known {
		g.definitions[d.Name] = nil // a definition may hold itself
		g.definitions[d.Name] = g.object(d)
	}
	return schema{"allOf": []schema{{"$ref": "#/definitions/" + d.Name}}}
}

func (t *Enum) schema(*generator) schema {
	var docs []string
	var numbers []json.RawMessage
	for i := range t.Words {
		docs = append(docs, t.Words[i].Doc)
		if t.Words[i].Number != "" {
			numbers = append(numbers, json.RawMessage(t.Words[i].Number))
		}
	}
	ways := []schema{
		{"enum": t.names(), "enumDescriptions": docs},
		{"type": "string", "pattern": t.pattern(t.Words)},
	}
	if len(numbers) > 0 {
		ways = append(ways, schema{"enum": numbers})
	}
	return schema{"anyOf": ways}
}

// pattern matches the spellings of words.
func (t *Enum) pattern(words []Word) string {
	var all []string
	blanks := ""
	for i := range words {
		w := &words[i]
		all = append(all, w.Name)
		switch {
		case w.Tolerated != "":
			all = append(all, w.Tolerated)
		case t.Suffix != "":
			all = append(all, w.Name+t.Suffix)
		}
		if w.Number != "" {
			blanks = `\s*`
			all = append(all, w.Number)
		}
	}
	return "^" + blanks + anyCaseOf(all) + blanks + "$"
}

// anyCase matches the names of fields.
func anyCase(fields []Field) string {
	var folded, exact []string
	for i := range fields {
		if len(fields[i].Spellings) > 0 {
			exact = append(exact, fields[i].Spellings...)
		} else {
			folded = append(folded, fields[i].Name)
		}
	}
	if len(exact) == 0 {
		return "^" + anyCaseOf(folded) + "$"
	}
	return "^(" + anyCaseOf(folded) + "|" + strings.Join(exact, "|") + ")$"
}

// anyCaseOf matches words in any case. Regular expressions of a schema have no
// flag for that.
func anyCaseOf(words []string) string {
	var folded []string
	for _, w := range words {
		var b strings.Builder
		for _, c := range w {
			lower, upper := unicode.ToLower(c), unicode.ToUpper(c)
			if lower == upper {
				b.WriteString(regexp.QuoteMeta(string(c)))
			} else {
				b.WriteString("[" + string(lower) + string(upper) + "]")
			}
		}
		folded = append(folded, b.String())
	}
	return "(" + strings.Join(folded, "|") + ")"
}
