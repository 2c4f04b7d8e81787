package console

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"auscult/schemas"
)

// MaxPoints is how many points one chart gets; more panes are joined.
const MaxPoints = 720

// The ranks behind those of the configuration.
const (
	rankUnnamed = math.MaxInt - 1
	rankWords   = math.MaxInt
)

// tableRows is how many rows the table beside a chart has at most.
const tableRows = 24

// point is one pane, or several joined, as a chart draws it. Nil is a gap.
type point struct {
	at              schemas.Ticks // the middle
	low, high, last *float64
}

// chart is one vital sign on a patient's page.
type chart struct {
	Key, Label, Unit string
	Latest, LatestAt string
	Lowest, Highest  string
	Numbers          bool // false: values are words, and only the table shows them
	Implausible      int64
	Rows             []chartRow
	rank             int
	points           []point
	low, high        float64
}

// chartRow is one line of the table that says what the chart draws.
type chartRow struct {
	From                  instant
	Lowest, Highest, Last string
	N                     int64
}

// chartsOf makes a chart for every series of a course, those that have a name
// in the configuration first, and words last.
func (c *Config) chartsOf(course *Course, now time.Time) []chart {
	var all []chart
	for i := range course.Series {
		s := &course.Series[i]
		if len(s.Panes) == 0 {
			continue
		}
		all = append(all, c.chartOf(s, course, now))
	}
	slices.SortStableFunc(all, func(a, b chart) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.Label, b.Label))
	})
	return all
}

func (c *Config) chartOf(s *Series, course *Course, now time.Time) chart {
	v := c.vital(s.Type, s.Name)
	ch := chart{Key: s.Type + "/" + s.Name, Label: v.Label, Unit: unitText(v.Unit), rank: v.Rank, low: math.Inf(1), high: math.Inf(-1)}
	for i := range s.Panes {
		ch.add(&s.Panes[i], now)
	}
	ch.points = thin(ch.points, MaxPoints)
	if ch.Numbers {
		ch.Lowest, ch.Highest = decimal(ch.low), decimal(ch.high)
	} else {
		ch.rank = rankWords
	}
	ch.Rows = rowsOf(s.Panes, course.From, course.To, now)
	return ch
}

func (ch *chart) add(p *Pane, now time.Time) {
	ch.Implausible += p.Implausible
	if p.N == 0 {
		return
	}
	at := instantOf(p.End, now)
	ch.Latest, ch.LatestAt = p.Last, at.Text
	low, high, last := parse(p.Min), parse(p.Max), parse(p.Last)
	if low == nil || high == nil {
		return
	}
	ch.Numbers = true
	ch.low, ch.high = min(ch.low, *low), max(ch.high, *high)
	ch.points = append(ch.points, point{at: p.Start + (p.End-p.Start)/2, low: low, high: high, last: last})
}

// vital returns how a value is called, in the configuration's words if it has
// any.
func (c *Config) vital(typ, name string) Vital {
	if c.Vital != nil {
		if v := c.Vital(typ, name); v.Label != "" {
			return v
		}
	}
	v := Vital{Label: typ, Rank: rankUnnamed}
	if name != "" && name != "v" && !strings.EqualFold(name, "value") && !strings.EqualFold(name, typ) {
		v.Label += " " + name
	}
	return v
}

// parse returns the number that a text is, nil when it is none that can be
// drawn.
func parse(text string) *float64 {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return &f
}

// thin joins neighbours until there are at most n points.
func thin(all []point, n int) []point {
	if len(all) <= n {
		return all
	}
	size := (len(all) + n - 1) / n
	var joined []point
	for group := range slices.Chunk(all, size) {
		p := group[len(group)-1]
		for _, q := range group {
			p.low, p.high = further(p.low, q.low, -1), further(p.high, q.high, 1)
		}
		joined = append(joined, p)
	}
	return joined
}

// further returns the lower of two numbers for sign -1, the higher for +1.
func further(a, b *float64, sign float64) *float64 {
	if a == nil || b != nil && sign**b > sign**a {
		return b
	}
	return a
}

// steps are the lengths of time that a row of a table may stand for.
var steps = []time.Duration{
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

// stepOf returns the shortest step of which span has at most tableRows.
func stepOf(span schemas.Ticks) schemas.Ticks {
	for _, d := range steps {
		if span <= tableRows*schemas.TicksIn(d) {
			return schemas.TicksIn(d)
		}
	}
	return span/tableRows + 1
}

// rowsOf sums panes up, latest first.
func rowsOf(panes []Pane, from, to schemas.Ticks, now time.Time) []chartRow {
	step := stepOf(to - from)
	var rows []chartRow
	var low, high *float64
	begin := schemas.Ticks(-1)
	for i := range panes {
		p := &panes[i]
		if p.N == 0 {
			continue
		}
		if at := p.Start.Floor(step, 0); at != begin {
			begin, low, high = at, nil, nil
			rows = append(rows, chartRow{From: instantOf(at, now)})
		}
		low, high = further(low, parse(p.Min), -1), further(high, parse(p.Max), 1)
		r := &rows[len(rows)-1]
		r.Lowest, r.Highest, r.Last, r.N = optional(low), optional(high), p.Last, r.N+p.N
	}
	slices.Reverse(rows)
	return rows
}

func optional(f *float64) string {
	if f == nil {
		return ""
	}
	return decimal(*f)
}

// Describe is the chart in words, for those who do not see it.
func (ch chart) Describe() string {
	unit := ""
	if ch.Unit != "" {
		unit = " " + ch.Unit
	}
	return fmt.Sprintf("Chart of %s: latest %s%s at %s UTC, lowest %s, highest %s. The table below holds the values.",
		ch.Label, ch.Latest, unit, ch.LatestAt, ch.Lowest, ch.Highest)
}

// drawing is what the page's script draws; times are unix seconds.
type drawing struct {
	From   float64        `json:"from"`
	To     float64        `json:"to"`
	Vitals []vitalDrawing `json:"vitals"`
	Models []modelDrawing `json:"models"`
	Flags  []flagDrawing  `json:"flags"`
}

type vitalDrawing struct {
	Key  string     `json:"key"`
	Unit string     `json:"unit"`
	X    []float64  `json:"x"`
	Low  []*float64 `json:"low"`
	High []*float64 `json:"high"`
	Last []*float64 `json:"last"`
}

type modelDrawing struct {
	Key   string    `json:"key"`
	Open  *float64  `json:"open,omitempty"`
	Close *float64  `json:"close,omitempty"`
	Start []float64 `json:"start"`
	End   []float64 `json:"end"`
	Low   []float64 `json:"low"`
	High  []float64 `json:"high"`
	Level []string  `json:"level"`
}

type flagDrawing struct {
	Kind string  `json:"kind"`
	From float64 `json:"from"`
	To   float64 `json:"to"`
}

// unix returns t as seconds since 1970.
func unix(t schemas.Ticks) float64 { return float64(t.UnixMicro()) / 1e6 }

// begin returns where charts begin: no earlier than there is anything to draw.
func (c *Course) begin() schemas.Ticks {
	first := c.To
	for i := range c.Series {
		if p := c.Series[i].Panes; len(p) > 0 {
			first = min(first, p[0].Start)
		}
	}
	for i := range c.Windows {
		first = min(first, c.Windows[i].Start)
	}
	return max(first, c.From)
}

func (c *Config) drawingOf(course *Course, charts []chart) drawing {
	from := course.begin()
	d := drawing{From: unix(from), To: unix(course.To), Vitals: []vitalDrawing{}, Models: []modelDrawing{}, Flags: []flagDrawing{}}
	for i := range charts {
		ch := &charts[i]
		if !ch.Numbers {
			continue
		}
		v := vitalDrawing{Key: ch.Key, Unit: ch.Unit}
		for _, p := range ch.points {
			v.X, v.Low, v.High, v.Last = append(v.X, unix(p.at)), append(v.Low, p.low), append(v.High, p.high), append(v.Last, p.last)
		}
		d.Vitals = append(d.Vitals, v)
	}
	for _, windows := range byModel(course.Windows) {
		d.Models = append(d.Models, c.modelDrawing(windows))
	}
	for i := range course.Flags {
		f := &course.Flags[i]
		to := f.Closed
		if to == 0 {
			to = course.To
		}
		if to < from {
			continue
		}
		v := c.flagView(f, to, time.Time{})
		d.Flags = append(d.Flags, flagDrawing{Kind: v.Kind, From: unix(max(f.Opened, from)), To: unix(to)})
	}
	return d
}

func (c *Config) modelDrawing(windows []Window) modelDrawing {
	m := modelDrawing{Key: windows[0].Model}
	if info, ok := c.Models[m.Key]; ok && info.Open > 0 {
		m.Open, m.Close = &info.Open, &info.Close
	}
	for i := range windows {
		w := &windows[i]
		m.Start, m.End = append(m.Start, unix(w.Start)), append(m.End, unix(w.End))
		m.Low, m.High = append(m.Low, w.Min), append(m.High, w.Max)
		m.Level = append(m.Level, levelOf(w.Model, w.Risk))
	}
	return m
}

// byModel cuts windows, which are ordered by model, into one run each.
func byModel(all []Window) [][]Window {
	var runs [][]Window
	for i := range all {
		if i == 0 || all[i].Model != all[i-1].Model {
			runs = append(runs, nil)
		}
		runs[len(runs)-1] = append(runs[len(runs)-1], all[i])
	}
	return runs
}
