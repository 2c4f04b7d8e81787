package console

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

// polled is a console that has looked once.
func polled(t *testing.T, cfg Config) *Server {
	t.Helper()
	s := New(cfg)
	s.hub.begin()
	s.hub.poll(context.Background())
	t.Cleanup(s.hub.stop)
	return s
}

func get(s *Server, target string, how ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8080"+target, nil)
	for _, f := range how {
		f(r)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func host(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }

func TestRoutes(t *testing.T) {
	s := polled(t, testConfig(testWard()))
	for _, c := range []struct {
		path   string
		status int
		text   string
	}{
		{"/", 200, "Bed 11"},
		{"/patients/id-Bed%204", 200, "Heart rate"},
		{"/patients/id-Bed%204?hours=24", 200, `href="/patients/id-Bed%204?hours=24" aria-current="page"`},
		{"/patients/id-Bed%204?hours=7", 400, "2 8 24 48"},
		{"/patients/id-Bed%204?hours=1e9", 400, "2 8 24 48"},
		{"/patients/nobody", 404, "There is no such patient."},
		{"/patients/" + strings.Repeat("x", 300), 404, "There is no such patient."},
		{"/patients/id-Bed%204/series", 200, `"key":"HR/v"`},
		{"/patients/nobody/series", 404, "There is no such patient."},
		{"/healthz", 200, "ok"},
		{"/readyz", 200, "ready"},
		{"/metrics", 200, "auscult_stage_lag"},
		{"/assets/app.js", 200, "use strict"},
		{"/assets/vendor/uPlot.iife.min.js", 200, "uPlot"},
		{"/assets/", 404, ""},
		{"/assets/README.md", 404, ""},
		{"/assets/../server.go", 307, ""},
		{"/nothing", 404, ""},
	} {
		w := get(s, c.path)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.text) {
			t.Errorf("%s answers %d %.200s, want %d with %q", c.path, w.Code, w.Body, c.status, c.text)
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "http://localhost/", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST answers %d", w.Code)
	}
}

func TestHeaders(t *testing.T) {
	s := polled(t, testConfig(testWard()))
	for _, path := range []string{"/", "/patients/id-Bed%204", "/patients/nobody", "/nothing", "/assets/app.css", "/metrics"} {
		w := get(s, path)
		for k, v := range headers {
			if got := w.Header().Get(k); got != v {
				t.Errorf("%s: %s is %q", path, k, got)
			}
		}
	}
	for path, want := range map[string]string{"/": "no-store", "/patients/id-Bed%204/series": "no-store", "/assets/app.css": "public, max-age=31536000, immutable"} {
		if got := get(s, path).Header().Get("Cache-Control"); got != want {
			t.Errorf("%s: Cache-Control is %q", path, got)
		}
	}
	if strings.Contains(headers["Content-Security-Policy"], "unsafe") {
		t.Error("the policy has a hole")
	}
}

// Every asset that a page names must be there, under the address that it has.
func TestPagesNameTheirAssets(t *testing.T) {
	s := polled(t, testConfig(testWard()))
	named := regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`)
	for page, n := range map[string]int{"/": 5, "/patients/id-Bed%204": 7} {
		all := named.FindAllStringSubmatch(get(s, page).Body.String(), -1)
		if len(all) != n {
			t.Errorf("%s names %d assets, want %d", page, len(all), n)
		}
		for _, m := range all {
			if w := get(s, m[1]); w.Code != 200 || w.Body.Len() == 0 {
				t.Errorf("%s answers %d", m[1], w.Code)
			}
		}
	}
}

// A page of somebody else's that makes its own name point to this machine must
// not read the ward.
func TestNamesOfOthersAreRefused(t *testing.T) {
	cfg := testConfig(testWard())
	cfg.Hosts = []string{"Ward7.example.org"}
	s := polled(t, cfg)
	for name, want := range map[string]int{
		"localhost:8080": 200, "127.0.0.1": 200, "[::1]:8080": 200, "10.1.2.3:80": 200, "ward7.example.org": 200, "WARD7.example.org:443": 200,
		"evil.example": 421, "localhost.evil.example:8080": 421, "127.0.0.1.evil.example": 421, "": 421,
	} {
		for _, path := range []string{"/", "/patients/id-Bed%204", "/patients/id-Bed%204/series"} {
			if w := get(s, path, host(name)); w.Code != want {
				t.Errorf("%s called %q answers %d, want %d", path, name, w.Code, want)
			}
		}
		if w := get(s, "/metrics", host(name)); w.Code != 200 {
			t.Errorf("metrics called %q answer %d", name, w.Code)
		}
	}
	cfg.Hosts = []string{"*"}
	if w := get(polled(t, cfg), "/", host("anything.example")); w.Code != 200 {
		t.Errorf("with * it answers %d", w.Code)
	}
}

// What devices and people call things is text, never markup.
func TestNamesAreEscaped(t *testing.T) {
	const evil = `</tbody><script>alert(1)</script>"'>`
	f := testWard()
	f.standings[0].Identifier, f.standings[0].Missing = evil, []string{evil}
	f.standings[0].Inputs[0].Value = evil
	f.flags[1].Device, f.flags[0].Rule = evil, evil
	f.letters[0].Reason = evil
	c := f.courses["id-Bed 4"]
	c.Identifier, c.System, c.Series[0].Type, c.Series[5].Panes[0].Last = evil, evil, evil, evil
	f.courses["id-Bed 4"] = c
	s := polled(t, testConfig(f))
	for _, path := range []string{"/", "/patients/id-Bed%204"} {
		if body := get(s, path).Body.String(); strings.Contains(body, "<script>alert") || !strings.Contains(body, "&lt;script&gt;alert") {
			t.Errorf("%s lets markup through", path)
		}
	}
	if body := get(s, "/patients/id-Bed%204/series").Body.String(); strings.Contains(body, "<script>") {
		t.Error("the drawing lets markup through")
	}
}

func TestProbes(t *testing.T) {
	f := testWard()
	cfg := testConfig(f)
	now := noon
	var unready error
	cfg.Clock, cfg.Ready = func() time.Time { return now }, func() error { return unready }
	s := New(cfg)
	if w := get(s, "/readyz"); w.Code != 503 {
		t.Errorf("before the first look it is ready: %d", w.Code)
	}
	if w := get(s, "/"); w.Code != 200 || !strings.Contains(w.Body.String(), "No patients yet") {
		t.Errorf("before the first look the page answers %d", w.Code)
	}
	s.hub.begin()
	s.hub.poll(context.Background())
	if w := get(s, "/readyz"); w.Code != 200 {
		t.Errorf("after the first look: %d %s", w.Code, w.Body)
	}
	unready = errors.New("the broker does not answer")
	if w := get(s, "/readyz"); w.Code != 503 || !strings.Contains(w.Body.String(), "broker") {
		t.Errorf("with a reason of its own: %d %s", w.Code, w.Body)
	}
	unready, now = nil, noon.Add(2*stale)
	if w := get(s, "/readyz"); w.Code != 503 || get(s, "/healthz").Code != 200 {
		t.Errorf("with an old look: %d", w.Code)
	}
}

func TestMetrics(t *testing.T) {
	cfg := testConfig(testWard())
	cfg.Counters = func() []Counter {
		return []Counter{{Name: "auscult_fhir_written_total", Help: "Resources written.", Value: 7, Labels: []Label{{"kind", "a\"b\\c\n"}}}}
	}
	got := get(polled(t, cfg), "/metrics").Body.String()
	for _, line := range []string{
		"# TYPE auscult_stage_lag gauge", `auscult_stage_lag{stage="deliver"} 5210`, `auscult_stage_records_total{stage="observe"} 1.284395e+06`,
		`auscult_stage_last_message_age_seconds{stage="normalize"} 2`, `auscult_stage_waiting_seconds{stage="deliver"} 180`,
		`auscult_stage_waiting_seconds{stage="observe"} 0`, `auscult_dead_letters{stage="observe",reason="late"} 12`,
		`auscult_open_flags{kind="clinical"} 1`, "auscult_patients 7", `auscult_fhir_written_total{kind="a\"b\\c\n"} 7`, "# TYPE auscult_fhir_written_total counter",
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("no line %s in\n%s", line, got)
		}
	}
	if strings.Count(got, "# HELP auscult_stage_lag ") != 1 || strings.Contains(got, "Bed") {
		t.Errorf("metrics:\n%s", got)
	}
}

// TestStream follows a real connection from the first message to the end of the
// process.
func TestStream(t *testing.T) {
	f := testWard()
	s := New(testConfig(f))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	srv := httptest.NewServer(s)
	defer srv.Close()
	defer http.DefaultClient.CloseIdleConnections()

	resp := stream(t, srv.URL+"/events", "an-earlier.1")
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("the stream is %q", got)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	expect(t, lines, "event: beat")
	expect(t, lines, "Bed 11")
	f.change(func(f *fakeHistory) { f.standings[5].Identifier = "Bed 77" })
	expect(t, lines, "Bed 77")
	cancel()
	<-done
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Errorf("the stream ended with %v", err)
	}
	if resp := stream(t, srv.URL+"/patients/id-Bed%204/events?hours=8", ""); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("after the end a stream answers %d", resp.StatusCode)
	} else {
		resp.Body.Close()
	}
}

// stream opens one after what an earlier connection has heard.
func stream(t *testing.T, address, last string) *http.Response {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func expect(t *testing.T, lines *bufio.Scanner, text string) {
	t.Helper()
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			return
		}
	}
	t.Fatalf("the stream ended before %q (%v)", text, lines.Err())
}
