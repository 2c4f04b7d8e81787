package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxTokenAnswer bounds what a token endpoint may send.
const maxTokenAnswer = 1 << 20

// prover adds what proves to a token endpoint who we are.
type prover interface {
	prove(endpoint *smartConfiguration, form url.Values) (proof, error)
	// settings are those to check when the proof is not accepted.
	settings() string
}

// proof is the part of the proof that is no part of the form, and all that
// must not appear in an error.
type proof struct {
	hidden
	header  Secret // Authorization, empty for none
	secrets []Secret
}

// tokenEndpoint asks for tokens with the client credentials grant (RFC 6749,
// section 4.4).
type tokenEndpoint struct {
	hidden
	prover   prover
	auth     Auth
	base     *url.URL // of the FHIR server
	http     *http.Client
	now      func() time.Time
	endpoint *smartConfiguration // nil until it is known
}

func newTokenEndpoint(c Config, base *url.URL, client *http.Client, now func() time.Time, p prover) *tokenEndpoint {
	e := &tokenEndpoint{prover: p, auth: c.Auth, base: base, http: client, now: now}
	if c.Auth.TokenURL != "" {
		e.endpoint = &smartConfiguration{TokenEndpoint: c.Auth.TokenURL}
	}
	return e
}

// outsideClient calls token endpoints. It follows no redirect: our credentials
// go where the configuration says, or nowhere.
func outsideClient(t *http.Transport) *http.Client {
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (e *tokenEndpoint) issue(ctx context.Context) (grant, error) {
	if e.endpoint == nil {
		found, err := e.discover(ctx)
		if err != nil {
			return grant{}, err
		}
		e.endpoint = found
	}
	g, err := e.ask(ctx)
	if err != nil && e.auth.TokenURL == "" {
		e.endpoint = nil // it may have moved
	}
	return g, err
}

func (e *tokenEndpoint) ask(ctx context.Context) (grant, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	for name, value := range map[string]string{"scope": e.auth.Scope, "audience": e.auth.Audience, "resource": e.auth.Resource} {
		if value != "" {
			form.Set(name, value)
		}
	}
	p, err := e.prover.prove(e.endpoint, form)
	if err != nil {
		return grant{}, err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, e.endpoint.TokenEndpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return grant{}, mustChange("the token endpoint is no address: correct auth.tokenURL")
	}
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if p.header != "" {
		q.Header.Set("Authorization", string(p.header))
	}
	asked := e.now() // a life counts from here: the answer may have been on its way for long
	a, err := e.call(q, "asking for a token")
	if err != nil {
		return grant{}, err
	}
	if a.status != http.StatusOK {
		return grant{}, e.refused(a, p)
	}
	return readGrant(a.body, asked)
}

// answer is what a token endpoint has said.
type answer struct {
	hidden
	status int
	header http.Header
	body   []byte
}

func (e *tokenEndpoint) call(q *http.Request, doing string) (*answer, error) {
	q.Header.Set("Accept", "application/json")
	r, err := e.http.Do(q)
	if err == nil {
		defer r.Body.Close()
		a := &answer{status: r.StatusCode, header: r.Header}
		if a.body, err = io.ReadAll(io.LimitReader(r.Body, maxTokenAnswer)); err == nil {
			return a, nil
		}
	}
	err = withoutAddress(err)
	text := fmt.Sprintf("%s at %s: %v", doing, q.URL.Host, err)
	if errors.Is(err, context.DeadlineExceeded) {
		text = fmt.Sprintf("%s: %s does not answer in time", doing, q.URL.Host)
	}
	return nil, mayPass(text, err, 0)
}

// readGrant reads the answer to a successful request (RFC 6749, section 5.1).
func readGrant(body []byte, asked time.Time) (grant, error) {
	var t struct {
		AccessToken string          `json:"access_token"`
		TokenType   string          `json:"token_type"`
		ExpiresIn   json.RawMessage `json:"expires_in"`
	}
	if json.Unmarshal(body, &t) != nil || !isToken(t.AccessToken) {
		return grant{}, mustChange("the token endpoint's answer holds no access_token: check that auth.tokenURL is an OAuth 2.0 token endpoint")
	}
	if t.TokenType != "" && !strings.EqualFold(t.TokenType, "bearer") {
		return grant{}, mustChange("the token endpoint gives tokens of another type than Bearer: have it give Bearer tokens to this client")
	}
	return grant{header: bearerHeader(Secret(t.AccessToken)), issued: asked, expires: asked.Add(lifeOf(t.ExpiresIn))}, nil
}

// lifeOf reads expires_in: a number, which some servers write as a text.
func lifeOf(expiresIn json.RawMessage) time.Duration {
	seconds, err := strconv.ParseFloat(strings.Trim(string(expiresIn), `"`), 64)
	if err != nil || math.IsNaN(seconds) || seconds <= 0 {
		return defaultLife
	}
	return time.Duration(min(seconds, maxLife.Seconds()) * float64(time.Second))
}

// refused reads an answer other than 200.
func (e *tokenEndpoint) refused(a *answer, p proof) *AuthError {
	var o struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal(a.body, &o) // whoever stands before the endpoint may answer anything
	text := fmt.Sprintf("the token endpoint answered %d", a.status)
	if o.Error != "" {
		text += ", " + said(o.Error, p)
	}
	if o.Description != "" {
		text += " (" + said(o.Description, p) + ")"
	}
	busy := a.status >= http.StatusInternalServerError || a.status == http.StatusTooManyRequests || a.status == http.StatusRequestTimeout
	if busy || o.Error == "temporarily_unavailable" || o.Error == "server_error" {
		return mayPass(text, nil, retryAfter(a.header, e.now()))
	}
	return mustChange(text + ": " + e.advice(a.status, o.Error) + e.clockNote(a.header))
}

// advice says which setting to look at.
func (e *tokenEndpoint) advice(status int, code string) string {
	switch code {
	case "invalid_client":
		return "correct " + e.prover.settings()
	case "invalid_scope":
		if e.auth.Scope == "" {
			return "set auth.scope to what this client may ask for"
		}
		return "correct auth.scope, or allow it to this client"
	case "invalid_target":
		return "correct auth.resource and auth.audience"
	case "unauthorized_client":
		return "allow the client_credentials grant to auth.clientID on the token server"
	case "unsupported_grant_type":
		return "allow the client_credentials grant on the token server, or correct auth.tokenURL"
	case "invalid_grant", "invalid_request":
		return "check auth.tokenURL, auth.scope, " + e.prover.settings()
	}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return "correct " + e.prover.settings()
	case status >= 300 && status < 400:
		return "set auth.tokenURL to the address that it redirects to"
	}
	return "set auth.tokenURL to the address of the token endpoint"
}

// clockTolerance is how far two clocks may be apart unmentioned.
const clockTolerance = time.Minute

// clockNote tells of a wrong clock: assertions and tokens are refused for it.
func (e *tokenEndpoint) clockNote(h http.Header) string {
	theirs, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return ""
	}
	switch ahead := e.now().Sub(theirs).Round(time.Second); {
	case ahead > clockTolerance:
		return fmt.Sprintf("; this machine's clock is %s ahead of the token endpoint's", ahead)
	case ahead < -clockTolerance:
		return fmt.Sprintf("; this machine's clock is %s behind the token endpoint's", -ahead)
	}
	return ""
}

// maxSaid is how much of a token endpoint's own words is repeated.
const maxSaid = 300

// said is a token endpoint's own words on one line, without any secret that
// they repeat.
func said(text string, p proof) string {
	for _, s := range p.secrets {
		if s != "" {
			text = strings.ReplaceAll(text, string(s), s.String())
		}
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxSaid {
		text = strings.ToValidUTF8(text[:maxSaid], "")
	}
	return text
}
