package mapping

import (
	"testing"
)

func TestNumberText(t *testing.T) {
	for in, want := range map[string]string{
		"72.10": "72.1", "72.0": "72", "-0.0": "-0", "0.5": "0.5", "1e16": "10000000000000000", "1e17": "1E+17", "1E5": "100000",
		"0.0001": "0.0001", "0.00001": "1E-05", "0.00000015": "1.5E-07", "-1e-7": "-1E-07", "1e400": "Infinity", "-1e400": "-Infinity",
		"1e-400": "0", "3.141592653589793238": "3.141592653589793", "100000000000000000000.5": "1E+20", "123456789012345678.0": "1.2345678901234568E+17",
		"12345678901234567890123.0": "1.2345678901234568E+22", "33.333333333333336": "33.333333333333336", "0.001": "0.001", "0.010": "0.01",
	} {
		d := mustLoad(t, anyValue)
		got, failures, err := mapAll(d.NewMapper(), anyMessage(`{"v":`+in+`}`))
		if err != nil || len(failures) > 0 || len(got) != 1 || len(got[0].Properties) != 1 || got[0].Properties[0].Value != want {
			t.Errorf("%s: got %v %v %v, want %s", in, got, failures, err, want)
		}
	}
}

// anyValue emits Body.v of any message.
const anyValue = `{"templateType":"CollectionContent","template":[{"templateType":"CalculatedContent","template":{"typeName":"t","typeMatchExpression":"$.Body",
"deviceIdExpression":"$.SystemProperties.d","timestampExpression":"$.SystemProperties.t","values":[{"valueName":"v","valueExpression":"$.matchedToken.v"}]}}]}`

func anyMessage(body string) *Message {
	return &Message{HasBody: true, Body: []byte(body), System: []Property{{Name: "d", Text: "dev"}, {Name: "t", Text: "2024-01-01T00:00:00Z"}}}
}

// valueOf maps a message and returns the text of its value, or what is wrong.
func valueOf(t *testing.T, m *Message) string {
	t.Helper()
	got, failures, err := mapAll(mustLoad(t, anyValue).NewMapper(), m)
	switch {
	case err != nil:
		return err.Error()
	case len(failures) > 0:
		return failures[0].Error()
	case len(got) == 1 && len(got[0].Properties) == 1:
		return got[0].Properties[0].Value
	}
	return "nothing"
}

func TestValueText(t *testing.T) {
	for in, want := range map[string]string{
		`"plain"`: "plain", `""`: "", `"a\u00e9\n\"\ud83d\ude00"`: "a\u00e9\n\"\U0001F600", `"\ud83d x"`: "\uFFFD x", `"\udc00"`: "\uFFFD",
		"true": "True", "false": "False", "null": "nothing", "[]": "nothing", "{}": "nothing", "-0": "0", "12": "12",
		"9223372036854775807": "9223372036854775807", "9223372036854775808": "nothing", "-9223372036854775808": "-9223372036854775808",
		`"2020-01-01T00:00:00Z"`: "01/01/2020 00:00:00", `"2020-01-01T23:30:00.5-01:00"`: "01/02/2020 00:30:00", `"2020-01-01T24:00:00"`: "01/02/2020 00:00:00",
		`"2020-01-01T00:00:00.12345678Z"`: "2020-01-01T00:00:00.12345678Z", `"2020-02-30T00:00:00Z"`: "2020-02-30T00:00:00Z", `"2020-01-01"`: "2020-01-01",
		`"\/Date(0)\/"`: "01/01/1970 00:00:00", `"/Date(-1000+0100)/"`: "12/31/1969 23:59:59", `"/Date(x)/"`: "/Date(x)/",
	} {
		if got := valueOf(t, anyMessage(`{"v":`+in+`}`)); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}
