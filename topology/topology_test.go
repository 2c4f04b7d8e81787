package topology

import (
	"os"
	"slices"
	"strings"
	"testing"

	"auscult/schemas"
)

func TestGraphHangsTogether(t *testing.T) {
	g := Lay(Parts{})
	if err := g.Check(); err != nil {
		t.Error(err)
	}
	used := map[string]bool{}
	for _, s := range g {
		for _, topics := range [][]string{s.Inputs, s.Outputs, {s.Table}} {
			for _, topic := range topics {
				used[topic] = true
			}
		}
		if s.With != "" {
			if with, ok := g.Stage(s.With); !ok || with.With != s.Name {
				t.Errorf("%s is finished with %q, which does not say the same", s.Name, s.With)
			}
		}
	}
	for _, topic := range schemas.Topics {
		if !used[topic.Name] {
			t.Errorf("no stage uses the topic %s", topic.Name)
		}
	}
}

func TestOnly(t *testing.T) {
	g := Lay(Parts{})
	part, err := g.Only(Assess, Normalize)
	if err != nil || !slices.Equal(part.Names(), []string{Normalize, Assess}) {
		t.Errorf("got %v (%v)", part.Names(), err)
	}
	if _, err := g.Only("asess"); err == nil || !strings.Contains(err.Error(), "the stages are normalize, identify") {
		t.Errorf("a misspelt stage gives %v", err)
	}
}

func TestUpstream(t *testing.T) {
	g := Lay(Parts{})
	observe, _ := g.Stage(Observe)
	var names []string
	for _, s := range g.Upstream(observe) {
		names = append(names, s.Name)
	}
	if !slices.Equal(names, []string{Normalize, Identify}) {
		t.Errorf("upstream of observe: %v", names)
	}
}

func TestReadmeHasThePicture(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := Lay(Parts{}).Mermaid(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "```mermaid\n"+b.String()+"```\n") {
		t.Errorf("README.md has another picture than `auscult draw`:\n%s", b.String())
	}
}
