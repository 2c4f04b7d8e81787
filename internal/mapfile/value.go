package mapfile

import (
	"fmt"
	"strconv"
	"strings"
)

// Kind is the kind of a value.
type Kind uint8

// Kinds of values. A number with a point or an exponent is a Float.
const (
	Null Kind = iota
	Bool
	Int
	Float
	Text
	List
	Object
)

// kindNouns name the kinds in messages.
var kindNouns = [...]string{"null", "true or false", "a number", "a number", "a text", "a list", "an object"}

// String names the kind for a person.
func (k Kind) String() string { return kindNouns[k] }

// Value is one value of a file, with where it stands.
type Value struct {
	Kind    Kind
	At, End int    // byte positions of its first character and behind its last
	Text    string // of a text its characters, else the literal as it is written
	Members []Member
	Items   []*Value
}

// Member is a name and its value.
type Member struct {
	Name  string
	At    int // byte position of the name
	Value *Value
}

// Absent reports whether there is no value, or null.
func (v *Value) Absent() bool { return v == nil || v.Kind == Null }

// Member returns the value of a member, names compared without case; of several
// the last. It is nil when there is none.
func (v *Value) Member(name string) *Value {
	if v == nil {
		return nil
	}
	for i := len(v.Members) - 1; i >= 0; i-- {
		if strings.EqualFold(v.Members[i].Name, name) {
			return v.Members[i].Value
		}
	}
	return nil
}

// AsText reads a value where a text is wanted: numbers and truth values are
// taken as texts, as Json.NET does.
func (v *Value) AsText() (string, bool) {
	switch {
	case v == nil:
		return "", false
	case v.Kind == Bool && v.Text == "true":
		return "True", true
	case v.Kind == Bool:
		return "False", true
	}
	return v.Text, v.Kind == Text || v.Kind == Int || v.Kind == Float
}

// AsBool reads a value where a truth value is wanted: the texts true and false
// and numbers are taken too, as Json.NET does.
func (v *Value) AsBool() (is, ok bool) {
	switch v.Kind {
	case Bool, Text:
		s := strings.TrimSpace(v.Text)
		is = strings.EqualFold(s, "true")
		return is, is || strings.EqualFold(s, "false")
	case Int, Float:
		f, err := strconv.ParseFloat(v.Text, 64)
		return f != 0, err == nil
	}
	return false, false
}

// quote returns a value for a message: its text, or what kind it is.
func (v *Value) quote() string {
	switch v.Kind {
	case Text:
		return fmt.Sprintf("%.60q", v.Text)
	case Bool, Int, Float:
		return fmt.Sprintf("%.60s", v.Text)
	}
	return v.Kind.String()
}

// Join returns the JSON pointer of the member name of the value at pointer.
func Join(pointer, name string) string {
	return pointer + "/" + pointerEscapes.Replace(name)
}

// pointerEscapes are those of RFC 6901.
var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// JoinIndex returns the JSON pointer of an element of the list at pointer.
func JoinIndex(pointer string, index int) string {
	return pointer + "/" + strconv.Itoa(index)
}
