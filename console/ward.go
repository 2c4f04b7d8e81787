package console

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"auscult/schemas"
)

// ward is what the worklist page shows.
type ward struct {
	rows    []row
	summary summary
}

// row is one patient and one model.
type row struct {
	ID, Href string
	Name     string // as the ward calls the patient
	System   string
	Model    string // empty while there is only one
	risk
	Trend  trend
	Spark  spark
	Chips  []chip
	Flags  []flagView
	At     instant
	Stale  string // how long there has been no new window; empty when there is
	Scored bool
	// Preliminary: the window is not over yet.
	Preliminary bool
}

// risk is a score as the page shows it: word, number, shape and colour.
type risk struct{ Level, Word, Number string }

func riskOf(model string, b Bounds, level string) risk {
	l := levelOf(model, level)
	r := risk{Level: l, Word: levelWords[l]}
	if l != levelNone {
		r.Number = number(b)
	}
	return r
}

// trend is the change since the window before: the one that ended where this
// began. Slides between them share values with both.
type trend struct{ Shape, Text string }

// trendOf says nothing when either window is incomplete: two bounds have no
// difference.
func trendOf(s *Standing, past []Past) trend {
	i := slices.IndexFunc(past, func(p Past) bool { return p.End == s.Start })
	if i < 0 || !s.Complete || !past[i].Complete {
		return trend{}
	}
	in := " in " + lasting((s.End - s.Start).Duration())
	switch d := s.Min - past[i].Min; {
	case d > 0:
		return trend{"up", "up " + decimal(d) + in}
	case d < 0:
		return trend{"down", "down " + decimal(-d) + in}
	}
	return trend{"same", "steady"}
}

// chip is one input of a score.
type chip struct {
	Label, Full, Value string
	Score              string // empty when the value is missing
	Level              string // 0 to 3, or missing: the style sheet knows them
}

func chipsOf(s *Standing) []chip {
	type placed struct {
		chip
		place int
	}
	var all []placed
	add := func(name, value, score, level string) {
		label, full, place := inputLabel(name)
		all = append(all, placed{chip{label, full, value, score, level}, place})
	}
	for _, sub := range s.SubScores {
		add(sub.Name, s.value(sub.Name), decimal(sub.Score), fmt.Sprint(int(max(0, min(3, sub.Score)))))
	}
	for _, m := range s.Missing {
		if !slices.ContainsFunc(s.SubScores, func(n NamedScore) bool { return n.Name == m }) {
			add(m, "missing", "", "missing")
		}
	}
	slices.SortStableFunc(all, func(a, b placed) int { return a.place - b.place })
	chips := make([]chip, len(all))
	for i := range all {
		chips[i] = all[i].chip
	}
	return chips
}

// value returns the input that a sub-score is of.
func (s *Standing) value(name string) string {
	for _, in := range s.Inputs {
		if in.Name == name {
			return strings.TrimSpace(in.Value + " " + unitText(in.Unit))
		}
	}
	return ""
}

// unitText returns a UCUM code as charts write it.
func unitText(code string) string {
	switch code {
	case "mm[Hg]":
		return "mmHg"
	case "Cel":
		return "\u00b0C"
	case "1":
		return ""
	}
	return code
}

// flagView is one episode.
type flagView struct {
	ID, Kind, Title string // kind: clinical or technical
	Device          string
	Since, Until    instant
	Lasting         string
	Max             string
}

func (c *Config) flagView(f *Flag, until schemas.Ticks, now time.Time) flagView {
	v := flagView{ID: f.ID, Kind: "clinical", Title: c.title(f.Rule), Device: f.Device, Since: instantOf(f.Opened, now), Until: instantOf(f.Closed, now)}
	if f.Technical {
		v.Kind = "technical"
	} else {
		v.Max = decimal(f.MaxScore)
	}
	if f.Closed != 0 {
		until = f.Closed
	}
	if until > f.Opened {
		v.Lasting = lasting((until - f.Opened).Duration())
	}
	return v
}

// title returns what people call a model or rule.
func (c *Config) title(rule string) string {
	if m, ok := c.Models[rule]; ok && m.Title != "" {
		return m.Title
	}
	switch rule {
	case "news2":
		return "NEWS2"
	case "no-data":
		return "No data"
	}
	return rule
}

// patientName returns what the ward calls a patient.
func patientName(identifier, id string) string {
	if identifier != "" {
		return identifier
	}
	return id
}

// patientPath is the address of a patient's page.
func patientPath(id string) string { return "/patients/" + url.PathEscape(id) }

// wardOf makes the worklist page of what the history says.
func (c *Config) wardOf(all []Standing, flags []Flag, f Freshness, now time.Time) ward {
	w := ward{summary: summaryOf(all, flags, f, now)}
	scale := scaleOf(all)
	models := map[string]bool{}
	byPatient := map[string][]Flag{}
	for _, f := range flags {
		byPatient[f.Patient] = append(byPatient[f.Patient], f)
	}
	for i := range all {
		if all[i].Model != "" {
			models[all[i].Model] = true
		}
	}
	for i := range all {
		s := &all[i]
		r := row{
			ID: domID("p-", s.Patient, s.Model), Href: patientPath(s.Patient), Name: patientName(s.Identifier, s.Patient), System: s.System,
			risk: riskOf(s.Model, s.Bounds, s.Risk), Trend: trendOf(s, s.Recent), Spark: sparkOf(s, scale),
			Chips: chipsOf(s), At: instantOf(s.End, now), Stale: staleSince(s, now), Scored: s.Model != "", Preliminary: s.Model != "" && !s.Final,
		}
		if len(models) > 1 && s.Model != "" {
			r.Model = c.title(s.Model)
		}
		for _, f := range byPatient[s.Patient] {
			r.Flags = append(r.Flags, c.flagView(&f, s.End, now))
		}
		w.rows = append(w.rows, r)
	}
	return w
}

// Limits of what counts as a ward that should be scored now.
const (
	staleWindows = 3                  // windows that may fail to come
	staleLeast   = 5 * time.Minute    // whatever the window
	recording    = 7 * 24 * time.Hour // what is older is no running ward
)

// staleSince returns the time since when a running ward has no new window of
// this patient. An old recording is never stale: nobody waits for it.
func staleSince(s *Standing, now time.Time) string {
	if s.Model == "" {
		return ""
	}
	age := now.Sub(s.End.Time())
	if age < max(staleLeast, staleWindows*(s.End-s.Start).Duration()) || age > recording {
		return ""
	}
	return lasting(age.Truncate(time.Minute))
}

// summary is the head of the page.
type summary struct {
	Levels              []levelCount
	Clinical, Technical int
	Patients            string
	Shown, Known        int64
	Latest              instant
}

type levelCount struct {
	Level, Word string
	N           int
}

func summaryOf(all []Standing, flags []Flag, f Freshness, now time.Time) summary {
	s := summary{Known: f.Patients, Latest: instantOf(f.Latest, now)}
	seen := map[string]bool{}
	counts := map[string]int{}
	for i := range all {
		counts[levelOf(all[i].Model, all[i].Risk)]++
		seen[all[i].Patient] = true
	}
	s.Shown = int64(len(seen))
	for _, l := range []string{levelHigh, levelMedium, levelUnsure, levelLowMedium, levelLow, levelNone} {
		if counts[l] > 0 || l == levelHigh || l == levelMedium {
			s.Levels = append(s.Levels, levelCount{l, levelWords[l], counts[l]})
		}
	}
	for i := range flags {
		if flags[i].Technical {
			s.Technical++
		} else {
			s.Clinical++
		}
	}
	s.Patients = count(max(s.Known, s.Shown))
	return s
}

// Size of the small picture of the last windows.
const (
	sparkWidth  = 132
	sparkHeight = 36
	sparkLeast  = 8.0 // the scale's top at least: a flat low score looks low
)

// spark is the last windows as one SVG path each for bounds and scores.
type spark struct {
	Bands, Line string
	X, Y        string // of the latest score; empty when it is incomplete
}

// scaleOf returns the top of the scale that all rows share, so that a look
// along the rows compares them.
func scaleOf(all []Standing) float64 {
	top := sparkLeast
	for i := range all {
		for _, b := range all[i].Recent {
			top = max(top, b.Max)
		}
	}
	return top
}

func sparkOf(st *Standing, top float64) spark {
	size := st.End - st.Start
	if len(st.Recent) < 2 || size <= 0 {
		return spark{}
	}
	first := st.Recent[0].End
	step := float64(sparkWidth-8) / float64(st.End-first)
	y := func(v float64) float64 { return sparkHeight - 4 - v/top*(sparkHeight-8) }
	var s spark
	var line, bands strings.Builder
	before := schemas.Ticks(-1) // end of the window to which the line has got
	for i, p := range st.Recent {
		x := 4 + float64(p.End-first)*step
		if !p.Complete && p.Min != p.Max {
			fmt.Fprintf(&bands, "M%.1f %.1fV%.1f", x, y(p.Min), y(p.Max))
			continue
		}
		op := "M" // a window that was not scored, or not completely, is a gap
		if before == p.End-size {
			op = "L"
		}
		fmt.Fprintf(&line, "%s%.1f %.1f", op, x, y(p.Min))
		before = p.End
		if i == len(st.Recent)-1 {
			s.X, s.Y = fmt.Sprintf("%.1f", x), fmt.Sprintf("%.1f", y(p.Min))
		}
	}
	s.Line, s.Bands = line.String(), bands.String()
	return s
}
