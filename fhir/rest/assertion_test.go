package rest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"auscult/fhir/rest"
)

var (
	rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // a test cannot go on without its keys
	}
	return v
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func rsaJWK(k *rsa.PrivateKey, kid string) string {
	return fmt.Sprintf(`{"kty":"RSA","kid":%q,"alg":"RS384","n":%q,"e":%q,"d":%q,"p":%q,"q":%q}`, kid, base64url(k.N.Bytes()),
		base64url(big.NewInt(int64(k.E)).Bytes()), base64url(k.D.Bytes()), base64url(k.Primes[0].Bytes()), base64url(k.Primes[1].Bytes()))
}

func ecJWK(k *ecdsa.PrivateKey, kid string) string {
	point := must(k.PublicKey.Bytes())
	half := len(point) / 2
	return fmt.Sprintf(`{"kty":"EC","crv":%q,"kid":%q,"x":%q,"y":%q,"d":%q}`, k.Params().Name, kid,
		base64url(point[1:1+half]), base64url(point[1+half:]), base64url(must(k.Bytes())))
}

// keyForms are the ways in which keys are kept, each with the key ID to
// configure.
func keyForms() map[string]struct{ text, id string } {
	public := fmt.Sprintf(`{"kty":"RSA","kid":"other","n":%q,"e":"AQAB"}`, base64url(rsaKey().N.Bytes()))
	parameters := pemOf("EC PARAMETERS", []byte{6, 5, 43, 129, 4, 0, 34})
	return map[string]struct{ text, id string }{
		"RSA, PKCS 1":        {pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey())), "kid-1"},
		"RSA, PKCS 8":        {pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(rsaKey()))), "kid-1"},
		"RSA, JWK":           {rsaJWK(rsaKey(), "kid-1"), ""},
		"RSA, JWK renamed":   {rsaJWK(rsaKey(), "kid-0"), "kid-1"},
		"EC, SEC 1":          {parameters + pemOf("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(ecKey()))), "kid-1"},
		"EC, PKCS 8":         {pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ecKey()))), "kid-1"},
		"EC, JWK":            {ecJWK(ecKey(), "kid-1"), ""},
		"a set of keys":      {`{"keys":[` + public + "," + ecJWK(ecKey(), "kid-0") + "," + rsaJWK(rsaKey(), "kid-1") + `]}`, "kid-1"},
		"a set, one private": {`{"keys":[` + public + "," + ecJWK(ecKey(), "kid-1") + `]}`, ""},
	}
}

// claims are those of an assertion whose signature is right.
type claims struct {
	Alg, Kid, Typ      string
	Iss, Sub, Aud, Jti string
	Iat, Exp           int64
}

// verify checks an assertion as a server does, with the public keys.
func verify(t *testing.T, assertion string) (c claims) {
	t.Helper()
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	for _, part := range parts[:2] {
		if err := json.Unmarshal(must(base64.RawURLEncoding.DecodeString(part)), &c); err != nil {
			t.Fatal(err)
		}
	}
	hash := sha512.Sum384([]byte(parts[0] + "." + parts[1]))
	signature := must(base64.RawURLEncoding.DecodeString(parts[2]))
	switch c.Alg {
	case "RS384":
		if err := rsa.VerifyPKCS1v15(&rsaKey().PublicKey, crypto.SHA384, hash[:], signature); err != nil {
			t.Error(err)
		}
	case "ES384":
		if len(signature) != 96 {
			t.Fatalf("the signature has %d bytes", len(signature))
		}
		r, s := new(big.Int).SetBytes(signature[:48]), new(big.Int).SetBytes(signature[48:])
		if !ecdsa.Verify(&ecKey().PublicKey, hash[:], r, s) {
			t.Error("the signature is wrong")
		}
	default:
		t.Errorf("alg is %q", c.Alg)
	}
	return c
}

func TestAssertions(t *testing.T) {
	for name, key := range keyForms() {
		t.Run(name, func(t *testing.T) {
			a, clock := newAuthority(t), newClock()
			a.smart = `{"token_endpoint":"BASE/token"}`
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, []byte(key.text), 0o600); err != nil {
				t.Fatal(err)
			}
			c := a.client(rest.Auth{Kind: rest.KindSMART, ClientID: "auscult", KeyFile: path, KeyID: key.id, Scope: "system/*.cruds"}, clock)
			seen := map[string]bool{}
			for range 2 {
				if err := call(c); err != nil {
					t.Fatal(err)
				}
				q, now := a.last(), clock.now()
				got := verify(t, q.form.Get("client_assertion"))
				if got.Kid != "kid-1" || got.Typ != "JWT" || got.Iss != "auscult" || got.Sub != "auscult" || got.Aud != a.URL+"/token" {
					t.Errorf("%+v", got)
				}
				if life := time.Unix(got.Exp, 0).Sub(now); got.Iat != now.Unix() || life <= time.Minute || life > 5*time.Minute {
					t.Errorf("issued %d, valid for %s", got.Iat, life)
				}
				if seen[got.Jti] || len(got.Jti) < 20 {
					t.Errorf("jti %q", got.Jti)
				}
				seen[got.Jti] = true
				if q.basic || q.form.Get("scope") != "system/*.cruds" || q.form.Get("grant_type") != "client_credentials" ||
					q.form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
					t.Errorf("%+v", q)
				}
				clock.step(2 * time.Hour)
			}
			for _, part := range rest.Insides(c) {
				noSecret(t, fmt.Sprintf("%v %+v %#v", part, part, part), a.last().form.Get("client_assertion"))
			}
		})
	}
}

// TestRefusedAssertion: the settings to check are those of this kind, and the
// assertion is not repeated.
func TestRefusedAssertion(t *testing.T) {
	a := newAuthority(t)
	a.play = func(w http.ResponseWriter, r *http.Request) bool {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":"invalid_client","error_description":"no key for %s"}`, r.PostFormValue("client_assertion"))
		return true
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(ecJWK(ecKey(), "kid-1")), 0o600); err != nil {
		t.Fatal(err)
	}
	auth := rest.Auth{Kind: rest.KindSMART, ClientID: "auscult", KeyFile: path, Scope: "system/*.cruds"}
	err := call(a.client(auth, newClock()))
	want := "invalid_client (no key for ***): correct auth.clientID, auth.keyFile and auth.keyID, and register the key's public part with the server"
	if err == nil || !strings.Contains(err.Error(), want) || again(err) {
		t.Errorf("%v", err)
	}
	a.smart = `{"token_endpoint":"BASE/token","token_endpoint_auth_signing_alg_values_supported":["RS384"]}`
	if err := call(a.client(auth, newClock())); err == nil || !strings.Contains(err.Error(), "no assertions signed with ES384: give auth.keyFile a key for one of [RS384]") {
		t.Errorf("%v", err)
	}
}

// TestExchangedKey: the next assertion is signed with what the file holds then.
func TestExchangedKey(t *testing.T) {
	a, clock := newAuthority(t), newClock()
	path := filepath.Join(t.TempDir(), "key")
	var c *rest.Client
	for _, key := range []struct{ text, algorithm string }{{rsaJWK(rsaKey(), "kid-1"), "RS384"}, {ecJWK(ecKey(), "kid-2"), "ES384"}} {
		if err := os.WriteFile(path, []byte(key.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if c == nil {
			c = a.client(rest.Auth{Kind: rest.KindSMART, ClientID: "auscult", KeyFile: path, Scope: "s"}, clock)
		}
		if err := call(c); err != nil {
			t.Fatal(err)
		}
		if got := verify(t, a.last().form.Get("client_assertion")); got.Alg != key.algorithm {
			t.Errorf("%+v", got)
		}
		clock.step(2 * time.Hour)
	}
}

func TestKeysThatCannotBeUsed(t *testing.T) {
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	p256 := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	other := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	_, point, _ := strings.Cut(ecJWK(other, ""), `"x"`)
	_, scalar, _ := strings.Cut(ecJWK(ecKey(), ""), `"d"`)
	halves := `{"kty":"EC","crv":"P-384","kid":"k","x"` + point[:strings.Index(point, `"d"`)] + `"d"` + scalar
	for name, test := range map[string]struct{ text, id, want string }{
		"nothing":        {"", "k", "is empty"},
		"no key":         {"hello", "k", "it holds no private key: write a PEM with PRIVATE KEY, or a JWK"},
		"a public key":   {pemOf("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(&rsaKey().PublicKey))), "k", "it holds no private key"},
		"encrypted":      {pemOf("ENCRYPTED PRIVATE KEY", []byte("x")), "k", "the key is encrypted: decrypt it"},
		"encrypted, old": {"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\neHh4\n-----END RSA PRIVATE KEY-----\n", "k", "the key is encrypted"},
		"half a key":     {pemOf("PRIVATE KEY", []byte("x")), "k", "cannot be read: is the file whole?"},
		"no name":        {pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(rsaKey()))), "", "auth.keyID is empty"},
		"small":          {rsaJWK(small, "k"), "", "the RSA key has 1024 bits: make one of 2048 or more"},
		"P-256":          {pemOf("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(p256))), "k", "on curve P-256: make one on P-384"},
		"P-256, JWK":     {ecJWK(p256, "k"), "", `on curve "P-256"`},
		"JWK, no name":   {ecJWK(ecKey(), ""), "", "the key has no kid: set auth.keyID"},
		"JWK, public":    {`{"kty":"RSA","kid":"k","n":"AQAB","e":"AQAB"}`, "", "the key is a public one"},
		"JWK, symmetric": {`{"kty":"oct","kid":"k","d":"AQAB"}`, "", `of type "oct"`},
		"JWK, halves":    {halves, "", "the two halves of the EC key do not belong together"},
		"JWK, RS256":     {strings.Replace(rsaJWK(rsaKey(), "k"), "RS384", "RS256", 1), "", "the key is for RS256: SMART needs RS384 or ES384"},
		"JWK, no primes": {`{"kty":"RSA","kid":"k","n":"AQAB","e":"AQAB","d":"AQAB"}`, "", "it needs n, e, d, p and q"},
		"JWK, wrong":     {`{"kty":"RSA","kid":"k","n":"AQAB","e":"AQAB","d":"AQAB","p":"Aw","q":"BQ"}`, "", "is the file whole?"},
		"JWK, no base64": {`{"kty":"RSA","kid":"k","n":"*"}`, "", "it is no JWK"},
		"JWK, long":      {`{"kty":"EC","crv":"P-384","kid":"k","d":"` + strings.Repeat("A", 80) + `"}`, "", "is the file whole?"},
		"set, two":       {`{"keys":[` + ecJWK(ecKey(), "a") + "," + ecJWK(ecKey(), "b") + `]}`, "", "it holds 2 private keys: choose one with auth.keyID"},
		"set, not there": {`{"keys":[` + ecJWK(ecKey(), "a") + `]}`, "b", `it holds 0 private keys with kid "b"`},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := rest.New(rest.Config{BaseURL: "https://host", Auth: rest.Auth{Kind: rest.KindSMART, ClientID: "c", Scope: "s", KeyFile: path, KeyID: test.id}})
			if err == nil || !strings.Contains(err.Error(), "reading auth.keyFile: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

// FuzzKey: whatever is in the file, there is a key or an error.
func FuzzKey(f *testing.F) {
	for _, key := range keyForms() {
		f.Add([]byte(key.text), key.id)
	}
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-384","d":""}]}`), "k")
	path := filepath.Join(f.TempDir(), "key")
	f.Fuzz(func(t *testing.T, text []byte, id string) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		algorithm, kid, err := rest.ReadKey(path, id)
		if (err == nil) != (algorithm == "RS384" || algorithm == "ES384") || err == nil && kid == "" {
			t.Errorf("%q, %q, %v", algorithm, kid, err)
		}
	})
}
