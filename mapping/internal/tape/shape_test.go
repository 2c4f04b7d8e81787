package tape

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// checkShapes parses messages with and without shapes and compares the tapes. It
// returns how many messages were of a known shape.
func checkShapes(t *testing.T, keep Keep, messages [][]byte) (hits int) {
	t.Helper()
	plain, shaped := newTape(keep, testNames...), newTape(keep, testNames...)
	shaped.UseShapes()
	for i, b := range messages {
		plain.Reset(b)
		shaped.Reset(b)
		// As in the glue, the message is not all of the tape.
		root, same := plain.Open(), shaped.Open()
		want, got := plain.Parse(), shaped.Parse()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("message %d, %q: error %v, want %v", i, b, got, want)
		}
		if want != nil {
			continue
		}
		plain.Close(root)
		shaped.Close(same)
		if !slices.Equal(shaped.Nodes, plain.Nodes) || !slices.Equal(shaped.Objects, plain.Objects) {
			t.Fatalf("message %d, %q, level %d: nodes\n%v\n%v\nwant\n%v\n%v", i, b, keep, shaped.Nodes, shaped.Objects, plain.Nodes, plain.Objects)
		}
		if shaped.shaped {
			hits++
		}
	}
	return hits
}

// otherScalars are what a hole may meet.
var otherScalars = []string{`1`, `-0.5e+3`, `0`, `01`, `-`, `1.`, `true`, `false`, `null`, `nul`, `""`, `"plain"`, `"\u00e9\\"`, `"\"quoted\" \"\" text"`, "\"\u00e9\"", "\"\xff\"",
	"\"\xe2\x82\"", "\"tab\t\"", `"open`, `"12345678"`, `"1234567"`, `"2019-02-01T22:46:01.8750000Z"`, `{}`, `[1]`, ` 1`, `1 `, ``, `"\ud800"`, `"bad \q"`, `"a":1`}

// variations returns messages like b: some scalars are others, and now and then
// a byte.
func variations(b []byte, count int, random *rand.Rand) [][]byte {
	all := newTape(KeepAll)
	all.Reset(b)
	if all.Parse() != nil {
		return nil
	}
	list := [][]byte{b, b, b}
	for range count {
		var message []byte
		from := 0
		for i := range all.Nodes {
			n := &all.Nodes[i]
			start, end := int(n.Start), int(n.End)
			if n.Kind == String {
				start, end = start-1, end+1
			}
			if n.Kind == Object || n.Kind == Array || start < from || random.IntN(3) > 0 {
				continue
			}
			message = append(append(message, b[from:start]...), otherScalars[random.IntN(len(otherScalars))]...)
			from = end
		}
		message = append(message, b[from:]...)
		if random.IntN(8) == 0 && len(message) > 0 {
			message[random.IntN(len(message))] = byte(random.Uint32())
		}
		list = append(list, message)
	}
	return list
}

func FuzzShapes(f *testing.F) {
	for i, s := range parseSeeds() {
		f.Add([]byte(s), uint64(i))
	}
	for _, w := range workloads[:2] {
		f.Add(messages(f, w.file)[0], uint64(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 1))
		if list := variations(b, 60, random); len(b) < 4000 {
			checkShapes(t, levels[seed%3], list)
		}
	})
}

// TestShapesOfWorkloads: a stream of messages from few kinds of devices is read
// through shapes almost always, and no message is read differently.
func TestShapesOfWorkloads(t *testing.T) {
	var mixed [][]byte
	random := rand.New(rand.NewPCG(1, 2))
	for _, w := range workloads {
		list := messages(t, w.file)
		for _, keep := range levels {
			if hits := checkShapes(t, keep, slices.Concat(list, list)); hits < 2*len(list)-8 {
				t.Errorf("%s, level %d: %d of %d messages through shapes", w.name, keep, hits, 2*len(list))
			}
		}
		for range 20 {
			mixed = append(mixed, list...)
		}
		for _, b := range list[:4] {
			checkShapes(t, KeepNamed, variations(b, 500, random))
		}
	}
	random.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	if hits := checkShapes(t, KeepNamed, mixed); hits < len(mixed)*9/10 {
		t.Errorf("mixed: %d of %d messages through shapes", hits, len(mixed))
	}
}

// TestShapesAreBounded: messages of ever new forms are not learned for long, and
// what was learned stays small.
func TestShapesAreBounded(t *testing.T) {
	tape := newTape(KeepNamed, "a")
	tape.UseShapes()
	built := 0
	var last *shape
	for i := range 100_000 {
		tape.Reset(fmt.Appendf(nil, `{"x%d":1,"a":2}`, i))
		if err := tape.Parse(); err != nil {
			t.Fatal(err)
		}
		if list := tape.shapes.list; list[0] != last {
			last = list[0]
			built++
		}
	}
	if built > 150 || len(tape.shapes.list) > MaxShapes {
		t.Errorf("%d shapes of 100000 different messages, %d at a time", built, len(tape.shapes.list))
	}
}

// TestLongMessagesHaveNoShape: what is longer than a shape may be, or has more
// values, is parsed however often it comes.
func TestLongMessagesHaveNoShape(t *testing.T) {
	for _, b := range []string{`{"a":"` + strings.Repeat("x", maxShapeBytes) + `"}`, `[` + strings.Repeat("1,", maxShapeNodes) + `1]`} {
		if hits := checkShapes(t, KeepNamed, [][]byte{[]byte(b), []byte(b), []byte(b), []byte(b)}); hits != 0 {
			t.Errorf("%.20s: %d messages through shapes", b, hits)
		}
	}
}

func TestShapesAllocateNothing(t *testing.T) {
	tape := newTape(KeepNamed, "a")
	tape.UseShapes()
	i := 0
	list := [][]byte{[]byte(`{"a":1,"b":"x","c":[2]}`), []byte(`{"a":123,"b":"xyz\n","c":[true]}`), []byte(`[{"a":1}]`)}
	parse := func() {
		tape.Reset(list[i%len(list)])
		i++
		_ = tape.Parse()
	}
	for range 100 {
		parse()
	}
	if n := testing.AllocsPerRun(300, parse); n != 0 || !tape.shaped {
		t.Errorf("%v allocations a message, shaped %v", n, tape.shaped)
	}
}
