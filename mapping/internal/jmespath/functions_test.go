package jmespath

import (
	"errors"
	"strings"
	"testing"

	"auscult/mapping/internal/tape"
)

// check answers expressions of a message. A wanted text begins with its kind;
// "nothing" is no answer, "error: x" an error whose text holds x.
func check(t *testing.T, message string, cases [][2]string) {
	t.Helper()
	for _, c := range cases {
		x, e := bound(t, c[0], message)
		r, err := e.Search(x, 0)
		got := "nothing"
		if err != nil {
			got = "error: " + err.Error()
		} else if r.OK {
			got = spell(e, r)
		}
		if part, ok := strings.CutPrefix(c[1], "error: "); ok && err != nil && strings.Contains(err.Error(), part) {
			continue
		}
		if got != c[1] {
			t.Errorf("%s: %s, want %s", c[0], got, c[1])
		}
	}
}

// spell prints a result as JSON; a date as what it is, a projection with a star.
func spell(e *Evaluator, r Result) string {
	if in, ok := e.t.DateOf(&e.t.Nodes[r.Node]); ok {
		return "date " + string(tape.AppendTime(nil, in.Ticks))
	}
	e.text = e.text[:0]
	e.writeJSON(e.load(r.Node))
	if r.Projection {
		return "*" + string(e.text)
	}
	return string(e.text)
}

func TestNumbers(t *testing.T) {
	check(t, `{"i":7,"n":-7,"f":2.5,"big":9223372036854775808,"max":9223372036854775807,"min":-9223372036854775808,"s":"x","list":[3,1,2],"mixed":[3,2.5],"flags":[true,false,true]}`, [][2]string{
		{"add(i, n)", `0`},
		{"add(i, f)", `9.5`},
		{"add(max, `1`)", `-9223372036854775808`},
		{"add(i, big)", `error: beyond 64 bits`},
		{"add(i, s)", `error: function add: argument 2 is a text, it must be a number`},
		{"add(none, i)", `error: function add: argument 1 is missing, it must be a number`},
		{"subtract(i, f)", `4.5`},
		{"multiply(i, `1.0`)", `7.0`},
		{"divide(`40`, `50`)", `0`},
		{"divide(n, `2`)", `-3`},
		{"divide(i, `2.0`)", `3.5`},
		{"divide(i, `0`)", `error: divided by 0`},
		{"divide(i, `0.0`)", `"Infinity"`},
		{"divide(min, `-1`)", `error: beyond 64 bits`},
		{"pow(`2`, `-1`)", `0`},
		{"pow(`2`, `62`)", `4611686018427387904`},
		{"pow(`2`, `63`)", `error: beyond 64 bits`},
		{"pow(`1.1`, `10`)", `2.5937424601000023`},
		{"abs(n)", `7`},
		{"abs(`-2.5`)", `2.5`},
		{"abs(`2147483648`)", `error: beyond 32 bits`},
		{"abs(&n)", `error: argument 1 is an expression`},
		{"ceil(f)", `3`},
		{"floor(n)", `-7`},
		{"ceil(`1e19`)", `error: beyond 64 bits`},
		{"sum(list)", `6`},
		{"sum(`[1.5, 1.5]`)", `3`},
		{"sum(`[]`)", `0`},
		{"sum(`[9223372036854775807]`)", `error: beyond 64 bits`},
		{"avg(list)", `2.0`},
		{"avg(`[]`)", `nothing`},
		{"avg(`[-0.0]`)", `-0.0`},
		{"sum(`[-0.0]`)", `0`},
		{"max(list)", `3`},
		{"max(mixed)", `3.0`},
		{"min(mixed)", `2.5`},
		{"max(`[]`)", `nothing`},
		{"max(`[1, \"a\"]`)", `error: holds a text`},
		{"max(`[\"a\", \"b\"]`)", `"b"`},
		{"sort(list)", `[1,2,3]`},
		{"sort(mixed)", `[2.5,3]`},
		{"sort(flags)", `[false,true,true]`},
		{"sort(`[2.5, 3, 1]`)", `[1,2.5,3]`},
		{"sort(`[2147483648]`)", `error: beyond 32 bits`},
		{"to_number('12')", `12`},
		{"to_number(' +12 ')", `12`},
		{"to_number('12.50')", `12.5`},
		{"to_number('.5')", `0.5`},
		{"to_number('1e400')", `"Infinity"`},
		{"to_number('nan')", `"NaN"`},
		{"to_number('\u00a0-Infinity\u2003')", `"-Infinity"`},
		{"to_number('\u00a05')", `nothing`},
		{"to_number('5\x00')", `5`},
		{"to_number('NaN\x00')", `nothing`},
		{"to_number('1,000')", `nothing`},
		{"to_number('0x10')", `nothing`},
		{"to_number('')", `nothing`},
		{"to_number('9223372036854775808')", `9.223372036854776E+18`},
		{"to_number(big)", `9223372036854775808`},
		{"to_number(list)", `nothing`},
		{"big > `1`", `error: beyond 64 bits`},
		{"big == `9223372036854775808`", `true`},
		{"`1` == `1.0`", `false`},
		{"`1` < `1.5`", `true`},
		{"`1` < s", `nothing`},
	})
}

func TestTexts(t *testing.T) {
	check(t, `{"s":"a\ud83d\ude00b","e":"tab\t\"\u2028\u0001'/","high":"\uffee","pair":"\ud83d\ude00","list":["b","a"],"o":{"b":1,"a":null},"v":1.0}`, [][2]string{
		{"length(s)", `4`},
		{"reverse('abc')", `"cba"`},
		{"reverse(pair)", `"` + "\ufffd\ufffd" + `"`},
		{"insertString(s, '-', `3`)", `"a` + "\U0001f600" + `-b"`},
		{"insertString(s, '-', `2`)", `"a` + "\ufffd-\ufffd" + `b"`},
		{"insertString(s, '-', `5`)", `error: argument 3 is 5, but the text has 4 characters`},
		{"insertString(s, '-', `-1`)", `error: argument 3 is -1`},
		{"insertString(s, '-', `1.0`)", `error: argument 3 is a decimal number, it must be an integer`},
		{"high > pair", `true`},
		{"sort([high, pair]) == [pair, high]", `true`},
		{"join(', ', list)", `"b, a"`},
		{"join(', ', `[\"a\", 1]`)", `error: argument 2 holds an integer`},
		{"join(', ', `[]`)", `""`},
		{"contains(s, 'b')", `true`},
		{"contains('a5', `5`)", `true`},
		{"contains('True', `true`)", `true`},
		{"contains('a', none)", `error: argument 2 is missing`},
		{"contains(list, 'a')", `true`},
		{"contains(`[1]`, `1.0`)", `false`},
		{"contains(v, 'a')", `error: argument 1 is a decimal number`},
		{"starts_with(s, 'a')", `true`},
		{"ends_with(s, `1`)", `error: argument 2 is an integer`},
		{"to_string(o)", `"{\"b\":1,\"a\":null}"`},
		{"to_string(v)", `"1.0"`},
		{"to_string(none)", `"null"`},
		{"to_string([e])", `"[\"tab\\t\\\"\\u2028\\u0001'/\"]"`},
		{"keys(o)", `["b","a"]`},
		{"values(o)", `[1,null]`},
		{"length(o)", `2`},
		{"merge(o, {a: 'x', c: list})", `{"b":1,"a":"x","c":["b","a"]}`},
		{"merge(o, {b: none})", `{"b":1,"a":null}`},
		{"merge({x: list}, {x: list})", `{"x":["b","a","b","a"]}`},
		{"merge(o, list)", `error: argument 2 is an array`},
		{"not_null(none, o.a, list)", `["b","a"]`},
		{"type(none)", `"null"`},
		{"type(`1`)", `"number"`},
		{"sort_by(`[{\"k\":2},{\"k\":1.5}]`, &k)", `[{"k":1.5},{"k":2}]`},
		{"sort_by(`[{\"k\":2},{\"k\":\"a\"}]`, &k)", `error: numbers and texts`},
		{"sort_by(list, 'a')", `error: argument 2 is a text, it must be an expression`},
		{"max_by(`[{\"k\":\"1,000\"},{\"k\":2}]`, &k)", `{"k":"1,000"}`},
		{"max_by(`[{\"k\":1,\"n\":1},{\"k\":1,\"n\":2}]`, &k).n", `2`},
		{"max_by(`[]`, &k)", `error: the array is empty`},
		{"map(&@.x, `[{\"x\":1},{}]`)", `[1,null]`},
		{"to_array(list)", `["b","a"]`},
		{"to_array(none)", `[null]`},
		{`"\\n"`, `nothing`},
	})
}

func TestDates(t *testing.T) {
	check(t, `{"d":"2020-01-02T03:04:05.5Z","zone":"2020-01-02T05:04:05.5+02:00","later":"2021-01-01T00:00:00Z","s":"x"}`, [][2]string{
		{"d", `date 2020-01-02T03:04:05.5Z`},
		{"type(d)", `"string"`},
		{"length(d)", `19`},
		{"reverse(d)", `"50:40:30 0202/20/10"`},
		{"starts_with(d, '01/02/2020')", `true`},
		{"ends_with(d, '03:04:05')", `true`},
		{"join('|', [d, 'x'])", `"01/02/2020 03:04:05|x"`},
		{"contains(d, '2020')", `false`},
		{"contains([d], d)", `true`},
		{"insertString(d, 'x', `0`)", `error: argument 1 is a date, it must be a text`},
		{"to_string(d)", `date 2020-01-02T03:04:05.5Z`},
		{"to_string([d, zone])", `"[\"2020-01-02T03:04:05.5Z\",\"2020-01-02T03:04:05.5+00:00\"]"`},
		{"not_null(none, d)", `date 2020-01-02T03:04:05.5Z`},
		{"to_number(d)", `nothing`},
		{"d == zone", `true`},
		{"d == `\"2020-01-02T03:04:05.5Z\"`", `true`},
		{"d == '2020-01-02T03:04:05.5Z'", `false`},
		{"d < later", `false`}, // by the texts, which begin with the day of the year
		{"d > `null`", `true`},
		{"max([d, later])", `"01/02/2020 03:04:05"`},
		{"sort([d, later])[0]", `date 2021-01-01T00:00:00Z`},
		{"sort_by([later, d], &@)[0]", `date 2020-01-02T03:04:05.5Z`},
		{"sort_by([d, s], &@)", `error: dates and other texts`},
		{"fromUnixTimestamp(`1625677200`)", `date 2021-07-07T17:00:00Z`},
		{"fromUnixTimestampMs(`-1`)", `date 1969-12-31T23:59:59.999Z`},
		{"fromUnixTimestamp(`253402300800`)", `error: beyond the years`},
		{"fromUnixTimestampMs(`1.0`)", `error: argument 1 is a decimal number, it must be an integer`},
		{"to_string(fromUnixTimestamp(`0`))", `date 1970-01-01T00:00:00Z`},
	})
}

func TestProjections(t *testing.T) {
	check(t, `{"list":[{"a":1},{"a":null},{"b":2},null,{"a":{"b":[3,4]}}],"nested":[[1,[2]],[],3,null],"o":{"x":{"a":1},"y":2,"z":null},"n":null}`, [][2]string{
		{"list[*].a", `*[1,null,{"b":[3,4]}]`}, // a null that was found stays
		{"list[*].a.b", `*[[3,4]]`},
		{"list[*].a.b[0]", `*[3]`},
		{"list[*].a | [0]", `1`},
		{"(list[*].a)[0]", `*[]`}, // parentheses do not end a projection
		{"list[?a].a", `*[1,{"b":[3,4]}]`},
		{"list[?!a]", `*[{"a":null},{"b":2},null]`},
		{"list[1:4].a", `*[null]`},
		{"nested[]", `*[1,[2],3]`},
		{"nested[][]", `*[1,2,3]`},
		{"nested[*][0]", `*[1]`},
		{"nested[*][*]", `*[[1,[2]],[]]`},
		{"o.*", `*[{"a":1},2,null]`},
		{"o.*.a", `*[1]`},
		{"o[*]", `nothing`},
		{"list.*", `nothing`},
		{"list[*].[a]", `*[[1],[null],[null],[{"b":[3,4]}]]`},
		{"list[*].{x: a}[]", `*[{"x":1},{"x":null},{"x":null},{"x":{"b":[3,4]}}]`},
		{"[n, none]", `[null,null]`},
		{"n", `null`},
		{"none", `nothing`},
		{"n.x", `null`}, // a null that was found ends a chain and stays
		{"none || list[*].b", `*[2]`},
		{"list[*].none || 'x'", `"x"`},
		{"list[-7::3] | length(@)", `2`}, // a start before the array keeps its step
		{"nested[9::-2]", `*[null,[]]`},
		{"nested[99999999999]", `[1,[2]]`},
		{"`[0, 1, 2]`[::-1]", `*[2,1,0]`},
		{"`[]`[*]", `*[]`},
		{"list[*].a.b[*]", `*[[3,4]]`},
		{"list[*].a.b[]", `*[3,4]`},
		{"to_array(@)[?o.x].o.y", `*[2]`},
	})
}

// TestEmptinessNeedsNoParts searches a message of whose scalars none is wanted.
func TestEmptinessNeedsNoParts(t *testing.T) {
	e := NewEvaluator(tape.New(tape.NewNameSet().Table()))
	e.t.Reset([]byte(`[[ 1 ], [ ], {"a" : 1}, { }]`))
	for start, end := range map[int]int{1: 6, 8: 11, 13: 22, 24: 27} {
		k := tape.Array
		if start > 11 {
			k = tape.Object
		}
		e.t.Nodes = e.t.Nodes[:0]
		e.t.Push(k, start, end)
		if got, want := e.truth(e.load(0)), start == 1 || start == 13; got != want {
			t.Errorf("truth of %s: %v", e.t.Raw(&e.t.Nodes[0]), got)
		}
	}
}

// TestWorkIsBounded runs expressions whose results double again and again.
func TestWorkIsBounded(t *testing.T) {
	for _, s := range []string{
		"a" + strings.Repeat(" | [@, @][]", 100),
		"a" + strings.Repeat(" | join(',', [@, @])", 100),
		"a" + strings.Repeat(" | to_string([@, @])", 100),
		"a" + strings.Repeat(" | {x: @, y: @}", 100) + " | to_string(@)",
		"a" + strings.Repeat(" | {x: @, y: @}", 100) + " | @ == @",
		"a" + strings.Repeat(" | {x: @, y: @}", 100) + " | merge(@, @)",
		"a" + strings.Repeat(" | map(&[@, @], [@, @])", 100) + " | to_string(@)",
	} {
		x, e := bound(t, s, `{"a":"abc"}`)
		if _, err := e.Search(x, 0); !errors.Is(err, tape.ErrSteps) {
			t.Errorf("%.40s: %v, want %v", s, err, tape.ErrSteps)
		}
		if n := cap(e.made) + cap(e.stack) + cap(e.text)/16; n > 20_000_000 {
			t.Errorf("%.40s: room for %d values", s, n)
		}
	}
}
