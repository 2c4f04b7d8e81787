package fhir

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"auscult/schemas"
)

// Names are the names under which the risk resources are written.
type Names struct {
	System string // base URI of our identifier and code systems; empty = DefaultSystem
	Scorer string // id of the scorer's Device; empty = DefaultScorer
}

// The default names.
const (
	DefaultSystem = "https://auscult.dev/fhir/sid"
	DefaultScorer = "auscult-scorer"
)

func (n Names) system(name string) *node {
	base := n.System
	if base == "" {
		base = DefaultSystem
	}
	return text(strings.TrimSuffix(base, "/") + "/" + name)
}

// ScorerID returns the id of the scorer's Device.
func (n Names) ScorerID() string {
	if n.Scorer == "" {
		return DefaultScorer
	}
	return n.Scorer
}

// RiskText is what a model says of itself in its RiskAssessments. All of it
// comes from the configuration, none from a patient.
type RiskText struct {
	Method  string            // display of the method, e.g. "NEWS2 (RCP 2017), SpO2 scale 1"
	Code    string            // what is assessed, e.g. "Early warning score for acute deterioration"
	Outcome string            // what is predicted, e.g. "Acute clinical deterioration"
	Title   string            // of the score in texts, e.g. "NEWS2"; empty = model id
	Labels  map[string]string // of inputs in texts, by name; the name itself where there is none
	// Probability says that the score is a probability from 0 to 1; only then
	// it is written as one.
	Probability bool
}

func (t RiskText) title(s *schemas.Score) string {
	if t.Title != "" {
		return t.Title
	}
	return s.Model
}

func (t RiskText) label(name string) string {
	if l := t.Labels[name]; l != "" {
		return l
	}
	return name
}

// AssessmentID returns the id of the RiskAssessment of a window.
func AssessmentID(patient, model string, start, end schemas.Ticks) string {
	return schemas.HashID("ra-", patient, model, Times(start), Times(end))
}

// FlagID returns the id of the Flag of an episode. device is empty for
// clinical rules.
func FlagID(patient, rule, device string, opened schemas.Ticks) string {
	if device == "" {
		return schemas.HashID("flag-", patient, rule, Times(opened))
	}
	return schemas.HashID("flag-", patient, rule, Times(opened), device)
}

// ProvenanceID returns the id of the Provenance of a resource, given by its id
// or reference.
func ProvenanceID(target string) string {
	return schemas.HashID("prov-", target[strings.LastIndexByte(target, '/')+1:])
}

// RiskAssessment returns what a score says of one window. Of a final window
// the bytes depend on its values alone: revision, trigger, order and lineage
// are in the Provenance.
func RiskAssessment(n Names, s *schemas.Score, display RiskText) []byte {
	id := s.Assessment
	if id == "" {
		id = AssessmentID(s.Patient, s.Model, s.Start, s.End)
	}
	status := "preliminary"
	if s.Final && s.Complete {
		status = "final"
	}
	return object(
		member{"resourceType", text("RiskAssessment")},
		member{"id", text(id)},
		member{"identifier", list(object(member{"system", n.system("risk-assessment")}, member{"value", text(id)}))},
		member{"status", text(status)},
		member{"method", object(member{"coding", list(object(member{"system", n.system("scoring-method")},
			member{"version", text(s.ModelVersion)}, member{"code", text(s.Model)}, member{"display", text(display.Method)}))})},
		member{"code", object(member{"text", text(display.Code)})},
		member{"subject", reference("Patient", s.Patient)},
		member{"encounter", reference("Encounter", s.Encounter)},
		member{"occurrencePeriod", span(s.Start, s.End)},
		member{"performer", reference("Device", n.ScorerID())},
		member{"basis", basis(s)},
		member{"prediction", list(prediction(n, s, display))},
		member{"note", list(object(member{"text", text(remarks(s, display))}))},
	).bytes()
}

// span is a Period; a zero end leaves it open.
func span(start, end schemas.Ticks) *node {
	var from, to *node
	if start != 0 {
		from = text(Times(start))
	}
	if end != 0 {
		to = text(Times(end))
	}
	return object(member{"start", from}, member{"end", to})
}

// basis names the Observations used, by identifier: they may still be on their
// way, and a strict server refuses a literal reference to what it does not hold.
func basis(s *schemas.Score) *node {
	var seen []string
	var items []*node
	for _, in := range s.Inputs {
		if in.Observation == "" || slices.Contains(seen, in.Observation) {
			continue
		}
		seen = append(seen, in.Observation)
		items = append(items, object(member{"type", text("Observation")},
			member{"identifier", object(member{"system", text(ObservationSystem)}, member{"value", text(in.Observation)})}))
	}
	return list(items...)
}

func prediction(n Names, s *schemas.Score, display RiskText) *node {
	var probability *node
	if display.Probability && s.Complete && s.Value >= 0 && s.Value <= 1 {
		probability = number(percent(s.Value))
	}
	return object(
		member{"outcome", object(member{"text", text(display.Outcome)})},
		member{"probabilityDecimal", probability},
		member{"qualitativeRisk", qualitative(n, s, display)},
		member{"rationale", text(rationale(s, display))})
}

// likelihoods are the codes of risk-probability that our risk levels have; what
// has none there stands with our own code alone.
var likelihoods = map[string][2]string{
	"low":    {"low", "Low likelihood"},
	"medium": {"moderate", "Moderate likelihood"},
	"high":   {"high", "High likelihood"},
}

func qualitative(n Names, s *schemas.Score, display RiskText) *node {
	if s.Risk == "" {
		return nil
	}
	var standard *node
	if l, ok := likelihoods[s.Risk]; ok {
		standard = object(member{"system", text("http://terminology.hl7.org/CodeSystem/risk-probability")},
			member{"code", text(l[0])}, member{"display", text(l[1])})
	}
	local := object(member{"system", n.system("risk-level")}, member{"code", text(s.Risk)})
	return object(member{"coding", list(standard, local)}, member{"text", text(display.title(s) + " " + total(s) + ": " + s.Risk)})
}

// total is the score as people read it, or its bounds.
func total(s *schemas.Score) string {
	if s.Complete || s.Min == s.Max {
		return plainNumber(s.Value)
	}
	return plainNumber(s.Min) + " to " + plainNumber(s.Max)
}

// plainNumber writes a number without exponent: servers rewrite those.
func plainNumber(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// percent moves the decimal point of a probability by two places, in its text:
// 0.7325 is 73.25, not 73.25000000000001. R4 writes probabilities as percentages.
func percent(p float64) string {
	whole, fraction, _ := strings.Cut(plainNumber(p), ".")
	fraction += "00"
	digits := strings.TrimLeft(whole+fraction[:2], "0")
	if digits == "" {
		digits = "0"
	}
	if rest := strings.TrimRight(fraction[2:], "0"); rest != "" {
		digits += "." + rest
	}
	return digits
}

// rationale is the arithmetic: every input with its share, and the total.
func rationale(s *schemas.Score, display RiskText) string {
	var parts []string
	for _, sub := range s.SubScores {
		part := display.label(sub.Name)
		if i := slices.IndexFunc(s.Inputs, func(in schemas.ScoreInput) bool { return in.Name == sub.Name }); i >= 0 {
			part = trim(part + " " + s.Inputs[i].Text + " " + s.Inputs[i].Unit)
		}
		parts = append(parts, part+" ("+plainNumber(sub.Score)+")")
	}
	if len(parts) == 0 {
		return ""
	}
	sum := strings.Join(parts, " + ")
	if s.Complete {
		return sum + " = " + plainNumber(s.Value)
	}
	return sum + "; with what is missing " + total(s)
}

// remarks says what a reader must know: what is missing, assumed, old, or not
// final yet.
func remarks(s *schemas.Score, display RiskText) string {
	var out []string
	if !s.Final {
		out = append(out, "The window has not ended: this is provisional.")
	}
	if len(s.Missing) > 0 {
		labels := make([]string, len(s.Missing))
		for i, name := range s.Missing {
			labels[i] = display.label(name)
		}
		out = append(out, fmt.Sprintf("Missing: %s. The score lies between %s and %s.",
			strings.Join(labels, ", "), plainNumber(s.Min), plainNumber(s.Max)))
	}
	for _, in := range s.Inputs {
		switch {
		case in.Time == 0:
			out = append(out, fmt.Sprintf("%s not measured: %s by configuration.", display.label(in.Name), in.Text))
		case in.Time < s.Start:
			out = append(out, fmt.Sprintf("%s is from %s.", display.label(in.Name), Times(in.Time)))
		}
	}
	return strings.Join(out, " ")
}

// FlagText is what a rule says in its Flags. To keep a Flag the same in
// whatever order values arrive, all of it must follow from the rule and the
// episode.
type FlagText struct {
	Text     string // what to do or know, e.g. "NEWS2 7 or more: emergency assessment"
	Priority string // flag-priority-code: PN, PL, PM or PH; empty = none
	// Assessment is the id of the RiskAssessment that opened the episode (that
	// of the window which ends when the Flag opens); empty for technical rules.
	Assessment string
}

// priorities are the displays of flag-priority-code.
var priorities = map[string]string{"PN": "No priority", "PL": "Low priority", "PM": "Medium priority", "PH": "High priority"}

// flagStatus is Flag.status by state.
var flagStatus = [...]string{schemas.FlagOpen: "active", schemas.FlagClosed: "inactive", schemas.FlagWithdrawn: "entered-in-error"}

// Flag returns the Flag of an episode. It names no encounter: an episode may
// outlast one, and FHIR wants the period of a Flag within its Encounter's.
func Flag(n Names, s *schemas.Score, f *schemas.Flag, display FlagText) []byte {
	return object(
		member{"resourceType", text("Flag")},
		member{"id", text(f.ID)},
		member{"extension", list(priority(display.Priority), detail(display.Assessment))},
		member{"identifier", list(object(member{"system", n.system("flag-episode")}, member{"value", text(f.ID)}))},
		member{"status", text(flagStatus[f.State])},
		member{"category", list(object(member{"coding", flagCategory(n, f.Kind)}))},
		member{"code", object(member{"coding", list(object(member{"system", n.system("flag-rule")}, member{"code", text(f.Rule)}))},
			member{"text", text(display.Text)})},
		member{"subject", reference("Patient", s.Patient)},
		member{"period", span(f.Opened, f.Closed)},
		member{"author", reference("Device", n.ScorerID())},
	).bytes()
}

func priority(code string) *node {
	if code == "" {
		return nil
	}
	return object(member{"url", text("http://hl7.org/fhir/StructureDefinition/flag-priority")},
		member{"valueCodeableConcept", object(member{"coding", list(object(
			member{"system", text("http://hl7.org/fhir/flag-priority-code")}, member{"code", text(code)},
			member{"display", text(priorities[code])}))})})
}

func detail(assessment string) *node {
	if assessment == "" {
		return nil
	}
	return object(member{"url", text("http://hl7.org/fhir/StructureDefinition/flag-detail")},
		member{"valueReference", reference("RiskAssessment", assessment)})
}

// flagCategory tells alarms about patients from alarms about equipment. FHIR
// has no category for the latter; safety is the nearest.
func flagCategory(n Names, k schemas.FlagKind) *node {
	code, name := "clinical", "Clinical"
	var local *node
	if k == schemas.FlagTechnical {
		code, name = "safety", "Safety"
		local = object(member{"system", n.system("flag-category")}, member{"code", text("technical")}, member{"display", text("Technical")})
	}
	return list(object(member{"system", text("http://terminology.hl7.org/CodeSystem/flag-category")},
		member{"code", text(code)}, member{"display", text(name)}), local)
}

// ModelVersion names one model that the scorer runs.
type ModelVersion struct{ ID, Version string }

// ScorerDevice returns the Device that all risk resources name as performer
// and author.
func ScorerDevice(n Names, models []ModelVersion) []byte {
	var versions []*node
	for _, m := range models {
		if m.Version != "" { // a version must have a value
			versions = append(versions, object(member{"type", object(member{"text", text(m.ID)})}, member{"value", text(m.Version)}))
		}
	}
	members := []member{
		{"resourceType", text("Device")},
		{"id", text(n.ScorerID())},
		{"identifier", list(object(member{"system", n.system("scorer")}, member{"value", text(n.ScorerID())}))},
		{"status", text("active")},
		{"deviceName", list(object(member{"name", text("auscult scoring")}, member{"type", text("model-name")}))},
		{"type", object(member{"text", text("Software scoring engine")})},
	}
	if len(versions) > 0 {
		members = append(members, member{"version", list(versions...)})
	}
	return object(members...).bytes()
}
