package state

import "auscult/schemas"

// Sample is one plausible value of a series.
type Sample struct {
	Text        string
	Time        schemas.Ticks
	Observation string // identifier value of the Observation that holds it
	Device      string
	Encounter   string
}

// Latest returns the latest plausible value of a series that is older than
// before.
type Latest func(typ, name string, before schemas.Ticks) (Sample, bool)

// Result is what a model says of one window.
type Result struct {
	Value, Min, Max float64 // Value when Complete; Min and Max are then equal to it
	Complete        bool
	Risk            string // empty when the bounds disagree
	SubScores       []schemas.NamedScore
	Inputs          []schemas.ScoreInput
	Missing         []string
	Encounter       string // that of the latest input
}

// FlagPolicy says when the scores of a model open and close a Flag.
type FlagPolicy struct {
	Open, Close float64 // opens at or above Open, closes at or below Close
	On, Off     int     // after so many windows in a row
	// Skip leaves incomplete windows out. Else one whose lower bound reaches
	// Open counts as such a window; other incomplete ones never count.
	Skip bool
}

// Plan is what the patient's row has to know of one model.
type Plan struct {
	ID, Version string
	Size, Slide schemas.Ticks
	Origin      schemas.Ticks // some slide begins here
	Grace       schemas.Ticks
	Horizon     schemas.Ticks // of the input that looks back furthest
	Provisional bool          // score the slide that is still open (emit: value)
	Flag        *FlagPolicy   // nil: this model raises none
	Reads       func(typ, name string) bool
	Evaluate    func(start, end schemas.Ticks, facts schemas.PatientFacts, latest Latest) Result
}

// Watch is what the patient's row has to know of the configuration.
type Watch struct {
	Plans     []Plan        // at most MaxPlans
	MaxGap    schemas.Ticks // a longer gap between used events begins a new run (G8)
	Lag       schemas.Ticks // a device further behind does not count for the lowest clock (G5)
	IdleFlags bool          // raise a technical Flag for a device that falls silent
}

// MaxPlans is how many models one patient is watched with.
const MaxPlans = 32

// grace is how long after their end panes may still be revised.
func (w *Watch) grace() schemas.Ticks {
	var g schemas.Ticks
	for i := range w.Plans {
		g = max(g, w.Plans[i].Grace)
	}
	return g
}

// slideEnd returns the end of the slide that holds t.
func (p *Plan) slideEnd(t schemas.Ticks) schemas.Ticks { return t.Floor(p.Slide, p.Origin) + p.Slide }

// boundary returns the last slide boundary that is not after t.
func (p *Plan) boundary(t schemas.Ticks) schemas.Ticks { return t.Floor(p.Slide, p.Origin) }
