package jsonpath

import (
	"bytes"
	"cmp"
	"fmt"

	"auscult/mapping/internal/dotnet"
	"auscult/mapping/internal/tape"
)

// value is one side of a comparison, taken from a literal or from the message.
type value struct {
	kind  tape.Kind // Text, Date, Int, Float, True, False, Null; Object for what never compares
	text  []byte    // of Text; of numbers as they stand
	int   int64
	big   bool // an Int that int does not hold
	float float64
	date  dotnet.Instant
	timed bool // a Text literal that is read as the time in date
}

// literal completes the value of literal o, whose number is there.
func (v *value) literal(o *Operand) {
	v.kind, v.text = o.Kind, []byte(o.Text)
	if v.kind == tape.Text {
		v.date.Ticks, v.timed = dotnet.LenientTime(o.Text)
	}
}

// load takes the value of node n. Its text is good until Side is cut.
func (v *value) load(t *tape.Tape, n uint32) {
	*v = value{kind: tape.Object}
	if n&Property != 0 {
		return
	}
	node := &t.Nodes[n]
	switch v.kind = node.Kind; v.kind {
	case tape.Array:
		v.kind = tape.Object
	case tape.String:
		v.kind, v.text = tape.Text, t.Decoded(node)
		if in, ok := dotnet.DateToken(v.text); ok {
			v.kind, v.date = tape.Date, in
		}
	case tape.Text:
		v.text = t.Decoded(node)
	case tape.Date:
		v.date, _ = t.DateOf(node)
	case tape.Int:
		v.text = t.Raw(node)
		n, ok := wholeOf(v.text)
		v.int, v.big = n, !ok
	case tape.Float:
		v.float, v.text = t.Float64(node), t.Raw(node)
	}
}

// class is the kind with true and false as one.
func (v *value) class() tape.Kind {
	if v.kind == tape.False {
		return tape.True
	}
	return v.kind
}

func (v *value) isNumber() bool { return v.kind == tape.Int || v.kind == tape.Float }

// compareError says why two values have no order.
type compareError struct {
	op          Op
	left, right tape.Kind
	why         string
}

func (e *compareError) Error() string {
	return fmt.Sprintf("the filter operator %s cannot compare %s with %s: %s", e.op, kindNouns[e.left], kindNouns[e.right], e.why)
}

// kindNouns name kinds of values in errors.
var kindNouns = map[tape.Kind]string{
	tape.Text: "a text", tape.Date: "a date", tape.Int: "a whole number", tape.Float: "a number with a point or exponent",
	tape.True: "a boolean", tape.Null: "null", tape.Object: "an object or array",
}

// Why values have no order.
const (
	whyNoInt      = "the text is no whole number of 64 bits"
	whyNoFloat    = "the text is no number"
	whyNoBool     = "the text is neither true nor false"
	whyNoTime     = "the text is no time"
	whyTextDate   = "a text on the left is not converted to a date: write the date first"
	whyDate       = "a date is compared only with a date or a text"
	whyNoDigits   = "infinity and NaN have no order among whole numbers beyond 64 bits"
	whyBigConvert = "a whole number beyond 64 bits is compared only with numbers and texts"
)

// equal is the operator ==, and when strict the operator ===. The kinds must be
// the same, but whole numbers and those with a point are one kind, and == takes
// a date on its left for its ISO text when a text is on its right.
func equal(l, r *value, strict bool) (bool, string) {
	switch {
	case l.isNumber() && r.isNumber():
		c, why := compareNumbers(l, r)
		return c == 0 && why == "", why
	case l.kind == tape.Text && r.kind == tape.Text:
		return bytes.Equal(l.text, r.text), ""
	case l.kind == tape.Date && r.kind == tape.Date:
		return l.date.Ticks == r.date.Ticks, ""
	case l.kind == tape.Date && r.kind == tape.Text && !strict:
		var room [48]byte
		return bytes.Equal(dotnet.AppendDateISO(room[:0], l.date), r.text), ""
	}
	return l.kind == r.kind, "" // true, false, null
}

// order compares for < <= > and >=. A text on the left becomes what is on the
// right, anything else makes the right what is on the left; null comes first.
func order(l, r *value) (int, string) {
	if l.kind == tape.Null || r.kind == tape.Null {
		return cmp.Compare(rank(l), rank(r)), ""
	}
	class := l.class()
	if class == tape.Text {
		class = r.class()
	}
	switch class {
	case tape.Int, tape.Float:
		return orderNumbers(l, r, class)
	case tape.Text:
		return compareTexts(l.text, r.text), ""
	case tape.Date:
		return orderDates(l, r)
	}
	a, why := l.asBool()
	if why != "" {
		return 0, why
	}
	b, why := r.asBool()
	return cmp.Compare(a, b), why
}

// rank is 0 for null and 1 for everything else.
func rank(v *value) int {
	if v.kind == tape.Null {
		return 0
	}
	return 1
}

// compareNumbers orders numbers of both kinds.
func compareNumbers(l, r *value) (int, string) {
	switch {
	case l.kind == tape.Int && r.kind == tape.Int:
		if l.big || r.big {
			a, _ := decimalOf(l.text)
			b, _ := decimalOf(r.text)
			return a.compare(b), ""
		}
		return cmp.Compare(l.int, r.int), ""
	case l.big:
		return compareBig(l, r.float)
	case r.big:
		c, why := compareBig(r, l.float)
		return -c, why
	}
	return compareFloats(l.number(), r.number()), ""
}

func compareBig(v *value, f float64) (int, string) {
	d, _ := decimalOf(v.text)
	c, ok := d.compareFloat(f)
	if !ok {
		return 0, whyNoDigits
	}
	return c, ""
}

// number is a number that is not big as a float.
func (v *value) number() float64 {
	if v.kind == tape.Int {
		return float64(v.int)
	}
	return v.float
}

// orderNumbers orders when class, Int or Float, decides.
func orderNumbers(l, r *value, class tape.Kind) (int, string) {
	if l.isNumber() && r.isNumber() {
		return compareNumbers(l, r)
	}
	switch {
	case l.kind == tape.Date || r.kind == tape.Date:
		return 0, whyDate
	case l.big || r.big:
		return orderBig(l, r)
	case class == tape.Int:
		a, why := l.asInt()
		if why != "" {
			return 0, why
		}
		b, why := r.asInt()
		return cmp.Compare(a, b), why
	}
	a, why := l.asFloat()
	if why != "" {
		return 0, why
	}
	b, why := r.asFloat()
	return compareFloats(a, b), why
}

// orderBig orders a whole number beyond 64 bits and what is no number.
func orderBig(l, r *value) (int, string) {
	if l.kind != tape.Text && r.kind != tape.Text {
		return 0, whyBigConvert
	}
	a, okLeft := decimalOf(l.text)
	b, okRight := decimalOf(r.text)
	if !okLeft || !okRight {
		return 0, whyNoInt
	}
	return a.compare(b), ""
}

func orderDates(l, r *value) (int, string) {
	switch {
	case l.kind == tape.Text:
		return 0, whyTextDate
	case r.kind == tape.Date || r.timed:
		return cmp.Compare(l.date.Ticks, r.date.Ticks), ""
	case r.kind != tape.Text:
		return 0, whyDate
	}
	at, ok := dotnet.LenientTime(string(r.text))
	if !ok {
		return 0, whyNoTime
	}
	return cmp.Compare(l.date.Ticks, at), ""
}

func (v *value) asInt() (int64, string) {
	switch v.kind {
	case tape.True:
		return 1, ""
	case tape.Text:
		if n, ok := intOf(v.text); ok {
			return n, ""
		}
		return 0, whyNoInt
	}
	return v.int, ""
}

func (v *value) asFloat() (float64, string) {
	switch v.kind {
	case tape.True:
		return 1, ""
	case tape.Text:
		if f, ok := floatOf(v.text); ok {
			return f, ""
		}
		return 0, whyNoFloat
	}
	return v.number(), ""
}

// asBool returns 1 for true.
func (v *value) asBool() (int, string) {
	set := false
	switch v.kind {
	case tape.True:
		set = true
	case tape.Int:
		if v.big {
			return 0, whyBigConvert
		}
		set = v.int != 0
	case tape.Float:
		set = v.float != 0
	case tape.Date:
		return 0, whyDate
	case tape.Text:
		var ok bool
		if set, ok = boolOf(v.text); !ok {
			return 0, whyNoBool
		}
	}
	if set {
		return 1, ""
	}
	return 0, ""
}
