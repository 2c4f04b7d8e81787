package rest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"auscult/fhir"
	"auscult/fhir/rest"
)

// wallClock can be set. It begins at the machine's time, as servers tell it in
// the header Date.
type wallClock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *wallClock { return &wallClock{at: time.Now().Round(0)} }

func (c *wallClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *wallClock) step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// authority is a token endpoint and a FHIR server that believes it. Tokens are
// token-1, token-2 and so on.
type authority struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	requests []tokenRequest // those for tokens
	revoked  []string
	accepted []string // tokens that the FHIR server has let in
	calls    int      // of the FHIR server

	// play answers in place of the token endpoint, when it returns true.
	play func(w http.ResponseWriter, r *http.Request) bool
	// smart is the .well-known/smart-configuration; empty = there is none.
	smart     string
	expiresIn string
}

type tokenRequest struct {
	form           url.Values
	user, password string
	basic          bool
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, expiresIn: "3600"}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", a.token)
	mux.HandleFunc("GET /fhir/.well-known/smart-configuration", func(w http.ResponseWriter, r *http.Request) {
		if a.smart == "" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, strings.ReplaceAll(a.smart, "BASE", a.URL))
	})
	mux.HandleFunc("/fhir/", a.fhir)
	a.Server = httptest.NewServer(mux)
	t.Cleanup(a.Close)
	return a
}

func (a *authority) token(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		a.t.Error(err)
	}
	q := tokenRequest{form: r.PostForm}
	q.user, q.password, q.basic = r.BasicAuth()
	a.mu.Lock()
	a.requests = append(a.requests, q)
	n, play, expires := len(a.requests), a.play, a.expiresIn
	a.mu.Unlock()
	if play != nil && play(w, r) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"bearer","expires_in":%s}`, n, expires)
}

func (a *authority) fhir(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls++
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || slices.Contains(a.revoked, token) || slices.Contains(a.revoked, "all") {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	a.accepted = append(a.accepted, token)
	w.WriteHeader(http.StatusNotFound)
}

func (a *authority) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

// asked is how many tokens were asked for.
func (a *authority) asked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.requests)
}

func (a *authority) last() tokenRequest {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requests[len(a.requests)-1]
}

func (a *authority) lastAccepted() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.accepted) == 0 {
		return ""
	}
	return a.accepted[len(a.accepted)-1]
}

// clientSecret has everything that wants escaping.
const clientSecret = "s3cr3t&%:+/ =\u00e9"

func oauth2() rest.Auth {
	return rest.Auth{Kind: rest.KindOAuth2, ClientID: "auscult:1", ClientSecret: clientSecret}
}

// client is a client of the authority's FHIR server.
func (a *authority) client(auth rest.Auth, c *wallClock) *rest.Client {
	a.t.Helper()
	if auth.TokenURL == "" && a.smart == "" {
		auth.TokenURL = a.URL + "/token"
	}
	client, err := rest.NewAt(rest.Config{BaseURL: a.URL + "/fhir", Auth: auth}, c.now, rest.RealAzure)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(client.Close)
	return client
}

// call reads a resource that is not there.
func call(c *rest.Client) error {
	_, err := c.Read(context.Background(), "Patient", "p")
	return err
}

// again reports whether another attempt may help, as Deliver sees it.
func again(err error) bool {
	var a *rest.AuthError
	if !errors.As(err, &a) {
		return false
	}
	var s *fhir.StatusError
	return errors.As(err, &s) && a.Again() == (s.Status != http.StatusUnauthorized) && a.Again()
}

func noSecret(t *testing.T, text string, secrets ...string) {
	t.Helper()
	for _, s := range append(secrets, clientSecret, url.QueryEscape(clientSecret), "token-1", "token-2") {
		if strings.Contains(text, s) {
			t.Errorf("%q is in %s", s, text)
		}
	}
}

func TestClientCredentials(t *testing.T) {
	for how, want := range map[string]bool{"": true, rest.ClientSecretBasic: true, rest.ClientSecretPost: false} {
		t.Run("secret "+how, func(t *testing.T) {
			a := newAuthority(t)
			auth := oauth2()
			auth.ClientAuth, auth.Scope, auth.Audience, auth.Resource = how, "system/*.read system/*.write", "https://fhir", "urn:r"
			c := a.client(auth, newClock())
			for range 3 {
				if err := call(c); err != nil {
					t.Fatal(err)
				}
			}
			if a.asked() != 1 || a.lastAccepted() != "token-1" {
				t.Errorf("asked for %d tokens, sent %s", a.asked(), a.lastAccepted())
			}
			q := a.last()
			for name, value := range map[string]string{"grant_type": "client_credentials", "scope": auth.Scope, "audience": auth.Audience, "resource": auth.Resource} {
				if q.form.Get(name) != value {
					t.Errorf("%s is %q", name, q.form.Get(name))
				}
			}
			id, secret := q.form.Get("client_id"), q.form.Get("client_secret")
			if q.basic {
				id, _ = url.QueryUnescape(q.user)
				secret, _ = url.QueryUnescape(q.password)
				if q.form.Has("client_secret") {
					t.Error("the secret is in the form as well")
				}
			}
			if q.basic != want || id != "auscult:1" || secret != clientSecret {
				t.Errorf("header %t, client %q, secret %q", q.basic, id, secret)
			}
		})
	}
}

func TestTokenEndpointIsDiscovered(t *testing.T) {
	for name, test := range map[string]struct {
		smart string
		basic bool
		want  string // of the error; "" = a token
		again bool
	}{
		"named":              {`{"token_endpoint":"BASE/token"}`, true, "", false},
		"takes the form":     {`{"token_endpoint":"BASE/token","token_endpoint_auth_methods_supported":["client_secret_post","private_key_jwt"]}`, false, "", false},
		"takes both":         {`{"token_endpoint":"BASE/token","token_endpoint_auth_methods_supported":["client_secret_post","client_secret_basic"]}`, true, "", false},
		"names none":         {`{"issuer":"x"}`, false, "names no token endpoint that could be used: set auth.tokenURL", false},
		"names a file":       {`{"token_endpoint":"file:///token"}`, false, "names no token endpoint", false},
		"names a bad host":   {`{"token_endpoint":"http://user:pass@x/token"}`, false, "names no token endpoint", false},
		"is no JSON":         {`<html>`, false, "names no token endpoint", false},
		"leads to elsewhere": {`{"token_endpoint":"http://127.0.0.1:1/token"}`, false, "asking for a token at 127.0.0.1:1", true},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t)
			a.smart = test.smart
			err := call(a.client(oauth2(), newClock()))
			if test.want == "" {
				if err != nil || a.last().basic != test.basic {
					t.Errorf("%v, %+v", err, a.last())
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || again(err) != test.again {
				t.Errorf("%v, again %t", err, again(err))
			}
		})
	}
	t.Run("is not published", func(t *testing.T) {
		h := httptest.NewServer(http.NotFoundHandler())
		defer h.Close()
		err := call(dial(t, rest.Config{BaseURL: h.URL, Auth: oauth2()}))
		if err == nil || !strings.Contains(err.Error(), "(/.well-known/smart-configuration answered 404): set auth.tokenURL") || again(err) || status(err) != http.StatusUnauthorized {
			t.Errorf("%v", err)
		}
	})
	t.Run("is not published at the moment", func(t *testing.T) {
		h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
		defer h.Close()
		if err := call(dial(t, rest.Config{BaseURL: h.URL, Auth: oauth2()})); !again(err) {
			t.Errorf("%v", err)
		}
	})
}

func TestTokenIsRenewedEarly(t *testing.T) {
	a, clock := newAuthority(t), newClock()
	c := a.client(oauth2(), clock)
	down := func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", "20")
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	for _, step := range []struct {
		after time.Duration
		down  bool
		asked int
		sent  string // "" = an error
	}{
		{0, false, 1, "token-1"},
		{54 * time.Minute, false, 1, "token-1"},
		{90 * time.Second, true, 2, "token-1"}, // 55:30: due, and good for as long as it lives
		{10 * time.Second, true, 2, "token-1"}, // the endpoint has asked for 20 s
		{11 * time.Second, true, 3, "token-1"},
		{25 * time.Second, false, 4, "token-4"},
		{time.Hour, true, 5, ""},
		{time.Second, true, 5, ""}, // what it said still stands
		{30 * time.Second, false, 6, "token-6"},
	} {
		clock.step(step.after)
		a.set(func() {
			a.play = nil
			if step.down {
				a.play = down
			}
		})
		err := call(c)
		if step.sent == "" {
			var s *fhir.StatusError
			if !again(err) || !errors.As(err, &s) || s.Status != http.StatusServiceUnavailable || s.RetryAfter != 20*time.Second {
				t.Errorf("%+v: %v", step, err)
			}
		} else if err != nil || a.lastAccepted() != step.sent {
			t.Errorf("%+v: %v, sent %s", step, err, a.lastAccepted())
		}
		if a.asked() != step.asked {
			t.Errorf("%+v: asked for %d tokens", step, a.asked())
		}
	}
}

func TestLives(t *testing.T) {
	for expires, early := range map[string]time.Duration{
		"3600": 55 * time.Minute, `"600"`: 8 * time.Minute, "10": 8 * time.Second, "1.5": 1200 * time.Millisecond,
		"null": 4 * time.Minute, "-1": 4 * time.Minute, `"soon"`: 4 * time.Minute, "1e300": 24*time.Hour - 5*time.Minute,
	} {
		t.Run(expires, func(t *testing.T) {
			a, clock := newAuthority(t), newClock()
			a.expiresIn = expires
			c := a.client(oauth2(), clock)
			for _, step := range []struct {
				after time.Duration
				asked int
			}{{0, 1}, {early - time.Millisecond, 1}, {2 * time.Millisecond, 2}} {
				clock.step(step.after)
				if err := call(c); err != nil || a.asked() != step.asked {
					t.Errorf("after %s: %v, asked for %d tokens, want %d", step.after, err, a.asked(), step.asked)
				}
			}
		})
	}
}

// TestConcurrentUse: one request for a token at a time. Who has a valid token
// does not wait for the next one.
func TestConcurrentUse(t *testing.T) {
	a, clock := newAuthority(t), newClock()
	c := a.client(oauth2(), clock)
	began, proceed := make(chan struct{}, 100), make(chan struct{})
	a.play = func(http.ResponseWriter, *http.Request) bool {
		began <- struct{}{}
		<-proceed
		return false
	}
	all := func(n int) *sync.WaitGroup {
		var group sync.WaitGroup
		for range n {
			group.Go(func() {
				if err := call(c); err != nil {
					t.Error(err)
				}
			})
		}
		return &group
	}
	first := all(20)
	<-began
	proceed <- struct{}{}
	first.Wait()
	if a.asked() != 1 {
		t.Fatalf("asked for %d tokens", a.asked())
	}
	clock.step(56 * time.Minute)
	renewal := all(1)
	<-began
	all(20).Wait() // while the renewal hangs
	if a.asked() != 2 || a.lastAccepted() != "token-1" {
		t.Errorf("asked for %d tokens, sent %s", a.asked(), a.lastAccepted())
	}
	proceed <- struct{}{}
	renewal.Wait()
	if err := call(c); err != nil || a.asked() != 2 || a.lastAccepted() != "token-2" {
		t.Errorf("%v, asked for %d tokens, sent %s", err, a.asked(), a.lastAccepted())
	}
}

// TestRenewalGoesOn: a caller who gives up neither spoils the next one's attempt
// nor holds it up.
func TestRenewalGoesOn(t *testing.T) {
	a := newAuthority(t)
	c := a.client(oauth2(), newClock())
	began := make(chan struct{})
	var once atomic.Bool
	a.play = func(_ http.ResponseWriter, r *http.Request) bool {
		if once.Swap(true) {
			return false
		}
		close(began)
		<-r.Context().Done()
		return true
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		if _, err := c.Read(ctx, "Patient", "p"); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
	<-began
	group.Go(func() {
		if err := call(c); err != nil {
			t.Error(err)
		}
	})
	cancel()
	group.Wait()
	if a.asked() != 2 {
		t.Errorf("asked for %d tokens", a.asked())
	}
}

// TestRefusedToken: a token that has worked and is refused is renewed once; one
// that has never worked is not, so that a server which refuses everything does
// not cost a token with each request.
func TestRefusedToken(t *testing.T) {
	a, clock := newAuthority(t), newClock()
	c := a.client(oauth2(), clock)
	for _, step := range []struct {
		revoke              string
		after               time.Duration
		asked, calls, wants int
	}{
		{"all", 0, 1, 1, 401},               // never accepted: no second one
		{"all", 0, 1, 1, 401},               // nor with the next request
		{"all", 2 * time.Minute, 2, 2, 401}, // it may have become too old
		{"", 0, 2, 1, 404},
	} {
		clock.step(step.after)
		a.set(func() { a.revoked, a.calls = []string{step.revoke}, 0 })
		_, err := c.Put(context.Background(), "Patient", "p", []byte(`{}`), "")
		if status(err) != step.wants || a.asked() != step.asked || a.calls != step.calls {
			t.Errorf("%+v: %v, asked for %d tokens, %d calls", step, err, a.asked(), a.calls)
		}
	}
}

// TestRevokedToken: many requests meet the refusal of one token.
func TestRevokedToken(t *testing.T) {
	a, clock := newAuthority(t), newClock()
	var revoked atomic.Value
	revoked.Store("")
	ok := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == revoked.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"resourceType":"Patient","id":"p"}`)
	}))
	defer ok.Close()
	auth := oauth2()
	auth.TokenURL = a.URL + "/token"
	c, err := rest.NewAt(rest.Config{BaseURL: ok.URL, Auth: auth}, clock.now, rest.RealAzure)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := call(c); err != nil {
		t.Fatal(err)
	}
	revoked.Store("Bearer token-1")
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if err := call(c); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if a.asked() != 2 {
		t.Errorf("asked for %d tokens", a.asked())
	}
}

func TestClockSteps(t *testing.T) {
	for _, by := range []time.Duration{-2 * time.Hour, 2 * time.Hour, -8760 * time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			a, clock := newAuthority(t), newClock()
			c := a.client(oauth2(), clock)
			if err := call(c); err != nil {
				t.Fatal(err)
			}
			clock.step(by)
			for range 3 {
				if err := call(c); err != nil || a.asked() != 2 || a.lastAccepted() != "token-2" {
					t.Errorf("%v, asked for %d tokens, sent %s", err, a.asked(), a.lastAccepted())
				}
			}
			clock.step(57 * time.Minute)
			if err := call(c); err != nil || a.asked() != 3 {
				t.Errorf("%v, asked for %d tokens", err, a.asked())
			}
		})
	}
	t.Run("a pause does not grow", func(t *testing.T) {
		a, clock := newAuthority(t), newClock()
		a.play = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true }
		c := a.client(oauth2(), clock)
		if err := call(c); !again(err) {
			t.Error(err)
		}
		clock.step(-time.Hour)
		a.set(func() { a.play = nil })
		if err := call(c); err != nil {
			t.Error(err)
		}
	})
}

// TestWrongSecret: the error says what to change, and the change counts.
func TestWrongSecret(t *testing.T) {
	a, clock := newAuthority(t), newClock()
	file := filepath.Join(t.TempDir(), "secret")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a.play = func(w http.ResponseWriter, r *http.Request) bool {
		_, password, _ := r.BasicAuth()
		if password == "right" {
			return false
		}
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error":"invalid_client","error_description":"the secret %s is\n wrong"}`, password)
		return true
	}
	auth := rest.Auth{Kind: rest.KindOAuth2, ClientID: "auscult", ClientSecretFile: file}
	c := a.client(auth, clock)
	if err := call(c); err == nil || !strings.Contains(err.Error(), "auth.clientSecretFile") {
		t.Errorf("no file: %v", err)
	}
	clock.step(20 * time.Second)
	write("wr0ng")
	for range 3 {
		err := call(c)
		if again(err) || status(err) != http.StatusUnauthorized || a.asked() != 1 {
			t.Fatalf("%v, asked %d times", err, a.asked())
		}
		if want := "the token endpoint answered 401, invalid_client (the secret *** is wrong): correct auth.clientID, auth.clientSecret or auth.clientSecretFile"; err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	write("right")
	clock.step(20 * time.Second)
	if err := call(c); err != nil {
		t.Error(err)
	}
}

func TestTokenErrors(t *testing.T) {
	oauth := func(code string) string { return fmt.Sprintf(`{"error":%q}`, code) }
	for name, test := range map[string]struct {
		status int
		body   string
		want   string
		again  bool
	}{
		"client":              {401, oauth("invalid_client"), "invalid_client: correct auth.clientID, auth.clientSecret", false},
		"scope":               {400, oauth("invalid_scope"), "invalid_scope: set auth.scope to what this client may ask for", false},
		"target":              {400, oauth("invalid_target"), "correct auth.resource and auth.audience", false},
		"grant not allowed":   {400, oauth("unauthorized_client"), "allow the client_credentials grant to auth.clientID", false},
		"grant unknown":       {400, oauth("unsupported_grant_type"), "allow the client_credentials grant on the token server", false},
		"request":             {400, oauth("invalid_request"), "check auth.tokenURL, auth.scope, auth.clientID", false},
		"no word":             {403, "", "answered 403: correct auth.clientID", false},
		"no endpoint":         {404, "<html>", "answered 404: set auth.tokenURL", false},
		"elsewhere":           {307, "", "answered 307: set auth.tokenURL to the address that it redirects to", false},
		"no token":            {200, "{}", "holds no access_token: check that auth.tokenURL", false},
		"a page":              {200, "<html>", "holds no access_token", false},
		"no token by far":     {200, `{"access_token":"a b\r\nX: y"}`, "holds no access_token", false},
		"another type":        {200, `{"access_token":"t","token_type":"DPoP"}`, "another type than Bearer", false},
		"down":                {503, "", "answered 503", true},
		"busy":                {429, oauth("slow_down"), "answered 429, slow_down", true},
		"down, as OAuth says": {400, oauth("temporarily_unavailable"), "temporarily_unavailable", true},
		"broken":              {500, oauth("server_error"), "server_error", true},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t)
			a.play = func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("Location", "https://elsewhere.example/token")
				w.WriteHeader(test.status)
				fmt.Fprint(w, test.body)
				return true
			}
			err := call(a.client(oauth2(), newClock()))
			if err == nil || !strings.Contains(err.Error(), test.want) || again(err) != test.again || a.asked() != 1 {
				t.Errorf("%v, again %t, asked %d times", err, again(err), a.asked())
			}
			if strings.Contains(fmt.Sprint(err), "clock") {
				t.Errorf("the clock is blamed: %v", err)
			}
		})
	}
}

func TestTokenEndpointThatDoesNotAnswer(t *testing.T) {
	a := newAuthority(t)
	a.play = func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }
	auth := oauth2()
	auth.TokenURL = a.URL + "/token"
	c, err := rest.New(rest.Config{BaseURL: a.URL + "/fhir", Auth: auth, Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := call(c); !again(err) || !strings.Contains(err.Error(), "does not answer in time") {
		t.Errorf("%v", err)
	}
}

func TestWrongClockIsNamed(t *testing.T) {
	for by, want := range map[time.Duration]string{
		450 * time.Second: "this machine's clock is 7m", -90 * time.Minute: "this machine's clock is 1h", 0: "",
	} {
		a, clock := newAuthority(t), newClock()
		clock.step(by)
		a.play = func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"invalid_grant"}`)
			return true
		}
		if err := call(a.client(oauth2(), clock)); err == nil || !strings.Contains(err.Error(), want) || want == "" && strings.Contains(err.Error(), "clock") {
			t.Errorf("%s: %v", by, err)
		}
	}
}

// TestEchoedSecretsAreHidden: a token endpoint that repeats what it was sent
// does not bring it into our logs.
func TestEchoedSecretsAreHidden(t *testing.T) {
	for _, how := range rest.ClientAuths {
		a := newAuthority(t)
		a.play = func(w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(http.StatusBadRequest)
			text, _ := json.Marshal(r.PostForm.Encode() + " " + r.PostForm.Get("client_secret") + " " + r.Header.Get("Authorization"))
			fmt.Fprintf(w, `{"error":"invalid_request","error_description":%s}`, text)
			return true
		}
		auth := oauth2()
		auth.ClientAuth = how
		err := call(a.client(auth, newClock()))
		if err == nil || !strings.Contains(err.Error(), "***") {
			t.Errorf("%v", err)
		}
		noSecret(t, fmt.Sprintf("%v %+v %#v", err, err, err))
	}
}

func TestClientsDoNotPrint(t *testing.T) {
	a := newAuthority(t)
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte(clientSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	withFile := oauth2()
	withFile.ClientSecret, withFile.ClientSecretFile = "", password
	for _, auth := range []rest.Auth{oauth2(), withFile, {Kind: rest.KindBasic, User: "u", Password: clientSecret},
		{Kind: rest.KindBasic, User: "u", PasswordFile: password}, {Kind: rest.KindBearer, TokenFile: password}} {
		if auth.Kind == rest.KindOAuth2 {
			auth.TokenURL = a.URL + "/token"
		}
		c := dial(t, rest.Config{BaseURL: a.URL + "/fhir", Auth: auth})
		_ = call(c)
		for _, part := range rest.Insides(c) {
			asJSON, _ := json.Marshal(part)
			noSecret(t, fmt.Sprintf("%v %+v %#v %s %q %x %d", part, part, part, part, part, part, part)+string(asJSON))
		}
	}
}

func TestPasswordFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte("one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var user, password string
	c := answering(t, rest.Config{Auth: rest.Auth{Kind: rest.KindBasic, User: "u", PasswordFile: path}}, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ = r.BasicAuth()
		w.WriteHeader(http.StatusNotFound)
	})
	if err := call(c); err != nil || user != "u" || password != "one" {
		t.Errorf("%v, user %s, password %s", err, user, password)
	}
}

// TestExchangedTokenFile: a token that is refused within the second in which the
// file is not looked at is read again at once; one that is refused as it stands
// is sent once.
func TestExchangedTokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	right, calls := "one", 0
	c := answering(t, rest.Config{Auth: rest.Auth{Kind: rest.KindBearer, TokenFile: path}}, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		calls++
		w.WriteHeader(http.StatusNotFound - 3*btoi(r.Header.Get("Authorization") != "Bearer "+right))
	})
	for _, step := range []struct {
		file, right  string
		calls, wants int
	}{{"one", "one", 1, 0}, {"two", "two", 2, 0}, {"two", "three", 1, 401}, {"three", "three", 1 + 1, 0}} {
		write(step.file)
		mu.Lock()
		right, calls = step.right, 0
		mu.Unlock()
		if err := call(c); status(err) != step.wants || calls != step.calls {
			t.Errorf("%+v: %v, %d calls", step, err, calls)
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestAuthConfig(t *testing.T) {
	for _, test := range []struct {
		name string
		auth rest.Auth
		want map[string]string // by path
	}{
		{"oauth2, nothing", rest.Auth{Kind: rest.KindOAuth2}, map[string]string{
			"auth.clientID": "needs auth.clientID, the name", "auth.clientSecretFile": "needs auth.clientSecretFile"}},
		{"oauth2, all wrong", rest.Auth{Kind: rest.KindOAuth2, ClientID: "c", ClientSecret: "s", ClientSecretFile: "f", ClientAuth: "jwt", TokenURL: "http://host/token"}, map[string]string{
			"auth.clientSecretFile": "both set: keep one", "auth.clientAuth": "write one of client_secret_basic, client_secret_post",
			"auth.tokenURL": "must begin with https, as baseURL does"}},
		{"an address with a password", rest.Auth{Kind: rest.KindOAuth2, ClientID: "c", ClientSecret: "s", TokenURL: "https://u:p@host/token"}, map[string]string{
			"auth.tokenURL": "without user or password"}},
		{"smart, nothing", rest.Auth{Kind: rest.KindSMART}, map[string]string{
			"auth.clientID": "the name under which", "auth.keyFile": "the private key as PEM or JWK", "auth.scope": "such as system/*.cruds"}},
		{"settings of other kinds", rest.Auth{Kind: rest.KindBasic, User: "u", ClientID: "c", TokenFile: "f"}, map[string]string{
			"auth.clientID":  "auth.clientID is of kind oauth2 and smart-backend and azure-managed-identity and azure-workload-identity: remove it, or correct auth.kind, which is basic",
			"auth.tokenFile": "auth.tokenFile is of kind bearer and azure-workload-identity"}},
		{"a password and no kind", rest.Auth{Password: "p"}, map[string]string{"auth.password": "correct auth.kind, which is none"}},
		{"two passwords", rest.Auth{Kind: rest.KindBasic, User: "u", Password: "p", PasswordFile: "f"}, map[string]string{"auth.passwordFile": "keep one"}},
		{"two scopes for Azure", rest.Auth{Kind: rest.KindAzureManagedIdentity, Scope: "a b"}, map[string]string{"auth.scope": "one scope"}},
		{"managed identity", rest.Auth{Kind: rest.KindAzureManagedIdentity}, nil},
		{"workload identity", rest.Auth{Kind: rest.KindAzureWorkloadIdentity, ClientID: "c", TenantID: "t", TokenFile: "f"}, nil},
		{"oauth2", rest.Auth{Kind: rest.KindOAuth2, ClientID: "c", ClientSecretFile: "f", TokenURL: "https://host/token"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := map[string]string{}
			if err, ok := (rest.Config{BaseURL: "https://host/fhir", Auth: test.auth}).Validate().(interface{ Unwrap() []error }); ok {
				for _, e := range err.Unwrap() {
					var c *rest.ConfigError
					if !errors.As(e, &c) {
						t.Fatalf("%v has no path", e)
					}
					got[c.ConfigPath()] = e.Error()
				}
			}
			if len(got) != len(test.want) {
				t.Errorf("got %q", got)
			}
			for path, want := range test.want {
				if !strings.Contains(got[path], want) {
					t.Errorf("%s: %q, want %q", path, got[path], want)
				}
			}
		})
	}
}
