package scene

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func echo(c Command) (string, error) {
	switch c.Verb {
	case "quiet":
		return "", nil
	case "fail":
		return "", errors.New("no such thing")
	}
	return c.Verb + " to=" + c.Arg("to", "nobody") + " lines=" + strings.Join(c.Lines, "|"), nil
}

func TestPerformWritesAnswers(t *testing.T) {
	script := "# About the play.\n\nquiet\n\n# A comment.\nsay to=anne\nfirst\n# no line\nsecond\n----\nold answer\n"
	want := "# About the play.\n\nquiet\n\n# A comment.\nsay to=anne\nfirst\n# no line\nsecond\n----\nsay to=anne lines=first|second\n"
	got, err := Perform(script, echo)
	if err != nil || got != want {
		t.Errorf("got %q (%v)\nwant %q", got, err, want)
	}
	again, err := Perform(got, echo)
	if err != nil || again != got {
		t.Errorf("a play that has its answers changes when played again: %q (%v)", again, err)
	}
}

func TestPerformKeepsEmptyAnswers(t *testing.T) {
	got, err := Perform("quiet\n----\nsomething\n", echo)
	if err != nil || got != "quiet\n----\n" {
		t.Errorf("got %q (%v)", got, err)
	}
}

func TestPerformNamesFailingCommand(t *testing.T) {
	if _, err := Perform("fail now\n", echo); err == nil || !strings.Contains(err.Error(), "fail now: no such thing") {
		t.Errorf("got %v", err)
	}
}

func TestDifferenceShowsLines(t *testing.T) {
	if got := difference("a\nb\n", "a\nc\nd\n"); !strings.Contains(got, "line 2\n  want b\n   got c") {
		t.Errorf("got %s", got)
	}
}

func TestRunAllStagesEveryPlay(t *testing.T) {
	dir := t.TempDir()
	for name, script := range map[string]string{"one": "say to=a\n----\nsay to=a lines=\n", "two": "quiet\n"} {
		if err := os.WriteFile(filepath.Join(dir, name+".txt"), []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log []string
	staging := func(name string) Staging {
		return Staging{Name: name, New: func(_ *testing.T, play string) (Player, func()) {
			return echo, func() { log = append(log, name+" "+play) }
		}}
	}
	RunAll(t, filepath.Join(dir, "*.txt"), staging("first"), staging("second"))
	if want := "first one, second one, first two, second two"; strings.Join(log, ", ") != want {
		t.Errorf("got %s, want %s", strings.Join(log, ", "), want)
	}
}
