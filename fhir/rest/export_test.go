package rest

import (
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// AzureConstructors stand for those of Azure's SDK.
type AzureConstructors struct {
	Managed  func(*azidentity.ManagedIdentityCredentialOptions) (azcore.TokenCredential, error)
	Workload func(*azidentity.WorkloadIdentityCredentialOptions) (azcore.TokenCredential, error)
}

// RealAzure are Azure's own.
var RealAzure = AzureConstructors{azure.managed, azure.workload}

// NewAt is New with a clock and constructors of credentials.
func NewAt(c Config, now func() time.Time, a AzureConstructors) (*Client, error) {
	return open(c, surroundings{now: now, azure: azureConstructors{a.Managed, a.Workload}})
}

// ReadKey returns the algorithm and the name of a key.
func ReadKey(path, id string) (algorithm, kid string, err error) {
	k, err := readKey(path, id)
	if err != nil {
		return "", "", err
	}
	return k.algorithm, k.id, nil
}

// Insides returns everything of a client that holds a secret.
func Insides(c *Client) []any {
	all := []any{c, *c, c.auth}
	switch a := c.auth.(type) {
	case *tokens:
		all = append(all, a.held, &a.held, a.issuer)
		if e, ok := a.issuer.(*tokenEndpoint); ok {
			all = append(all, e.prover)
			if s, ok := e.prover.(*secretProof); ok {
				all = append(all, s.source)
			}
		}
	case *inFile:
		all = append(all, a.source)
	}
	return all
}
