package dryrun

import (
	"fmt"
	"strings"
	"testing"
)

const (
	patientA  = `{"resourceType":"Patient","id":"pat-a","identifier":[{"system":"s","value":" patient-a "}]}`
	deviceA   = `{"resourceType":"Device","id":"dev-a","identifier":[{"value":"device-a"}],"patient":{"reference":"Patient/pat-a"}}`
	deviceB   = `{"resourceType":"Device","id":"dev-b","identifier":[{"system":"http://devices","value":"device-b"}],"manufacturer":"M"}`
	encounter = `{"resourceType":"Encounter","id":"enc-a","identifier":[{"value":"encounter-a"}]}`
)

func serverOf(t *testing.T, bodies ...string) *Server {
	t.Helper()
	s := NewServer()
	for _, b := range bodies {
		if err := s.Load([]byte(b)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestRegistry(t *testing.T) {
	foreign := strings.Replace(deviceA, "Patient/pat-a", "Group/g", 1)
	for name, test := range map[string]struct {
		mode                       Mode
		system                     string
		stored                     []string
		device, patient, encounter string
		want                       string // ids, or what the error says
		written                    int
	}{
		"known":               {ModeLookup, "", []string{deviceA}, "device-a", "", "", "dev-a pat-a ", 0},
		"known, an encounter": {ModeLookup, "", []string{deviceA, encounter}, "device-a", "x", "encounter-a", "dev-a pat-a enc-a", 0},
		"no such encounter":   {ModeLookup, "", []string{deviceA}, "device-a", "", "encounter-a", "no Encounter has the identifier", 0},
		"no encounter":        {ModeLookupWithEncounter, "", []string{deviceA}, "device-a", "", " ", "names no Encounter", 0},
		"not known":           {ModeLookup, "", nil, "device-a", "patient-a", "", "no Device has this identifier", 0},
		"another system":      {ModeLookup, "http://devices", []string{deviceA}, "device-a", "", "", "no Device has this identifier", 0},
		"no patient":          {ModeLookup, "", []string{deviceB}, "device-b", "", "", "the Device belongs to no Patient", 0},
		"no device id":        {ModeLookup, "", nil, "", "patient-a", "", "no device id", 0},
		"two devices":         {ModeLookup, "", []string{deviceA, strings.Replace(deviceA, "dev-a", "dev-2", 1)}, "device-a", "", "", "2 resources of type Device", 0},
		"create both":         {ModeCreate, "", nil, "device-a", "patient-a", "", hashID("", "device-a") + " " + hashID("", "patient-a") + " ", 2},
		"create the device":   {ModeCreate, " http://devices ", []string{patientA}, "device-a", "patient-a", "", hashID("http://devices", "device-a") + " pat-a ", 1},
		"give a patient":      {ModeCreate, "", []string{patientA, deviceB}, "device-b", "patient-a", "", "dev-b pat-a ", 1},
		"create for nobody":   {ModeCreate, "", nil, "device-a", "", "", "names no Patient", 0},
		"someone else's":      {ModeCreate, "", []string{patientA, foreign}, "device-a", "patient-a", "", "something that is no Patient", 0},
		"its patient counts":  {ModeCreate, "", []string{deviceA}, "device-a", "patient-b", "", "dev-a pat-a ", 0},
		"the id is taken": {ModeCreate, "", []string{fmt.Sprintf(`{"resourceType":"Patient","id":%q}`, hashID("", "patient-a"))},
			"device-a", "patient-a", "", "is taken by one with other identifiers", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewRegistry(serverOf(t, test.stored...), test.mode, test.system)
			ids, written, err := r.Resolve(test.device, test.patient, test.encounter)
			got := fmt.Sprintf("%s %s %s", ids.Device, ids.Patient, ids.Encounter)
			if err != nil {
				got = err.Error()
			}
			if got != test.want && (err == nil || !strings.Contains(got, test.want)) || len(written) != test.written {
				t.Errorf("got %s, %d written; want %s, %d", got, len(written), test.want, test.written)
			}
			if err == nil {
				if again, written, err := r.Resolve(test.device, test.patient, test.encounter); again != ids || written != nil || err != nil {
					t.Errorf("asked again: %v %s %v", again, written, err)
				}
			}
		})
	}
}

// A Device that is given its patient keeps what else it has.
func TestRegistryKeepsTheDevice(t *testing.T) {
	s := serverOf(t, patientA, deviceB)
	if _, _, err := NewRegistry(s, ModeCreate, "").Resolve("device-b", "patient-a", ""); err != nil {
		t.Fatal(err)
	}
	want := strings.TrimSuffix(deviceB, "}") + `,"patient":{"reference":"Patient/pat-a"}}`
	if got := s.read("Device", "dev-b").body; !sameJSON(got, []byte(want)) {
		t.Errorf("got %s", got)
	}
}

func TestParseMode(t *testing.T) {
	for text, want := range map[string]Mode{"": ModeLookup, "create": ModeCreate, "LOOKUPWITHENCOUNTER": ModeLookupWithEncounter} {
		if got, err := ParseMode(text); got != want || err != nil {
			t.Errorf("%q: got %s, %v", text, got, err)
		}
	}
	if _, err := ParseMode("Lookup "); err == nil {
		t.Error("a mode with a blank passes")
	}
}

func TestPlaceholders(t *testing.T) {
	p := NewPlaceholders()
	for _, test := range []struct {
		device, patient, encounter string
		want                       IDs
	}{
		{"a", "", "", IDs{Device: "device-1", Patient: "patient-of-device-1"}},
		{"b", "p", "e", IDs{Device: "device-2", Patient: "patient-1", Encounter: "encounter-1"}},
		{"a", " p ", " ", IDs{Device: "device-1", Patient: "patient-1"}},
		{"p", "a", "", IDs{Device: "device-3", Patient: "patient-2"}},
	} {
		if got, _, err := p.Resolve(test.device, test.patient, test.encounter); got != test.want || err != nil {
			t.Errorf("%+v: got %+v, %v", test, got, err)
		}
	}
}

func TestServer(t *testing.T) {
	s := serverOf(t, patientA, `{"resourceType":"Patient","id":"pat-2","identifier":[{"value":"x"},{"value":"x"},{"system":"t","value":"patient-a"}]}`)
	ids := func(found []*resource) (all string) {
		for _, r := range found {
			all += r.ID + " "
		}
		return all
	}
	for _, test := range []struct{ system, value, want string }{
		{"", "patient-a", "pat-2 pat-a "}, {"s", "patient-a", "pat-a "}, {"", "x", "pat-2 "}, {"", "", ""}, {"", "PATIENT-A", ""},
	} {
		if got := ids(s.find("Patient", test.system, test.value)); got != test.want {
			t.Errorf("%+v: got %s", test, got)
		}
	}
	if err := s.Load([]byte(`{"resourceType":"Patient","id":"pat-2","identifier":[{"value":"y"}]}`)); err != nil {
		t.Fatal(err)
	}
	if got := ids(s.find("Patient", "", "x")) + ids(s.find("Patient", "", "y")); got != "pat-2 " {
		t.Errorf("after a change: %s", got)
	}
	for _, bad := range []string{``, `5`, `{}`, `{"resourceType":"Patient"}`, `{"resourceType":"Patient","id":7}`} {
		if s.Load([]byte(bad)) == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
