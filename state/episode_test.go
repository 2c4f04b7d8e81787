package state

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"auscult/schemas"
)

// windowsOf reads scores, one per window of ten minutes: "7" is complete, "5?"
// incomplete with that lower bound, "7*" not final, "|7" begins a run.
func windowsOf(text string) []outcome {
	var all []outcome
	for i, f := range strings.Fields(text) {
		o := outcome{end: schemas.Ticks(i+1) * 10, complete: !strings.Contains(f, "?"), final: !strings.Contains(f, "*"), first: strings.HasPrefix(f, "|")}
		fmt.Sscanf(strings.Trim(f, "?*|"), "%g", &o.min)
		all = append(all, o)
	}
	return all
}

func (e episode) String() string {
	s := fmt.Sprintf("%d-%d:%g", e.opened, e.closed, e.max)
	if e.provisional {
		s += "*"
	}
	return s
}

func TestEpisodes(t *testing.T) {
	for _, c := range []struct {
		name    string
		on, off int
		skip    bool
		windows string
		want    string
	}{
		{"opens and closes", 1, 2, true, "3 7 8 4 4 2", "[20-50:8]"},
		{"one low window is not enough", 1, 2, true, "7 4 6 4 4", "[10-50:7]"},
		{"stays open", 1, 2, true, "7 4", "[10-0:7]"},
		{"reopens", 1, 1, true, "7 4 9 1", "[10-20:7 30-40:9]"},
		{"waits for two", 2, 1, true, "7 5 7 9 0", "[40-50:9]"},
		{"a new run counts anew", 2, 2, true, "7 |7 7 4 |4 4", "[30-60:7]"},
		{"skip leaves incomplete ones out", 1, 2, true, "9? 7 4 0? 4", "[20-50:7]"},
		{"bounds open on the lower bound", 1, 1, false, "6? 8? 0? 4", "[20-40:8]"},
		{"bounds never close", 1, 1, false, "7 0? 1?", "[10-0:7]"},
		{"a provisional one opens", 1, 1, true, "3 7*", "[20-0:7*]"},
		{"and raises the highest", 1, 1, true, "7 9*", "[10-0:9]"},
		{"but closes nothing", 1, 1, true, "7 1*", "[10-0:7]"},
		{"and counts as one of two", 2, 1, true, "7 7*", "[20-0:7*]"},
		{"not as the first of two", 2, 1, true, "3 7*", "[]"},
	} {
		p := &FlagPolicy{Open: 7, Close: 4, On: c.on, Off: c.off, Skip: c.skip}
		if got := fmt.Sprint(episodes(hysteresis{}, p, windowsOf(c.windows))); got != c.want {
			t.Errorf("%s: %s gives %s, want %s", c.name, c.windows, got, c.want)
		}
	}
}

// TestEpisodesDoNotDependOnWhatIsFrozen folds every prefix of the windows into
// the base and finds the same open episode and the same later ones.
func TestEpisodesDoNotDependOnWhatIsFrozen(t *testing.T) {
	p := &FlagPolicy{Open: 7, Close: 4, On: 2, Off: 2}
	windows := windowsOf("7 8 9 4 3 2 7 9? 5 7 7 4 |4 4 9 9 1*")
	all := episodes(hysteresis{}, p, windows)
	for n := range windows {
		var tr track
		for i := range n {
			tr.fold(p, &windows[i])
		}
		later := slices.DeleteFunc(slices.Clone(all), func(e episode) bool { return e.closed != 0 && e.closed <= tr.frozen })
		if got := episodes(tr.base, p, windows[n:]); !slices.Equal(got, later) {
			t.Errorf("%d frozen: %v, want %v", n, got, later)
		}
	}
}

func TestSettle(t *testing.T) {
	e := func(opened, closed schemas.Ticks, highest float64) episode {
		return episode{opened: opened, closed: closed, max: highest}
	}
	provisional := episode{opened: 20, max: 7, provisional: true}
	held := func(schemas.Ticks) bool { return true }
	ended := func(schemas.Ticks) bool { return false }
	for _, c := range []struct {
		name           string
		published, now []episode
		held           func(schemas.Ticks) bool
		want, after    string
	}{
		{"opens", nil, []episode{e(20, 0, 7)}, ended, "[20-0:7 open]", "[20-0:7]"},
		{"nothing new", []episode{e(20, 0, 7)}, []episode{e(20, 0, 7)}, ended, "[]", "[20-0:7]"},
		{"escalates", []episode{e(20, 0, 7)}, []episode{e(20, 0, 9)}, ended, "[20-0:9 open]", "[20-0:9]"},
		{"closes", []episode{e(20, 0, 7)}, []episode{e(20, 40, 7)}, ended, "[20-40:7 closed]", "[20-40:7]"},
		{"opens again by late data", []episode{e(20, 40, 7)}, []episode{e(20, 0, 7)}, ended, "[20-0:7 open]", "[20-0:7]"},
		{"late data move it", []episode{e(20, 0, 7)}, []episode{e(10, 0, 7)}, ended, "[20-0:7 withdrawn 10-0:7 open]", "[10-0:7]"},
		{"late data merge two", []episode{e(20, 30, 7), e(40, 0, 8)}, []episode{e(20, 0, 8)}, ended, "[40-0:8 withdrawn 20-0:8 open]", "[20-0:8]"},
		{"a provisional one waits", []episode{provisional}, nil, held, "[]", "[20-0:7*]"},
		{"and closes when its window does not hold", []episode{provisional}, nil, ended, "[20-20:7* closed]", "[]"},
		{"or stands when it does", []episode{provisional}, []episode{e(20, 0, 7)}, ended, "[]", "[20-0:7]"},
		{"or goes when an earlier one covers it", []episode{provisional}, []episode{e(10, 0, 7)}, held, "[20-0:7* withdrawn 10-0:7 open]", "[10-0:7]"},
	} {
		after, changes := settle(c.published, c.now, c.held)
		var got []string
		for _, f := range changes {
			got = append(got, fmt.Sprintf("%v %s", f.episode, []string{"open", "closed", "withdrawn"}[f.state]))
		}
		if fmt.Sprint(got) != c.want || fmt.Sprint(after) != c.after {
			t.Errorf("%s: %v then %v, want %s then %s", c.name, got, after, c.want, c.after)
		}
	}
}
