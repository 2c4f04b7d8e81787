package tape

import (
	"fmt"
	"slices"
	"testing"
)

// properties returns the members of object o as name=text.
func properties(t *Tape, o uint32) []string {
	var list []string
	var buf []byte
	for i := o + 1; i < o+t.Nodes[o].Size; i += t.Nodes[i].Size {
		list = append(list, fmt.Sprintf("%s=%s", t.NameOf(&t.Nodes[i], &buf), t.Raw(&t.Nodes[i])))
	}
	return list
}

func TestProperties(t *testing.T) {
	for _, c := range []struct {
		keep  Keep
		names []string
		want  []string
	}{
		{KeepNamed, nil, nil},
		{KeepNamed, []string{"a", "x", "b"}, []string{"a=0", "b=2"}},
		{KeepAll, []string{"a", "x", "b"}, []string{"a=0", "x=1", "b=2"}},
		{KeepAll, []string{"a", "x", "a", "x"}, []string{"a=2", "x=3"}},
		{KeepElements, []string{"a", "x", "heartRate", "a", "x"}, []string{"a=3", "heartRate=2"}},
		{KeepAll, []string{"", "x", ""}, []string{"=2", "x=1"}},
	} {
		tape := newTape(c.keep, testNames...)
		for range 3 { // names are looked up once
			tape.Reset(nil)
			root := tape.Open()
			o := tape.Open()
			for i, name := range c.names {
				tape.AddProperty(o, Text, name, fmt.Sprint(i))
			}
			tape.Close(o)
			tape.SetPart(root, o, "Properties")
			tape.Close(root)
			if got := properties(tape, o); !slices.Equal(got, c.want) {
				t.Errorf("%q, level %d: %q, want %q", c.names, c.keep, got, c.want)
			}
			if tape.Nodes[root].Size != uint32(len(tape.Nodes)) || !slices.Equal(tape.Objects, []uint32{root, o}) {
				t.Errorf("%q: root of %d of %d nodes, objects %v", c.names, tape.Nodes[root].Size, len(tape.Nodes), tape.Objects)
			}
		}
	}
}

// TestPropertyNamesAreCopied: the next message may use the memory of this one's
// names.
func TestPropertyNamesAreCopied(t *testing.T) {
	tape := newTape(KeepNamed, "ab", "cd")
	memory := []byte("ab")
	for _, want := range []string{"ab", "cd", "xy", "ab"} {
		copy(memory, want)
		tape.Reset(nil)
		o := tape.Open()
		tape.AddProperty(o, Text, alias(memory), "1")
		tape.Close(o)
		got := properties(tape, o)
		if want == "xy" && len(got) > 0 || want != "xy" && !slices.Equal(got, []string{want + "=1"}) {
			t.Errorf("%s: %q", want, got)
		}
	}
}

func TestManyProperties(t *testing.T) {
	tape := newTape(KeepAll)
	for range 2 {
		tape.Reset(nil)
		o := tape.Open()
		for i := range 500 {
			tape.AddProperty(o, Int, fmt.Sprint("p", i%300), fmt.Sprint(i))
		}
		tape.Close(o)
		got := properties(tape, o)
		if len(got) != 300 || got[0] != "p0=300" || got[299] != "p299=299" {
			t.Errorf("%d properties, %s to %s", len(got), got[0], got[len(got)-1])
		}
	}
}
