package warehouse

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"auscult/schemas"
)

// The statements, spelled once.
var (
	livePane, replayPane     = vitalPane.live(), vitalPane.replay()
	liveWindow, replayWindow = riskWindow.live(), riskWindow.replay()
	liveFlag, replayFlag     = flagEpisode.live(), flagEpisode.replay()
)

// facts turns records into rows inside one transaction.
type facts struct {
	ctx      context.Context
	tx       *sql.Tx
	prepared map[string]*sql.Stmt
}

// exec runs a statement, prepared once a transaction.
func (f *facts) exec(query string, args ...any) error {
	s := f.prepared[query]
	if s == nil {
		var err error
		if s, err = f.tx.PrepareContext(f.ctx, query); err != nil {
			return err
		}
		if f.prepared == nil {
			f.prepared = map[string]*sql.Stmt{}
		}
		f.prepared[query] = s
	}
	_, err := s.ExecContext(f.ctx, args...)
	return err
}

// add stores one record. A record that cannot be read becomes a dead letter in
// the warehouse itself: sending it to the dead-letters topic, which this sink
// reads, would go round for ever.
func (f *facts) add(p place, r *schemas.Raw) error {
	if r.Value == nil {
		return nil // a tombstone says nothing to a fact table
	}
	read, store := f.reader(p, r)
	if store == nil {
		return fmt.Errorf("topic %s is not one that the warehouse loads", p.topic)
	}
	if err := read(r.Value); err != nil {
		return f.unreadable(p, r, err)
	}
	return store()
}

// reader returns what reads a record of p's topic and what then stores it.
func (f *facts) reader(p place, r *schemas.Raw) (read func([]byte) error, store func() error) {
	switch p.topic {
	case schemas.TopicIdentities:
		v := new(schemas.Identity)
		return v.Read, func() error { return f.identity(v) }
	case schemas.TopicWindows:
		v := new(schemas.Window)
		return v.Read, func() error { return f.window(v) }
	case schemas.TopicScores:
		v := new(schemas.Score)
		return v.Read, func() error { return f.score(v) }
	case schemas.TopicDeadLetters:
		v := new(schemas.DeadLetter)
		return v.Read, func() error { return f.deadLetter(p, r, v) }
	}
	return nil, nil
}

func (f *facts) unreadable(p place, r *schemas.Raw, cause error) error {
	return f.exec(insertDeadLetter, "load", schemas.ReasonRecord, p.topic, p.generation, p.partition, r.Offset, 0,
		cause.Error(), "read the record with the version of auscult that wrote it", schemas.RunLive, p.partition, r.Offset)
}

func (f *facts) identity(v *schemas.Identity) error {
	for i := range v.Assignments {
		a := &v.Assignments[i]
		codes, err := json.Marshal(append([]string{}, a.Facts.Codes...))
		if err != nil {
			return err
		}
		if err := f.exec(upsertPatient, a.Patient, a.IdentifierSystem, a.IdentifierValue,
			text(a.Facts.BirthDate), text(a.Facts.Gender), string(codes), a.CheckedAt.UnixMicro()); err != nil {
			return err
		}
	}
	return nil
}

func (f *facts) window(v *schemas.Window) error {
	if v.Kind != schemas.WindowPane {
		return nil
	}
	args := []any{
		v.Patient, v.Encounter, v.Device, v.Type, v.Name, v.Start.UnixMicro(),
		v.End.UnixMicro(), v.N, v.Implausible, text(v.Sum), text(v.Min), text(v.Max),
		text(v.First.Text), micros(v.First.Time), text(v.Last.Text), micros(v.Last.Time), v.Final,
		v.Revision,
	}
	return f.put(livePane, replayPane, v.Order, v.Lineage, args)
}

// put stores a row with its order and lineage, by the rule for its run. A replay
// has orders of its own rows: a row that it makes lets every live record win.
func (f *facts) put(live, replay string, o schemas.Order, l schemas.Lineage, args []any) error {
	statement := live
	if l.Run != schemas.RunLive {
		statement, o = replay, schemas.Order{}
	}
	return f.exec(statement, append(args, o.Version, o.Index, l.Run, l.Generation, l.Partition, l.Offset)...)
}

func (f *facts) score(v *schemas.Score) error {
	if v.Kind == schemas.ScoreRule {
		if err := f.riskWindow(v); err != nil {
			return err
		}
	}
	for i := range v.Flags {
		if err := f.flag(v, &v.Flags[i]); err != nil {
			return err
		}
	}
	return nil
}

func (f *facts) riskWindow(v *schemas.Score) error {
	features, err := featuresJSON(v)
	if err != nil {
		return err
	}
	score := sql.NullFloat64{Float64: v.Value, Valid: v.Complete}
	err = f.put(liveWindow, replayWindow, v.Order, v.Lineage, []any{
		v.Patient, v.Model, v.Start.UnixMicro(), v.End.UnixMicro(),
		score, v.Min, v.Max, text(v.Risk), v.Complete, features,
		v.ModelVersion, v.Encounter, v.Assessment, v.Final,
		v.Revision,
	})
	if err != nil {
		return err
	}
	if v.Lineage.Run != schemas.RunLive {
		return nil // what is current is for the running river to say
	}
	return f.exec(upsertCurrent, v.Patient, v.Model, v.Start.UnixMicro(), v.End.UnixMicro(),
		score, v.Min, v.Max, text(v.Risk), v.Complete, v.Order.Version, v.Order.Index)
}

func (f *facts) flag(s *schemas.Score, v *schemas.Flag) error {
	if v.State == schemas.FlagWithdrawn {
		return f.exec(withdrawFlag, v.ID)
	}
	kind := "clinical"
	if v.Kind == schemas.FlagTechnical {
		kind = "technical"
	}
	highest := sql.NullFloat64{Float64: v.MaxScore, Valid: v.Kind == schemas.FlagClinical}
	return f.put(liveFlag, replayFlag, s.Order, s.Lineage, []any{
		v.ID, s.Patient, v.Rule, kind, text(v.Device), v.Opened.UnixMicro(), micros(v.Closed), highest,
	})
}

func (f *facts) deadLetter(p place, r *schemas.Raw, v *schemas.DeadLetter) error {
	return f.exec(insertDeadLetter, v.Stage, v.Reason, v.Topic, v.Lineage.Generation, v.Partition, v.Offset, v.Lineage.Index,
		v.Detail, v.Action, v.Lineage.Run, p.partition, r.Offset)
}

// features is the JSON of fact_risk_window.features.
type features struct {
	SubScores map[string]float64 `json:"subscores"`
	Inputs    map[string]input   `json:"inputs"`
	Missing   []string           `json:"missing"`
}

type input struct {
	Value string `json:"value"`
	Unit  string `json:"unit,omitempty"`
	Time  string `json:"time,omitempty"` // absent for a configured stand-in
}

func featuresJSON(v *schemas.Score) (string, error) {
	f := features{SubScores: map[string]float64{}, Inputs: map[string]input{}, Missing: append([]string{}, v.Missing...)}
	for _, s := range v.SubScores {
		f.SubScores[s.Name] = s.Score
	}
	for _, in := range v.Inputs {
		i := input{Value: in.Text, Unit: in.Unit}
		if in.Time != 0 {
			i.Time = in.Time.String()
		}
		f.Inputs[in.Name] = i
	}
	b, err := json.Marshal(f)
	return string(b), err
}

// text stores an empty text as null.
func text(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }

// micros stores no time as null.
func micros(t schemas.Ticks) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: t != 0}
}
