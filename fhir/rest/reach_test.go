package rest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"auscult/fhir/rest"
)

// ca issues certificates to a test's server and clients.
type ca struct {
	t      *testing.T
	folder string
	key    *ecdsa.PrivateKey
	root   *x509.Certificate
	file   string
	serial int64
}

func newCA(t *testing.T) *ca {
	c := &ca{t: t, folder: t.TempDir(), key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der := must(x509.CreateCertificate(rand.Reader, template, template, &c.key.PublicKey, c.key))
	c.root = must(x509.ParseCertificate(der))
	c.file = c.write("ca.pem", pemOf("CERTIFICATE", der))
	return c
}

func (c *ca) write(name, text string) string {
	path := filepath.Join(c.folder, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// issue writes a certificate for name and its key.
func (c *ca) issue(name string) (cert, key string) {
	c.serial++
	own := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	der := must(x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(c.serial + 1), Subject: pkix.Name{CommonName: name},
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, c.root, &own.PublicKey, c.key))
	return pemOf("CERTIFICATE", der), pemOf("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(own)))
}

// serve starts a server that wants certificates of the CA and tells whose it
// has seen.
func (c *ca) serve(seen *atomic.Value) *httptest.Server {
	pool := x509.NewCertPool()
	pool.AddCert(c.root)
	cert, key := c.issue("server")
	h := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.TLS.PeerCertificates[0].Subject.CommonName)
		if r.URL.Path == "/token" {
			_, _ = w.Write([]byte(`{"access_token":"t"}`))
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	h.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	h.TLS = &tls.Config{Certificates: []tls.Certificate{must(tls.X509KeyPair([]byte(cert), []byte(key)))}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	h.StartTLS()
	c.t.Cleanup(h.Close)
	return h
}

// TestClientCertificates: the server sees ours, one that was exchanged under the
// running process included; the token endpoint sees it, too.
func TestClientCertificates(t *testing.T) {
	c := newCA(t)
	var seen atomic.Value
	h := c.serve(&seen)
	cert, key := c.issue("one")
	own := rest.TLS{CAFile: c.file, CertFile: c.write("own.pem", cert), KeyFile: c.write("own.key", key)}
	auth := oauth2()
	auth.TokenURL = h.URL + "/token"
	client := dial(t, rest.Config{BaseURL: h.URL, TLS: own, Auth: auth})
	if err := call(client); err != nil || seen.Load() != "one" {
		t.Errorf("%v, seen %v", err, seen.Load())
	}
	for _, step := range []struct{ cert, want string }{{"broken", "one"}, {"", "two"}} {
		text := step.cert
		if text == "" {
			text, key = c.issue("two")
			c.write("own.key", key)
		}
		later := time.Now().Add(time.Minute)
		if err := os.Chtimes(c.write("own.pem", text), later, later); err != nil {
			t.Fatal(err)
		}
		client.Close() // the connections, so that there is a new one
		if err := call(client); err != nil || seen.Load() != step.want {
			t.Errorf("%v, seen %v", err, seen.Load())
		}
	}
	without := dial(t, rest.Config{BaseURL: h.URL, TLS: rest.TLS{CAFile: c.file}})
	if err := call(without); err == nil || status(err) != 0 {
		t.Errorf("without a certificate: %v", err)
	}
}

func TestReach(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("our credentials were sent")
		}
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer plain.Close()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	mute := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer mute.Close()
	for name, test := range map[string]struct {
		base   string
		tls    rest.TLS
		phase  rest.Phase
		status int
	}{
		"no such name":   {"http://auscult.invalid", rest.TLS{}, rest.PhaseDNS, 0},
		"nobody listens": {"https://127.0.0.1:1", rest.TLS{}, rest.PhaseTCP, 0},
		"not trusted":    {secure.URL, rest.TLS{}, rest.PhaseTLS, 0},
		"not encrypted":  {strings.Replace(plain.URL, "http", "https", 1), rest.TLS{}, rest.PhaseTLS, 0},
		"no answer":      {mute.URL, rest.TLS{}, rest.PhaseHTTP, 0},
		"any answer":     {plain.URL, rest.TLS{}, "", http.StatusUnauthorized},
		"trusted":        {secure.URL, rest.TLS{CAFile: ca}, "", http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, rest.Config{BaseURL: test.base, TLS: test.tls, Auth: rest.Auth{Kind: rest.KindBasic, User: "u"}})
			r, err := c.Reach(context.Background())
			var blocked *rest.ReachError
			if errors.As(err, &blocked) && blocked.Phase != test.phase || err == nil && test.phase != "" || r.Status != test.status {
				t.Errorf("%+v, %v", r, err)
			}
			if err == nil && (r.Remote == "" || strings.HasPrefix(test.base, "https") != (r.Encrypted != "" && !r.Until.IsZero())) {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestCapabilitiesAndDelete(t *testing.T) {
	ctx := context.Background()
	c := embedded(t)
	found, err := c.Capabilities(ctx)
	if err != nil || found.FHIRVersion != "4.0.1" || len(found.Resources) < 100 {
		t.Fatalf("%v, %s, %d types", err, found.FHIRVersion, len(found.Resources))
	}
	o := found.Resources["Observation"]
	if o.UpdateCreate == nil || !*o.UpdateCreate || o.Versioning == "" || !strings.Contains(strings.Join(o.SearchParameters, " "), "identifier") {
		t.Errorf("%+v", o)
	}
	if _, err := c.Put(ctx, "Patient", "p1", patient("p1", "a"), ""); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is none
		if err := c.Delete(ctx, "Patient", "p1"); err != nil {
			t.Error(err)
		}
	}
	if s, err := c.Read(ctx, "Patient", "p1"); err != nil || !s.Gone {
		t.Errorf("%+v, %v", s, err)
	}
	forbidden := answering(t, rest.Config{}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	if err := forbidden.Delete(ctx, "Patient", "p1"); status(err) != http.StatusForbidden {
		t.Errorf("%v", err)
	}
	page := answering(t, rest.Config{}, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })
	if _, err := page.Capabilities(ctx); err == nil || !strings.Contains(err.Error(), "check that baseURL") {
		t.Errorf("%v", err)
	}
}
