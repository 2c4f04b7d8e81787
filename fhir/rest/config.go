package rest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"auscult/schemas"
)

// Config says how to reach the FHIR server.
type Config struct {
	BaseURL string `yaml:"baseURL"` // e.g. https://host/fhir
	Auth    Auth   `yaml:"auth"`
	TLS     TLS    `yaml:"tls"`
	// Timeout limits one request. A stage keeps it below half the session
	// timeout of its consumer group (G3).
	Timeout time.Duration `yaml:"timeout"`
	// Connections is how many requests run at a time, and how many connections
	// are kept open between them.
	Connections int `yaml:"connections"`
	// Headers are sent with every request, such as x-bundle-processing-logic.
	Headers map[string]string `yaml:"headers"`
}

// Auth says who we are to the FHIR server.
type Auth struct {
	Kind     string `yaml:"kind"` // one of Kinds; empty = none
	User     string `yaml:"user"`
	Password Secret `yaml:"password"`
	// TokenFile holds a bearer token; it is read again when the file changes.
	TokenFile string `yaml:"tokenFile"`
}

// The kinds of authentication.
const (
	KindNone   = "none"
	KindBasic  = "basic"
	KindBearer = "bearer"
)

// Kinds lists the kinds of authentication.
var Kinds = []string{KindNone, KindBasic, KindBearer}

// TLS says how the connection is encrypted; https in the base URL turns it on.
type TLS struct {
	CAFile   string `yaml:"caFile"`   // PEM; instead of the system's roots
	CertFile string `yaml:"certFile"` // PEM; client certificate
	KeyFile  string `yaml:"keyFile"`  // PEM; key of the client certificate
}

// The defaults and limits of Config.
const (
	DefaultTimeout     = 12 * time.Second // below half of the default session timeout
	DefaultConnections = 32
	MaxConnections     = 1024
)

// WithDefaults returns c with what the configuration leaves open.
func (c Config) WithDefaults() Config {
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Connections == 0 {
		c.Connections = DefaultConnections
	}
	if c.Auth.Kind == "" {
		c.Auth.Kind = KindNone
	}
	return c
}

// Validate says everything that is wrong with c, as errors that have a
// ConfigPath.
func (c Config) Validate() error {
	c = c.WithDefaults()
	var errs []error
	add := func(path, format string, args ...any) {
		errs = append(errs, &ConfigError{Path: path, Text: fmt.Sprintf(format, args...)})
	}
	if u, err := url.Parse(c.BaseURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil {
		add("baseURL", "baseURL must be an http or https address such as https://host/fhir, without user, password or query")
	}
	if c.Timeout < 0 {
		add("timeout", "timeout must be above 0, e.g. %s", DefaultTimeout)
	}
	if c.Connections < 1 || c.Connections > MaxConnections {
		add("connections", "connections must be 1 to %d", MaxConnections)
	}
	switch {
	case !slices.Contains(Kinds, c.Auth.Kind):
		add("auth.kind", "auth.kind %q is not known: write one of %s", c.Auth.Kind, strings.Join(Kinds, ", "))
	case c.Auth.Kind == KindBasic && c.Auth.User == "":
		add("auth.user", "auth.kind basic needs auth.user and auth.password")
	case c.Auth.Kind == KindBearer && c.Auth.TokenFile == "":
		add("auth.tokenFile", "auth.kind bearer needs auth.tokenFile, a file that holds the token")
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		add("tls", "tls.certFile and tls.keyFile go together: write both or none")
	}
	return errors.Join(errs...)
}

// ConfigError is one thing wrong in a configuration.
type ConfigError struct {
	Path string // relative to the configuration that was validated
	Text string // what is wrong and what to change
}

// Error says what to change.
func (e *ConfigError) Error() string { return e.Text }

// ConfigPath names the field.
func (e *ConfigError) ConfigPath() string { return e.Path }

// Secret is text that must not be printed.
type Secret = schemas.Secret

// config returns what crypto/tls needs; nil for the system's roots and no
// client certificate.
func (t TLS) config() (*tls.Config, error) {
	if t == (TLS{}) {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading tls.caFile: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading tls.caFile: %s holds no PEM certificate", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("reading tls.certFile and tls.keyFile: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
