package console

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"auscult/schemas"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func rowOf(t *testing.T, s Standing, flags ...Flag) row {
	t.Helper()
	c := testConfig(nil)
	return c.wardOf([]Standing{s}, flags, Freshness{}, noon).rows[0]
}

// past makes windows of an hour that end at(0), each given by its bounds.
func past(all ...Bounds) []Past {
	out := make([]Past, len(all))
	for i, b := range all {
		b.Complete = b.Min == b.Max
		out[i] = Past{at(0) - schemas.Ticks(len(all)-1-i)*hour, b}
	}
	return out
}

func latest(recent []Past) *Standing {
	s := &Standing{Model: "m", Start: at(0) - hour, End: at(0), Recent: recent}
	if n := len(recent); n > 0 {
		s.Bounds = recent[n-1].Bounds
	}
	return s
}

func TestTrend(t *testing.T) {
	three, four, five, unsure := Bounds{Min: 3, Max: 3}, Bounds{Min: 4, Max: 4}, Bounds{Min: 5, Max: 5}, Bounds{Min: 2, Max: 6}
	skipped := past(three, four, five)
	skipped = append(skipped[:1], skipped[2:]...)
	for _, c := range []struct {
		recent []Past
		want   string
	}{
		{nil, ""}, {past(three), ""}, {past(three, five), "up 2 in 1 h"}, {past(three, five, four), "down 1 in 1 h"},
		{past(four, four), "steady"}, {past(unsure, four), ""}, {past(four, unsure), ""}, {skipped, ""},
	} {
		s := latest(c.recent)
		if got := trendOf(s, s.Recent).Text; got != c.want {
			t.Errorf("%v: %q, want %q", c.recent, got, c.want)
		}
	}
}

func TestChipsAreInTheChartsOrder(t *testing.T) {
	s := standing("x", "", 2, 8, [7]string{"21", "", "air", "118", "92", "A", "37"}, [7]float64{2})
	s.SubScores = append(s.SubScores, NamedScore{"lactate", 5})
	s.Inputs = append(s.Inputs, Input{Name: "lactate", Value: "4.1", Unit: "mmol/L"})
	var got []string
	for _, c := range chipsOf(&s) {
		got = append(got, c.Label+"="+c.Value+"/"+c.Level)
	}
	want := "RR=21 /min/2 SpO\u2082=missing/missing Air/O\u2082=air/0 SBP=118 mmHg/0 HR=92 /min/0 ACVPU=A/0 Temp=37 \u00b0C/0 lactate=4.1 mmol/L/3"
	if strings.Join(got, " ") != want {
		t.Errorf("chips\n got %s\nwant %s", strings.Join(got, " "), want)
	}
}

// A ward that runs misses its windows; a recording of years ago does not.
func TestStale(t *testing.T) {
	for end, want := range map[time.Duration]string{-2 * time.Hour: "", -4 * time.Hour: "4 h 4 min", -24 * 300 * time.Hour: ""} {
		s := Standing{Model: "news2", Start: at(end) - hour, End: at(end)}
		if got := staleSince(&s, noon); got != want {
			t.Errorf("a window that ended %s ago is stale since %q, want %q", -end, got, want)
		}
	}
}

func TestFlagsOfRow(t *testing.T) {
	s := standing("x", "high", 8, 8, [7]string{}, [7]float64{})
	r := rowOf(t, s, Flag{ID: "1", Patient: "id-x", Rule: "news2", Opened: at(-90 * time.Minute), MaxScore: 9},
		Flag{ID: "2", Patient: "id-x", Rule: "no-data", Device: "d", Technical: true, Opened: at(0)}, Flag{ID: "3", Patient: "another"})
	if len(r.Flags) != 2 {
		t.Fatalf("%d Flags", len(r.Flags))
	}
	if f := r.Flags[0]; f.Title != "NEWS2" || f.Lasting != "1 h 30 min" || f.Max != "9" || f.Since.Text != "10:30" {
		t.Errorf("the Flag is shown as %+v", f)
	}
	if f := r.Flags[1]; f.Kind != "technical" || f.Title != "No data" || f.Max != "" || f.Lasting != "" {
		t.Errorf("the technical Flag is shown as %+v", f)
	}
}

func TestModelIsNamedOnlyAmongSeveral(t *testing.T) {
	c := testConfig(nil)
	a, b := standing("x", "high", 8, 8, [7]string{}, [7]float64{}), standing("x", "low", 1, 1, [7]string{}, [7]float64{})
	b.Model = "sepsis"
	if r := rowOf(t, a); r.Model != "" {
		t.Errorf("the only model is called %q", r.Model)
	}
	rows := c.wardOf([]Standing{a, b}, nil, Freshness{}, noon).rows
	if rows[0].Model != "NEWS2" || rows[1].Model != "sepsis" || rows[0].ID == rows[1].ID {
		t.Errorf("rows of two models: %+v", rows)
	}
}

func TestSpark(t *testing.T) {
	one, eight := Bounds{}, Bounds{Min: 8, Max: 8}
	s := sparkOf(latest(past(one, Bounds{Min: 2, Max: 6}, Bounds{Min: 4, Max: 4}, eight)), 8)
	if s.Line != "M4.0 32.0M86.7 18.0L128.0 4.0" || s.Bands != "M45.3 25.0V11.0" || s.Y != "4.0" {
		t.Errorf("spark %+v", s)
	}
	gap := past(one, one, eight)
	if s := sparkOf(latest(append(gap[:1], gap[2:]...)), 8); s.Line != "M4.0 32.0M128.0 4.0" {
		t.Errorf("a window that was not scored is drawn over: %+v", s)
	}
	if s := sparkOf(latest(past(one)), 8); s != (spark{}) {
		t.Errorf("one window makes the picture %+v", s)
	}
}

// TestPages compares the pages of the test ward with what was reviewed.
func TestPages(t *testing.T) {
	s := New(testConfig(testWard()))
	s.hub.begin()
	s.hub.poll(context.Background())
	all, _ := s.hub.page()
	fragments, series, err := s.course(context.Background(), viewKey{"id-Bed 4", 8})
	if err != nil {
		t.Fatal(err)
	}
	if len(series) > 100_000 {
		t.Errorf("the drawing of 5 charts of 480 points has %d bytes", len(series))
	}
	golden(t, "ward.html", all)
	golden(t, "patient.html", fragments)
}

func golden(t *testing.T, name string, all []fragment) {
	t.Helper()
	var b strings.Builder
	for _, f := range all {
		checkHTML(t, f)
		fmt.Fprintf(&b, "== %s\n%s\n", f.id, f.html)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(b.String(), "\n")
	for i, line := range strings.Split(string(want), "\n") {
		if i >= len(got) || got[i] != line {
			t.Fatalf("%s differs in line %d (-update rewrites it)\n got %s\nwant %s", name, i+1, got[min(i, len(got)-1)], line)
		}
	}
}

// checkHTML makes sure that a fragment is one element that carries its id, and
// that nothing in it is inline style or script.
func checkHTML(t *testing.T, f fragment) {
	t.Helper()
	for _, bad := range []string{"<script", " style=", " onclick=", "javascript:", "ZgotmplZ"} {
		if strings.Contains(f.html, bad) {
			t.Errorf("%s contains %q", f.id, bad)
		}
	}
	tag, _, _ := strings.Cut(f.html, ">")
	if !strings.HasPrefix(tag, "<") || !strings.Contains(tag+" ", ` id="`+f.id+`"`) {
		t.Errorf("fragment %s begins with %s>", f.id, tag)
	}
	if last := f.html[strings.LastIndex(f.html, "<"):]; last != "</"+strings.Fields(tag[1:])[0]+">" {
		t.Errorf("fragment %s ends with %s", f.id, last)
	}
}
