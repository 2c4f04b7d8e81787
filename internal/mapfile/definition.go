package mapfile

import (
	"slices"
	"strings"
)

// Definition describes an object of a mapping file.
type Definition struct {
	Name   string // in the JSON Schema
	Doc    string // for a person, one or two sentences
	Fields []Field
	// Open objects may have members that are not described.
	Open bool
	// By names the field whose word decides what other fields there are: it is
	// an *Enum, and Variants[i] holds the fields that its Words[i] adds. Such an
	// object is Open.
	By       string
	Variants [][]Field
}

// Field describes a member of an object.
type Field struct {
	Name     string
	Doc      string // for a person, one or two sentences
	Type     Type
	Required bool
	// NotNull refuses null even though the member may be left out. Otherwise
	// null stands for no member.
	NotNull bool
	// EmptyIsNull lets an empty text stand for null too, as Json.NET does where
	// something else than a text is wanted.
	EmptyIsNull bool
	Default     string   // what holds without the member, as JSON
	Examples    []string // as JSON
	// Spellings, if any, are the only ways to write the name; of several that
	// are written the first in this list counts. Other names are read in any case.
	Spellings []string
}

// spellings returns how the name may be written, apart from case.
func (f *Field) spellings() []string {
	if len(f.Spellings) > 0 {
		return f.Spellings
	}
	return []string{f.Name}
}

// spelled reports whether a member's name is the field's.
func (f *Field) spelled(name string) bool {
	if len(f.Spellings) > 0 {
		return slices.Contains(f.Spellings, name)
	}
	return strings.EqualFold(f.Name, name)
}

// member returns the field's member of an object, nil when there is none.
func (f *Field) member(v *Value) (m *Member) {
	best := len(f.Spellings)
	for i := range v.Members {
		name := v.Members[i].Name
		if rank := slices.Index(f.Spellings, name); f.spelled(name) && rank <= best {
			m, best = &v.Members[i], rank
		}
	}
	return m
}

// isNull reports whether v stands for no member.
func (f *Field) isNull(v *Value) bool {
	return v.Kind == Null || f.EmptyIsNull && v.Kind == Text && v.Text == ""
}

// Type says what a value may be. It is one of TextType, BoolType, Enum,
// NumberType, ListType, Either, AnyType and *Definition.
type Type interface {
	// accepts reports whether a value that is not null may stand here.
	accepts(v *Value) bool
	// noun says what must stand here: "write " + noun is an instruction.
	noun() string
	// schema writes the type as JSON Schema.
	schema(g *generator) schema
}

// TextType is a text. Unless Strict, numbers and truth values are taken as texts.
type TextType struct {
	Noun   string // what the text is; "a text" if empty
	Strict bool
}

func (t TextType) accepts(v *Value) bool {
	_, ok := v.AsText()
	return ok && (!t.Strict || v.Kind == Text)
}

func (t TextType) noun() string {
	if t.Noun == "" {
		return "a text"
	}
	return t.Noun
}

// BoolType is true or false; the texts of both and numbers are taken too.
type BoolType struct{}

func (BoolType) accepts(v *Value) bool { _, ok := v.AsBool(); return ok }
func (BoolType) noun() string          { return "true or false" }

// NumberType is a number, or the text of one. What it may be beyond that is for
// its reader to check.
type NumberType struct {
	Noun    string // "a number" if empty
	Integer bool
	// Texts, if any, is a pattern for the schema of the texts that the reader
	// takes instead of a number. All texts are left to the reader then.
	Texts string
}

func (t NumberType) accepts(v *Value) bool {
	switch v.Kind {
	case Int:
		return true
	case Float:
		return !t.Integer
	case Text:
		kind, ok := numberKind(strings.TrimSpace(v.Text))
		return t.Texts != "" || ok && (kind == Int || !t.Integer)
	}
	return false
}

func (t NumberType) noun() string {
	if t.Noun == "" {
		return "a number"
	}
	return t.Noun
}

// ListType is a list whose elements are of one type.
type ListType struct{ Of Type }

func (t ListType) accepts(v *Value) bool { return v.Kind == List }
func (t ListType) noun() string          { return "a list, [...]" }

// Either is a value of one type or, if it is an object, of another.
type Either struct {
	Plain  Type
	Object *Definition
}

func (t Either) accepts(v *Value) bool { return v.Kind == Object || t.Plain.accepts(v) }
func (t Either) noun() string          { return t.Plain.noun() }

// AnyType is any value: nobody reads it.
type AnyType struct{}

func (AnyType) accepts(*Value) bool { return true }
func (AnyType) noun() string        { return "any value" }

func (d *Definition) accepts(v *Value) bool { return v.Kind == Object }
func (d *Definition) noun() string          { return "an object, {...}" }

// Enum is one of several words, in any case.
type Enum struct {
	Noun  string // what the word names, as in "no such template type"
	Words []Word
	// Suffix may be written behind every word.
	Suffix string
}

// Word is a word of an Enum.
type Word struct {
	Name string
	Doc  string
	// Number may be written instead of the word, as it is or as a text; blanks
	// around either are ignored then.
	Number string
	// Tolerated is another spelling that is read, but should not be written.
	Tolerated string
}

// is reports whether s is the word.
func (w *Word) is(s, suffix string) bool {
	if w.Number != "" {
		s = strings.TrimSpace(s)
	}
	return strings.EqualFold(s, w.Name) || w.Number != "" && s == w.Number ||
		w.Tolerated != "" && strings.EqualFold(s, w.Tolerated) ||
		suffix != "" && w.Tolerated == "" && strings.EqualFold(s, w.Name+suffix)
}

// index returns which of the words v is, or -1.
func (t *Enum) index(v *Value) int {
	s, ok := v.AsText()
	for i := range t.Words {
		if ok && t.Words[i].is(s, t.Suffix) && (v.Kind == Text || v.Kind == Int) {
			return i
		}
	}
	return -1
}

func (t *Enum) accepts(v *Value) bool { return t.index(v) >= 0 }

func (t *Enum) names() []string {
	names := make([]string, len(t.Words))
	for i := range t.Words {
		names[i] = t.Words[i].Name
	}
	return names
}

func (t *Enum) noun() string {
	names := t.names()
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
