package console

import (
	"context"
	"errors"

	"auscult/schemas"
)

// ErrNoPatient is what a History returns for a patient that it does not know.
var ErrNoPatient = errors.New("no such patient")

// History is where the facts are. Its answers come from one state of the river
// each; the console asks again every second.
type History interface {
	// Worklist returns at most limit standings, the highest risk first, patients
	// without a score last.
	Worklist(ctx context.Context, limit int) ([]Standing, error)
	// OpenFlags returns the open Flags of all patients, latest first.
	OpenFlags(ctx context.Context) ([]Flag, error)
	// Course returns a patient's last span of event time, counted back from the
	// latest window.
	Course(ctx context.Context, patient string, span schemas.Ticks) (Course, error)
	DeadLetters(ctx context.Context) ([]LetterCount, error)
	Freshness(ctx context.Context) (Freshness, error)
}

// Bounds is what a model said of one window: both ends are the score when it
// was complete.
type Bounds struct {
	Min, Max float64
	Complete bool
}

// Past is what a model said of an earlier window.
type Past struct {
	End schemas.Ticks
	Bounds
}

// NamedScore is the part of a score that one input made.
type NamedScore struct {
	Name  string
	Score float64
}

// Input is one value that a score used. Time is 0 for a configured stand-in.
type Input struct {
	Name, Value, Unit string
	Time              schemas.Ticks
}

// Standing is how one patient stands with one model: the latest window. A
// patient who has not been scored has an empty Model.
type Standing struct {
	Patient, System, Identifier string

	Model, ModelVersion string
	Start, End          schemas.Ticks
	Bounds
	Risk      string // low, low-medium, medium, high; empty when the bounds disagree
	Final     bool
	SubScores []NamedScore
	Inputs    []Input
	Missing   []string
	// Recent are this window and those before that touch but do not overlap, each
	// as long as this: the oldest first, and only those that have been scored.
	Recent []Past
}

// Flag is one episode. Closed is 0 while it is open.
type Flag struct {
	ID, Patient, Rule, Device string
	Technical                 bool
	Opened, Closed            schemas.Ticks
	MaxScore                  float64
}

// LetterCount is how many dead letters a stage wrote for one reason. Capped
// says that there are more than N.
type LetterCount struct {
	Stage, Reason string
	N             int64
	Capped        bool
}

// Freshness says how far the facts have got.
type Freshness struct {
	Patients, Scored int64
	Latest           schemas.Ticks // end of the latest window of all
	Records          int64         // loaded so far
}

// Pane is one tumbling pane of a series; the texts are decimals, empty where a
// value is no number.
type Pane struct {
	Device         string
	Start, End     schemas.Ticks
	N, Implausible int64
	Sum, Min, Max  string
	Last           string
	Final          bool
}

// Series is the panes of one value, by time.
type Series struct {
	Type, Name string
	Panes      []Pane
}

// Window is what a model said of one window.
type Window struct {
	Model      string
	Start, End schemas.Ticks
	Bounds
	Risk    string
	Final   bool
	Missing []string
}

// Course is what is known of one patient between two instants of event time.
type Course struct {
	Patient, System, Identifier string
	BirthDate, Gender           string
	From, To                    schemas.Ticks
	Standings                   []Standing
	Series                      []Series
	Windows                     []Window // by model, then by time
	Flags                       []Flag   // latest first
}
