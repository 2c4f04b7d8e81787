package jmespath

import (
	"math"

	"auscult/mapping/internal/dotnet"
)

// kind is the kind of a value.
type kind uint8

const (
	missing    kind = iota // no token: a projection drops it
	null                   // a null that stands in the message or the expression
	boolean                // number is 1 for true
	integer                // of 64 bits
	bigInteger             // beyond 64 bits: passes for a number, but cannot be computed with
	float
	text
	date
	array
	object
	projection // an array that later steps go through element by element
	reference  // &expression, an argument only
)

// place tells where a value's content is.
type place uint8

const (
	inValue      place = iota // number holds it
	onTape                    // node at()
	nameOnTape                // the member name of node at()
	inSide                    // Tape.Side[at():end()]
	inExpression              // Expr.texts[at()], or Expr.fixed[at():end()]
	inTypeTexts               // typeTexts[at()]
	made                      // Evaluator.made[at():end()]
)

// value is an intermediate result. An object that is not on the tape is a list
// of names and values in turn. It has no more fields than the compiler keeps in
// registers.
type value struct {
	kind   kind
	place  place
	zone   dotnet.Zone // of a date in the value
	number int64       // an integer, the bits of a float, the ticks of a date; else at and end
}

// at returns where the content begins, or which node, text or name it is.
func (v value) at() uint32 { return uint32(v.number) }

// end returns where the content ends.
func (v value) end() uint32 { return uint32(v.number >> 32) }

// valueAt returns the value with one thing at a place.
func valueAt(k kind, p place, at uint32) value { return value{kind: k, place: p, number: int64(at)} }

// valueIn returns the value with what is from at to end of a place.
func valueIn(k kind, p place, at, end int) value {
	return value{kind: k, place: p, number: int64(at) | int64(end)<<32}
}

// isNull reports whether the value is no value, found or not.
func (v value) isNull() bool { return v.kind <= null }

// isNumber reports whether type() calls the value a number.
func (v value) isNumber() bool { return v.kind >= integer && v.kind <= float }

// isText reports whether type() calls the value a string.
func (v value) isText() bool { return v.kind == text || v.kind == date }

// token ends a projection: it becomes an array.
func (v value) token() value {
	if v.kind == projection {
		v.kind = array
	}
	return v
}

// element is what a value becomes as an element of an array or a member of an
// object.
func (v value) element() value {
	switch v.kind {
	case missing:
		v.kind = null
	case projection:
		v.kind = array
	}
	return v
}

func ofInt(i int64) value { return value{kind: integer, number: i} }

func ofFloat(f float64) value { return value{kind: float, number: int64(math.Float64bits(f))} }

func ofBool(b bool) value {
	v := value{kind: boolean}
	if b {
		v.number = 1
	}
	return v
}

// typeNames are what type() answers.
var typeNames = [...]string{
	missing: "null", null: "null", boolean: "boolean", integer: "number", bigInteger: "number", float: "number",
	text: "string", date: "string", array: "array", object: "object", projection: "array",
}

// typeTexts are typeNames as texts.
var typeTexts = func() (texts [len(typeNames)][]byte) {
	for k, name := range typeNames {
		texts[k] = []byte(name)
	}
	return texts
}()

// kindNames are how errors call a value.
var kindNames = [...]string{
	missing: "missing", null: "null", boolean: "a boolean", integer: "an integer", bigInteger: "an integer beyond 64 bits",
	float: "a decimal number", text: "a text", date: "a date", array: "an array", object: "an object", projection: "an array",
	reference: "an expression (&...)",
}
