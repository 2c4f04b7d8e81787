package scoring

import (
	"strings"

	"auscult/schemas"
	"auscult/state"
)

// input is a compiled Input of a model, tied to what the chart expects of it.
type input struct {
	chart   chartInput
	signal  *signal // nil for a condition, or when nothing is bound
	cases   []wordCase
	other   string // else
	any     []condition
	unknown string // stand-in
	horizon schemas.Ticks
}

// wordCase maps a value to a word; values are compared as numbers when both
// are some, otherwise as trimmed texts.
type wordCase struct {
	text   string
	number decimal
	isNum  bool
	word   string
}

// condition compares the latest value of a signal with a number.
type condition struct {
	signal  *signal
	op      func(order int) bool
	operand decimal
}

// reading is what an input was at the end of a window.
type reading struct {
	known   bool
	standIn bool
	number  int64  // in units of the chart's resolution
	word    string // for inputs that are words
	text    string // as the chart reads it
	sample  state.Sample
	unit    string
}

// read returns the input as it stands for the window that ends at end.
func (in *input) read(end schemas.Ticks, latest state.Latest) reading {
	var r reading
	switch {
	case len(in.any) > 0:
		r = in.readAny(end, latest)
	case in.signal != nil:
		if s, ok := in.signal.latest(end, in.horizon, latest); ok {
			r = in.interpret(s)
		}
	}
	if !r.known && in.unknown != "" {
		return reading{known: true, standIn: true, word: in.unknown, text: in.unknown}
	}
	return r
}

// latest returns the latest value of a signal inside the horizon. The later
// time wins; at equal time the earlier source.
func (s *signal) latest(end, horizon schemas.Ticks, latest state.Latest) (best state.Sample, ok bool) {
	for _, from := range s.from {
		v, found := latest(from.Type, from.Value, end)
		if !found || end-v.Time > horizon || ok && v.Time <= best.Time {
			continue
		}
		best, ok = v, true
	}
	return best, ok
}

// interpret turns a value into what the chart reads.
func (in *input) interpret(s state.Sample) reading {
	if in.chart.words == nil {
		d, ok := parseDecimal(s.Text)
		if !ok {
			return reading{}
		}
		n := d.round(in.chart.places)
		return reading{known: true, number: n, text: chartText(d, s.Text, n, in.chart.places), sample: s, unit: in.signal.unit}
	}
	word, ok := in.word(s.Text)
	if !ok {
		return reading{}
	}
	return reading{known: true, word: word, text: word, sample: s}
}

// chartText keeps the text of a value that needs no rounding.
func chartText(d decimal, text string, rounded int64, places int) string {
	shown := formatRounded(rounded, places)
	if r, _ := parseDecimal(shown); r.compare(d) == 0 {
		return strings.TrimSpace(text)
	}
	return shown
}

// word returns which of the chart's words a value means.
func (in *input) word(text string) (string, bool) {
	text = strings.TrimSpace(text)
	if in.cases == nil && in.other == "" {
		_, ok := in.chart.words[text]
		return text, ok
	}
	number, isNum := parseDecimal(text)
	for _, c := range in.cases {
		if c.text == text || c.isNum && isNum && c.number.compare(number) == 0 {
			return c.word, true
		}
	}
	return in.other, in.other != ""
}

// readAny is true when one of the conditions holds, false when at least one is
// known and none holds. Conditions are alternatives: a patient on the
// ventilator need not have a mask's flow as well.
func (in *input) readAny(end schemas.Ticks, latest state.Latest) reading {
	var r reading
	for _, c := range in.any {
		s, ok := c.signal.latest(end, in.horizon, latest)
		if !ok {
			continue
		}
		d, ok := parseDecimal(s.Text)
		if !ok {
			continue
		}
		if c.op(d.compare(c.operand)) {
			return reading{known: true, word: in.chart.yes, text: in.chart.yes, sample: s}
		}
		if !r.known || s.Time > r.sample.Time {
			r = reading{known: true, word: in.chart.no, text: in.chart.no, sample: s}
		}
	}
	return r
}
