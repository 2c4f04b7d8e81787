// Package mapfiletest validates mapping files against the JSON Schemas that
// package mapfile generates, for tests. It knows only the keywords that are
// generated.
package mapfiletest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"auscult/internal/mapfile"
)

// Validate returns what a schema has against a file; it is empty when the file
// is valid. The error says that file or schema cannot be read.
func Validate(schema, file []byte) ([]string, error) {
	r := mapfile.NewReport(string(file))
	root, ok := mapfile.Parse(r)
	if !ok {
		return nil, r.Err()
	}
	var s any
	if err := json.Unmarshal(schema, &s); err != nil {
		return nil, fmt.Errorf("reading the schema: %w", err)
	}
	v := &validator{root: s.(map[string]any)}
	return v.check(s, plain(root), ""), nil
}

// plain turns a value into what encoding/json would make of it; of members with
// one name the last counts.
func plain(v *mapfile.Value) any {
	switch v.Kind {
	case mapfile.Text:
		return v.Text
	case mapfile.List:
		items := make([]any, len(v.Items))
		for i := range v.Items {
			items[i] = plain(v.Items[i])
		}
		return items
	case mapfile.Object:
		members := map[string]any{}
		for _, m := range v.Members {
			members[m.Name] = plain(m.Value)
		}
		return members
	case mapfile.Null:
		return nil
	case mapfile.Bool:
		return v.Text == "true"
	}
	var f float64
	if _, err := fmt.Sscan(v.Text, &f); err != nil {
		return v.Text
	}
	return f
}

// validator checks values against the parts of one schema.
type validator struct{ root map[string]any }

// check is the check of one keyword of schema s.
type check = func(s map[string]any, arg, value any, at string) []string

// keywords are the checks by keyword. What is not in here must be no check.
func (v *validator) keywords() map[string]check {
	return map[string]check{
		"type": v.kind, "enum": v.enum, "pattern": v.pattern, "required": v.required,
		"properties": v.properties, "additionalProperties": v.additional, "propertyNames": v.names,
		"items": v.items, "anyOf": v.anyOf, "allOf": v.allOf, "not": v.not, "if": v.condition, "$ref": v.reference,
	}
}

// notes are the keywords that check nothing by themselves.
var notes = []string{"$schema", "title", "description", "default", "examples", "enumDescriptions", "definitions", "then", "patternProperties"}

func (v *validator) check(schema, value any, at string) []string {
	if allowed, ok := schema.(bool); ok {
		if allowed {
			return nil
		}
		return []string{at + ": not allowed"}
	}
	var found []string
	s := schema.(map[string]any)
	for keyword, arg := range s {
		if check := v.keywords()[keyword]; check != nil {
			found = append(found, check(s, arg, value, at)...)
		} else if !slices.Contains(notes, keyword) {
			found = append(found, "the schema has an unknown keyword: "+keyword)
		}
	}
	return found
}

// kindOf names the kind of a value as schemas do.
func kindOf(value any) string {
	switch x := value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case float64:
		if x == float64(int64(x)) {
			return "integer"
		}
	}
	return "number"
}

func (v *validator) kind(_ map[string]any, arg, value any, at string) []string {
	kinds, ok := arg.([]any)
	if !ok {
		kinds = []any{arg}
	}
	kind := kindOf(value)
	if slices.Contains(kinds, any(kind)) || kind == "integer" && slices.Contains(kinds, any("number")) {
		return nil
	}
	return []string{fmt.Sprintf("%s: %s is none of %v", at, kind, kinds)}
}

func (v *validator) enum(_ map[string]any, arg, value any, at string) []string {
	for _, allowed := range arg.([]any) {
		if reflect.DeepEqual(allowed, value) {
			return nil
		}
	}
	return []string{fmt.Sprintf("%s: %v is none of %v", at, value, arg)}
}

func (v *validator) pattern(_ map[string]any, arg, value any, at string) []string {
	s, ok := value.(string)
	if !ok || regexp.MustCompile(arg.(string)).MatchString(s) {
		return nil
	}
	return []string{fmt.Sprintf("%s: %q does not match %s", at, s, arg)}
}

func (v *validator) required(_ map[string]any, arg, value any, at string) []string {
	members, ok := value.(map[string]any)
	if !ok {
		return nil
	}
	var found []string
	for _, name := range arg.([]any) {
		if _, ok := members[name.(string)]; !ok {
			found = append(found, fmt.Sprintf("%s: %s is missing", at, name))
		}
	}
	return found
}

func (v *validator) properties(_ map[string]any, arg, value any, at string) []string {
	var found []string
	members, _ := value.(map[string]any)
	for name, s := range arg.(map[string]any) {
		if m, ok := members[name]; ok {
			found = append(found, v.check(s, m, at+"/"+name)...)
		}
	}
	return found
}

// additional checks the members that neither properties nor patternProperties
// name.
func (v *validator) additional(s map[string]any, arg, value any, at string) []string {
	var found []string
	members, _ := value.(map[string]any)
	known, _ := s["properties"].(map[string]any)
	patterns, _ := s["patternProperties"].(map[string]any)
	for name, m := range members {
		_, described := known[name]
		for p := range patterns {
			described = described || regexp.MustCompile(p).MatchString(name)
		}
		if !described {
			found = append(found, v.check(arg, m, at+"/"+name)...)
		}
	}
	return found
}

func (v *validator) names(_ map[string]any, arg, value any, at string) []string {
	var found []string
	members, _ := value.(map[string]any)
	for name := range members {
		found = append(found, v.check(arg, name, at+"/"+name)...)
	}
	return found
}

func (v *validator) items(_ map[string]any, arg, value any, at string) []string {
	var found []string
	list, _ := value.([]any)
	for i := range list {
		found = append(found, v.check(arg, list[i], fmt.Sprintf("%s/%d", at, i))...)
	}
	return found
}

func (v *validator) anyOf(_ map[string]any, arg, value any, at string) []string {
	var found []string
	for _, s := range arg.([]any) {
		against := v.check(s, value, at)
		if len(against) == 0 {
			return nil
		}
		found = append(found, against...)
	}
	return found
}

func (v *validator) allOf(_ map[string]any, arg, value any, at string) []string {
	var found []string
	for _, s := range arg.([]any) {
		found = append(found, v.check(s, value, at)...)
	}
	return found
}

func (v *validator) not(_ map[string]any, arg, value any, at string) []string {
	if len(v.check(arg, value, at)) == 0 {
		return []string{at + ": must not be so"}
	}
	return nil
}

func (v *validator) condition(s map[string]any, arg, value any, at string) []string {
	if len(v.check(arg, value, at)) == 0 {
		return v.check(s["then"], value, at)
	}
	return nil
}

func (v *validator) reference(_ map[string]any, arg, value any, at string) []string {
	name := strings.TrimPrefix(arg.(string), "#/definitions/")
	return v.check(v.root["definitions"].(map[string]any)[name], value, at)
}
