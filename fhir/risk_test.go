package fhir

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"auscult/schemas"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var riskText = RiskText{Method: "NEWS2 (RCP 2017), SpO2 scale 1", Code: "Early warning score for acute deterioration",
	Outcome: "Acute clinical deterioration", Title: "NEWS2",
	Labels: map[string]string{"rr": "RR", "spo2": "SpO2", "oxygen": "oxygen", "temp": "temperature"}}

// complete is the final score of one window.
func complete(t *testing.T) *schemas.Score {
	t.Helper()
	s := &schemas.Score{Kind: schemas.ScoreRule, Patient: "pat-1", Encounter: "enc-1", Model: "news2", ModelVersion: "2012.1",
		Start: tick(t, "2012-01-01T00:00:00Z"), End: tick(t, "2012-01-01T01:00:00Z"), Revision: 1, Trigger: schemas.TriggerWatermark, Final: true,
		Value: 8, Min: 8, Max: 8, Risk: "high", Complete: true,
		SubScores: []schemas.NamedScore{{Name: "rr", Score: 2}, {Name: "spo2", Score: 3}, {Name: "oxygen", Score: 2}, {Name: "temp", Score: 1}},
		Inputs: []schemas.ScoreInput{
			{Name: "rr", Text: "22", Unit: "/min", Time: tick(t, "2012-01-01T00:40:00Z"), Observation: "pat-1.dev-1.RespRate.20120101004000Z.20120101004000Z"},
			{Name: "spo2", Text: "91", Unit: "%", Time: tick(t, "2012-01-01T00:40:00Z"), Observation: "pat-1.dev-1.SaO2.20120101004000Z.20120101004000Z"},
			{Name: "oxygen", Text: "air", Observation: ""},
			{Name: "temp", Text: "38.40", Unit: "Cel", Time: tick(t, "2011-12-31T22:15:00.5Z"), Observation: "pat-1.dev-1.SaO2.20120101004000Z.20120101004000Z"},
		},
		Lineage: schemas.Lineage{Run: schemas.RunLive, Generation: "g-1", Partition: 3, Offset: 1184467, Index: 1, Mapping: "0123456789abcdef"}}
	s.Assessment = AssessmentID(s.Patient, s.Model, s.Start, s.End)
	return s
}

func incomplete(t *testing.T) *schemas.Score {
	s := complete(t)
	s.Complete, s.Min, s.Max, s.Value, s.Risk = false, 7, 10, 0, ""
	s.Missing, s.SubScores, s.Inputs = []string{"temp"}, s.SubScores[:3], s.Inputs[:2]
	return s
}

func clinical(s *schemas.Score, state schemas.FlagState) *schemas.Flag {
	f := &schemas.Flag{ID: FlagID(s.Patient, "news2", "", s.End), Rule: "news2", State: state, Opened: s.End, MaxScore: 8}
	if state == schemas.FlagClosed {
		f.Closed = s.End + 3*schemas.TicksPerHour
	}
	return f
}

func TestRiskResources(t *testing.T) {
	n := Names{}
	s := complete(t)
	provisional := complete(t)
	provisional.Final = false
	medium := complete(t)
	medium.Risk, medium.Value = "low-medium", 4
	probability := complete(t)
	probability.Model, probability.Value, probability.Risk, probability.SubScores, probability.Inputs = "sepsis", 0.7325, "", nil, nil
	technical := &schemas.Flag{ID: FlagID("pat-1", "no-data", "dev-1", s.End), Rule: "no-data", Device: "dev-1", Kind: schemas.FlagTechnical, Opened: s.End}
	text := FlagText{Text: "NEWS2 7 or more: emergency assessment", Priority: "PH", Assessment: s.Assessment}
	withFlag := complete(t)
	withFlag.Flags = []schemas.Flag{*clinical(s, schemas.FlagClosed)}
	withFlag.Revision = 2
	for name, got := range map[string][]byte{
		"assessment-final":       RiskAssessment(n, s, riskText),
		"assessment-incomplete":  RiskAssessment(n, incomplete(t), riskText),
		"assessment-provisional": RiskAssessment(n, provisional, RiskText{}),
		"assessment-low-medium":  RiskAssessment(n, medium, riskText),
		"assessment-probability": RiskAssessment(n, probability, RiskText{Outcome: "Sepsis onset", Probability: true}),
		"flag-active":            Flag(n, s, clinical(s, schemas.FlagOpen), text),
		"flag-inactive":          Flag(n, s, clinical(s, schemas.FlagClosed), text),
		"flag-withdrawn":         Flag(n, s, clinical(s, schemas.FlagWithdrawn), text),
		"flag-technical":         Flag(n, s, technical, FlagText{Text: "No data from the device"}),
		"provenance-assessment":  Provenance(n, "RiskAssessment/"+s.Assessment, s, schemas.Order{Version: 12, Index: 3}),
		"provenance-flag":        Provenance(n, "Flag/"+withFlag.Flags[0].ID, withFlag, schemas.Order{Version: 13}),
		"device-scorer":          ScorerDevice(n, []ModelVersion{{"news2", "2012.1"}, {"no-data", ""}}),
	} {
		checkFHIR(t, name, got)
		golden(t, name, got)
	}
}

// golden compares with testdata/risk, indented for the reader of a diff.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", "risk", name+".json")
	var v json.RawMessage = got
	pretty, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	pretty = append(pretty, '\n')
	if *update {
		if err := os.WriteFile(file, pretty, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(pretty) {
		t.Errorf("%s (rewrite with -update):\n%s", name, pretty)
	}
}

var fhirID = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)

// checkFHIR looks for what no server takes: empty texts, lists and objects, bad
// ids, and literal references to what may not be there yet.
func checkFHIR(t *testing.T, name string, body []byte) {
	t.Helper()
	n, err := parseJSON(string(body))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if !fhirID.MatchString(n.get("id").str()) {
		t.Errorf("%s: id %q", name, n.get("id").str())
	}
	var walk func(*node, string)
	walk = func(n *node, at string) {
		switch n.kind {
		case textKind:
			if n.str() == "" || n.str() != n.text {
				t.Errorf("%s: blank text at %s", name, at)
			}
		case numberKind:
			if strings.ContainsAny(n.text, "eE") {
				t.Errorf("%s: exponent at %s", name, at)
			}
		case listKind, objectKind:
			if len(n.items)+len(n.members) == 0 {
				t.Errorf("%s: nothing in %s", name, at)
			}
		}
		for _, it := range n.items {
			walk(it, at+"[]")
		}
		for _, m := range n.members {
			walk(m.value, at+"."+m.name)
			if kind, _, _ := strings.Cut(m.value.str(), "/"); m.name == "reference" &&
				!slices.Contains([]string{"Patient", "Encounter", "Device", "RiskAssessment", "Flag"}, kind) {
				t.Errorf("%s: literal reference to %s", name, m.value.str())
			}
		}
	}
	walk(n, "")
}

// What is not a function of the values must not be in the body of a final
// window or of a Flag.
func TestBodiesAreFunctionsOfTheValues(t *testing.T) {
	a, b := complete(t), complete(t)
	b.Revision, b.Trigger, b.Order, b.OpenFlags, b.Features = 9, schemas.TriggerLate, schemas.Order{Version: 99}, 4, "f"
	b.Lineage = schemas.Lineage{Run: "again", Offset: 1}
	if x, y := RiskAssessment(Names{}, a, riskText), RiskAssessment(Names{}, b, riskText); string(x) != string(y) {
		t.Errorf("%s\n%s", x, y)
	}
	later := complete(t)
	later.Start, later.End, later.Encounter = later.End, later.End+schemas.TicksPerHour, "enc-2"
	f := clinical(a, schemas.FlagClosed)
	if x, y := Flag(Names{}, a, f, FlagText{}), Flag(Names{}, later, f, FlagText{}); string(x) != string(y) {
		t.Errorf("%s\n%s", x, y)
	}
}

func TestProvenanceReadsBack(t *testing.T) {
	s := complete(t)
	s.Lineage.Generation = "kafka/topic id/7"
	s.Lineage.Run = "night/2"
	s.Flags = []schemas.Flag{*clinical(s, schemas.FlagOpen)}
	body := Provenance(Names{System: "https://hospital.example/sid/"}, "Flag/"+s.Flags[0].ID, s, schemas.Order{Version: 12, Index: 3})
	o, ok := ReadProvenance(body)
	want := Origin{Run: "night/2", Order: schemas.Order{Version: 12, Index: 3}, Generation: "kafka/topic id/7",
		Position: schemas.Position{Partition: 3, Offset: 1184467, Index: 1}, FlagStatus: "active"}
	if !ok || o != want {
		t.Errorf("%+v, %v", o, ok)
	}
	for _, bad := range []string{`{`, `{}`, `{"entity":[]}`, `{"entity":[{"what":{"identifier":{"system":"x/row-order","value":"live/a/1"}}}]}`,
		`{"entity":[{"what":{"identifier":{"system":"x/row-order","value":"live"}}}]}`} {
		if _, ok := ReadProvenance([]byte(bad)); ok {
			t.Errorf("read %s", bad)
		}
	}
	if id := ProvenanceID("Flag/flag-1"); id != ProvenanceID("flag-1") || id == ProvenanceID("flag-2") {
		t.Error(id)
	}
}

func TestRiskIDs(t *testing.T) {
	a, b := tick(t, "2012-01-01T00:00:00Z"), tick(t, "2012-01-01T01:00:00Z")
	ids := []string{AssessmentID("p", "news2", a, b), AssessmentID("p", "news2", a, a), AssessmentID("p", "qsofa", a, b), AssessmentID("q", "news2", a, b),
		FlagID("p", "news2", "", a), FlagID("p", "news2", "", b), FlagID("p", "no-data", "d1", a), FlagID("p", "no-data", "d2", a), ProvenanceID("x")}
	for i, id := range ids {
		if slices.Index(ids, id) != i || !fhirID.MatchString(id) {
			t.Errorf("id %s", id)
		}
	}
}

func TestPercent(t *testing.T) {
	for p, want := range map[float64]string{0.7325: "73.25", 0: "0", 1: "100", 0.5: "50", 0.07: "7", 0.001: "0.1", 0.29: "29", 1e-9: "0.0000001", 0.999: "99.9"} {
		if got := percent(p); got != want {
			t.Errorf("%v: %s", p, got)
		}
	}
}

// The samples that three validators accepted have the members that ours have.
func TestShapeOfTheSamples(t *testing.T) {
	dir := filepath.Join("..", "..", "shared", "cases", "scoring", "fhir")
	s := complete(t)
	for file, ours := range map[string][]byte{
		"RiskAssessment-news2.json": RiskAssessment(Names{}, s, riskText),
		"Flag-resolved.json":        Flag(Names{}, s, clinical(s, schemas.FlagClosed), FlagText{Text: "x", Priority: "PH", Assessment: "ra-1"}),
		"Provenance-score.json":     Provenance(Names{}, "RiskAssessment/ra-1", s, schemas.Order{}),
		"Device-scorer.json":        ScorerDevice(Names{}, []ModelVersion{{"news2", "1"}}),
	} {
		sample, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Skipf("no samples: %v", err)
		}
		have, want := members(t, ours), members(t, sample)
		for name, kind := range have {
			if k, ok := want[name]; name != "encounter" && (!ok || k != kind) {
				t.Errorf("%s: %s is not in the sample", file, name)
			}
		}
		for name := range want {
			if _, ok := have[name]; !ok && name != "manufacturer" {
				t.Errorf("%s: %s is missing", file, name)
			}
		}
	}
}

func members(t *testing.T, body []byte) map[string]kind {
	t.Helper()
	n, err := parseJSON(string(body))
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]kind{}
	for _, x := range n.members {
		m[x.name] = x.value.kind
	}
	return m
}
