package dryrun

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Identities finds whose measurements are.
type Identities interface {
	// Resolve returns the logical ids for the ids of a measurement, and the
	// resources that it has written to find them.
	Resolve(device, patient, encounter string) (IDs, [][]byte, error)
}

// IDs are FHIR logical ids; Encounter is empty when there is none.
type IDs struct{ Device, Patient, Encounter string }

// Mode is how a Registry finds Device and Patient.
type Mode string

// The modes, as the connector names them.
const (
	ModeLookup              Mode = "Lookup"
	ModeLookupWithEncounter Mode = "LookupWithEncounter"
	ModeCreate              Mode = "Create"
)

// ParseMode reads a mode in any case; empty is ModeLookup.
func ParseMode(text string) (Mode, error) {
	for _, m := range []Mode{ModeLookup, ModeLookupWithEncounter, ModeCreate} {
		if strings.EqualFold(text, string(m)) {
			return m, nil
		}
	}
	if text == "" {
		return ModeLookup, nil
	}
	return "", fmt.Errorf("no such mode: %q: write Lookup, LookupWithEncounter or Create", text)
}

// Registry finds identities on a server, and in ModeCreate makes what is
// missing. Answers are remembered by device, as the connector does it: later
// measurements of a device keep the encounter of its first. Its recorded
// batches cannot be compared otherwise. Refusals are not remembered.
type Registry struct {
	server *Server
	mode   Mode
	system string         // of Device identifiers; empty is any
	known  map[string]IDs // by device id
}

// NewRegistry returns a Registry over a server.
func NewRegistry(s *Server, mode Mode, deviceSystem string) *Registry {
	return &Registry{server: s, mode: mode, system: strings.TrimSpace(deviceSystem), known: map[string]IDs{}}
}

// Resolve implements Identities.
func (r *Registry) Resolve(device, patient, encounter string) (ids IDs, written [][]byte, err error) {
	if ids, ok := r.known[device]; ok {
		return ids, nil, nil
	}
	found, err := r.device(device)
	if err != nil {
		return ids, nil, err
	}
	if owner := patientOf(found); owner != "" {
		ids = IDs{Device: found.ID, Patient: owner}
		ids.Encounter, err = r.encounter(encounter)
	} else {
		ids, written, err = r.create(found, device, patient)
	}
	if err == nil {
		r.known[device] = ids
	}
	return ids, written, err
}

// device returns the one Device with that identifier, nil when there is none.
func (r *Registry) device(name string) (*resource, error) {
	if strings.TrimSpace(name) == "" {
		return nil, errors.New("the measurement has no device id")
	}
	return r.one("Device", r.system, name)
}

func (r *Registry) one(resourceType, system, value string) (*resource, error) {
	found := r.server.find(resourceType, system, value)
	if len(found) > 1 {
		return nil, fmt.Errorf("%d resources of type %s have this identifier, one was expected", len(found), resourceType)
	}
	if len(found) == 0 {
		return nil, nil
	}
	return found[0], nil
}

// encounter returns the id of the Encounter that a measurement names.
func (r *Registry) encounter(name string) (string, error) {
	if strings.TrimSpace(name) == "" {
		if r.mode == ModeLookupWithEncounter {
			return "", errors.New("the measurement names no Encounter, which mode LookupWithEncounter needs")
		}
		return "", nil
	}
	found, err := r.one("Encounter", "", name)
	if err == nil && found == nil {
		err = errors.New("no Encounter has the identifier that the measurement names")
	}
	if err != nil {
		return "", err
	}
	return found.ID, nil
}

// patientReference is how a reference to a Patient may look: not absolute, not
// versioned, the type in any case.
var patientReference = regexp.MustCompile(`^(?i:patient)/([A-Za-z0-9_.~#-]+)$`)

// patientOf returns the id of the Patient that a Device refers to.
func patientOf(device *resource) string {
	if device == nil || device.Patient == nil {
		return ""
	}
	if m := patientReference.FindStringSubmatch(device.Patient.Reference); m != nil {
		return m[1]
	}
	return ""
}

// create makes what is missing of Patient and Device; found is the Device, nil
// when there is none. An encounter is found when the device is looked up again.
func (r *Registry) create(found *resource, device, patient string) (ids IDs, written [][]byte, err error) {
	switch {
	case r.mode != ModeCreate && found == nil:
		return ids, nil, errors.New("no Device has this identifier")
	case r.mode != ModeCreate:
		return ids, nil, errors.New("the Device belongs to no Patient: Device.patient must refer to Patient/<id>")
	case found != nil && found.Patient != nil:
		return ids, nil, errors.New("the Device belongs to something that is no Patient on this server")
	case strings.TrimSpace(patient) == "":
		return ids, nil, errors.New("the measurement names no Patient for whom the Device could be created")
	}
	p, body, err := r.ensurePatient(strings.TrimSpace(patient))
	if err != nil {
		return ids, nil, err
	}
	if body != nil {
		written = append(written, body)
	}
	d, body, err := r.ensureDevice(found, strings.TrimSpace(device), p.ID)
	if err != nil {
		return ids, written, err
	}
	return IDs{Device: d.ID, Patient: p.ID}, append(written, body), nil
}

// ensurePatient returns the Patient with that identifier, in any system. body
// is what was written for that, nil when he was there.
func (r *Registry) ensurePatient(name string) (p *resource, body []byte, err error) {
	if p, err = r.one("Patient", "", name); err != nil || p != nil {
		return p, nil, err
	}
	return r.put("Patient", identifier{Value: name}, nil)
}

// ensureDevice creates the Device for a patient, or gives him the one found.
func (r *Registry) ensureDevice(found *resource, name, patient string) (d *resource, body []byte, err error) {
	owner := &reference{"Patient/" + patient}
	if found == nil {
		return r.put("Device", identifier{System: r.system, Value: name}, owner)
	}
	if body, err = withPatient(found.body, owner); err != nil {
		return nil, nil, err
	}
	d, err = r.server.put(body)
	return d, body, err
}

// put creates a resource under the id that the connector gives it, unless
// another one has that.
func (r *Registry) put(resourceType string, i identifier, patient *reference) (*resource, []byte, error) {
	id := hashID(i.System, i.Value)
	if there := r.server.read(resourceType, id); there != nil && !slices.Contains(there.Identifier, i) {
		return nil, nil, fmt.Errorf("the id that the new %s would get is taken by one with other identifiers", resourceType)
	}
	body, err := plainJSON(struct {
		ResourceType string       `json:"resourceType"`
		ID           string       `json:"id"`
		Identifier   []identifier `json:"identifier"`
		Patient      *reference   `json:"patient,omitempty"`
	}{resourceType, id, []identifier{i}, patient})
	if err != nil {
		return nil, nil, err
	}
	created, err := r.server.put(body)
	return created, body, err
}

// hashID is the connector's rule for the ids of what it creates.
func hashID(system, value string) string {
	sum := sha256.Sum256([]byte(system + "_" + value))
	return hex.EncodeToString(sum[:])
}

// withPatient puts a reference into a Device that has none.
func withPatient(device []byte, patient *reference) ([]byte, error) {
	ref, err := plainJSON(patient)
	if err != nil {
		return nil, err
	}
	body, err := without(device, "patient")
	if err != nil {
		return nil, err
	}
	body = append(body[:len(body)-1], `,"patient":`...)
	return append(append(body, ref...), '}'), nil
}
