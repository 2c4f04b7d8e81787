package main

import (
	"context"
	"errors"

	"auscult/console"
	"auscult/schemas"
	"auscult/scoring"
	"auscult/sinks/warehouse"
)

// history lets the console read the warehouse: both have words of their own for
// the same facts, so that neither needs the other.
type history struct{ *warehouse.Reader }

var _ console.History = history{}

// Worklist implements console.History.
func (h history) Worklist(ctx context.Context, limit int) ([]console.Standing, error) {
	all, err := h.Reader.Worklist(ctx, limit)
	return each(all, standing), err
}

// OpenFlags implements console.History.
func (h history) OpenFlags(ctx context.Context) ([]console.Flag, error) {
	all, err := h.Reader.OpenFlags(ctx)
	return each(all, func(f warehouse.Flag) console.Flag { return console.Flag(f) }), err
}

// DeadLetters implements console.History.
func (h history) DeadLetters(ctx context.Context) ([]console.LetterCount, error) {
	all, err := h.Reader.DeadLetters(ctx)
	return each(all, func(c warehouse.LetterCount) console.LetterCount { return console.LetterCount(c) }), err
}

// Freshness implements console.History.
func (h history) Freshness(ctx context.Context) (console.Freshness, error) {
	f, err := h.Reader.Freshness(ctx)
	return console.Freshness(f), err
}

// Course implements console.History.
func (h history) Course(ctx context.Context, patient string, span schemas.Ticks) (console.Course, error) {
	c, err := h.Reader.Course(ctx, patient, span)
	if errors.Is(err, warehouse.ErrNoPatient) {
		err = console.ErrNoPatient
	}
	return course(c), err
}

func course(c warehouse.Course) console.Course {
	return console.Course{
		Patient: c.Patient, System: c.System, Identifier: c.Identifier, BirthDate: c.BirthDate, Gender: c.Gender, From: c.From, To: c.To,
		Standings: each(c.Standings, standing),
		Series: each(c.Series, func(s warehouse.Series) console.Series {
			return console.Series{Type: s.Type, Name: s.Name, Panes: each(s.Panes, func(p warehouse.Pane) console.Pane { return console.Pane(p) })}
		}),
		Windows: each(c.Windows, func(w warehouse.Window) console.Window {
			return console.Window{Model: w.Model, Start: w.Start, End: w.End, Bounds: console.Bounds(w.Bounds), Risk: w.Risk, Final: w.Final, Missing: w.Missing}
		}),
		Flags: each(c.Flags, func(f warehouse.Flag) console.Flag { return console.Flag(f) }),
	}
}

func standing(s warehouse.Standing) console.Standing {
	return console.Standing{
		Patient: s.Patient, System: s.System, Identifier: s.Identifier,
		Model: s.Model, ModelVersion: s.ModelVersion, Start: s.Start, End: s.End, Bounds: console.Bounds(s.Bounds), Risk: s.Risk, Final: s.Final,
		SubScores: each(s.SubScores, func(n warehouse.NamedScore) console.NamedScore { return console.NamedScore(n) }),
		Inputs:    each(s.Inputs, func(in warehouse.Input) console.Input { return console.Input(in) }),
		Missing:   s.Missing,
		Recent:    each(s.Recent, func(p warehouse.Past) console.Past { return console.Past{End: p.End, Bounds: console.Bounds(p.Bounds)} }),
	}
}

// each returns what f makes of every element.
func each[A, B any](all []A, f func(A) B) []B {
	if all == nil {
		return nil
	}
	out := make([]B, len(all))
	for i := range all {
		out[i] = f(all[i])
	}
	return out
}

// consoleVitals names the values that the configuration calls signals.
func consoleVitals(c scoring.Config) func(measurement, name string) console.Vital {
	vitals := map[scoring.Source]console.Vital{}
	for name, signal := range c.Signals {
		title, place := console.InputTitle(name)
		for i, from := range signal.From {
			v := console.Vital{Label: title, Unit: signal.Unit, Rank: place}
			if i > 0 {
				v.Label += ", " + from.Type // the same sign by other means
			}
			vitals[from] = v
		}
	}
	return func(measurement, name string) console.Vital {
		return vitals[scoring.Source{Type: measurement, Value: name}]
	}
}

// consoleModels tells where the configured models open and close their Flags.
func consoleModels(c scoring.Config) map[string]console.Model {
	models := map[string]console.Model{}
	for _, m := range c.Scoring.Models {
		if m.Flag != nil {
			models[m.ID] = console.Model{Open: m.Flag.Open, Close: m.Flag.Close}
		}
	}
	return models
}
