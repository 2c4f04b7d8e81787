package sim

import (
	"encoding/json"
	"fmt"
	"time"
)

// IdentifierSystem is the system of the identifiers of the ward's patients and
// devices.
const IdentifierSystem = "https://auscult.dev/sim/id"

// Resource is one FHIR resource of the ward, to be put on a server before the
// messages come.
type Resource struct {
	Type, ID string
	JSON     []byte
}

// patient is one person, with what is usual for him.
type patient struct {
	id        string
	given     string
	family    string
	gender    string
	birth     time.Time
	scenario  Scenario
	successor int // Handover: who gets the device

	heart, breath, oxygen, systolic, diastolic, temperature float64
}

var (
	givenFemale = [...]string{"Ada", "Beatrix", "Clara", "Dorothea", "Edith", "Florence", "Grace", "Hedwig"}
	givenMale   = [...]string{"Anton", "Bruno", "Carl", "David", "Emil", "Frank", "Georg", "Hugo"}
	families    = [...]string{"Adler", "Berg", "Conti", "Dahl", "Eriksen", "Falk", "Graf", "Holm", "Iversen", "Jansen"}
)

// newPatient draws patient i of the ward.
func newPatient(seed uint64, i int, s Scenario) patient {
	n := noise{seed, uint64(i), ^uint64(0)}
	between := func(k int, low, high float64) float64 {
		return low + (high-low)*n.chance(channelBaseline<<8+k)
	}
	p := patient{
		id:       fmt.Sprintf("ward-%02d", i+1),
		scenario: s,
		gender:   "female",
		given:    givenFemale[int(between(0, 0, float64(len(givenFemale))))],
		family:   families[int(between(1, 0, float64(len(families))))],
		birth:    time.Date(1935, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, int(between(2, 0, 22_000))),

		heart: between(3, 66, 78), breath: between(4, 13.5, 16.5), oxygen: between(5, 96.8, 98),
		systolic: between(6, 120, 132), diastolic: between(7, 70, 80), temperature: between(8, 36.6, 37),
	}
	if n.chance(channelBaseline<<8+9) < 0.5 {
		p.gender = "male"
		p.given = givenMale[int(between(0, 0, float64(len(givenMale))))]
	}
	return p
}

// The parts of FHIR resources that the ward writes.
type (
	identifierJSON struct {
		System string `json:"system"`
		Value  string `json:"value"`
	}
	nameJSON struct {
		Family string   `json:"family"`
		Given  []string `json:"given"`
	}
	textJSON struct {
		Text string `json:"text"`
	}
	referenceJSON struct {
		Reference string `json:"reference"`
	}
	patientJSON struct {
		ResourceType string           `json:"resourceType"`
		ID           string           `json:"id"`
		Identifier   []identifierJSON `json:"identifier"`
		Active       bool             `json:"active"`
		Name         []nameJSON       `json:"name"`
		Gender       string           `json:"gender"`
		BirthDate    string           `json:"birthDate"`
	}
	deviceJSON struct {
		ResourceType string           `json:"resourceType"`
		ID           string           `json:"id"`
		Identifier   []identifierJSON `json:"identifier"`
		Status       string           `json:"status"`
		Type         textJSON         `json:"type"`
		Patient      referenceJSON    `json:"patient"`
	}
)

// Resources returns the ward's patients, then its devices, each at the patient
// who wears it at the start.
func (w *Ward) Resources() []Resource {
	resources := make([]Resource, 0, len(w.patients)+w.cfg.Patients)
	for i := range w.patients {
		p := &w.patients[i]
		resources = append(resources, encoded("Patient", patientResource(p), patientJSON{
			ResourceType: "Patient", ID: patientResource(p), Identifier: []identifierJSON{{IdentifierSystem, p.id}}, Active: true,
			Name: []nameJSON{{p.family, []string{p.given}}}, Gender: p.gender, BirthDate: p.birth.Format(time.DateOnly),
		}))
	}
	for i := range w.cfg.Patients {
		resources = append(resources, encoded("Device", "sim-"+deviceID(i), deviceJSON{
			ResourceType: "Device", ID: "sim-" + deviceID(i), Identifier: []identifierJSON{{IdentifierSystem, deviceID(i)}}, Status: "active",
			Type: textJSON{"Simulated bedside monitor"}, Patient: referenceJSON{"Patient/" + patientResource(&w.patients[i])},
		}))
	}
	return resources
}

func patientResource(p *patient) string { return "sim-patient-" + p.id }

// encoded returns v as a resource. Structs of texts always marshal.
func encoded(typ, id string, v any) Resource {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return Resource{Type: typ, ID: id, JSON: b}
}
