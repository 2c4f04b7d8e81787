package jmespath

import "testing"

// varied are expressions over variedMessage that use all of the language.
var varied = []string{
	"a", "a.b", "@", "items[0]", "items[-1].name", "items[1:]", "items[::-1]", "items[*].name", "obj.*", "nested[]", "nested[][]",
	"items[?score > `1`]", "items[?contains(name, 'a')].name", "items[?!odd || score == `2.5`].{n: name, s: score}",
	"items[*].[name, score] | [0]", "to_array(@)[?a.b]", "a.b || 'none'", "items && a", "a == `{\"b\": 1}`", "obj != a",
	"`{\"x\": [1, 2.5, \"2020-01-01T00:00:00Z\"]}`", "name < escaped", "when > name", "when == `\"2020-01-01T00:00:00Z\"`",
	"abs(a.b)", "add(a.b, `1.5`)", "avg(numbers)", "ceil(items[2].score)", "divide(a.b, `2`)", "floor(items[2].score)",
	"max(numbers)", "min(items[*].name)", "multiply(to_number(text), `0.0254`)", "pow(a.b, `0.5`)", "subtract(a.b, a.b)", "sum(numbers)",
	"contains(numbers, `3`)", "length(@)", "length(escaped)", "map(&name, items)", "max_by(items, &score)", "min_by(items, &name2 || score)",
	"reverse(numbers)", "reverse(escaped)", "sort(numbers)", "sort(items[*].name)", "sort_by(items, &score)", "sort_by(items, &name)[0].name",
	"ends_with(escaped, 'x')", "starts_with(name, 'n')", "fromUnixTimestamp(`1`)", "fromUnixTimestampMs(ms)", "insertString(escaped, 'abc', `1`)",
	"join(', ', items[*].name)", "keys(obj)", "values(obj)", "merge(obj, a, {c: name})", "not_null(none, a)", "to_number(text)", "to_number(name)",
	"to_string(@)", "to_string(escaped)", "type(a)", "big", "items[?score == big]", "sort_by(@.mixed, &@)", "missing.more[*].x",
}

const variedMessage = `{"a":{"b":1},"name":"nn","escaped":"a\u00e9\n\ud83d\ude00x","when":"2020-01-01T00:00:00Z","text":" 70.5 ","ms":1678747561123,
	"items":[{"name":"b","score":3,"odd":true},{"name":"a","score":2.5,"odd":false},{"name":"\u0063","score":1.25,"odd":true}],
	"nested":[[1,[2]],[],[null,[3,4]],5],"obj":{"k\u0031":1,"k2":[1,2],"k3":null},"numbers":[3,1,2,5,4,9,8,7,6],"big":99999999999999999999,
	"mixed":[3,1.5,99999999999999999999,-99999999999999999999,2,1e30]}`

func TestSearchAllocatesNothing(t *testing.T) {
	for _, s := range varied {
		x, e := bound(t, s, variedMessage)
		nodes, side := len(e.t.Nodes), len(e.t.Side)
		var err error
		search := func() {
			e.t.Nodes, e.t.Side = e.t.Nodes[:nodes], e.t.Side[:side]
			_, err = e.Search(x, 0)
		}
		if n := testing.AllocsPerRun(20, search); n != 0 || err != nil {
			t.Errorf("%s: %v allocations, error %v", s, n, err)
		}
	}
}
