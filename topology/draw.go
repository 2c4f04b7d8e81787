package topology

import (
	"fmt"
	"io"
	"strings"

	"auscult/schemas"
)

// Mermaid draws the graph as a Mermaid flowchart, which code hosts render: a
// stage is a box, a topic a pill, a table a cylinder, an outside store a
// hexagon. dead-letters is left out of the arrows: any stage may write it.
func (g Graph) Mermaid(w io.Writer) error {
	d := drawing{w: w, named: map[string]bool{}}
	d.line("flowchart LR")
	for i := range g {
		s := &g[i]
		d.line("  %s[%q]", stageID(s.Name), s.Name)
		for _, t := range s.Inputs {
			d.edge(d.topic(t), "-->", stageID(s.Name))
		}
		if s.Table != "" {
			d.line("  %s[(%q)]", topicID(s.Table), s.Table)
			d.edge(stageID(s.Name), "<-->", topicID(s.Table))
		}
		for _, t := range s.Outputs {
			if t != schemas.TopicDeadLetters {
				d.edge(stageID(s.Name), "-->", d.topic(t))
			}
		}
		if s.Sink != "" {
			d.edge(stageID(s.Name), "==>", d.store(s.Sink))
		}
	}
	return d.err
}

type drawing struct {
	w     io.Writer
	named map[string]bool
	err   error
}

func (d *drawing) line(format string, args ...any) {
	if d.err == nil {
		_, d.err = fmt.Fprintf(d.w, format+"\n", args...)
	}
}

func (d *drawing) edge(from, arrow, to string) { d.line("  %s %s %s", from, arrow, to) }

// topic names a topic at its first use and returns its id.
func (d *drawing) topic(name string) string {
	id := topicID(name)
	if !d.named[id] {
		d.named[id] = true
		d.line("  %s([%q])", id, name)
	}
	return id
}

func (d *drawing) store(name string) string {
	id := "out_" + strings.ReplaceAll(strings.ToLower(name), " ", "_")
	if !d.named[id] {
		d.named[id] = true
		d.line("  %s{{%q}}", id, name)
	}
	return id
}

func stageID(name string) string { return "stage_" + strings.ReplaceAll(name, "-", "_") }

func topicID(name string) string { return "topic_" + strings.ReplaceAll(name, "-", "_") }
