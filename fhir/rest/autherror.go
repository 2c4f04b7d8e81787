package rest

import (
	"net/http"
	"time"

	"auscult/fhir"
)

// AuthError says why there is no token, and what to change. It wraps a
// *fhir.StatusError that tells callers what to do: 401 to stop, for a person
// must change something, and 503 to try again.
type AuthError struct {
	Text string
	err  error
	as   *fhir.StatusError
}

// Error says what to change. It holds no secret.
func (e *AuthError) Error() string { return e.Text }

// Unwrap returns what to do, and the cause where there is one.
func (e *AuthError) Unwrap() []error {
	if e.err == nil {
		return []error{e.as}
	}
	return []error{e.as, e.err}
}

// Again reports whether another attempt may succeed without a change.
func (e *AuthError) Again() bool { return e.as.Status != http.StatusUnauthorized }

// mustChange is an error that no further attempt removes.
func mustChange(text string) *AuthError {
	return &AuthError{Text: text, as: &fhir.StatusError{Status: http.StatusUnauthorized}}
}

// mayPass is an error of somebody who is down or busy.
func mayPass(text string, err error, wait time.Duration) *AuthError {
	return &AuthError{Text: text, err: err, as: &fhir.StatusError{Status: http.StatusServiceUnavailable, RetryAfter: wait}}
}
