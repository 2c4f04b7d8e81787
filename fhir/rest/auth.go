package rest

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// authorizer gives the Authorization header of a request, empty for none. It
// may be used by any number of goroutines.
type authorizer interface {
	authorize(ctx context.Context) (Secret, error)
	// heard is told with which status the FHIR server answered a request that
	// carried header. It reports whether the same request is worth one more
	// attempt, with another header.
	heard(header Secret, status int) bool
}

// surroundings are what authentication needs of the world, replaced in tests.
type surroundings struct {
	now   func() time.Time
	azure azureConstructors
}

// newAuthorizer returns what c.Auth asks for. outside calls token endpoints.
func newAuthorizer(c Config, base *url.URL, outside *http.Client, s surroundings) (authorizer, error) {
	a := c.Auth
	switch a.Kind {
	case KindBasic:
		password := source(a.Password, "auth.passwordFile", a.PasswordFile, s.now)
		return &inFile{source: password, header: func(p Secret) Secret { return basicHeader(a.User, p) }}, nil
	case KindBearer:
		return &inFile{source: source("", "auth.tokenFile", a.TokenFile, s.now), header: bearerHeader}, nil
	case KindOAuth2:
		secret := source(a.ClientSecret, "auth.clientSecretFile", a.ClientSecretFile, s.now)
		return newTokens(newTokenEndpoint(c, base, outside, s.now, &secretProof{source: secret, clientID: a.ClientID, how: a.ClientAuth}), c, s.now), nil
	case KindSMART:
		// Read once to say at start what is wrong with the key.
		if _, err := readKey(a.KeyFile, a.KeyID); err != nil {
			return nil, err
		}
		return newTokens(newTokenEndpoint(c, base, outside, s.now, &keyProof{file: a.KeyFile, keyID: a.KeyID, clientID: a.ClientID, now: s.now}), c, s.now), nil
	case KindAzureManagedIdentity, KindAzureWorkloadIdentity:
		i, err := newAzureIssuer(a, base, s)
		if err != nil {
			return nil, err
		}
		return newTokens(i, c, s.now), nil
	}
	return anonymous{}, nil
}

// anonymous sends no header.
type anonymous struct{}

func (anonymous) authorize(context.Context) (Secret, error) { return "", nil }
func (anonymous) heard(Secret, int) bool                    { return false }

// secretSource gives a secret that may change.
type secretSource interface {
	secret() (Secret, error)
	// renewed looks whether there is another secret than old.
	renewed(old Secret) bool
}

// source is the file where the configuration names one, else the secret that it
// gives itself.
func source(given Secret, setting, path string, now func() time.Time) secretSource {
	if path != "" {
		return &secretFile{setting: setting, path: path, now: now}
	}
	return &fixed{text: given}
}

// fixed is a secret that never changes.
type fixed struct {
	hidden
	text Secret
}

func (f *fixed) secret() (Secret, error) { return f.text, nil }
func (f *fixed) renewed(Secret) bool     { return false }

// inFile is a header made of a secret that somebody else renews.
type inFile struct {
	hidden
	source secretSource
	header func(Secret) Secret
}

func (f *inFile) authorize(context.Context) (Secret, error) {
	s, err := f.source.secret()
	if err != nil {
		return "", err
	}
	return f.header(s), nil
}

// heard looks at the file at once: the secret may have been exchanged within
// the second in which a file is not looked at again.
func (f *inFile) heard(header Secret, status int) bool {
	if status != http.StatusUnauthorized {
		return false
	}
	s, err := f.source.secret()
	if err != nil {
		return false
	}
	return f.header(s) != header || f.source.renewed(s)
}

func basicHeader(user string, password Secret) Secret {
	return Secret("Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+string(password))))
}

func bearerHeader(token Secret) Secret { return Secret("Bearer " + string(token)) }

// tokenCharacters are those of a bearer token (RFC 6750, section 2.1), = for
// its end included.
const tokenCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="

// isToken reports whether text can be sent as a bearer token.
func isToken(text string) bool {
	return text != "" && strings.Trim(text, tokenCharacters) == ""
}
