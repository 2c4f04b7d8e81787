package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// environmentPrefix begins the variables that override settings:
// AUSCULT_RIVER_BROKERS is river.brokers.
const environmentPrefix = "AUSCULT_"

// otherPrefixes begin variables that steer tests and benchmarks, not the
// program.
var otherPrefixes = []string{environmentPrefix + "TEST_", environmentPrefix + "BENCH_"}

// ours reports whether a variable is meant as a setting.
func ours(name string) bool {
	return strings.HasPrefix(name, environmentPrefix) &&
		!slices.ContainsFunc(otherPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// Variables returns the path of the setting that each variable of the
// environment overrides.
func Variables() map[string]string {
	all := map[string]string{}
	for name, s := range variables(reflect.TypeFor[Config]()) {
		all[name] = s.name
	}
	return all
}

// variables returns, by variable, the settings that are a value, a list or a
// map; name is the whole path.
func variables(t reflect.Type) map[string]field {
	all := map[string]field{}
	collect(t, "", all)
	return all
}

func collect(t reflect.Type, path string, into map[string]field) {
	if t.Kind() == reflect.Struct && !plain(t) {
		for f := range fields(t) {
			collect(f.typ, join(path, f.name), into)
		}
		return
	}
	into[environmentPrefix+strings.ToUpper(strings.ReplaceAll(path, ".", "_"))] = field{path, t}
}

// override puts the settings of the environment into the document. A variable
// that names no setting is an error: it was meant to change something.
func (d *document) override(environ []string, t reflect.Type) error {
	known := variables(t)
	for _, e := range environ {
		name, text, _ := strings.Cut(e, "=")
		if !ours(name) {
			continue
		}
		s, ok := known[name]
		if !ok {
			return fmt.Errorf("the environment variable %s is no setting%s", name, nearestVariable(name, keys(known)))
		}
		if text == "" && s.typ.Kind() != reflect.String {
			continue // how a compose file or a shell leaves something out
		}
		value, err := value(text, s.typ)
		if err != nil {
			return fmt.Errorf("reading the environment variable %s: %w", name, err)
		}
		d.set(s.name, value)
		d.variables[s.name] = name
	}
	return nil
}

// nearestVariable proposes a variable; they are too many to list.
func nearestVariable(name string, known []string) string {
	if s := nearest(name, known); strings.HasPrefix(s, "; did") {
		return s
	}
	return "; see the settings with `auscult run --print-config`, or unset it"
}

// value reads the text of a variable. Text is taken as it is, for a password
// may look like anything; a list may be written a,b; all else is YAML.
func value(text string, t reflect.Type) (*yaml.Node, error) {
	if t.Kind() == reflect.String {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}, nil
	}
	if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String && !strings.HasPrefix(strings.TrimSpace(text), "[") {
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for word := range strings.SplitSeq(text, ",") {
			list.Content = append(list.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: strings.TrimSpace(word)})
		}
		return list, nil
	}
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		return nil, err
	}
	if len(n.Content) == 0 {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}, nil
	}
	return n.Content[0], nil
}

// set writes value at path.
func (d *document) set(path string, value *yaml.Node) {
	at := d.root
	all := steps(path)
	for _, step := range all[:len(all)-1] {
		_, next := child(at, step)
		if next != nil && next.Kind == yaml.AliasNode {
			next = copyOf(next.Alias) // what else uses the anchor stays as it is
			put(at, step, next)
		}
		if next == nil || next.Tag == "!!null" {
			next = &yaml.Node{Kind: yaml.MappingNode}
			put(at, step, next)
		}
		at = next
	}
	put(at, all[len(all)-1], value)
}

func copyOf(n *yaml.Node) *yaml.Node {
	c := *n
	c.Anchor, c.Content = "", make([]*yaml.Node, len(n.Content))
	for i := range n.Content {
		c.Content[i] = copyOf(n.Content[i])
	}
	return &c
}

// put sets a member of a mapping.
func put(n *yaml.Node, name string, value *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			n.Content[i+1] = value
			return
		}
	}
	n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}, value)
}
