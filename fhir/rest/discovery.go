package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// smartConfiguration is what of a FHIR server's .well-known/smart-configuration
// is used.
type smartConfiguration struct {
	TokenEndpoint string   `json:"token_endpoint"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	Algorithms    []string `json:"token_endpoint_auth_signing_alg_values_supported"`
}

// smartPath is where a FHIR server publishes its token endpoint.
const smartPath = "/.well-known/smart-configuration"

func (e *tokenEndpoint) discover(ctx context.Context) (*smartConfiguration, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, e.base.String()+smartPath, nil)
	if err != nil {
		return nil, err
	}
	a, err := e.call(q, "looking for the token endpoint")
	if err != nil {
		return nil, err
	}
	switch {
	case a.status >= http.StatusInternalServerError || a.status == http.StatusTooManyRequests:
		return nil, mayPass(fmt.Sprintf("looking for the token endpoint: %s answered %d", smartPath, a.status), nil, retryAfter(a.header, e.now()))
	case a.status != http.StatusOK:
		return nil, mustChange(fmt.Sprintf("the FHIR server does not publish its token endpoint (%s answered %d): set auth.tokenURL", smartPath, a.status))
	}
	var found smartConfiguration
	if json.Unmarshal(a.body, &found) != nil || !e.trusts(found.TokenEndpoint) {
		return nil, mustChange("the FHIR server's " + smartPath + " names no token endpoint that could be used: set auth.tokenURL")
	}
	return &found, nil
}

// trusts reports whether our credentials may be sent to address: never in the
// clear where the FHIR server itself is reached encrypted.
func (e *tokenEndpoint) trusts(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http" && e.base.Scheme == "http")
}

// wants reports whether the server has published that it takes post and not
// basic.
func (s *smartConfiguration) wants(post, basic string) bool {
	return slices.Contains(s.AuthMethods, post) && !slices.Contains(s.AuthMethods, basic)
}
