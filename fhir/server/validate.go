package server

import (
	"regexp"
	"slices"
	"strings"
)

// idForm is the R4 syntax of logical ids.
var idForm = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)

// maxFaults is how many faults of one resource are told.
const maxFaults = 20

// maxShown is how many bytes of a wrong value an error repeats.
const maxShown = 40

// fault is a place where a resource breaks a rule.
type fault struct {
	code       string // issue-type
	text       string
	expression string
}

// validate checks a resource against the definitions of its type; of a type
// without definitions what all resources share. Profiles, invariants and value
// sets other than of codes are not its business.
func validate(r *value, resourceType string) error {
	if r.kind != objectKind {
		return invalid("", "a resource is a JSON object")
	}
	if got := r.get("resourceType").text(); got != resourceType {
		return invalid("resourceType", "resourceType is %q, the address asks for %s", got, resourceType)
	}
	structures, err := definitions()
	if err != nil {
		return err
	}
	c := &checker{structures: structures, root: r, path: make([]segment, 0, 16)}
	c.resource(r, segment{resourceType, resourceType, -1})
	return c.problem()
}

// checker walks one resource.
type checker struct {
	structures map[string]*structure
	root       *value
	path       []segment
	inner      bool // inside a contained resource
	faults     []fault
}

// problem returns all faults as one answer, nil when there are none.
func (c *checker) problem() error {
	if len(c.faults) == 0 {
		return nil
	}
	first := c.faults[0]
	p := invalid(first.expression, "%s", first.text)
	p.code, p.more = first.code, c.faults[1:]
	return p
}

// fault notes that the place where the walk is breaks a rule.
func (c *checker) fault(code, rule string) {
	if len(c.faults) == maxFaults {
		return
	}
	at, expression := path(c.path)
	c.faults = append(c.faults, fault{code, at + " " + rule, expression})
}

// faultAt notes a fault of a member of the place where the walk is.
func (c *checker) faultAt(json, element, code, rule string) {
	c.path = append(c.path, segment{json, element, -1})
	c.fault(code, rule)
	c.path = c.path[:len(c.path)-1]
}

func (c *checker) resource(r *value, at segment) {
	c.path = append(c.path, at)
	if s := c.structures[r.get("resourceType").text()]; s != nil && s.resource {
		c.object(s, r)
	} else {
		c.basics(r)
	}
	c.path = c.path[:len(c.path)-1]
}

// basics checks what every resource has, whatever its type.
func (c *checker) basics(r *value) {
	for i, name := range r.names {
		if m := c.structures["Resource"].members[name]; m != nil {
			c.member(name, m, &r.items[i], nil)
		}
	}
}

// object checks the members of an object.
func (c *checker) object(s *structure, v *value) {
	var seen uint64
	for i, name := range v.names {
		item := &v.items[i]
		m := s.members[name]
		bare, companion := strings.CutPrefix(name, "_")
		if companion {
			m = s.members[bare]
		}
		switch {
		case m == nil && name == "resourceType" && s.resource:
		case m == nil, companion && m.primitive == nil:
			c.faultAt(name, name, "structure", "is not a member that R4 knows here")
		default:
			if m.choice && seen&m.bit != 0 && !soleChoice(s, v, m.bit) {
				c.faultAt(name, m.element, "structure", "is a second value: "+m.element+"[x] has one type")
			}
			seen |= m.bit
			if companion {
				c.companion(name, m, item)
			} else {
				c.member(name, m, item, v)
			}
		}
	}
	if missing := s.required &^ seen; missing != 0 {
		c.missing(s, missing)
	}
}

// missing notes each element that must be there.
func (c *checker) missing(s *structure, missing uint64) {
	for i, name := range s.elements {
		if missing&(1<<i) != 0 {
			c.faultAt(name, strings.TrimSuffix(name, "[x]"), "required", "is required")
		}
	}
}

// soleChoice reports whether an object has one type of a choice only: two
// members that share its bit may be a primitive and its companion.
func soleChoice(s *structure, v *value, bit uint64) bool {
	sole := ""
	for _, name := range v.names {
		bare := strings.TrimPrefix(name, "_")
		m := s.members[bare]
		if m == nil || m.bit != bit {
			continue
		}
		if sole != "" && sole != bare {
			return false
		}
		sole = bare
	}
	return true
}

// member checks one member of the object in.
func (c *checker) member(name string, m *member, v, in *value) {
	c.path = append(c.path, segment{name, m.element, -1})
	last := len(c.path) - 1
	switch {
	case m.list && v.kind != listKind:
		c.fault("structure", "is a list")
	case m.list:
		for i := range v.items {
			item := &v.items[i]
			if item.isNull() && m.primitive != nil && in.get("_"+name) != nil {
				continue // its companion says why there is no value
			}
			c.path[last].index = i
			c.value(m, item)
		}
	case v.kind == listKind:
		c.fault("structure", "is one value, not a list")
	default:
		c.value(m, v)
	}
	c.path = c.path[:last]
}

func (v *value) isNull() bool { return v.kind == scalarKind && v.raw[0] == 'n' }

// value checks one value of a member.
func (c *checker) value(m *member, v *value) {
	switch {
	case m.primitive != nil:
		c.primitive(m, v)
	case v.kind != objectKind:
		c.fault("structure", "is an object")
	case m.contained:
		c.contained(v)
	default:
		c.object(m.structure, v)
		if m.structure.name == "Reference" {
			c.reference(m.targets, v)
		}
	}
}

func (c *checker) primitive(m *member, v *value) {
	switch {
	case !m.primitive.holds(v):
		rule := m.primitive.rule
		if m.primitive.show && v.kind == textKind {
			rule += "; it says " + shown(v)
		}
		c.fault("value", rule)
	case m.codes != nil && !slices.Contains(m.codes, v.text()):
		c.fault("code-invalid", "is one of "+strings.Join(m.codes, ", ")+"; it says "+shown(v))
	}
}

// shown repeats a wrong value, not more of it than helps.
func shown(v *value) string {
	text := v.text()
	if len(text) > maxShown {
		text = strings.ToValidUTF8(text[:maxShown], "") + "..."
	}
	return string(quoted(text))
}

// companion checks the id and the extensions of a primitive, which stand
// beside it under its name with an underscore.
func (c *checker) companion(name string, m *member, v *value) {
	c.path = append(c.path, segment{name, m.element, -1})
	last := len(c.path) - 1
	switch {
	case m.list != (v.kind == listKind):
		c.fault("structure", "is a list exactly when the member without underscore is")
	case m.list:
		for i := range v.items {
			if item := &v.items[i]; !item.isNull() {
				c.path[last].index = i
				c.element(item)
			}
		}
	default:
		c.element(v)
	}
	c.path = c.path[:last]
}

func (c *checker) element(v *value) {
	if v.kind != objectKind {
		c.fault("structure", "is an object")
		return
	}
	c.object(c.structures["Element"], v)
}

// contained checks a resource inside the resource. R4 nests them once.
func (c *checker) contained(v *value) {
	kind := v.get("resourceType").text()
	switch {
	case c.inner:
		c.fault("structure", "lies in a contained resource, which contains none")
		return
	case !isResourceType(kind):
		c.fault("structure", "has a resourceType of R4")
		return
	}
	c.inner = true
	if s := c.structures[kind]; s != nil {
		c.object(s, v)
	} else {
		c.basics(v)
	}
	c.inner = false
}

func isResourceType(name string) bool {
	_, ok := paramsOf(name)
	return ok
}
