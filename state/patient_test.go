package state

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"auscult/schemas"
)

const (
	minute = schemas.TicksPerMinute
	hour   = schemas.TicksPerHour
	day    = schemas.TicksPerDay
	base   = 730_000 * day // a midnight in the year 1999
)

// value is one reading of a device. Of equal times the higher position counts.
type value struct {
	device, typ string
	time        schemas.Ticks
	position    int
	text        string // "x" is implausible
}

func (v *value) plausible() bool { return v.text != "x" }

// toy is a model that adds the latest a and the latest b; each is 0 to 10.
func toy(plan Plan) Plan {
	plan.ID, plan.Version = cmp.Or(plan.ID, "toy"), cmp.Or(plan.Version, "1")
	plan.Reads = func(typ, name string) bool { return (typ == "a" || typ == "b") && name == "v" }
	plan.Evaluate = func(_, end schemas.Ticks, _ schemas.PatientFacts, latest Latest) Result {
		r := Result{Complete: true}
		for _, typ := range []string{"a", "b"} {
			s, ok := latest(typ, "v", end)
			if !ok || end-s.Time > plan.Horizon {
				r.Complete, r.Max, r.Missing = false, r.Max+10, append(r.Missing, typ)
				continue
			}
			n, _ := strconv.ParseFloat(s.Text, 64)
			r.Min, r.Max = r.Min+n, r.Max+n
			r.Inputs = append(r.Inputs, schemas.ScoreInput{Name: typ, Text: s.Text, Time: s.Time, Observation: s.Observation})
		}
		if r.Complete {
			r.Value = r.Min
		}
		return r
	}
	return plan
}

// ward is the devices of one patient with a fake Observe that cuts panes of a
// minute and never finds a value too late, in front of the patient's row.
type ward struct {
	t       *testing.T
	p       *Patient
	rnd     *rand.Rand // cuts and repeats; nil = neither
	devices map[string]*fakeDevice
	sent    []schemas.Window
	limit   int // windows per callback

	scores map[string]map[schemas.Ticks]schemas.Score // by model and window end
	flags  map[string]schemas.Flag
	log    []string
}

type fakeDevice struct {
	id           string
	clock, told  schemas.Ticks
	version      int64
	values       map[string]map[schemas.Ticks]value // by type and time
	closed       map[string]map[schemas.Ticks]bool  // panes sent as final
	queue        []schemas.Window
	everything   bool // panes are sent with each value
	lastRevision int32
}

func newWard(t *testing.T, watch *Watch, rnd *rand.Rand) *ward {
	w := &ward{t: t, p: &Patient{Watch: watch}, rnd: rnd, devices: map[string]*fakeDevice{}, limit: MaxSlides,
		scores: map[string]map[schemas.Ticks]schemas.Score{}, flags: map[string]schemas.Flag{}}
	if err := w.p.Read(nil); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *ward) device(id string) *fakeDevice {
	d := w.devices[id]
	if d == nil {
		d = &fakeDevice{id: id, values: map[string]map[schemas.Ticks]value{}, closed: map[string]map[schemas.Ticks]bool{}}
		for i := range w.p.Watch.Plans {
			d.everything = d.everything || w.p.Watch.Plans[i].Provisional
		}
		w.devices[id] = d
	}
	return d
}

// measure sends one value of a device.
func (w *ward) measure(v value) {
	d := w.device(v.device)
	if d.values[v.typ] == nil {
		d.values[v.typ], d.closed[v.typ] = map[schemas.Ticks]value{}, map[schemas.Ticks]bool{}
	}
	old, known := d.values[v.typ][v.time]
	if !known || old.position < v.position {
		d.values[v.typ][v.time] = v
	}
	d.clock = max(d.clock, v.time)
	pane := v.time.Floor(minute, 0)
	for typ, times := range d.values {
		due := map[schemas.Ticks]bool{}
		for at := range times {
			if start := at.Floor(minute, 0); start+minute <= d.clock && !d.closed[typ][start] {
				due[start] = true
			}
		}
		if typ == v.typ && (d.everything || d.closed[typ][pane]) {
			due[pane] = true
		}
		for start := range due {
			d.closed[typ][start] = start+minute <= d.clock
			d.pane(typ, start)
		}
	}
	if len(d.queue) == 0 && d.told.Floor(minute, 0) < d.clock.Floor(minute, 0) {
		d.say(schemas.WindowPassed)
	}
	w.flush(d)
}

func (d *fakeDevice) say(kind schemas.WindowKind) {
	d.queue = append(d.queue, schemas.Window{Kind: kind})
}

// pane queues the pane of a type that begins at start.
func (d *fakeDevice) pane(typ string, start schemas.Ticks) {
	d.lastRevision++
	w := schemas.Window{Type: typ, Name: "v", Start: start, End: start + minute, Final: d.closed[typ][start], Revision: d.lastRevision}
	for at, v := range d.values[typ] {
		if at.Floor(minute, 0) != start {
			continue
		}
		if !v.plausible() {
			w.Implausible++
			continue
		}
		if w.N == 0 || at < w.First.Time {
			w.First = schemas.PanePoint{Time: at, Text: v.text}
		}
		if w.N == 0 || at > w.Last.Time {
			w.Last = schemas.PanePoint{Time: at, Text: v.text}
			w.LastObservation = fmt.Sprintf("%s.%s.%d", d.id, typ, at)
		}
		w.N++
	}
	d.queue = append(d.queue, w)
}

// flush sends what a device has to say: all but the last with the clock that
// was told before.
func (w *ward) flush(d *fakeDevice) {
	d.version++
	queue := d.queue
	d.queue = nil
	for i := range queue {
		r := &queue[i]
		r.Patient, r.Device, r.Clock = "pat", d.id, d.told
		if i == len(queue)-1 {
			d.told = max(d.told, d.clock)
			r.Clock = d.told
		}
		r.Order = schemas.Order{Version: d.version, Index: int32(i)}
		w.send(*r)
	}
}

// send gives a record to the patient's row, now and then cutting it (the row is
// written and read again) or repeating an earlier record.
func (w *ward) send(r schemas.Window) {
	flags, intake := w.p.Apply(&r)
	if intake != Taken {
		w.t.Fatalf("record of %s %v was not taken: %v", r.Device, r.Order, intake)
	}
	for _, f := range flags {
		w.flag(f)
	}
	w.advance()
	w.sent = append(w.sent, r)
	if w.rnd == nil {
		return
	}
	if w.rnd.IntN(4) == 0 {
		again := w.sent[w.rnd.IntN(len(w.sent))]
		if _, intake := w.p.Apply(&again); intake != Repeated {
			w.t.Fatalf("record %v was taken twice", again.Order)
		}
	}
	if w.rnd.IntN(3) == 0 {
		w.cut()
	}
}

// cut writes the row and reads it into a new patient.
func (w *ward) cut() {
	row := w.p.AppendTo(nil)
	p := &Patient{Watch: w.p.Watch}
	if err := p.Read(row); err != nil {
		w.t.Fatal(err)
	}
	if again := p.AppendTo(nil); string(again) != string(row) {
		w.t.Fatalf("a row read and written differs:\n%x\n%x", row, again)
	}
	w.p = p
}

func (w *ward) advance() {
	for {
		w.collect(w.p.Advance(w.limit))
		if !w.p.Owing() {
			return
		}
		if w.rnd != nil && w.rnd.IntN(3) == 0 {
			w.cut()
		}
	}
}

func (w *ward) collect(all []ModelChanges) {
	for _, c := range all {
		if w.scores[c.Plan.ID] == nil {
			w.scores[c.Plan.ID] = map[schemas.Ticks]schemas.Score{}
		}
		for _, s := range c.Scores {
			old, known := w.scores[c.Plan.ID][s.End]
			if s.Revision != old.Revision+1 || known && old.Final && !s.Final {
				w.t.Fatalf("window %s: revision %d (final %v) after %d (final %v)", clock(s.End), s.Revision, s.Final, old.Revision, old.Final)
			}
			w.scores[c.Plan.ID][s.End] = s
			w.log = append(w.log, fmt.Sprintf("%s %v..%v rev %d %s", clock(s.End), s.Min, s.Max, s.Revision, triggers[s.Trigger]))
		}
		for _, f := range c.Flags {
			w.flag(f)
		}
	}
}

var triggers = map[schemas.Trigger]string{schemas.TriggerValue: "value", schemas.TriggerWatermark: "watermark", schemas.TriggerLate: "late",
	schemas.TriggerIdle: "idle", schemas.TriggerEnd: "end"}

func (w *ward) flag(f schemas.Flag) {
	w.flags[fmt.Sprint(f.Rule, f.Device, f.Opened)] = f
	line := fmt.Sprintf("flag %s%s %s %s", f.Rule, f.Device, clock(f.Opened), []string{"open", "closed", "withdrawn"}[f.State])
	if f.State == schemas.FlagClosed {
		line += " " + clock(f.Closed)
	}
	w.log = append(w.log, fmt.Sprintf("%s max %v", line, f.MaxScore))
}

// end closes all panes, then all windows.
func (w *ward) end() {
	for _, id := range slices.Sorted(func(yield func(string) bool) {
		for id := range w.devices {
			if !yield(id) {
				return
			}
		}
	}) {
		d := w.devices[id]
		for typ, times := range d.values {
			for at := range times {
				if start := at.Floor(minute, 0); !d.closed[typ][start] {
					d.closed[typ][start] = true
					d.pane(typ, start)
				}
			}
		}
		w.flush(d)
	}
	w.p.End()
	w.advance()
}

// clock writes a time as minutes since base.
func clock(t schemas.Ticks) string {
	return strconv.FormatFloat(float64(t-base)/float64(minute), 'f', -1, 64)
}

// oracle computes from the plain set of values what the windows and episodes of
// a plan must be in the end.
type oracle struct {
	scores map[schemas.Ticks]Result
	flags  []episode
}

func askOracle(plan *Plan, maxGap schemas.Ticks, values []value) oracle {
	type id struct {
		device, typ string
		time        schemas.Ticks
	}
	last := map[id]value{}
	for _, v := range values {
		if old, ok := last[id{v.device, v.typ, v.time}]; !ok || old.position < v.position {
			last[id{v.device, v.typ, v.time}] = v
		}
	}
	var used []value
	for _, v := range last {
		if v.plausible() && plan.Reads(v.typ, "v") {
			used = append(used, v)
		}
	}
	slices.SortFunc(used, func(a, b value) int { return cmp.Or(cmp.Compare(a.time, b.time), -cmp.Compare(a.device, b.device)) })
	o := oracle{scores: map[schemas.Ticks]Result{}}
	latest := func(typ, _ string, before schemas.Ticks) (s Sample, ok bool) {
		for _, v := range used {
			if v.typ == typ && v.time < before {
				s, ok = Sample{Text: v.text, Time: v.time, Device: v.device, Observation: fmt.Sprintf("%s.%s.%d", v.device, v.typ, v.time)}, true
			}
		}
		return s, ok
	}
	var row, openedAt = 0, schemas.Ticks(0)
	next := schemas.Ticks(0)
	for i, v := range used {
		begins := i == 0 || v.time-used[i-1].time > maxGap
		if begins {
			next = plan.slideEnd(v.time)
			row = 0
		}
		for ; next <= plan.slideEnd(v.time); next += plan.Slide {
			r := plan.Evaluate(next-plan.Size, next, schemas.PatientFacts{}, latest)
			o.scores[next] = r
			row, openedAt = o.judge(plan.Flag, r, next, row, openedAt)
		}
	}
	return o
}

// judge is the policy as the documentation says it, one window at a time.
func (o *oracle) judge(p *FlagPolicy, r Result, end schemas.Ticks, row int, opened schemas.Ticks) (int, schemas.Ticks) {
	if p == nil || !r.Complete && (p.Skip || r.Min < p.Open) {
		return row, opened
	}
	n := len(o.flags)
	if opened == 0 {
		if r.Min < p.Open {
			return 0, 0
		}
		if row++; row < p.On {
			return row, 0
		}
		o.flags = append(o.flags, episode{opened: end, max: r.Min})
		return 0, end
	}
	o.flags[n-1].max = max(o.flags[n-1].max, r.Min)
	if r.Min > p.Close {
		return 0, opened
	}
	if row++; row < p.Off {
		return row, opened
	}
	o.flags[n-1].closed = end
	return 0, 0
}

// check compares the end state with the oracle's.
func (w *ward) check(values []value) {
	w.t.Helper()
	for i := range w.p.Watch.Plans {
		plan := &w.p.Watch.Plans[i]
		want := askOracle(plan, w.p.Watch.MaxGap, values)
		for end, r := range want.scores {
			s, ok := w.scores[plan.ID][end]
			if !ok || !s.Final || s.Min != r.Min || s.Max != r.Max || s.Complete != r.Complete || !slices.Equal(s.Inputs, r.Inputs) || !slices.Equal(s.Missing, r.Missing) {
				w.t.Fatalf("%s: window %s: got %+v, want %+v", plan.ID, clock(end), s, r)
			}
		}
		for end, s := range w.scores[plan.ID] {
			if _, ok := want.scores[end]; !ok && len(s.Inputs) > 0 {
				w.t.Fatalf("%s: window %s should not be: %+v", plan.ID, clock(end), s)
			}
		}
		var flags []episode
		for _, f := range w.flags {
			if f.Rule == plan.ID && f.State != schemas.FlagWithdrawn && f.Opened != f.Closed {
				flags = append(flags, episode{opened: f.Opened, closed: f.Closed, max: f.MaxScore})
			}
		}
		slices.SortFunc(flags, func(a, b episode) int { return cmp.Compare(a.opened, b.opened) })
		if !slices.Equal(flags, want.flags) {
			w.t.Fatalf("%s: flags\n got %v\nwant %v\n%v", plan.ID, flags, want.flags, w.log)
		}
	}
}

const unlimited = 1000 * day

// TestFinalStateIsAFunctionOfTheValues sends the same values in any order, some
// of them twice, over several devices, with rows cut and records repeated: the
// last state of every window and Flag is what the values say.
func TestFinalStateIsAFunctionOfTheValues(t *testing.T) {
	seed := rand.Uint64()
	for round := range 400 {
		rnd := rand.New(rand.NewPCG(seed, uint64(round)))
		plans := []Plan{
			toy(Plan{Size: 10 * minute, Slide: 10 * minute, Grace: unlimited, Horizon: 25 * minute, Provisional: rnd.IntN(2) == 0,
				Flag: &FlagPolicy{Open: 12, Close: 8, On: 1 + rnd.IntN(2), Off: 1 + rnd.IntN(3), Skip: rnd.IntN(2) == 0}}),
			toy(Plan{ID: "hop", Size: 15 * minute, Slide: 5 * minute, Origin: 2 * minute, Grace: unlimited, Horizon: 7 * minute,
				Provisional: rnd.IntN(2) == 0, Flag: &FlagPolicy{Open: 10, Close: 9, On: 1, Off: 1}}),
		}
		watch := &Watch{Plans: plans[:1+rnd.IntN(2)], MaxGap: 60 * minute, Lag: day}
		values := randomValues(rnd)
		w := newWard(t, watch, rnd)
		if rnd.IntN(3) == 0 {
			w.limit = 1 + rnd.IntN(4)
		}
		order := slices.Clone(values)
		if rnd.IntN(4) > 0 {
			rnd.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		}
		func() {
			defer func() {
				if t.Failed() {
					t.Logf("seed %d round %d", seed, round)
				}
			}()
			for _, v := range order {
				w.measure(v)
				if rnd.IntN(5) == 0 {
					w.measure(v) // a redelivery that Observe missed changes nothing
				}
				if rnd.IntN(30) == 0 {
					w.end() // a run ended here, and more data came later
				}
			}
			w.end()
			w.check(values)
		}()
	}
}

func randomValues(rnd *rand.Rand) []value {
	var all []value
	at := base
	for i := range 3 + rnd.IntN(40) {
		at += schemas.Ticks(rnd.IntN(9)) * minute / 2
		if rnd.IntN(15) == 0 {
			at += schemas.Ticks(rnd.IntN(100)) * minute
		}
		v := value{device: "d" + strconv.Itoa(rnd.IntN(3)), typ: []string{"a", "b", "c"}[rnd.IntN(3)], time: at, position: i, text: strconv.Itoa(rnd.IntN(11))}
		if rnd.IntN(8) == 0 {
			v.text = "x"
		}
		all = append(all, v)
	}
	return all
}
