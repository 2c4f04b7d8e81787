package processors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"auscult/fhir"
	"auscult/schemas"
)

// wallStart is when the wall clock of the plays below begins; it stands until a
// play moves it.
var wallStart = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// library is a Directory in memory with a history, whose mood a test can set.
type library struct {
	mu       sync.Mutex
	now      func() time.Time
	versions map[string][]Stored // by Type/id, oldest first
	fail     func(method, kind string) error
	calls    []string
	running  int
	most     int // requests at one time
}

func newLibrary(now func() time.Time) *library {
	return &library{now: now, versions: map[string][]Stored{}}
}

func (l *library) call(method, kind string) (func(), error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, method+" "+kind)
	l.running++
	l.most = max(l.most, l.running)
	var err error
	if l.fail != nil {
		err = l.fail(method, kind)
	}
	return func() {
		l.mu.Lock()
		l.running--
		l.mu.Unlock()
	}, err
}

// put stores a resource as a server would, now.
func (l *library) put(body string) {
	var r struct{ ResourceType, ID string }
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		panic(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.store(r.ResourceType+"/"+r.ID, r.ID, []byte(body))
}

func (l *library) store(key, id string, body []byte) Stored {
	var members map[string]any
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.UseNumber()
	if err := d.Decode(&members); err != nil {
		panic(err)
	}
	version := strconv.Itoa(len(l.versions[key]) + 1)
	members["meta"] = map[string]any{"versionId": version, "lastUpdated": l.now().Format(time.RFC3339Nano)}
	text, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	s := Stored{ID: id, Version: version, JSON: text}
	l.versions[key] = append(l.versions[key], s)
	return s
}

func (l *library) latest(key string) Stored {
	if n := len(l.versions[key]); n > 0 {
		return l.versions[key][n-1]
	}
	return Stored{}
}

func (l *library) Read(_ context.Context, kind, id string) (Stored, error) {
	end, err := l.call("read", kind)
	defer end()
	if err != nil {
		return Stored{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest(kind + "/" + id), nil
}

func (l *library) History(_ context.Context, kind, id string) ([]Stored, error) {
	end, err := l.call("history", kind)
	defer end()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Clone(l.versions[kind+"/"+id])
	slices.Reverse(all)
	return all, nil
}

func (l *library) Put(_ context.Context, kind, id string, body []byte, version string) (Stored, error) {
	end, err := l.call("put", kind)
	defer end()
	if err != nil {
		return Stored{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if version != "" && l.latest(kind+"/"+id).Version != version {
		return Stored{}, &fhir.StatusError{Status: http.StatusPreconditionFailed}
	}
	return l.store(kind+"/"+id, id, body), nil
}

func (l *library) Search(_ context.Context, kind string, query url.Values) ([]Stored, error) {
	end, err := l.call("search", kind)
	defer end()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []Stored
	for key := range l.versions {
		if s := l.latest(key); strings.HasPrefix(key, kind+"/") && matches(s, query) {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b Stored) int { return strings.Compare(a.ID, b.ID) })
	return found, nil
}

var unescaped = strings.NewReplacer(`\\`, `\`, `\,`, `,`, `\|`, `|`, `\$`, `$`)

func matches(s Stored, query url.Values) bool {
	var r struct {
		Identifier               []identifier
		Subject, Patient, Device reference
	}
	if json.Unmarshal(s.JSON, &r) != nil {
		return false
	}
	if token := query.Get("identifier"); token != "" {
		system, value, both := strings.Cut(strings.ReplaceAll(token, `\|`, "\x00"), "|")
		if !both {
			value = system
		}
		value = unescaped.Replace(strings.ReplaceAll(value, "\x00", "|"))
		return slices.ContainsFunc(r.Identifier, func(i identifier) bool { return i.Value == value && (!both || i.System == system) })
	}
	if who := query.Get("patient"); who != "" {
		return r.Subject.Reference == who || r.Patient.Reference == who
	}
	return r.Device.Reference == query.Get("device")
}

// ward is one Identify at work on one share.
type ward struct {
	t       *testing.T
	now     time.Time
	library *library
	stage   *Identify
	share   *schemas.Share
	offset  int64
	latest  map[string]*schemas.Identity
	written []schemas.Out
}

func newWard(t *testing.T, cfg IdentifyConfig) *ward {
	t.Helper()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	w := &ward{t: t, now: wallStart, latest: map[string]*schemas.Identity{}}
	w.library = newLibrary(func() time.Time { return w.now })
	w.restart(cfg)
	return w
}

// restart begins with what is in identities, as a new owner does.
func (w *ward) restart(cfg IdentifyConfig) {
	w.t.Helper()
	w.stage = NewIdentify(w.library, cfg, func() time.Time { return w.now })
	w.share = &schemas.Share{Topic: schemas.TopicMeasurements}
	for _, o := range w.written {
		if err := w.stage.Restore(context.Background(), w.share, schemas.Raw{Key: []byte(o.Key), Value: o.Value}); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *ward) take(outs []schemas.Out) []schemas.Out {
	w.t.Helper()
	for _, o := range outs {
		id, err := schemas.Identities.Decode(o.Value)
		if err != nil || o.Topic != schemas.TopicIdentities || o.Key != id.Device {
			w.t.Fatalf("a record for %s/%s: %v", o.Topic, o.Key, err)
		}
		w.latest[id.Device] = id
	}
	w.written = append(w.written, outs...)
	return outs
}

// say is what a message says: device, patient, encounter, and its minute.
type say struct {
	device, patient, encounter string
	minute                     int
}

func (w *ward) batch(says ...say) schemas.Batch {
	b := schemas.Batch{Share: w.share}
	for _, s := range says {
		m := &schemas.Measurement{Device: s.device, Type: "hr", Patient: s.patient, Encounter: s.encounter, Occurrence: minute(s.minute),
			Values: []schemas.NamedText{{Name: "v", Text: "70"}}, Lineage: schemas.Lineage{Run: schemas.RunLive, Offset: w.offset}}
		o := schemas.Measurements.Out(s.device, m)
		b.Records = append(b.Records, schemas.Raw{Topic: o.Topic, Offset: w.offset, Key: []byte(o.Key), Value: o.Value})
		w.offset++
	}
	return b
}

func minute(n int) schemas.Ticks {
	return schemas.TicksOf(wallStart) + schemas.Ticks(n)*schemas.TicksPerMinute
}

func (w *ward) hears(says ...say) []schemas.Out {
	w.t.Helper()
	outs, err := w.stage.Process(context.Background(), w.batch(says...))
	if err != nil {
		w.t.Fatal(err)
	}
	return w.take(outs)
}

func (w *ward) tick(after time.Duration) []schemas.Out {
	w.t.Helper()
	w.now = w.now.Add(after)
	outs, err := w.stage.Tick(context.Background(), w.share, w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.take(outs)
}

// shows compares the assignments of a device, in the short form
// "patient[from,to)=name"; minutes since the start, - for since ever or still.
func (w *ward) shows(device string, want ...string) {
	w.t.Helper()
	id := w.latest[device]
	if id == nil {
		w.t.Fatalf("%s: no identity was written", device)
	}
	at := func(t schemas.Ticks) string {
		if t == 0 || t >= schemas.MaxTicks {
			return "-"
		}
		return strconv.FormatFloat(float64(t-minute(0))/float64(schemas.TicksPerMinute), 'g', 6, 64)
	}
	var got []string
	for _, a := range id.Assignments {
		s := fmt.Sprintf("%s[%s,%s)", a.Patient, at(a.From), at(a.To))
		if a.Name != "" {
			s += "=" + a.Name
		}
		got = append(got, s)
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("%s: assignments %q, want %q (unknown: %q)", device, got, want, id.Unknown)
	}
}

const (
	patientA = `{"resourceType":"Patient","id":"pat-a","identifier":[{"system":"urn:mrn","value":"patient-a"}],"birthDate":"1950-02","gender":"female"}`
	patientB = `{"resourceType":"Patient","id":"pat-b","identifier":[{"value":"patient-b"}]}`
)

func deviceOf(patient string) string {
	return `{"resourceType":"Device","id":"dev-a","identifier":[{"value":"device-a"}],"patient":{"reference":"Patient/` + patient + `"},"note":[{"text":"kept"}]}`
}

func TestIdentifyAnswers(t *testing.T) {
	const system = "http://example.org/devices"
	several := strings.Replace(deviceOf("pat-b"), "dev-a", "dev-2", 1)
	encounter := `{"resourceType":"Encounter","id":"enc-a","identifier":[{"value":"encounter-a"}]}`
	for _, c := range []struct {
		name     string
		cfg      IdentifyConfig
		has      []string
		says     say
		resource string
		patients string // of the assignments
		unknown  string
		puts     int
	}{
		{name: "lookup", has: []string{patientA, deviceOf("pat-a")}, says: say{device: "device-a"}, resource: "dev-a", patients: "pat-a"},
		{name: "lookup passes the message's patient over", has: []string{patientA, deviceOf("pat-a")}, says: say{device: "device-a", patient: "other"}, resource: "dev-a", patients: "pat-a"},
		{name: "lookup, no Device", says: say{device: "device-a"}, unknown: "no Device has this identifier"},
		{name: "lookup, two Devices", has: []string{deviceOf("pat-a"), several}, says: say{device: "device-a"}, unknown: "2 resources of type Device"},
		{name: "lookup, no patient", has: []string{`{"resourceType":"Device","id":"dev-a","identifier":[{"value":"device-a"}]}`}, says: say{device: "device-a"}, unknown: "belongs to no Patient"},
		{name: "lookup, reference in capitals with a blank", has: []string{strings.Replace(deviceOf("pat-a"), "Patient/pat-a", "PATIENT/pat-a ", 1)}, says: say{device: "device-a"}, resource: "dev-a", patients: "pat-a"},
		{name: "lookup, absolute reference", has: []string{strings.Replace(deviceOf("pat-a"), "Patient/", "http://x/Patient/", 1)}, says: say{device: "device-a"}, unknown: "belongs to no Patient"},
		{name: "lookup, versioned reference", has: []string{deviceOf("pat-a/_history/1")}, says: say{device: "device-a"}, unknown: "belongs to no Patient"},
		{name: "lookup, a Group", has: []string{strings.Replace(deviceOf("pat-a"), "Patient/", "Group/", 1)}, says: say{device: "device-a"}, unknown: "belongs to no Patient"},
		{name: "lookup, system asked for and missing", cfg: IdentifyConfig{DefaultDeviceSystem: system}, has: []string{deviceOf("pat-a")}, says: say{device: "device-a"}, unknown: "no Device has this identifier"},
		{name: "lookup, system", cfg: IdentifyConfig{DefaultDeviceSystem: system}, has: []string{strings.Replace(deviceOf("pat-a"), `{"value"`, `{"system":"`+system+`","value"`, 1)}, says: say{device: "device-a"}, resource: "dev-a", patients: "pat-a"},
		{name: "lookup, a bar in the id", has: []string{strings.Replace(deviceOf("pat-a"), "device-a", "a|b", 1)}, says: say{device: "a|b"}, resource: "dev-a", patients: "pat-a"},
		{name: "lookup, encounter", has: []string{patientA, deviceOf("pat-a"), encounter}, says: say{device: "device-a", encounter: "encounter-a"}, resource: "dev-a", patients: "pat-a"},
		{name: "lookup, encounter unknown", has: []string{patientA, deviceOf("pat-a")}, says: say{device: "device-a", encounter: "encounter-a"}, resource: "dev-a", patients: "pat-a", unknown: "no Encounter"},
		{name: "lookup, blank encounter", has: []string{patientA, deviceOf("pat-a")}, says: say{device: "device-a", encounter: " "}, resource: "dev-a", patients: "pat-a"},
		{name: "create all", cfg: IdentifyConfig{Mode: ModeCreate}, says: say{device: "device-a", patient: "patient-a"}, resource: "807a578a0649a9dbb37245445ed174711965ec226ca7ce3355da6f9e52bc9982",
			patients: "07056761f903f89ff0192c540b465904f3660f527087beaf7df593bd74772a3e", puts: 2},
		{name: "create the Device", cfg: IdentifyConfig{Mode: ModeCreate}, has: []string{patientA}, says: say{device: "device-a", patient: "patient-a"}, resource: "807a578a0649a9dbb37245445ed174711965ec226ca7ce3355da6f9e52bc9982", patients: "pat-a", puts: 1},
		{name: "create with a system", cfg: IdentifyConfig{Mode: ModeCreate, DefaultDeviceSystem: "mySystem"}, has: []string{patientA}, says: say{device: "deviceId", patient: "patient-a"}, resource: "fd6eb28968a94406c73e4c3b6f05a142f71e3a1a27f3cf9435019cae48069afa", patients: "pat-a", puts: 1},
		{name: "create, Device without patient", cfg: IdentifyConfig{Mode: ModeCreate}, has: []string{patientA, `{"resourceType":"Device","id":"dev-a","identifier":[{"value":"device-a"}]}`}, says: say{device: "device-a", patient: "patient-a"}, resource: "dev-a", patients: "pat-a", puts: 1},
		{name: "create, known", cfg: IdentifyConfig{Mode: ModeCreate}, has: []string{patientA, deviceOf("pat-a")}, says: say{device: "device-a", patient: "patient-a"}, resource: "dev-a", patients: "pat-a"},
		{name: "create, no patient named", cfg: IdentifyConfig{Mode: ModeCreate}, says: say{device: "device-a", patient: " "}, unknown: "names no Patient"},
		{name: "create, two Patients", cfg: IdentifyConfig{Mode: ModeCreate}, has: []string{patientA, strings.Replace(patientA, "pat-a", "pat-2", 1)}, says: say{device: "device-a", patient: "patient-a"}, unknown: "2 resources of type Patient"},
		{name: "create, mismatch", cfg: IdentifyConfig{Mode: ModeCreate}, has: []string{patientA, patientB, deviceOf("pat-a")}, says: say{device: "device-a", patient: "patient-b"}, resource: "dev-a", patients: "pat-a", unknown: "another Patient"},
		{name: "create, id taken", cfg: IdentifyConfig{Mode: ModeCreate}, has: []string{`{"resourceType":"Patient","id":"07056761f903f89ff0192c540b465904f3660f527087beaf7df593bd74772a3e","identifier":[{"value":"changed"}]}`},
			says: say{device: "device-a", patient: "patient-a"}, unknown: "is taken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWard(t, c.cfg)
			for _, r := range c.has {
				w.library.put(r)
			}
			w.hears(c.says)
			id := w.latest[c.says.device]
			if id == nil {
				t.Fatal("no identity was written")
			}
			var patients []string
			for _, a := range id.Assignments {
				patients = append(patients, a.Patient)
			}
			if id.Resource != c.resource || strings.Join(patients, " ") != c.patients || (id.Unknown == "") != (c.unknown == "") || !strings.Contains(id.Unknown, c.unknown) {
				t.Errorf("got Device %q, patients %q, unknown %q", id.Resource, patients, id.Unknown)
			}
			puts := 0
			for _, call := range w.library.calls {
				if strings.HasPrefix(call, "put") {
					puts++
				}
			}
			if puts != c.puts {
				t.Errorf("%d writes, want %d: %v", puts, c.puts, w.library.calls)
			}
		})
	}
}

func TestIdentifyWritesOnce(t *testing.T) {
	w := newWard(t, IdentifyConfig{})
	w.library.put(patientA)
	w.library.put(deviceOf("pat-a"))
	first := w.batch(say{device: "device-a"}, say{device: "device-a"})
	outs, err := w.stage.Process(context.Background(), first)
	if err != nil || len(outs) != 1 {
		t.Fatalf("%d records, %v", len(outs), err)
	}
	if outs := w.hears(say{device: "device-a"}, say{device: "device-a"}); len(outs) != 0 {
		t.Errorf("the second batch wrote %d records", len(outs))
	}
	// The driver gives the first batch again when its outputs were not
	// acknowledged: nobody else would write them.
	again, err := w.stage.Process(context.Background(), first)
	if err != nil || len(again) != 1 || string(again[0].Value) != string(outs[0].Value) {
		t.Errorf("the batch again: %d records, %v", len(again), err)
	}
	if n := len(w.library.calls); n != 3 { // Device, statements, Patient
		t.Errorf("%d requests: %v", n, w.library.calls)
	}
}

func TestIdentifyDescribesThePatient(t *testing.T) {
	w := newWard(t, IdentifyConfig{Facts: []Fact{
		{Name: "spo2-scale-2", Codes: []string{"http://snomed.info/sct|13645005"}},
		{Name: "paced", Codes: []string{"urn:x|paced"}},
		{Name: "resolved", Codes: []string{"urn:x|resolved"}},
	}})
	condition := `{"resourceType":"Condition","id":"%s","clinicalStatus":{"coding":[{"code":"%s"}]},"code":{"coding":[{"system":"%s","code":"%s"}]},"subject":{"reference":"Patient/pat-a"}}`
	w.library.put(patientA)
	w.library.put(deviceOf("pat-a"))
	w.library.put(fmt.Sprintf(condition, "c1", "active", "http://snomed.info/sct", "13645005"))
	w.library.put(fmt.Sprintf(condition, "c2", "resolved", "urn:x", "resolved"))
	w.library.put(`{"resourceType":"Flag","id":"f1","status":"active","code":{"coding":[{"system":"urn:x","code":"paced"}]},"subject":{"reference":"Patient/pat-a"}}`)
	w.hears(say{device: "device-a"})
	a := w.latest["device-a"].Assignments[0]
	if f := a.Facts; f.BirthDate != "1950-02" || f.Gender != "female" || !slices.Equal(f.Codes, []string{"paced", "spo2-scale-2"}) {
		t.Errorf("facts %+v", f)
	}
	if a.IdentifierSystem != "urn:mrn" || a.IdentifierValue != "patient-a" || w.latest["device-a"].Identifiers != 1 {
		t.Errorf("assignment %+v", a)
	}

	// What is not known stays unknown: no Patient, no facts.
	v := newWard(t, IdentifyConfig{})
	v.library.put(deviceOf("pat-a"))
	v.hears(say{device: "device-a"})
	if f := v.latest["device-a"].Assignments[0].Facts; f.BirthDate != "" || f.Gender != "" || len(f.Codes) != 0 {
		t.Errorf("facts of nobody: %+v", f)
	}
}

// TestG14GivesUp: unknown is asked again with backoff and given up after giveUp,
// not by a timer alone; what turns up later is found.
func TestG14GivesUp(t *testing.T) {
	w := newWard(t, IdentifyConfig{GiveUp: 10 * time.Minute})
	w.hears(say{device: "device-a"})
	id := w.latest["device-a"]
	if id.Unknown == "" || id.GiveUp || id.CheckedAt != schemas.TicksOf(wallStart) {
		t.Fatalf("%+v", id)
	}
	w.library.fail = func(string, string) error { return errors.New("connection refused") }
	for range 20 {
		w.tick(time.Minute)
	}
	if w.latest["device-a"].GiveUp {
		t.Fatal("given up while the server said nothing")
	}
	w.library.fail = nil
	for range 6 {
		w.tick(time.Minute)
	}
	if !w.latest["device-a"].GiveUp {
		t.Fatal("not given up")
	}
	asked := len(w.library.calls)
	if w.tick(time.Hour); len(w.library.calls) != asked {
		t.Error("asked again for a device that says nothing")
	}
	w.library.put(deviceOf("pat-a"))
	w.hears(say{device: "device-a"})
	w.tick(maxRecheck)
	if id := w.latest["device-a"]; id.Resource != "dev-a" || id.GiveUp || id.Unknown != "" {
		t.Errorf("not found again: %+v", id)
	}
}

func TestIdentifyGivesUpAtOnceWhenDrained(t *testing.T) {
	w := newWard(t, IdentifyConfig{AtOnce: true})
	w.hears(say{device: "device-a"})
	if id := w.latest["device-a"]; id.Unknown == "" || !id.GiveUp {
		t.Errorf("%+v", id)
	}
}

func TestIdentifyRestart(t *testing.T) {
	cfg := IdentifyConfig{GiveUp: 10 * time.Minute}
	w := newWard(t, cfg)
	w.library.put(patientA)
	w.library.put(deviceOf("pat-a"))
	w.hears(say{device: "device-a"}, say{device: "device-b"})
	calls := len(w.library.calls)
	w.now = w.now.Add(9 * time.Minute)
	w.restart(cfg)
	if outs := w.hears(say{device: "device-a"}); len(outs) != 0 || len(w.library.calls) != calls {
		t.Errorf("a known device was asked for again: %v", w.library.calls[calls:])
	}
	w.tick(0)
	w.tick(time.Minute)
	if !w.latest["device-b"].GiveUp {
		t.Error("the time before the restart did not count")
	}
}

func TestIdentifyHandover(t *testing.T) {
	statement := func(id, patient, from, to string) string {
		period := `"start":"` + from + `"`
		if to != "" {
			period += `,"end":"` + to + `"`
		}
		return `{"resourceType":"DeviceUseStatement","id":"` + id + `","status":"active","subject":{"reference":"Patient/` + patient + `"},"device":{"reference":"Device/dev-a"},"timingPeriod":{` + period + `}}`
	}
	t.Run("the first patient has it since ever", func(t *testing.T) {
		w := newWard(t, IdentifyConfig{})
		w.library.put(deviceOf("pat-a"))
		w.hears(say{device: "device-a", minute: -100000})
		w.shows("device-a", "pat-a[-,-)")
	})
	t.Run("history before the first question", func(t *testing.T) {
		w := newWard(t, IdentifyConfig{})
		w.library.put(deviceOf("pat-a"))
		w.now = w.now.Add(10 * time.Minute)
		w.library.put(deviceOf("pat-b"))
		w.now = w.now.Add(10 * time.Minute)
		w.hears(say{device: "device-a", minute: 5})
		w.shows("device-a", "pat-a[-,10)", "pat-b[10,-)")
	})
	t.Run("history while known", func(t *testing.T) {
		w := newWard(t, IdentifyConfig{TTL: 10 * time.Minute})
		w.library.put(deviceOf("pat-a"))
		w.hears(say{device: "device-a", minute: 0})
		w.now = w.now.Add(5 * time.Minute)
		w.library.put(deviceOf("pat-b"))
		w.now = w.now.Add(time.Minute)
		w.library.put(deviceOf("pat-a"))
		w.now = w.now.Add(time.Minute)
		w.library.put(deviceOf("pat-b"))
		w.hears(say{device: "device-a", minute: 7})
		if outs := w.tick(10 * time.Minute); len(outs) != 1 {
			t.Fatalf("%d records", len(outs))
		}
		w.shows("device-a", "pat-a[-,5)", "pat-b[5,6)", "pat-a[6,7)", "pat-b[7,-)")
	})
	t.Run("no history: the first event after the last check", func(t *testing.T) {
		w := newWard(t, IdentifyConfig{TTL: 10 * time.Minute})
		w.library.put(deviceOf("pat-a"))
		w.hears(say{device: "device-a", minute: 3})
		w.library.fail = func(method, _ string) error {
			if method == "history" {
				return &fhir.StatusError{Status: http.StatusNotImplemented}
			}
			return nil
		}
		w.library.put(deviceOf("pat-b"))
		w.hears(say{device: "device-a", minute: 2}, say{device: "device-a", minute: 5}, say{device: "device-a", minute: 4})
		w.tick(20 * time.Minute)
		w.shows("device-a", "pat-a[-,4)", "pat-b[4,-)")
	})
	t.Run("statements", func(t *testing.T) {
		w := newWard(t, IdentifyConfig{})
		w.library.put(deviceOf("pat-c"))
		w.library.put(statement("s1", "pat-a", "2026-03-01T07:00:00Z", "2026-03-01T08:10:00Z"))
		w.library.put(statement("s2", "pat-b", "2026-03-01T09:05:00+01:00", "2026-03-01T08:20:00.5Z"))
		w.hears(say{device: "device-a"})
		w.shows("device-a", "pat-a[-60,5)", "pat-b[5,20.0083)", "pat-c[20.0083,-)")
	})
	t.Run("given back", func(t *testing.T) {
		w := newWard(t, IdentifyConfig{TTL: 10 * time.Minute})
		w.library.put(deviceOf("pat-a"))
		w.hears(say{device: "device-a"})
		w.now = w.now.Add(time.Minute)
		w.library.put(`{"resourceType":"Device","id":"dev-a","identifier":[{"value":"device-a"}]}`)
		w.hears(say{device: "device-a", minute: 2})
		w.tick(20 * time.Minute)
		w.shows("device-a", "pat-a[-,1)")
		if id := w.latest["device-a"]; id.Unknown == "" || id.Resource != "dev-a" {
			t.Errorf("%+v", id)
		}
	})
}

func TestIdentifyReassign(t *testing.T) {
	cfg := IdentifyConfig{Mode: ModeCreate, Mismatch: MismatchReassign}
	says := []say{
		{device: "device-a", patient: "patient-a", minute: 1},
		{device: "device-a", patient: "patient-a", minute: 2},
		{device: "device-a", patient: "patient-b", minute: 5},
		{device: "device-a", patient: "patient-a", minute: 4}, // late: moves nothing
		{device: "device-a", patient: "patient-b", minute: 6},
		{device: "device-a", patient: "patient-a", minute: 8}, // his again
	}
	want := []string{"pat-a[-,5)=patient-a", "pat-b[5,8)=patient-b", "pat-a[8,-)=patient-a"}
	// However the messages are cut into batches, and wherever the process is
	// killed and its last batch read again.
	for size := 1; size <= len(says); size++ {
		for kill := 0; kill <= len(says); kill++ {
			w := newWard(t, cfg)
			w.library.put(patientA)
			w.library.put(patientB)
			for i := 0; i < len(says); i += size {
				end := min(i+size, len(says))
				w.hears(says[i:end]...)
				if i <= kill && kill < end {
					w.restart(cfg)
					w.hears(says[i:end]...)
				}
			}
			w.shows("device-a", want...)
			id := w.latest["device-a"]
			if device := string(w.library.latest("Device/" + id.Resource).JSON); !strings.Contains(device, "Patient/pat-a") {
				t.Errorf("the Device was left at %s", device)
			}
			if t.Failed() {
				t.Fatalf("batches of %d, killed at %d", size, kill)
			}
		}
	}
}

func TestIdentifyMismatch(t *testing.T) {
	w := newWard(t, IdentifyConfig{Mode: ModeCreate, GiveUp: 10 * time.Minute})
	w.library.put(patientA)
	w.library.put(patientB)
	w.library.put(deviceOf("pat-a"))
	w.hears(say{device: "device-a", patient: "patient-b"}, say{device: "device-a", patient: "patient-a"}, say{device: "device-a", patient: "pat-a"})
	w.shows("device-a", "pat-a[-,-)=patient-a", "pat-a[-,-)=pat-a")
	if id := w.latest["device-a"]; !strings.Contains(id.Unknown, "another Patient") || id.GiveUp {
		t.Errorf("%+v", id)
	}
	for range 10 {
		w.tick(2 * time.Minute)
	}
	if id := w.latest["device-a"]; !id.GiveUp || id.Resource != "dev-a" {
		t.Errorf("not given up: %+v", id)
	}
	w.library.put(deviceOf("pat-b")) // somebody puts it right
	w.hears(say{device: "device-a", patient: "patient-b", minute: 30})
	w.tick(maxRecheck)
	if id := w.latest["device-a"]; id.Unknown != "" || id.GiveUp {
		t.Errorf("still refused: %+v", id)
	}
}

func TestIdentifyServerErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		wait time.Duration // 0: the stage stops
		text string
	}{
		{"network", errors.New("connection refused"), retryWait, "connection refused"},
		{"429", &fhir.StatusError{Status: 429, RetryAfter: 7 * time.Second}, 7 * time.Second, "429"},
		{"429 for a day", &fhir.StatusError{Status: 429, RetryAfter: 24 * time.Hour}, maxRetryWait, "429"},
		{"503", &fhir.StatusError{Status: 503}, retryWait, "503"},
		{"401", &fhir.StatusError{Status: 401}, 0, "check fhir.auth"},
		{"403", &fhir.StatusError{Status: 403}, 0, "check fhir.auth"},
		{"404", &fhir.StatusError{Status: 404}, 0, "check that fhir.baseURL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWard(t, IdentifyConfig{})
			w.library.put(patientA)
			w.library.put(deviceOf("pat-a"))
			w.library.fail = func(string, string) error { return c.err }
			b := w.batch(say{device: "device-a"}, say{device: "device-b"})
			_, err := w.stage.Process(context.Background(), b)
			var retry *Retry
			if err == nil || !strings.Contains(err.Error(), c.text) || errors.As(err, &retry) != (c.wait > 0) || c.wait > 0 && retry.RetryAfter() != c.wait {
				t.Fatalf("%v", err)
			}
			w.library.fail = nil
			outs, err := w.stage.Process(context.Background(), b)
			if err != nil || len(w.take(outs)) != 2 {
				t.Fatalf("afterwards: %d records, %v", len(outs), err)
			}
			w.shows("device-a", "pat-a[-,-)")
		})
	}
}

// TestIdentifyManyDevices: a batch of new devices is looked up several at a time,
// and a patient whom many devices share is asked for once.
func TestIdentifyManyDevices(t *testing.T) {
	w := newWard(t, IdentifyConfig{Mode: ModeCreate, Concurrency: 8})
	var says []say
	for i := range 300 {
		says = append(says, say{device: fmt.Sprintf("device-%03d", i), patient: fmt.Sprintf("patient-%d", i%3)})
	}
	outs := w.hears(says...)
	if len(outs) != 300 || outs[0].Key != "device-000" || outs[299].Key != "device-299" {
		t.Fatalf("%d records", len(outs))
	}
	if w.library.most > 8 {
		t.Errorf("%d requests at one time", w.library.most)
	}
	if n := w.stage.Counts().Created.Load(); n != 303 {
		t.Errorf("%d resources created, want 303", n)
	}
	if _, owes := w.stage.Status(w.share); owes != 0 {
		t.Errorf("owes %d", owes)
	}
	w.stage.Revoked(w.share)
}

func TestIdentifyPassesOverWhatItCannotRead(t *testing.T) {
	w := newWard(t, IdentifyConfig{})
	b := w.batch(say{device: "device-a"})
	b.Records[0].Value = b.Records[0].Value[:12]
	if outs, err := w.stage.Process(context.Background(), b); err != nil || len(outs) != 0 {
		t.Errorf("%d records, %v", len(outs), err)
	}
	if err := w.stage.Restore(context.Background(), w.share, schemas.Raw{Key: []byte("x"), Value: []byte("x")}); err != nil {
		t.Error(err)
	}
}

func TestIdentifyConfig(t *testing.T) {
	bad := IdentifyConfig{Mode: "guess", Mismatch: "ignore", TTL: time.Millisecond, GiveUp: -1, Concurrency: 1000, Facts: []Fact{{Name: "x"}, {Name: "y", Codes: []string{"no-system"}}}}
	err := bad.Validate()
	for _, path := range []string{"mode", "mismatch", "ttl", "giveUp", "concurrency", "facts[0]", "facts[1].codes[0]"} {
		found := false
		for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
			var c *IdentifyConfigError
			found = found || errors.As(e, &c) && c.ConfigPath() == path && c.Error() != ""
		}
		if !found {
			t.Errorf("no error at %s: %v", path, err)
		}
	}
	if err := (IdentifyConfig{}).Validate(); err != nil {
		t.Error(err)
	}
}

// BenchmarkIdentifyKnown is the price of a message whose device is known.
func BenchmarkIdentifyKnown(b *testing.B) {
	l := newLibrary(func() time.Time { return wallStart })
	l.put(patientA)
	l.put(deviceOf("pat-a"))
	s := NewIdentify(l, IdentifyConfig{}, func() time.Time { return wallStart })
	w := &ward{share: &schemas.Share{Topic: schemas.TopicMeasurements}}
	var says []say
	for range 500 {
		says = append(says, say{device: "device-a"})
	}
	batch := w.batch(says...)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Process(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/message")
}

// The logical id of one patient is the identifier of another: a server that
// numbers its resources has such. The name means the identifier; nobody gets the
// other's values.
func TestG4NameMeansAnIdentifierFirst(t *testing.T) {
	w := newWard(t, IdentifyConfig{Mode: ModeCreate})
	w.library.put(`{"resourceType":"Patient","id":"1234","identifier":[{"value":"mrn-9"}]}`)
	w.library.put(`{"resourceType":"Patient","id":"77","identifier":[{"value":"1234"}]}`)
	w.library.put(deviceOf("1234"))
	w.hears(say{device: "device-a", patient: "mrn-9"}, say{device: "device-a", patient: "1234"})
	w.shows("device-a", "1234[-,-)=mrn-9")
	if id := w.latest["device-a"]; !strings.Contains(id.Unknown, "another Patient") {
		t.Errorf("%+v", id)
	}
}
