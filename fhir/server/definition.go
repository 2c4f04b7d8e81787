package server

import (
	_ "embed" // of the definitions
	"fmt"
	"slices"
	"strings"
	"sync"
)

//go:embed definitions.txt
var definitionText string

// structure is the definition of a resource type, of a data type or of a part
// of a resource.
type structure struct {
	name     string
	members  map[string]*member // by their names in JSON: a choice has one for each type
	required uint64             // a bit for each element that must be there
	elements []string           // names of the elements by bit, as R4 writes them: value[x]
	resource bool
}

// member is what an object may hold under one name.
type member struct {
	element   string // the name in FHIRPath: value for valueQuantity
	bit       uint64 // of its element, which the members of a choice share
	choice    bool
	list      bool
	contained bool       // a resource within the resource
	primitive *primitive // nil when the type is a structure
	structure *structure
	codes     []string // of a required binding
	targets   []string // resource types of a Reference, empty = any
}

// maxElements is how many elements a structure may have: one bit each.
const maxElements = 64

// definitions are parsed when the first resource is checked: most commands of
// auscult never do.
var definitions = sync.OnceValues(func() (map[string]*structure, error) { return parseDefinitions(definitionText) })

// parseDefinitions reads the table whose form its own head describes.
func parseDefinitions(text string) (map[string]*structure, error) {
	t := table{}
	var current *structure
	for i, line := range strings.Split(text, "\n") {
		var err error
		switch {
		case strings.TrimSpace(line) == "" || line[0] == '#':
		case line[0] != '\t':
			current, err = t.begin(line)
		case current == nil:
			err = fmt.Errorf("an element before the first type")
		default:
			err = t.element(current, strings.Fields(line))
		}
		if err != nil {
			return nil, fmt.Errorf("definitions, line %d: %w", i+1, err)
		}
	}
	return t.structures, t.link()
}

// table is the definitions while they are read: types may be named before
// their own lines come.
type table struct {
	structures map[string]*structure
	open       []typed
}

// typed is a member whose type is not looked up yet.
type typed struct {
	to   *member
	name string
}

// begin starts a type with the elements of its parent.
func (t *table) begin(line string) (*structure, error) {
	name, parent, derived := strings.Cut(line, " : ")
	s := &structure{name: name, members: map[string]*member{}, resource: name == "Resource"}
	if derived {
		from := t.structures[parent]
		if from == nil {
			return nil, fmt.Errorf("%s comes before its parent %s", name, parent)
		}
		s.required, s.elements, s.resource = from.required, slices.Clone(from.elements), from.resource
		for json, m := range from.members {
			s.members[json] = m
		}
	}
	if t.structures == nil {
		t.structures = map[string]*structure{}
	}
	t.structures[name] = s
	return s, nil
}

// element adds a line such as "value[x] 0..1 Quantity|string".
func (t *table) element(s *structure, fields []string) error {
	if len(fields) != 3 {
		return fmt.Errorf("an element has a name, a cardinality and types")
	}
	if len(s.elements) == maxElements {
		return fmt.Errorf("%s has more than %d elements", s.name, maxElements)
	}
	least, most, ok := strings.Cut(fields[1], "..")
	if !ok {
		return fmt.Errorf("cardinality %q", fields[1])
	}
	name, choice := strings.CutSuffix(fields[0], "[x]")
	bit := uint64(1) << len(s.elements)
	s.elements = append(s.elements, fields[0])
	if least != "0" {
		s.required |= bit
	}
	for _, text := range strings.Split(fields[2], "|") {
		typeName, list, _ := strings.Cut(strings.TrimSuffix(text, ")"), "(")
		m := &member{element: name, bit: bit, choice: choice, list: most == "*"}
		switch {
		case list == "":
		case typeName == "code":
			m.codes = strings.Split(list, ",")
		default:
			m.targets = strings.Split(list, ",")
		}
		json := name
		if choice {
			json += strings.ToUpper(typeName[:1]) + typeName[1:]
		}
		s.members[json] = m
		t.open = append(t.open, typed{m, typeName})
	}
	return nil
}

// link finds the type of every member.
func (t *table) link() error {
	for _, o := range t.open {
		switch {
		case o.name == "Resource":
			o.to.contained = true
		case primitives[o.name] != nil:
			o.to.primitive = primitives[o.name]
		case t.structures[o.name] != nil:
			o.to.structure = t.structures[o.name]
		default:
			return fmt.Errorf("definitions: no type %s", o.name)
		}
	}
	return nil
}
