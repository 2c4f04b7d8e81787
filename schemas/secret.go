package schemas

import (
	"fmt"
	"log/slog"
)

// Secret is text of a configuration that must not be printed: a password, a
// connection string, a header that holds a token.
type Secret string

// Hidden stands for what must not be printed.
const Hidden = "***"

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return Hidden
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return fmt.Sprintf("%q", s.String()) }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalYAML hides the secret in a printed configuration.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// MarshalText hides the secret from encoders of text, JSON among them.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
