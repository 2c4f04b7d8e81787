package replay

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"gopkg.in/yaml.v3"

	"auscult/fhir"
	"auscult/mapping"
	"auscult/processors"
	"auscult/schemas"
	"auscult/scoring"
	"auscult/topology"
)

// ward is what a replay is made of: the stages of the plays, and messages of
// devices with their identities.
type ward struct {
	t        *testing.T
	rules    *scoring.Rules
	fhir     *fhir.Mapping
	device   *mapping.Device
	messages [][]schemas.Raw // by partition
	known    []schemas.Identity
}

func newWard(t *testing.T) *ward {
	t.Helper()
	const folder = "../topology/testdata/"
	read := func(name string) []byte {
		text, err := os.ReadFile(folder + name)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	w := &ward{t: t, messages: make([][]schemas.Raw, 2)}
	var cfg scoring.Config
	err := yaml.Unmarshal(read("auscult.yaml"), &cfg)
	cfg.Pane = time.Minute
	if err == nil {
		w.rules, err = scoring.Compile(cfg)
	}
	if err == nil {
		w.device, err = mapping.LoadDevice(read("devicecontent.json"))
	}
	if err == nil {
		w.fhir, err = fhir.LoadMapping(read("fhirmapping.json"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// graph makes the stages for a run.
func (w *ward) graph(run string) topology.Graph {
	observe := processors.NewObserve(processors.ObserveConfig{Mode: processors.ModeLookup, Pane: schemas.TicksPerMinute, Run: run,
		Plausible: w.rules.Plausible, Grace: w.rules.Grace, MaxGrace: w.rules.MaxGrace(), EmitValue: w.rules.EmitValue, Period: w.fhir.Period, ParkLimit: 5})
	assess := processors.NewAssess(processors.AssessConfig{Rules: w.rules, Run: run})
	return topology.Lay(topology.Parts{
		Normalize: processors.NewNormalize(w.device, processors.NormalizeConfig{Run: run}),
		Observe:   &topology.Keyed{Inputs: []goka.ProcessCallback{observe.Measurement, observe.Identity}, Tick: observe.Tick},
		Assess:    &topology.Keyed{Inputs: []goka.ProcessCallback{assess.Window, assess.Score}, Tick: assess.Tick},
	})
}

// belongs ties a device to a patient.
func (w *ward) belongs(device, patient string) {
	w.known = append(w.known, schemas.Identity{Device: device, Resource: "dev-" + device, Identifiers: 1,
		Assignments: []schemas.Assignment{{To: schemas.MaxTicks, Patient: patient, CheckedAt: 1}}, CheckedAt: 1})
}

var dawn = time.Date(2024, 5, 6, 6, 0, 0, 0, time.UTC)

// says lets a device send a set of vital signs after so many minutes.
func (w *ward) says(partition int, device string, minute, rr int) {
	at := dawn.Add(time.Duration(minute) * time.Minute)
	spo2 := 97
	if rr > 24 {
		spo2 = 92
	}
	body := fmt.Sprintf(`{"device":%q,"time":%q,"hr":80,"rr":%d,"spo2":%d,"sbp":95,"temp":38.5,"acvpu":"A"}`, device, at.Format(time.RFC3339), rr, spo2)
	p := &w.messages[partition]
	*p = append(*p, schemas.Raw{Topic: schemas.TopicDeviceData, Partition: int32(partition), Offset: int64(len(*p)), Key: []byte(device),
		Value: []byte(body), Timestamp: at})
}

// sickHours lets two devices of one patient, on two partitions, tell of three
// hours: well, ill for one, well again.
func (w *ward) sickHours() {
	w.belongs("a", "p1")
	w.belongs("b", "p1")
	for m := range 180 {
		rr := 16
		if m/60 == 1 {
			rr = 30
		}
		w.says(m%2, string(rune('a'+m%2)), m, rr)
	}
}

// config replays offsets from..to of both partitions.
func (w *ward) config(from, to int) Config {
	cfg := Config{Run: "again", Graph: w.graph("again"), Generation: "g", Horizon: schemas.TicksPerHour,
		Extent: Extent{Begins: from == 0, Ends: to == len(w.messages[0]), All: true}, Identities: w.identities}
	for p, ms := range w.messages {
		cfg.Sources = append(cfg.Sources, Records(int32(p), sequence(ms[min(from, len(ms)):min(to, len(ms))])))
	}
	return cfg
}

func (w *ward) identities(_ context.Context, visit func(schemas.Raw) error) error {
	for i := range w.known {
		if err := visit(schemas.Raw{Key: []byte(w.known[i].Device), Value: schemas.Identities.Encode(&w.known[i])}); err != nil {
			return err
		}
	}
	return nil
}

func sequence(rs []schemas.Raw) iter.Seq2[schemas.Raw, error] {
	return func(yield func(schemas.Raw, error) bool) {
		for _, r := range rs {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (w *ward) play(cfg Config) *Result {
	w.t.Helper()
	r, err := Play(w.t.Context(), cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// live runs the same messages through the stages of the running river, in
// another rhythm, and returns the last state of everything.
func (w *ward) live() *Result {
	w.t.Helper()
	local := topology.NewLocal(w.graph(schemas.RunLive), 4)
	local.Generation = "g"
	r := newResult(Config{Extent: Extent{Begins: true, Ends: true, All: true}})
	local.Tap = r.tap
	err := w.identities(w.t.Context(), func(r schemas.Raw) error { local.Append(schemas.TopicIdentities, -1, r); return nil })
	for i := range w.messages[0] {
		for p := range w.messages {
			if i < len(w.messages[p]) {
				local.Append(schemas.TopicDeviceData, int32(p), w.messages[p][i])
			}
		}
		err = errors.Join(err, local.Run(w.t.Context()))
	}
	if err = errors.Join(err, local.End(w.t.Context()), r.err); err != nil {
		w.t.Fatal(err)
	}
	return r
}

// bodies is what of a result is in no lineage and no order.
func bodies(r *Result) []string {
	var all []string
	for _, s := range r.Scores() {
		all = append(all, fmt.Sprint("score ", s.Kind, s.Patient, s.Model, s.Start, s.End, s.Value, s.Min, s.Max, s.Risk, s.Inputs, s.Missing, s.Flags))
	}
	for _, t := range r.Transactions() {
		all = append(all, t.Whole[0].JSON)
	}
	for _, s := range r.Segments() {
		all = append(all, fmt.Sprint("segment ", s.Patient, s.Device, s.Type, s.Segment, s.Values))
	}
	for _, p := range sorted(r.panes) {
		all = append(all, fmt.Sprint("pane ", p.Patient, p.Device, p.Type, p.Name, p.Start, p.N, p.Sum, p.Min, p.Max, p.First, p.Last, p.Final))
	}
	return all
}

// A replay of what was live gives what was live.
func TestG12ReplayEqualsLive(t *testing.T) {
	w := newWard(t)
	w.sickHours()
	live, again := w.live(), w.play(w.config(0, 90))
	want, got := bodies(live), bodies(again)
	if !slices.Equal(want, got) {
		t.Errorf("live gave %d records, the replay %d", len(want), len(got))
		for _, g := range got {
			if !slices.Contains(want, g) {
				t.Fatalf("the replay alone gave\n%s", g)
			}
		}
	}
	episodes := 0
	for _, s := range again.Scores() {
		episodes += len(s.Flags)
	}
	if episodes == 0 || again.SkippedWindows != 0 || again.Messages != 180 {
		t.Errorf("%d episodes, %d windows left out, %d messages", episodes, again.SkippedWindows, again.Messages)
	}
	for o := range again.Outs() {
		if o.Topic == schemas.TopicResources {
			if r, err := schemas.Resources.Decode(o.Value); err != nil || r.First || r.Lineage.Run != "again" || r.Lineage.Generation != "g" {
				t.Fatalf("segment %+v, %v", r, err)
			}
		}
	}
}

// Every resource comes once, in its last state: the transaction that opened a
// Flag must not come behind the one that closed it.
func TestG12EachResourceOnce(t *testing.T) {
	w := newWard(t)
	w.sickHours()
	r := w.play(w.config(0, 90))
	seen := map[string]bool{}
	for _, tx := range r.Transactions() {
		for _, x := range tx.Whole {
			name := x.Type + "/" + x.ID
			if seen[name] {
				t.Errorf("%s comes twice", name)
			}
			seen[name] = true
			if x.Type == "Flag" && fhir.Status([]byte(x.JSON)) != "inactive" {
				t.Errorf("the Flag is %s", fhir.Status([]byte(x.JSON)))
			}
		}
		if len(tx.Whole) != 2 || tx.Whole[1].Type != "Provenance" {
			t.Errorf("transaction of %s has %d resources", tx.Whole[0].ID, len(tx.Whole))
		}
	}
	for _, s := range r.Scores() {
		if s.Kind == schemas.ScoreRule && !seen["RiskAssessment/"+s.Assessment] {
			t.Errorf("window %s has no RiskAssessment", s.Start)
		}
	}
}

// What the range does not hold all of is left out and counted; what is left in
// is as it was live.
func TestG12RangeWithoutBeginning(t *testing.T) {
	w := newWard(t)
	w.sickHours()
	part := w.play(w.config(20, 80)) // minutes 40 to 159
	want := bodies(w.live())
	scores := part.Scores()
	for _, s := range scores {
		if first := schemas.TicksOf(dawn.Add(100 * time.Minute)); s.Kind == schemas.ScoreRule && s.Start < first {
			t.Errorf("window %s counts, but the range knows too little before %s", s.Start, first)
		}
		if last := schemas.TicksOf(dawn.Add(160 * time.Minute)); s.End > last {
			t.Errorf("window to %s counts: the end of the range has ended it", s.End)
		}
		if len(s.Flags) > 0 {
			t.Errorf("an episode that began before windows count: %+v", s.Flags)
		}
	}
	if len(scores) == 0 || part.SkippedWindows == 0 || part.SkippedFlags == 0 {
		t.Errorf("%d scores; left out %d windows, %d Flags", len(scores), part.SkippedWindows, part.SkippedFlags)
	}
	for _, b := range bodies(part) {
		if strings.HasPrefix(b, "score") && !slices.Contains(want, b) {
			t.Errorf("not as it was live: %s", b)
		}
	}
}

// A range that is cut off ends no window, and one without all partitions knows
// of no patient whether he has devices in the others.
func TestG12CutRanges(t *testing.T) {
	w := newWard(t)
	w.sickHours()
	cut := w.play(w.config(0, 47)) // to minute 93: the Flag is open
	for _, s := range cut.Scores() {
		if len(s.Flags) > 0 || cut.SkippedFlags != 1 {
			t.Errorf("left out %d Flags, gave %+v", cut.SkippedFlags, s.Flags)
		}
		if s.End > schemas.TicksOf(dawn.Add(94*time.Minute)) {
			t.Errorf("the window to %s counts", s.End)
		}
	}
	cfg := w.config(0, 90)
	cfg.Sources, cfg.Extent.All = cfg.Sources[:1], false
	r := w.play(cfg)
	if n := len(r.Scores()); n != 0 || r.SkippedWindows == 0 || len(r.Segments()) == 0 {
		t.Errorf("%d windows and Flags of half a patient; %d left out, %d segments", n, r.SkippedWindows, len(r.Segments()))
	}
}

// A device that nobody has answered for does not hold its partition (rule G14):
// what stands behind its values is replayed.
func TestG14ReplayWaitsForNobody(t *testing.T) {
	w := newWard(t)
	w.belongs("a", "p1")
	for i := range 20 { // above the limit of parked values
		w.says(0, "nobody", i, 16)
		w.says(0, "a", i, 16)
	}
	r := w.play(w.config(0, 40))
	of := 0
	for _, s := range r.Segments() {
		of += len(s.Values)
	}
	if of != 20*6 || r.DeadLetters[schemas.ReasonUnknown] == 0 {
		t.Errorf("%d values of the known device; dead letters %v", of, r.DeadLetters)
	}
}

// A record keeps the offset that it has in the source, behind gaps too.
func TestReplayKeepsOffsets(t *testing.T) {
	w := newWard(t)
	w.belongs("a", "p1")
	for i := range 3 {
		w.says(0, "a", i, 16)
		w.messages[0][i].Offset = []int64{7, 8, 30}[i]
	}
	var got []int64
	for _, s := range w.play(w.config(0, 3)).Segments() {
		got = append(got, s.Lineage.Offset)
	}
	slices.Sort(got)
	if got = slices.Compact(got); !slices.Equal(got, []int64{7, 8, 30}) {
		t.Errorf("offsets %v", got)
	}
}

// Partitions are taken in as the broker got them; within one the order of the
// offsets stands, whatever the times say.
func TestMergeOrder(t *testing.T) {
	at := func(partition int32, offset int64, second int) schemas.Raw {
		return schemas.Raw{Partition: partition, Offset: offset, Timestamp: dawn.Add(time.Duration(second) * time.Second)}
	}
	a, b := []schemas.Raw{at(0, 0, 1), at(0, 1, 5), at(0, 2, 4)}, []schemas.Raw{at(1, 0, 1), at(1, 1, 2), at(1, 2, 9)}
	var got []string
	for r, err := range merge([]Cursor{Records(1, sequence(b)), Records(0, sequence(a))}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%d:%d", r.Partition, r.Offset))
	}
	if want := []string{"0:0", "1:0", "1:1", "0:1", "0:2", "1:2"}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
	broken := errors.New("a file is cut")
	bad := func(yield func(schemas.Raw, error) bool) {
		if yield(at(0, 0, 1), nil) {
			yield(schemas.Raw{}, broken)
		}
	}
	n := 0
	for _, err := range merge([]Cursor{Records(0, bad), Records(1, sequence(b))}) {
		if n++; err != nil && !errors.Is(err, broken) || n == 2 && err == nil {
			t.Errorf("after %d records: %v", n, err)
		}
	}
	if n != 2 {
		t.Errorf("%d records before the error shows", n)
	}
}

// A day of a fast series is longer than a record may be.
func TestLongSegmentsAreCut(t *testing.T) {
	r := newResult(Config{})
	for i := range 3 * maxSegmentValues / 2 {
		r.segment(&schemas.Resource{Patient: "p", Device: "d", Type: "ecg", Segment: "s", First: true,
			Values: []schemas.SegmentValue{{Name: "mv", Text: "1", Time: schemas.Ticks(i)}}})
	}
	var lengths []int
	for o := range r.Outs() {
		s, err := schemas.Resources.Decode(o.Value)
		if err != nil || s.First {
			t.Fatal(s, err)
		}
		lengths = append(lengths, len(s.Values))
	}
	if !slices.Equal(lengths, []int{maxSegmentValues, maxSegmentValues / 2}) {
		t.Errorf("records of %v values", lengths)
	}
}

func TestReplaysThatCannotBe(t *testing.T) {
	one := []Cursor{Records(0, sequence(nil))}
	for want, cfg := range map[string]Config{
		"a name of its own": {Run: schemas.RunLive, Sources: one},
		"nothing to replay": {Run: "x"},
		"partition 1024":    {Run: "x", Sources: []Cursor{Records(MaxPartitions, sequence(nil))}},
	} {
		if _, err := Play(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if got := (&Config{Sources: []Cursor{Records(0, nil), Records(4, nil)}}).partitions(); got != 8 {
		t.Errorf("%d partitions for the numbers 0 and 4", got)
	}
	if !reflect.DeepEqual(Extent{}, Extent{Begins: false}) || (Extent{Begins: true, Ends: true}).whole() {
		t.Error("a range without all partitions is whole")
	}
}

// Single Observations have whole seconds in their ids. Of two instants in one
// second the later one stands, as it does live, where each is delivered alone.
func TestG17InstantsOfOneSecond(t *testing.T) {
	r := newResult(Config{})
	for _, v := range []schemas.SegmentValue{{Name: "v", Text: "2", Time: 20}, {Name: "v", Text: "1", Time: 10}, {Name: "w", Text: "3", Time: 15}} {
		r.segment(&schemas.Resource{Patient: "p", Device: "d", Type: "hr", Segment: "20120101000000Z.20120101000000Z",
			Start: v.Time, End: v.Time, Values: []schemas.SegmentValue{v}})
	}
	all := r.Segments()
	if len(all) != 1 || all[0].Start != 10 || all[0].End != 20 {
		t.Fatalf("segments: %+v", all)
	}
	want := []schemas.SegmentValue{{Name: "v", Text: "2", Time: 20}, {Name: "w", Text: "3", Time: 15}}
	if !slices.Equal(all[0].Values, want) {
		t.Errorf("values %+v, want %+v", all[0].Values, want)
	}
}
