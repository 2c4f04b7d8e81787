package scoring

import (
	"strings"

	"auscult/schemas"
	"auscult/state"
)

// Rules is a compiled configuration.
type Rules struct {
	Models      []*Model
	MaxGap, Lag schemas.Ticks
	Pane        schemas.Ticks

	bySource map[Source]*signal
	signals  map[string]*signal
}

// signal is a compiled Signal.
type signal struct {
	name    string
	from    []Source
	unit    string
	limits  *interval
	numeric bool // some model reads it as a number
}

// Plausible reports whether some signal reads this value name, and whether the
// text may be used: inside the signal's interval, and a number where a model
// needs one. A value that nothing reads is never implausible.
func (r *Rules) Plausible(typ, name, text string) (bound, plausible bool) {
	s := r.bySource[Source{typ, name}]
	if s == nil {
		return false, true
	}
	if s.limits == nil && !s.numeric {
		return true, strings.TrimSpace(text) != ""
	}
	d, ok := parseDecimal(text)
	return true, ok && (s.limits == nil || s.limits.holds(d))
}

// EmitValue reports whether a model that scores provisionally reads this value
// name, so that its open pane is to be sent with each value.
func (r *Rules) EmitValue(typ, name string) bool {
	for _, m := range r.Models {
		if m.Provisional && m.Reads(typ, name) {
			return true
		}
	}
	return false
}

// Grace is how long after its end a pane of this value name may still be
// revised: the longest of the models that read it.
func (r *Rules) Grace(typ, name string) schemas.Ticks {
	var g schemas.Ticks
	for _, m := range r.Models {
		if m.Reads(typ, name) {
			g = max(g, m.Grace)
		}
	}
	return g
}

// MaxGrace is the longest that Grace returns.
func (r *Rules) MaxGrace() schemas.Ticks {
	var g schemas.Ticks
	for _, m := range r.Models {
		g = max(g, m.Grace)
	}
	return g
}

// Watch returns the rules as the patient's row needs them.
func (r *Rules) Watch() *state.Watch {
	w := &state.Watch{MaxGap: r.MaxGap, Lag: r.Lag}
	for _, m := range r.Models {
		w.Plans = append(w.Plans, m.Plan())
	}
	return w
}

// interval is a plausible range.
type interval struct {
	low, high         decimal
	openLow, openHigh bool // the bound itself is outside
}

func (i *interval) holds(d decimal) bool {
	low, high := d.compare(i.low), d.compare(i.high)
	return (low > 0 || low == 0 && !i.openLow) && (high < 0 || high == 0 && !i.openHigh)
}

// parseInterval reads "[low,high]" with a round bracket where a bound is
// outside.
func parseInterval(text string) (*interval, bool) {
	s := strings.TrimSpace(text)
	if len(s) < 5 || !strings.ContainsRune("[(", rune(s[0])) || !strings.ContainsRune("])", rune(s[len(s)-1])) {
		return nil, false
	}
	low, high, ok := strings.Cut(s[1:len(s)-1], ",")
	if !ok {
		return nil, false
	}
	i := &interval{openLow: s[0] == '(', openHigh: s[len(s)-1] == ')'}
	var ok1, ok2 bool
	i.low, ok1 = parseDecimal(low)
	i.high, ok2 = parseDecimal(high)
	return i, ok1 && ok2 && i.low.compare(i.high) <= 0
}
