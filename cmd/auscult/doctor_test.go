package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"auscult/fhir"
	"auscult/fhir/rest"
	"auscult/fhir/server"
	"auscult/internal/config"
)

// scripted is the embedded FHIR server behind somebody who may answer first.
type scripted struct {
	*httptest.Server
	mu     sync.Mutex
	answer func(w http.ResponseWriter, r *http.Request) bool
	asked  []string // method and path of every request
}

func startScripted(t *testing.T, answer func(w http.ResponseWriter, r *http.Request) bool) *scripted {
	t.Helper()
	s, err := server.Open(filepath.Join(t.TempDir(), server.FileName))
	if err != nil {
		t.Fatal(err)
	}
	p := &scripted{answer: answer}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked = append(p.asked, r.Method+" "+r.URL.Path)
		answer := p.answer
		p.mu.Unlock()
		if answer == nil || !answer(w, r) {
			s.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		p.Close()
		s.Close()
	})
	return p
}

func (s *scripted) base() string { return s.URL + server.Base }

// left is how many Observations there are that a doctor has left behind.
func (s *scripted) left(t *testing.T) int {
	t.Helper()
	s.mu.Lock()
	s.answer = nil
	s.mu.Unlock()
	var found struct{ Total int }
	get(t, s.base()+"/Observation", &found)
	return found.Total
}

func (s *scripted) wrote() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.asked, func(q string) bool { return !strings.HasPrefix(q, http.MethodGet) })
}

// lines returns what the doctor said of each check.
func lines(t *testing.T, s said) map[string]string {
	t.Helper()
	found := map[string]string{}
	for line := range strings.Lines(s.out) {
		if len(line) < 28 {
			t.Fatalf("the line is %q", line)
		}
		name := strings.TrimSpace(line[9:27])
		found[name] += strings.TrimSpace(line[:8]) + ": " + strings.TrimSpace(line[28:]) + "\n"
	}
	return found
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	broker, _ := embedded(t)
	s := startScripted(t, nil)
	path := configuration(t, broker, "", s.base())
	got := auscult(t, "doctor", "--config", path)
	var names []string
	for line := range strings.Lines(got.out) {
		if !strings.HasPrefix(line, "ok ") {
			t.Errorf("it says %s", line)
		}
		names = append(names, strings.TrimSpace(line[9:27]))
	}
	want := "configuration, mappings, brokers, topics, fhir tcp, fhir address, fhir login, fhir access, fhir version, fhir interactions, fhir updates, fhir write, fhir delete"
	if got.code != 0 || got.errs != "" || strings.Join(names, ", ") != want {
		t.Errorf("%+v", got)
	}
	if n := s.left(t); n != 0 || !s.wrote() {
		t.Errorf("%d Observations are left", n)
	}
	t.Run("JSON, nothing written", func(t *testing.T) {
		s.asked = nil
		got := auscult(t, "doctor", "--config", path, "--no-write", "--format", "json")
		var d struct {
			OK     bool
			Checks []checkup
		}
		if err := json.Unmarshal([]byte(got.out), &d); err != nil || got.code != 0 || !d.OK || len(d.Checks) != 12 {
			t.Fatalf("%v, %+v", err, got)
		}
		if last := d.Checks[11]; last != (checkup{"fhir write", "skipped", "--no-write"}) || s.wrote() {
			t.Errorf("%+v, asked %v", last, s.asked)
		}
	})
	if got := auscult(t, "doctor", "--format", "xml"); got.code != exitError || !strings.Contains(got.errs, "write text or json") {
		t.Errorf("%+v", got)
	}
}

// TestDoctorConfiguration: a line for each mistake, and nothing is called.
func TestDoctorConfiguration(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "auscult.yaml")
	if err := os.WriteFile(path, []byte("river: {brokers: [a:1], profile: kafka, partitions: 3}\nfhir: {baseURL: x, auth: {kind: oauth2, password: s3cret}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := auscult(t, "doctor", "--config", path)
	found := lines(t, got)
	if got.code != exitError || strings.Contains(got.out, "s3cret") || strings.Count(found["configuration"], "failed: ") < 4 || !strings.HasPrefix(found["fhir"], "skipped: ") {
		t.Errorf("%+v", got)
	}
	for _, want := range []string{"partitions is 3", "fhir: auth.kind oauth2 needs auth.clientID", "fhir: auth.password is of kind basic", "baseURL must be"} {
		if !strings.Contains(found["configuration"], want) {
			t.Errorf("no %q in %s", want, got.out)
		}
	}
	if got := auscult(t, "doctor"); got.code != exitError || !strings.Contains(got.out, "name a file with --config") {
		t.Errorf("%+v", got)
	}
}

// TestDoctorBrokers: the FHIR server is looked at even where there is no broker,
// and the other way round.
func TestDoctorBrokers(t *testing.T) {
	t.Parallel()
	s := startScripted(t, nil)
	got := auscult(t, "doctor", "--config", configuration(t, "127.0.0.1:1", "", s.base()))
	found := lines(t, got)
	if got.code != exitError || !strings.Contains(found["brokers"], "failed: reaching the broker at 127.0.0.1:1") ||
		!strings.HasPrefix(found["topics"], "skipped") || !strings.HasPrefix(found["fhir delete"], "ok") || got.errs != "auscult: 1 check failed\n" {
		t.Errorf("%+v", got)
	}
	broker, _ := embedded(t)
	got = auscult(t, "doctor", "--config", configuration(t, broker, "no-", ""))
	found = lines(t, got)
	if !strings.Contains(found["topics"], "failed: topic no-devicedata does not exist: create the topics with `auscult topics apply`") ||
		!strings.Contains(found["fhir address"], "failed: fhir.baseURL is empty") || !strings.HasPrefix(found["brokers"], "ok") {
		t.Errorf("%+v", got)
	}
}

func TestDoctorFindsTheWay(t *testing.T) {
	t.Parallel()
	broker, _ := embedded(t)
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	defer secure.Close()
	mute := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer mute.Close()
	starting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer starting.Close()
	s := startScripted(t, nil)
	for _, test := range []struct{ base, check, want string }{
		{"http://auscult.invalid/fhir", "fhir dns", "correct the host in fhir.baseURL"},
		{"http://127.0.0.1:1/fhir", "fhir tcp", "correct the port in fhir.baseURL"},
		{secure.URL, "fhir tls", "name the authority that signed the server's certificate in fhir.tls.caFile"},
		{mute.URL, "fhir address", "gives no answer: is it a FHIR server?"},
		{starting.URL, "fhir address", "/metadata answered 503: start the server"},
		{s.URL + "/other", "fhir address", "/other/metadata answered 404: correct fhir.baseURL"},
	} {
		got := auscult(t, "doctor", "--config", configuration(t, broker, "", test.base))
		found := lines(t, got)
		if got.code != exitError || !strings.HasPrefix(found[test.check], "failed: ") || !strings.Contains(found[test.check], test.want) || strings.Count(got.out, "failed   ") != 1 {
			t.Errorf("%s: %s", test.base, got.out)
		}
		if !strings.HasPrefix(found["fhir write"], "skipped") || s.wrote() {
			t.Errorf("%s: %s", test.base, got.out)
		}
	}
}

// TestDoctorFaults: what a server refuses is found, with what to change, and the
// probe is gone whatever came after it.
func TestDoctorFaults(t *testing.T) {
	t.Parallel()
	broker, _ := embedded(t)
	status := func(code int, fits func(*http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !fits(r) {
				return false
			}
			w.WriteHeader(code)
			fmt.Fprint(w, `{"resourceType":"OperationOutcome","issue":[{"diagnostics":"the rule says no"}]}`)
			return true
		}
	}
	on := func(method, within string) func(*http.Request) bool {
		return func(r *http.Request) bool { return r.Method == method && strings.Contains(r.URL.Path, within) }
	}
	declares := func(change func(string) string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/metadata") {
				return false
			}
			fmt.Fprint(w, change(statement))
			return true
		}
	}
	replaced := func(old, with string) func(http.ResponseWriter, *http.Request) bool {
		return declares(func(s string) string { return strings.ReplaceAll(s, old, with) })
	}
	for name, test := range map[string]struct {
		answer      func(http.ResponseWriter, *http.Request) bool
		check, want string
		left        int
	}{
		"unknown":         {status(401, on("GET", "/Observation/")), "fhir access", "answered 401 to read Observation: it wants to know who we are: set fhir.auth.kind", 0},
		"forbidden":       {status(403, on("GET", "/Flag/")), "fhir access", "answered 403 to read Flag: set fhir.auth.kind", 0},
		"busy":            {status(503, on("GET", "/Device/")), "fhir access", "answered 503 to read Device: it is down or busy", 0},
		"another release": {replaced("4.0.1", "3.0.2"), "fhir version", "the server speaks FHIR 3.0.2: correct fhir.baseURL", 0},
		"XML alone":       {replaced(`"json"`, `"xml"`), "fhir version", "declares the formats xml: turn JSON on", 0},
		"no statement":    {declares(func(string) string { return "<html>" }), "fhir version", "a CapabilityStatement was expected", 0},
		"nothing declared": {declares(func(string) string {
			return `{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1","format":["json"]}`
		}), "fhir interactions", "does not declare Observation read, Observation update, Observation search-type, Observation search by identifier, Device read", 0},
		"no transactions":   {replaced(`"transaction"`, `"batch"`), "fhir interactions", "does not declare transaction: turn it on", 0},
		"no identifiers":    {replaced(`"identifier"`, `"name"`), "fhir interactions", "does not declare Observation search by identifier, Device search by identifier, Patient search by identifier: ", 0},
		"no versions":       {replaced(`"versioned"`, `"no-version"`), "fhir updates", "Observation has no versions: turn versioning on", 0},
		"ids of its own":    {replaced(`"updateCreate":true`, `"updateCreate":false`), "fhir updates", "Observation takes no ids of ours: allow clients to assign ids", 0},
		"no PUT":            {status(405, on("PUT", "")), "fhir write", "answered 405 to create Observation: allow it on the server", 0},
		"no writing":        {status(403, on("PUT", "")), "fhir write", "answered 403 to create Observation", 0},
		"a rule":            {status(422, on("PUT", "")), "fhir write", "answered 422 to create Observation: the rule says no", 0},
		"broken after":      {status(500, on("POST", "")), "fhir write", "answered 500 to update in a transaction Observation", 0},
		"forbidden after":   {status(403, on("POST", "")), "fhir write", "answered 403 to update in a transaction", 0},
		"no deleting":       {status(403, on("DELETE", "")), "fhir delete", "stays: delete it, and use --no-write until this account may delete", 1},
		"deletes nothing":   {status(204, on("DELETE", "")), "fhir delete", "is still there after its deletion", 1},
		"versions not kept": {blind(), "fhir write", "in spite of If-Match: turn versioned updates on", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startScripted(t, test.answer)
			got := auscult(t, "doctor", "--config", configuration(t, broker, "", s.base()))
			found := lines(t, got)
			if got.code != exitError || !strings.HasPrefix(found[test.check], "failed: ") || !strings.Contains(found[test.check], test.want) || strings.Count(got.out, "failed   ") != 1 {
				t.Errorf("%s\nwant %s", got.out, test.want)
			}
			if n := s.left(t); n != test.left {
				t.Errorf("%d Observations are left, want %d", n, test.left)
			}
		})
	}
	t.Run("no delete declared", func(t *testing.T) {
		s := startScripted(t, replaced(`{"code":"delete"},`, ""))
		got := auscult(t, "doctor", "--config", configuration(t, broker, "", s.base()))
		if got.code != 0 || !strings.Contains(lines(t, got)["fhir write"], "skipped: the server declares no delete of Observation") || s.wrote() {
			t.Errorf("%+v", got)
		}
	})
}

// statement declares what the river needs and no more.
var statement = func() string {
	var all []string
	for _, kind := range []string{"Observation", "Device", "Patient", "RiskAssessment", "Flag", "Provenance"} {
		all = append(all, fmt.Sprintf(`{"type":%q,"versioning":"versioned","updateCreate":true,"searchParam":[{"name":"identifier"}],`+
			`"interaction":[{"code":"read"},{"code":"delete"},{"code":"update"},{"code":"search-type"}]}`, kind))
	}
	return `{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1","format":["json"],"rest":[{"mode":"server","interaction":[{"code":"transaction"}],"resource":[` +
		strings.Join(all, ",") + `]}]}`
}()

// blind takes If-Match away.
func blind() func(http.ResponseWriter, *http.Request) bool {
	return func(_ http.ResponseWriter, r *http.Request) bool {
		r.Header.Del("If-Match")
		return false
	}
}

// TestDoctorInterrupted: the probe is deleted although somebody has pressed
// Ctrl-C right after it was written.
func TestDoctorInterrupted(t *testing.T) {
	t.Parallel()
	broker, _ := embedded(t)
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	s := startScripted(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			interrupt()
			panic(http.ErrAbortHandler) // no answer
		}
		return false
	})
	cmd := root()
	cmd.SetOut(&strings.Builder{})
	cmd.SetErr(&strings.Builder{})
	if code := execute(ctx, cmd, []string{"doctor", "--config", configuration(t, broker, "", s.base())}); code != exitError {
		t.Errorf("it ends with %d", code)
	}
	if n := s.left(t); n != 0 {
		t.Errorf("%d Observations are left", n)
	}
}

// TestDoctorAdvice: each way of logging in has its own to change.
func TestDoctorAdvice(t *testing.T) {
	for _, test := range []struct {
		kind, base string
		status     int
		want       string
	}{
		{rest.KindNone, "https://x", 401, "set fhir.auth.kind to one of basic, bearer"},
		{rest.KindBasic, "https://x", 401, "correct fhir.auth.user and fhir.auth.password"},
		{rest.KindBearer, "https://x", 401, "renew the one in fhir.auth.tokenFile"},
		{rest.KindOAuth2, "https://x", 401, "correct fhir.auth.scope, fhir.auth.audience or fhir.auth.resource"},
		{rest.KindAzureManagedIdentity, "https://x", 401, "set fhir.auth.scope to the FHIR service's audience"},
		{rest.KindOAuth2, "https://w-f.fhir.azurehealthcareapis.com", 403, `the role "FHIR Data Contributor"`},
		{rest.KindAzureWorkloadIdentity, "https://x", 403, `the role "FHIR Data Contributor"`},
		{rest.KindSMART, "https://x", 403, `fhir.auth.scope is "a b": add system/Flag.cruds (SMART 1: system/Flag.*)`},
		{rest.KindBasic, "https://x", 403, "give this account the right to read Flag"},
		{rest.KindBasic, "https://x", 404, "correct fhir.baseURL, or turn Flag on"},
		{rest.KindBasic, "https://x", 429, "down or busy"},
	} {
		cfg := &config.Config{FHIR: rest.Config{BaseURL: test.base, Auth: rest.Auth{Kind: test.kind, Scope: "a b"}}}
		d := &fhirDoctor{cfg: cfg}
		if got := d.advice(&fhir.StatusError{Status: test.status}, "read", "Flag"); !strings.Contains(got, test.want) {
			t.Errorf("%s, %d: %s, want %s", test.kind, test.status, got, test.want)
		}
	}
}

// TestDoctorLogin: a token that cannot be had is told from one that the FHIR
// server does not take, and no secret is printed.
func TestDoctorLogin(t *testing.T) {
	broker, _ := embedded(t)
	s := startScripted(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/token" {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"error":"invalid_client","error_description":"%s"}`, r.PostFormValue("client_secret"))
			return true
		}
		return false
	})
	for name, value := range map[string]string{"KIND": rest.KindOAuth2, "TOKENURL": s.URL + "/token", "CLIENTID": "auscult", "CLIENTSECRET": "confidential", "CLIENTAUTH": rest.ClientSecretPost} {
		t.Setenv("AUSCULT_FHIR_AUTH_"+name, value)
	}
	path := configuration(t, broker, "", s.base())
	got := auscult(t, "doctor", "--config", path)
	if got.code != exitError || !strings.Contains(lines(t, got)["fhir login"], "failed: fhir: the token endpoint answered 401, invalid_client (***): correct auth.clientID") ||
		strings.Contains(got.out+got.errs, "confidential") {
		t.Errorf("%+v", got)
	}
	if got := auscult(t, "run", "--print-config", "--config", path); got.code != 0 || strings.Contains(got.out, "confidential") || !strings.Contains(got.out, "clientSecret: '***'") {
		t.Errorf("%+v", got)
	}
}
