package rest

import (
	"encoding/base64"
	"net/url"
)

// secretProof proves who we are by a client secret.
type secretProof struct {
	hidden
	source   secretSource
	clientID string
	how      string // one of ClientAuths; empty = as the server wants it
}

func (*secretProof) settings() string {
	return "auth.clientID, auth.clientSecret or auth.clientSecretFile"
}

func (s *secretProof) prove(endpoint *smartConfiguration, form url.Values) (proof, error) {
	secret, err := s.source.secret()
	if err != nil {
		return proof{}, err
	}
	escaped := Secret(url.QueryEscape(string(secret)))
	if s.how == ClientSecretPost || s.how == "" && endpoint.wants(ClientSecretPost, ClientSecretBasic) {
		form.Set("client_id", s.clientID)
		form.Set("client_secret", string(secret))
		return proof{secrets: []Secret{secret, escaped}}, nil
	}
	// Both are form-encoded before they are joined (RFC 6749, section 2.3.1).
	pair := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(s.clientID) + ":" + string(escaped)))
	return proof{header: Secret("Basic " + pair), secrets: []Secret{secret, escaped, Secret(pair)}}, nil
}
