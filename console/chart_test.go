package console

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"auscult/schemas"
)

func panes(n int, step schemas.Ticks, value func(i int) string) []Pane {
	all := make([]Pane, n)
	for i := range all {
		start := at(0) + schemas.Ticks(i)*step
		v := value(i)
		all[i] = Pane{Start: start, End: start + minute, N: 1, Min: v, Max: v, Last: v}
	}
	return all
}

func TestThinKeepsExtremes(t *testing.T) {
	c := testConfig(nil)
	s := Series{Type: "HR", Name: "v", Panes: panes(3*MaxPoints, minute, func(i int) string {
		if i == 1000 {
			return "190"
		}
		return fmt.Sprint(60 + i%7)
	})}
	ch := c.chartOf(&s, &Course{From: at(0), To: at(0) + 36*hour}, noon)
	if len(ch.points) > MaxPoints || ch.Highest != "190" {
		t.Errorf("%d points up to %s", len(ch.points), ch.Highest)
	}
	if !slices.ContainsFunc(ch.points, func(p point) bool { return *p.high == 190 && *p.low < 70 }) {
		t.Error("the peak is not drawn")
	}
	if len(ch.Rows) > tableRows+1 {
		t.Errorf("the table has %d rows", len(ch.Rows))
	}
}

func TestTableOfChart(t *testing.T) {
	rows := rowsOf([]Pane{
		{Start: at(0), End: at(0) + minute, N: 2, Min: "9", Max: "80", Last: "70"},
		{Start: at(0) + minute, N: 0, Last: "5"}, // implausible values only
		{Start: at(0) + 2*minute, N: 1, Min: "100", Max: "100", Last: "100"},
		{Start: at(0) + hour, N: 1, Last: "Alert"},
	}, at(0), at(0)+8*hour, noon)
	got := fmt.Sprintf("%+v", rows)
	want := "[{From:{ISO:2026-03-05T13:00:00Z Text:13:00} Lowest: Highest: Last:Alert N:1} {From:{ISO:2026-03-05T12:00:00Z Text:12:00} Lowest:9 Highest:100 Last:100 N:3}]"
	if got != want {
		t.Errorf("rows\n got %s\nwant %s", got, want)
	}
}

func TestStepsFit(t *testing.T) {
	for _, span := range []schemas.Ticks{minute, hour, 8 * hour, 48 * hour, 9000 * hour} {
		if step := stepOf(span); span > tableRows*step {
			t.Errorf("%s in steps of %s", span.Duration(), step.Duration())
		}
	}
}

func TestWordsAreNotDrawn(t *testing.T) {
	c := testConfig(nil)
	s := Series{Type: "ACVPU", Name: "v", Panes: []Pane{{Start: at(0), End: at(0) + minute, N: 1, Last: "Alert"}}}
	course := Course{From: at(0), To: at(0) + hour, Series: []Series{s}}
	charts := c.chartsOf(&course, noon)
	if len(charts) != 1 || charts[0].Numbers || charts[0].Latest != "Alert" {
		t.Errorf("charts %+v", charts)
	}
	if d := c.drawingOf(&course, charts); len(d.Vitals) != 0 {
		t.Errorf("drawn: %+v", d.Vitals)
	}
}

func TestNumbersThatCannotBeDrawn(t *testing.T) {
	for _, text := range []string{"", "NaN", "Inf", "-inf", "1e999", "high"} {
		if f := parse(text); f != nil {
			t.Errorf("%q is %v", text, *f)
		}
	}
}

func TestDrawing(t *testing.T) {
	c := testConfig(nil)
	course := Course{From: at(0), To: at(0) + 2*hour, Flags: []Flag{
		{Rule: "news2", Opened: at(0) - hour}, {Rule: "news2", Opened: at(0) - 2*hour, Closed: at(0) - hour},
	}, Windows: []Window{
		{Model: "a", Start: at(0), End: at(0) + hour, Bounds: Bounds{2, 6, false}},
		{Model: "news2", Start: at(0), End: at(0) + hour, Bounds: Bounds{7, 7, true}, Risk: "high"},
	}}
	d := c.drawingOf(&course, nil)
	if len(d.Flags) != 1 || d.Flags[0] != (flagDrawing{"clinical", d.From, d.To}) {
		t.Errorf("Flags %+v: one is open and began before, the other ended before", d.Flags)
	}
	if len(d.Models) != 2 || d.Models[0].Open != nil || *d.Models[1].Open != 7 || d.Models[0].Level[0] != levelUnsure || d.Models[1].Level[0] != "high" {
		t.Errorf("models %+v", d.Models)
	}
}

// A ward that has just begun is not drawn at the right edge of an empty chart.
func TestDrawingBeginsWithData(t *testing.T) {
	c := testConfig(nil)
	course := Course{From: at(0), To: at(0) + 8*hour, Series: []Series{{Type: "HR", Name: "v", Panes: panes(3, minute, func(int) string { return "70" })}}}
	for i := range course.Series[0].Panes {
		course.Series[0].Panes[i].Start += 7 * hour
	}
	if d := c.drawingOf(&course, nil); d.From != unix(at(0)+7*hour) {
		t.Errorf("the drawing begins %v s after the course", d.From-unix(at(0)))
	}
	course.Windows = []Window{{Model: "m", Start: at(0) - hour, End: at(0) + hour}}
	if d := c.drawingOf(&course, nil); d.From != unix(at(0)) {
		t.Errorf("the drawing begins %v s after the course", d.From-unix(at(0)))
	}
}

func TestLabels(t *testing.T) {
	c := testConfig(nil)
	for _, x := range []struct{ typ, name, want string }{{"HR", "v", "Heart rate"}, {"BP", "systolic", "BP systolic"}, {"glucose", "Glucose", "glucose"}, {"x", "value", "x"}} {
		if got := c.vital(x.typ, x.name).Label; got != x.want {
			t.Errorf("%s/%s is called %q, want %q", x.typ, x.name, got, x.want)
		}
	}
}

func TestManyWindows(t *testing.T) {
	c := testConfig(nil)
	course := Course{To: at(0)}
	for i := range MaxWindowRows + 5 {
		end := at(0) + schemas.Ticks(i)*minute
		course.Windows = append(course.Windows, Window{Model: "news2", Start: end - hour, End: end, Bounds: Bounds{float64(i % 9), float64(i % 9), true}, Risk: "low"})
	}
	m := c.patientOf(&course, 8, noon).Models[0]
	if len(m.Rows) != MaxWindowRows || m.More != 5 || m.Rows[0].End.Text != "13:44" || !strings.Contains(m.Describe, "105 windows") {
		t.Errorf("%d rows, %d more, first %+v, %s", len(m.Rows), m.More, m.Rows[0], m.Describe)
	}
}
