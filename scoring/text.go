package scoring

import (
	"fmt"
	"slices"

	"auscult/schemas"
)

// Text is what a model says of itself to people.
type Text struct {
	Title   string            // short: "NEWS2"
	Method  string            // "NEWS2 (RCP 2017), SpO2 scale 1"
	Code    string            // what is assessed
	Outcome string            // what is predicted
	Labels  map[string]string // of the inputs, by name
}

// Text returns the model's words for a patient with these facts.
func (m *Model) Text(facts schemas.PatientFacts) Text {
	t := Text{
		Title: m.chart.short, Method: m.Title, Labels: m.labels,
		Code: "Early warning score for acute deterioration", Outcome: "Acute clinical deterioration",
	}
	switch {
	case !m.chart.scales:
	case m.onScale2(facts):
		t.Method += ", SpO2 scale 2"
	default:
		t.Method += ", SpO2 scale 1"
	}
	return t
}

func (m *Model) onScale2(facts schemas.PatientFacts) bool {
	return m.scale2 != "" && slices.Contains(facts.Codes, m.scale2)
}

// Priorities of Flags, as the FHIR extension flag-priority codes them.
const (
	PriorityLow    = "PL"
	PriorityMedium = "PM"
	PriorityHigh   = "PH"
)

// FlagText returns what the Flag of an episode says, and how urgent it is. Both
// follow from the rule and the highest score of the episode, so they are the
// same in whatever order the values arrived.
func (m *Model) FlagText(highest float64) (text, priority string) {
	response, priority := "urgent ward-based response", PriorityLow
	switch newsRisk(int(highest), false) {
	case RiskHigh:
		response, priority = "urgent or emergency response", PriorityHigh
	case RiskMedium:
		response, priority = "urgent response", PriorityMedium
	}
	return fmt.Sprintf("%s reached %v: %s", m.chart.short, highest, response), priority
}
