package scoring

import (
	"slices"

	"auscult/schemas"
	"auscult/state"
)

// Model is a compiled model: a chart over windows of one shape.
type Model struct {
	ID      string
	Title   string // of the chart, for people
	Version string // hash of chart and configuration

	Size, Slide, Origin, Grace schemas.Ticks
	MaxHorizon                 schemas.Ticks // of the input that looks back furthest
	Provisional                bool          // emit: value
	Flag                       *state.FlagPolicy

	chart  *chart
	inputs []input // in the chart's order
	scale2 string
	reads  map[Source]bool
	labels map[string]string
}

// Plan returns what the patient's row has to know of m.
func (m *Model) Plan() state.Plan {
	return state.Plan{
		ID: m.ID, Version: m.Version, Size: m.Size, Slide: m.Slide, Origin: m.Origin, Grace: m.Grace,
		Horizon: m.MaxHorizon, Provisional: m.Provisional, Flag: m.Flag, Reads: m.Reads, Evaluate: m.Evaluate,
	}
}

// Reads reports whether some input of m reads this value name.
func (m *Model) Reads(typ, name string) bool { return m.reads[Source{typ, name}] }

// Sources returns what m reads, sorted.
func (m *Model) Sources() []Source {
	var all []Source
	for s := range m.reads {
		all = append(all, s)
	}
	slices.SortFunc(all, compareSources)
	return all
}

// Evaluate scores the window [start, end) from the latest values before its
// end. Nothing missing is ever taken for normal: what is not known widens the
// bounds.
func (m *Model) Evaluate(_, end schemas.Ticks, facts schemas.PatientFacts, latest state.Latest) state.Result {
	readings := make([]reading, len(m.inputs))
	for i := range m.inputs {
		readings[i] = m.inputs[i].read(end, latest)
	}
	r := m.chart.score(m.chart, readings, m.onScale2(facts))
	var newest schemas.Ticks
	for i, v := range readings {
		if !v.known {
			r.Missing = append(r.Missing, m.inputs[i].chart.name)
			continue
		}
		in := schemas.ScoreInput{Name: m.inputs[i].chart.name, Text: v.text, Unit: v.unit}
		if !v.standIn {
			in.Time, in.Observation = v.sample.Time, v.sample.Observation
			if v.sample.Time > newest || v.sample.Time == newest && v.sample.Encounter < r.Encounter {
				newest, r.Encounter = v.sample.Time, v.sample.Encounter
			}
		}
		r.Inputs = append(r.Inputs, in)
	}
	return r
}
