package scoring

import (
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

// TestConfigurationReadsAsDocumented reads the form that users write.
func TestConfigurationReadsAsDocumented(t *testing.T) {
	text, err := os.ReadFile("testdata/physionet.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var c Config
	if err := yaml.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	if want := icu(); !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

func TestConfigErrorsNameThePlaceAndTheFix(t *testing.T) {
	model := func(change func(m *ModelConfig)) func(c *Config) {
		return func(c *Config) { change(&c.Scoring.Models[0]) }
	}
	in := func(name string, change func(in *Input)) func(c *Config) {
		return model(func(m *ModelConfig) {
			i := m.Inputs[name]
			change(&i)
			m.Inputs[name] = i
		})
	}
	sig := func(name string, s Signal) func(c *Config) { return func(c *Config) { c.Signals[name] = s } }
	hr := []Source{{"HR", "v"}}
	for _, c := range []struct {
		change     func(c *Config)
		path, says string
	}{
		{sig("hr", Signal{From: hr, Plausible: "0-300"}), "signals.hr.plausible", `"(0,300]"`},
		{sig("hr", Signal{From: hr, Plausible: "(300,0]"}), "signals.hr.plausible", "is no interval"},
		{sig("hr", Signal{}), "signals.hr.from", "{type: T, value: V}"},
		{sig("hr", Signal{From: []Source{{"HR", ""}}}), "signals.hr.from[0]", "needs type and value"},
		{sig("hrx", Signal{From: hr}), "signals.hrx.from[0]", "already belongs to signal hr"},
		{model(func(m *ModelConfig) { m.ID = "early" }), "scoring.models[0].id", "news2"},
		{model(func(m *ModelConfig) { m.Chart = "mews" }), "scoring.models[0].chart", "news2"},
		{model(func(m *ModelConfig) { m.ID, m.Chart = "", "news2" }), "scoring.models[0].id", "is missing"},
		{model(func(m *ModelConfig) { m.Window.Size = 90 * time.Second }), "scoring.models[0].window.size", "multiple of the pane"},
		{model(func(m *ModelConfig) { m.Window.Slide = 25 * time.Minute }), "scoring.models[0].window.slide", "divides the size"},
		{model(func(m *ModelConfig) { m.Window.Size, m.Window.Slide = 200*time.Minute, time.Minute }), "scoring.models[0].window.slide", "the most is 100"},
		{model(func(m *ModelConfig) { m.Window.Origin = time.Unix(30, 0) }), "scoring.models[0].window.origin", "pane boundary"},
		{model(func(m *ModelConfig) { m.Window.Emit = "now" }), "scoring.models[0].window.emit", "value"},
		{model(func(m *ModelConfig) { m.Window.Grace = -1 }), "scoring.models[0].window.grace", "negative"},
		{model(func(m *ModelConfig) { delete(m.Inputs, "oxygen") }), "scoring.models[0].inputs.oxygen", "bind it to a signal"},
		{model(func(m *ModelConfig) { m.Inputs["hrt"] = Input{Signal: "hr", Horizon: 1} }), "scoring.models[0].inputs.hrt", "it has: rr, spo2"},
		{model(func(m *ModelConfig) { m.Required = append(m.Required, "x") }), "scoring.models[0].required[6]", "no input of NEWS2"},
		{model(func(m *ModelConfig) { m.Required = m.Required[1:] }), "scoring.models[0].required", "add rr"},
		{in("rr", func(i *Input) { i.Signal = "rrx" }), "scoring.models[0].inputs.rr.signal", "choose one of"},
		{in("rr", func(i *Input) { i.Horizon = 0 }), "scoring.models[0].inputs.rr.horizon", "how old"},
		{in("rr", func(i *Input) { i.Signal = "" }), "scoring.models[0].inputs.rr", "either signal or any"},
		{in("rr", func(i *Input) { i.Else = "A" }), "scoring.models[0].inputs.rr", "read as a number"},
		{in("consciousness", func(i *Input) { i.Else = "X" }), "scoring.models[0].inputs.consciousness.else", "A, C, P, U, V"},
		{in("consciousness", func(i *Input) { i.Cases = map[string]string{"14": "confused"} }), "scoring.models[0].inputs.consciousness.cases.14", "means nothing"},
		{in("consciousness", func(i *Input) { i.Unknown = "A" }), "scoring.models[0].inputs.consciousness.unknown", "no stand-in"},
		{in("oxygen", func(i *Input) { i.Unknown = "perhaps" }), "scoring.models[0].inputs.oxygen.unknown", "air, oxygen"},
		{in("oxygen", func(i *Input) { i.Any = []Condition{{Signal: "fio2"}} }), "scoring.models[0].inputs.oxygen.any[0]", "exactly one"},
		{in("oxygen", func(i *Input) { i.Any = []Condition{{Signal: "fio2", GT: "much"}} }), "scoring.models[0].inputs.oxygen.any[0].gt", "no number"},
		{in("oxygen", func(i *Input) { i.Else = "air" }), "scoring.models[0].inputs.oxygen", "belong to signal"},
		{model(func(m *ModelConfig) { m.Flag.Close = 7 }), "scoring.models[0].flag.close", "below open"},
		{model(func(m *ModelConfig) { m.Flag.Open = 21 }), "scoring.models[0].flag.open", "up to 20"},
		{model(func(m *ModelConfig) { m.Flag.On = -1 }), "scoring.models[0].flag.on", "1 to 100"},
		{model(func(m *ModelConfig) { m.Flag.Incomplete = "guess" }), "scoring.models[0].flag.incomplete", "bounds or skip"},
		{func(c *Config) { c.Scoring.Models = append(c.Scoring.Models, c.Scoring.Models[0]) }, "scoring.models[1].id", "another model"},
		{func(c *Config) { c.Scoring.MaxGap = -1 }, "scoring.maxGap", "negative"},
		{func(c *Config) { c.Scoring.MaxGap = time.Minute }, "scoring.models[0].window.slide", "raise maxGap"},
		{func(c *Config) { c.Scoring.Models = make([]ModelConfig, MaxModels+1) }, "scoring.models", "the most is 32"},
	} {
		config := icu()
		c.change(&config)
		_, err := Compile(config)
		if err == nil {
			t.Errorf("%s: no error", c.path)
			continue
		}
		if got := faultAt(err, c.path); !strings.Contains(got, c.says) {
			t.Errorf("%s should say %q; all: %v", c.path, c.says, err)
		}
	}
}

// faultAt returns the text of the fault with this path.
func faultAt(err error, path string) string {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return ""
	}
	for _, e := range joined.Unwrap() {
		var f interface{ ConfigPath() string }
		if errors.As(e, &f) && f.ConfigPath() == path {
			return e.Error()
		}
	}
	return ""
}

// TestUnboundInputIsMissing lets a site without a thermometer score bounds.
func TestUnboundInputIsMissing(t *testing.T) {
	c := icu()
	delete(c.Scoring.Models[0].Inputs, "temp")
	m := mustCompile(t, c).Models[0]
	r := m.Evaluate(0, noon, scale2(), charted(map[string]string{"HR": "80"}))
	if !slices.Contains(r.Missing, "temp") || r.Complete {
		t.Errorf("%+v", r)
	}
}

func TestVersionFollowsTheConfiguration(t *testing.T) {
	one := mustCompile(t, icu()).Models[0].Version
	if again := mustCompile(t, icu()).Models[0].Version; again != one {
		t.Errorf("%s, then %s", one, again)
	}
	c := icu()
	c.Scoring.Models[0].Flag.Open = 8
	d := icu()
	d.Signals["sbp"] = Signal{From: d.Signals["sbp"].From[:1], Plausible: d.Signals["sbp"].Plausible}
	e := icu()
	s := e.Signals["hr"]
	s.Plausible = "(0,250]"
	e.Signals["hr"] = s
	for i, c := range []Config{c, d, e} {
		if v := mustCompile(t, c).Models[0].Version; v == one {
			t.Errorf("change %d left the version at %s", i, v)
		}
	}
}
