package topology_test

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"auscult/internal/scene"
	"auscult/schemas"
)

// seeds is how many disturbances each play goes through on each number of
// partitions.
var seeds = flag.Int("seeds", 3, "disturbed runs of each play on 1, 2 and 4 partitions")

// TestPlays plays the whole river, from device messages to what the FHIR server
// holds. Each play is put on whole on one partition, which gives the answers in
// its file; then on 2 and 4; then cut and resumed: stages in a random order,
// dying anywhere, with commits that lag and a FHIR server behind a bad line. All
// of them must give the same answers, and leave the same behind.
func TestPlays(t *testing.T) {
	whole := map[string]map[string]string{} // by play: what the first staging left
	disturbed, cuts, faults := 0, 0, 0
	stage := func(partitions int32, seed uint64) scene.Staging {
		name := fmt.Sprintf("%d partitions, whole", partitions)
		if seed != 0 {
			name = fmt.Sprintf("%d partitions, cut with seed %d", partitions, seed)
		}
		return scene.Staging{Name: name, New: func(t *testing.T, play string) (scene.Player, func()) {
			p := newPlay(t, partitions, seed)
			return p.do, func() {
				if whole[play] == nil {
					whole[play] = p.left()
				}
				compareLeft(t, whole[play], p.left())
				cuts += p.river.Cuts()
				if p.flaky != nil {
					disturbed++
					faults += p.flaky.Faults()
				}
			}
		}}
	}
	others := []scene.Staging{stage(2, 0), stage(4, 0)}
	for i := range *seeds {
		for k, partitions := range []int32{1, 2, 4} {
			others = append(others, stage(partitions, uint64(10*i+k+1)))
		}
	}
	scene.RunAll(t, "testdata/plays/*.txt", stage(1, 0), others...)
	if disturbed > 20 && (cuts == 0 || faults == 0) {
		t.Errorf("%d processes died and %d requests failed: nothing was disturbed", cuts, faults)
	}
	t.Logf("%d processes died, %d requests failed", cuts, faults)
}

// maxLeftShown is how many differing things a failure shows.
const maxLeftShown = 5

func compareLeft(t *testing.T, want, got map[string]string) {
	t.Helper()
	shown := 0
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if got[k] != want[k] && shown < maxLeftShown {
			t.Errorf("%s\n got %s\nwant %s", k, got[k], want[k])
			shown++
		}
	}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[k]; !ok && shown < maxLeftShown {
			t.Errorf("%s is new\n got %s", k, got[k])
			shown++
		}
	}
}

// verbs is the language of the plays. Whatever happens or is shown, apart from
// send, waits until the river has caught up.
var verbs = map[string]func(p *play, c scene.Command) (string, error){
	"config": (*play).configure, // lines over testdata/auscult.yaml
	"model":  (*play).model,     // name=value: the model's window or flag
	"fhir":   (*play).fhir,      // what somebody writes on the FHIR server
	"send":   (*play).send,      // messages: device, time, then names and values
	"settle": (*play).settle,    // the river catches up
	"pass":   (*play).pass,      // the wall clock goes on, and ticks are due
	"calm":   (*play).calm,      // from here on no process dies
	"again":  (*play).again,     // the named stages read all their input again
	"end":    (*play).end,       // the run is drained

	"restart": (*play).restart, // the named stages' processes begin anew, all committed

	"windows": (*play).windows, "scores": (*play).scores, "flags": (*play).flags, "observations": (*play).observations,
	"resources": (*play).resources, "dead-letters": (*play).deadLetters, "facts": (*play).facts, "identities": (*play).identities,
}

func (p *play) do(c scene.Command) (string, error) {
	verb := verbs[c.Verb]
	if verb == nil {
		return "", fmt.Errorf("plays know no such verb; they know %s", strings.Join(slices.Sorted(maps.Keys(verbs)), ", "))
	}
	switch c.Verb {
	case "config", "model":
		if p.river != nil {
			return "", errors.New("the river runs already: say so at the beginning")
		}
		return verb(p, c)
	}
	if err := p.begin(); err != nil {
		return "", err
	}
	if c.Verb != "send" {
		if err := p.river.Settle(p.t.Context()); err != nil {
			return "", err
		}
	}
	return verb(p, c)
}

// The day of the plays, and when it begins.
const (
	playDay    = "2026-03-02"
	playDawn   = playDay + "T09:00:00Z"
	dayLayout  = "2006-01-02"
	timeLayout = "2006-01-02T15:04:05.9999999Z"
)

// instant reads "10:00", "10:00:10" on the day of the plays, or with a date
// before a T.
func instant(text string) (time.Time, error) {
	if !strings.Contains(text, "T") {
		text = playDay + "T" + text
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05.9999999"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: write 10:00, 10:00:10 or 2026-03-01T10:00", text)
}

// clock writes an instant as instant reads it.
func clock(t schemas.Ticks) string {
	if t == 0 {
		return "?"
	}
	layout := "15:04"
	if t%schemas.TicksPerMinute != 0 {
		layout = "15:04:05.9999999"
	}
	if t.Time().Format(dayLayout) != playDay {
		layout = "2006-01-02T" + layout
	}
	return t.Time().Format(layout)
}

// charts are words for what a nurse would find: values with these NEWS2 scores.
var charts = map[string]string{
	"well":   "rr 16 spo2 97 sbp 120 hr 80 temp 37.0 acvpu A",  // 0
	"better": "rr 20 spo2 95 sbp 120 hr 95 temp 38.2 acvpu A",  // 3
	"poor":   "rr 22 spo2 94 sbp 120 hr 112 temp 37.5 acvpu A", // 5
	"ill":    "rr 22 spo2 94 sbp 105 hr 112 temp 38.5 acvpu A", // 7
	"worse":  "rr 26 spo2 91 sbp 95 hr 132 temp 39.2 acvpu V",  // 16
}

// send appends device messages: a line is a device, a time, then names and
// values, words of charts, and options. A message arrives when it was made, or
// now when that has passed already.
//
//	arrives=12:00  the broker takes it then; for all lines when it stands behind send
//	partition=1    of devicedata; without, the device id chooses
//	patient=anna   the message names the patient; encounter=e1 the encounter
//	every=1m times=5  behind send: all lines once more after each such time
func (p *play) send(c scene.Command) (string, error) {
	every, err := time.ParseDuration(c.Arg("every", "0"))
	if err != nil {
		return "", err
	}
	times, err := strconv.Atoi(c.Arg("times", "1"))
	if err != nil {
		return "", err
	}
	for i := range times {
		for _, line := range c.Lines {
			if err := p.line(strings.Fields(line), c, time.Duration(i)*every); err != nil {
				return "", fmt.Errorf("%q: %w", line, err)
			}
			if err := p.river.Stir(p.t.Context(), maxStir); err != nil {
				return "", err
			}
		}
	}
	return "", nil
}

// maxStir is how many steps a disturbed river does at most between two messages.
const maxStir = 8

// line appends the message of one line, so much later than it says.
func (p *play) line(words []string, c scene.Command, later time.Duration) error {
	if len(words) < 2 {
		return errors.New("a line is a device, a time, and what was measured")
	}
	m := message{device: words[0], partition: -1, arrives: c.Arg("arrives", "")}
	at, err := instant(words[1])
	if err != nil {
		return err
	}
	for rest := words[2:]; len(rest) > 0; {
		word := rest[0]
		rest = rest[1:]
		name, value, isOption := strings.Cut(word, "=")
		switch {
		case charts[word] != "":
			m.values(strings.Fields(charts[word]))
		case isOption:
			err = m.option(name, value)
		case len(rest) == 0:
			err = fmt.Errorf("%s has no value", word)
		default:
			m.values([]string{word, rest[0]})
			rest = rest[1:]
		}
		if err != nil {
			return err
		}
	}
	return p.append(m, at.Add(later))
}
