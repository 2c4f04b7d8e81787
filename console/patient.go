package console

import (
	"fmt"
	"strings"
	"time"

	"auscult/schemas"
)

// MaxWindowRows is how many windows the table of a model lists, the latest.
const MaxWindowRows = 100

// spans are the lengths of time, in hours, that a patient's page can show.
var spans = []int{2, 8, 24, 48}

// DefaultSpan is what it shows unless asked, in hours.
const DefaultSpan = 8

// patientView is one patient's page.
type patientView struct {
	ID, Name, System  string
	BirthDate, Gender string
	Spans             []spanLink
	From, To          instant
	Standings         []standingView
	Open, Closed      []flagView
	Models            []modelView
	Charts            []chart
	drawing           drawing
}

type spanLink struct {
	Text, Href string
	Current    bool
}

// standingView is the latest window of one model.
type standingView struct {
	Title string
	risk
	Trend      trend
	Chips      []chip
	Start, End instant
	Stale      string
	Final      bool
}

// modelView is one model's windows.
type modelView struct {
	Key, Title, Describe string
	Rows                 []windowRow
	More                 int // windows that the table leaves out
}

type windowRow struct {
	Start, End instant
	risk
	Missing string
	Final   bool
}

func (c *Config) patientOf(course *Course, hours int, now time.Time) patientView {
	v := patientView{
		ID: course.Patient, Name: patientName(course.Identifier, course.Patient), System: course.System,
		BirthDate: course.BirthDate, Gender: course.Gender, From: instantOf(course.From, now), To: instantOf(course.To, now),
		Charts: c.chartsOf(course, now),
	}
	for _, h := range spans {
		v.Spans = append(v.Spans, spanLink{fmt.Sprintf("%d hours", h), fmt.Sprintf("%s?hours=%d", patientPath(course.Patient), h), h == hours})
	}
	latest := schemas.Ticks(0)
	for i := range course.Standings {
		s := &course.Standings[i]
		latest = max(latest, s.End)
		v.Standings = append(v.Standings, c.standingView(s, course.Windows, now))
	}
	for i := range course.Flags {
		f := &course.Flags[i]
		switch {
		case f.Closed == 0:
			v.Open = append(v.Open, c.flagView(f, latest, now))
		case f.Closed >= course.From:
			v.Closed = append(v.Closed, c.flagView(f, latest, now))
		}
	}
	for _, windows := range byModel(course.Windows) {
		v.Models = append(v.Models, c.modelView(windows, now))
	}
	v.drawing = c.drawingOf(course, v.Charts)
	return v
}

func (c *Config) standingView(s *Standing, windows []Window, now time.Time) standingView {
	var past []Past
	for i := range windows {
		if windows[i].Model == s.Model {
			past = append(past, Past{windows[i].End, windows[i].Bounds})
		}
	}
	return standingView{
		Title: c.title(s.Model), risk: riskOf(s.Model, s.Bounds, s.Risk), Trend: trendOf(s, past), Chips: chipsOf(s),
		Start: instantOf(s.Start, now), End: instantOf(s.End, now), Stale: staleSince(s, now), Final: s.Final,
	}
}

func (c *Config) modelView(windows []Window, now time.Time) modelView {
	m := modelView{Key: windows[0].Model, Title: c.title(windows[0].Model), More: max(0, len(windows)-MaxWindowRows)}
	low, high := windows[0].Min, windows[0].Max
	for i := len(windows) - 1; i >= 0; i-- {
		w := &windows[i]
		low, high = min(low, w.Min), max(high, w.Max)
		if len(m.Rows) == MaxWindowRows {
			continue
		}
		m.Rows = append(m.Rows, windowRow{Start: instantOf(w.Start, now), End: instantOf(w.End, now),
			risk: riskOf(w.Model, w.Bounds, w.Risk), Missing: missingText(w.Missing), Final: w.Final})
	}
	m.Describe = fmt.Sprintf("Chart of %s: %d windows, the latest %s (%s), lowest %s, highest %s. The table below holds them.",
		m.Title, len(windows), m.Rows[0].Number, m.Rows[0].Word, decimal(low), decimal(high))
	return m
}

// missingText names inputs in full.
func missingText(names []string) string {
	full := make([]string, len(names))
	for i, n := range names {
		_, full[i], _ = inputLabel(n)
	}
	return strings.Join(full, ", ")
}
