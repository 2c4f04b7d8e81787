package examples

import (
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

func rows(t *testing.T, file string) []map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join(shared, "cases/scoring", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]string
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, name := range lines[0] {
			row[name] = line[i]
		}
		all = append(all, row)
	}
	return all
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPhysioNetStaysScoreAsTheyShould(t *testing.T) {
	out := run(t, "physionet/run.sh", asked(t, "data/physionet2012"))
	db := openSQL(t, filepath.Join(out, "warehouse.db"))
	var total, incomplete, patients int
	err := db.QueryRow(`SELECT count(*), sum(NOT complete), count(DISTINCT patient_id) FROM fact_risk_window WHERE model_id = 'news2'`).
		Scan(&total, &incomplete, &patients)
	if err != nil {
		t.Fatal(err)
	}
	if total != 7984 || incomplete != 5827 || patients != 171 {
		t.Errorf("%d windows, %d incomplete, %d patients; want 7984, 5827, 171", total, incomplete, patients)
	}
	base := serve(t, out, "fhir-server")
	compareWindows(t, db)
	compareFlags(t, db, base)
	compareAssessments(t, db, base)
}

// compareWindows holds every complete window of the listed patients against the
// reference.
func compareWindows(t *testing.T, db *sql.DB) {
	t.Helper()
	want, listed := map[string]string{}, map[string]bool{}
	for _, r := range rows(t, "golden_physionet2012_news2.csv") {
		subs := map[string]float64{}
		for _, name := range []string{"rr", "spo2", "oxygen", "sbp", "hr", "consciousness", "temp"} {
			subs[name] = number(t, r[name])
		}
		want[r["patient"]+" "+r["window_end_min"]] = fmt.Sprint(number(t, r["total"]), r["risk"], subs)
		listed[r["patient"]] = true
	}
	found, err := db.Query(`SELECT p.identifier_value, w.window_end, w.score, w.risk_level, w.features
		FROM fact_risk_window w JOIN dim_patient p USING (patient_id) WHERE w.complete`)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	got := map[string]string{}
	for found.Next() {
		var patient, risk, features string
		var end int64
		var score float64
		if err := found.Scan(&patient, &end, &score, &risk, &features); err != nil {
			t.Fatal(err)
		}
		var f struct{ SubScores map[string]float64 }
		if err := json.Unmarshal([]byte(features), &f); err != nil {
			t.Fatal(err)
		}
		if listed[patient] {
			minutes := time.UnixMicro(end).Sub(t0) / time.Minute
			got[fmt.Sprintf("%s %d", patient, minutes)] = fmt.Sprint(score, risk, f.SubScores)
		}
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	compare(t, "window", got, want)
}

// compare reports what differs between two maps, a few of each kind.
func compare(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	t.Logf("%d %ss, want %d", len(got), what, len(want))
	shown := 0
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if got[k] != want[k] && shown < 10 {
			t.Errorf("%s %s: got %q, want %q", what, k, got[k], want[k])
			shown++
		}
	}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[k]; !ok && shown < 20 {
			t.Errorf("%s %s: %q is one too many", what, k, got[k])
			shown++
		}
	}
}

type flagResource struct {
	ID     string
	Status string
	Code   struct{ Coding []struct{ Code string } }
	Period struct{ Start, End string }
}

func compareFlags(t *testing.T, db *sql.DB, base string) {
	t.Helper()
	want, listed := map[string]string{}, map[string]bool{}
	at := func(minutes string) string {
		if minutes == "" {
			return ""
		}
		return t0.Add(time.Duration(number(t, minutes)) * time.Minute).Format(time.RFC3339)
	}
	for _, r := range rows(t, "golden_physionet2012_news2.csv") {
		listed[r["patient"]] = true
	}
	for _, r := range rows(t, "golden_physionet2012_flags.csv") {
		want[r["patient"]+" "+at(r["opened_window_end_min"])] = fmt.Sprint(at(r["closed_window_end_min"]), number(t, r["max_total"]))
	}
	found, err := db.Query(`SELECT f.flag_id, p.identifier_value, f.opened_at, f.closed_at, f.max_score
		FROM fact_flag f JOIN dim_patient p USING (patient_id) WHERE f.kind = 'clinical' AND f.rule = 'news2'`)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	got := map[string]string{}
	for found.Next() {
		var id, patient string
		var opened int64
		var closed sql.NullInt64
		var highest float64
		if err := found.Scan(&id, &patient, &opened, &closed, &highest); err != nil {
			t.Fatal(err)
		}
		end := ""
		if closed.Valid {
			end = time.UnixMicro(closed.Int64).UTC().Format(time.RFC3339)
		}
		start := time.UnixMicro(opened).UTC().Format(time.RFC3339)
		checkFlag(t, base, id, start, end)
		if listed[patient] {
			got[patient+" "+start] = fmt.Sprint(end, highest)
		}
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	compare(t, "Flag", got, want)
}

func checkFlag(t *testing.T, base, id, start, end string) {
	t.Helper()
	var f flagResource
	get(t, base+"/Flag/"+id, &f)
	status := "active"
	if end != "" {
		status = "inactive"
	}
	if f.Status != status || f.Period.Start != start || f.Period.End != end || len(f.Code.Coding) == 0 || f.Code.Coding[0].Code != "news2" {
		t.Errorf("Flag/%s is %+v; want %s from %s to %q of news2", id, f, status, start, end)
	}
}

func compareAssessments(t *testing.T, db *sql.DB, base string) {
	t.Helper()
	type assessment struct{ ID, Status string }
	stored := map[string]string{}
	all(t, base+"/RiskAssessment?_count=1000", func(r assessment) { stored[r.ID] = r.Status })
	found, err := db.Query(`SELECT assessment_id, complete FROM fact_risk_window`)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	windows, missing := 0, 0
	for found.Next() {
		var id string
		var complete bool
		if err := found.Scan(&id, &complete); err != nil {
			t.Fatal(err)
		}
		want := "preliminary"
		if complete {
			want = "final"
		}
		windows++
		if stored[id] != want {
			missing++
		}
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	if missing > 0 || windows != len(stored) {
		t.Errorf("%d windows, %d RiskAssessments, %d of them missing or of another status", windows, len(stored), missing)
	}
}
