package dotnet

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"auscult/schemas"
)

// FuzzFloatText: what is written always reads back as the same number.
func FuzzFloatText(f *testing.F) {
	for _, v := range []float64{0, 1, 0.1, 1e17, 123456789.125, 1e-5, math.MaxFloat64, math.SmallestNonzeroFloat64, 1e22} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v float64) {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return
		}
		text := string(AppendFloat(nil, v))
		if back, err := strconv.ParseFloat(text, 64); err != nil || back != v {
			t.Errorf("%v is written %s, which reads %v", v, text, back)
		}
		in := strconv.FormatFloat(v, 'f', -1, 64)
		if PlainFloat([]byte(in)) && in != text {
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
		"2023-03-13 22:46:01 EST": "", "13/13/2023": "", "2023-03-13Tx": "", "32 Mar 2023": "", "Mar": "", "2023-03-13 1": "",
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

// TestDateToken lists what Json.NET takes for a date while it reads a text.
func TestDateToken(t *testing.T) {
	const second = "2023-03-13T22:46:01"
	for in, want := range map[string]string{
		second: "22:46:01 0", second + "Z": "22:46:01 1", second + "z": "22:46:01 1", second + "+02": "20:46:01 2", second + "-0730": "06:16:01 2", second + "+02:60": "19:46:01 2", second + "+99:99": "18:07:01 2",
		second + ".5": "22:46:01.5 0", second + ".1234567-00:00": "22:46:01.1234567 2",
		second + "+02:": "20:46:01 2", second + ":": "22:46:01 0", second + ":30": "22:46:01 0", second + "30": "22:46:01 0", second + ".123456789": "22:46:01.1234567 0", second + ".5:": "22:46:01.5 0",
		second + "+2": "", second + "+2:00": "", second + "+02:0": "", second + "+020": "", second + "+02:000": "", second + "ZZ": "", second + " Z": "", second + ":1": "", second + ".": "", second + ".Z": "",
		second + ".12345678": "", second + ".123456789Z": "", second + ".1234567890": "", second + "X02": "", "2023-03-13t22:46:01": "", "2023-03-13T24:00:01": "", "2023-03-13T22:46": "", "2023-02-29T22:46:01": "",
		"/Date(1678747561000)/": "22:46:01 1", "/Date(1678747561000+0200)/": "22:46:01 2", "/Date(1678747561000-02)/": "22:46:01 2", "/Date(-1)/": "23:59:59.999 1",
		"/Date()/": "", "/Date(1.5)/": "", "/Date(1+2)/": "", "/Date(1)/ ": "",
	} {
		got := ""
		if d, ok := DateToken([]byte(in)); ok {
			got = fmt.Sprintf("%s %d", strings.TrimSuffix(d.Ticks.String()[len("2023-03-13T"):], "Z"), d.Zone)
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// TestLenientTime lists what .NET's DateTime.Parse makes of texts in the
// invariant culture. Where it takes today's date or year, nothing is wanted.
func TestLenientTime(t *testing.T) {
	const day, evening = "2023-03-13T00:00:00Z", "2023-03-13T22:46:01Z"
	for want, ins := range map[string][]string{
		day: {
			"2023-03-13", "2023-3-13", "2023/03/13", "2023.03.13", "2023 03 13", "3/13/2023", "03-13-2023", "3/13/23", "03.13.2023", "3,13,2023",
			"13 Mar 2023", "13-Mar-2023", "13-mar-23", "13/Mar/2023", "13 Mar, 2023", "Mar 13, 2023", "March 13 2023", "Mar-13-2023", "2023 Mar 13", "2023-Mar-13",
			"Mon 13 Mar 2023", "Monday, March 13, 2023", "13 Mar 2023 AD", "002023-03-13", "2023-03-13Z", "2023-03-13 GMT",
		},
		evening: {
			"2023-03-13 22:46:01", "2023-03-13  22:46:1", "2023-03-13, 22:46:01", "22:46:01 2023-03-13", "22:46:01 13 Mar 2023", "2023-03-13t22:46:01", "2023-03-13 T 22 : 46 : 01 Z",
			"3/13/2023 10:46:01 PM", "3/13/2023 10:46:01pm", "3/13/2023 22:46:01 PM", "2023-03-13 22:46:01 gmt", "2023-03-13 22:46:01\u00A0Z", "Mon, 13 Mar 2023 22:46:01 GMT",
			"2023-03-14 00:46:01 +02:00", "2023-03-14 00:46:01+2", "2023-03-14T00:46:01+2:00", "2023-03-14T00:46:01+200", "2023-03-14T00:46:01 +02:0", "2023-03-13 17:46:01-0500",
			"2023-03-14 10:46:01 AM +12", "2023-03-13T22:46:01.00000004",
		},
		"2023-03-13T22:00:00Z":         {"2023-03-13 10 PM", "10PM 3/13/2023", "2023-03-13T22:00", "2023-03-14+02:00", "2023-03-14 +02:00"},
		"2023-03-13T00:46:00Z":         {"2023-03-13 12:46 AM", "2023-03-13 0:46"},
		"2023-03-01T00:00:00Z":         {"2023-03", "2023/3", "3/2023", "Mar 2023", "March, 2023", "2023 March", "2023-Mar"},
		"2013-03-01T00:00:00Z":         {"13 Mar", "13 March"},
		"2003-01-02T00:00:00Z":         {"01/02/03"},
		"2049-12-31T00:00:00Z":         {"12/31/49"},
		"1950-12-31T00:00:00Z":         {"12/31/50"},
		"0023-03-13T00:00:00Z":         {"023-03-13"},
		"2023-03-13T22:46:01.1234568Z": {"2023-03-13 22:46:01.12345678", "2023-03-13T22:46:01.123456789", "2023-03-13 22:46:01.1234567890123456789Z"},
		"2023-03-13T22:46:01.5Z":       {"2023-03-13 22:46:01.5", "2023-03-13T22:46:01.5 Z", "2023-03-14 04:16:01.5 +05:30"},
		"0001-01-01T23:00:00Z":         {"0001-01-01 00:00:00 +01:00"},
		"": {
			"13/3/2023", "13.03.2023", "2023-13-01", "2023-02-29", "0000-01-01", "10000-01-01", "2023", "2023-072", "20230313", "20230313T224601Z", "123456789", "5", "1.5", "-1",
			"10:00", "22:46:01", "10 PM", "Mar", "Mar 13", "3/13", "Monday", "now", "noon", "Sept 13, 2023", "13th March 2023", "Marchy 13 2023", "Tue, 13 Mar 2023", "Mon Mar 13 22:46:01 2023",
			"2023-03-13 24:00", "2023-03-13 22:60", "2023-03-13 22:46:60", "2023-03-13 22.46.01", "2023-03-13 22:46:01,5", "2023-03-13 22", "2023-03-13 13:00 AM", "2023-03-13 10:46 PM PM",
			"2023-03-13T22", "2023-03-13T2:46", "2023-03-13T22:4:01Z", "2023-03-13T22:46:1Z", "2023-03-13T22:46:01.", "2023-03-13T22:46:01.Z", "2023-03-13T22:46:01,5Z", "2023-03-13T22:46:01 GMT", "2023-03-13T22:46:01ZZ",
			"3/13/2023T22:46:01", "2023-03-13_22:46:01", "2023-03-13 22:46 UTC", "2023-03-13 22:46 GMT+2", "2023-03-13 22:46Z +02:00", "2023-03-13 22:46 +15:00", "2023-03-13 22:46 +02:60", "2023-03-13 22:46 +02:",
			"2023-03-13 22:46 +", "2023-03-13 22:46 +20000", "9999-12-31 23:59:59 -01:00", "9999-12-31T23:59:59.99999999", "2023-03-13 2023-03-13", "2023-03-13 Mar 2023", "Mar Mar 2023", "1/2/3/4", "\u0662023-03-13", "",
		},
	} {
		for _, in := range ins {
			got := ""
			if ticks, ok := LenientTime(in); ok {
				got = ticks.String()
			}
			if got != want {
				t.Errorf("%q: got %q, want %q", in, got, want)
			}
		}
	}
}

func TestLenientTimeAllocates(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { LenientTime("Mon, 13 Mar 2023 22:46:01.12345678 +0200") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzParseTime: no text crashes it, and every instant it reads can be written
// and read again.
func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"2023-03-13T22:46:01Z", "Mon, 13 Mar 2023 22:46:01 GMT", "/Date(1)/", "3/5/2023 12:00:01 am +01:00", "13-Mar-23", "2023 March", "22:46 3/2023 A.D."} {
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
