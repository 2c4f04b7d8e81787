package mapfile

import (
	"fmt"
	"strings"
	"testing"
)

// told writes what a report says, one fault a line.
func told(r *Report) string {
	var b strings.Builder
	for _, e := range r.Errors() {
		fmt.Fprintf(&b, "%d:%d %s: %s\n", e.Line, e.Column, e.Message, e.Fix)
	}
	return b.String()
}

// write prints a tree as JSON in one line.
func write(v *Value) string {
	switch v.Kind {
	case Text:
		return fmt.Sprintf("%q", v.Text)
	case List:
		var items []string
		for _, it := range v.Items {
			items = append(items, write(it))
		}
		return "[" + strings.Join(items, ",") + "]"
	case Object:
		var members []string
		for _, m := range v.Members {
			members = append(members, fmt.Sprintf("%q:%s", m.Name, write(m.Value)))
		}
		return "{" + strings.Join(members, ",") + "}"
	}
	return v.Text
}

func TestParseReadsWhatPeopleWrite(t *testing.T) {
	for text, want := range map[string]string{
		`{"a": 1}`: `{"a":1}`,
		"\uFEFF/* a */ {bare_name$: 'it\\'s', // b\n 'x': [1, -2.5e3, true, false, null, {},], } // end": `{"bare_name$":"it's","x":[1,-2.5e3,true,false,null,{}]}`,
		`"\u00e9\ud83d\ude00\ud800x\/\\\"\b\f\n\r\t"`:                                                    `"` + "\u00e9\U0001F600\uFFFDx/\\\\\\\"\\b\\f\\n\\r\\t" + `"`,
		"'two\nlines'":                `"two\nlines"`,
		`[.5, 5., 0, -0.0, 1E+2]`:     `[.5,5.,0,-0.0,1E+2]`,
		"[1//x\n,2]/**/":              "[1,2]",
		`{"a":1,"A":2}`:               `{"a":1,"A":2}`,
		"{\r\n\t\"a\"\t:\r\n[ ]\r\n}": `{"a":[]}`,
	} {
		r := NewReport(text)
		v, ok := Parse(r)
		if !ok || r.Len() > 0 {
			t.Errorf("%s: %s", text, told(r))
		} else if got := write(v); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestParseSaysWhatIsMissing(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":1`:                        "1:7 the file ends before the { of line 1, column 1 is closed: write }\n",
		"{\n \"a\" 1}":                  "2:5 a colon is missing after \"a\": write \"a\": and the value\n",
		"[1,\n2":                        "2:2 the file ends before the [ of line 1, column 1 is closed: write ]\n",
		"[1 2\n3]":                      "1:3 a comma is missing: write , between two values\n1:5 a comma is missing: write , between two values\n",
		"{\"a\":\"x\"\n\"b\":[]\n}":     "1:9 a comma is missing: write , between two values\n",
		`{"a":"x`:                       "1:6 the text that begins here does not end: close it with \"\n",
		"{\"a\":\"x\n\"b\":\"y\"\n}":    "1:6 the text that begins here does not end on its line: if its quote is missing, close it; inside a text write a quote as \\\" and the end of a line as \\n\n2:2 a value ends here, but the text goes on: write a comma; inside a text write a quote as \\\"\n",
		`{"a":"Body."x y""}`:            "1:13 a value ends here, but the text goes on: write a comma; inside a text write a quote as \\\"\n",
		`["\q"]`:                        "1:3 \\q is no escape: write a backslash as \\\\; known are \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\u with four hex digits\n",
		`["\u00g0"]`:                    "1:3 \\u is no escape: write a backslash as \\\\; known are \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\u with four hex digits\n",
		"/* no end":                     "1:1 the comment that begins here does not end: write */ behind it\n",
		"[/*/ 1]":                       "1:2 the comment that begins here does not end: write */ behind it\n",
		"[1,\n 2]}":                     "2:4 unexpected text after the end of the mapping: remove it, or a closing brace or bracket before it\n",
		"[nul]":                         "1:2 \"nul\" is no value: write null\n",
		"[abc]":                         "1:2 \"abc\" is no value: put texts into quotes\n",
		"[010]":                         "1:2 \"010\" is no value: put texts into quotes\n",
		"{,}":                           "1:2 the name of a member is missing before ',': write \"name\": value\n",
		"[,]":                           "1:2 a value is missing before ',': write the value\n",
		"{\"a\":\n}":                    "1:6 the value of \"a\" is missing: write it after the colon\n",
		`{"a":[1}`:                      "1:8 } stands where the [ of line 1, column 6 must be closed with ]: write ]\n",
		"\n {\"\u00e9\u00e9\":1 2:3}":   "2:9 a comma is missing: write , between two values\n",
		"":                              "1:1 the file is empty: write a mapping\n",
		"//only a comment":              "1:1 the file is empty: write a mapping\n",
		"[\n\"\xff\"":                   "2:2 the file is not valid UTF-8: save it as UTF-8\n",
		strings.Repeat("[", 200):        "1:129 values are nested more than 128 deep: remove brackets\n",
		strings.Repeat(" ", MaxBytes+1): "1:1 the file is longer than 8388608 bytes: split the mapping\n",
	} {
		r := NewReport(text)
		Parse(r)
		if got := told(r); got != want {
			t.Errorf("%.60q:\n got %s\nwant %s", text, got, want)
		}
	}
}

// A place inside a text is found through its escapes.
func TestInside(t *testing.T) {
	text := ` "a\u00e9\"\ud83d\ude00\\z\ud800y" `
	r := NewReport(text)
	v, ok := Parse(r)
	if !ok {
		t.Fatal(told(r))
	}
	for _, c := range []struct{ char, source string }{
		{"a", `a\u`}, {"\u00e9", `\u00e9`}, {`"`, `\"`}, {"\U0001F600", `\ud83d\ude00`}, {`\`, `\\z`}, {"z", `z\ud`}, {"\uFFFD", `\ud800`}, {"y", `y"`},
	} {
		at := r.Inside(v, strings.Index(v.Text, c.char))
		if !strings.HasPrefix(text[at:], c.source) {
			t.Errorf("%q: byte %d, %s", c.char, at, text[at:])
		}
	}
	if at := r.Inside(v, len(v.Text)); at != v.End-1 {
		t.Errorf("the end of the text is at %d, not at its quote %d", at, v.End-1)
	}
	if at := r.Inside(&Value{Kind: Int, At: 3, End: 5, Text: "12"}, 1); at != 3 {
		t.Errorf("inside a number: %d", at)
	}
}

func TestExcerpt(t *testing.T) {
	long := strings.Repeat("x", 70) + "\u00e9|" + strings.Repeat("y", 70)
	for _, c := range []struct{ text, mark, want string }{
		{"one\n\ttwo: \tthree\r\nfour", "three", "\ttwo: \tthree\n\t     \t^"},
		{"\u00e9\u00e9|", "|", "\u00e9\u00e9|\n  ^"},
		{"\uFEFF{}", "{", "{}\n^"},
		{"a\x1b[31m|", "|", "a\uFFFD[31m|\n      ^"},
		{long, "|", cutMark + strings.Repeat("x", 59) + "\u00e9|" + strings.Repeat("y", 39) + " ...\n" + strings.Repeat(" ", 64) + "^"},
		{strings.Repeat("x", 10) + "|" + strings.Repeat("y", 200), "|", strings.Repeat("x", 10) + "|" + strings.Repeat("y", 39) + " ...\n" + strings.Repeat(" ", 10) + "^"},
		{strings.Repeat("\u20ac", 1000) + "|", "|", cutMark + strings.Repeat("\u20ac", 60) + "|\n" + strings.Repeat(" ", 64) + "^"},
	} {
		if got := excerpt(c.text, strings.Index(c.text, c.mark)); got != c.want {
			t.Errorf("got\n%s\nwant\n%s", got, c.want)
		}
	}
	if got := excerpt("ab", 2); got != "ab\n  ^" {
		t.Errorf("at the end: %q", got)
	}
}

func TestErrorsAreInTheOrderOfTheFile(t *testing.T) {
	r := NewReport("one\ntwo\nthree")
	r.Add(8, "/c", "third", "x")
	r.Add(4, "/b", "second", "")
	r.Add(4, "/b", "second too", "")
	want := "line 2, column 1: second\nline 2, column 1: second too\nline 3, column 1: third: x"
	if err := r.Err(); err == nil || err.Error() != want || len(Errors(err)) != 3 || Errors(err)[2].Pointer != "/c" {
		t.Errorf("got %v", err)
	}
	if err := NewReport("").Err(); err != nil || Errors(err) != nil {
		t.Errorf("an empty report: %v", err)
	}
}

func TestLintsKeepTheirRules(t *testing.T) {
	r := NewReport("one\ntwo")
	r.AddLint("second-rule", 4, "/b", "two", "write 2")
	r.AddLint("first-rule", 0, "/a", "one", "write 1")
	ls := r.Lints()
	if len(ls) != 2 || ls[0].Rule != "first-rule" || ls[1].String() != "line 2, column 1: two: write 2 (second-rule)" || ls[1].Excerpt != "two\n^" {
		t.Errorf("got %v", ls)
	}
	if r.Len() != 0 || r.Err() != nil {
		t.Error("a lint is no fault")
	}
}

func TestManyFaultsAreCounted(t *testing.T) {
	text := "[" + strings.Repeat("\n0 0,", MaxFaults+3) + "]"
	r := NewReport(text)
	if _, ok := Parse(r); !ok || r.Len() != MaxFaults+3 {
		t.Fatal(r.Len())
	}
	es := r.Errors()
	last := es[len(es)-1]
	if len(es) != MaxFaults+1 || last.Message != "3 more faults are not shown" || last.Line != MaxFaults+1 {
		t.Errorf("%d: %v", len(es), last)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"typeName", "typeMatchExpression", "deviceIdExpression", "values", "required"}
	for word, want := range map[string]string{
		"typename": "typeName", "typeNmae": "typeName", "typeMatchExpressionFake": "typeMatchExpression", "typeMatch": "typeMatchExpression",
		"deviceId": "deviceIdExpression", "type": "", "value": "values", "requierd": "required", "unit": "", "x": "", "": "",
		strings.Repeat("values", 20): "",
	} {
		if got := Nearest(word, names); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

// FuzzParse: every text is read or has a fault with a place, and positions point
// at what was read.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e3,'x\u0041',]} // b`, "[1 2\n3", `{a:"\ud83d\ude00"`, "\uFEFF{}", "\"a\nb\" x", "{'a':}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := NewReport(s)
		root, ok := Parse(r)
		if !ok && r.Len() == 0 {
			t.Fatal("refused without a fault")
		}
		for _, e := range r.Errors() {
			if e.Line < 1 || e.Column < 1 || e.Message == "" || strings.Count(e.Excerpt, "\n") != 1 {
				t.Fatalf("%+v", e)
			}
		}
		if ok {
			checkPositions(t, s, root)
		}
	})
}

func checkPositions(t *testing.T, s string, v *Value) {
	if v.At < 0 || v.End <= v.At || v.End > len(s) {
		t.Fatalf("%d to %d of %d", v.At, v.End, len(s))
	}
	if v.Kind == Text {
		if got := decode(s[v.At+1 : v.End-1]); got != v.Text {
			t.Fatalf("%q is not %q", got, v.Text)
		}
	} else if v.Text != "" && s[v.At:v.End] != v.Text {
		t.Fatalf("%q is not %q", s[v.At:v.End], v.Text)
	}
	for _, m := range v.Members {
		checkPositions(t, s, m.Value)
	}
	for _, it := range v.Items {
		checkPositions(t, s, it)
	}
}
