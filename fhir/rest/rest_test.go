package rest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"auscult/fhir"
	"auscult/fhir/rest"
	"auscult/fhir/server"
	"auscult/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func dial(t testing.TB, cfg rest.Config) *rest.Client {
	t.Helper()
	c, err := rest.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// embedded is a client of the server that is built in.
func embedded(t testing.TB, options ...server.Option) *rest.Client {
	t.Helper()
	s, err := server.Open(filepath.Join(t.TempDir(), server.FileName), options...)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	t.Cleanup(func() {
		h.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return dial(t, rest.Config{BaseURL: h.URL + server.Base + "/"})
}

// answering is a client of a server that a function plays.
func answering(t testing.TB, cfg rest.Config, answer http.HandlerFunc) *rest.Client {
	t.Helper()
	h := httptest.NewServer(answer)
	t.Cleanup(h.Close)
	cfg.BaseURL = h.URL + "/fhir"
	return dial(t, cfg)
}

func patient(id, identifier string) []byte {
	return fmt.Appendf(nil, `{"resourceType":"Patient","id":%q,"identifier":[{"system":"urn:mrn","value":%q}]}`, id, identifier)
}

func status(err error) int {
	var s *fhir.StatusError
	if errors.As(err, &s) {
		return s.Status
	}
	return 0
}

func TestReadPutHistory(t *testing.T) {
	ctx := context.Background()
	c := embedded(t)
	if s, err := c.Read(ctx, "Patient", "p1"); err != nil || s.ID != "" || s.Gone {
		t.Errorf("absent: %+v %v", s, err)
	}
	if h, err := c.History(ctx, "Patient", "p1"); err != nil || len(h) != 0 {
		t.Errorf("absent: %+v %v", h, err)
	}
	s, err := c.Put(ctx, "Patient", "p1", patient("p1", "a"), "")
	if err != nil || s.ID != "p1" || s.Version != "1" {
		t.Fatalf("%+v %v", s, err)
	}
	if s, err = c.Put(ctx, "Patient", "p1", patient("p1", "b"), "1"); err != nil || s.Version != "2" {
		t.Fatalf("%+v %v", s, err)
	}
	if _, err = c.Put(ctx, "Patient", "p1", patient("p1", "c"), "1"); status(err) != http.StatusPreconditionFailed {
		t.Errorf("stale: %v", err)
	}
	if s, err = c.Read(ctx, "Patient", "p1"); err != nil || s.Version != "2" || !bytes.Contains(s.JSON, []byte(`"value":"b"`)) {
		t.Errorf("%+v %v", s, err)
	}
	h, err := c.History(ctx, "Patient", "p1")
	if err != nil || len(h) != 2 || h[0].Version != "2" || h[1].Version != "1" || !bytes.Contains(h[1].JSON, []byte(`"value":"a"`)) {
		t.Errorf("%+v %v", h, err)
	}
}

func TestSearchFollowsEveryPage(t *testing.T) {
	ctx := context.Background()
	c := embedded(t)
	const total = 450 // more than two pages
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := worker; i < total; i += 8 {
				if _, err := c.Put(ctx, "Patient", fmt.Sprintf("p%d", i), patient(fmt.Sprintf("p%d", i), "a|b, c"), ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	// The bar between system and value, and one inside of it.
	for _, token := range []string{`urn:mrn|a\|b\, c`, `a\|b\, c`} {
		found, err := c.Search(ctx, "Patient", url.Values{"identifier": {token}})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, s := range found {
			seen[s.ID] = s.Version == "1" && len(s.JSON) > 0
		}
		if len(seen) != total {
			t.Errorf("%s: found %d of %d", token, len(seen), total)
		}
	}
	if found, err := c.Search(ctx, "Patient", url.Values{"identifier": {"nobody"}}); err != nil || len(found) != 0 {
		t.Errorf("%v %v", found, err)
	}
}

func whole(kind, id, json string) schemas.WholeResource {
	return schemas.WholeResource{Type: kind, ID: id, JSON: json}
}

func flag(state string) schemas.WholeResource {
	return whole("Flag", "f1", `{"resourceType":"Flag","id":"f1","status":"`+state+`","code":{"text":"x"},"subject":{"reference":"Patient/p1"}}`)
}

func TestTransaction(t *testing.T) {
	ctx := context.Background()
	c := embedded(t, server.EnforceReferences())
	provenance := whole("Provenance", "v1", `{"resourceType":"Provenance","id":"v1","target":[{"reference":"Flag/f1"}],"recorded":"2024-01-01T00:00:00Z","agent":[{"who":{"display":"<x>"}}]}`)
	both := []schemas.WholeResource{flag("active"), provenance}

	_, err := c.Transaction(ctx, both, []string{"", ""})
	var refused *fhir.StatusError
	if !errors.As(err, &refused) || !refused.MissingReference || !strings.Contains(refused.Outcome, "Patient/p1 not found") {
		t.Fatalf("a missing Patient: %v", err)
	}
	if _, err := c.Put(ctx, "Patient", "p1", patient("p1", "a"), ""); err != nil {
		t.Fatal(err)
	}
	all, err := c.Transaction(ctx, both, []string{"", ""})
	if err != nil || len(all) != 2 || all[0].ID != "f1" || all[0].Version != "1" || all[1].Version != "1" {
		t.Fatalf("%+v %v", all, err)
	}
	if all, err = c.Transaction(ctx, []schemas.WholeResource{flag("inactive"), provenance}, []string{"1", "1"}); err != nil || all[0].Version != "2" || all[1].Version != "1" {
		t.Fatalf("%+v %v", all, err)
	}
	_, err = c.Transaction(ctx, []schemas.WholeResource{provenance, flag("active")}, []string{"1", "1"})
	var entry *rest.EntryError
	if !errors.As(err, &entry) || entry.Index != 1 || entry.Type != "Flag" || status(err) != http.StatusPreconditionFailed || strings.Contains(err.Error(), "f1") {
		t.Errorf("stale: %v", err)
	}
	if _, err := c.Transaction(ctx, both, nil); err == nil {
		t.Error("versions for nothing were accepted")
	}
}

// TestTransactionAnswers: servers differ in what they say of an entry.
func TestTransactionAnswers(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		status       int
		version      string // of the entry; "" = an error
		index        int
	}{
		{"etag", `{"resourceType":"Bundle","entry":[{"response":{"status":"200 OK","etag":"W/\"7\""}}]}`, 200, "7", 0},
		{"bare etag, as HAPI", `{"resourceType":"Bundle","entry":[{"response":{"status":"201 Created","etag":"1"}}]}`, 200, "1", 0},
		{"location alone", `{"resourceType":"Bundle","entry":[{"response":{"status":"201","location":"Flag/f1/_history/3"}}]}`, 200, "3", 0},
		{"resource alone", `{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Flag","id":"f1","meta":{"versionId":"4"}},"response":{"status":"200"}}]}`, 200, "4", 0},
		{"one entry refused", `{"resourceType":"Bundle","entry":[{"response":{"status":"409 Conflict"}}]}`, 200, "", 0},
		{"no response", `{"resourceType":"Bundle","entry":[{}]}`, 200, "", 0},
		{"no status", `{"resourceType":"Bundle","entry":[{"response":{"status":""}}]}`, 200, "", 0},
		{"too few entries", `{"resourceType":"Bundle"}`, 200, "", -2},
		{"no Bundle", `<html>`, 200, "", -2},
		{"refused, no entry named", `{"resourceType":"OperationOutcome","issue":[{"diagnostics":"no"}]}`, 422, "", -1},
		{"refused, no such entry", `{"resourceType":"OperationOutcome","issue":[{"diagnostics":"no","expression":["Bundle.entry[9]"]}]}`, 422, "", -1},
		{"refused, entry named", `{"resourceType":"OperationOutcome","issue":[{"details":{"text":"no"},"expression":["Bundle.entry[0].resource"]}]}`, 422, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var sent []byte
			client := answering(t, rest.Config{}, func(w http.ResponseWriter, r *http.Request) {
				var b bytes.Buffer
				_, _ = b.ReadFrom(r.Body)
				sent = b.Bytes()
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.answer))
			})
			all, err := client.Transaction(context.Background(), []schemas.WholeResource{flag("active")}, []string{"2"})
			if !bytes.Contains(sent, []byte(`"ifMatch":"W/\"2\""`)) || !bytes.Contains(sent, []byte(`"url":"Flag/f1"`)) {
				t.Errorf("sent %s", sent)
			}
			if c.version != "" {
				if err != nil || len(all) != 1 || all[0].Version != c.version || all[0].ID != "f1" {
					t.Errorf("%+v %v", all, err)
				}
				return
			}
			var entry *rest.EntryError
			if err == nil || errors.As(err, &entry) != (c.index > -2) || entry != nil && entry.Index != c.index {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestStatusErrors(t *testing.T) {
	const outcome = `{"resourceType":"OperationOutcome","issue":[{"code":%q,"diagnostics":%q,"details":{"text":%q}}]}`
	for _, c := range []struct {
		name    string
		status  int
		headers []string
		body    string
		text    string
		wait    time.Duration
		missing bool
	}{
		{"diagnostics", 422, nil, fmt.Sprintf(outcome, "invalid", "bad unit", ""), "bad unit", 0, false},
		{"details.text", 400, nil, fmt.Sprintf(outcome, "invalid", "", "bad unit"), "bad unit", 0, false},
		{"no OperationOutcome", 502, nil, "<html>bad gateway", "bad gateway", 0, false},
		{"HAPI, missing reference", 400, nil, fmt.Sprintf(outcome, "processing", "HAPI-1094: Resource Patient/x not found, specified in path: Observation.subject", ""), "HAPI-1094", 0, true},
		{"HAPI in a transaction", 400, nil, fmt.Sprintf(outcome, "processing", "HAPI-0541: Failed to process: HAPI-1094: Resource Device/x not found, specified in path: Observation.device", ""), "", 0, true},
		{"Medplum, missing reference", 400, nil, fmt.Sprintf(outcome, "invalid", "", "Invalid reference (Not found)"), "", 0, true},
		{"Google, missing reference", 409, nil, fmt.Sprintf(outcome, "conflict", "reference_not_found", ""), "", 0, true},
		{"Microsoft, conditional reference", 400, nil, fmt.Sprintf(outcome, "invalid", "Given conditional reference 'Patient?x' does not resolve to a resource.", ""), "", 0, true},
		{"another server, 422", 422, nil, fmt.Sprintf(outcome, "not-found", "Patient/x", ""), "", 0, true},
		{"404 of the address", 404, nil, fmt.Sprintf(outcome, "not-found", "no such endpoint", ""), "", 0, false},
		{"Retry-After", 429, []string{"Retry-After", "17"}, "", "", 17 * time.Second, false},
		{"Retry-After as a date", 503, []string{"Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}, "", "", 10 * time.Minute, false},
		{"milliseconds", 429, []string{"Retry-After", "1", "x-ms-retry-after-ms", "250"}, "", "", 250 * time.Millisecond, false},
		{"for a year", 429, []string{"Retry-After", "99999999999"}, "", "", 10 * time.Minute, false},
		{"401", 401, nil, "", "", 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := answering(t, rest.Config{}, func(w http.ResponseWriter, _ *http.Request) {
				for i := 0; i < len(c.headers); i += 2 {
					w.Header().Set(c.headers[i], c.headers[i+1])
				}
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			})
			_, err := client.Put(context.Background(), "Observation", "o1", []byte(`{}`), "")
			var s *fhir.StatusError
			if !errors.As(err, &s) {
				t.Fatalf("%v", err)
			}
			if s.Status != c.status || !strings.Contains(s.Outcome, c.text) || s.RetryAfter != c.wait || s.MissingReference != c.missing {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestRequests(t *testing.T) {
	var got *http.Request
	client := answering(t, rest.Config{Headers: map[string]string{"X-Bundle": "parallel"}, Auth: rest.Auth{Kind: "basic", User: "u", Password: "s3cret"}}, func(w http.ResponseWriter, r *http.Request) {
		got = r
		switch r.Method {
		case http.MethodPut:
			w.Header().Set("Location", "http://other/fhir/Patient/p1/_history/6")
			w.WriteHeader(http.StatusOK)
		default:
			_, _ = w.Write([]byte(`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"OperationOutcome"},"search":{"mode":"outcome"}},{"resource":{"resourceType":"Patient","id":"p1","meta":{"versionId":"5"}}}]}`))
		}
	})
	found, err := client.Search(context.Background(), "Patient", url.Values{"identifier": {"urn:a|b c"}})
	if err != nil || len(found) != 1 || found[0].Version != "5" {
		t.Errorf("%+v %v", found, err)
	}
	if q := got.URL.RawQuery; !strings.Contains(q, "identifier=urn%3Aa%7Cb+c") || !strings.Contains(q, "_count=") {
		t.Errorf("query %s", q)
	}
	user, password, _ := got.BasicAuth()
	if user != "u" || password != "s3cret" || got.Header.Get("Cache-Control") != "no-cache" || got.Header.Get("X-Bundle") != "parallel" {
		t.Errorf("headers %v", got.Header)
	}
	s, err := client.Put(context.Background(), "Patient", "p1", patient("p1", "x"), "5")
	if err != nil || s.Version != "6" || len(s.JSON) != 0 || got.Header.Get("If-Match") != `W/"5"` {
		t.Errorf("%+v %v, If-Match %s", s, err, got.Header.Get("If-Match"))
	}
}

func TestBounds(t *testing.T) {
	page := func(next string) string {
		return `{"resourceType":"Bundle","link":[{"relation":"next","url":"` + next + `"}],"entry":[{"resource":{"resourceType":"Patient","id":"p"}}]}`
	}
	for name, c := range map[string]struct{ next, text string }{
		"a circle":        {"/fhir/Patient?page=1", "pages"},
		"another server":  {"https://evil.example/fhir/Patient", "set baseURL"},
		"no address":      {"http://[", "no address"},
		"relative, first": {"?page=2", "pages"},
	} {
		t.Run(name, func(t *testing.T) {
			client := answering(t, rest.Config{}, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(page(c.next))) })
			if _, err := client.Search(context.Background(), "Patient", nil); err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestErrorsHoldNoIdentifiers(t *testing.T) {
	h := httptest.NewServer(nil)
	h.Close() // nobody listens there any more
	c := dial(t, rest.Config{BaseURL: h.URL})
	_, err := c.Search(context.Background(), "Patient", url.Values{"identifier": {"secret-patient"}})
	if err == nil || strings.Contains(err.Error(), "secret-patient") || !strings.Contains(err.Error(), "refused") || status(err) != 0 {
		t.Errorf("%v", err)
	}
	slow := answering(t, rest.Config{Timeout: 20 * time.Millisecond}, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	if _, err := slow.Read(context.Background(), "Patient", "secret-patient"); err == nil || strings.Contains(err.Error(), "secret-patient") || errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := slow.Read(ctx, "Patient", "p"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestBearerTokenIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write := func(token string, at time.Time) {
		if err := errors.Join(os.WriteFile(path, []byte(token+"\n"), 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	var header string
	c := answering(t, rest.Config{Auth: rest.Auth{Kind: "bearer", TokenFile: path}}, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		header = r.Header.Get("Authorization")
		mu.Unlock()
		w.WriteHeader(http.StatusNotFound)
	})
	if _, err := c.Read(context.Background(), "Patient", "p"); err == nil || !strings.Contains(err.Error(), "tokenFile") {
		t.Errorf("no file: %v", err)
	}
	write("", time.Unix(1, 0))
	if _, err := c.Read(context.Background(), "Patient", "p"); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("an empty file: %v", err)
	}
	for i, token := range []string{"one", "two"} {
		write(token, time.Unix(int64(i+2), 0))
		for deadline := time.Now().Add(5 * time.Second); ; {
			if _, err := c.Read(context.Background(), "Patient", "p"); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			got := header
			mu.Unlock()
			if got == "Bearer "+token {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("still %q", got)
			}
		}
	}
}

func TestTLS(t *testing.T) {
	h := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) }))
	defer h.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := dial(t, rest.Config{BaseURL: h.URL, TLS: rest.TLS{CAFile: ca}}).Read(context.Background(), "Patient", "p"); err != nil || !s.Gone || s.ID != "" {
		t.Errorf("%+v %v", s, err)
	}
	h.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	if _, err := dial(t, rest.Config{BaseURL: h.URL}).Read(context.Background(), "Patient", "p"); err == nil {
		t.Error("an unknown CA was trusted")
	}
	for _, bad := range []rest.TLS{{CAFile: "/none"}, {CertFile: ca, KeyFile: ca}} {
		if _, err := rest.New(rest.Config{BaseURL: h.URL, TLS: bad}); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

func TestConfig(t *testing.T) {
	bad := rest.Config{BaseURL: "ftp://x", Timeout: -1, Connections: 5000, Auth: rest.Auth{Kind: "guess"}, TLS: rest.TLS{CertFile: "x"}}
	text := bad.Validate().Error()
	for _, want := range []string{"baseURL must be", "timeout must", "connections must", "write one of none, basic, bearer", "write both or none"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	for _, auth := range []rest.Auth{{Kind: "basic"}, {Kind: "bearer"}} {
		err := rest.Config{BaseURL: "http://x", Auth: auth}.Validate()
		var c *rest.ConfigError
		if !errors.As(err, &c) || !strings.HasPrefix(c.ConfigPath(), "auth.") {
			t.Errorf("%+v: %v", auth, err)
		}
	}
	if err := (rest.Config{BaseURL: "https://host/fhir"}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	s := rest.Secret("s3cret")
	cfg := rest.Config{Auth: rest.Auth{Password: s}}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s, "config", cfg)
	asJSON, _ := json.Marshal(cfg)
	asYAML, _ := s.MarshalYAML()
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %q %s", cfg, cfg, cfg, s, s), log.String(), string(asJSON), fmt.Sprint(asYAML), fmt.Sprint(rest.Secret(""))} {
		if strings.Contains(text, "s3cret") {
			t.Errorf("printed: %s", text)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	c := embedded(b)
	body := `{"resourceType":"Observation","id":"%s","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},"subject":{"reference":"Patient/p1"},"effectiveDateTime":"2024-05-06T10:00:00Z","valueQuantity":{"value":70,"unit":"/min"}}`
	next := make(chan int)
	go func() {
		defer close(next)
		for i := range b.N {
			next <- i
		}
	}()
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for i := range next {
				id := fmt.Sprintf("o%d", i)
				if _, err := c.Put(context.Background(), "Observation", id, fmt.Appendf(nil, body, id), ""); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "PUT/s")
}
