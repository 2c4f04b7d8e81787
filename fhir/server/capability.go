package server

import (
	"encoding/json"
	"slices"
	"strings"
)

// about is what the CapabilityStatement says of the server.
const about = "The FHIR server embedded in auscult, for trying it, for tests and for one-box sites. " +
	"It keeps all of R4's resource types in one SQLite file and checks their structure lightly. It has no users, no access control, " +
	"no profiles, no terminology and no operations: put a full FHIR server in its place where patients depend on it."

type capabilityStatement struct {
	ResourceType   string         `json:"resourceType"`
	ID             string         `json:"id"`
	Status         string         `json:"status"`
	Date           string         `json:"date"`
	Kind           string         `json:"kind"`
	Description    string         `json:"description"`
	Software       named          `json:"software"`
	Implementation implementation `json:"implementation"`
	FHIRVersion    string         `json:"fhirVersion"`
	Format         []string       `json:"format"`
	Rest           []rest         `json:"rest"`
}

type named struct {
	Name string `json:"name"`
}

type implementation struct {
	Description string `json:"description"`
	URL         string `json:"url"`
}

type rest struct {
	Mode        string         `json:"mode"`
	Resource    []restResource `json:"resource"`
	Interaction []interaction  `json:"interaction"`
}

type restResource struct {
	Type              string        `json:"type"`
	Interaction       []interaction `json:"interaction"`
	Versioning        string        `json:"versioning"`
	ReadHistory       bool          `json:"readHistory"`
	UpdateCreate      bool          `json:"updateCreate"`
	ConditionalCreate bool          `json:"conditionalCreate"`
	ConditionalUpdate bool          `json:"conditionalUpdate"`
	SearchParam       []searchParam `json:"searchParam"`
}

type interaction struct {
	Code string `json:"code"`
}

type searchParam struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

func interactions(codes ...string) (all []interaction) {
	for _, c := range codes {
		all = append(all, interaction{c})
	}
	return all
}

// capabilities returns the CapabilityStatement, made from the same table as the
// search itself.
func capabilities(base string) []byte {
	kinds := strings.Fields(otherTypes)
	for kind := range searchable {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	r := rest{Mode: "server", Interaction: interactions("transaction", "batch")}
	for _, kind := range kinds {
		one := restResource{Type: kind, Versioning: "versioned-update", ReadHistory: true, UpdateCreate: true, ConditionalCreate: true, ConditionalUpdate: true,
			Interaction: interactions("read", "vread", "update", "delete", "history-instance", "create", "search-type"),
			SearchParam: []searchParam{{"_id", "token"}, {"_lastUpdated", "date"}}}
		params, _ := paramsOf(kind)
		for _, p := range params {
			one.SearchParam = append(one.SearchParam, searchParam{p.name, p.kind.String()})
		}
		r.Resource = append(r.Resource, one)
	}
	body, _ := json.Marshal(capabilityStatement{ResourceType: "CapabilityStatement", ID: "auscult", Status: "active", Date: "2026-01-01",
		Kind: "instance", Description: about, Software: named{"auscult"}, Implementation: implementation{about, base},
		FHIRVersion: "4.0.1", Format: []string{"json"}, Rest: []rest{r}}) // plain structs always have a JSON form
	return body
}

func (k paramKind) String() string {
	switch k {
	case referenceParam:
		return "reference"
	case dateParam:
		return "date"
	}
	return "token"
}
