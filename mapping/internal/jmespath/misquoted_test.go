package jmespath

import "testing"

func TestMisquoted(t *testing.T) {
	for _, c := range []struct{ in, fix string }{
		{`items[?unit == "inches"].v`, `items[?unit == 'inches'].v`},
		{`"kg" != unit`, `'kg' != unit`},
		{`join(", ", names)`, `join(', ', names)`},
		{`starts_with(name, "it's")`, `starts_with(name, 'it\'s')`},
		{"\"heart-rate\" == `60`", ""},
		{`"heart-rate" == rate`, ""},
		{`"a"."b" == 'c'`, ""},
		{`contains("names", 'a')`, ""},
	} {
		x, fault := Parse(c.in)
		if fault != nil {
			t.Fatal(c.in, fault.Message)
		}
		fix := ""
		for _, f := range x.Misquoted() {
			fix = f.Fix
		}
		if fix != c.fix {
			t.Errorf("%s: fix %q, want %q", c.in, fix, c.fix)
		}
	}
}
