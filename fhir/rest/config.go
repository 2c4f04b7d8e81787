package rest

import (
	"errors"
	"fmt"
	"net/url"
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
	u, err := url.Parse(c.BaseURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil {
		add("baseURL", "baseURL must be an http or https address such as https://host/fhir, without user, password or query")
	}
	if c.Timeout < 0 {
		add("timeout", "timeout must be above 0, e.g. %s", DefaultTimeout)
	}
	if c.Connections < 1 || c.Connections > MaxConnections {
		add("connections", "connections must be 1 to %d", MaxConnections)
	}
	c.Auth.validate(u, add)
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
