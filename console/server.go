package console

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"auscult/schemas"
)

// MaxPages is how many patients' pages are rendered at once; more wait.
const MaxPages = 4

// pageTimeout bounds how long a page may take, waiting included.
const pageTimeout = 10 * time.Second

// Model is what the console knows of a model beyond its scores.
type Model struct {
	Title       string  // as people call it
	Open, Close float64 // where its Flag opens and closes; drawn when Open > 0
}

// Vital is how people call a value, and its unit. Charts are ordered by rank,
// then by label.
type Vital struct {
	Label, Unit string
	Rank        int
}

// Counter is one number for the metrics endpoint.
type Counter struct {
	Name, Help string
	Labels     []Label
	Value      float64
	Gauge      bool // it may fall
}

// Label is one label of a counter.
type Label struct{ Name, Value string }

// Config is what a console shows. Only History is needed. The functions are
// called from several goroutines and must return at once.
type Config struct {
	History  History
	Title    string // of the page, such as the ward's name
	Stages   func() []StageStatus
	Counters func() []Counter
	Models   map[string]Model                     // by model id
	Vital    func(measurement, name string) Vital // may return the zero Vital for what has no name
	// Hosts are the names by which browsers may call the console, beside
	// localhost and addresses; "*" stands for any. A page of somebody else's that
	// makes its own name point here gets nothing: names not listed are refused.
	Hosts []string
	// Ready says why the process is not ready, beyond what the console sees.
	Ready func() error
	// Failed is called when the history stops answering, and with nil when it
	// answers again.
	Failed func(error)
	Clock  func() time.Time // default: time.Now
}

func (c *Config) now() time.Time {
	if c.Clock != nil {
		return c.Clock()
	}
	return time.Now()
}

func (c *Config) stages() []StageStatus {
	if c.Stages == nil {
		return nil
	}
	return c.Stages()
}

// Server is the console as an HTTP handler. It shows nothing new unless Run
// runs.
type Server struct {
	cfg   Config
	hub   *hub
	mux   *http.ServeMux
	pages chan struct{}
}

// New returns a console.
func New(cfg Config) *Server {
	if cfg.Title == "" {
		cfg.Title = "auscult"
	}
	s := &Server{cfg: cfg, mux: http.NewServeMux(), pages: make(chan struct{}, MaxPages)}
	s.hub = newHub(&s.cfg)
	s.mux.HandleFunc("GET /{$}", s.private(s.ward))
	s.mux.HandleFunc("GET /events", s.private(s.wardEvents))
	s.mux.HandleFunc("GET /patients/{id}", s.private(s.patient))
	s.mux.HandleFunc("GET /patients/{id}/events", s.private(s.patientEvents))
	s.mux.HandleFunc("GET /patients/{id}/series", s.private(s.series))
	s.mux.HandleFunc("GET /assets/", s.asset)
	s.mux.HandleFunc("GET /metrics", s.metrics)
	s.mux.HandleFunc("GET /healthz", s.healthz)
	s.mux.HandleFunc("GET /readyz", s.readyz)
	return s
}

// Run keeps the pages up to date until ctx ends. It then ends all streams, so
// that the HTTP server can shut down.
func (s *Server) Run(ctx context.Context) { s.hub.run(ctx) }

// headers of every answer. Scripts, styles and connections come from here and
// nowhere else, nothing is inline, and no address with a patient's id leaves in
// a Referer.
var headers = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Permissions-Policy":           "camera=(), geolocation=(), microphone=()",
	"Referrer-Policy":              "no-referrer",
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for k, v := range headers {
		w.Header().Set(k, v)
	}
	s.mux.ServeHTTP(w, r)
}

// private is for what tells about patients: never cached, and only for callers
// who know us by a name of ours.
func (s *Server) private(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if !s.called(r.Host) {
			http.Error(w, "This console is not known by this name. Add it to the console's hosts in the configuration.", http.StatusMisdirectedRequest)
			return
		}
		next(w, r)
	}
}

// called reports whether host is a name of ours.
func (s *Server) called(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	if _, err := netip.ParseAddr(name); err == nil || name == "localhost" {
		return true
	}
	return slices.ContainsFunc(s.cfg.Hosts, func(h string) bool { return h == "*" || strings.EqualFold(h, name) })
}

// page is what the layout needs.
type page struct {
	Title, Heading string
	Events         string // address of the stream
	Series         string // address of the drawing; empty on the ward's page
	Back           bool
	Parts          map[string]template.HTML
}

func (s *Server) show(w http.ResponseWriter, status int, name string, p page) {
	html, err := execute(name, p)
	if err != nil {
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprint(w, html)
}

// parts are fragments as a template places them.
func parts(all ...[]fragment) map[string]template.HTML {
	m := map[string]template.HTML{}
	for _, fragments := range all {
		for i := range fragments {
			m[fragments[i].id] = template.HTML(fragments[i].html) // made by our templates
		}
	}
	return m
}

func (s *Server) ward(w http.ResponseWriter, _ *http.Request) {
	all, id := s.hub.page()
	s.show(w, http.StatusOK, "ward.html", page{
		Title: s.cfg.Title, Heading: s.cfg.Title, Events: "/events?" + url.Values{"shows": {id}}.Encode(), Parts: parts(all),
	})
}

func (s *Server) patient(w http.ResponseWriter, r *http.Request) {
	k, ok := s.viewKey(w, r)
	if !ok {
		return
	}
	fragments, _, err := s.course(r.Context(), k)
	if err != nil {
		s.refuse(w, err)
		return
	}
	common, _ := s.hub.page()
	q := "?" + url.Values{"hours": {strconv.Itoa(k.hours)}}.Encode()
	s.show(w, http.StatusOK, "patient.html", page{
		Title: "Patient - " + s.cfg.Title, Heading: s.cfg.Title, Back: true,
		Events: patientPath(k.patient) + "/events" + q, Series: patientPath(k.patient) + "/series" + q,
		Parts: parts(onlyCommon(common), fragments),
	})
}

// course renders a patient's page, few at a time.
func (s *Server) course(ctx context.Context, k viewKey) ([]fragment, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	select {
	case s.pages <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	defer func() { <-s.pages }()
	return s.cfg.patient(ctx, k, nil)
}

func (s *Server) series(w http.ResponseWriter, r *http.Request) {
	k, ok := s.viewKey(w, r)
	if !ok {
		return
	}
	series := s.hub.series(k)
	if series == nil {
		var err error
		if _, series, err = s.course(r.Context(), k); err != nil {
			s.refuse(w, err)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, "%s", series)
}

// maxIDBytes is as long as any id that we look up.
const maxIDBytes = 256

// viewKey reads which page is wanted; it has answered when ok is false.
func (s *Server) viewKey(w http.ResponseWriter, r *http.Request) (k viewKey, ok bool) {
	k = viewKey{patient: r.PathValue("id"), hours: DefaultSpan}
	if h := r.URL.Query().Get("hours"); h != "" {
		n, err := strconv.Atoi(h)
		if err != nil || !slices.Contains(spans, n) {
			http.Error(w, "hours is one of "+strings.Trim(fmt.Sprint(spans), "[]")+".", http.StatusBadRequest)
			return k, false
		}
		k.hours = n
	}
	if len(k.patient) > maxIDBytes {
		s.refuse(w, ErrNoPatient)
		return k, false
	}
	return k, true
}

// hoursTicks returns a number of hours as event time.
func hoursTicks(h int) schemas.Ticks { return schemas.Ticks(h) * schemas.TicksPerHour }

// refuse answers with a page that says what is wrong.
func (s *Server) refuse(w http.ResponseWriter, err error) {
	status, text := http.StatusServiceUnavailable, "The warehouse does not answer. Try again in a moment."
	if errors.Is(err, ErrNoPatient) {
		status, text = http.StatusNotFound, "There is no such patient."
	}
	s.show(w, status, "refusal.html", page{Title: s.cfg.Title, Heading: s.cfg.Title, Back: true,
		Parts: map[string]template.HTML{"text": template.HTML(template.HTMLEscapeString(text))}})
}

func (s *Server) asset(w http.ResponseWriter, r *http.Request) {
	if _, ok := assets[strings.TrimPrefix(r.URL.Path, "/assets/")]; !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeFileFS(w, r, assetFiles, strings.TrimPrefix(r.URL.Path, "/"))
}

// stale is how old the last look may be while the process still counts as
// ready.
const stale = 30 * time.Second

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

// readyz says whether the pages are up to date.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	s.hub.mu.Lock()
	polled := s.hub.state.polled
	s.hub.mu.Unlock()
	reason := ""
	switch age := s.cfg.now().Sub(polled); {
	case polled.IsZero():
		reason = "the history has not been read yet"
	case age > stale:
		reason = "the history was last read " + lasting(age) + " ago"
	case s.cfg.Ready != nil:
		if err := s.cfg.Ready(); err != nil {
			reason = err.Error()
		}
	}
	if reason != "" {
		http.Error(w, reason, http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}
