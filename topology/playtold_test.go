package topology_test

import (
	"bytes"
	"cmp"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"auscult/internal/scene"
	"auscult/schemas"
)

// told is what has left the stages, as a reader holds it who keeps the highest
// record of each row and drops what is not above it (G2).
type told struct {
	panes   map[paneKey]*schemas.Window
	scores  map[scoreKey]*schemas.Score
	letters map[letterKey]*schemas.DeadLetter
	ids     map[string]*schemas.Identity
	// sent holds the hash of each record made from a row, by its row and order:
	// what is sent again must be the same bytes (G1).
	sent map[string]string
	// logged hears every record.
	logged func(what string, record any)
}

type paneKey struct {
	patient, encounter, device, typ, name string
	start                                 schemas.Ticks
}

type scoreKey struct {
	patient, model string
	start, end     schemas.Ticks
}

// letterKey tells dead letters apart: one that comes again is the same one.
type letterKey struct {
	stage, reason, topic, key, detail string
	position                          schemas.Position
}

func newTold() told {
	return told{panes: map[paneKey]*schemas.Window{}, scores: map[scoreKey]*schemas.Score{}, letters: map[letterKey]*schemas.DeadLetter{},
		ids: map[string]*schemas.Identity{}, sent: map[string]string{}}
}

// hear takes in one record that a stage has written.
func (o *told) hear(topic string, raw *schemas.Raw) error {
	switch topic {
	case schemas.TopicMeasurements:
		return read(o, schemas.Measurements.Decode, raw, func(*schemas.Measurement) error { return nil })
	case schemas.TopicWindows:
		return read(o, schemas.Windows.Decode, raw, func(w *schemas.Window) error { return o.window(w, raw) })
	case schemas.TopicScores:
		return read(o, schemas.Scores.Decode, raw, func(s *schemas.Score) error { return o.score(s, raw) })
	case schemas.TopicResources:
		return read(o, schemas.Resources.Decode, raw, func(r *schemas.Resource) error { return o.once(topic, r.Device, r.Order, raw) })
	case schemas.TopicResourcesHot:
		return read(o, schemas.Resources.Decode, raw, func(r *schemas.Resource) error { return o.once(topic, r.Patient, r.Order, raw) })
	case schemas.TopicDeadLetters:
		return read(o, schemas.DeadLetters.Decode, raw, func(d *schemas.DeadLetter) error {
			o.letters[letterKey{d.Stage, d.Reason, d.Topic, string(d.Key), d.Detail, d.Lineage.Position()}] = d
			return nil
		})
	case schemas.TopicIdentities:
		return read(o, schemas.Identities.Decode, raw, func(id *schemas.Identity) error {
			o.ids[id.Device] = id
			return nil
		})
	}
	return nil
}

func read[T any](o *told, decode func([]byte) (*T, error), raw *schemas.Raw, use func(*T) error) error {
	v, err := decode(raw.Value)
	if err != nil {
		return fmt.Errorf("reading what was written to %s: %w", raw.Topic, err)
	}
	o.logged("record", *v)
	return use(v)
}

// once checks that two records of one row and order are the same bytes.
func (o *told) once(topic, row string, at schemas.Order, raw *schemas.Raw) error {
	key := fmt.Sprintf("%s of row %s, version %d, index %d", topic, row, at.Version, at.Index)
	if old, ok := o.sent[key]; ok && old != string(raw.Value) {
		return fmt.Errorf("%s was sent twice with different bytes", key)
	}
	o.sent[key] = string(raw.Value)
	return nil
}

func (o *told) window(w *schemas.Window, raw *schemas.Raw) error {
	if w.Kind == schemas.WindowPane {
		k := paneKey{w.Patient, w.Encounter, w.Device, w.Type, w.Name, w.Start}
		if old := o.panes[k]; old == nil || w.Order.Above(old.Order) {
			o.panes[k] = w
		}
	}
	return o.once(schemas.TopicWindows, w.Device, w.Order, raw)
}

func (o *told) score(s *schemas.Score, raw *schemas.Raw) error {
	if s.Kind == schemas.ScoreRule {
		k := scoreKey{s.Patient, s.Model, s.Start, s.End}
		if old := o.scores[k]; old == nil || s.Order.Above(old.Order) {
			o.scores[k] = s
		}
	}
	return o.once(schemas.TopicScores, s.Patient, s.Order, raw)
}

// left is everything that a play leaves behind and that must not depend on how
// it was put on. Outside are Provenance, Flags that late values withdrew, and of
// records order, revision, trigger and lineage.
func (p *play) left() map[string]string {
	all := map[string]string{}
	for name, body := range p.store.Resources() {
		if strings.HasPrefix(name, "Provenance/") || strings.HasPrefix(name, "Flag/") && strings.Contains(body, `"status":"entered-in-error"`) {
			continue
		}
		all[name] = body
	}
	for k, w := range p.told.panes {
		v := *w
		v.Revision, v.Trigger, v.Order, v.Lineage, v.Clock = 0, 0, schemas.Order{}, schemas.Lineage{}, 0
		all[fmt.Sprintf("pane %+v", k)] = fmt.Sprintf("%+v", v)
	}
	for k, s := range p.told.scores {
		v := *s
		v.Revision, v.Trigger, v.Order, v.Lineage, v.Flags, v.OpenFlags = 0, 0, schemas.Order{}, schemas.Lineage{}, nil, 0
		all[fmt.Sprintf("score %+v", k)] = fmt.Sprintf("%+v", v)
	}
	return all
}

// table aligns rows of cells in columns.
func table(rows [][]string) string {
	if len(rows) == 0 {
		return "none"
	}
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	_ = w.Flush()
	lines := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// sorted returns the entries of a map in order of less.
func sorted[K comparable, V any](m map[K]V, compare func(a, b K) int) []V {
	var all []V
	for _, k := range slices.SortedFunc(maps.Keys(m), compare) {
		all = append(all, m[k])
	}
	return all
}

// windows shows the panes: "windows hr" those of one value name, "from=10:00"
// those that begin then or later.
func (p *play) windows(c scene.Command) (string, error) {
	from, err := fromOf(c)
	if err != nil {
		return "", err
	}
	var rows [][]string
	for _, w := range sorted(p.told.panes, func(a, b paneKey) int {
		return cmp.Or(strings.Compare(a.patient, b.patient), cmp.Compare(a.start, b.start), strings.Compare(a.typ, b.typ),
			strings.Compare(a.name, b.name), strings.Compare(a.device, b.device), strings.Compare(a.encounter, b.encounter))
	}) {
		if names := wordsOf(c); len(names) > 0 && !slices.Contains(names, w.Name) || w.Start < from {
			continue
		}
		row := []string{p.name(w.Patient), w.Device, w.Type, clock(w.Start), fmt.Sprintf("n %d", w.N), "", ""}
		if w.Min != "" {
			row[5] = w.Min + " to " + w.Max
		}
		if w.N > 0 {
			row[6] = "last " + w.Last.Text + " at " + clock(w.Last.Time)
		}
		if w.Implausible > 0 {
			row = append(row, fmt.Sprintf("%d implausible", w.Implausible))
		}
		if !w.Final {
			row = append(row, "open")
		}
		rows = append(rows, row)
	}
	return table(rows), nil
}

// fromOf returns what a dump is asked to begin with.
func fromOf(c scene.Command) (schemas.Ticks, error) {
	text := c.Arg("from", "")
	if text == "" {
		return 0, nil
	}
	t, err := instant(text)
	return schemas.TicksOf(t), err
}

// wordsOf returns the arguments that are not name=value.
func wordsOf(c scene.Command) []string {
	return slices.DeleteFunc(slices.Clone(c.Args), func(a string) bool { return strings.Contains(a, "=") })
}

// scores shows what the model says of each window: "scores inputs" from what,
// "from=10:00" those that begin then or later.
func (p *play) scores(c scene.Command) (string, error) {
	from, err := fromOf(c)
	if err != nil {
		return "", err
	}
	var rows [][]string
	for _, s := range sorted(p.told.scores, func(a, b scoreKey) int {
		return cmp.Or(strings.Compare(a.patient, b.patient), strings.Compare(a.model, b.model), cmp.Compare(a.start, b.start))
	}) {
		if s.Start < from {
			continue
		}
		row := []string{p.name(s.Patient), clock(s.Start) + " to " + clock(s.End), total(s), cmp.Or(s.Risk, "-")}
		if !s.Final {
			row = append(row, "provisional")
		}
		if len(s.Missing) > 0 {
			row = append(row, "without "+strings.Join(s.Missing, " "))
		}
		if slices.Contains(c.Args, "inputs") {
			row = append(row, inputs(s))
		}
		rows = append(rows, row)
	}
	return table(rows), nil
}

func total(s *schemas.Score) string {
	plain := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	if s.Complete {
		return plain(s.Value)
	}
	return plain(s.Min) + ".." + plain(s.Max)
}

func inputs(s *schemas.Score) string {
	var all []string
	for _, in := range s.Inputs {
		if in.Time == 0 {
			all = append(all, in.Name+" "+in.Text+" assumed")
			continue
		}
		all = append(all, in.Name+" "+in.Text+" at "+clock(in.Time))
	}
	return strings.Join(all, ", ")
}

// flagResource is what plays read of a Flag.
type flagResource struct {
	ID     string
	Status string
	Code   struct {
		Coding []struct{ Code string }
		Text   string
	}
	Subject struct{ Reference string }
	Period  struct{ Start, End string }
}

func (f *flagResource) rule() string {
	if len(f.Code.Coding) == 0 {
		return ""
	}
	return f.Code.Coding[0].Code
}

// flags shows the Flags on the FHIR server. Those that late values withdrew are
// not shown.
func (p *play) flags(scene.Command) (string, error) {
	var all []flagResource
	for name, body := range p.store.Resources() {
		var f flagResource
		if !strings.HasPrefix(name, "Flag/") {
			continue
		}
		if err := json.Unmarshal([]byte(body), &f); err != nil {
			return "", err
		}
		if f.Status != "entered-in-error" {
			all = append(all, f)
		}
	}
	slices.SortFunc(all, func(a, b flagResource) int {
		return cmp.Or(strings.Compare(a.Subject.Reference, b.Subject.Reference), strings.Compare(a.Period.Start, b.Period.Start), strings.Compare(a.ID, b.ID))
	})
	var rows [][]string
	for _, f := range all {
		until := "still"
		if f.Period.End != "" {
			until = "to " + fhirClock(f.Period.End)
		}
		rows = append(rows, []string{p.name(strings.TrimPrefix(f.Subject.Reference, "Patient/")), f.rule(), f.Status,
			fhirClock(f.Period.Start), until, f.Code.Text})
	}
	return table(rows), nil
}

// fhirClock writes an instant of a resource as plays do.
func fhirClock(text string) string {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return text
	}
	return clock(schemas.TicksOf(t))
}

// observation is what plays read of an Observation.
type observation struct {
	Status          string
	Code            struct{ Text string }
	Subject, Device struct{ Reference string }
	Encounter       struct{ Reference string }
	EffectivePeriod struct{ Start, End string }
	quantities
	Component []struct {
		Code struct{ Text string }
		quantities
	}
}

type quantities struct {
	ValueQuantity *struct {
		Value json.Number
		Unit  string
	}
	ValueString      *string
	ValueSampledData *struct{ Data string }
}

func (q *quantities) text() string {
	switch {
	case q.ValueQuantity != nil:
		return q.ValueQuantity.Value.String() + " " + q.ValueQuantity.Unit
	case q.ValueString != nil:
		return *q.ValueString
	case q.ValueSampledData != nil:
		return q.ValueSampledData.Data
	}
	return ""
}

// observations shows the Observations on the FHIR server: "observations HR
// Temp" those of some types.
func (p *play) observations(c scene.Command) (string, error) {
	var rows [][]string
	for name, body := range p.store.Resources() {
		if !strings.HasPrefix(name, "Observation/") {
			continue
		}
		var o observation
		if err := json.Unmarshal([]byte(body), &o); err != nil {
			return "", err
		}
		if len(c.Args) > 0 && !slices.Contains(c.Args, o.Code.Text) {
			continue
		}
		values := []string{o.text()}
		for _, k := range o.Component {
			values = append(values, k.Code.Text+" "+k.text())
		}
		row := []string{p.name(strings.TrimPrefix(o.Subject.Reference, "Patient/")), p.name(strings.TrimPrefix(o.Device.Reference, "Device/")),
			fhirClock(o.EffectivePeriod.Start), o.Code.Text, strings.TrimSpace(strings.Join(values, "  "))}
		if o.Encounter.Reference != "" {
			row = append(row, strings.TrimPrefix(o.Encounter.Reference, "Encounter/"))
		}
		if o.Status != "final" {
			row = append(row, o.Status)
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b []string) int { return slices.Compare(a, b) })
	return table(rows), nil
}

// resources counts what is on the FHIR server, by type; with an argument it
// shows those of that type.
func (p *play) resources(c scene.Command) (string, error) {
	counts := map[string]int{}
	var shown []string
	for name, body := range p.store.Resources() {
		kind, _, _ := strings.Cut(name, "/")
		counts[kind]++
		if len(c.Args) > 0 && c.Args[0] == kind {
			var b bytes.Buffer
			if err := json.Indent(&b, []byte(body), "", " "); err != nil {
				return "", err
			}
			shown = append(shown, b.String())
		}
	}
	if len(c.Args) > 0 {
		slices.Sort(shown)
		return strings.Join(shown, "\n"), nil
	}
	var rows [][]string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		rows = append(rows, []string{kind, strconv.Itoa(counts[kind])})
	}
	return table(rows), nil
}

// deadLetters shows what no stage could use: "dead-letters why" with what they
// say of it.
func (p *play) deadLetters(c scene.Command) (string, error) {
	var rows [][]string
	for _, d := range p.told.letters {
		row := []string{d.Stage, d.Reason, string(d.Key)}
		var m schemas.Measurement
		if d.Topic == schemas.TopicMeasurements && m.Read(d.Value) == nil {
			row = append(row, clock(m.Occurrence), m.Type)
		}
		if slices.Contains(c.Args, "why") {
			row = append(row, d.Detail)
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b []string) int { return slices.Compare(a, b) })
	return table(rows), nil
}

// identities shows to whom devices belong.
func (p *play) identities(scene.Command) (string, error) {
	var rows [][]string
	for _, id := range sorted(p.told.ids, strings.Compare) {
		if id.Unknown != "" {
			row := []string{id.Device, "unknown", id.Unknown}
			if id.GiveUp {
				row = append(row, "given up")
			}
			rows = append(rows, row)
		}
		for _, a := range id.Assignments {
			from, to := "since ever", "still"
			if a.From > 0 {
				from = clock(a.From)
			}
			if a.To < schemas.MaxTicks {
				to = "to " + clock(a.To)
			}
			rows = append(rows, []string{id.Device, p.name(a.Patient), from, to, a.Facts.BirthDate, a.Facts.Gender, strings.Join(a.Facts.Codes, " ")})
		}
	}
	return table(rows), nil
}

// name returns by which name people know a Patient or Device: its identifier.
func (p *play) name(id string) string {
	for _, kind := range []string{"Patient", "Device"} {
		var r struct{ Identifier []struct{ Value string } }
		if s, err := p.store.Read(p.t.Context(), kind, id); err == nil && s.ID != "" && json.Unmarshal(s.JSON, &r) == nil && len(r.Identifier) > 0 {
			return r.Identifier[0].Value
		}
	}
	return id
}

// untold are the columns of facts that may differ from run to run.
var untold = []string{"row_order", "row_index", "run", "src_generation", "src_partition", "src_offset", "src_index", "letter_part", "letter_offset",
	"revision", "checked_at", "flag_id", "assessment_id", "model_version", "action", "encounter_id", "identifier_system"}

// facts shows a table of the warehouse; the play must have configured one.
func (p *play) facts(c scene.Command) (string, error) {
	if p.warehouse == nil || len(c.Args) == 0 {
		return "", errors.New("which table, of which warehouse? config: warehouse: {path: facts.db}")
	}
	db, err := sql.Open("sqlite", filepath.Join(p.factsFolder, p.cfg.Warehouse.Path))
	if err != nil {
		return "", err
	}
	defer db.Close()
	rows, err := db.QueryContext(p.t.Context(), "SELECT * FROM "+c.Args[0])
	if err != nil {
		return "", err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var all [][]string
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return "", err
		}
		all = append(all, p.fact(columns, values))
	}
	slices.SortFunc(all, func(a, b []string) int { return slices.Compare(a, b) })
	return table(all), rows.Err()
}

// fact writes one row, with its columns' names.
func (p *play) fact(columns []string, values []any) []string {
	var row []string
	for i, name := range columns {
		v := values[i]
		if v == nil || slices.Contains(untold, name) {
			continue
		}
		text := fmt.Sprint(v)
		if n, ok := v.(int64); ok && (strings.HasSuffix(name, "_at") || strings.HasSuffix(name, "_start") || strings.HasSuffix(name, "_end")) {
			text = clock(schemas.TicksOf(time.UnixMicro(n)))
		}
		row = append(row, name+" "+p.name(text))
	}
	return row
}
