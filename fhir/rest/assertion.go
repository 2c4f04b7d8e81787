package rest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"time"
)

// assertionLife is how long an assertion is valid; SMART allows five minutes.
// The difference is for clocks that are apart.
const assertionLife = 4 * time.Minute

// assertionType says that a client assertion is a JWT (RFC 7523).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// keyProof proves who we are by a JWT that our private key has signed
// (private_key_jwt). The key is read for each: it may have been exchanged.
type keyProof struct {
	hidden
	file, keyID, clientID string
	now                   func() time.Time
}

func (*keyProof) settings() string {
	return "auth.clientID, auth.keyFile and auth.keyID, and register the key's public part with the server"
}

func (k *keyProof) prove(endpoint *smartConfiguration, form url.Values) (proof, error) {
	key, err := readKey(k.file, k.keyID)
	if err != nil {
		return proof{}, err
	}
	if len(endpoint.Algorithms) > 0 && !slices.Contains(endpoint.Algorithms, key.algorithm) {
		return proof{}, mustChange(fmt.Sprintf("the server takes no assertions signed with %s: give auth.keyFile a key for one of %v", key.algorithm, endpoint.Algorithms))
	}
	assertion, err := key.assertion(k.clientID, endpoint.TokenEndpoint, k.now())
	if err != nil {
		return proof{}, err
	}
	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", string(assertion))
	return proof{secrets: []Secret{assertion}}, nil
}

type assertionHeader struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`
}

type assertionClaims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	ID       string `json:"jti"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
}

// assertion returns a signed JWT that says that we are the client, for one
// request to audience.
func (k *signingKey) assertion(client, audience string, now time.Time) (Secret, error) {
	header, err := json.Marshal(assertionHeader{k.algorithm, k.id, "JWT"})
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(assertionClaims{client, client, audience, rand.Text(), now.Unix(), now.Add(assertionLife).Unix()})
	if err != nil {
		return "", err
	}
	signed := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	signature, err := k.sign([]byte(signed))
	if err != nil {
		return "", fmt.Errorf("signing with auth.keyFile: %w", err)
	}
	return Secret(signed + "." + base64.RawURLEncoding.EncodeToString(signature)), nil
}
