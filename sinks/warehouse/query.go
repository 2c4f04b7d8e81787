package warehouse

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"auscult/schemas"
)

// Limits of what one question may cost.
const (
	// MaxReaders is how many questions are answered at once.
	MaxReaders = 4
	// RecentWindows is how many windows a standing looks back, this one included.
	RecentWindows = 16
	// MaxOpenFlags is how many open Flags are listed.
	MaxOpenFlags = 2000
	// MaxCountedLetters is how far dead letters of one kind are counted: a table
	// of millions must not be read through each time somebody looks.
	MaxCountedLetters = 100_000
	// maxLetterKinds is how many pairs of stage and reason are told apart.
	maxLetterKinds = 256
)

// ErrNoPatient says that the warehouse knows no patient of that id.
var ErrNoPatient = errors.New("the warehouse knows no such patient")

// Reader answers the console's questions. It has connections of its own that
// cannot write, and each answer is one short transaction, so it sees one state
// of the river and never holds up the writer.
type Reader struct{ db *sql.DB }

// OpenReader opens the database file at path for reading. [Open] must have
// made it.
func OpenReader(path string) (*Reader, error) {
	dsn := fileURI(path) + "?mode=ro&_pragma=query_only(true)&_pragma=busy_timeout(2000)"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("opening warehouse %s for reading: %w", path, err)
	}
	db.SetMaxOpenConns(MaxReaders)
	return &Reader{db: db}, nil
}

// Close closes the reader's connections.
func (r *Reader) Close() error { return r.db.Close() }

// Bounds is what a model said of one window: both ends are the score when it
// was complete.
type Bounds struct {
	Min, Max float64
	Complete bool
}

// Past is what a model said of an earlier window.
type Past struct {
	End schemas.Ticks
	Bounds
}

// NamedScore is the part of a score that one input made.
type NamedScore struct {
	Name  string
	Score float64
}

// Input is one value that a score used. Time is 0 for a configured stand-in.
type Input struct {
	Name, Value, Unit string
	Time              schemas.Ticks
}

// Standing is how one patient stands with one model: the latest window. A
// patient who has not been scored has an empty Model.
type Standing struct {
	Patient, System, Identifier string

	Model, ModelVersion string
	Start, End          schemas.Ticks
	Bounds
	Risk      string // empty when the bounds disagree
	Final     bool
	SubScores []NamedScore // by name, as Inputs
	Inputs    []Input
	Missing   []string
	// Recent are this window and those before that touch but do not overlap, each
	// as long as this: the oldest first, and only those that have been scored.
	Recent []Past
}

// Flag is one episode. Closed is 0 while it is open.
type Flag struct {
	ID, Patient, Rule, Device string
	Technical                 bool
	Opened, Closed            schemas.Ticks
	MaxScore                  float64
}

// LetterCount is how many dead letters a stage wrote for one reason. Capped
// says that there are more than N.
type LetterCount struct {
	Stage, Reason string
	N             int64
	Capped        bool
}

// Freshness says how far the warehouse has got.
type Freshness struct {
	Patients int64         // known
	Scored   int64         // of them
	Latest   schemas.Ticks // end of the latest window of all; 0 when there is none
	Records  int64         // sum of the offsets that have been loaded: it moves while the river flows
}

// The worklist's order is the care team's: by risk; a patient whose bounds
// disagree comes after medium, as medium when a clinical Flag is open, for a
// score that cannot be computed any more must not hide him.
//
// The windows before are looked up one by one by their key: sliding windows
// overlap, and hundreds may lie between two that do not.
const worklistQuery = `
WITH RECURSIVE back(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM back LIMIT ?),
top AS (
    SELECT patient_id, identifier_system, identifier_value, model_id, window_start, window_end,
           score, score_min, score_max, risk_level, complete,
           EXISTS (SELECT 1 FROM fact_flag f WHERE f.patient_id = v.patient_id AND f.closed_at IS NULL AND f.kind = 'clinical') AS flagged
    FROM v_worklist v
    ORDER BY CASE risk_level WHEN 'high' THEN 40 WHEN 'medium' THEN 30 WHEN 'low-medium' THEN 20 WHEN 'low' THEN 10
                  ELSE CASE flagged WHEN 1 THEN 30 ELSE 20 END END DESC,
             flagged DESC, score_min DESC, score_max DESC, identifier_value, patient_id, model_id
    LIMIT ?)
SELECT top.patient_id, identifier_system, identifier_value, top.model_id, top.window_start, top.window_end,
       top.score_min, top.score_max, top.risk_level, top.complete, w.features, w.model_version, w.final,
       (SELECT json_group_array(json_array(r.window_end, r.score_min, r.score_max, r.complete) ORDER BY back.n DESC)
        FROM back CROSS JOIN fact_risk_window r ON r.patient_id = top.patient_id AND r.model_id = top.model_id
             AND r.window_start = top.window_start - back.n * (top.window_end - top.window_start)
             AND r.window_end = top.window_end - back.n * (top.window_end - top.window_start))
FROM top
LEFT JOIN fact_risk_window w ON w.patient_id = top.patient_id AND w.model_id = top.model_id
                            AND w.window_start = top.window_start AND w.window_end = top.window_end`

const unscoredQuery = `
SELECT patient_id, identifier_system, identifier_value FROM dim_patient p
WHERE NOT EXISTS (SELECT 1 FROM patient_current c WHERE c.patient_id = p.patient_id)
ORDER BY identifier_value, patient_id LIMIT ?`

// Worklist returns at most limit standings, the highest risk first; after them
// patients who have no score yet.
func (r *Reader) Worklist(ctx context.Context, limit int) ([]Standing, error) {
	var all []Standing
	err := r.read(ctx, "the worklist", func(q queries) error {
		err := each(q, worklistQuery, []any{RecentWindows, limit}, func(rows *sql.Rows) error {
			s, err := scanStanding(rows)
			all = append(all, s)
			return err
		})
		if err != nil || len(all) >= limit {
			return err
		}
		return each(q, unscoredQuery, []any{limit - len(all)}, func(rows *sql.Rows) error {
			var s Standing
			err := rows.Scan(&s.Patient, &s.System, &s.Identifier)
			all = append(all, s)
			return err
		})
	})
	return all, err
}

func scanStanding(rows *sql.Rows) (Standing, error) {
	var s Standing
	var system, identifier, risk, features, version sql.NullString
	var start, end int64
	var final sql.NullBool
	var recent string
	err := rows.Scan(&s.Patient, &system, &identifier, &s.Model, &start, &end,
		&s.Min, &s.Max, &risk, &s.Complete, &features, &version, &final, &recent)
	if err != nil {
		return s, err
	}
	s.System, s.Identifier, s.Risk, s.ModelVersion, s.Final = system.String, identifier.String, risk.String, version.String, final.Bool
	s.Start, s.End = ticks(start), ticks(end)
	if s.Recent, err = scanRecent(recent); err != nil {
		return s, err
	}
	if features.Valid { // a replay may have left patient_current ahead of its window
		err = s.readFeatures(features.String)
	}
	return s, err
}

// scanRecent reads the array that SQLite made. Microseconds fit a float64 for
// 285 years; event times that far from 1970 lose some of them.
func scanRecent(text string) ([]Past, error) {
	var rows [][4]float64
	if err := json.Unmarshal([]byte(text), &rows); err != nil {
		return nil, fmt.Errorf("reading the windows before: %w", err)
	}
	all := make([]Past, len(rows))
	for i, b := range rows {
		all[i] = Past{ticks(int64(b[0])), Bounds{Min: b[1], Max: b[2], Complete: b[3] != 0}}
	}
	return all, nil
}

// readFeatures fills in what fact_risk_window.features says.
func (s *Standing) readFeatures(text string) error {
	var f features
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		return fmt.Errorf("reading features: %w", err)
	}
	s.Missing = f.Missing
	for _, name := range sorted(f.SubScores) {
		s.SubScores = append(s.SubScores, NamedScore{name, f.SubScores[name]})
	}
	for _, name := range sorted(f.Inputs) {
		in := f.Inputs[name]
		v := Input{Name: name, Value: in.Value, Unit: in.Unit}
		if in.Time != "" {
			t, err := time.Parse(time.RFC3339Nano, in.Time)
			if err != nil {
				return fmt.Errorf("reading the time of an input: %w", err)
			}
			v.Time = schemas.TicksOf(t)
		}
		s.Inputs = append(s.Inputs, v)
	}
	return nil
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

const flagColumns = `flag_id, patient_id, rule, kind = 'technical', coalesce(device_id, ''), opened_at, closed_at, coalesce(max_score, 0)`

// OpenFlags returns the open Flags of all patients, latest first, at most
// MaxOpenFlags.
func (r *Reader) OpenFlags(ctx context.Context) ([]Flag, error) {
	var all []Flag
	err := r.read(ctx, "open Flags", func(q queries) (err error) {
		all, err = q.flags(`SELECT `+flagColumns+` FROM fact_flag WHERE closed_at IS NULL ORDER BY opened_at DESC, flag_id LIMIT ?`, MaxOpenFlags)
		return err
	})
	return all, err
}

func (q queries) flags(query string, args ...any) ([]Flag, error) {
	var all []Flag
	return all, each(q, query, args, func(rows *sql.Rows) error {
		var f Flag
		var opened int64
		var closed sql.NullInt64
		if err := rows.Scan(&f.ID, &f.Patient, &f.Rule, &f.Technical, &f.Device, &opened, &closed, &f.MaxScore); err != nil {
			return err
		}
		f.Opened = ticks(opened)
		if closed.Valid {
			f.Closed = ticks(closed.Int64)
		}
		all = append(all, f)
		return nil
	})
}

// letterKindsQuery steps from one pair of stage and reason to the next along
// the primary key, without reading the letters between.
const letterKindsQuery = `
WITH RECURSIVE kind(stage, reason) AS (
    SELECT * FROM (SELECT stage, reason FROM fact_dead_letter ORDER BY stage, reason LIMIT 1)
    UNION ALL
    SELECT (SELECT stage FROM fact_dead_letter l WHERE (l.stage, l.reason) > (kind.stage, kind.reason) ORDER BY stage, reason LIMIT 1),
           (SELECT reason FROM fact_dead_letter l WHERE (l.stage, l.reason) > (kind.stage, kind.reason) ORDER BY stage, reason LIMIT 1)
    FROM kind WHERE kind.stage IS NOT NULL
    LIMIT ?)
SELECT stage, reason, (SELECT count(*) FROM (SELECT 1 FROM fact_dead_letter l WHERE l.stage = kind.stage AND l.reason = kind.reason LIMIT ?))
FROM kind WHERE stage IS NOT NULL`

// DeadLetters returns how many dead letters there are by stage and reason.
func (r *Reader) DeadLetters(ctx context.Context) ([]LetterCount, error) {
	var all []LetterCount
	err := r.read(ctx, "dead letters", func(q queries) error {
		return each(q, letterKindsQuery, []any{maxLetterKinds, MaxCountedLetters + 1}, func(rows *sql.Rows) error {
			var c LetterCount
			if err := rows.Scan(&c.Stage, &c.Reason, &c.N); err != nil {
				return err
			}
			c.Capped = c.N > MaxCountedLetters
			c.N = min(c.N, MaxCountedLetters)
			all = append(all, c)
			return nil
		})
	})
	return all, err
}

// Freshness returns how far the warehouse has got.
func (r *Reader) Freshness(ctx context.Context) (Freshness, error) {
	var f Freshness
	err := r.read(ctx, "freshness", func(q queries) error {
		var latest sql.NullInt64
		err := q.tx.QueryRowContext(q.ctx, `SELECT (SELECT count(*) FROM dim_patient), (SELECT count(DISTINCT patient_id) FROM patient_current),
			(SELECT max(window_end) FROM fact_risk_window), (SELECT coalesce(sum(next_offset), 0) FROM sink_offset)`).
			Scan(&f.Patients, &f.Scored, &latest, &f.Records)
		if latest.Valid {
			f.Latest = ticks(latest.Int64)
		}
		return err
	})
	return f, err
}

// queries are asked inside one transaction.
type queries struct {
	ctx context.Context
	tx  *sql.Tx
}

// read answers one question in one transaction, which is never committed:
// there is nothing to keep.
func (r *Reader) read(ctx context.Context, what string, ask func(queries) error) error {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("reading %s: %w", what, err)
	}
	err = ask(queries{ctx, tx})
	if rerr := tx.Rollback(); err == nil && !errors.Is(rerr, sql.ErrTxDone) {
		err = rerr
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", what, err)
	}
	return nil
}

// each calls row for every row of a query.
func each(q queries, query string, args []any, row func(*sql.Rows) error) (err error) {
	rows, err := q.tx.QueryContext(q.ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// ticks reads a time as the tables store it.
func ticks(micros int64) schemas.Ticks { return schemas.TicksOf(time.UnixMicro(micros)) }
