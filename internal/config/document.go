package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// document is a configuration as it was written: it knows on which line of the
// file, or in which variable of the environment, each setting stands.
type document struct {
	file      string
	root      *yaml.Node        // a mapping
	variables map[string]string // the variable that has set a path
}

// parse reads the text of a configuration file.
func parse(file string, text []byte) (*document, error) {
	d := &document{file: file, root: &yaml.Node{Kind: yaml.MappingNode}, variables: map[string]string{}}
	all := yaml.NewDecoder(bytes.NewReader(text))
	var n, more yaml.Node
	switch err := all.Decode(&n); {
	case errors.Is(err, io.EOF):
		return d, nil // an empty file is all defaults
	case err != nil:
		return nil, placedIn(file, err.Error())
	}
	switch err := all.Decode(&more); {
	case err == nil:
		return nil, fmt.Errorf("%s:%d: a configuration is one document: remove the line --- and what is twice", file, more.Line)
	case !errors.Is(err, io.EOF):
		return nil, placedIn(file, err.Error())
	}
	switch top := n.Content[0]; {
	case top.Kind == yaml.MappingNode:
		d.root = top
	case top.Tag != "!!null":
		return nil, fmt.Errorf("%s:%d: a configuration is a mapping of settings (name: value)", file, top.Line)
	}
	return d, nil
}

// yamlLine is how the YAML package says where: "yaml: line 6: what", or without
// the first word.
var yamlLine = regexp.MustCompile(`^line (\d+): `)

// placedIn is what the YAML package says is wrong, with the place before it as
// for every other mistake. It knows no line of some.
func placedIn(file, wrong string) error {
	wrong = strings.TrimPrefix(wrong, "yaml: ")
	if at := yamlLine.FindStringSubmatch(wrong); at != nil {
		return fmt.Errorf("%s:%s: %s", file, at[1], wrong[len(at[0]):])
	}
	return fmt.Errorf("%s: %s", file, wrong)
}

// decode writes the settings over the defaults in into.
func (d *document) decode(into any) error {
	if err := d.check(into); err != nil {
		return err
	}
	err := d.root.Decode(into)
	var typed *yaml.TypeError
	if !errors.As(err, &typed) {
		return err
	}
	all := make([]error, len(typed.Errors)) // a setting that is there twice, say
	for i, e := range typed.Errors {
		all[i] = placedIn(d.file, e)
	}
	return errors.Join(all...)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// variable returns the variable of the environment that has set path, or a
// part of which path is; empty when none has.
func (d *document) variable(path string) string {
	for set, name := range d.variables {
		if rest, ok := strings.CutPrefix(path, set); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return name
		}
	}
	return ""
}

// place says where a person finds path.
func (d *document) place(path string, line int) string {
	if name := d.variable(path); name != "" {
		return "the environment variable " + name
	}
	if line > 0 {
		return fmt.Sprintf("%s:%d", d.file, line)
	}
	return d.file
}

// line returns where path ("scoring.models[0].window") stands, or where the
// innermost part of it does that the file has. 0 = the file has none of it.
func (d *document) line(path string) int {
	n, line := d.root, 0
	for _, step := range steps(path) {
		at, value := child(n, step)
		if value == nil {
			return line
		}
		if at > 0 { // a group that the environment has begun stands nowhere
			line = at
		}
		n = value
	}
	return line
}

// steps cuts "a.b[2].c" into a, b, [2], c.
func steps(path string) []string {
	return strings.FieldsFunc(strings.ReplaceAll(path, "[", ".["), func(r rune) bool { return r == '.' })
}

func child(n *yaml.Node, step string) (line int, value *yaml.Node) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if index, ok := strings.CutPrefix(step, "["); ok {
		i, err := strconv.Atoi(strings.TrimSuffix(index, "]"))
		if err != nil || n.Kind != yaml.SequenceNode || i < 0 || i >= len(n.Content) {
			return 0, nil
		}
		return n.Content[i].Line, n.Content[i]
	}
	if n.Kind != yaml.MappingNode {
		return 0, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == step {
			return n.Content[i].Line, n.Content[i+1]
		}
	}
	return 0, nil
}

// pathed is an error about one setting.
type pathed interface {
	error
	ConfigPath() string
}

// locate puts file and line before every error that names a setting, and sorts
// them as a person reads the file.
func (d *document) locate(err error) error {
	type placed struct {
		line int
		err  error
	}
	var all []placed
	for _, e := range flat(err) {
		var p pathed
		if !errors.As(e, &p) {
			all = append(all, placed{0, e})
			continue
		}
		line := d.line(p.ConfigPath())
		all = append(all, placed{line, fmt.Errorf("%s: %w", d.place(p.ConfigPath(), line), e)})
	}
	slices.SortStableFunc(all, func(a, b placed) int { return a.line - b.line })
	sorted := make([]error, len(all))
	for i, p := range all {
		sorted[i] = p.err
	}
	return errors.Join(sorted...)
}

// flat returns the errors that err joins.
func flat(err error) []error {
	if err == nil {
		return nil
	}
	many, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range many.Unwrap() {
		all = append(all, flat(e)...)
	}
	return all
}
