package state

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"slices"
	"sort"

	"auscult/schemas"
)

// track is what a patient's row keeps of one model.
//
// Windows up to frozen are as they will stay: their part of the episodes is in
// base, and they are not in windows.
type track struct {
	id, version string
	frozen      schemas.Ticks // a slide boundary; 0 = no window is frozen
	lastUsed    schemas.Ticks // last event used in a frozen slide; 0 = none
	forced      schemas.Ticks // windows through here are closed whatever the clock says
	forcedBy    schemas.Trigger
	base        hysteresis
	windows     []outcome // that have been scored and may be revised, oldest first
	flags       []episode // published, and able to change
}

// touch marks the windows that see a pane, whose values lie in [start, newest].
// It reports whether the pane is for a frozen window.
func (t *track) touch(plan *Plan, start, newest schemas.Ticks) (late bool) {
	i := sort.Search(len(t.windows), func(i int) bool { return t.windows[i].end > start })
	for ; i < len(t.windows) && t.windows[i].end <= newest+plan.Horizon; i++ {
		t.windows[i].dirty = true
	}
	return plan.slideEnd(newest) <= t.frozen
}

// ModelChanges is what one model has to say after a callback.
type ModelChanges struct {
	Plan   *Plan
	Scores []schemas.Score // windows scored, in their order; ids, order and lineage are the caller's
	Flags  []schemas.Flag  // episodes that changed; withdrawn ones first
}

// Advance evaluates what is due, at most limit windows, and returns what has
// changed. More is due when Owing reports so.
func (p *Patient) Advance(limit int) []ModelChanges {
	var all []ModelChanges
	p.more = false
	for i := range p.tracks {
		a := advance{p: p, t: &p.tracks[i], plan: &p.Watch.Plans[i], place: i, left: limit, high: p.highest()}
		c := a.run()
		limit = a.left
		if len(c.Scores) > 0 || len(c.Flags) > 0 {
			all = append(all, c)
		}
	}
	p.compact()
	return all
}

// advance is one model of one patient moving on.
type advance struct {
	p     *Patient
	t     *track
	plan  *Plan
	place int
	left  int // windows that may still be evaluated
	high  schemas.Ticks
	cut   bool // something due was left
	stale bool // windows were left before others that have been scored
	out   []schemas.Score
}

func (a *advance) run() ModelChanges {
	spans, before := a.p.spans(a.place)
	a.t.lastUsed = max(a.t.lastUsed, before)
	a.evaluate(spans)
	c := ModelChanges{Plan: a.plan, Scores: a.out}
	if a.plan.Flag != nil && !a.stale {
		c.Flags = a.flags()
	}
	a.p.more = a.p.more || a.cut
	if !a.stale { // else the episodes of these windows have not been compared
		a.freeze(a.plan.boundary(a.p.lowest-a.plan.Grace), spans)
	}
	return c
}

// evaluate goes through all windows of all runs: from the slide of a run's
// first used event to that of its last, also those without any record.
func (a *advance) evaluate(spans []span) {
	windows := make([]outcome, 0, len(a.t.windows)+1)
	old := a.t.windows
	runs(a.plan, a.t, spans, a.p.Watch.MaxGap, func(end schemas.Ticks, first bool) bool {
		for len(old) > 0 && old[0].end < end {
			windows = a.keep(windows, old[0])
			old = old[1:]
		}
		o := outcome{end: end}
		if len(old) > 0 && old[0].end == end {
			o, old = old[0], old[1:]
		}
		o.first = first
		if o.orphan {
			o.orphan, o.dirty = false, true
		}
		windows = a.score(windows, o)
		return !a.cut
	})
	for _, o := range old {
		if a.cut { // the runs were not followed to their end
			windows = append(windows, o)
			a.stale = true
		} else {
			windows = a.keep(windows, o)
		}
	}
	a.t.windows = windows
}

// keep takes a scored window that lies in no run any more: the values that made
// it exist have been replaced by implausible ones. It stays, with everything
// missing.
func (a *advance) keep(windows []outcome, o outcome) []outcome {
	if !o.orphan {
		o.orphan, o.dirty, o.first = true, true, false
	}
	return a.score(windows, o)
}

// score evaluates o when it is due, and keeps it when it has been scored.
func (a *advance) score(windows []outcome, o outcome) []outcome {
	final := o.final || o.end <= a.high || o.end <= a.t.forced
	open := a.plan.Provisional && !final && o.end-a.plan.Slide <= a.high
	due := final && !o.final || o.dirty || open && o.revision == 0
	if !due || !final && !open {
		if o.revision > 0 {
			windows = append(windows, o)
		}
		return windows
	}
	if a.left == 0 {
		a.cut = true
		if o.revision > 0 {
			a.stale = true
			windows = append(windows, o)
		}
		return windows
	}
	a.left--
	a.answer(&o, final)
	return append(windows, o)
}

// answer asks the model, and emits its answer when it is another one than the
// last.
func (a *advance) answer(o *outcome, final bool) {
	latest := a.p.latest
	if o.orphan {
		latest = func(string, string, schemas.Ticks) (Sample, bool) { return Sample{}, false }
	}
	r := a.plan.Evaluate(o.end-a.plan.Size, o.end, a.p.facts, latest)
	a.p.Counts.Evaluated++
	trigger := a.trigger(o, final)
	content := contentOf(&r, final)
	o.dirty, o.final = false, final
	o.min, o.max, o.complete = r.Min, r.Max, r.Complete
	if o.revision > 0 && o.content == content {
		a.p.Counts.Unchanged++
		return
	}
	o.revision++
	o.content = content
	a.out = append(a.out, schemas.Score{
		Kind: schemas.ScoreRule, Encounter: r.Encounter, Model: a.plan.ID, ModelVersion: a.plan.Version,
		Start: o.end - a.plan.Size, End: o.end, Revision: o.revision, Trigger: trigger, Final: final,
		Value: r.Value, Min: r.Min, Max: r.Max, Risk: r.Risk, Complete: r.Complete,
		SubScores: r.SubScores, Inputs: r.Inputs, Missing: r.Missing,
	})
}

func (a *advance) trigger(o *outcome, final bool) schemas.Trigger {
	switch {
	case !final:
		return schemas.TriggerValue
	case o.final:
		return schemas.TriggerLate
	case o.end <= a.high:
		return schemas.TriggerWatermark
	}
	return a.t.forcedBy
}

// flags compares the episodes with the published ones.
func (a *advance) flags() []schemas.Flag {
	now := episodes(a.t.base, a.plan.Flag, a.t.windows)
	after, changes := settle(a.t.flags, now, func(end schemas.Ticks) bool {
		o := a.t.window(end)
		return o != nil && !o.final
	})
	a.t.flags = after
	var out []schemas.Flag
	for _, c := range changes {
		out = append(out, schemas.Flag{
			Rule: a.plan.ID, Kind: schemas.FlagClinical, State: c.state, Opened: c.opened, Closed: c.closed, MaxScore: c.max,
		})
	}
	return out
}

// window returns the scored window that ends at end.
func (t *track) window(end schemas.Ticks) *outcome {
	i := sort.Search(len(t.windows), func(i int) bool { return t.windows[i].end >= end })
	if i < len(t.windows) && t.windows[i].end == end {
		return &t.windows[i]
	}
	return nil
}

// freeze gives up the windows through limit, and the oldest beyond the most
// that a row holds.
func (a *advance) freeze(limit schemas.Ticks, spans []span) {
	t := a.t
	n := 0
	for n < len(t.windows) && t.windows[n].final && (t.windows[n].end <= limit || len(t.windows)-n > maxOpenWindows) {
		if t.windows[n].end > limit {
			a.p.Counts.Forced++
		}
		t.fold(a.plan.Flag, &t.windows[n])
		n++
	}
	t.windows = slices.Delete(t.windows, 0, n)
	for _, s := range spans {
		if a.plan.slideEnd(s.last) <= t.frozen {
			t.lastUsed = max(t.lastUsed, s.last)
		}
	}
	t.flags = slices.DeleteFunc(t.flags, func(e episode) bool {
		return e.closed != 0 && e.closed <= t.frozen
	})
}

func (t *track) fold(policy *FlagPolicy, o *outcome) {
	t.frozen = o.end
	if policy != nil {
		t.base.step(policy, o)
	}
}

// runs yields the ends of all windows after the frozen ones, and whether they
// begin a run, until yield returns false.
func runs(plan *Plan, t *track, spans []span, maxGap schemas.Ticks, yield func(end schemas.Ticks, first bool) bool) {
	prev, done := t.lastUsed, t.frozen
	for _, s := range spans {
		first := prev == 0 || s.first-prev > maxGap
		end := plan.slideEnd(s.first)
		if !first {
			end = min(end, plan.slideEnd(prev)+plan.Slide)
		}
		if done != 0 {
			end = max(end, done+plan.Slide)
		}
		for last := plan.slideEnd(s.last); end <= last; end += plan.Slide {
			if !yield(end, first) {
				return
			}
			first, done = false, end
		}
		prev = max(prev, s.last)
	}
}

// contentOf hashes what a reader of a score sees, so that the same answer is
// not sent twice.
func contentOf(r *Result, final bool) uint64 {
	h := fnv.New64a()
	var b []byte
	text := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	for _, v := range []float64{r.Value, r.Min, r.Max} {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	if final {
		b = append(b, 1)
	}
	if r.Complete {
		b = append(b, 2)
	}
	text(r.Risk)
	text(r.Encounter)
	for i := range r.SubScores {
		text(r.SubScores[i].Name)
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(r.SubScores[i].Score))
	}
	for i := range r.Inputs {
		in := &r.Inputs[i]
		text(in.Name)
		text(in.Text)
		text(in.Unit)
		text(in.Observation)
		b = appendTicks(b, in.Time)
	}
	for _, m := range r.Missing {
		text(m)
	}
	h.Write(b)
	return h.Sum64()
}
