package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"auscult/schemas"
)

// certificates are those of a broker, signed by an authority of its own, and
// of a client.
type certificates struct {
	ca, cert, key string // files
	server        *tls.Config
}

func makeCertificates(t *testing.T) certificates {
	t.Helper()
	dir := t.TempDir()
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(c *x509.Certificate, key *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, c, authority, &key.PublicKey, caKey)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	caDER := sign(authority, caKey)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "leaf"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der := sign(leaf, key)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	parsed, err := x509.ParseCertificate(caDER)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(parsed)
	return certificates{
		ca: write("ca.pem", "CERTIFICATE", caDER), cert: write("cert.pem", "CERTIFICATE", der), key: write("key.pem", "PRIVATE KEY", keyDER),
		server: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, ClientCAs: pool},
	}
}

// ping asks the broker for anything.
func ping(t *testing.T, cfg Config) error {
	t.Helper()
	conn, err := Dial(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client, err := conn.Client(kgo.RequestRetries(0), kgo.RetryTimeout(2*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	return client.Ping(ctx)
}

func TestTLSAndPasswords(t *testing.T) {
	t.Parallel()
	files := makeCertificates(t)
	mutual := files.server.Clone()
	mutual.ClientAuth = tls.RequireAndVerifyClientCert
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.TLS(mutual), kfake.EnableSASL(),
		kfake.Superuser("PLAIN", "plain", "p1"), kfake.Superuser("SCRAM-SHA-256", "s256", "p2"), kfake.Superuser("SCRAM-SHA-512", "s512", "p3"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	ok := TLS{Enabled: true, CAFile: files.ca, CertFile: files.cert, KeyFile: files.key}
	for _, c := range []struct {
		name string
		sasl SASL
		tls  TLS
		ok   bool
	}{
		{"plain", SASL{Mechanism: MechanismPlain, User: "plain", Password: "p1"}, ok, true},
		{"scram 256", SASL{Mechanism: MechanismScramSHA256, User: "s256", Password: "p2"}, ok, true},
		{"scram 512", SASL{Mechanism: MechanismScramSHA512, User: "s512", Password: "p3"}, ok, true},
		{"wrong password", SASL{Mechanism: MechanismScramSHA512, User: "s512", Password: "p2"}, ok, false},
		{"unknown authority", SASL{Mechanism: MechanismPlain, User: "plain", Password: "p1"}, TLS{Enabled: true, CertFile: files.cert, KeyFile: files.key}, false},
		{"no client certificate", SASL{Mechanism: MechanismPlain, User: "plain", Password: "p1"}, TLS{Enabled: true, CAFile: files.ca}, false},
	} {
		err := ping(t, Config{Profile: Kafka, Brokers: cluster.ListenAddrs(), SASL: c.sasl, TLS: c.tls})
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil && strings.Contains(err.Error(), string(c.sasl.Password)+" ") {
			t.Errorf("%s: the password is in the error", c.name)
		}
	}
}

// TestWrongPasswordStops: what no waiting cures is said at once.
func TestWrongPasswordStops(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "right"), kfake.SeedTopics(1, schemas.TopicDeviceData))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	// The embedded broker hangs up; others say what is wrong.
	cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return resp, nil, true
	})
	conn, err := Dial(Config{Profile: EmbeddedProfile, Brokers: cluster.ListenAddrs(), SASL: SASL{Mechanism: MechanismPlain, User: "u", Password: "wrong"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cfg := BatchesConfig{Stage: "echo", In: conn, Out: conn, Topics: []string{schemas.TopicDeviceData}, Do: echo(schemas.TopicScores)}
	if err := run(t, cfg).wait(t); !errors.Is(err, kerr.SaslAuthenticationFailed) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("ended with %v", err)
	}
}

// jwt returns an unsigned token that ends at end.
func jwt(name string, end time.Time) string {
	body := fmt.Sprintf(`{"sub":%q,"exp":%d}`, name, end.Unix())
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(body)) + ".x"
}

func TestTokensAreKeptForMostOfTheirLife(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	fetched := 0
	tokens := &tokens{now: func() time.Time { return now }, fetch: func(context.Context) (Secret, error) {
		fetched++
		return Secret(jwt(fmt.Sprint(fetched), now.Add(1000*time.Second))), nil
	}}
	for _, step := range []struct {
		after   time.Duration
		fetched int
	}{{0, 1}, {0, 1}, {799 * time.Second, 1}, {2 * time.Second, 2}, {700 * time.Second, 2}, {200 * time.Second, 3}} {
		now = now.Add(step.after)
		if _, err := tokens.token(context.Background()); err != nil || fetched != step.fetched {
			t.Errorf("at %s: fetched %d times, want %d; %v", now, fetched, step.fetched, err)
		}
	}
	opaque := 0
	tokens.current, tokens.fetch = "", func(context.Context) (Secret, error) { opaque++; return "opaque", nil }
	for range 3 {
		if _, err := tokens.token(context.Background()); err != nil {
			t.Error(err)
		}
	}
	if opaque != 3 {
		t.Errorf("a token whose end cannot be read was fetched %d times, want each time", opaque)
	}
}

func TestTokensFromFilesAndCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "token")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fromFile := tokenFetcher(SASL{TokenFile: file})
	write("  abc\n")
	if got, err := fromFile(context.Background()); err != nil || got != "abc" {
		t.Errorf("%q, %v", string(got), err)
	}
	for _, bad := range []string{"", "two words", strings.Repeat("x", maxTokenBytes+1)} {
		write(bad)
		if _, err := fromFile(context.Background()); err == nil {
			t.Errorf("a token of %d bytes is taken", len(bad))
		}
	}
	if got, err := tokenFetcher(SASL{TokenCommand: []string{"echo", "abc"}})(context.Background()); err != nil || got != "abc" {
		t.Errorf("%q, %v", string(got), err)
	}
	_, err := tokenFetcher(SASL{TokenCommand: []string{"sh", "-c", "echo secret; echo secret >&2; exit 3"}})(context.Background())
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a command that fails: %v", err)
	}
}

// TestOAuthBearer lets the broker end each session after a moment: the client
// must show a token again and go on.
func TestOAuthBearer(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "in"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	var shown atomic.Int64
	cluster.ControlKey(int16(kmsg.SASLHandshake), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
		resp.SupportedMechanisms = []string{MechanismOAuthBearer}
		return resp, nil, true
	})
	cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if !strings.Contains(string(req.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes), "Bearer abc") {
			return nil, errors.New("no token"), true
		}
		shown.Add(1)
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.SessionLifetimeMillis = 1200
		return resp, nil, true
	})
	conn, err := Dial(Config{Profile: EmbeddedProfile, Brokers: cluster.ListenAddrs(), SASL: SASL{Mechanism: MechanismOAuthBearer, TokenCommand: []string{"echo", "abc"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client, err := conn.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	send := func() {
		if err := client.ProduceSync(context.Background(), &kgo.Record{Topic: "in", Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	send()
	first := shown.Load()
	eventually(t, "the token is shown again", func() bool { send(); return shown.Load() > first })
}
