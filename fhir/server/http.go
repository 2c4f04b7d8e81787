package server

import (
	"compress/gzip"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxBodyBytes limits a request, unpacked: a bundle of maxEntries resources, or
// a day of SampledData.
const maxBodyBytes = 32 << 20

// maxAddressBytes limits the address of a request and of an entry.
const maxAddressBytes = 16 << 10

const contentType = "application/fhir+json; charset=utf-8"

// call is one interaction, whether it came as an HTTP request or as an entry of
// a bundle.
type call struct {
	method      string
	kind, id    string // resource type and logical id, empty when not named
	history     bool
	version     int64 // of a vread, 0 for none
	query       url.Values
	unless      preconditions
	ifNoneExist string
	strict      bool // Prefer: handling=strict
	minimal     bool // Prefer: return=minimal
	base        string
	resource    *value
}

// answer is what an interaction gives back.
type answer struct {
	status   int
	resource *stored // sets ETag, Last-Modified and Location
	body     []byte
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, err := s.serve(w, r)
	h := w.Header()
	h.Set("Content-Type", contentType)
	if err != nil {
		p := problemOf(err)
		w.WriteHeader(p.status)
		_, _ = w.Write(p.outcome()) // the client is gone: nobody is left to be told
		return
	}
	if a.resource != nil {
		h.Set("ETag", a.resource.etag())
		h.Set("Last-Modified", time.UnixMilli(a.resource.updated).UTC().Format(http.TimeFormat))
		if a.status == http.StatusCreated {
			h.Set("Location", baseOf(r)+"/"+a.resource.location())
		}
	}
	if a.body == nil {
		h.Del("Content-Type")
	}
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.body) // as above
	}
}

func (s *stored) location() string {
	return s.kind + "/" + s.id + "/_history/" + strconv.FormatInt(s.version, 10)
}

func baseOf(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host + Base
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) (*answer, error) {
	path, ok := strings.CutPrefix(r.URL.Path, Base)
	if !ok || path != "" && path[0] != '/' {
		return nil, problemf(http.StatusNotFound, "not-found", "FHIR is served under %s", Base)
	}
	path = strings.Trim(path, "/")
	c, err := newCall(r)
	if err != nil {
		return nil, err
	}
	if path == "metadata" && c.method == http.MethodGet {
		body, err := s.capabilities(c.base)
		return &answer{status: http.StatusOK, body: body}, err
	}
	if kind, ok := strings.CutSuffix(path, "/_search"); ok && c.method == http.MethodPost {
		return s.postedSearch(w, r, c, kind)
	}
	if c.method == http.MethodPost || c.method == http.MethodPut {
		if c.resource, err = readBody(w, r); err != nil {
			return nil, err
		}
	}
	if path == "" {
		return s.bundle(r.Context(), c)
	}
	if err := c.address(path); err != nil {
		return nil, err
	}
	return s.do(r.Context(), c)
}

// newCall reads the parts of a request that every interaction shares.
func newCall(r *http.Request) (*call, error) {
	if len(r.URL.Path)+len(r.URL.RawQuery) > maxAddressBytes {
		return nil, problemf(http.StatusRequestURITooLong, "too-long", "an address has at most %d bytes; POST longer searches to _search", maxAddressBytes)
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, problemf(http.StatusBadRequest, "structure", "reading the query: %v", err)
	}
	c := &call{method: r.Method, base: baseOf(r), query: query, ifNoneExist: r.Header.Get("If-None-Exist"),
		unless: preconditions{ifMatch: r.Header.Get("If-Match"), ifNoneMatch: r.Header.Get("If-None-Match")}}
	// A time that cannot be read is no condition, says RFC 9110.
	c.unless.modifiedSince, _ = http.ParseTime(r.Header.Get("If-Modified-Since"))
	if c.method == http.MethodHead {
		c.method = http.MethodGet
	}
	for _, prefer := range r.Header.Values("Prefer") {
		c.strict = c.strict || strings.Contains(prefer, "handling=strict")
		c.minimal = c.minimal || strings.Contains(prefer, "return=minimal")
	}
	return c, nil
}

func (s *Server) postedSearch(w http.ResponseWriter, r *http.Request, c *call, kind string) (*answer, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
	if err := r.ParseForm(); err != nil {
		return nil, problemf(http.StatusBadRequest, "structure", "reading the search form: %v", err)
	}
	c.method, c.query = http.MethodGet, r.Form
	if err := c.address(kind); err != nil {
		return nil, err
	}
	return s.do(r.Context(), c)
}

// address reads Type, Type/id, Type/id/_history and Type/id/_history/version.
func (c *call) address(path string) error {
	parts := strings.Split(path, "/")
	if _, ok := paramsOf(parts[0]); !ok {
		return problemf(http.StatusNotFound, "not-supported", "R4 has no resource type %q", parts[0])
	}
	c.kind = parts[0]
	if len(parts) == 1 {
		return nil
	}
	c.id = parts[1]
	if !idForm.MatchString(c.id) {
		return problemf(http.StatusNotFound, "not-found", "an id has 1 to 64 characters A-Z a-z 0-9 - .; operations are not supported")
	}
	if len(parts) == 2 {
		return nil
	}
	c.history = parts[2] == "_history"
	if len(parts) == 4 {
		c.version, _ = strconv.ParseInt(parts[3], 10, 64)
	}
	if !c.history || len(parts) > 4 || len(parts) == 4 && c.version < 1 || c.method != http.MethodGet {
		return problemf(http.StatusNotFound, "not-found", "there is nothing at this address")
	}
	return nil
}

// readBody parses a JSON resource.
func readBody(w http.ResponseWriter, r *http.Request) (*value, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); r.Header.Get("Content-Type") != "" && (err != nil || !strings.HasSuffix(media, "json")) {
		return nil, problemf(http.StatusUnsupportedMediaType, "not-supported", "send application/fhir+json")
	}
	var body io.Reader = http.MaxBytesReader(w, r.Body, maxBodyBytes)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			return nil, problemf(http.StatusBadRequest, "structure", "reading gzip: %v", err)
		}
		body = io.LimitReader(unpacked, maxBodyBytes+1)
	}
	text, err := io.ReadAll(body)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) || len(text) > maxBodyBytes {
		return nil, problemf(http.StatusRequestEntityTooLarge, "too-long", "a request has at most %d bytes", maxBodyBytes)
	}
	if err != nil {
		return nil, problemf(http.StatusBadRequest, "structure", "reading the request: %v", err)
	}
	resource, err := parse(text)
	if err != nil {
		return nil, problemf(http.StatusBadRequest, "structure", "the body is no FHIR JSON: %v", err)
	}
	return resource, nil
}

// newID returns a random UUID for a resource that comes without an id.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, says its documentation
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// countOf reads _count of a history.
func countOf(query url.Values) int {
	n, err := strconv.Atoi(query.Get("_count"))
	if err != nil || n < 1 {
		return defaultCount
	}
	return min(n, maxCount)
}

// beforeOf reads the version below which a page of a history begins.
func beforeOf(query url.Values) int64 {
	n, err := strconv.ParseInt(query.Get("_before"), 10, 64)
	if err != nil {
		return math.MaxInt64
	}
	return n
}
