package kafka

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Limits of getting a token.
const (
	maxTokenBytes       = 64 << 10
	tokenCommandTimeout = 30 * time.Second
	// A token is renewed after tokenLife of its life, so that it never ends in
	// the middle of a connection being made.
	tokenLifeNumerator, tokenLifeDenominator = 4, 5
)

func authOptions(cfg Config) ([]kgo.Opt, error) {
	var options []kgo.Opt
	if cfg.TLS.Enabled {
		t, err := tlsConfig(cfg.TLS)
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.DialTLSConfig(t))
	}
	if m := mechanism(cfg.SASL); m != nil {
		options = append(options, kgo.SASL(m))
	}
	return options, nil
}

func tlsConfig(t TLS) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading tls.caFile: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &ConfigError{Path: "tls.caFile", Text: fmt.Sprintf("tls.caFile %s holds no certificate in PEM form", t.CAFile)}
		}
	}
	if t.CertFile != "" {
		// Read at each handshake, so that a renewed certificate needs no restart.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
			return &cert, err
		}
		if _, err := c.GetClientCertificate(nil); err != nil {
			return nil, fmt.Errorf("reading tls.certFile and tls.keyFile: %w", err)
		}
	}
	return c, nil
}

func mechanism(s SASL) sasl.Mechanism {
	switch s.Mechanism {
	case MechanismPlain:
		return plain.Auth{User: s.User, Pass: string(s.Password)}.AsMechanism()
	case MechanismScramSHA256:
		return scram.Auth{User: s.User, Pass: string(s.Password)}.AsSha256Mechanism()
	case MechanismScramSHA512:
		return scram.Auth{User: s.User, Pass: string(s.Password)}.AsSha512Mechanism()
	case MechanismOAuthBearer:
		t := &tokens{fetch: tokenFetcher(s), now: time.Now}
		return oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
			token, err := t.token(ctx)
			return oauth.Auth{Token: string(token)}, err
		})
	}
	return nil
}

// tokens keeps a token while it is fresh: every connection asks for one, and
// each asks again when the broker wants to see a newer.
type tokens struct {
	fetch func(context.Context) (Secret, error)
	now   func() time.Time

	mu      sync.Mutex
	current Secret
	renewAt time.Time
}

func (t *tokens) token(ctx context.Context) (Secret, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current != "" && t.now().Before(t.renewAt) {
		return t.current, nil
	}
	token, err := t.fetch(ctx)
	if err != nil {
		return "", fmt.Errorf("getting an OAUTHBEARER token: %w", err)
	}
	t.current, t.renewAt = token, time.Time{} // a life we cannot read is over at once
	if end, ok := tokenEnd(token); ok {
		t.renewAt = t.now().Add(end.Sub(t.now()) * tokenLifeNumerator / tokenLifeDenominator)
	}
	return token, nil
}

// tokenEnd reads the claim exp of a JWT. The signature is the broker's concern.
func tokenEnd(token Secret) (time.Time, bool) {
	parts := strings.Split(string(token), ".")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	body, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return time.Time{}, false
	}
	var claims struct{ Exp float64 }
	if json.Unmarshal(body, &claims) != nil || claims.Exp <= 0 {
		return time.Time{}, false
	}
	return time.Unix(int64(claims.Exp), 0), true
}

func tokenFetcher(s SASL) func(context.Context) (Secret, error) {
	if s.TokenFile != "" {
		return func(context.Context) (Secret, error) {
			text, err := os.ReadFile(s.TokenFile)
			if err != nil {
				return "", err
			}
			return cleanToken(text)
		}
	}
	return func(ctx context.Context) (Secret, error) {
		ctx, cancel := context.WithTimeout(ctx, tokenCommandTimeout)
		defer cancel()
		cmd := exec.CommandContext(ctx, s.TokenCommand[0], s.TokenCommand[1:]...)
		cmd.WaitDelay = time.Second
		// What the command says on either stream may hold the token: only its
		// name is reported.
		text, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("running %s: %w", s.TokenCommand[0], err)
		}
		return cleanToken(text)
	}
}

func cleanToken(text []byte) (Secret, error) {
	text = bytes.TrimSpace(text)
	switch {
	case len(text) == 0:
		return "", errors.New("the token is empty")
	case len(text) > maxTokenBytes:
		return "", fmt.Errorf("the token is longer than %d bytes", maxTokenBytes)
	case bytes.ContainsAny(text, " \t\r\n\x01"):
		return "", errors.New("the token has blanks in it: the file or command must give the token alone")
	}
	return Secret(text), nil
}
