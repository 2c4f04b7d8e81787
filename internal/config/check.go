package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	timeType     = reflect.TypeFor[time.Time]()
)

// checker compares a document with the type that it will be decoded into.
type checker struct {
	d    *document
	seen map[visit]bool // an anchor is looked at once, however many use it
	all  []error
}

type visit struct {
	node *yaml.Node
	typ  reflect.Type
}

// check says everything in the document that into has no place for. A setting
// that no one reads is an error, for a misspelt name must not be a silent
// default.
func (d *document) check(into any) error {
	c := checker{d: d, seen: map[visit]bool{}}
	c.value(d.root, reflect.TypeOf(into).Elem(), "")
	return errors.Join(c.all...)
}

func (c *checker) fault(path string, line int, format string, args ...any) {
	c.all = append(c.all, fmt.Errorf("%s: %s", c.d.place(path, line), fmt.Sprintf(format, args...)))
}

func (c *checker) value(n *yaml.Node, t reflect.Type, path string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if c.seen[visit{n, t}] || n.Tag == "!!null" {
		return // nothing written is the default
	}
	c.seen[visit{n, t}] = true
	switch {
	case plain(t):
		c.leaf(n, t, path)
	case t.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		for i, e := range n.Content {
			c.value(e, t.Elem(), path+"["+strconv.Itoa(i)+"]")
		}
	case t.Kind() == reflect.Slice:
		c.fault(path, n.Line, "%s is a list: write [a, b], or a line with - for each", path)
	case n.Kind != yaml.MappingNode:
		c.fault(path, n.Line, "%s is a group of settings%s: write each on a line of its own below it", path, settingsOf(t))
	case t.Kind() == reflect.Map:
		for i := 0; i+1 < len(n.Content); i += 2 {
			c.value(n.Content[i+1], t.Elem(), join(path, n.Content[i].Value))
		}
	default:
		c.members(n, t, path)
	}
}

// plain reports whether a value of t is written as one word.
func plain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct:
		return t == timeType
	case reflect.Slice, reflect.Map:
		return false
	}
	return true
}

func settingsOf(t reflect.Type) string {
	if t.Kind() != reflect.Struct {
		return ""
	}
	var names []string
	for f := range fields(t) {
		names = append(names, f.name)
	}
	return " (" + strings.Join(names, ", ") + ")"
}

// mergeTag marks "<<", which takes in the settings of another mapping.
const mergeTag = "!!merge"

func (c *checker) members(n *yaml.Node, t reflect.Type, path string) {
	known := map[string]reflect.Type{}
	for f := range fields(t) {
		known[f.name] = f.typ
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Tag == mergeTag {
			c.value(value, t, path)
			continue
		}
		member, ok := known[key.Value]
		if !ok {
			c.fault(join(path, key.Value), key.Line, "there is no setting %q%s", join(path, key.Value), nearest(key.Value, keys(known)))
			continue
		}
		c.value(value, member, join(path, key.Value))
	}
}

// leaf checks one value, and writes durations as Go reads them.
func (c *checker) leaf(n *yaml.Node, t reflect.Type, path string) {
	if n.Kind != yaml.ScalarNode {
		c.fault(path, n.Line, "%s is one value, not a list or a group: write %s", path, wanted(t))
		return
	}
	if t == durationType {
		if d, err := parseDuration(n.Value); err == nil {
			n.Tag, n.Value = "!!str", d.String()
			return
		}
	}
	if n.Decode(reflect.New(t).Interface()) != nil {
		c.fault(path, n.Line, "%s is %q: write %s", path, n.Value, wanted(t))
	}
}

// wanted says what a value of t looks like.
func wanted(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a length of time with its unit, such as 30s, 10m, 2h or 7d"
	case t == timeType:
		return "a time such as 2026-01-31T00:00:00Z"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Float64:
		return "a number"
	case t.Kind() == reflect.String:
		return "one word or text"
	}
	return "a whole number"
}

// days is what Go's durations lack.
var days = regexp.MustCompile(`^([0-9]+)d`)

const day = 24 * time.Hour

// maxDays keeps a duration within what an int64 of nanoseconds holds.
const maxDays = 100 * 365

// parseDuration reads Go's durations, with days before them: 90s, 7d, 1d12h. 0
// needs no unit.
func parseDuration(text string) (time.Duration, error) {
	m := days.FindStringSubmatch(text)
	if m == nil {
		return time.ParseDuration(text)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || n > maxDays {
		return 0, fmt.Errorf("%s are more than %d days", text, maxDays)
	}
	if text = text[len(m[0]):]; text == "" {
		return time.Duration(n) * day, nil
	}
	rest, err := time.ParseDuration(text)
	return time.Duration(n)*day + rest, err
}

type field struct {
	name string
	typ  reflect.Type
}

// fields yields the settings of a struct in order, those of inlined structs
// included.
func fields(t reflect.Type) func(func(field) bool) {
	return func(yield func(field) bool) {
		walkFields(t, yield)
	}
}

func walkFields(t reflect.Type, yield func(field) bool) bool {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case !f.IsExported() || name == "-":
		case strings.Contains(options, "inline"):
			if !walkFields(f.Type, yield) {
				return false
			}
		default:
			if name == "" {
				name = strings.ToLower(f.Name)
			}
			if !yield(field{name, f.Type}) {
				return false
			}
		}
	}
	return true
}

func keys[V any](m map[string]V) []string {
	all := make([]string, 0, len(m))
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

// nearest proposes the name that was probably meant, or lists them all. names
// are sorted.
func nearest(name string, names []string) string {
	best, far := "", len(name)/2+1
	for _, k := range names {
		if n := distance(strings.ToLower(name), strings.ToLower(k)); n < far {
			best, far = k, n
		}
	}
	if best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return "; there are " + strings.Join(names, ", ")
}

// distance is the number of letters to add, drop or change between a and b
// (Levenshtein 1966).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
