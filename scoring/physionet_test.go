package scoring

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"auscult/schemas"
	"auscult/state"
)

// recordings is where the ICU recordings of the 2012 challenge lie.
const recordings = "../../shared/data/physionet2012"

var admission = schemas.TicksOf(time.Date(2012, 1, 1, 0, 0, 0, 0, time.UTC))

type event struct {
	typ  string
	time schemas.Ticks
	text string
}

// stays reads the recordings of the listed patients, event by event in the
// order of the file.
func stays(t *testing.T) map[string][]event {
	t.Helper()
	list, err := os.ReadFile(filepath.Join(recordings, "news2_complete_patients.txt"))
	if err != nil {
		t.Skip("no ICU recordings in " + recordings)
	}
	want := map[string]bool{}
	for _, id := range strings.Fields(string(list)) {
		want[id] = true
	}
	f, err := os.Open(filepath.Join(recordings, "set-a.tar.gz"))
	if err != nil {
		t.Skip("no ICU recordings in " + recordings)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]event{}
	for files := tar.NewReader(unzipped); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if id := strings.TrimSuffix(path.Base(h.Name), ".txt"); want[id] {
			all[id] = readStay(t, files)
		}
	}
}

func readStay(t *testing.T, r io.Reader) []event {
	var all []event
	for lines := bufio.NewScanner(r); lines.Scan(); {
		f := strings.Split(lines.Text(), ",")
		if len(f) != 3 || f[0] == "Time" {
			continue
		}
		hours, err1 := strconv.Atoi(f[0][:2])
		minutes, err2 := strconv.Atoi(f[0][3:])
		if err1 != nil || err2 != nil {
			t.Fatalf("line %q", lines.Text())
		}
		all = append(all, event{f[1], admission + schemas.Ticks(hours*60+minutes)*schemas.TicksPerMinute, f[2]})
	}
	return all
}

// usable keeps what some model reads: of equal times the later line, and of
// these what is plausible.
func usable(rules *Rules, all []event) []event {
	type at struct {
		typ  string
		time schemas.Ticks
	}
	last := map[at]event{}
	for _, e := range all {
		if bound, _ := rules.Plausible(e.typ, "v", e.text); bound {
			last[at{e.typ, e.time}] = e
		}
	}
	maps.DeleteFunc(last, func(_ at, e event) bool {
		_, ok := rules.Plausible(e.typ, "v", e.text)
		return !ok
	})
	return slices.SortedFunc(maps.Values(last), func(a, b event) int { return int(a.time - b.time) })
}

func latestOf(events []event) state.Latest {
	return func(typ, _ string, before schemas.Ticks) (best state.Sample, ok bool) {
		for _, e := range events {
			if e.typ == typ && e.time < before {
				best, ok = state.Sample{Text: e.text, Time: e.time}, true
			}
		}
		return best, ok
	}
}

// golden reads a table of expected rows by patient.
func golden(t *testing.T, name string) map[string][][]string {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	by := map[string][][]string{}
	for _, r := range rows[1:] {
		by[r[0]] = append(by[r[0]], r)
	}
	return by
}

func minutes(t schemas.Ticks) string {
	return strconv.Itoa(int((t - admission) / schemas.TicksPerMinute))
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// TestICUStaysScoreAsTheyShould recomputes every window of 171 stays.
func TestICUStaysScoreAsTheyShould(t *testing.T) {
	rules := mustCompile(t, icu())
	m := rules.Models[0]
	want := golden(t, "golden_physionet2012_news2.csv")
	all, windows, incomplete := stays(t), 0, 0
	for id, stay := range all {
		events := usable(rules, stay)
		var got [][]string
		for start := events[0].time.Floor(m.Slide, m.Origin); start <= events[len(events)-1].time; start += m.Slide {
			r := m.Evaluate(start, start+m.Size, schemas.PatientFacts{}, latestOf(events))
			windows++
			if !r.Complete {
				incomplete++
				continue
			}
			row := []string{id, minutes(start + m.Size), number(r.Value), r.Risk}
			for _, s := range r.SubScores {
				row = append(row, number(s.Score))
			}
			got = append(got, row)
		}
		if w, ok := want[id]; ok && !slices.EqualFunc(got, w, slices.Equal) {
			t.Errorf("stay %s:\n got %v\nwant %v", id, got, w)
		}
	}
	if len(all) != 171 || windows != 7984 || incomplete != 5827 {
		t.Errorf("%d stays, %d windows, %d incomplete", len(all), windows, incomplete)
	}
}

// TestDroppedVitalsStayWithinBounds takes whole signals away from real
// windows.
func TestDroppedVitalsStayWithinBounds(t *testing.T) {
	rules := mustCompile(t, icu())
	m := rules.Models[0]
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 2))
	signals := [][]string{{"HR"}, {"RespRate"}, {"SysABP", "NISysABP"}, {"SaO2"}, {"Temp"}, {"GCS"}}
	tried := 0
	for id, stay := range stays(t) {
		events := usable(rules, stay)
		end := events[rnd.IntN(len(events))].time.Floor(m.Slide, m.Origin) + m.Size
		whole := m.Evaluate(end-m.Size, end, schemas.PatientFacts{}, latestOf(events))
		if !whole.Complete {
			continue
		}
		tried++
		for set := range 1 << len(signals) {
			some := slices.DeleteFunc(slices.Clone(events), func(e event) bool {
				i := slices.IndexFunc(signals, func(types []string) bool { return slices.Contains(types, e.typ) })
				return i >= 0 && set>>i&1 == 1
			})
			r := m.Evaluate(end-m.Size, end, schemas.PatientFacts{}, latestOf(some))
			if r.Min > whole.Value || r.Max < whole.Value || r.Complete != (set == 0) {
				t.Fatalf("seed %d, stay %s at %s: %+v does not hold %v", seed, id, minutes(end), r, whole.Value)
			}
		}
	}
	if tried == 0 {
		t.Error("no complete window was tried")
	}
}
