package mapfile

import (
	"fmt"
	"strings"
)

// Fields is an object of a file, checked against its Definition. A member that
// was refused reads as if it were not there; so does every member of nil.
type Fields struct {
	Value   *Value
	Pointer string
	def     *Definition
	fields  []Field // those of def, and of its variant
	found   map[string]found
}

// found is what a field's member is in a file.
type found struct {
	member *Member
	null   bool
	word   int // which word of an Enum
	ok     bool
}

// Object checks the members of v, but not their members, against d. It reports
// members that are unknown, missing, null or of the wrong kind, and returns nil
// when v is no object.
func (r *Report) Object(d *Definition, v *Value, pointer string) *Fields {
	if v.Kind != Object {
		r.Add(v.At, pointer, fmt.Sprintf("%s stands where an object must be", v.Kind), "write {...}")
		return nil
	}
	f := &Fields{Value: v, Pointer: pointer, def: d, found: map[string]found{}}
	f.read(r, d.Fields)
	if by := f.found[d.By]; by.ok {
		f.read(r, d.Variants[by.word])
	}
	if !d.Open {
		f.unknown(r)
	}
	return f
}

// read checks the members of some fields.
func (f *Fields) read(r *Report, fields []Field) {
	f.fields = append(f.fields[:len(f.fields):len(f.fields)], fields...)
	for i := range fields {
		field := &fields[i]
		got := found{member: field.member(f.Value)}
		got.null = got.member != nil && field.isNull(got.member.Value)
		got.ok = f.check(r, field, got.member)
		if enum, isEnum := field.Type.(*Enum); isEnum && got.ok {
			got.word = enum.index(got.member.Value)
		}
		f.found[field.Name] = got
	}
}

// check reports what is wrong with a field's member; true says that there is one
// to read.
func (f *Fields) check(r *Report, field *Field, m *Member) bool {
	if m == nil {
		if field.Required {
			r.Add(f.Value.At, Join(f.Pointer, field.Name), field.Name+" is missing", f.addition(field))
		}
		return false
	}
	pointer := Join(f.Pointer, m.Name)
	switch {
	case field.isNull(m.Value):
		if field.Required || field.NotNull {
			r.Add(m.Value.At, pointer, field.Name+" is null", field.instruction())
		}
		return false
	case field.Type.accepts(m.Value):
		return true
	}
	message, fix := field.Name+" is "+m.Value.quote(), "write "+field.Type.noun()
	if enum, ok := field.Type.(*Enum); ok && m.Value.Kind == Text {
		message = fmt.Sprintf("no such %s: %s", enum.Noun, m.Value.quote())
		if near := Nearest(m.Value.Text, enum.names()); near != "" {
			fix = "write " + near
		}
	}
	r.Add(m.Value.At, pointer, message, fix)
	return false
}

// addition says how to write a field that is missing: by another name for a
// member that nothing describes, or by a new member.
func (f *Fields) addition(field *Field) string {
	for i := range f.Value.Members {
		name := f.Value.Members[i].Name
		if !contains(f.def.Fields, name) && Nearest(name, []string{field.Name}) != "" {
			return fmt.Sprintf("write it instead of %q", name)
		}
	}
	return field.instruction()
}

// instruction says how to write a field.
func (f *Field) instruction() string {
	if len(f.Examples) > 0 {
		return fmt.Sprintf("write %q: and %s, for example %s", f.Name, f.Type.noun(), f.Examples[0])
	}
	return fmt.Sprintf("write %q: and %s", f.Name, f.Type.noun())
}

// unknown reports the members that no field describes. A name that is already
// written is no correction for another.
func (f *Fields) unknown(r *Report) {
	var all, missing []string
	for i := range f.def.Fields {
		name := f.def.Fields[i].Name
		all = append(all, name)
		if f.found[name].member == nil {
			missing = append(missing, name)
		}
	}
	for _, m := range f.Undescribed() {
		fix := "remove it; known are " + strings.Join(all, ", ")
		if r.Len() < MaxFaults { // further ones are but counted
			if near := Nearest(m.Name, missing); near != "" {
				fix = "write " + near
			}
		}
		r.Add(m.At, Join(f.Pointer, m.Name), fmt.Sprintf("unknown member %.60q", m.Name), fix)
	}
}

// Undescribed returns the members that no field describes. Those of an Open
// object are ignored.
func (f *Fields) Undescribed() []*Member {
	if f == nil {
		return nil
	}
	var members []*Member
	for i := range f.Value.Members {
		if m := &f.Value.Members[i]; !contains(f.fields, m.Name) {
			members = append(members, m)
		}
	}
	return members
}

// Tolerated reports whether a member is a Tolerated spelling of a word, and
// returns the word to write instead.
func (f *Fields) Tolerated(name string) (instead string, ok bool) {
	s, ok := f.Text(name)
	if !ok {
		return "", false
	}
	for i := range f.fields {
		if enum, isEnum := f.fields[i].Type.(*Enum); isEnum && f.fields[i].Name == name {
			w := &enum.Words[f.found[name].word]
			return w.Name, strings.EqualFold(w.Tolerated, s)
		}
	}
	return "", false
}

func contains(fields []Field, name string) bool {
	for i := range fields {
		if fields[i].spelled(name) {
			return true
		}
	}
	return false
}

// Get returns a member's value and its pointer; the value is nil when the member
// is absent, null or was refused.
func (f *Fields) Get(name string) (*Value, string) {
	if f == nil {
		return nil, ""
	}
	if got := f.found[name]; got.ok {
		return got.member.Value, Join(f.Pointer, got.member.Name)
	}
	return nil, Join(f.Pointer, name)
}

// Refused reports whether a member is there, but was refused.
func (f *Fields) Refused(name string) bool {
	if f == nil {
		return false
	}
	got := f.found[name]
	return got.member != nil && !got.null && !got.ok
}

// Text returns a member's text.
func (f *Fields) Text(name string) (s string, ok bool) {
	v, _ := f.Get(name)
	return v.AsText()
}

// Bool returns a member's truth value, false when there is none.
func (f *Fields) Bool(name string) bool {
	v, _ := f.Get(name)
	if v == nil {
		return false
	}
	is, _ := v.AsBool()
	return is
}

// Word returns which word of its Enum a member is.
func (f *Fields) Word(name string) (index int, ok bool) {
	if f == nil {
		return 0, false
	}
	got := f.found[name]
	return got.word, got.ok
}

// Items returns the elements of a member that is a list, and the list's pointer.
func (f *Fields) Items(name string) ([]*Value, string) {
	v, pointer := f.Get(name)
	if v == nil {
		return nil, pointer
	}
	return v.Items, pointer
}

// Object checks a member that is an object; nil when there is none.
func (f *Fields) Object(r *Report, d *Definition, name string) *Fields {
	v, pointer := f.Get(name)
	if v == nil {
		return nil
	}
	return r.Object(d, v, pointer)
}
