package jsonpath

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"auscult/mapping/internal/tape"
)

// TestFaults: where a fault is, and the expression that was probably meant.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		path string
		at   int
		fix  string
	}{
		{"$.", 2, "$"},
		{"$.a.", 4, "$.a"},
		{"$.a..", 5, "$.a"},
		{"$.heart rate", 7, "$['heart rate']"},
		{"$.a.heart rate.b", 9, "$.a['heart rate'].b"},
		{"$..heart rate[0]", 8, "$..['heart rate'][0]"},
		{"$.a .b", 3, "$.a.b"},
		{"$.a ['b']", 3, "$.a['b']"},
		{"$.a]", 3, "$.a"},
		{"$.a[0]).b", 6, "$.a[0].b"},
		{`$["a"]`, 2, "$['a']"},
		{`$["a"]["b"]`, 2, "$['a']['b']"},
		{"$[a]", 2, "$['a']"},
		{"$['a]", 2, "$['a']"},
		{"$['a'", 5, "$['a']"},
		{"$['a' 'b']", 6, ""},
		{"$['a',", 6, ""},
		{`$['\u0061']`, 3, "$['a']"},
		{`$['\q']`, 3, `$['\\q']`},
		{"$[]", 2, ""},
		{"$[1", 3, "$[1]"},
		{"$[1,]", 4, ""},
		{"$[1 2]", 4, ""},
		{"$[1-2]", 2, ""},
		{"$[99999999999]", 2, ""},
		{"$[::0]", 4, ""},
		{"$[*", 3, "$[*]"},
		{"$[*,1]", 3, ""},
		{"$[0]a", 4, "$[0].a"},
		{" $", 1, "$"},
		{"$[?@.a]", 3, "$[?(@.a)]"},
		{"$[?@.a == 'x]']", 3, "$[?(@.a == 'x]')]"},
		{"$[? (@.a)]", 3, "$[?(@.a)]"},
		{`$[?@.a=="b"]`, 3, "$[?(@.a=='b')]"},
		{"$..[?(@.a", 9, "$..[?(@.a)]"},
		{"$..[?(@.a)", 10, "$..[?(@.a)]"},
		{"$..[?(@.a]", 9, "$..[?(@.a)]"},
		{"$..[?(@.a == 1]", 13, "$..[?(@.a == 1)]"},
		{"$..[?(@.a == 1", 14, "$..[?(@.a == 1)]"},
		{`$..[?(@.a == "x")]`, 13, "$..[?(@.a == 'x')]"},
		{"$..[?(@k==1&&@v)]", 10, "$..[?(@k==1 &&@v)]"},
		{"$..[?(1==@k)]", 6, "$..[?(1 ==@k)]"},
		{"$..[?(@.a = 1)]", 10, "$..[?(@.a == 1)]"},
		{"$..[?(@.a and @.b)]", 10, "$..[?(@.a && @.b)]"},
		{"$..[?(@.a & @.b)]", 10, "$..[?(@.a && @.b)]"},
		{"$..[?(@.heart rate > 5)]", 14, "$..[?(@['heart rate'] > 5)]"},
		{"$..[?(@.a == True)]", 13, "$..[?(@.a == true)]"},
		{"$..[?(.a == 1)]", 6, "$..[?(@.a == 1)]"},
		{"$..[?(a == 1)]", 6, "$..[?(@a == 1)]"},
		{"$..[?(@.a == 99999999999999999999)]", 13, "$..[?(@.a == 99999999999999999999.0)]"},
		{"$..[?(@.a == 1e)]", 13, ""},
		{"$..[?((@.a || @.b) && @.c)]", 6, ""},
		{"$..[?(!@.a)]", 6, ""},
		{"$..[?(@.a =~ /x)]", 13, ""},
		{"$..[?(@.a =~ 'x')]", 13, "$..[?(@.a =~ /x/)]"},
		{"$..[?(@.a =~ /a(/)]", 15, ""},
		{"$..[?(@.a =~ /a(?=b)/)]", 15, ""},
		{"$..[?(@.a =~ /(a)\\1/)]", 17, ""},
		{"$[?(@" + strings.Repeat("[?(@", maxNesting), 4*maxNesting + 3, ""},
	} {
		p, fault := Parse(c.path)
		if fault == nil {
			t.Errorf("%s: read as %s", c.path, p)
			continue
		}
		if fault.At != c.at || fault.Fix != c.fix || fault.Error() == "" {
			t.Errorf("%s: at %d %q, fix %q; want at %d, fix %q", c.path, fault.At, fault.Message, fault.Fix, c.at, c.fix)
		}
	}
}

// TestDoubts: valid paths that hardly mean what they say.
func TestDoubts(t *testing.T) {
	for path, want := range map[string]string{
		"$.a[-1]": "$.a[-1:]", "$.a[-2].b": "$.a[-2:-1].b", " a": "a", "$..[0]": "", "$[0,-1]": "", "$[1,5:7]": "", "$[1:2:3:4]": "", "$[1,*]": "", "$['a',xb']": "",
		"$[?(@.a == 'x' @.b)]": "",
	} {
		p, fault := Parse(path)
		switch {
		case fault != nil:
			t.Errorf("%s: %s", path, fault.Message)
		case len(p.Doubts) != 1 || p.Doubts[0].Fix != want || p.Doubts[0].Message == "":
			t.Errorf("%s: %+v", path, p.Doubts)
		}
	}
	for _, path := range []string{"$", "$.a['b'][0][-1:].*..c[?(@.d == 1 && @['e f'] =~ /x/)]", "Body", "$(0)"} {
		if p, _ := Parse(path); len(p.Doubts) > 0 {
			t.Errorf("%s: %+v", path, p.Doubts)
		}
	}
}

// TestString: what is printed, which shows what is read.
func TestString(t *testing.T) {
	for path, want := range map[string]string{
		"": "$", "  ": "$", "$": "$", "a": "$.a", "$ ": "$['$']", "$.a. ": "$.a", "$a.b": "$['$a'].b", "$.a\n": "$.a", "$.a\n.b": `$['a\n'].b`, "$.*\t": "$.*", "$...a": "$..a",
		"$( 0 )": "$['$'][0]", "$[ 'a' , 'b' ]": "$['a','b']", "$[01]": "$[1]", "$[-0]": "$[0]", "$[:]": "$[:]", "$[::]": "$[:]", "$[1 :2: 3 ]": "$[1:2:3]", "$..[1]": "$[1]", "$..['a b']": "$..['a b']",
		"$[1,5:7]": "$[1,7]", "$[1:2:3:4]": "$[1:2:4]", "$[1:*]": "$[*]", "$['*']": "$['*']", "$['']": "$['']", `$['\'\\\/\"']`: `$['\'\\/"']`,
		"$[?(@)]": "$[?(@)]", "$[?( @a&&@.b||$c )]": "$[?(@.a && @.b || $.c)]", "$[?(@a||@b&&@c&&@d)]": "$[?(@.a || @.b && @.c && @.d)]", "$[?(@a &&|| @b)]": "$[?(@.a && @.a || @.b)]",
		"$[?(@<>1 )]": "$[?(@ != 1)]", "$[?(-0 ===-0.0)]": "$[?(0 === -0.0)]", "$[?(1,000.5 == 1e400)]": "$[?(1000.5 == 1e999)]", "$[?(-1e999 == 1e21)]": "$[?(-1e999 == 1e+21)]", "$[?(100.0 == 5\n)]": "$[?(100.0 == 5)]",
		"$[?('a''b')]": "$[?('b')]", "$[?('a' == 'b''c')]": "$[?('c')]", "$[?(@a =~ /x/ix)]": "$[?(@.a =~ /x/ix)]", "$[?(@a=='it\\'s')]": `$[?(@.a == 'it\'s')]`,
		"$[?(true!==null)]": "$[?(true !== null)]", "$[?(@a|| @b == 1 @c)]": "$[?(@.a || @.c)]",
	} {
		p, fault := Parse(path)
		if want == "$[?('b')]" { // two texts need an operator between them
			if fault == nil {
				t.Errorf("%s: read as %s", path, p)
			}
			continue
		}
		if fault != nil {
			t.Errorf("%s: %s at %d", path, fault.Message, fault.At)
		} else if p.String() != want {
			t.Errorf("%s: printed %s, want %s", path, p, want)
		}
	}
}

// FuzzParse: what is read is printed so that it reads the same; a fault has a
// place, and a fix that is valid.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"$", "$.a['b',\"c\"][0,1][1:2:3]..*[*]", "$..[?(@.a == 'x\\n' && $.b =~ /a|b/i || @[?(@ > 1.5e3)])]", "$[?@.a]", "$.heart rate", "$[?(@k==1&&@v)]", "$['\\u0061']", "$[?(@ =~ /[a-z-[b]]{2,}?(?i:x)\\d$/)]",
		"$[?(@.a == \"x\")]", "$['a", "$ ", "\xff", "$[?(1,0.5 == -1e999)]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, fault := Parse(s)
		if fault != nil {
			if fault.At < 0 || fault.At > len(s) || fault.Message == "" {
				t.Fatalf("%q: %+v", s, fault)
			}
			if fault.Fix == "" {
				return
			}
			if p, fault = Parse(fault.Fix); fault != nil {
				t.Fatalf("%q: the fix %+v is not valid", s, fault)
			}
		}
		text := p.String()
		again, fault := Parse(text)
		if fault != nil {
			t.Fatalf("%q is printed %q: %s at %d", s, text, fault.Message, fault.At)
		}
		if again.String() != text {
			t.Fatalf("%q is printed %q, then %q", s, text, again)
		}
		plain(p.Steps)
		plain(again.Steps)
		if !reflect.DeepEqual(p.Steps, again.Steps) {
			t.Fatalf("%q and %q are not equal:\n%+v\n%+v", s, text, p.Steps, again.Steps)
		}
	})
}

// plain removes what may differ between equal paths: places, the spelling of
// numbers, and the room that a list has left.
func plain(steps []Step) {
	for i := range steps {
		steps[i].At, steps[i].List = 0, slices.Clip(steps[i].List)
		if steps[i].Filter != nil {
			steps[i].Filter.plain()
		}
	}
}

func (f *Filter) plain() {
	f.At = 0
	for _, part := range f.Parts {
		part.plain()
	}
	for _, o := range []*Operand{&f.Left, &f.Right} {
		o.At = 0
		if o.Kind == tape.Float || o.Kind == tape.Int {
			o.Text, o.value.text = "", nil
		}
		plain(o.Path)
	}
}
