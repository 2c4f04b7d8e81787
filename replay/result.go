package replay

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"auscult/fhir"
	"auscult/schemas"
)

// Result is what a replay gives: everything once, in its last state.
type Result struct {
	Messages    int
	DeadLetters map[string]int // by reason; they are counted, not written again
	// Skipped counts what cannot be known from the range: windows that reach
	// beyond it, and Flags that were not both opened and closed inside it.
	SkippedWindows, SkippedFlags int

	cfg      Config
	segments map[segmentKey]*schemas.Resource
	whole    map[string]*schemas.Resource // by type and id: one resource with its Provenance
	panes    map[paneKey]*schemas.Window
	scores   map[scoreKey]*schemas.Score
	flags    map[string]flagState
	first    map[string]map[string]schemas.Ticks // by patient and device: start of the first pane
	err      error
}

type segmentKey struct{ patient, encounter, device, typ, segment string }

type paneKey struct {
	patient, encounter, device, typ, name string
	start                                 schemas.Ticks
}

type scoreKey struct {
	patient, model string
	start, end     schemas.Ticks
}

// flagState is the last state of an episode and the record that told it.
type flagState struct {
	flag  schemas.Flag
	score schemas.Score
}

func newResult(cfg Config) *Result {
	return &Result{
		cfg: cfg, DeadLetters: map[string]int{}, segments: map[segmentKey]*schemas.Resource{}, whole: map[string]*schemas.Resource{},
		panes: map[paneKey]*schemas.Window{}, scores: map[scoreKey]*schemas.Score{}, flags: map[string]flagState{}, first: map[string]map[string]schemas.Ticks{},
	}
}

// tap sees every record that the stages write, in order.
func (r *Result) tap(topic string, _ int32, raw *schemas.Raw) {
	var err error
	switch topic {
	case schemas.TopicWindows:
		err = decoded(schemas.Windows.Decode, raw, r.window)
	case schemas.TopicScores:
		err = decoded(schemas.Scores.Decode, raw, r.score)
	case schemas.TopicResources:
		err = decoded(schemas.Resources.Decode, raw, r.segment)
	case schemas.TopicResourcesHot:
		err = decoded(schemas.ResourcesHot.Decode, raw, r.hot)
	case schemas.TopicDeadLetters:
		err = decoded(schemas.DeadLetters.Decode, raw, func(d *schemas.DeadLetter) { r.DeadLetters[d.Reason]++ })
	}
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("reading what the stages gave on %s: %w", topic, err)
	}
}

func decoded[T any](decode func([]byte) (*T, error), raw *schemas.Raw, use func(*T)) error {
	v, err := decode(raw.Value)
	if err == nil {
		use(v)
	}
	return err
}

func (r *Result) window(w *schemas.Window) {
	if w.Kind != schemas.WindowPane {
		return
	}
	devices := r.first[w.Patient]
	if devices == nil {
		devices = map[string]schemas.Ticks{}
		r.first[w.Patient] = devices
	}
	if first, ok := devices[w.Device]; !ok || w.Start < first {
		devices[w.Device] = w.Start
	}
	r.panes[paneKey{w.Patient, w.Encounter, w.Device, w.Type, w.Name, w.Start}] = w
}

func (r *Result) score(s *schemas.Score) {
	for _, f := range s.Flags {
		r.flags[f.ID] = flagState{f, *s}
	}
	if s.Kind == schemas.ScoreRule {
		r.scores[scoreKey{s.Patient, s.Model, s.Start, s.End}] = s
	}
}

// segment joins the values of a segment into one record.
func (r *Result) segment(s *schemas.Resource) {
	k := segmentKey{s.Patient, s.Encounter, s.Device, s.Type, s.Segment}
	old := r.segments[k]
	if old == nil {
		s.First = false // a replay never knows that nothing is there (rule G3)
		r.segments[k] = s
		return
	}
	single := instants(s.Segment)
	old.Start, old.End = min(old.Start, s.Start), max(old.End, s.End)
	old.Order, old.Lineage = s.Order, s.Lineage
	for _, v := range s.Values {
		old.Values = join(old.Values, v, single)
	}
}

// instants reports whether a segment is a whole second in which single instants
// fall: its two bounds read the same.
func instants(segment string) bool {
	from, to, ok := strings.Cut(segment, ".")
	return ok && from == to
}

// join adds a value. Of the instants of one second the latest stands, as it
// does where each was delivered by itself.
func join(all []schemas.SegmentValue, v schemas.SegmentValue, single bool) []schemas.SegmentValue {
	i := slices.IndexFunc(all, func(old schemas.SegmentValue) bool { return old.Name == v.Name })
	if !single || i < 0 {
		return append(all, v)
	}
	if c := cmp.Compare(v.Time, all[i].Time); c > 0 || c == 0 && v.Position.Compare(all[i].Position) > 0 {
		all[i] = v
	}
	return all
}

// hot keeps the last state of each resource, with its Provenance. Transactions
// are taken apart: the one that opened a Flag must not come after the one that
// closed it, for the sake of the RiskAssessment that only it holds.
func (r *Result) hot(s *schemas.Resource) {
	for _, w := range s.Whole {
		if w.Type == "Provenance" {
			continue
		}
		name := w.Type + "/" + w.ID
		one := *s
		one.Whole = []schemas.WholeResource{w}
		for _, p := range s.Whole {
			if p.Type == "Provenance" && p.ID == fhir.ProvenanceID(name) {
				one.Whole = append(one.Whole, p)
			}
		}
		r.whole[name] = &one
	}
}

// known reports whether all that a window of this patient looks at lies inside
// the range: no pane is whole in which the range began for one of his devices.
func (r *Result) known(patient string, start schemas.Ticks) bool {
	switch {
	case !r.cfg.Extent.All:
		return false
	case r.cfg.Extent.Begins:
		return true
	}
	for _, first := range r.first[patient] {
		if start-r.cfg.Horizon <= first {
			return false
		}
	}
	return true
}

// complete reports whether an episode was opened and closed inside the range.
func (r *Result) complete(f *flagState) bool {
	return f.flag.State == schemas.FlagClosed && r.known(f.score.Patient, f.flag.Opened)
}

// Outs gives the records to write, panes and Observations before what was made
// of them, each kind in a fixed order.
func (r *Result) Outs() iter.Seq[schemas.Out] {
	return func(yield func(schemas.Out) bool) {
		for _, s := range r.Segments() {
			for some := range slices.Chunk(s.Values, maxSegmentValues) {
				part := *s
				part.Values = some
				if !yield(schemas.Resources.Out(s.Patient, &part)) {
					return
				}
			}
		}
		for _, w := range sorted(r.panes) {
			if w.Final && r.known(w.Patient, w.Start) && !yield(schemas.Windows.Out(w.Patient, w)) {
				return
			}
		}
		for _, s := range r.Scores() {
			if !yield(schemas.Scores.Out(s.Patient, s)) {
				return
			}
		}
		for _, s := range r.Transactions() {
			if !yield(schemas.ResourcesHot.Out(s.Patient, s)) {
				return
			}
		}
	}
}

// maxSegmentValues is how many values of a segment one record takes: a day of a
// fast series is longer than a record may be. Deliver joins them again.
const maxSegmentValues = 5000

// Segments returns the Observation segments.
func (r *Result) Segments() []*schemas.Resource { return sorted(r.segments) }

// Scores returns the final scores of the windows inside the range, then one
// record for each episode that lies inside it. What is left out is counted.
func (r *Result) Scores() []*schemas.Score {
	var all []*schemas.Score
	r.SkippedWindows, r.SkippedFlags = 0, 0
	for _, s := range sorted(r.scores) {
		if !s.Final || !r.known(s.Patient, s.Start) {
			r.SkippedWindows++
			continue
		}
		only := *s
		only.Flags = nil
		all = append(all, &only)
	}
	for _, id := range slices.Sorted(maps.Keys(r.flags)) {
		f := r.flags[id]
		if !r.complete(&f) {
			if f.flag.State != schemas.FlagWithdrawn {
				r.SkippedFlags++
			}
			continue
		}
		all = append(all, &schemas.Score{Kind: schemas.ScoreFlags, Patient: f.score.Patient, Encounter: f.score.Encounter,
			Flags: []schemas.Flag{f.flag}, Order: f.score.Order, Lineage: f.score.Lineage})
	}
	return all
}

// Transactions returns the RiskAssessments and Flags that belong to Scores; the
// RiskAssessments first, because Flags refer to them.
func (r *Result) Transactions() []*schemas.Resource {
	wanted := map[string]bool{}
	for _, s := range r.Scores() {
		if s.Kind == schemas.ScoreRule {
			wanted["RiskAssessment/"+s.Assessment] = true
		}
		for _, f := range s.Flags {
			wanted["Flag/"+f.ID] = true
		}
	}
	var assessments, flags []*schemas.Resource
	for _, name := range slices.Sorted(maps.Keys(r.whole)) {
		switch s := r.whole[name]; {
		case !wanted[name]:
		case s.Whole[0].Type == "Flag":
			flags = append(flags, s)
		default:
			assessments = append(assessments, s)
		}
	}
	return append(assessments, flags...)
}

// sorted returns the values of a map in the order of their keys' texts.
func sorted[K comparable, V any](m map[K]V) []V {
	texts := make(map[K]string, len(m))
	for k := range m {
		texts[k] = fmt.Sprint(k)
	}
	keys := slices.SortedFunc(maps.Keys(m), func(a, b K) int { return cmp.Compare(texts[a], texts[b]) })
	all := make([]V, len(keys))
	for i, k := range keys {
		all[i] = m[k]
	}
	return all
}
