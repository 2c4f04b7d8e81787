package scoring

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"auscult/schemas"
	"auscult/state"
)

// charts are the scores that can be computed in process.
var charts = map[string]*chart{news2.id: news2}

// Compile checks a configuration and prepares it. The error joins all faults,
// each with the path of its place and what to change.
func Compile(c Config) (*Rules, error) {
	var f faults
	pane := cmp.Or(c.Pane, DefaultPane)
	r := &Rules{
		Pane:     schemas.TicksIn(pane),
		MaxGap:   schemas.TicksIn(cmp.Or(c.Scoring.MaxGap, DefaultMaxGap)),
		Lag:      schemas.TicksIn(cmp.Or(c.Scoring.Lag, DefaultLag)),
		bySource: map[Source]*signal{}, signals: map[string]*signal{},
	}
	for path, d := range map[string]time.Duration{"scoring.maxGap": c.Scoring.MaxGap, "scoring.lag": c.Scoring.Lag} {
		if d < 0 {
			f.add(path, "is negative; leave it out for the default")
		}
	}
	r.addSignals(c.Signals, &f)
	if n := len(c.Scoring.Models); n > MaxModels {
		f.add("scoring.models", "lists %d models; the most is %d", n, MaxModels)
		return nil, f.join()
	}
	seen := map[string]bool{}
	for i := range c.Scoring.Models {
		b := builder{rules: r, signals: c.Signals, path: fmt.Sprintf("scoring.models[%d]", i), in: &c.Scoring.Models[i], faults: &f, pane: pane}
		if id := b.in.ID; seen[id] {
			f.add(b.path+".id", "%q is the id of another model; ids name RiskAssessments and Flags, so give each model its own", id)
		}
		seen[b.in.ID] = true
		if m := b.build(); m != nil {
			r.Models = append(r.Models, m)
		}
	}
	if len(f) > 0 {
		return nil, f.join()
	}
	return r, nil
}

// addSignals compiles the signals and notes which source means what.
func (r *Rules) addSignals(all map[string]Signal, f *faults) {
	if len(all) > MaxSignals {
		f.add("signals", "names %d signals; the most is %d", len(all), MaxSignals)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		in, path := all[name], "signals."+name
		s := &signal{name: name, from: in.From, unit: in.Unit}
		if len(in.From) == 0 || len(in.From) > MaxSources {
			f.add(path+".from", "lists %d sources; give 1 to %d of the form {type: T, value: V}", len(in.From), MaxSources)
		}
		if in.Plausible != "" {
			var ok bool
			if s.limits, ok = parseInterval(in.Plausible); !ok {
				f.add(path+".plausible", `%q is no interval; write for example "(0,300]", a round bracket where the bound itself is outside`, in.Plausible)
			}
		}
		for i, from := range in.From {
			at := fmt.Sprintf("%s.from[%d]", path, i)
			if from.Type == "" || from.Value == "" {
				f.add(at, "needs type and value, as the device mapping emits them")
				continue
			}
			if other := r.bySource[from]; other != nil {
				f.add(at, "%s/%s already belongs to signal %s; a value has one plausible range, so let models share that signal", from.Type, from.Value, other.name)
				continue
			}
			r.bySource[from] = s
		}
		r.signals[name] = s
	}
}

// builder compiles one model.
type builder struct {
	rules   *Rules
	signals map[string]Signal
	path    string
	in      *ModelConfig
	faults  *faults
	pane    time.Duration
}

func (b *builder) fault(at, format string, args ...any) { b.faults.add(b.path+at, format, args...) }

func (b *builder) build() *Model {
	if b.in.ID == "" {
		b.fault(".id", "is missing; it names the model in scores, RiskAssessments and Flags")
	}
	c := charts[cmp.Or(b.in.Chart, b.in.ID)]
	if c == nil {
		at, name := ".chart", b.in.Chart
		if name == "" {
			at, name = ".id", b.in.ID
		}
		b.fault(at, "there is no chart %q; set chart to one of: %s", name, strings.Join(slices.Sorted(maps.Keys(charts)), ", "))
		return nil
	}
	m := &Model{ID: b.in.ID, Title: c.title, chart: c, scale2: b.in.Scale2, reads: map[Source]bool{}, labels: map[string]string{}}
	for _, in := range c.inputs {
		m.labels[in.name] = in.label
	}
	if m.scale2 != "" && !c.scales {
		b.fault(".scale2", "%s has one SpO2 scale only; leave it out", c.title)
	}
	b.window(m)
	b.inputs(m)
	m.Flag = b.flag(c)
	m.Version = version(m, b.in, b.rules, b.signals)
	return m
}

// window checks that the panes fit the windows and the windows one another.
func (b *builder) window(m *Model) {
	w := b.in.Window
	slide := cmp.Or(w.Slide, w.Size)
	if w.Size <= 0 || w.Size%b.pane != 0 {
		b.fault(".window.size", "is %s; give a multiple of the pane, %s", w.Size, b.pane)
		return
	}
	if slide <= 0 || slide%b.pane != 0 || w.Size%slide != 0 {
		b.fault(".window.slide", "is %s; give a multiple of the pane, %s, that divides the size, %s", slide, b.pane, w.Size)
		return
	}
	if w.Size/slide > MaxWindows {
		b.fault(".window.slide", "is %s: %d windows would cover each instant; the most is %d", slide, w.Size/slide, MaxWindows)
	}
	if schemas.TicksIn(slide) > b.rules.MaxGap {
		b.fault(".window.slide", "is longer than scoring.maxGap, %s; raise maxGap or shorten the slide", b.rules.MaxGap.Duration())
	}
	if w.Grace < 0 {
		b.fault(".window.grace", "is negative; 0s means that late values change nothing")
	}
	if w.Emit != "" && w.Emit != EmitValue && w.Emit != EmitClose {
		b.fault(".window.emit", "is %q; write %s (score the open window with each value) or %s", w.Emit, EmitValue, EmitClose)
	}
	origin := w.Origin
	if origin.IsZero() {
		origin = time.Unix(0, 0)
	}
	m.Size, m.Slide, m.Grace = schemas.TicksIn(w.Size), schemas.TicksIn(slide), schemas.TicksIn(w.Grace)
	m.Origin, m.Provisional = schemas.TicksOf(origin), w.Emit == EmitValue
	if (m.Origin-schemas.TicksOf(time.Unix(0, 0)))%b.rules.Pane != 0 {
		b.fault(".window.origin", "is %s; panes of %s are counted from 1970-01-01T00:00:00Z, so choose an origin on a pane boundary", m.Origin, b.pane)
	}
}

// inputs binds each input of the chart.
func (b *builder) inputs(m *Model) {
	for _, name := range slices.Sorted(maps.Keys(b.in.Inputs)) {
		if !slices.ContainsFunc(m.chart.inputs, func(c chartInput) bool { return c.name == name }) {
			b.fault(".inputs."+name, "is no input of %s; it has: %s", m.Title, m.chart.names())
		}
	}
	for i, name := range b.in.Required {
		if !slices.ContainsFunc(m.chart.inputs, func(c chartInput) bool { return c.name == name }) {
			b.fault(fmt.Sprintf(".required[%d]", i), "%q is no input of %s; it has: %s", name, m.Title, m.chart.names())
		}
	}
	for _, row := range m.chart.inputs {
		in, bound := b.in.Inputs[row.name]
		at := ".inputs." + row.name
		required := slices.Contains(b.in.Required, row.name)
		switch {
		case !bound && !required:
			b.fault(at, "is missing; bind it to a signal, or list %s under required: then every window is incomplete and has bounds only", row.name)
		case bound && !required && in.Unknown == "":
			b.fault(".required", "add %s, or give %s an explicit stand-in with unknown", row.name, at[1:])
		case bound && required && in.Unknown != "":
			b.fault(at+".unknown", "a required input has no stand-in; take %s off required, or leave unknown out", row.name)
		}
		c := input{chart: row}
		if bound {
			c = b.input(m, row, in, at)
		}
		m.inputs = append(m.inputs, c)
	}
}

func (c *chart) names() string {
	var names []string
	for _, in := range c.inputs {
		names = append(names, in.name)
	}
	return strings.Join(names, ", ")
}

// input compiles one bound input.
func (b *builder) input(m *Model, row chartInput, in Input, at string) input {
	c := input{chart: row, unknown: in.Unknown, horizon: schemas.TicksIn(in.Horizon), other: in.Else}
	if in.Horizon <= 0 || in.Horizon > MaxHorizon {
		b.fault(at+".horizon", "is %s; say how old a value may be at the end of a window, at most %s", in.Horizon, MaxHorizon)
	}
	m.MaxHorizon = max(m.MaxHorizon, c.horizon)
	if in.Unknown != "" {
		b.word(at+".unknown", row, in.Unknown)
	}
	if (in.Signal == "") == (len(in.Any) == 0) {
		b.fault(at, "give either signal or any")
		return c
	}
	if row.words == nil && (len(in.Any) > 0 || len(in.Cases) > 0 || in.Else != "" || in.Unknown != "") {
		b.fault(at, "%s is read as a number: give signal and horizon only", row.name)
		return c
	}
	if len(in.Any) > 0 {
		if len(in.Cases) > 0 || in.Else != "" {
			b.fault(at, "cases and else belong to signal, not to any")
		}
		c.any = b.conditions(m, in.Any, at)
		return c
	}
	c.signal = b.signal(m, in.Signal, at+".signal", row.words == nil)
	for _, text := range slices.Sorted(maps.Keys(in.Cases)) {
		word := in.Cases[text]
		b.word(at+".cases."+text, row, word)
		w := wordCase{text: strings.TrimSpace(text), word: word}
		w.number, w.isNum = parseDecimal(text)
		c.cases = append(c.cases, w)
	}
	if in.Else != "" {
		b.word(at+".else", row, in.Else)
	}
	return c
}

// word checks that the chart knows a word.
func (b *builder) word(at string, row chartInput, word string) {
	if _, ok := row.words[word]; !ok {
		b.fault(at, "%q means nothing to %s; write one of: %s", word, row.name, strings.Join(slices.Sorted(maps.Keys(row.words)), ", "))
	}
}

// signal looks up a signal and notes that m reads it.
func (b *builder) signal(m *Model, name, at string, numeric bool) *signal {
	s := b.rules.signals[name]
	if s == nil {
		b.fault(at, "there is no signal %q; define it under signals, or choose one of: %s", name, strings.Join(slices.Sorted(maps.Keys(b.rules.signals)), ", "))
		return nil
	}
	s.numeric = s.numeric || numeric
	for _, from := range s.from {
		m.reads[from] = true
	}
	return s
}

func (b *builder) conditions(m *Model, all []Condition, at string) []condition {
	if len(all) > MaxConditions {
		b.fault(at+".any", "lists %d conditions; the most is %d", len(all), MaxConditions)
	}
	var out []condition
	for i, in := range all {
		here := fmt.Sprintf("%s.any[%d]", at, i)
		c := condition{signal: b.signal(m, in.Signal, here+".signal", true)}
		n := 0
		for _, o := range []struct {
			name, text string
			holds      func(int) bool
		}{
			{"gt", in.GT, func(c int) bool { return c > 0 }}, {"ge", in.GE, func(c int) bool { return c >= 0 }},
			{"lt", in.LT, func(c int) bool { return c < 0 }}, {"le", in.LE, func(c int) bool { return c <= 0 }},
			{"eq", in.EQ, func(c int) bool { return c == 0 }},
		} {
			if o.text == "" {
				continue
			}
			n++
			d, ok := parseDecimal(o.text)
			if !ok {
				b.fault(here+"."+o.name, "%q is no number", o.text)
			}
			c.op, c.operand = o.holds, d
		}
		if n != 1 {
			b.fault(here, "give exactly one of gt, ge, lt, le, eq")
			continue
		}
		out = append(out, c)
	}
	return out
}

// flag compiles the policy.
func (b *builder) flag(c *chart) *state.FlagPolicy {
	in := b.in.Flag
	if in == nil {
		return nil
	}
	p := &state.FlagPolicy{Open: in.Open, Close: in.Close, On: cmp.Or(in.On, 1), Off: cmp.Or(in.Off, 1), Skip: in.Incomplete == IncompleteSkip}
	if !(in.Open > 0 && in.Open <= float64(c.maxScore)) || math.IsNaN(in.Close) {
		b.fault(".flag.open", "is %v; %s gives scores up to %d", in.Open, c.title, c.maxScore)
	}
	if in.Close >= in.Open {
		b.fault(".flag.close", "is %v; it must be below open, %v, or one score would open and close", in.Close, in.Open)
	}
	for name, n := range map[string]int{"on": p.On, "off": p.Off} {
		if n < 1 || n > MaxPolicy {
			b.fault(".flag."+name, "is %d; give how many windows in a row, 1 to %d", n, MaxPolicy)
		}
	}
	if in.Incomplete != "" && in.Incomplete != IncompleteBounds && in.Incomplete != IncompleteSkip {
		b.fault(".flag.incomplete", "is %q; write %s or %s", in.Incomplete, IncompleteBounds, IncompleteSkip)
	}
	return p
}

// version hashes everything that an answer of the model depends on: the
// chart's edition, the model, and the signals that it reads.
func version(m *Model, config *ModelConfig, r *Rules, all map[string]Signal) string {
	type source struct {
		Name    string
		Signal  Signal
		Numeric bool
	}
	var signals []source
	for _, name := range slices.Sorted(maps.Keys(r.signals)) {
		if s := r.signals[name]; len(s.from) > 0 && m.reads[s.from[0]] {
			signals = append(signals, source{name, all[name], s.numeric})
		}
	}
	text, err := json.Marshal([]any{m.chart.id, m.chart.edition, config, signals})
	if err != nil {
		return "" // only a NaN threshold, which flag refuses
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

func compareSources(a, b Source) int {
	return cmp.Or(strings.Compare(a.Type, b.Type), strings.Compare(a.Value, b.Value))
}
