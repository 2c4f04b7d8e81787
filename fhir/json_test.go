package fhir

import (
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
)

func TestJSONKeepsWhatItReads(t *testing.T) {
	for in, want := range map[string]string{
		`{"b":1.50,"a":[true,null,-0.0,1E+5],"b2":""}`: "",
		`"\u00e9\ud83d\ude00\ud800x\u0001\/\\\""`:      "\"\u00e9\U0001F600\uFFFDx\\u0001/\\\\\\\"\"",
		` { "a" : { } , "l" : [ ] } `:                  `{"a":{},"l":[]}`,
		`"\u000a\r"`:                                   `"\n\r"`,
		"\"\u2028\xff\"":                               "\"\u2028\uFFFD\"",
		`"\ud800\u0041"`:                               "\"\uFFFDA\"",
	} {
		n, err := parseJSON(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if want == "" {
			want = in
		}
		if got := string(n.bytes()); got != want {
			t.Errorf("%s: got %s", in, got)
		}
	}
}

func TestJSONRefusesWithAPlace(t *testing.T) {
	for in, offset := range map[string]int{
		``: 0, `{`: 1, `[1,]`: 3, `[1 2]`: 3, `{"a" 1}`: 5, `{a:1}`: 1, `'x'`: 0, `01`: 0, `1.`: 0, `-`: 0, `1e`: 0, `"a`: 0,
		"\"a\nb\"": 2, `"\x"`: 1, `"\u00g0"`: 1, `"\u00`: 1, `tru`: 0, `{} x`: 3, `// c`: 0, `nan`: 0,
		strings.Repeat("[", maxDepth+2): maxDepth + 1,
	} {
		_, err := parseJSON(in)
		var syntax *syntaxError
		if !errors.As(err, &syntax) || syntax.offset != offset {
			t.Errorf("%.20s: %v, want byte %d", in, err, offset)
		}
	}
}

// The standard library is the oracle for what is JSON.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e3,"x\u0041"]}`, `[-0]`, `"\ud83d\ude00"`, `{"a":{"a":null}}`, `[01]`, "\"\x01\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := parseJSON(s)
		if valid := json.Valid([]byte(s)); valid != (err == nil) && !strings.Contains(s, strings.Repeat("[", 30)) && !strings.Contains(s, strings.Repeat("{", 10)) {
			t.Fatalf("valid %v, error %v", valid, err)
		}
		if err != nil {
			return
		}
		out := n.bytes()
		again, err := parseJSON(string(out))
		if err != nil || !json.Valid(out) || string(again.bytes()) != string(out) {
			t.Fatalf("%q became %q: %v", s, out, err)
		}
	})
}

func TestDecimal(t *testing.T) {
	for in, want := range map[string]string{
		"22.40": "22.40", "7": "7", "+7": "7", "-7": "-7", "5 -": "-5", "5+": "5", " 5\t": "5", ".5": "0.5", "5.": "5", "00022.40": "22.40",
		"-0.00": "0.00", "1,234.50": "1234.50", "1,234,567": "1234567", "22.40\x00": "22.40", "0": "0", "-.5": "-0.5",
		"36.599999999999994":               "36.599999999999994",
		"79228162514264337593543950335":    "79228162514264337593543950335",
		"12345678901234567890123456789.5":  "12345678901234567890123456790",
		"0.00000000000000000000000000005":  "0.0000000000000000000000000000",
		"0.00000000000000000000000000015":  "0.0000000000000000000000000002",
		"0.000000000000000000000000000051": "0.0000000000000000000000000001",
		"":                                 "", "-": "", "+-5": "", "--5": "", "(5)": "", "1e3": "", "NaN": "", "0x1F": "", "1'000": "", "1 000": "", "22,40": "", "1,,2": "",
		"5,": "", ",5": "", "1.2,3": "", "- 5": "", "1.2.3": "", "\u00a05": "", "٣": "", ".": "", "79228162514264337593543950336": "",
		strings.Repeat("1", maxNumberBytes+1): "",
	} {
		got, ok := decimal(in)
		if got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v", in, got, ok)
		}
	}
}

func TestSameNumber(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"22.4", "22.40", true}, {"0", "-0.00", true}, {"1E3", "1000", true}, {"1e-2", "0.01", true}, {"100", "1E+2", true},
		{"1", "-1", false}, {"22.4", "22.41", false}, {"1E999999999", "1E999999998", false}, {"10", "1", false},
	} {
		if sameNumber(c.a, c.b) != c.same {
			t.Errorf("%s and %s", c.a, c.b)
		}
	}
}

// big.Rat is the oracle for the comparison.
func FuzzSameNumber(f *testing.F) {
	f.Add("1.50", "1.5")
	f.Add("-1e2", "-100")
	f.Fuzz(func(t *testing.T, a, b string) {
		na, err := parseJSON(a)
		if err != nil || na.kind != numberKind || len(a) > 20 {
			t.Skip()
		}
		nb, err := parseJSON(b)
		if err != nil || nb.kind != numberKind || len(b) > 20 || strings.ContainsAny(a+b, "eE") && len(a+b) > 12 {
			t.Skip()
		}
		ra, okA := new(big.Rat).SetString(na.text)
		rb, okB := new(big.Rat).SetString(nb.text)
		if okA && okB && sameNumber(na.text, nb.text) != (ra.Cmp(rb) == 0) {
			t.Fatalf("%s and %s", a, b)
		}
	})
}

func TestSameContent(t *testing.T) {
	for _, c := range []struct {
		stored, body string
		same         bool
	}{
		{`{"a":1}`, `{"a":1}`, true},
		{`{"meta":{"versionId":"3"},"b":2,"a":1.0}`, `{"a":1,"b":2}`, true},
		{`{"a":1,"text":{"status":"generated"}}`, `{"a":1}`, true},
		{`{"a":[1,2]}`, `{"a":[2,1]}`, false},
		{`{"a":1}`, `{"a":1,"b":null}`, false},
		{`{"a":"x "}`, `{"a":"x"}`, true},
		{`{"a":true}`, `{"a":false}`, false},
		{`{"a":{}}`, `{"a":[]}`, false},
		{`nonsense`, `{}`, false}, {`{}`, `nonsense`, false}, {`[1]`, `[2]`, false},
	} {
		if SameContent([]byte(c.stored), []byte(c.body)) != c.same {
			t.Errorf("%s and %s", c.stored, c.body)
		}
	}
}
