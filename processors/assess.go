package processors

import (
	"cmp"
	"slices"
	"sync"

	"github.com/lovoo/goka"

	"auscult/fhir"
	"auscult/schemas"
	"auscult/scoring"
	"auscult/state"
)

// Places of Assess's inputs and outputs; rows store them.
var (
	assessInputs  = []string{schemas.TopicWindows, schemas.TopicScores}
	assessOutputs = []string{schemas.TopicScores, schemas.TopicResourcesHot, schemas.TopicDeadLetters}
)

const (
	assessWindows = uint8(0)
	assessScores  = uint8(1)
)

const (
	// slidesPerStep is how many windows are evaluated before what they say is
	// emitted: a callback stops between steps when it has emitted enough.
	slidesPerStep = 16
	// assessBytes is how much one callback emits before it leaves the rest to the
	// next tick, and assessRowBytes the row beyond which a tick lets earlier
	// outputs get out first: a row owes its outputs until they are, and must hold
	// those of a tick and of a message beside each other.
	assessBytes    = 200_000
	assessRowBytes = 300_000
	// flagsPerTransaction bounds one transaction; servers refuse large ones.
	flagsPerTransaction = 8
)

// AssessConfig is what Assess needs to know.
type AssessConfig struct {
	Rules     *scoring.Rules
	Run       string // lineage of the records that are for this Assess; RunLive when empty
	Names     fhir.Names
	IdleFlags bool // raise a technical Flag for a device that falls silent
	// Counted, when set, hears what each callback did.
	Counted func(state.PatientCounts)
	// Large, when set, hears of rows over state.LargeRowBytes.
	Large func(bytes int)
}

// Assess watches patients: it keeps a row for each, scores every window that
// their clocks pass, and opens and closes Flags.
type Assess struct {
	config AssessConfig
	rows   Rows
	watch  *state.Watch
	models map[string]*scoring.Model
	pool   sync.Pool // of *assessing
}

// NewAssess returns the stage.
func NewAssess(c AssessConfig) *Assess {
	a := &Assess{
		config: c, watch: c.Rules.Watch(), models: map[string]*scoring.Model{},
		rows: Rows{Stage: "assess", Inputs: assessInputs, Outputs: assessOutputs, Large: c.Large},
	}
	a.config.Run = cmp.Or(c.Run, schemas.RunLive)
	a.watch.IdleFlags = c.IdleFlags
	for _, m := range c.Rules.Models {
		a.models[m.ID] = m
	}
	return a
}

// assessing is the scratch of one callback, and the body of its row.
type assessing struct {
	state.Patient
	stage   *Assess
	window  schemas.Window
	patient string
	lineage schemas.Lineage
}

// Shrink implements RowBody.
func (r *assessing) Shrink(*Outputs) bool { return r.Patient.Shrink() }

func (a *Assess) begin(ctx goka.Context) *assessing {
	r, _ := a.pool.Get().(*assessing)
	if r == nil {
		r = &assessing{stage: a}
	}
	r.Watch, r.Counts = a.watch, state.PatientCounts{}
	r.patient, r.lineage = ctx.Key(), schemas.Lineage{Run: a.config.Run}
	return r
}

func (a *Assess) end(r *assessing) {
	if a.config.Counted != nil {
		a.config.Counted(r.Counts)
	}
	a.pool.Put(r)
}

// Window takes in one record of topic windows. Those of other runs are not for
// it.
func (a *Assess) Window(ctx goka.Context, msg any) {
	r := a.begin(ctx)
	defer a.end(r)
	b, _ := msg.([]byte)
	err := r.window.Read(b)
	if err == nil && r.window.Lineage.Run != a.config.Run {
		return
	}
	a.rows.Message(ctx, assessWindows, msg, r, func(_ []byte, out *Outputs) {
		if err != nil {
			out.Dead(schemas.ReasonRecord, err.Error(), "find out who wrote a record to topic windows that is none", schemas.Lineage{})
			return
		}
		r.take(out)
	})
}

// Score takes in one record of topic scores. Only answers that a patient waits
// for are for Assess, and rule models leave nothing waiting: the rest is its own
// and touches no row.
func (a *Assess) Score(ctx goka.Context, msg any) {
	b, _ := msg.([]byte)
	var s schemas.Score
	err := s.Read(b)
	if err == nil {
		return
	}
	r := a.begin(ctx)
	defer a.end(r)
	a.rows.Message(ctx, assessScores, msg, r, func(_ []byte, out *Outputs) {
		out.Dead(schemas.ReasonRecord, err.Error(), "find out who wrote a record to topic scores that is none", schemas.Lineage{})
	})
}

// Tick visits a row: windows that an earlier callback left, or the end of the
// run.
func (a *Assess) Tick(ctx goka.Context, meta any) {
	kind, _ := meta.(TickKind)
	row, _ := ctx.Value().([]byte)
	r := a.begin(ctx)
	defer a.end(r)
	a.rows.Tick(ctx, r, func(out *Outputs) bool {
		work := r.Owing()
		if kind == TickEnd {
			r.End()
		} else if !work {
			return false
		}
		if out.Owes() && len(row) > assessRowBytes {
			r.Advance(0) // finds out only whether something is due
			return r.Owing() != work || kind == TickEnd
		}
		r.advance(out)
		return r.Counts.Evaluated > 0 || r.Owing() != work || !out.Empty()
	})
}

// take applies the window record at hand. Strings of what it has read alias the
// message, which outlives the callback's row.
func (r *assessing) take(out *Outputs) {
	w := &r.window
	flags, intake := r.Apply(w)
	if intake == state.Refused {
		out.Dead(schemas.ReasonRecord, "the record contradicts itself, or a text in it is too long for a row",
			"look at the device mapping and at what Observe wrote", w.Lineage)
		return
	}
	r.lineage = w.Lineage
	if len(flags) > 0 {
		s := r.complete(schemas.Score{Kind: schemas.ScoreFlags, Final: true})
		r.technical(&s, flags, out)
	}
	r.advance(out)
}

// advance evaluates what is due, step by step, until nothing is left or the
// callback has done its share (G8).
func (r *assessing) advance(out *Outputs) {
	for left := state.MaxSlides; left > 0; left -= slidesPerStep {
		for _, c := range r.Advance(min(left, slidesPerStep)) {
			r.emit(c, out)
		}
		if !r.Owing() || out.bytes > assessBytes {
			return
		}
	}
}

// complete fills in what every score of this callback has.
func (r *assessing) complete(s schemas.Score) schemas.Score {
	s.Patient, s.Lineage, s.OpenFlags = r.patient, r.lineage, int32(r.OpenFlags())
	return s
}

// technical emits the Flags about devices.
func (r *assessing) technical(s *schemas.Score, flags []schemas.Flag, out *Outputs) {
	s.Flags = r.named(flags)
	var tx []schemas.WholeResource
	order := out.order()
	for i := range s.Flags {
		f := &s.Flags[i]
		tx = r.flag(tx, s, f, fhir.FlagText{Text: "No data from device " + f.Device, Priority: scoring.PriorityMedium}, order)
	}
	r.hot(tx, s.Encounter, out)
	out.Score(s)
}

// named gives Flags their ids.
func (r *assessing) named(flags []schemas.Flag) []schemas.Flag {
	for i := range flags {
		f := &flags[i]
		f.ID = fhir.FlagID(r.patient, f.Rule, f.Device, f.Opened)
	}
	return flags
}

// emit sends what one model says: the Flags that changed first, each opened one
// with the RiskAssessment that it refers to, then the other RiskAssessments.
func (r *assessing) emit(c state.ModelChanges, out *Outputs) {
	m := r.stage.models[c.Plan.ID]
	scores := c.Scores
	for i := range scores {
		scores[i] = r.complete(scores[i])
		scores[i].Assessment = fhir.AssessmentID(r.patient, m.ID, scores[i].Start, scores[i].End)
	}
	text, written := r.riskText(m), make([]bool, len(scores))
	if len(c.Flags) > 0 {
		r.clinical(m, scores, c.Flags, written, out)
	}
	for i := range scores {
		if !written[i] {
			r.hot(r.assessment(nil, &scores[i], text, out.order()), scores[i].Encounter, out)
		}
		out.Score(&scores[i])
	}
}

// clinical emits the Flags of a model in transactions of their own, and notes
// which RiskAssessments went with them. The last score carries the Flags;
// without one a record of their own does.
func (r *assessing) clinical(m *scoring.Model, scores []schemas.Score, flags []schemas.Flag, written []bool, out *Outputs) {
	alone := schemas.Score{Kind: schemas.ScoreFlags, Model: m.ID, ModelVersion: m.Version, Final: true}
	carrier := &alone
	if n := len(scores); n > 0 {
		carrier = &scores[n-1]
	} else {
		alone = r.complete(alone)
	}
	carrier.Flags = r.named(flags)
	text := r.riskText(m)
	for some := range slices.Chunk(carrier.Flags, flagsPerTransaction) {
		var tx []schemas.WholeResource
		order := out.order()
		for i := range some {
			f := &some[i]
			at := slices.IndexFunc(scores, func(s schemas.Score) bool { return s.End == f.Opened })
			if at >= 0 && !written[at] && f.State != schemas.FlagWithdrawn {
				written[at] = true
				tx = r.assessment(tx, &scores[at], text, order)
			}
			says, priority := m.FlagText(f.MaxScore)
			tx = r.flag(tx, carrier, f, fhir.FlagText{Text: says, Priority: priority,
				Assessment: fhir.AssessmentID(r.patient, m.ID, f.Opened-m.Size, f.Opened)}, order)
		}
		r.hot(tx, carrier.Encounter, out)
	}
	if carrier == &alone {
		out.Score(carrier)
	}
}

func (r *assessing) riskText(m *scoring.Model) fhir.RiskText {
	t := m.Text(r.Facts())
	return fhir.RiskText{Method: t.Method, Code: t.Code, Outcome: t.Outcome, Title: t.Title, Labels: t.Labels}
}

// assessment appends the RiskAssessment of a window and its Provenance.
func (r *assessing) assessment(tx []schemas.WholeResource, s *schemas.Score, text fhir.RiskText, order schemas.Order) []schemas.WholeResource {
	return r.whole(tx, "RiskAssessment", s.Assessment, fhir.RiskAssessment(r.stage.config.Names, s, text), s, order)
}

// flag appends a Flag and its Provenance.
func (r *assessing) flag(tx []schemas.WholeResource, s *schemas.Score, f *schemas.Flag, text fhir.FlagText, order schemas.Order) []schemas.WholeResource {
	return r.whole(tx, "Flag", f.ID, fhir.Flag(r.stage.config.Names, s, f, text), s, order)
}

func (r *assessing) whole(tx []schemas.WholeResource, typ, id string, body []byte, s *schemas.Score, order schemas.Order) []schemas.WholeResource {
	target := typ + "/" + id
	return append(tx, schemas.WholeResource{Type: typ, ID: id, JSON: string(body)},
		schemas.WholeResource{Type: "Provenance", ID: fhir.ProvenanceID(target), JSON: string(fhir.Provenance(r.stage.config.Names, target, s, order))})
}

// hot emits one transaction.
func (r *assessing) hot(tx []schemas.WholeResource, encounter string, out *Outputs) {
	out.ResourceHot(&schemas.Resource{Kind: schemas.ResourceWhole, Patient: r.patient, Encounter: encounter, Whole: tx, Lineage: r.lineage})
}
