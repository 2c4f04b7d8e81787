package rest

import (
	"net/url"
	"slices"
	"strings"
)

// Auth says who we are to the FHIR server. Each kind has its own settings; one
// that the chosen kind does not read is a mistake. Every secret can be left out
// of the configuration: a file or the environment gives it.
type Auth struct {
	Kind string `yaml:"kind"` // one of Kinds; empty = none

	User         string `yaml:"user"`
	Password     Secret `yaml:"password"`
	PasswordFile string `yaml:"passwordFile"` // holds the password; read again when it changes

	// TokenFile holds a token that somebody else renews, and is read again when
	// it changes: the bearer token itself, or the service account's token that
	// azure-workload-identity exchanges for one.
	TokenFile string `yaml:"tokenFile"`

	// TokenURL is where tokens are asked for; empty = what the FHIR server
	// publishes under .well-known/smart-configuration.
	TokenURL         string `yaml:"tokenURL"`
	ClientID         string `yaml:"clientID"`
	ClientSecret     Secret `yaml:"clientSecret"`
	ClientSecretFile string `yaml:"clientSecretFile"` // holds the secret; read again when it changes
	// ClientAuth is one of ClientAuths: how the secret is sent. Empty = in the
	// header, unless the server publishes that it wants the form.
	ClientAuth string `yaml:"clientAuth"`
	// Scope is what is asked for, several parted by spaces; empty = what the
	// token endpoint gives by itself, for Azure the FHIR server's /.default.
	Scope    string `yaml:"scope"`
	Audience string `yaml:"audience"` // audience of the request, where the token endpoint wants one
	Resource string `yaml:"resource"` // resource of the request (RFC 8707), where it wants one

	KeyFile string `yaml:"keyFile"` // PEM or JWK; RSA for RS384, EC P-384 for ES384
	KeyID   string `yaml:"keyID"`   // kid of the key; a JWK may name itself

	TenantID string `yaml:"tenantID"` // of Microsoft Entra ID; empty = AZURE_TENANT_ID
}

// The kinds of authentication.
const (
	KindNone   = "none"
	KindBasic  = "basic"
	KindBearer = "bearer"
	// KindOAuth2 is the client credentials grant with a client secret.
	KindOAuth2 = "oauth2"
	// KindSMART is SMART Backend Services: client credentials with an assertion
	// that our private key has signed (private_key_jwt).
	KindSMART                 = "smart-backend"
	KindAzureManagedIdentity  = "azure-managed-identity"
	KindAzureWorkloadIdentity = "azure-workload-identity"
)

// Kinds lists the kinds of authentication.
var Kinds = []string{KindNone, KindBasic, KindBearer, KindOAuth2, KindSMART, KindAzureManagedIdentity, KindAzureWorkloadIdentity}

// The ways in which a client secret is sent, as OpenID Connect names them.
const (
	ClientSecretBasic = "client_secret_basic"
	ClientSecretPost  = "client_secret_post"
)

// ClientAuths lists the ways in which a client secret is sent.
var ClientAuths = []string{ClientSecretBasic, ClientSecretPost}

// authSettings are the settings beside kind, and which kinds read each.
var authSettings = []struct {
	name  string
	set   func(*Auth) bool
	kinds []string
}{
	{"user", func(a *Auth) bool { return a.User != "" }, []string{KindBasic}},
	{"password", func(a *Auth) bool { return a.Password != "" }, []string{KindBasic}},
	{"passwordFile", func(a *Auth) bool { return a.PasswordFile != "" }, []string{KindBasic}},
	{"tokenFile", func(a *Auth) bool { return a.TokenFile != "" }, []string{KindBearer, KindAzureWorkloadIdentity}},
	{"tokenURL", func(a *Auth) bool { return a.TokenURL != "" }, []string{KindOAuth2, KindSMART}},
	{"clientID", func(a *Auth) bool { return a.ClientID != "" }, []string{KindOAuth2, KindSMART, KindAzureManagedIdentity, KindAzureWorkloadIdentity}},
	{"clientSecret", func(a *Auth) bool { return a.ClientSecret != "" }, []string{KindOAuth2}},
	{"clientSecretFile", func(a *Auth) bool { return a.ClientSecretFile != "" }, []string{KindOAuth2}},
	{"clientAuth", func(a *Auth) bool { return a.ClientAuth != "" }, []string{KindOAuth2}},
	{"scope", func(a *Auth) bool { return a.Scope != "" }, []string{KindOAuth2, KindSMART, KindAzureManagedIdentity, KindAzureWorkloadIdentity}},
	{"audience", func(a *Auth) bool { return a.Audience != "" }, []string{KindOAuth2}},
	{"resource", func(a *Auth) bool { return a.Resource != "" }, []string{KindOAuth2}},
	{"keyFile", func(a *Auth) bool { return a.KeyFile != "" }, []string{KindSMART}},
	{"keyID", func(a *Auth) bool { return a.KeyID != "" }, []string{KindSMART}},
	{"tenantID", func(a *Auth) bool { return a.TenantID != "" }, []string{KindAzureWorkloadIdentity}},
}

// complain takes one thing that is wrong with the setting at path.
type complain func(path, format string, args ...any)

// validate says everything that is wrong with a, for a server at base.
func (a *Auth) validate(base *url.URL, add complain) {
	if !slices.Contains(Kinds, a.Kind) {
		add("auth.kind", "auth.kind %q is not known: write one of %s", a.Kind, strings.Join(Kinds, ", "))
		return // what else is asked for depends on it
	}
	for _, s := range authSettings {
		if s.set(a) && !slices.Contains(s.kinds, a.Kind) {
			add("auth."+s.name, "auth.%s is of kind %s: remove it, or correct auth.kind, which is %s", s.name, strings.Join(s.kinds, " and "), a.Kind)
		}
	}
	switch a.Kind {
	case KindBasic:
		a.validateBasic(add)
	case KindBearer:
		if a.TokenFile == "" {
			add("auth.tokenFile", "auth.kind bearer needs auth.tokenFile, a file that holds the token")
		}
	case KindOAuth2:
		a.validateOAuth2(base, add)
	case KindSMART:
		a.validateSMART(base, add)
	case KindAzureManagedIdentity, KindAzureWorkloadIdentity:
		if strings.Contains(strings.TrimSpace(a.Scope), " ") {
			add("auth.scope", "auth.scope must be one scope for Azure, such as https://host/.default")
		}
	}
}

func (a *Auth) validateBasic(add complain) {
	if a.User == "" {
		add("auth.user", "auth.kind basic needs auth.user and auth.password")
	}
	if a.Password != "" && a.PasswordFile != "" {
		add("auth.passwordFile", "auth.password and auth.passwordFile are both set: keep one")
	}
}

func (a *Auth) validateOAuth2(base *url.URL, add complain) {
	a.validateClient(base, add)
	switch {
	case a.ClientSecret == "" && a.ClientSecretFile == "":
		add("auth.clientSecretFile", "auth.kind oauth2 needs auth.clientSecretFile, a file that holds the secret, or auth.clientSecret from the environment")
	case a.ClientSecret != "" && a.ClientSecretFile != "":
		add("auth.clientSecretFile", "auth.clientSecret and auth.clientSecretFile are both set: keep one")
	}
	if a.ClientAuth != "" && !slices.Contains(ClientAuths, a.ClientAuth) {
		add("auth.clientAuth", "auth.clientAuth %q is not known: write one of %s", a.ClientAuth, strings.Join(ClientAuths, ", "))
	}
}

func (a *Auth) validateSMART(base *url.URL, add complain) {
	a.validateClient(base, add)
	if a.KeyFile == "" {
		add("auth.keyFile", "auth.kind smart-backend needs auth.keyFile, the private key as PEM or JWK whose public part the server knows")
	}
	if a.Scope == "" {
		add("auth.scope", "auth.kind smart-backend needs auth.scope, such as system/*.cruds, or system/*.* for SMART 1")
	}
}

// validateClient checks what both kinds that use a token endpoint need.
func (a *Auth) validateClient(base *url.URL, add complain) {
	if a.ClientID == "" {
		add("auth.clientID", "auth.kind %s needs auth.clientID, the name under which this client is registered", a.Kind)
	}
	if a.TokenURL == "" {
		return
	}
	u, err := url.Parse(a.TokenURL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "":
		add("auth.tokenURL", "auth.tokenURL must be an address such as https://host/oauth2/token, without user or password")
	case u.Scheme != "https" && base != nil && base.Scheme == "https":
		add("auth.tokenURL", "auth.tokenURL must begin with https, as baseURL does: it is sent our credentials")
	}
}
