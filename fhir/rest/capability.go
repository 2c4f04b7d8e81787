package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
)

// Capabilities is what a server declares of itself: that part of its
// CapabilityStatement by which a client can tell whether it will do.
type Capabilities struct {
	Software     string
	FHIRVersion  string
	Formats      []string
	Interactions []string // of the server as a whole, such as transaction
	Resources    map[string]ResourceCapabilities
}

// ResourceCapabilities is what a server declares of a resource type.
type ResourceCapabilities struct {
	Interactions      []string
	SearchParameters  []string
	Versioning        string // no-version, versioned, versioned-update, or empty
	UpdateCreate      *bool  // whether clients may give ids; nil = not said
	ConditionalUpdate bool
}

// code is an element of which only the code is used.
type code struct {
	Code string `json:"code"`
}

type capabilityStatement struct {
	ResourceType string `json:"resourceType"`
	FHIRVersion  string `json:"fhirVersion"`
	Software     struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"software"`
	Format []string `json:"format"`
	Rest   []struct {
		Mode        string               `json:"mode"`
		Interaction []code               `json:"interaction"`
		Resource    []resourceCapability `json:"resource"`
	} `json:"rest"`
}

type resourceCapability struct {
	Type              string `json:"type"`
	Interaction       []code `json:"interaction"`
	Versioning        string `json:"versioning"`
	UpdateCreate      *bool  `json:"updateCreate"`
	ConditionalUpdate bool   `json:"conditionalUpdate"`
	SearchParam       []struct {
		Name string `json:"name"`
	} `json:"searchParam"`
}

// metadata is where a FHIR server declares itself.
const metadata = "metadata"

// Capabilities reads the server's CapabilityStatement.
func (c *Client) Capabilities(ctx context.Context) (Capabilities, error) {
	a, err := c.send(ctx, request{method: http.MethodGet, address: c.address(metadata)})
	if err != nil {
		return Capabilities{}, err
	}
	var s capabilityStatement
	if json.Unmarshal(a.Body(), &s) != nil || s.ResourceType != "CapabilityStatement" {
		return Capabilities{}, errors.New("reading the FHIR server's answer: a CapabilityStatement was expected; check that baseURL is the server's FHIR address")
	}
	found := Capabilities{FHIRVersion: s.FHIRVersion, Formats: s.Format, Software: s.Software.Name, Resources: map[string]ResourceCapabilities{}}
	if s.Software.Version != "" {
		found.Software += " " + s.Software.Version
	}
	for _, r := range s.Rest {
		if r.Mode != "server" {
			continue
		}
		found.Interactions = append(found.Interactions, codes(r.Interaction)...)
		for i := range r.Resource {
			found.Resources[r.Resource[i].Type] = r.Resource[i].capabilities()
		}
	}
	return found, nil
}

func (r *resourceCapability) capabilities() ResourceCapabilities {
	c := ResourceCapabilities{Interactions: codes(r.Interaction), Versioning: r.Versioning, UpdateCreate: r.UpdateCreate, ConditionalUpdate: r.ConditionalUpdate}
	for _, p := range r.SearchParam {
		c.SearchParameters = append(c.SearchParameters, p.Name)
	}
	return c
}

func codes(all []code) []string {
	texts := make([]string, len(all))
	for i := range all {
		texts[i] = all[i].Code
	}
	return texts
}

// Delete deletes a resource. That there is none is no error.
func (c *Client) Delete(ctx context.Context, resourceType, id string) error {
	_, err := c.send(ctx, request{method: http.MethodDelete, address: c.address(resourceType, id)})
	if absent, _ := absence(err); absent {
		return nil
	}
	return err
}

// Authorize gets a token where the kind of authentication has one; it does not
// call the FHIR server. It tells what is wrong with our credentials from what
// the FHIR server thinks of them.
func (c *Client) Authorize(ctx context.Context) error {
	_, err := c.auth.authorize(ctx)
	return err
}
