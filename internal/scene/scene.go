// Package scene runs plays: plain-text files in which each paragraph is a
// command and, below a line of dashes, what it answered. A play is read by
// people first, and rewritten with -update when the answers change on purpose.
//
// It knows the form of a play and nothing of what is played.
package scene

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the answers that the plays gave into their files")

// answerMark separates a command from its answer.
const answerMark = "----"

// Command is one paragraph of a play: a verb, its arguments, and the lines
// below it. Lines that begin with # are for the reader.
type Command struct {
	Verb  string
	Args  []string
	Lines []string
}

// Arg returns the value of the argument name=value, or other when there is none.
func (c Command) Arg(name, other string) string {
	for _, a := range c.Args {
		if v, ok := strings.CutPrefix(a, name+"="); ok {
			return v
		}
	}
	return other
}

// Player answers commands. A command without an answer to show returns "".
type Player func(c Command) (answer string, err error)

// Staging is one way in which plays are put on. End, when it is set, is called
// after each play and may judge what the answers do not show.
type Staging struct {
	Name string
	New  func(t *testing.T, play string) (player Player, end func())
}

// Run plays every file that matches glob, each as a subtest with a player of
// its own.
func Run(t *testing.T, glob string, player func(t *testing.T) Player) {
	t.Helper()
	RunAll(t, glob, Staging{New: func(t *testing.T, _ string) (Player, func()) { return player(t), nil }})
}

// RunAll puts every play that matches glob on in several ways. The first one's
// answers are those that the file holds, or that -update writes into it; the
// others must give the same.
func RunAll(t *testing.T, glob string, first Staging, others ...Staging) {
	t.Helper()
	files, err := filepath.Glob(glob)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no play matches %s", glob)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		t.Run(name, func(t *testing.T) {
			perform(t, file, name, first, *update)
			for _, other := range others {
				if !t.Failed() { // one way of being wrong at a time
					t.Run(other.Name, func(t *testing.T) { perform(t, file, name, other, false) })
				}
			}
		})
	}
}

func perform(t *testing.T, file, name string, as Staging, write bool) {
	script, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	player, end := as.New(t, name)
	got, err := Perform(string(script), player)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	switch {
	case got == string(script):
	case write:
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s answers otherwise (go test with -update writes what the first staging says):\n%s", file, difference(string(script), got))
	}
	if end != nil {
		end()
	}
}

// Perform plays a script and returns it with the answers that it gave.
func Perform(script string, play Player) (string, error) {
	var out []string
	for _, p := range paragraphs(script) {
		asked, _, wantsAnswer := strings.Cut(p, "\n"+answerMark)
		out = append(out, asked)
		c := parse(asked)
		if c.Verb == "" {
			continue
		}
		answer, err := play(c)
		if err != nil {
			return "", fmt.Errorf("%s: %w", strings.TrimSpace(c.Verb+" "+strings.Join(c.Args, " ")), err)
		}
		if wantsAnswer || answer != "" {
			out[len(out)-1] += "\n" + answerMark
			if answer = strings.TrimRight(answer, "\n"); answer != "" {
				out[len(out)-1] += "\n" + answer
			}
		}
	}
	return strings.Join(out, "\n\n") + "\n", nil
}

// paragraphs cuts a script at its empty lines.
func paragraphs(script string) []string {
	var all []string
	for p := range strings.SplitSeq(script, "\n\n") {
		if p = strings.Trim(p, "\n"); p != "" {
			all = append(all, p)
		}
	}
	return all
}

func parse(paragraph string) Command {
	var c Command
	for line := range strings.SplitSeq(paragraph, "\n") {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case c.Verb == "":
			c.Verb, c.Args = words[0], words[1:]
		default:
			c.Lines = append(c.Lines, line)
		}
	}
	return c
}

// difference shows the first lines in which two texts differ.
func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	var b strings.Builder
	shown := 0
	for i := range max(len(w), len(g)) {
		a, z := at(w, i), at(g, i)
		if a == z {
			continue
		}
		fmt.Fprintf(&b, "line %d\n  want %s\n   got %s\n", i+1, a, z)
		if shown++; shown == maxDifferences {
			b.WriteString("...\n")
			break
		}
	}
	return b.String()
}

// maxDifferences is how many differing lines are shown.
const maxDifferences = 12

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(nothing)"
}
