// Package topology is the map of the river: which stage reads and writes what.
//
// A [Graph] is data. The Goka groups and batch consumers that run, the topics
// that must exist, the picture in the README, the order in which a run drains
// and the drivers of replay and tests all come from the same value. It knows
// the stages' shapes; what a stage does is in processors, how records travel is
// in kafka.
package topology

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lovoo/goka"

	"auscult/schemas"
)

// The names of the stages; each is a consumer group too.
const (
	Normalize     = "normalize"
	Identify      = "identify"
	Observe       = "observe"
	Assess        = "assess"
	Deliver       = "deliver"
	DeliverHot    = "deliver-hot"
	LoadRaw       = "load-raw"
	LoadWarehouse = "load"
)

// Batch is what a stage without a row does with consecutive records of one
// partition. It emits what it returns; an error stops the stage.
type Batch interface {
	Process(ctx context.Context, b schemas.Batch) ([]schemas.Out, error)
}

// Keyed is what a stage with a row per key does: one callback for each input,
// in the order of the stage's Inputs, and one for ticks. Messages and rows are
// []byte.
type Keyed struct {
	Inputs []goka.ProcessCallback
	Tick   goka.ProcessCallback
}

// Stage is one node of the graph.
type Stage struct {
	Name    string
	About   string   // one sentence
	Inputs  []string // topics
	Outputs []string // topics
	Table   string   // the topic of its rows; empty for a stage without rows
	// Restore is the compacted topic of its own that a batch stage reads through
	// before its first batch; empty when it needs none.
	Restore string
	Sink    string // what it writes outside the broker; empty when nothing
	// With names the stage that must be finished together with this one,
	// because each waits for the other's records (G15).
	With string

	Keyed *Keyed // exactly one of Keyed and Batch is set in a graph that runs
	Batch Batch
}

// Graph is every stage, upstream first.
type Graph []Stage

// Parts are the stages' insides. A graph with parts left out can be drawn, but
// the stages without insides do not run.
type Parts struct {
	Normalize, Identify, Deliver, DeliverHot, LoadRaw, LoadWarehouse Batch
	Observe, Assess                                                  *Keyed
}

// Lay joins the parts to the river.
func Lay(p Parts) Graph {
	return Graph{{
		Name: Normalize, About: "message -> measurements, by the device mapping",
		Inputs: []string{schemas.TopicDeviceData}, Outputs: []string{schemas.TopicMeasurements, schemas.TopicDeadLetters},
		Batch: p.Normalize,
	}, {
		Name: Identify, About: "device id -> Device, Patient, Encounter, valid from when to when",
		Inputs: []string{schemas.TopicMeasurements}, Outputs: []string{schemas.TopicIdentities, schemas.TopicDeadLetters},
		Restore: schemas.TopicIdentities,
		Sink:    "FHIR server", With: Observe,
		Batch: p.Identify,
	}, {
		Name: Observe, About: "joins identity, groups values into Observations, cuts panes",
		Inputs:  []string{schemas.TopicMeasurements, schemas.TopicIdentities},
		Outputs: []string{schemas.TopicWindows, schemas.TopicResources, schemas.TopicDeadLetters},
		Table:   schemas.TopicObserveTable, With: Identify,
		Keyed: p.Observe,
	}, {
		Name: Assess, About: "sliding windows, scores, Flag episodes",
		Inputs:  []string{schemas.TopicWindows, schemas.TopicScores},
		Outputs: []string{schemas.TopicScores, schemas.TopicResourcesHot, schemas.TopicDeadLetters},
		Table:   schemas.TopicAssessTable,
		Keyed:   p.Assess,
	}, {
		Name: DeliverHot, About: "RiskAssessments and Flags to the FHIR server, ahead of all else",
		Inputs: []string{schemas.TopicResourcesHot}, Outputs: []string{schemas.TopicDeadLetters},
		Sink:  "FHIR server",
		Batch: p.DeliverHot,
	}, {
		Name: Deliver, About: "Observations to the FHIR server",
		Inputs: []string{schemas.TopicResources}, Outputs: []string{schemas.TopicDeadLetters},
		Sink:  "FHIR server",
		Batch: p.Deliver,
	}, {
		Name: LoadRaw, About: "every message as it came, for replay and audit",
		Inputs: []string{schemas.TopicDeviceData},
		Sink:   "raw zone",
		Batch:  p.LoadRaw,
	}, {
		Name: LoadWarehouse, About: "facts for dashboards",
		Inputs: []string{schemas.TopicIdentities, schemas.TopicWindows, schemas.TopicScores, schemas.TopicDeadLetters},
		Sink:   "warehouse",
		Batch:  p.LoadWarehouse,
	}}
}

// Runs reports whether s has its insides.
func (s *Stage) Runs() bool { return s.Keyed != nil || s.Batch != nil }

// Stage returns the stage of that name.
func (g Graph) Stage(name string) (*Stage, bool) {
	i := slices.IndexFunc(g, func(s Stage) bool { return s.Name == name })
	if i < 0 {
		return nil, false
	}
	return &g[i], true
}

// Only returns the named stages of g, in g's order; without names all of g.
func (g Graph) Only(names ...string) (Graph, error) {
	if len(names) == 0 {
		return g, nil
	}
	for _, n := range names {
		if _, ok := g.Stage(n); !ok {
			return nil, fmt.Errorf("there is no stage %q; the stages are %s", n, strings.Join(g.Names(), ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(g), func(s Stage) bool { return !slices.Contains(names, s.Name) }), nil
}

// Names returns the stages' names, upstream first.
func (g Graph) Names() []string {
	names := make([]string, len(g))
	for i := range g {
		names[i] = g[i].Name
	}
	return names
}

// Upstream returns the stages that write what s reads, s itself left out.
func (g Graph) Upstream(s *Stage) []*Stage {
	var up []*Stage
	for i := range g {
		if &g[i] == s || g[i].Name == s.Name {
			continue
		}
		if slices.ContainsFunc(g[i].Outputs, func(t string) bool { return slices.Contains(s.Inputs, t) }) {
			up = append(up, &g[i])
		}
	}
	return up
}

// Readers returns the stages that read a topic.
func (g Graph) Readers(topic string) []*Stage {
	var all []*Stage
	for i := range g {
		if slices.Contains(g[i].Inputs, topic) {
			all = append(all, &g[i])
		}
	}
	return all
}

// Check reports what is wrong with the graph: a topic that nobody plans, that
// nobody writes, or that nobody reads.
func (g Graph) Check() error {
	written := map[string]bool{schemas.TopicDeviceData: true} // by the devices
	for i := range g {
		for _, t := range g[i].Outputs {
			written[t] = true
		}
	}
	for i := range g {
		for _, t := range g[i].Inputs {
			if !written[t] {
				return fmt.Errorf("stage %s reads %s, which no stage writes", g[i].Name, t)
			}
		}
	}
	for _, t := range schemas.Topics {
		if len(g.Readers(t.Name)) == 0 && !slices.ContainsFunc(g, func(s Stage) bool { return s.Table == t.Name }) {
			return fmt.Errorf("no stage reads the topic %s", t.Name)
		}
	}
	return nil
}
