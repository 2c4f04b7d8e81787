package jsonpath

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"auscult/mapping/internal/tape"
)

// document is a message read for one path.
type document struct {
	t    *tape.Tape
	path *Path
}

func open(t testing.TB, path, message string) document {
	t.Helper()
	p, fault := Parse(path)
	if fault != nil {
		t.Fatalf("%s: %s at %d", path, fault.Message, fault.At)
	}
	names := tape.NewNameSet()
	p.Bind(names)
	d := document{tape.New(names.Table()), p}
	d.t.Reset([]byte(message))
	if err := d.t.Parse(); err != nil {
		t.Fatalf("%s: %v", message, err)
	}
	return d
}

// show writes selected nodes: values as they stand, properties with their name.
func (d document) show(nodes []uint32) string {
	parts := make([]string, 0, len(nodes))
	for _, n := range nodes {
		text := ""
		if n&Property != 0 {
			n &^= Property
			var room []byte
			text = string(d.t.NameOf(&d.t.Nodes[n], &room)) + "="
			n = d.t.Resolve(n)
		}
		node := &d.t.Nodes[n]
		quote := ""
		if node.Kind == tape.String {
			quote = `"`
		}
		parts = append(parts, text+quote+string(d.t.Raw(node))+quote)
	}
	return strings.Join(parts, " ")
}

func (d document) selected() string {
	nodes, err := NewEvaluator(d.t).Select(d.path, 0, nil)
	if err != nil {
		return strings.TrimSpace(d.show(nodes) + " ! " + err.Error())
	}
	return d.show(nodes)
}

const vitals = `{"hr":72,"name":"Bed 1","at":"2023-03-13T22:46:01Z","off":null,"on":true,"list":[5,"x",{"hr":80},[1,2,3]],"sub":{"hr":60.0,"a b":"y","sub":{"hr":"61"}}}`

func TestSelect(t *testing.T) {
	for _, c := range []struct{ path, message, want string }{
		{"$.hr", vitals, "72"},
		{"hr", vitals, "72"},
		{"['hr']", vitals, "72"},
		{"$.sub['a b']", vitals, `"y"`},
		{"$.sub['a b','hr','none']", vitals, `"y" 60.0`},
		{"$.none", vitals, ""},
		{"$.hr.none", vitals, ""},
		{"$.list[1]", vitals, `"x"`},
		{"$.list(1)", vitals, `"x"`},
		{"$.list[3][2,0,9]", vitals, "3 1"},
		{"$.list[3][*]", vitals, "1 2 3"},
		{"$.list[3].*", vitals, ""},
		{"$.sub[*]", vitals, ""},
		{"$.sub.sub.*", vitals, `"61"`},
		{"$.list[3][::-1]", vitals, "3 2 1"},
		{"$.list[3][-2:]", vitals, "2 3"},
		{"$.list[3][1,0:2]", vitals, "2 3"},
		{"$.list[3][0:3:1:2]", vitals, "1 3"},
		{"$.list[-1]", vitals, "! " + errNegative.Error()},
		{"$.list[3][0,-1]", vitals, "1 ! " + errNegative.Error()},
		{"$.hr[-1]", vitals, ""},
		{"$..hr", vitals, `72 80 60.0 "61"`},
		{"$.list..[0]", vitals, "5"},
		{"$.sub..*", vitals, `{"hr":60.0,"a b":"y","sub":{"hr":"61"}} 60.0 "y" {"hr":"61"} "61"`},
		{"$..['hr','a b']", vitals, `72 80 60.0 "y" "61"`},
		{"$.sub..[?(@hr)]", vitals, `{"hr":60.0,"a b":"y","sub":{"hr":"61"}} {"hr":"61"}`},
		{"$.list[?(@hr)]", vitals, `{"hr":80}`},
		{"$.sub[?(@hr)]", vitals, ""},
		{"$.sub.sub[?(@)]", vitals, `hr="61"`},
		{"$.sub.sub[?(@ == '61')]", vitals, ""},
		{"$.sub.sub[?(@ != '61')]", vitals, `hr="61"`},
		{"$.sub.sub[?(@)][?(@ == '61')]", vitals, `"61"`},
		{"$.sub.sub..[?($.hr == 72)]", vitals, `{"hr":"61"} hr="61" "61"`},
		{"$.list[?(@ == 5)]", vitals, "5"},
		{"$.list[?(@.hr == 80.0 && @.hr > '7')]", vitals, `{"hr":80}`},
		{"$.list[?(@ == 5 || @[0] == 1)]", vitals, "5 [1,2,3]"},
		{"$..[?(@.hr > 60)].hr", vitals, `72 80 "61"`},
		{"$..[?(@.hr > '60')].hr", vitals, `72 80 "61"`},
		{"$.list[?(@ > 'a')]", vitals, "! the filter operator > cannot compare a whole number with a text: the text is no whole number of 64 bits"},
		{"$..[?(@.name > 5)]", vitals, "! the filter operator > cannot compare a text with a whole number: the text is no whole number of 64 bits"},
		{"$..[?(@.hr < 70.5 )].hr", vitals, `60.0 "61"`},
		{"$..[?(@.at == '2023-03-13T22:46:01Z')].hr", vitals, "72"},
		{"$..[?(@.at == '2023-03-13')].hr", vitals, ""},
		{"$..[?(@.at > '2023-03-13')].hr", vitals, "72"},
		{"$..[?(@.at > '13-Mar-23')].hr", vitals, "72"},
		{"$..[?(@.at > '/Date(0)/')].hr", vitals, "! the filter operator > cannot compare a date with a text: the text is no time"}, // only the reader of messages reads such dates
		{"$..[?(@.at <= '2023-03-13T24:00:00Z')].hr", vitals, "! the filter operator <= cannot compare a date with a text: the text is no time"},
		{"$..[?('2023-03-13' < @.at)].hr", vitals, "! the filter operator < cannot compare a text with a date: a text on the left is not converted to a date: write the date first"},
		{"$..[?(@.at =~ /2023/)]", vitals, ""},
		{"$..[?(@.name =~ /^bed \\d$/i)].hr", vitals, "72"},
		{"$..[?(@.off == null)].hr", vitals, "72"},
		{"$..[?(@.off < 5)].hr", vitals, "72"},
		{"$..[?(@.off)].hr", vitals, "72"},
		{"$..[?(@.on == true)].hr", vitals, "72"},
		{"$..[?(@.none != 1)]", vitals, ""},
		{"$..[?(@.hr === 60)].hr", vitals, "60.0"},
		{"$..[?(@.hr !== 60 && @.hr !== 72)].hr", vitals, `80 "61"`},
		{"$.list[?(@[?(@ == 2)])]", vitals, "[1,2,3]"},
		{"$.list[3][?(@ == $.list[3][1])]", vitals, "2"},
		{"$.list[3][?(@ == $.list[3][::2])]", vitals, "1 3"},
		{"$.list[3][?(true)]", vitals, "1 2 3"},
		{"$.list[3][?('x' == 1 @ == 2)]", vitals, "2"},
		{"$.list[3][?(@[::0])]", vitals, "! " + errStep.Error()},
		{"$[1]['n']..n", `[{},{"n":{"n":{"n":1}}}]`, `{"n":1} 1`},
		{"$..a..b", `{"a":{"a":{"b":1},"b":2}}`, "1 2 1"},
		{"$[?(@ == 9223372036854775807)]", `[9223372036854775807,9223372036854775808,9.223372036854775807e18]`, "9223372036854775807 9.223372036854775807e18"},
		{"$[?(@ > 1e18)]", `[9223372036854775808,-9223372036854775809,5]`, "9223372036854775808"},
		{"$[?(1e30 > @)]", `[123456789012345678901]`, "123456789012345678901"},
		{"$[?(1e30 < @)]", `[123456789012345678901]`, ""},
		{"$[?(1e20 < @)]", `[123456789012345678901]`, "123456789012345678901"},
		{"$[?(1e400 == @)]", `[123456789012345678901]`, "! the filter operator == cannot compare a number with a point or exponent with a whole number: " + whyNoDigits},
		{"$[?(@ == 0.3)]", `[0.30000000000000004]`, "0.30000000000000004"},
		{"$[?(@ < '\U0001F600')]", "[\"\uFFFD\",\"z\",\"\uE000\"]", `"z"`},
		{"$[?('5' =~ @)]", `["/5/","/6/",5]`, `"/5/"`},
		{"$[?('5' =~ @)]", `["5"]`, "! " + errPattern.Error()},
		{" a", `{" a":1,"a":2}`, "1"},
		{"$a", `{"$a":1}`, "1"},
		{"$['*']", `{"*":1,"b":2}`, "1"},
		{"", `5`, "5"},
	} {
		if got := open(t, c.path, c.message).selected(); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.path, got, c.want)
		}
	}
}

// TestMadeUpRoot: paths see through aliases, and properties keep the names that
// they have in the made-up object.
func TestMadeUpRoot(t *testing.T) {
	for path, want := range map[string]string{
		"$.matchedToken.hr":      "80",
		"$.Body.list[2].hr":      "80",
		"$..hr":                  `72 80 60.0 "61" 80`,
		"$..[?(@hr)].hr":         `72 80 60.0 "61" 80`,
		"$[?(@..hr)]":            "Body=" + vitals + ` matchedToken={"hr":80}`,
		"$[?(@)][?(@.hr == 80)]": `{"hr":80}`,
		"$.pair[*].hr":           "80 72",
		"$.pair[::-1].hr":        "72 80",
		"$.pair[1].hr":           "72",
		"$.*.hr":                 "72 80",
	} {
		d := open(t, path, `{"Body":`+vitals+`}`)
		body := uint32(1)
		match := d.t.Element(findMember(d.t, body, "list"), 2)
		pair := d.t.AddArray()
		d.t.AddElement(pair, match)
		d.t.AddElement(pair, body)
		root := d.t.AddObject()
		d.t.AddMember(root, body, []byte("Body"))
		d.t.AddMember(root, match, []byte("matchedToken"))
		if strings.Contains(path, "pair") {
			d.t.AddMember(root, pair, []byte("pair"))
		}
		nodes, err := NewEvaluator(d.t).Select(d.path, root, nil)
		if got := d.show(nodes); err != nil || got != want {
			t.Errorf("%s\n got %s %v\nwant %s", path, got, err, want)
		}
	}
}

func findMember(t *tape.Tape, o uint32, name string) uint32 {
	var room []byte
	for i := o + 1; i < o+t.Nodes[o].Size; i += t.Nodes[i].Size {
		if string(t.NameOf(&t.Nodes[i], &room)) == name {
			return t.Resolve(i)
		}
	}
	return tape.None
}

// TestPropertyRoot: a selected property can be the root of another path.
func TestPropertyRoot(t *testing.T) {
	d := open(t, "$..hr", vitals)
	e := NewEvaluator(d.t)
	sub := findMember(d.t, 0, "sub")
	if nodes, err := e.Select(d.path, sub|Property, nil); err != nil || d.show(nodes) != `60.0 "61"` {
		t.Errorf("got %s, %v", d.show(nodes), err)
	}
}

func TestSteps(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 60) + "1" + strings.Repeat("}", 60)
	d := open(t, "$..*..*..*..*..*..*", deep)
	nodes, err := NewEvaluator(d.t).Select(d.path, 0, nil)
	if !errors.Is(err, tape.ErrSteps) || len(nodes) == 0 {
		t.Errorf("%d nodes, %v", len(nodes), err)
	}
	large := "[" + strings.Repeat(`{"x":1,"y":"`+strings.Repeat("z", 90)+`"},`, 20000) + `{}]`
	for _, path := range []string{"$..[?(@x)]", "$..x", "$..x..y..z", "$..[?(@x == 1 && @y =~ /a+b/)]", "$[*].y", "$[?(@.x > 0)]"} {
		d := open(t, path, large)
		if _, err := NewEvaluator(d.t).Select(d.path, 0, nil); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestSelectAllocates: nothing, once buffers have grown.
func TestSelectAllocates(t *testing.T) {
	for _, path := range []string{
		"$.sub.sub.hr", "$..hr", "$..*", "$..[?(@hr)]", "$..[?(@hr && @name == 'Bed 1')]", "$.list[3][::-1]", "$.list[*]", "$.list[0,1]", "$.sub['hr','a b']",
		"$..[?(@.hr > 60)]", "$..[?(@.at > '2023-03-13')]", "$..[?(@.name =~ /^b.*\\d$/i)]", "$.list[?(@ == $.list[*])]", "$..[?(@..hr == $..hr)]", "$[?(@ != 5)]",
		"$.list[?(@[?(@ == 2)])]", "$..[?(@.hr == 60.5 || @.e == 'x\\ty')]", "$..[?(@.big > 1)]", "$..[?(@.big < 1e30)]", "$..[?('5' =~ @.re)]",
	} {
		d := open(t, path, strings.Replace(vitals, "{", `{"e":"x\ty","big":123456789012345678901234567890,"re":"/[0-9]/",`, 1))
		e := NewEvaluator(d.t)
		var dst []uint32
		var err error
		run := func() {
			if dst, err = e.Select(d.path, 0, dst[:0]); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
		}
		run()
		side := len(d.t.Side)
		if n := testing.AllocsPerRun(100, run); n != 0 || len(d.t.Side) != side {
			t.Errorf("%s: %v allocations, %d bytes left behind", path, n, len(d.t.Side)-side)
		}
	}
}

func TestNeeds(t *testing.T) {
	for path, want := range map[string]tape.Keep{
		"$.a.b": tape.KeepNamed, "$..a": tape.KeepNamed, "$..[?(@a && @b.c == 'x')]": tape.KeepNamed, "$.a[?(@.b > 5)]": tape.KeepNamed,
		"$.a[0]": tape.KeepElements, "$.a[*].b": tape.KeepElements, "$.a[?(@[0] == 1)]": tape.KeepElements, "$.a[1:]": tape.KeepElements,
		"$.*": tape.KeepAll, "$..*": tape.KeepAll, "$.a[?(@ == 1)]": tape.KeepAll, "$..[?($.a == 1)]": tape.KeepAll, "$[?(@[?(@ == 1)])]": tape.KeepAll,
		"$[?(@..a)]": tape.KeepNamed, "$[?(@..*)]": tape.KeepAll,
	} {
		p, _ := Parse(path)
		if got := p.Needs(); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
}

func TestChain(t *testing.T) {
	names := tape.NewNameSet()
	for path, want := range map[string]string{
		"$.a.b[2].a": "[{1 0 false} {2 0 false} {0 2 true} {1 0 false}] true", "$": "[] true", "$..a": "[] false", "$.a[-1]": "[] false", "$.a[*]": "[] false", "['a','b']": "[] false",
	} {
		names.ID("a")
		names.ID("b")
		p, _ := Parse(path)
		p.Bind(names)
		chain, ok := p.Chain()
		if got := fmt.Sprint(chain, ok); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	p, _ := Parse("$.a['b','c']..[?(@.d[?(@e)] == $.f)]")
	if got := strings.Join(slices.Collect(p.Names()), ""); got != "abcdef" {
		t.Errorf("names %s", got)
	}
}

// randomMessage writes a document with few names and values that compare in
// every way.
func randomMessage(r *rand.Rand, depth int) string {
	scalars := []string{"0", "1", "-1", "5", "60", "1.0", "5.0", "0.30000000000000004", "0.3", "1e400", "123456789012345678901", "-123456789012345678901", "1.2345678901234568e20", `"5"`, `"x"`, `"y\u0000"`,
		`"true"`, `"2023-03-13T22:46:01Z"`, `"2023-03-13T22:46:01+00:00"`, `"2023-03-13"`, `"/x/"`, `"\ud83d\ude00"`, `"\ue000"`, "true", "false", "null", `""`, `" 5 "`, `"1e1"`, "[]", "{}"}
	names := []string{"a", "b", "c", "d e", "\\u0061x"}
	count := r.IntN(5)
	switch k := r.IntN(5); {
	case depth == 0 || k == 0:
		return scalars[r.IntN(len(scalars))]
	case k < 3:
		r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		parts := make([]string, count)
		for i := range parts {
			parts[i] = `"` + names[i] + `":` + randomMessage(r, depth-1)
		}
		return "{" + strings.Join(parts, ",") + "}"
	default:
		parts := make([]string, count)
		for i := range parts {
			parts[i] = randomMessage(r, depth-1)
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
}

func pick(r *rand.Rand, list ...string) string { return list[r.IntN(len(list))] }

// randomPath writes steps from the whole grammar.
func randomPath(r *rand.Rand, depth int) string {
	var b strings.Builder
	for range r.IntN(4) {
		switch k := r.IntN(12); {
		case k < 4:
			b.WriteString(pick(r, ".", "..") + pick(r, "a", "b", "c", "ax"))
		case k == 4:
			b.WriteString(pick(r, "", "..") + pick(r, "['d e']", "['a','b']", "['c','c']", "['none']"))
		case k == 5:
			b.WriteString(pick(r, ".*", "..*", "[*]", "..[*]"))
		case k == 6:
			b.WriteString(pick(r, "[0]", "[1]", "[0,2]", "[1,0,-1]", "[-1]", "(0)"))
		case k == 7:
			b.WriteString(pick(r, "[1:]", "[::-1]", "[-2:]", "[:-1]", "[3:0:-2]", "[::2]", "[5:1]", "[-9:9]"))
		case depth > 0:
			b.WriteString(pick(r, "", "..") + "[?(" + randomFilter(r, depth-1) + ")]")
		}
	}
	return b.String()
}

func randomFilter(r *rand.Rand, depth int) string {
	f := randomOperand(r, depth)
	if r.IntN(3) > 0 {
		right := randomOperand(r, depth)
		op := pick(r, "==", "!=", "<>", "<", "<=", ">", ">=", "===", "!==", "=~")
		if op == "=~" {
			right = pick(r, "/x/", "/^5$/", "/X|y/i", "/./s", "@.a")
		}
		f += " " + op + " " + right
	}
	if depth > 0 && r.IntN(3) == 0 {
		f += pick(r, " && ", " || ") + randomFilter(r, depth-1)
	}
	return f
}

func randomOperand(r *rand.Rand, depth int) string {
	switch r.IntN(4) {
	case 0:
		return pick(r, "5", "1.0", "60", "-1", "1e20", "'5'", "'x'", "'2023-03-13T22:46:01Z'", "'2023-03-13'", "true", "false", "null", "0.3", "'\U0001F600'", "'10.5'")
	case 1:
		return "$" + randomPath(r, depth)
	}
	return "@" + pick(r, "", ".a", ".b") + randomPath(r, depth)
}

// agree compares Select with the naive evaluator, and with itself on a tape that
// holds the least that the path needs.
func agree(t *testing.T, path, message string) (selected int) {
	d := open(t, path, message)
	got, err := NewEvaluator(d.t).Select(d.path, 0, nil)
	if errors.Is(err, tape.ErrSteps) {
		return 0
	}
	root := readToken(d.t, json.RawMessage(message), 0)
	n := &naive{root: root}
	want := []uint32{}
	for v := range n.path(d.path.Steps, root) {
		want = append(want, v.node)
	}
	if (err != nil) != (n.err != nil) || !slices.Equal(got, want) {
		t.Errorf("%s\nover %s\n got %s %v\nwant %s %v", path, message, d.show(got), err, d.show(want), n.err)
	}
	places := d.places(got)
	d.t.Keep = d.path.Needs()
	d.t.Reset([]byte(message))
	if err := d.t.Parse(); err != nil {
		t.Fatal(err)
	}
	least, leastErr := NewEvaluator(d.t).Select(d.path, 0, nil)
	if (err != nil) != (leastErr != nil) || !slices.Equal(places, d.places(least)) {
		t.Errorf("%s\nover %s\nwith what it needs (%d): %s %v", path, message, d.t.Keep, d.show(least), leastErr)
	}
	return len(got)
}

// places returns where in the message the selected nodes stand.
func (d document) places(nodes []uint32) (places []uint32) {
	for _, n := range nodes {
		places = append(places, d.t.Nodes[n&^Property].Start|n&Property)
	}
	return places
}

// TestAgainstNaive compares with the naive evaluator on random paths.
func TestAgainstNaive(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	selected, some := 0, 0
	for range 20000 {
		n := agree(t, "$"+randomPath(r, 2), randomMessage(r, 4))
		selected += n
		some += min(n, 1)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if some < 2000 {
		t.Errorf("only %d paths selected anything", some)
	}
	t.Logf("seed %d: %d paths selected %d nodes", seed, some, selected)
}

// FuzzSelect does so for what the fuzzer makes of two seeds.
func FuzzSelect(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		agree(t, "$"+randomPath(rand.New(rand.NewPCG(a, 1)), 3), randomMessage(rand.New(rand.NewPCG(b, 2)), 5))
	})
}
