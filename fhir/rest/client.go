package rest

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-resty/resty/v2"

	"auscult/fhir"
)

// Limits of what a server may send.
const (
	maxAnswerBytes = 64 << 20
	maxPages       = 200
	maxMatches     = 50_000 // of one search or history, all pages together
	pageSize       = "200"  // asked for; servers have limits of their own
	// tokenConnections is enough for one request at a time.
	tokenConnections = 2
)

// Client is a connection to one FHIR server. It may be used by any number of
// goroutines.
type Client struct {
	hidden
	resty   *resty.Client
	base    *url.URL // without a slash at the end
	auth    authorizer
	outside *http.Client  // of token endpoints
	slots   chan struct{} // one for each request that may run
}

// New returns a client. It does not connect.
func New(c Config) (*Client, error) {
	return open(c, surroundings{now: time.Now, azure: azure})
}

func open(c Config, s surroundings) (*Client, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.WithDefaults()
	base, err := url.Parse(strings.TrimRight(c.BaseURL, "/"))
	if err != nil {
		return nil, err
	}
	secure, err := c.TLS.config()
	if err != nil {
		return nil, err
	}
	beside, err := c.TLS.beside(secure)
	if err != nil {
		return nil, err
	}
	outside := outsideClient(transport(tokenConnections, beside))
	auth, err := newAuthorizer(c, base, outside, s)
	if err != nil {
		return nil, err
	}
	r := resty.New().
		SetTransport(transport(c.Connections, secure)).
		SetTimeout(c.Timeout).
		SetHeaders(c.Headers).
		SetHeader("Accept", "application/fhir+json").
		SetResponseBodyLimit(maxAnswerBytes).
		SetDisableWarn(true).
		SetLogger(silent{})
	return &Client{resty: r, base: base, auth: auth, outside: outside, slots: make(chan struct{}, c.Connections)}, nil
}

// transport keeps as many connections as requests may run: Go's default of two
// a host would open and close one for almost every request.
func transport(connections int, secure *tls.Config) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost, t.MaxConnsPerHost = connections, connections, connections
	t.TLSClientConfig = secure
	return t
}

// Close closes the connections that are kept.
func (c *Client) Close() {
	c.resty.GetClient().CloseIdleConnections()
	c.outside.CloseIdleConnections()
}

// silent is a logger for resty that writes nothing: addresses hold identifiers.
type silent struct{}

func (silent) Errorf(string, ...any) {}
func (silent) Warnf(string, ...any)  {}
func (silent) Debugf(string, ...any) {}

// request is one HTTP request.
type request struct {
	method, address string
	body            []byte
	headers         map[string]string
}

// send makes one attempt, and another with a new token where the old one was
// refused. An answer other than 2xx is a *fhir.StatusError.
func (c *Client) send(ctx context.Context, q request) (*resty.Response, error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	a, err := c.attempt(ctx, q)
	if err != nil {
		return nil, err
	}
	if a.IsError() || a.StatusCode() < 200 || a.StatusCode() > 299 {
		return nil, statusError(q.method, a.StatusCode(), a.Header(), a.Body())
	}
	return a, nil
}

func (c *Client) attempt(ctx context.Context, q request) (*resty.Response, error) {
	header, err := c.auth.authorize(ctx)
	if err != nil {
		return nil, err
	}
	a, err := c.execute(ctx, q, header)
	if err != nil || !c.auth.heard(header, a.StatusCode()) {
		return a, err
	}
	next, err := c.auth.authorize(ctx)
	if err != nil {
		return nil, err
	}
	if next == header { // whoever gives the tokens has no other
		return a, nil
	}
	if a, err = c.execute(ctx, q, next); err == nil {
		c.auth.heard(next, a.StatusCode())
	}
	return a, err
}

func (c *Client) execute(ctx context.Context, q request, header Secret) (*resty.Response, error) {
	r := c.resty.R().SetContext(ctx).SetHeaders(q.headers)
	if header != "" {
		r.SetHeader("Authorization", string(header))
	}
	if q.body != nil {
		r.SetHeader("Content-Type", "application/fhir+json").SetBody(q.body)
	}
	a, err := r.Execute(q.method, q.address)
	if err != nil {
		return nil, fmt.Errorf("calling the FHIR server: %w", withoutAddress(err))
	}
	return a, nil
}

// withoutAddress takes the address away that net/http puts into its errors:
// searches hold identifiers, and errors get logged.
func withoutAddress(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// address returns the address of a resource type or of one resource.
func (c *Client) address(path ...string) string {
	var b strings.Builder
	b.WriteString(c.base.String())
	for _, p := range path {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(p))
	}
	return b.String()
}

// Read returns a resource: without ID when the server has none, with Gone set
// when it is deleted.
func (c *Client) Read(ctx context.Context, resourceType, id string) (fhir.Stored, error) {
	a, err := c.send(ctx, request{method: http.MethodGet, address: c.address(resourceType, id), headers: noCache})
	if absent, gone := absence(err); absent {
		return fhir.Stored{Gone: gone}, nil
	}
	if err != nil {
		return fhir.Stored{}, err
	}
	s, err := storedOf(a.Body())
	if err != nil {
		return fhir.Stored{}, err
	}
	if v := versionOf(a.Header()); v != "" {
		s.Version = v
	}
	return s, nil
}

// noCache keeps servers from answering out of a search cache: HAPI does so for
// a minute, with empty answers too.
var noCache = map[string]string{"Cache-Control": "no-cache"}

func absence(err error) (absent, gone bool) {
	var status *fhir.StatusError
	if !errors.As(err, &status) {
		return false, false
	}
	gone = status.Status == http.StatusGone
	return gone || status.Status == http.StatusNotFound, gone
}

// Put writes a resource under its id; with a version only over that version.
// The server is asked for a short answer, so JSON may be empty.
func (c *Client) Put(ctx context.Context, resourceType, id string, body []byte, version string) (fhir.Stored, error) {
	headers := map[string]string{"Prefer": "return=minimal"}
	if version != "" {
		headers["If-Match"] = etag(version)
	}
	a, err := c.send(ctx, request{method: http.MethodPut, address: c.address(resourceType, id), body: body, headers: headers})
	if err != nil {
		return fhir.Stored{}, err
	}
	s := fhir.Stored{ID: id, Version: versionOf(a.Header())}
	if got, err := storedOf(a.Body()); err == nil && got.ID == id {
		s.JSON = got.JSON
		if s.Version == "" {
			s.Version = got.Version
		}
	}
	return s, nil
}

func etag(version string) string { return `W/"` + version + `"` }

// versionOf reads the version of a resource from the headers of an answer.
func versionOf(h http.Header) string {
	if v := bareVersion(h.Get("ETag")); v != "" {
		return v
	}
	for _, name := range []string{"Content-Location", "Location"} {
		if v := locationVersion(h.Get(name)); v != "" {
			return v
		}
	}
	return ""
}

// bareVersion reads W/"1", "1" and 1: HAPI writes the last into batches.
func bareVersion(etag string) string {
	return strings.Trim(strings.TrimPrefix(strings.TrimSpace(etag), "W/"), `"`)
}

func locationVersion(location string) string {
	_, v, _ := strings.Cut(location, "/_history/")
	return v
}

// head is what every resource begins with.
type head struct {
	ResourceType string `json:"resourceType"`
	ID           string `json:"id"`
	Meta         struct {
		VersionID string `json:"versionId"`
	} `json:"meta"`
}

func storedOf(body []byte) (fhir.Stored, error) {
	var h head
	if err := json.Unmarshal(body, &h); err != nil || h.ResourceType == "" {
		return fhir.Stored{}, errors.New("reading the FHIR server's answer: it is no FHIR JSON; check that baseURL is the server's FHIR address")
	}
	return fhir.Stored{ID: h.ID, Version: h.Meta.VersionID, JSON: body}, nil
}
