package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// azureConstructors make the credentials of Azure's SDK.
type azureConstructors struct {
	managed  func(*azidentity.ManagedIdentityCredentialOptions) (azcore.TokenCredential, error)
	workload func(*azidentity.WorkloadIdentityCredentialOptions) (azcore.TokenCredential, error)
}

var azure = azureConstructors{
	managed: func(o *azidentity.ManagedIdentityCredentialOptions) (azcore.TokenCredential, error) {
		return azidentity.NewManagedIdentityCredential(o)
	},
	workload: func(o *azidentity.WorkloadIdentityCredentialOptions) (azcore.TokenCredential, error) {
		return azidentity.NewWorkloadIdentityCredential(o)
	},
}

// azureIssuer asks Azure for tokens in the name of an identity.
type azureIssuer struct {
	hidden
	kind       string
	credential azcore.TokenCredential
	scope      string
	now        func() time.Time
}

func newAzureIssuer(a Auth, base *url.URL, s surroundings) (*azureIssuer, error) {
	i := &azureIssuer{kind: a.Kind, scope: a.Scope, now: s.now}
	if i.scope == "" {
		i.scope = base.Scheme + "://" + base.Host + "/.default"
	}
	var err error
	if a.Kind == KindAzureManagedIdentity {
		o := &azidentity.ManagedIdentityCredentialOptions{}
		if a.ClientID != "" {
			o.ID = azidentity.ClientID(a.ClientID)
		}
		if i.credential, err = s.azure.managed(o); err != nil {
			return nil, fmt.Errorf("using the managed identity: %s: check auth.clientID", oneLine(err.Error()))
		}
		return i, nil
	}
	o := &azidentity.WorkloadIdentityCredentialOptions{ClientID: a.ClientID, TenantID: a.TenantID, TokenFilePath: a.TokenFile}
	if i.credential, err = s.azure.workload(o); err != nil {
		return nil, fmt.Errorf("using the workload identity: %s: set auth.clientID, auth.tenantID and auth.tokenFile, or label the pod azure.workload.identity/use",
			oneLine(err.Error()))
	}
	return i, nil
}

func (i *azureIssuer) issue(ctx context.Context) (grant, error) {
	asked := i.now()
	t, err := i.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{i.scope}})
	if err != nil {
		return grant{}, i.explain(err)
	}
	if !isToken(t.Token) {
		return grant{}, mayPass("Azure gave no token", nil, 0)
	}
	g := grant{header: bearerHeader(Secret(t.Token)), issued: asked, expires: t.ExpiresOn, early: t.RefreshOn}
	if g.old(asked) {
		// The SDK keeps tokens as well and may give out the one that we have. It
		// asks for another when it sees fit; we ask it again after a pause.
		g.early = asked.Add(maxTokenPause)
	}
	return g, nil
}

// explain says what to change when Azure refuses, and tells that from Azure not
// answering.
func (i *azureIssuer) explain(err error) *AuthError {
	var failed *azidentity.AuthenticationFailedError
	if !errors.As(err, &failed) || failed.RawResponse == nil {
		return mayPass("asking Azure for a token: "+oneLine(err.Error())+"; "+i.advice(""), err, 0)
	}
	status := failed.RawResponse.StatusCode
	text := fmt.Sprintf("asking Azure for a token: it answered %d", status)
	code := azureWords(failed.RawResponse)
	if code != "" {
		text += " (" + code + ")"
	}
	// The metadata service answers 404 and 410 while it is being updated.
	passing := []int{http.StatusNotFound, http.StatusGone, http.StatusRequestTimeout, http.StatusTooManyRequests}
	if status >= http.StatusInternalServerError || slices.Contains(passing, status) {
		return mayPass(text, nil, retryAfter(failed.RawResponse.Header, i.now()))
	}
	return mustChange(text + ": " + i.advice(code))
}

// azureWords is what Azure says of an error.
func azureWords(r *http.Response) string {
	body, err := runtime.Payload(r)
	var o struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err != nil || json.Unmarshal(body, &o) != nil {
		return ""
	}
	return oneLine(strings.TrimPrefix(o.Error+": "+o.Description, ": "))
}

// advice says what to look at, by the numbers that Microsoft Entra ID gives its
// errors.
func (i *azureIssuer) advice(words string) string {
	switch {
	case strings.Contains(words, "AADSTS500011") || strings.Contains(words, "invalid_resource") || strings.Contains(words, "invalid_scope"):
		return "correct auth.scope, which is " + i.scope
	case strings.Contains(words, "AADSTS70021"): // 700211 and 700213 too
		return "give the identity a federated credential for this service account's issuer and subject"
	case strings.Contains(words, "AADSTS90002"): // 900021 and 900023 too
		return "correct auth.tenantID"
	case i.kind == KindAzureManagedIdentity:
		return "assign a managed identity to this machine; for a user-assigned one, correct auth.clientID"
	}
	return "correct auth.clientID, auth.tenantID and auth.tokenFile"
}

func oneLine(text string) string { return said(text, proof{}) }
