package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"auscult/mapping/internal/tape"
	"auscult/schemas"
)

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
	start := len(m.tape.Side)
	m.tape.Side = append(m.tape.Side, a.text...)
	m.tape.Push(tape.Text, start, len(m.tape.Side))
	k := len(m.tape.Nodes) - 1
	m.tape.Nodes[k].Flags = tape.FlagSide
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
	if got := valueOf(t, anyMessage(`{"v":"`+strings.Repeat("x", tape.MaxMessageBytes)+`"}`)); got != tape.ErrTooLong.Error() {
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
	if err := m.mapBare(&Message{}, ignore); err != nil {
		t.Errorf("after a huge message: %v, %d nodes kept", err, cap(m.tape.Nodes))
	}
}
