package scoring

import (
	"errors"
	"fmt"
	"time"
)

// Config is what the user writes: what measurements mean, and the models over
// them.
type Config struct {
	Signals map[string]Signal `yaml:"signals"`
	Scoring Scoring           `yaml:"scoring"`
	// Pane is how long the panes are that Observe cuts; every window is a whole
	// number of them. 0 means DefaultPane.
	Pane time.Duration `yaml:"-"`
}

// Signal is one vital sign: the measurements that carry it, in order of
// preference, and what it can be.
type Signal struct {
	From      []Source `yaml:"from"`
	Unit      string   `yaml:"unit,omitempty"`      // UCUM code
	Plausible string   `yaml:"plausible,omitempty"` // interval such as "(0,300]"
}

// Source is one value name of one measurement type.
type Source struct {
	Type  string `yaml:"type"`
	Value string `yaml:"value"`
}

// Scoring is the list of models and what they share.
type Scoring struct {
	Models []ModelConfig `yaml:"models"`
	MaxGap time.Duration `yaml:"maxGap,omitempty"` // a longer gap between values begins a new run of windows
	Lag    time.Duration `yaml:"lag,omitempty"`    // a device further behind does not hold windows open
}

// ModelConfig is one model over one kind of window.
type ModelConfig struct {
	ID       string           `yaml:"id"`
	Chart    string           `yaml:"chart,omitempty"` // default: the id
	Window   Window           `yaml:"window"`
	Inputs   map[string]Input `yaml:"inputs"`
	Required []string         `yaml:"required"`
	Scale2   string           `yaml:"scale2,omitempty"` // patient fact that chooses SpO2 scale 2
	Flag     *FlagConfig      `yaml:"flag,omitempty"`
}

// Window is the shape of a model's windows and when they are scored.
type Window struct {
	Size   time.Duration `yaml:"size"`
	Slide  time.Duration `yaml:"slide,omitempty"`  // default: the size
	Origin time.Time     `yaml:"origin,omitempty"` // default: 1970-01-01T00:00:00Z
	Grace  time.Duration `yaml:"grace,omitempty"`
	Emit   string        `yaml:"emit,omitempty"` // value | close (default)
}

// Input is how a model reads one of its inputs: a signal as it is, a signal
// through cases, or a condition on any of several signals.
type Input struct {
	Signal  string            `yaml:"signal,omitempty"`
	Cases   map[string]string `yaml:"cases,omitempty"`
	Else    string            `yaml:"else,omitempty"`
	Any     []Condition       `yaml:"any,omitempty"`
	Unknown string            `yaml:"unknown,omitempty"` // stand-in when no value is known
	Horizon time.Duration     `yaml:"horizon"`
}

// Condition compares a signal with one number; exactly one of the five is set.
type Condition struct {
	Signal string `yaml:"signal"`
	GT     string `yaml:"gt,omitempty"`
	GE     string `yaml:"ge,omitempty"`
	LT     string `yaml:"lt,omitempty"`
	LE     string `yaml:"le,omitempty"`
	EQ     string `yaml:"eq,omitempty"`
}

// FlagConfig says when a model's score raises and clears a Flag.
type FlagConfig struct {
	Open       float64 `yaml:"open"`
	Close      float64 `yaml:"close"`
	On         int     `yaml:"on,omitempty"`         // windows in a row, default 1
	Off        int     `yaml:"off,omitempty"`        // windows in a row, default 1
	Incomplete string  `yaml:"incomplete,omitempty"` // bounds (default) | skip
}

// Words of the configuration.
const (
	EmitValue        = "value"
	EmitClose        = "close"
	IncompleteBounds = "bounds"
	IncompleteSkip   = "skip"
)

// Defaults and limits of the configuration.
const (
	DefaultPane   = time.Minute
	DefaultMaxGap = 7 * 24 * time.Hour
	DefaultLag    = 24 * time.Hour
	MaxModels     = 32
	MaxSources    = 16  // of one signal
	MaxSignals    = 256 // of one configuration
	MaxConditions = 16  // of one input
	MaxHorizon    = 31 * 24 * time.Hour
	MaxWindows    = 100 // windows that cover one instant: size / slide
	MaxPolicy     = 100 // windows in a row that a Flag waits for
)

// ConfigError is one thing wrong in a Config: where, and what to change.
type ConfigError struct{ Path, Text string }

// Error implements error.
func (e *ConfigError) Error() string { return e.Path + ": " + e.Text }

// ConfigPath returns where in Config the fault is, e.g.
// "scoring.models[0].window.slide".
func (e *ConfigError) ConfigPath() string { return e.Path }

// faults gathers what is wrong, so that a user sees all of it at once.
type faults []error

func (f *faults) add(path, format string, args ...any) {
	*f = append(*f, &ConfigError{Path: path, Text: fmt.Sprintf(format, args...)})
}

func (f faults) join() error { return errors.Join(f...) }
