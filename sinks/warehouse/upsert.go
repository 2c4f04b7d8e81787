package warehouse

import (
	"strings"

	"auscult/schemas"
)

// orderColumns hold the order of the record that made a row (G2).
var orderColumns = []string{"row_order", "row_index"}

// lineageColumns lead from a row back to the message.
var lineageColumns = []string{"run", "src_generation", "src_partition", "src_offset"}

// fact is a table whose rows are replaced by records of a higher order.
type fact struct {
	table   string
	keys    []string
	content []string // what the row says; equal content is never written again by a replay
	extra   []string // how it came to be said: revision and the like
}

func (f fact) columns() []string {
	var all []string
	for _, part := range [][]string{f.keys, f.content, f.extra, orderColumns, lineageColumns} {
		all = append(all, part...)
	}
	return all
}

func (f fact) insert() string {
	cols := f.columns()
	return "INSERT INTO " + f.table + " (" + strings.Join(cols, ", ") + ") VALUES (" +
		strings.TrimSuffix(strings.Repeat("?, ", len(cols)), ", ") + ") ON CONFLICT (" + strings.Join(f.keys, ", ") + ") DO UPDATE SET "
}

// live returns the statement for records of the running river: the highest
// order wins, whatever the order of arrival.
func (f fact) live() string {
	t := f.table
	return f.insert() + assign(f.content, f.extra, orderColumns, lineageColumns) +
		" WHERE excluded.row_order > " + t + ".row_order" +
		" OR excluded.row_order = " + t + ".row_order AND excluded.row_index > " + t + ".row_index"
}

// replay returns the statement for records of a replay (G12): a row is replaced
// only where it says something else, never where a later message made it, or a
// live message of another generation (G6). The order stays that of the live
// record, so that its next revision still wins.
func (f fact) replay() string {
	t := f.table
	differs := make([]string, len(f.content))
	for i, c := range f.content {
		differs[i] = t + "." + c + " IS NOT excluded." + c
	}
	return f.insert() + assign(f.content, lineageColumns) +
		" WHERE (" + strings.Join(differs, " OR ") + ")" +
		" AND NOT (" + t + ".run = '" + schemas.RunLive + "' AND " + t + ".src_generation <> excluded.src_generation)" +
		" AND NOT (" + t + ".src_generation = excluded.src_generation" +
		" AND " + t + ".src_partition = excluded.src_partition" +
		" AND " + t + ".src_offset > excluded.src_offset)"
}

func assign(groups ...[]string) string {
	var set []string
	for _, g := range groups {
		for _, c := range g {
			set = append(set, c+" = excluded."+c)
		}
	}
	return strings.Join(set, ", ")
}

var (
	vitalPane = fact{
		table: "fact_vital_pane",
		keys:  []string{"patient_id", "encounter_id", "device_id", "type", "name", "pane_start"},
		content: []string{"pane_end", "n", "implausible", "sum", "min", "max",
			"first_value", "first_at", "last_value", "last_at", "final"},
		extra: []string{"revision"},
	}
	riskWindow = fact{
		table: "fact_risk_window",
		keys:  []string{"patient_id", "model_id", "window_start", "window_end"},
		content: []string{"score", "score_min", "score_max", "risk_level", "complete", "features",
			"model_version", "encounter_id", "assessment_id", "final"},
		extra: []string{"revision"},
	}
	flagEpisode = fact{
		table:   "fact_flag",
		keys:    []string{"flag_id"},
		content: []string{"patient_id", "rule", "kind", "device_id", "opened_at", "closed_at", "max_score"},
	}
)

// upsertPatient keeps what was checked last.
const upsertPatient = `INSERT INTO dim_patient
    (patient_id, identifier_system, identifier_value, birth_date, gender, facts, checked_at)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (patient_id) DO UPDATE SET
    identifier_system = excluded.identifier_system, identifier_value = excluded.identifier_value,
    birth_date = excluded.birth_date, gender = excluded.gender, facts = excluded.facts, checked_at = excluded.checked_at
WHERE excluded.checked_at > dim_patient.checked_at`

// upsertCurrent moves only to a later window end, or to a later word on the same
// window (G13).
const upsertCurrent = `INSERT INTO patient_current
    (patient_id, model_id, window_start, window_end, score, score_min, score_max, risk_level, complete, row_order, row_index)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (patient_id, model_id) DO UPDATE SET
    window_start = excluded.window_start, window_end = excluded.window_end, score = excluded.score,
    score_min = excluded.score_min, score_max = excluded.score_max, risk_level = excluded.risk_level,
    complete = excluded.complete, row_order = excluded.row_order, row_index = excluded.row_index
WHERE excluded.window_end > patient_current.window_end
   OR excluded.window_end = patient_current.window_end AND (excluded.row_order > patient_current.row_order
      OR excluded.row_order = patient_current.row_order AND excluded.row_index > patient_current.row_index)`

// withdrawFlag removes an episode that late values have moved (G16).
const withdrawFlag = `DELETE FROM fact_flag WHERE flag_id = ?`

// insertDeadLetter counts a dead letter once, however often it was sent.
const insertDeadLetter = `INSERT INTO fact_dead_letter
    (stage, reason, topic, src_generation, src_partition, src_offset, src_index, detail, action, run, letter_part, letter_offset)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
