package mapping

import (
	"math"
	"strconv"
	"testing"
	"time"

	"auscult/schemas"
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

// FuzzFloatText: what is written always reads back as the same number.
func FuzzFloatText(f *testing.F) {
	for _, v := range []float64{0, 1, 0.1, 1e17, 123456789.125, 1e-5, math.MaxFloat64, math.SmallestNonzeroFloat64, 1e22} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v float64) {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return
		}
		text := string(appendFloat(nil, v))
		if back, err := strconv.ParseFloat(text, 64); err != nil || back != v {
			t.Errorf("%v is written %s, which reads %v", v, text, back)
		}
		in := strconv.FormatFloat(v, 'f', -1, 64)
		if plainFloat([]byte(in)) && in != text {
			t.Errorf("%s is called plain, but .NET writes %s", in, text)
		}
	})
}

func TestParseTime(t *testing.T) {
	for in, want := range map[string]string{
		"2023-03-13T22:46:01Z": "2023-03-13T22:46:01Z", "2023-03-13T22:46:01+02:60": "2023-03-13T19:46:01Z", "2023-03-13T22:46:01+02": "2023-03-13T20:46:01Z",
		"2023-03-13t22:46:01z": "2023-03-13T22:46:01Z", "2023-03-13": "2023-03-13T00:00:00Z", "2023-03": "2023-03-01T00:00:00Z",
		"03/13/2023 10:46 PM": "2023-03-13T22:46:00Z", "3/5/2023 12:00:01 am": "2023-03-05T00:00:01Z", "Mon, 13 Mar 2023 22:46:01 GMT": "2023-03-13T22:46:01Z",
		"Tue, 13 Mar 2023 22:46:01 GMT": "", "Jan 1, 2020": "2020-01-01T00:00:00Z", "13 March 2023 22:46:01": "2023-03-13T22:46:01Z",
		"2023-03-13T22:46:01.99999999Z": "2023-03-13T22:46:02Z", "2023-03-13T22:46:01.Z": "", "0001-01-01T00:00:00+01:00": "0001-01-01T00:00:00Z",
		"9999-12-31T23:59:59.9999999-01:00": "9999-12-31T23:59:59.9999999Z", "10:00": "", "": "", "2023": "", "1678747561": "", "2023-03-13T25:00": "",
		"2023-03-13 22:46:01 EST": "", "13/13/2023": "", "2023-03-13Tx": "", "32 Mar 2023": "", "Mar": "", "13 Mar": "", "2023-03-13 1": "",
	} {
		got := ""
		if ticks, ok := ParseTime(in); ok {
			got = ticks.String()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// FuzzParseTime: no text crashes it, and every instant it reads can be written
// and read again.
func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"2023-03-13T22:46:01Z", "Mon, 13 Mar 2023 22:46:01 GMT", "/Date(1)/", "3/5/2023 12:00:01 am +01:00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ticks, ok := ParseTime(s)
		if !ok {
			return
		}
		if again, ok := ParseTime(ticks.String()); !ok || again != ticks {
			t.Errorf("%q reads %s, which reads %s", s, ticks, again)
		}
	})
}

// TestCalendar checks days against the standard library, over all years.
func TestCalendar(t *testing.T) {
	for day := 0; day < 3_652_059; day += 11 {
		at := time.Date(1, 1, 1+day, 0, 0, 0, 0, time.UTC)
		if got := daysBefore(at.Year(), int(at.Month()), at.Day()); got != schemas.Ticks(day) || !validDay(at.Year(), int(at.Month()), at.Day()) {
			t.Fatalf("%s: day %d, want %d", at, got, day)
		}
	}
}
