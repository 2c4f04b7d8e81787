package warehouse

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"auscult/schemas"
)

// Limits of one patient's course.
const (
	// MaxSeries is how many series of a patient are read: (encounter, device,
	// type, name).
	MaxSeries = 128
	// MaxPanes is how many panes of one of them are read, the latest.
	MaxPanes = 5000
	// MaxWindows is how many windows of one model are read, the latest.
	MaxWindows = 5000
	// MaxModels is how many models of a patient are read.
	MaxModels = 32
	// MaxFlags is how many Flags of a patient are read, the latest.
	MaxFlags = 200
)

// Pane is one tumbling pane of a series. The texts are decimals as the device
// wrote them; those of a series that holds no numbers are empty but for Last.
type Pane struct {
	Device         string
	Start, End     schemas.Ticks
	N, Implausible int64
	Sum, Min, Max  string
	Last           string
	Final          bool
}

// Series is the panes of one value, by time.
type Series struct {
	Type, Name string
	Panes      []Pane
}

// Window is what a model said of one window.
type Window struct {
	Model      string
	Start, End schemas.Ticks
	Bounds
	Risk    string
	Final   bool
	Missing []string
}

// Course is what is known of one patient between two instants of event time.
type Course struct {
	Patient, System, Identifier string
	BirthDate, Gender           string
	From, To                    schemas.Ticks // To is the end of the latest window or pane
	Standings                   []Standing
	Series                      []Series
	Windows                     []Window // by model, then by time
	Flags                       []Flag   // latest first
}

// Course returns a patient's last span of event time, counted back from his
// latest window: recordings of years ago have a last hour too.
func (r *Reader) Course(ctx context.Context, patient string, span schemas.Ticks) (Course, error) {
	c := Course{Patient: patient}
	err := r.read(ctx, "a patient's course", func(q queries) error {
		for _, step := range []func(queries, schemas.Ticks) error{c.readPatient, c.readStandings, c.readPanes, c.readWindows, c.readFlags} {
			if err := step(q, span); err != nil {
				return err
			}
		}
		return nil
	})
	return c, err
}

func (c *Course) readPatient(q queries, _ schemas.Ticks) error {
	err := q.tx.QueryRowContext(q.ctx, `SELECT identifier_system, identifier_value, coalesce(birth_date, ''), coalesce(gender, '')
		FROM dim_patient WHERE patient_id = ?`, c.Patient).Scan(&c.System, &c.Identifier, &c.BirthDate, &c.Gender)
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	// Scores may have been loaded before the identity was.
	var known bool
	err = q.tx.QueryRowContext(q.ctx, `SELECT EXISTS (SELECT 1 FROM patient_current WHERE patient_id = ?)`, c.Patient).Scan(&known)
	if err == nil && !known {
		return ErrNoPatient
	}
	return err
}

const standingsQuery = `
SELECT c.patient_id, '', '', c.model_id, c.window_start, c.window_end,
       c.score_min, c.score_max, c.risk_level, c.complete, w.features, w.model_version, w.final, '[]'
FROM patient_current c
LEFT JOIN fact_risk_window w ON w.patient_id = c.patient_id AND w.model_id = c.model_id
                            AND w.window_start = c.window_start AND w.window_end = c.window_end
WHERE c.patient_id = ? ORDER BY c.model_id LIMIT ?`

func (c *Course) readStandings(q queries, span schemas.Ticks) error {
	err := each(q, standingsQuery, []any{c.Patient, MaxModels}, func(rows *sql.Rows) error {
		s, err := scanStanding(rows)
		s.System, s.Identifier = c.System, c.Identifier
		c.Standings = append(c.Standings, s)
		c.To = max(c.To, s.End)
		return err
	})
	c.From = max(c.To-span, 0)
	return err
}

// seriesKey is the primary key of fact_vital_pane without patient and time.
type seriesKey struct{ encounter, device, typ, name string }

// nextSeriesQuery steps from series to series along the primary key, without
// reading the panes between.
const nextSeriesQuery = `
SELECT encounter_id, device_id, type, name FROM fact_vital_pane
WHERE patient_id = ? AND (encounter_id, device_id, type, name) > (?, ?, ?, ?)
ORDER BY encounter_id, device_id, type, name LIMIT 1`

// keys returns the patient's series. No key of a row is below the empty one:
// every series has a type.
func (c *Course) keys(q queries) ([]seriesKey, error) {
	var all []seriesKey
	var k seriesKey
	for len(all) < MaxSeries {
		err := q.tx.QueryRowContext(q.ctx, nextSeriesQuery, c.Patient, k.encounter, k.device, k.typ, k.name).
			Scan(&k.encounter, &k.device, &k.typ, &k.name)
		if errors.Is(err, sql.ErrNoRows) {
			break
		}
		if err != nil {
			return nil, err
		}
		all = append(all, k)
	}
	return all, nil
}

const panesQuery = `
SELECT device_id, pane_start, pane_end, n, implausible, coalesce(sum, ''), coalesce(min, ''), coalesce(max, ''), coalesce(last_value, ''), final
FROM fact_vital_pane
WHERE patient_id = ? AND encounter_id = ? AND device_id = ? AND type = ? AND name = ? AND pane_start >= ?
ORDER BY pane_start DESC LIMIT ?`

// readPanes reads every series and joins those of several devices and
// encounters that measure the same.
func (c *Course) readPanes(q queries, span schemas.Ticks) error {
	keys, err := c.keys(q)
	if err != nil {
		return err
	}
	if c.To == 0 { // not scored yet: the latest pane says what the last hours are
		if err := c.endOfPanes(q, keys, span); err != nil {
			return err
		}
	}
	for _, k := range keys {
		i := slices.IndexFunc(c.Series, func(s Series) bool { return s.Type == k.typ && s.Name == k.name })
		if i < 0 {
			i = len(c.Series)
			c.Series = append(c.Series, Series{Type: k.typ, Name: k.name})
		}
		s := &c.Series[i]
		err := each(q, panesQuery, []any{c.Patient, k.encounter, k.device, k.typ, k.name, c.From.UnixMicro(), MaxPanes}, func(rows *sql.Rows) error {
			p, err := scanPane(rows)
			s.Panes = append(s.Panes, p)
			c.To = max(c.To, p.End) // the panes of a window that is not over yet
			return err
		})
		if err != nil {
			return err
		}
	}
	for i := range c.Series {
		slices.SortStableFunc(c.Series[i].Panes, func(a, b Pane) int { return int(max(-1, min(1, a.Start-b.Start))) })
	}
	return nil
}

func (c *Course) endOfPanes(q queries, keys []seriesKey, span schemas.Ticks) error {
	for _, k := range keys {
		var end int64
		err := q.tx.QueryRowContext(q.ctx, `SELECT pane_end FROM fact_vital_pane
			WHERE patient_id = ? AND encounter_id = ? AND device_id = ? AND type = ? AND name = ? ORDER BY pane_start DESC LIMIT 1`,
			c.Patient, k.encounter, k.device, k.typ, k.name).Scan(&end)
		if err != nil {
			return err
		}
		c.To = max(c.To, ticks(end))
	}
	c.From = max(c.To-span, 0)
	return nil
}

func scanPane(rows *sql.Rows) (Pane, error) {
	var p Pane
	var start, end int64
	err := rows.Scan(&p.Device, &start, &end, &p.N, &p.Implausible, &p.Sum, &p.Min, &p.Max, &p.Last, &p.Final)
	p.Start, p.End = ticks(start), ticks(end)
	return p, err
}

const windowsQuery = `
SELECT model_id, window_start, window_end, score_min, score_max, coalesce(risk_level, ''), complete, final,
       coalesce((SELECT group_concat(value) FROM json_each(features, '$.missing')), '')
FROM fact_risk_window WHERE patient_id = ? AND model_id = ? AND window_start >= ?
ORDER BY window_start DESC LIMIT ?`

func (c *Course) readWindows(q queries, _ schemas.Ticks) error {
	for i := range c.Standings {
		from := len(c.Windows)
		err := each(q, windowsQuery, []any{c.Patient, c.Standings[i].Model, c.From.UnixMicro(), MaxWindows}, func(rows *sql.Rows) error {
			w, err := scanWindow(rows)
			c.Windows = append(c.Windows, w)
			return err
		})
		if err != nil {
			return err
		}
		slices.Reverse(c.Windows[from:])
	}
	return nil
}

func scanWindow(rows *sql.Rows) (Window, error) {
	var w Window
	var start, end int64
	var missing string
	err := rows.Scan(&w.Model, &start, &end, &w.Min, &w.Max, &w.Risk, &w.Complete, &w.Final, &missing)
	w.Start, w.End = ticks(start), ticks(end)
	if missing != "" {
		w.Missing = strings.Split(missing, ",")
	}
	return w, err
}

func (c *Course) readFlags(q queries, _ schemas.Ticks) (err error) {
	c.Flags, err = q.flags(`SELECT `+flagColumns+` FROM fact_flag WHERE patient_id = ? ORDER BY opened_at DESC, flag_id LIMIT ?`, c.Patient, MaxFlags)
	return err
}
