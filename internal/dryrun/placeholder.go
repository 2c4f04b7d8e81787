package dryrun

import (
	"fmt"
	"strings"
)

// Placeholders gives every device, patient and encounter an id of its own, as
// if each were known: device-1, patient-1, in the order of appearance. A device
// without a patient has one to itself.
type Placeholders struct {
	names map[string]string
	count map[string]int // by kind
}

// NewPlaceholders returns Placeholders that have seen nothing.
func NewPlaceholders() *Placeholders {
	return &Placeholders{names: map[string]string{}, count: map[string]int{}}
}

// Resolve implements Identities.
func (p *Placeholders) Resolve(device, patient, encounter string) (IDs, [][]byte, error) {
	ids := IDs{Device: p.id("device", device)}
	if strings.TrimSpace(patient) == "" {
		ids.Patient = "patient-of-" + ids.Device
	} else {
		ids.Patient = p.id("patient", patient)
	}
	if strings.TrimSpace(encounter) != "" {
		ids.Encounter = p.id("encounter", encounter)
	}
	return ids, nil, nil
}

func (p *Placeholders) id(kind, name string) string {
	key := kind + " " + strings.TrimSpace(name)
	id, known := p.names[key]
	if !known {
		p.count[kind]++
		id = fmt.Sprintf("%s-%d", kind, p.count[kind])
		p.names[key] = id
	}
	return id
}
