package rest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"auscult/fhir/rest"
)

// credential gives what a test says.
type credential struct {
	mu     sync.Mutex
	scopes []string
	token  azcore.AccessToken
	err    error
}

func (c *credential) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scopes = append(c.scopes, o.Scopes...)
	return c.token, c.err
}

func (c *credential) constructors() rest.AzureConstructors {
	return rest.AzureConstructors{
		Managed:  func(*azidentity.ManagedIdentityCredentialOptions) (azcore.TokenCredential, error) { return c, nil },
		Workload: func(*azidentity.WorkloadIdentityCredentialOptions) (azcore.TokenCredential, error) { return c, nil },
	}
}

func TestAzureToken(t *testing.T) {
	for scope, want := range map[string]string{"": "BASE/.default", "api://fhir/.default": "api://fhir/.default"} {
		a, clock, c := newAuthority(t), newClock(), &credential{}
		give := func(token string, life, early time.Duration) {
			c.token = azcore.AccessToken{Token: token, ExpiresOn: clock.now().Add(life)}
			if early > 0 {
				c.token.RefreshOn = clock.now().Add(early)
			}
		}
		give("azure.one", 24*time.Hour, 12*time.Hour)
		client, err := rest.NewAt(rest.Config{BaseURL: a.URL + "/fhir", Auth: rest.Auth{Kind: rest.KindAzureManagedIdentity, Scope: scope}}, clock.now, c.constructors())
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			after time.Duration
			next  string // what the SDK gives from here on
			asked int
			sent  string
		}{
			{0, "", 1, "azure.one"},
			{11 * time.Hour, "", 1, "azure.one"},
			{time.Hour, "", 2, "azure.one"},        // the SDK still gives the one that it keeps
			{20 * time.Second, "", 2, "azure.one"}, // and is left alone for a while
			{20 * time.Second, "azure.two", 3, "azure.two"},
			{54 * time.Minute, "", 3, "azure.two"},
			{2 * time.Minute, "", 4, "azure.two"},
			{20 * time.Second, "", 4, "azure.two"},
			{3 * time.Minute, "azure.three", 5, "azure.three"},
		} {
			clock.step(step.after)
			if step.next != "" {
				give(step.next, time.Hour, 0)
			}
			if err := call(client); err != nil || len(c.scopes) != step.asked || a.lastAccepted() != step.sent {
				t.Errorf("%+v: %v, asked %d times, sent %s", step, err, len(c.scopes), a.lastAccepted())
			}
		}
		if got := strings.ReplaceAll(c.scopes[0], a.URL, "BASE"); got != want {
			t.Errorf("scope is %s, want %s", got, want)
		}
		client.Close()
	}
}

// TestAzureTokenKept: the SDK gives the refused token once more; there is no
// second request with it.
func TestAzureTokenKept(t *testing.T) {
	a, clock := newAuthority(t), newClock()
	c := &credential{token: azcore.AccessToken{Token: "azure.one", ExpiresOn: clock.now().Add(time.Hour)}}
	client, err := rest.NewAt(rest.Config{BaseURL: a.URL + "/fhir", Auth: rest.Auth{Kind: rest.KindAzureManagedIdentity}}, clock.now, c.constructors())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	clock.step(5 * time.Minute)
	if err := call(client); err != nil {
		t.Fatal(err)
	}
	clock.step(5 * time.Minute)
	a.set(func() { a.revoked, a.calls = []string{"azure.one"}, 0 })
	if err := call(client); status(err) != http.StatusUnauthorized || a.calls != 1 {
		t.Errorf("%v, %d calls", err, a.calls)
	}
}

// cloud stands for Azure's endpoints: the network under the real credentials.
type cloud struct {
	mu       sync.Mutex
	requests []*http.Request
	forms    []url.Values
	status   int
	body     string
}

func (c *cloud) Do(q *http.Request) (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	body, status := c.body, c.status
	var form url.Values
	if q.Body != nil {
		text, _ := io.ReadAll(q.Body)
		form, _ = url.ParseQuery(string(text))
	}
	switch {
	case strings.Contains(q.URL.Path, "discovery/instance"):
		body, status = `{"tenant_discovery_endpoint":"https://login.microsoftonline.com/tenant/v2.0/.well-known/openid-configuration","metadata":[]}`, http.StatusOK
	case strings.Contains(q.URL.Path, "openid-configuration"):
		body, status = `{"token_endpoint":"https://login.microsoftonline.com/tenant/oauth2/v2.0/token","authorization_endpoint":"https://login.microsoftonline.com/tenant/oauth2/v2.0/authorize","issuer":"https://login.microsoftonline.com/tenant/v2.0"}`, http.StatusOK
	default:
		c.requests, c.forms = append(c.requests, q), append(c.forms, form)
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), Request: q}, nil
}

// real are Azure's own constructors, over the cloud.
func (c *cloud) real() rest.AzureConstructors {
	options := azcore.ClientOptions{Transport: c, Retry: policy.RetryOptions{MaxRetries: -1}}
	return rest.AzureConstructors{
		Managed: func(o *azidentity.ManagedIdentityCredentialOptions) (azcore.TokenCredential, error) {
			o.ClientOptions = options
			return rest.RealAzure.Managed(o)
		},
		Workload: func(o *azidentity.WorkloadIdentityCredentialOptions) (azcore.TokenCredential, error) {
			o.ClientOptions = options
			return rest.RealAzure.Workload(o)
		},
	}
}

// withoutAzure takes away what an Azure host would tell.
func withoutAzure(t *testing.T) {
	for _, name := range []string{"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST",
		"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT", "MSI_ENDPOINT", "MSI_SECRET", "IMDS_ENDPOINT"} {
		t.Setenv(name, "")
		os.Unsetenv(name)
	}
}

func TestAzureManagedIdentity(t *testing.T) {
	withoutAzure(t)
	for _, id := range []string{"", "11111111-2222-3333-4444-555555555555"} {
		a := newAuthority(t)
		c := &cloud{status: http.StatusOK, body: `{"access_token":"managed.token","expires_in":"3600","resource":"r","token_type":"Bearer"}`}
		client, err := rest.NewAt(rest.Config{BaseURL: a.URL + "/fhir", Auth: rest.Auth{Kind: rest.KindAzureManagedIdentity, ClientID: id}}, time.Now, c.real())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := call(client); err != nil || a.lastAccepted() != "managed.token" || len(c.requests) != 1 {
			t.Fatalf("%v, sent %s, %d requests", err, a.lastAccepted(), len(c.requests))
		}
		q := c.requests[0]
		if q.URL.Host != "169.254.169.254" || q.URL.Query().Get("resource") != a.URL || q.URL.Query().Get("client_id") != id || q.Header.Get("Metadata") != "true" {
			t.Errorf("%s %v", q.URL, q.Header)
		}
	}
}

func TestAzureWorkloadIdentity(t *testing.T) {
	withoutAzure(t)
	a := newAuthority(t)
	file := filepath.Join(t.TempDir(), "service-account")
	if err := os.WriteFile(file, []byte("projected.token"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &cloud{status: http.StatusOK, body: `{"access_token":"workload.token","expires_in":3600,"token_type":"Bearer"}`}
	auth := rest.Auth{Kind: rest.KindAzureWorkloadIdentity, ClientID: "client-1", TenantID: "tenant-1", TokenFile: file, Scope: "https://fhir.example/.default"}
	client, err := rest.NewAt(rest.Config{BaseURL: a.URL + "/fhir", Auth: auth}, time.Now, c.real())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := call(client); err != nil || a.lastAccepted() != "workload.token" || len(c.forms) != 1 {
		t.Fatalf("%v, sent %s, %d requests", err, a.lastAccepted(), len(c.forms))
	}
	f := c.forms[0]
	if f.Get("client_id") != "client-1" || f.Get("client_assertion") != "projected.token" || f.Get("grant_type") != "client_credentials" ||
		!strings.Contains(f.Get("scope"), "https://fhir.example/.default") {
		t.Errorf("%v", f)
	}
}

func TestAzureWorkloadIdentityFromThePod(t *testing.T) {
	withoutAzure(t)
	auth := rest.Auth{Kind: rest.KindAzureWorkloadIdentity}
	_, err := rest.New(rest.Config{BaseURL: "https://host", Auth: auth})
	if err == nil || !strings.Contains(err.Error(), "set auth.clientID, auth.tenantID and auth.tokenFile, or label the pod azure.workload.identity/use") {
		t.Errorf("%v", err)
	}
	for name, value := range map[string]string{"AZURE_CLIENT_ID": "c", "AZURE_TENANT_ID": "t", "AZURE_FEDERATED_TOKEN_FILE": "/none"} {
		t.Setenv(name, value)
	}
	c, err := rest.New(rest.Config{BaseURL: "https://host", Auth: auth})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestAzureErrors(t *testing.T) {
	withoutAzure(t)
	file := filepath.Join(t.TempDir(), "service-account")
	if err := os.WriteFile(file, []byte("projected.token"), 0o600); err != nil {
		t.Fatal(err)
	}
	managed := rest.Auth{Kind: rest.KindAzureManagedIdentity, ClientID: "c"}
	workload := rest.Auth{Kind: rest.KindAzureWorkloadIdentity, ClientID: "c", TenantID: "tenant", TokenFile: file}
	lost := workload
	lost.TokenFile = "/none"
	for name, test := range map[string]struct {
		auth   rest.Auth
		status int
		words  string
		want   string
		again  bool
	}{
		"no such identity":    {managed, 400, "invalid_request: Identity not found", "assign a managed identity to this machine; for a user-assigned one, correct auth.clientID", false},
		"no such resource":    {managed, 400, "invalid_resource: not found", "correct auth.scope, which is ", false},
		"busy":                {managed, 429, "too_many: requests", "it answered 429", true},
		"down":                {managed, 503, "", "it answered 503", true},
		"no federation":       {workload, 401, "invalid_client: AADSTS700213: No matching federated identity record", "federated credential for this service account's issuer and subject", false},
		"no such application": {workload, 400, "unauthorized_client: AADSTS700016: not found", "correct auth.clientID, auth.tenantID and auth.tokenFile", false},
		"no such tenant":      {workload, 400, "invalid_request: AADSTS90002: Tenant not found", "correct auth.tenantID", false},
		"no such FHIR server": {workload, 400, "invalid_resource: AADSTS500011: not found", "correct auth.scope, which is ", false},
		"no token of the pod": {lost, 200, "", "auth.tokenFile", true},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t)
			code, description, _ := strings.Cut(test.words, ": ")
			c := &cloud{status: test.status, body: fmt.Sprintf(`{"error":%q,"error_description":%q}`, code, description)}
			client, err := rest.NewAt(rest.Config{BaseURL: a.URL + "/fhir", Auth: test.auth}, time.Now, c.real())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			err = call(client)
			if err == nil || !strings.Contains(err.Error(), test.want) || again(err) != test.again || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, again %t", err, again(err))
			}
			noSecret(t, fmt.Sprint(err), "projected.token")
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		a, c := newAuthority(t), &credential{err: errors.New("dial tcp: nobody there")}
		client, err := rest.NewAt(rest.Config{BaseURL: a.URL, Auth: managed}, time.Now, c.constructors())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := call(client); !again(err) || !strings.Contains(err.Error(), "nobody there; assign a managed identity to this machine") {
			t.Errorf("%v", err)
		}
	})
}
