package tape

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func newTape(keep Keep, names ...string) *Tape {
	s := NewNameSet()
	for _, n := range names {
		s.ID(n)
	}
	t := New(s.Table())
	t.Keep = keep
	return t
}

// levels are the settings of Keep.
var levels = []Keep{KeepNamed, KeepElements, KeepAll}

// testTapes are used again and again, one for each level.
var testTapes = []*Tape{newTape(KeepNamed, testNames...), newTape(KeepElements, testNames...), newTape(KeepAll, testNames...)}

// testNames are known to the tapes of the tests; all others are not.
var testNames = []string{"a", "b", "heartRate", "twelve-bytes", "longer-than-sixteen-bytes", "longer-than-16.0-bytes.es", "\u00e9", ""}

func depthOf(b []byte) int {
	depth, deepest := 0, 0
	d := json.NewDecoder(bytes.NewReader(b))
	for {
		tok, err := d.Token()
		if err != nil {
			return deepest
		}
		switch tok {
		case json.Delim('{'), json.Delim('['):
			depth++
			deepest = max(deepest, depth)
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

// field is a member of an ordered object.
type field struct {
	name  string
	value any
}

// reference reads the next value as encoding/json does: objects become []field,
// of members with one name the last value at the place of the first.
func reference(d *json.Decoder) any {
	tok, _ := d.Token()
	switch tok {
	case json.Delim('{'):
		object := []field{}
		at := map[string]int{}
		for d.More() {
			name, _ := d.Token()
			k, known := at[name.(string)]
			if !known {
				k = len(object)
				at[name.(string)] = k
				object = append(object, field{name: name.(string)})
			}
			object[k].value = reference(d)
		}
		_, _ = d.Token()
		return object
	case json.Delim('['):
		array := []any{}
		for d.More() {
			array = append(array, reference(d))
		}
		_, _ = d.Token()
		return array
	}
	return tok
}

// tree returns node i in the form of reference.
func tree(t *Tape, i uint32) any {
	n := &t.Nodes[i]
	var buf []byte
	switch n.Kind {
	case Object:
		object := []field{}
		for k := i + 1; k < i+n.Size; k += t.Nodes[k].Size {
			object = append(object, field{string(t.NameOf(&t.Nodes[k], &buf)), tree(t, k)})
		}
		return object
	case Array:
		array := []any{}
		for k := i + 1; k < i+n.Size; k += t.Nodes[k].Size {
			array = append(array, tree(t, k))
		}
		return array
	case String:
		return string(t.Decoded(n))
	case True, False:
		return n.Kind == True
	case Null:
		return nil
	}
	return json.Number(t.Raw(n))
}

// kept lists what a tape with this setting shows of its nodes. A tape may hold
// more than it has to; that is left out.
func kept(t *Tape, keep Keep) []string {
	var lines []string
	var walk func(i uint32, depth int, always bool)
	walk = func(i uint32, depth int, always bool) {
		n := &t.Nodes[i]
		container := n.Kind == Object || n.Kind == Array
		if !container && !always && n.ID == 0 {
			return
		}
		var buf []byte
		name := t.NameOf(n, &buf)
		text := "" // a container's text has what was replaced in it
		if !container {
			text = string(t.Raw(n))
		}
		lines = append(lines, fmt.Sprintf("%*s%q %d %d %x %s", depth, "", name, n.ID, n.Kind, n.Mask, text))
		for k := i + 1; k < i+n.Size; k += t.Nodes[k].Size {
			walk(k, depth+1, keep == KeepAll || keep == KeepElements && n.Kind == Array)
		}
	}
	walk(0, 0, true)
	return lines
}

// objects lists where a tape has objects.
func objects(t *Tape) []uint32 {
	list := []uint32{}
	for i := range t.Nodes {
		if t.Nodes[i].Kind == Object {
			list = append(list, uint32(i))
		}
	}
	return list
}

// checkParse checks that every level takes exactly what encoding/json takes, if
// it is UTF-8 and not too deep, and what is on the tape then.
func checkParse(t *testing.T, b []byte) {
	t.Helper()
	want := json.Valid(b) && utf8.Valid(b) && depthOf(b) <= MaxDepth
	all := testTapes[KeepAll]
	all.Reset(b)
	if err := all.Parse(); (err == nil) != want {
		t.Fatalf("%q: error %v, want accepted %v", b, err, want)
	}
	if want {
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if got, want := tree(all, 0), reference(d); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: the tape has %v, want %v", b, got, want)
		}
	}
	for _, keep := range levels {
		tape := testTapes[keep]
		tape.Reset(b)
		if err := tape.Parse(); (err == nil) != want {
			t.Fatalf("%q: level %d: error %v, want accepted %v", b, keep, err, want)
		}
		if !want {
			continue
		}
		if int(tape.Nodes[0].Size) != len(tape.Nodes) || !reflect.DeepEqual(append([]uint32{}, tape.Objects...), objects(tape)) {
			t.Fatalf("%q: level %d: the root has size %d of %d, objects %v", b, keep, tape.Nodes[0].Size, len(tape.Nodes), tape.Objects)
		}
		if got, want := kept(tape, keep), kept(all, keep); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: level %d has\n%s\nwant\n%s", b, keep, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// parseSeeds are messages, some of them broken, around everything that is
// special about one.
func parseSeeds() []string {
	var wide strings.Builder
	for i := range 300 {
		fmt.Fprintf(&wide, `"name%d":{"a":%d},`, i, i)
	}
	nested := `1`
	for range 40 {
		nested = `{"b":[1],"a":{"b":2},"a":` + nested + `,"b":[{"x":3}],"x":{"a":4},"x":5}`
	}
	return []string{`{"a":[1,-0.5e+3,"x\u00e9\\"],"a":null}`, `[[],{},[{}]]`, `"\ud800"`, "{\"a\":1,}", "[1 2]", `{"a" 1}`, "01", "1.", "-", "tru", "\xEF\xBB\xBF{}",
		"{\"\xff\":1}", "\"tab\t\"", strings.Repeat("[", 64) + strings.Repeat("]", 64), strings.Repeat("[", 65) + strings.Repeat("]", 65), " {} ", "{} x", "", "{",
		`{"x":{"heartRate":1},"x":5}`, `{"x":1,"y":{"a":1},"x":{"b":2}}`, `{"\u0061":1,"a":2}`, `{"a":1,"x":2,"x":3}`, `{"x":{"x":{"a":1},"x":2},"x":{"a":3}}`,
		`{"longer-than-sixteen-bytes":1,"longer-than-16.0-bytes.es":2,"longer-than-elephants-bytes":3}`, `{"longer-th....-one-......bytes":{},"longer-th....-two-......bytes":{}}`,
		`"{\"scope\":\"device\",\"rule\":null}"`, `"\\\\\\\\\\\"\\\\\"`, `"1234567\"\\\"\n\u12345678901234567\q"`, `"12345678\` + "\x01" + `90"`, `"1234567` + "\x1f" + `"`,
		`{"a":1{"b":2}}`, `[1{}]`, `{"a":[]]}`, `[}`, "[1\x00]", "{\"a\":1}\x00", "1\x00", "\x00", "[\x00", "{\x00", `1 1`, `[]]`, `[],`, `[1,]`, `{"\u00e9":1,"":2,"twelve-bytes":3}`,
		"{" + wide.String() + `"a":1}`, "{" + wide.String() + `"name7":1,"a":1}`, nested}
}

func TestParse(t *testing.T) {
	for _, s := range parseSeeds() {
		checkParse(t, []byte(s))
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range parseSeeds() {
		f.Add([]byte(s))
	}
	f.Fuzz(checkParse)
}

// FuzzRepeatedNames makes an object of two names out of each bit: few messages
// that a fuzzer finds are JSON with repeated names.
func FuzzRepeatedNames(f *testing.F) {
	f.Add([]byte{0, 9, 17, 3, 255, 80, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1000 {
			return
		}
		var message []byte
		open := 1
		message = append(message, '{')
		for i, c := range b {
			if i > 0 && message[len(message)-1] != '{' {
				message = append(message, ',')
			}
			message = append(message, `"`+[]string{"a", "x", "y", `\u0061`, "heartRate", "xx", "z", "zz"}[c&7]+`":`...)
			switch {
			case c&8 == 0:
				message = append(message, '1')
			case c&16 == 0 && open < MaxDepth:
				message = append(message, '{')
				open++
			default:
				message = append(message, `[2,{"a":3}]`...)
			}
			for n := int(c >> 5 & 3); n > 0 && open > 1; n-- {
				message = append(message, '}')
				open--
			}
		}
		checkParse(t, append(message, strings.Repeat("}", open)...))
	})
}

// TestParseKeepsLittle: ordinary messages, which have no repeated names, must
// not be parsed twice. Only known names have nodes then.
func TestParseKeepsLittle(t *testing.T) {
	for _, members := range []int{1, 20, 60, 128} {
		message := []byte(`{"a":0`)
		for i := 1; i < members; i++ {
			message = fmt.Appendf(message, `,"measured-value-%d":%d`, i, i)
		}
		tape := newTape(KeepNamed, "a")
		tape.Reset(append(message, '}'))
		if err := tape.Parse(); err != nil || len(tape.Nodes) != 2 {
			t.Errorf("%d members: %d nodes (%v), want 2", members, len(tape.Nodes), err)
		}
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	for _, s := range parseSeeds() {
		if !json.Valid([]byte(s)) || !utf8.ValidString(s) {
			continue
		}
		for _, keep := range levels {
			tape := newTape(keep, testNames...)
			message := []byte(s)
			parse := func() {
				tape.Reset(message)
				_ = tape.Parse()
			}
			if depthOf(message) > MaxDepth {
				continue // the error is allocated
			}
			if n := testing.AllocsPerRun(10, parse); n != 0 {
				t.Errorf("%.80s: level %d: %v allocations", s, keep, n)
			}
		}
	}
}

// BenchmarkRepeatedNames parses the worst messages that we know of: each level
// replaces what the levels below have put together. It must stay within a few
// times of the cost of plain messages of that length.
func BenchmarkRepeatedNames(b *testing.B) {
	plain := strings.Repeat(`{"a":1},`, 20_000)
	nested := "[" + plain[:len(plain)-1] + "]"
	for range MaxDepth - 3 {
		nested = `{"b":1,"b":2,"a":` + nested + `,"b":3}`
	}
	for name, message := range map[string]string{"plain": "[" + plain[:len(plain)-1] + "]", "nested": nested} {
		b.Run(name, func(b *testing.B) {
			tape := newTape(KeepNamed, "a")
			b.SetBytes(int64(len(message)))
			for b.Loop() {
				tape.Reset([]byte(message))
				if err := tape.Parse(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
