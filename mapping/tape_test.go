package mapping

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"auscult/schemas"
)

func newTape(names ...string) *tape {
	s := newNameSet()
	for _, n := range names {
		s.id(n)
	}
	return &tape{names: s.table(), seed: maphash.MakeSeed()}
}

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

// FuzzParse: the tape takes exactly what encoding/json takes, if it is UTF-8
// and not too deep.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,-0.5e+3,"x\u00e9\\"],"a":null}`, `[[],{},[{}]]`, `"\ud800"`, "{\"a\":1,}", "[1 2]", `{"a" 1}`, "01", "1.", "-", "tru", "\xEF\xBB\xBF{}",
		"{\"\xff\":1}", "\"tab\t\"", strings.Repeat("[", 64) + strings.Repeat("]", 64), strings.Repeat("[", 65) + strings.Repeat("]", 65), " {} ", "{} x", ""} {
		f.Add([]byte(s))
	}
	tape := newTape("a", "longer-than-sixteen-bytes")
	f.Fuzz(func(t *testing.T, b []byte) {
		tape.reset(b)
		got := tape.parse() == nil
		want := json.Valid(b) && utf8.Valid(b) && depthOf(b) <= MaxDepth
		if got != want {
			t.Errorf("%q: accepted %v, want %v (%s)", b, got, want, tape.fault)
		}
		if got && int(tape.nodes[0].size) != len(tape.nodes) {
			t.Errorf("%q: the root has size %d of %d", b, tape.nodes[0].size, len(tape.nodes))
		}
	})
}

// tree is the naive form of a message: members in order, the last value of a
// name in the place of the first.
type tree struct {
	kind    json.Delim // 0 for scalars
	names   []string
	values  []*tree
	literal any
}

func readTree(t *testing.T, d *json.Decoder) *tree {
	tok, err := d.Token()
	if err != nil {
		t.Fatal(err)
	}
	delim, isDelim := tok.(json.Delim)
	if !isDelim {
		return &tree{literal: tok}
	}
	n := &tree{kind: delim}
	for d.More() {
		if delim == '[' {
			n.values = append(n.values, readTree(t, d))
			continue
		}
		tok, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		n.set(tok.(string), readTree(t, d))
	}
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *tree) set(name string, v *tree) {
	for i := range n.names {
		if n.names[i] == name {
			n.values[i] = v
			return
		}
	}
	n.names, n.values = append(n.names, name), append(n.values, v)
}

func (n *tree) get(name string) *tree {
	for i := range n.names {
		if n.names[i] == name {
			return n.values[i]
		}
	}
	return nil
}

// scan finds, before their parts, the objects for which holds is true.
func (n *tree) scan(holds func(*tree) bool, found func(*tree)) {
	if n.kind == '{' && holds(n) {
		found(n)
	}
	for _, v := range n.values {
		v.scan(holds, found)
	}
}

func (n *tree) text() string {
	if n == nil || n.kind != 0 || n.literal == nil {
		return ""
	}
	return fmt.Sprint(n.literal)
}

const naiveMapping = `{"templateType":"CollectionContent","template":[
{"templateType":"JsonPathContent","template":{"typeName":"one","typeMatchExpression":"$..[?(@a)]","deviceIdExpression":"$.id","timestampExpression":"$.t","values":[{"valueName":"a","valueExpression":"$.a"}]}},
{"templateType":"JsonPathContent","template":{"typeName":"two","typeMatchExpression":"$..[?(@b && @c.a == 'x')]","deviceIdExpression":"$.id","timestampExpression":"$.t","values":[{"valueName":"b","valueExpression":"$.b[1]"},{"valueName":"c","valueExpression":"$.c.a"}]}},
{"templateType":"JsonPathContent","template":{"typeName":"three","typeMatchExpression":"$.Body.c..[?(@c)]","deviceIdExpression":"$.id","timestampExpression":"$.t","values":[{"valueName":"c","valueExpression":"$.c"}]}}]}`

// naive answers naiveMapping over a tree.
func naive(root *tree) string {
	var b strings.Builder
	emit := func(typ string, values ...string) {
		fmt.Fprintf(&b, "%s %v\n", typ, values)
	}
	value := func(name string, v *tree) string {
		if s := v.text(); s != "" {
			return name + "=" + s
		}
		return name
	}
	root.scan(func(n *tree) bool { return n.get("a") != nil }, func(n *tree) { emit("one", value("a", n.get("a"))) })
	root.scan(func(n *tree) bool {
		c := n.get("c")
		return n.get("b") != nil && c != nil && c.get("a") != nil && c.get("a").literal == "x"
	}, func(n *tree) {
		var second *tree
		if l := n.get("b"); l.kind == '[' && len(l.values) > 1 {
			second = l.values[1]
		}
		emit("two", value("b", second), value("c", n.get("c").get("a")))
	})
	if c := root.get("c"); root.kind == '{' && c != nil {
		c.scan(func(n *tree) bool { return n.get("c") != nil }, func(n *tree) { emit("three", value("c", n.get("c"))) })
	}
	return b.String()
}

// randomJSON writes a message with few names, so that they repeat, some of them
// with escapes, and some objects with very many.
func randomJSON(r *rand.Rand, depth int) string {
	names := []string{"a", "b", "c", `\u0061`, "d", "a-long-name-of-more-than-16"}
	switch k := r.IntN(7); {
	case depth > 0 && k < 3:
		n := r.IntN(5)
		if r.IntN(20) == 0 {
			n, depth = 100, min(depth, 2)
		}
		var parts []string
		for i := range n {
			name := names[r.IntN(len(names))]
			if n == 100 && r.IntN(3) > 0 {
				name = fmt.Sprintf("n%d", i)
			}
			parts = append(parts, `"`+name+`":`+randomJSON(r, depth-1))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case depth > 0 && k == 3:
		var parts []string
		for range r.IntN(4) {
			parts = append(parts, randomJSON(r, depth-1))
		}
		return "[" + strings.Join(parts, " , ") + "]"
	case k == 4:
		return `"x"`
	case k == 5:
		return "null"
	}
	return fmt.Sprint(r.IntN(100))
}

// TestAgainstNaive compares the mapper with a walk over a tree, on messages
// with repeated names and all of the match forms.
func TestAgainstNaive(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	m := mustLoad(t, naiveMapping).NewMapper()
	var texts []Property // device and time come from nowhere: every match fails
	matched := 0
	for i := range 4000 {
		body := randomJSON(r, 5)
		d := json.NewDecoder(strings.NewReader(body))
		d.UseNumber()
		want := naive(readTree(t, d))
		var got strings.Builder
		err := m.mapBare(&Message{Body: []byte(body), HasBody: true, Properties: texts}, func(out *schemas.Measurement) {
			var values []string
			for _, v := range valueNames[out.Type] {
				s := v
				for _, have := range out.Values {
					if have.Name == v && have.Text != "" {
						s = v + "=" + have.Text
					}
				}
				values = append(values, s)
			}
			fmt.Fprintf(&got, "%s %v\n", out.Type, values)
			matched++
		})
		if err != nil || got.String() != want {
			t.Fatalf("seed %d, message %d: %s\n got\n%swant\n%s%v", seed, i, body, got.String(), want, err)
		}
	}
	if matched < 1000 {
		t.Errorf("only %d matches", matched)
	}
}

var valueNames = map[string][]string{"one": {"a"}, "two": {"b", "c"}, "three": {"c"}}

// mapBare maps without asking for device and time.
func (m *Mapper) mapBare(msg *Message, yield func(*schemas.Measurement)) error {
	for i := range m.device.templates {
		m.device.templates[i].device, m.device.templates[i].time = fixedText, fixedTime
	}
	return m.Map(msg, yield, func(f Failure) { panic(f) })
}

// always is an expression that gives the same text for every message.
type always struct{ text string }

func (a always) one(m *Mapper, _ uint32) (uint32, bool, error) {
	start := len(m.tape.side)
	m.tape.side = append(m.tape.side, a.text...)
	m.tape.push(kindText, start, len(m.tape.side))
	k := len(m.tape.nodes) - 1
	m.tape.nodes[k].flags = flagSide
	return uint32(k), true, nil
}

var (
	fixedText = field{name: "device", expressions: []expression{always{"d"}}}
	fixedTime = field{name: "time", expressions: []expression{always{"2024-01-01T00:00:00Z"}}}
)

// TestRepeatedNames: the last value of a name counts, in the place of the first,
// and what it replaced is not seen by any match.
func TestRepeatedNames(t *testing.T) {
	var big strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&big, `"name-with-same-edges-%05d-name-with-same-edges":{"v":1},`, i)
	}
	for body, want := range map[string]string{
		`{"v":1,"v":2}`:                       "2",
		`{"v":{"v":1},"v":2}`:                 "2",
		`{"v":2,"\u0076":3}`:                  "3",
		`{"v":1,"v":{}}`:                      "nothing",
		`{` + big.String() + `"v":7}`:         "7",
		`{"v":0,` + big.String() + `"v":"e"}`: "e",
	} {
		if got := valueOf(t, anyMessage(body)); got != want {
			t.Errorf("%.60s: got %s, want %s", body, got, want)
		}
	}
}

func TestLimits(t *testing.T) {
	if got := valueOf(t, anyMessage(`{"v":"`+strings.Repeat("x", MaxMessageBytes)+`"}`)); got != errTooLong.Error() {
		t.Errorf("a long message: %.80s", got)
	}
	m := mustLoad(t, naiveMapping).NewMapper()
	body := "[" + strings.Repeat(`{"a":1},`, MaxMatches) + `{"a":1}]`
	if err := m.mapBare(&Message{Body: []byte(body), HasBody: true}, func(*schemas.Measurement) {}); !errors.Is(err, errMatches) {
		t.Errorf("too many matches: %v", err)
	}
	if err := m.mapBare(&Message{Body: []byte("5"), HasBody: true, Whole: true}, ignore); !errors.Is(err, errNotObject) {
		t.Errorf("an envelope that is none: %v", err)
	}
	if err := m.mapBare(&Message{}, ignore); err != nil || cap(m.tape.nodes) > keepNodes {
		t.Errorf("after a huge message: %v, %d nodes kept", err, cap(m.tape.nodes))
	}
}
