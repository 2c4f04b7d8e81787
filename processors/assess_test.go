package processors

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"auscult/fhir"
	"auscult/schemas"
	"auscult/scoring"
	"auscult/state"
)

const icuRecordings = "../../shared/data/physionet2012"

var icuAdmission = schemas.TicksOf(time.Date(2012, 1, 1, 0, 0, 0, 0, time.UTC))

// icuRules compiles the configuration of the ICU recordings.
func icuRules(t testing.TB, change func(*scoring.Config)) *scoring.Rules {
	t.Helper()
	text, err := os.ReadFile("../scoring/testdata/physionet.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var c scoring.Config
	if err := yaml.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&c)
	}
	rules, err := scoring.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// paneCutter stands in for Observe: one device, panes of a minute, no grace.
type paneCutter struct {
	patient string
	rules   *scoring.Rules
	send    func(*schemas.Window)
	clock   schemas.Ticks
	told    schemas.Ticks
	version int64
	open    map[string]map[schemas.Ticks]string // by type: time -> text of panes not closed
}

func (o *paneCutter) measure(typ string, at schemas.Ticks, text string) {
	o.clock = max(o.clock, at)
	if bound, _ := o.rules.Plausible(typ, "v", text); bound {
		if o.open[typ] == nil {
			o.open[typ] = map[schemas.Ticks]string{}
		}
		o.open[typ][at] = text // the later line wins
	}
	o.close(func(start schemas.Ticks) bool { return start+schemas.TicksPerMinute <= o.clock })
}

// close sends the panes that have ended; the clock comes with the last of them.
func (o *paneCutter) close(ended func(start schemas.Ticks) bool) {
	var queue []schemas.Window
	for _, typ := range slices.Sorted(maps.Keys(o.open)) {
		for at, text := range o.open[typ] { // all of a pane have the same minute here
			start := at.Floor(schemas.TicksPerMinute, 0)
			if !ended(start) {
				continue
			}
			delete(o.open[typ], at)
			w := schemas.Window{Type: typ, Name: "v", Start: start, End: start + schemas.TicksPerMinute, Final: true, Revision: 1}
			if _, ok := o.rules.Plausible(typ, "v", text); ok {
				w.N, w.First, w.Last = 1, schemas.PanePoint{Time: at, Text: text}, schemas.PanePoint{Time: at, Text: text}
				w.LastObservation = o.patient + ".dev." + typ + "." + at.Time().Format("20060102150405Z")
			}
			queue = append(queue, w)
		}
	}
	slices.SortStableFunc(queue, func(a, b schemas.Window) int { return int(a.Start - b.Start) })
	if len(queue) == 0 && o.told < o.clock.Floor(schemas.TicksPerMinute, 0) {
		queue = append(queue, schemas.Window{Kind: schemas.WindowPassed})
	}
	o.version++
	for i := range queue {
		w := &queue[i]
		w.Patient, w.Device, w.Resource, w.Clock = o.patient, "dev-"+o.patient, "device-resource", o.told
		w.Lineage = schemas.Lineage{Run: schemas.RunLive, Generation: "g", Offset: o.version}
		if i == len(queue)-1 {
			w.Clock, o.told = o.clock, o.clock
		}
		w.Order = schemas.Order{Version: o.version, Index: int32(i)}
		o.send(w)
	}
}

// sendICUStays reads 171 stays, stay after stay: begin gives what takes the
// values of a stay, and what ends it.
func sendICUStays(t testing.TB, begin func(id string) (measure func(typ string, at schemas.Ticks, text string), end func())) int {
	list, err := os.ReadFile(filepath.Join(icuRecordings, "news2_complete_patients.txt"))
	if err != nil {
		t.Skip("no ICU recordings in " + icuRecordings)
	}
	want := map[string]bool{}
	for _, id := range strings.Fields(string(list)) {
		want[id] = true
	}
	f, err := os.Open(filepath.Join(icuRecordings, "set-a.tar.gz"))
	if err != nil {
		t.Skip("no ICU recordings in " + icuRecordings)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	measured := 0
	for files := tar.NewReader(unzipped); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return measured
		}
		if err != nil {
			t.Fatal(err)
		}
		id := strings.TrimSuffix(path.Base(h.Name), ".txt")
		if !want[id] {
			continue
		}
		measure, end := begin(id)
		for lines := bufio.NewScanner(files); lines.Scan(); {
			p := strings.Split(lines.Text(), ",")
			if len(p) != 3 || p[0] == "Time" {
				continue
			}
			hours, _ := strconv.Atoi(p[0][:2])
			minutes, _ := strconv.Atoi(p[0][3:])
			measure(p[1], icuAdmission+schemas.Ticks(hours*60+minutes)*schemas.TicksPerMinute, p[2])
			measured++
		}
		end()
	}
}

// cutICUStays sends the stays through the stand-in.
func cutICUStays(t testing.TB, d *assessDriver, rules *scoring.Rules) int {
	return sendICUStays(t, func(id string) (func(string, schemas.Ticks, string), func()) {
		o := &paneCutter{patient: id, rules: rules, send: d.window, open: map[string]map[schemas.Ticks]string{}}
		return o.measure, func() {
			o.close(func(schemas.Ticks) bool { return true })
			d.tick(id, TickEnd)
		}
	})
}

// observeICUStays sends the stays through Observe itself.
func observeICUStays(t testing.TB, d *assessDriver, rules *scoring.Rules) int {
	o := NewObserve(ObserveConfig{Plausible: rules.Plausible, Grace: rules.Grace, MaxGrace: rules.MaxGrace(), EmitValue: rules.EmitValue,
		Period: func(string) (fhir.Period, bool) { return fhir.Single, true }})
	table, offset := newRowTable(), int64(0)
	table.sent = func(string, int64) bool { return true }
	visit := func(topic, key string) *rowVisit {
		offset++
		table.finished[topic] = offset
		return table.at(topic, key, offset)
	}
	pass := func(v *rowVisit) {
		if v.failed != nil {
			t.Fatal(v.failed)
		}
		for _, out := range table.took() {
			if out.topic == schemas.TopicWindows {
				w, err := schemas.Windows.Decode(out.value)
				if err != nil {
					t.Fatal(err)
				}
				d.window(w)
			}
		}
	}
	return sendICUStays(t, func(id string) (func(string, schemas.Ticks, string), func()) {
		v := visit(schemas.TopicIdentities, "dev")
		v.key = "dev-" + id
		o.Identity(v, schemas.Identities.Encode(&schemas.Identity{Device: v.key, Resource: "D-" + id, Identifiers: 1,
			Assignments: []schemas.Assignment{{To: schemas.MaxTicks, Patient: id}}}))
		pass(v)
		measure := func(typ string, at schemas.Ticks, text string) {
			v := visit(schemas.TopicMeasurements, "dev-"+id)
			o.Measurement(v, schemas.Measurements.Encode(&schemas.Measurement{Device: v.key, Type: typ, Occurrence: at, Ingestion: at,
				Values: []schemas.NamedText{{Name: "v", Text: text}}, Lineage: schemas.Lineage{Run: schemas.RunLive, Generation: "g", Offset: offset}}))
			pass(v)
		}
		return measure, func() {
			v := visit(schemas.TopicMeasurements, "dev-"+id)
			o.Tick(v, TickEnd)
			pass(v)
			d.tick(id, TickEnd)
		}
	})
}

func icuGolden(t testing.TB, name string) map[string][][]string {
	f, err := os.Open("../scoring/testdata/" + name)
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

func icuMinutes(at schemas.Ticks) string {
	if at == 0 {
		return ""
	}
	return itoa(int64((at - icuAdmission) / schemas.TicksPerMinute))
}

// TestAssessICUStays runs 171 recorded stays through Assess and compares every
// window and every Flag with the reference answers.
func TestAssessICUStays(t *testing.T) {
	for name, send := range map[string]func(testing.TB, *assessDriver, *scoring.Rules) int{
		"panes cut by the test": cutICUStays, "panes of Observe": observeICUStays,
	} {
		t.Run(name, func(t *testing.T) { checkICUStays(t, send) })
	}
}

func checkICUStays(t *testing.T, send func(testing.TB, *assessDriver, *scoring.Rules) int) {
	rules := icuRules(t, nil)
	var counts state.PatientCounts
	d := newAssessDriver(t, AssessConfig{Rules: rules, Counted: func(c state.PatientCounts) {
		counts.Evaluated += c.Evaluated
		counts.Late += c.Late
	}})
	measured := send(t, d, rules)
	windows, flags := map[string]map[schemas.Ticks]*schemas.Score{}, map[string]map[string]schemas.Flag{}
	total, incomplete := 0, 0
	for _, s := range d.scores() {
		if windows[s.Patient] == nil {
			windows[s.Patient], flags[s.Patient] = map[schemas.Ticks]*schemas.Score{}, map[string]schemas.Flag{}
		}
		for _, f := range s.Flags {
			flags[s.Patient][f.ID] = f
		}
		if windows[s.Patient][s.End] != nil || !s.Final || s.Revision != 1 {
			t.Fatalf("window %s of %s came again: revision %d", s.End, s.Patient, s.Revision)
		}
		windows[s.Patient][s.End] = s
		total++
		if !s.Complete {
			incomplete++
		}
	}
	if len(windows) != 171 || total != 7984 || incomplete != 5827 || counts.Late != 0 || counts.Evaluated != total {
		t.Errorf("%d stays, %d windows, %d incomplete; %+v", len(windows), total, incomplete, counts)
	}
	wantFlags := icuGolden(t, "golden_physionet2012_flags.csv")
	for id, want := range icuGolden(t, "golden_physionet2012_news2.csv") {
		var got [][]string
		for _, end := range slices.Sorted(maps.Keys(windows[id])) {
			s := windows[id][end]
			if !s.Complete {
				continue
			}
			row := []string{id, icuMinutes(end), strconv.FormatFloat(s.Value, 'f', -1, 64), s.Risk}
			for _, sub := range s.SubScores {
				row = append(row, strconv.FormatFloat(sub.Score, 'f', -1, 64))
			}
			got = append(got, row)
		}
		if !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("stay %s:\n got %v\nwant %v", id, got, want)
		}
		var episodes [][]string
		for _, f := range flags[id] {
			if f.State != schemas.FlagWithdrawn {
				episodes = append(episodes, []string{id, icuMinutes(f.Opened), icuMinutes(f.Closed), strconv.FormatFloat(f.MaxScore, 'f', -1, 64)})
			}
		}
		slices.SortFunc(episodes, func(a, b []string) int { return strings.Compare("0000"[len(a[1])-1:]+a[1], "0000"[len(b[1])-1:]+b[1]) })
		if !slices.EqualFunc(episodes, wantFlags[id], slices.Equal) {
			t.Errorf("stay %s: episodes %v, want %v", id, episodes, wantFlags[id])
		}
	}
	largest := 0
	for _, row := range d.rows {
		largest = max(largest, len(row))
	}
	t.Logf("%d measurements, %d window records, %d rows written of %d bytes on average, largest at the end %d; %d resources",
		measured, d.offset, d.writes, d.bytes/d.writes, largest, len(d.resources()))
}
