package processors

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"auscult/fhir"
	"auscult/schemas"
)

// maxCached is how many patients are remembered between checks.
const maxCached = 20_000

// registry asks the FHIR server what Identify wants to know.
type registry struct {
	directory Directory
	cfg       IdentifyConfig
	counts    *IdentifyCounts
	persons   *memory[*person] // by logical id
	names     *memory[string]  // logical ids of Patients, by identifier
}

func newRegistry(d Directory, cfg IdentifyConfig, counts *IdentifyCounts, clock func() time.Time) *registry {
	return &registry{directory: d, cfg: cfg, counts: counts, persons: newMemory[*person](maxCached, clock), names: newMemory[string](maxCached, clock)}
}

// identifier is a FHIR Identifier.
type identifier struct {
	System string `json:"system,omitempty"`
	Value  string `json:"value"`
}

// resource is what Identify reads of any resource.
type resource struct {
	ResourceType string       `json:"resourceType"`
	ID           string       `json:"id"`
	Identifier   []identifier `json:"identifier"`
	Meta         struct {
		LastUpdated string `json:"lastUpdated"`
	} `json:"meta"`
	Status             string          `json:"status"` // a code for Device, Flag and DeviceUseStatement
	Patient            reference       `json:"patient"`
	Subject            reference       `json:"subject"`
	Code               concept         `json:"code"`
	ClinicalStatus     concept         `json:"clinicalStatus"`
	VerificationStatus concept         `json:"verificationStatus"`
	BirthDate          string          `json:"birthDate"`
	Gender             string          `json:"gender"`
	TimingPeriod       json.RawMessage `json:"timingPeriod"`
}

type reference struct {
	Reference string `json:"reference"`
}

type concept struct {
	Coding []struct {
		System string `json:"system"`
		Code   string `json:"code"`
	} `json:"coding"`
}

func (c concept) has(code string) bool {
	for _, k := range c.Coding {
		if k.Code == code || k.System+"|"+k.Code == code {
			return true
		}
	}
	return false
}

func (c concept) oneOf(codes ...string) bool { return slices.ContainsFunc(codes, c.has) }

func read(s Stored) (*resource, error) {
	r := &resource{}
	if err := json.Unmarshal(s.JSON, r); err != nil {
		return nil, unknownf("the FHIR server's resource cannot be read: %v", err)
	}
	return r, nil
}

// patientReference is how a reference to a Patient may look: not absolute, not
// versioned, the type in any case.
var patientReference = regexp.MustCompile(`^(?i:patient)/([A-Za-z0-9_.~#-]+)$`)

func patientOf(r reference) string {
	if m := patientReference.FindStringSubmatch(strings.TrimSpace(r.Reference)); m != nil {
		return m[1]
	}
	return ""
}

// foundDevice is a Device as the server has it.
type foundDevice struct {
	id          string
	version     string
	updated     schemas.Ticks // meta.lastUpdated, 0 when the server does not say
	identifiers []identifier
	patient     string // logical id, empty when reference is none to a Patient
	reference   string
	json        []byte
}

func foundOf(s Stored) (*foundDevice, error) {
	r, err := read(s)
	if err != nil {
		return nil, err
	}
	updated, _, _ := fhirTime(r.Meta.LastUpdated)
	return &foundDevice{id: s.ID, version: s.Version, updated: updated, identifiers: r.Identifier,
		patient: patientOf(r.Patient), reference: strings.TrimSpace(r.Patient.Reference), json: s.JSON}, nil
}

// escape puts backslashes before what separates search values.
var escape = strings.NewReplacer(`\`, `\\`, `,`, `\,`, `|`, `\|`, `$`, `\$`)

// search finds the resources that carry the identifier; an empty system means
// any. Servers differ in how exactly they compare: what does not match is left
// out here.
func (r *registry) search(ctx context.Context, kind, system, value string) ([]Stored, error) {
	token := escape.Replace(value)
	if system != "" {
		token = escape.Replace(system) + "|" + token
	}
	found, err := r.directory.Search(ctx, kind, url.Values{"identifier": {token}})
	if err != nil {
		return nil, serverError("searching for a "+kind, err)
	}
	var exact []Stored
	for _, s := range found {
		res, err := read(s)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(res.Identifier, func(i identifier) bool { return i.Value == value && (system == "" || i.System == system) }) {
			exact = append(exact, s)
		}
	}
	if len(exact) > 1 {
		return nil, unknownf("%d resources of type %s have this identifier, one was expected", len(exact), kind)
	}
	return exact, nil
}

// device returns the Device with that identifier, nil when there is none.
func (r *registry) device(ctx context.Context, id string) (*foundDevice, error) {
	found, err := r.search(ctx, "Device", r.deviceSystem(), id)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return foundOf(found[0])
}

func (r *registry) deviceSystem() string { return strings.TrimSpace(r.cfg.DefaultDeviceSystem) }

// encounter returns the logical id of the one Encounter with that identifier.
func (r *registry) encounter(ctx context.Context, name string) (string, error) {
	found, err := r.search(ctx, "Encounter", "", name)
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", unknownf("no Encounter has the identifier that the message names")
	}
	return found[0].ID, nil
}

// person is what is known of a patient.
type person struct {
	system, value string // of the first identifier
	identifiers   []identifier
	facts         schemas.PatientFacts
}

// person reads a Patient and its facts; nil when the server has no such
// Patient. again asks the server even when the answer is remembered.
func (r *registry) person(ctx context.Context, id string, again bool) (*person, error) {
	age := r.cfg.TTL / 4 // several devices of one patient ask at about one time
	if again {
		age = 0
	}
	return r.persons.get(ctx, id, age, func() (*person, error) {
		s, err := r.directory.Read(ctx, "Patient", id)
		if err != nil {
			return nil, serverError("reading a Patient", err)
		}
		if s.ID == "" || s.Gone {
			return nil, nil
		}
		res, err := read(s)
		if err != nil {
			return nil, err
		}
		p := &person{identifiers: res.Identifier, facts: schemas.PatientFacts{BirthDate: res.BirthDate, Gender: res.Gender}}
		if len(res.Identifier) > 0 {
			p.system, p.value = res.Identifier[0].System, res.Identifier[0].Value
		}
		p.facts.Codes, err = r.facts(ctx, id)
		return p, err
	})
}

// isNamed reports whether messages mean the patient when they use the name: an
// identifier of his, or his logical id when nobody has that as an identifier.
func (r *registry) isNamed(ctx context.Context, patient, name string, again bool) (bool, error) {
	if patient == hashID("", name) {
		return true, nil
	}
	p, err := r.person(ctx, patient, again)
	if err != nil || p == nil {
		return false, err
	}
	if slices.ContainsFunc(p.identifiers, func(i identifier) bool { return i.Value == name }) {
		return true, nil
	}
	if patient != name {
		return false, nil
	}
	others, err := r.search(ctx, "Patient", "", name)
	return err == nil && len(others) == 0, err
}

// facts returns the names of the configured facts that hold: by an active
// Condition, or by an active Flag, whose code R4 cannot search for.
func (r *registry) facts(ctx context.Context, patient string) ([]string, error) {
	if len(r.cfg.Facts) == 0 {
		return nil, nil
	}
	var active []concept
	for _, kind := range []string{"Condition", "Flag"} {
		found, err := r.optional(ctx, kind, url.Values{"patient": {"Patient/" + patient}})
		if err != nil {
			return nil, err
		}
		for _, s := range found {
			res, err := read(s)
			if err == nil && holdsNow(kind, res) {
				active = append(active, res.Code)
			}
		}
	}
	var names []string
	for _, f := range r.cfg.Facts {
		if slices.ContainsFunc(active, func(c concept) bool { return c.oneOf(f.Codes...) }) {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func holdsNow(kind string, r *resource) bool {
	if kind == "Flag" {
		return r.Status == "active"
	}
	return (len(r.ClinicalStatus.Coding) == 0 || r.ClinicalStatus.oneOf("active", "recurrence", "relapse")) &&
		!r.VerificationStatus.oneOf("refuted", "entered-in-error")
}

// optional searches for what a server need not offer: none, when it does not.
func (r *registry) optional(ctx context.Context, kind string, query url.Values) ([]Stored, error) {
	found, err := r.directory.Search(ctx, kind, query)
	var status *fhir.StatusError
	if errors.As(err, &status) && slices.Contains([]int{http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented}, status.Status) {
		return nil, nil
	}
	return found, serverError("searching for "+kind, err)
}

// statements returns the intervals that DeviceUseStatements give.
func (r *registry) statements(ctx context.Context, device string) ([]schemas.Assignment, error) {
	found, err := r.optional(ctx, "DeviceUseStatement", url.Values{"device": {"Device/" + device}})
	if err != nil {
		return nil, err
	}
	var as []schemas.Assignment
	for _, s := range found {
		res, err := read(s)
		if err != nil {
			return nil, err
		}
		var period struct{ Start, End string }
		patient := patientOf(res.Subject)
		if patient == "" || res.TimingPeriod == nil || json.Unmarshal(res.TimingPeriod, &period) != nil ||
			slices.Contains([]string{"entered-in-error", "intended"}, res.Status) {
			continue
		}
		a := schemas.Assignment{To: schemas.MaxTicks, Patient: patient}
		if begin, _, ok := fhirTime(period.Start); ok {
			a.From = begin
		}
		if _, end, ok := fhirTime(period.End); ok {
			a.To = end
		}
		if a.From < a.To {
			as = append(as, a)
		}
	}
	return as, nil
}

// history returns to whom the Device belonged since when, oldest first; nil
// when the server keeps no history or no times.
func (r *registry) history(ctx context.Context, device string) ([]run, error) {
	versions, err := r.directory.History(ctx, "Device", device)
	var status *fhir.StatusError
	if errors.As(err, &status) && slices.Contains([]int{http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented}, status.Status) {
		return nil, nil
	}
	if err != nil {
		return nil, serverError("reading the history of a Device", err)
	}
	var runs []run
	for _, v := range slices.Backward(versions) {
		if v.Gone {
			continue
		}
		res, err := read(v)
		if err != nil {
			return nil, err
		}
		since, _, ok := fhirTime(res.Meta.LastUpdated)
		if !ok {
			return nil, nil
		}
		if patient := patientOf(res.Patient); len(runs) == 0 || runs[len(runs)-1].patient != patient {
			runs = append(runs, run{patient, since})
		}
	}
	return runs, nil
}

// hashID is the connector's rule for the ids of what it creates.
func hashID(system, value string) string {
	sum := sha256.Sum256([]byte(system + "_" + value))
	return hex.EncodeToString(sum[:])
}

// ensurePatient returns the logical id of the Patient with that identifier, in
// any system, and creates him when there is none.
func (r *registry) ensurePatient(ctx context.Context, name string) (string, error) {
	return r.names.get(ctx, name, r.cfg.TTL, func() (string, error) {
		found, err := r.search(ctx, "Patient", "", name)
		if err != nil {
			return "", err
		}
		if len(found) == 1 {
			return found[0].ID, nil
		}
		id := hashID("", name)
		body, err := json.Marshal(struct {
			ResourceType string       `json:"resourceType"`
			ID           string       `json:"id"`
			Identifier   []identifier `json:"identifier"`
		}{"Patient", id, []identifier{{Value: name}}})
		if err != nil {
			return "", err
		}
		i := identifier{Value: name}
		_, created, err := r.createUnder(ctx, "Patient", id, i, body)
		if created { // nothing more can be known of him yet
			r.persons.know(id, &person{value: name, identifiers: []identifier{i}})
		}
		return id, err
	})
}

// ensureDevice creates the Device for that patient, or gives the one found its
// patient.
func (r *registry) ensureDevice(ctx context.Context, name string, found *foundDevice, patient string) (*foundDevice, error) {
	if found != nil {
		return found, r.setPatient(ctx, found, patient)
	}
	i := identifier{System: r.deviceSystem(), Value: name}
	id := hashID(i.System, name)
	body, err := json.Marshal(struct {
		ResourceType string       `json:"resourceType"`
		ID           string       `json:"id"`
		Identifier   []identifier `json:"identifier"`
		Patient      reference    `json:"patient"`
	}{"Device", id, []identifier{i}, reference{"Patient/" + patient}})
	if err != nil {
		return nil, err
	}
	s, _, err := r.createUnder(ctx, "Device", id, i, body)
	if err != nil {
		return nil, err
	}
	return &foundDevice{id: id, version: s.Version, identifiers: []identifier{i}, patient: patient}, nil
}

// createUnder PUTs a resource under its computed id, unless something else is
// there already: nothing is overwritten unread.
func (r *registry) createUnder(ctx context.Context, kind, id string, i identifier, body []byte) (s Stored, created bool, err error) {
	there, err := r.directory.Read(ctx, kind, id)
	if err != nil {
		return Stored{}, false, serverError("reading a "+kind, err)
	}
	if there.ID != "" && !there.Gone {
		res, err := read(there)
		if err == nil && !slices.Contains(res.Identifier, i) {
			err = unknownf("the id that the new %s would get is taken by one with other identifiers", kind)
		}
		return there, false, err
	}
	if s, err = r.directory.Put(ctx, kind, id, body, ""); err != nil {
		return Stored{}, false, serverError("creating a "+kind, err)
	}
	r.counts.Created.Add(1)
	return s, true, nil
}

// setPatient writes Device.patient over the version that was read.
func (r *registry) setPatient(ctx context.Context, found *foundDevice, patient string) error {
	body, err := withPatient(found.json, patient)
	if err != nil {
		return unknownf("the Device cannot be read: %v", err)
	}
	s, err := r.directory.Put(ctx, "Device", found.id, body, found.version)
	if err != nil {
		return serverError("updating a Device", err)
	}
	found.version, found.patient = s.Version, patient
	return nil
}

// movePatient gives a Device to another patient (mismatch reassign).
func (r *registry) movePatient(ctx context.Context, device, patient string) error {
	s, err := r.directory.Read(ctx, "Device", device)
	if err != nil {
		return serverError("reading a Device", err)
	}
	if s.ID == "" || s.Gone {
		return unknownf("the Device has gone")
	}
	found, err := foundOf(s)
	if err != nil || found.patient == patient {
		return err
	}
	return r.setPatient(ctx, found, patient)
}

// serverError says what has to be done about an error of the server: retry,
// stop, or take it as an answer.
func serverError(doing string, err error) error {
	var status *fhir.StatusError
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		return err
	case !errors.As(err, &status):
		return &Retry{Err: fmt.Errorf("%s: %w", doing, err), Wait: retryWait}
	}
	switch status.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%s: %w: check fhir.auth in the configuration, and that the account may do this on the server", doing, err)
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusPreconditionFailed, http.StatusTooEarly, http.StatusTooManyRequests:
		return &Retry{Err: fmt.Errorf("%s: %w", doing, err), Wait: patience(status.RetryAfter)}
	case http.StatusNotFound:
		return fmt.Errorf("%s: %w: check that fhir.baseURL is the server's FHIR address", doing, err)
	}
	if status.Status >= http.StatusInternalServerError {
		return &Retry{Err: fmt.Errorf("%s: %w", doing, err), Wait: patience(status.RetryAfter)}
	}
	return unknownf("%s: the FHIR server refused it with status %d", doing, status.Status)
}

func patience(asked time.Duration) time.Duration {
	if asked <= 0 {
		return retryWait
	}
	return min(asked, maxRetryWait)
}
