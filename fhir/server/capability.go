package server

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// about is what the CapabilityStatement says of the server.
const about = "The FHIR server embedded in auscult, for trying it, for tests and for one-box sites. " +
	"It keeps all of R4's resource types in one SQLite file. It has no users, no access control, " +
	"no profiles, no terminology and no operations: put a full FHIR server in its place where patients depend on it."

// How far resources are checked, in the documentation of their types.
const (
	checkedDoc = "Structure is checked in full: members, cardinalities, formats of primitive types, required codes, " +
		"types of choices and of what references mean. Invariants, profiles and other value sets are not."
	storedDoc = "Stored with basic checks only: well-formed JSON without empty members, resourceType, id, meta, implicitRules and language."
)

// restDoc says what a CapabilityStatement has no member for.
const restDoc = "Search parameters take alternatives with commas; tokens as code, system|code, |code and system|; " +
	"dates with the prefixes eq, ne, gt, lt, ge, le, sa, eb and ap; references as id, Type/id and address, with the modifier :Type. " +
	"All but those that begin with _ take :missing. A reference followed by a dot and a parameter of what it means is a chain: patient.identifier. " +
	"Results: _count, _sort by the date of the type or by _lastUpdated, _total, _summary=count, next links. " +
	"Unknown parameters are left out, under Prefer: handling=strict refused. If-Match, If-None-Match (on reads and writes), " +
	"If-Modified-Since and If-None-Exist are obeyed, in entries of a Bundle too. A PUT that changes nothing keeps the version."

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
	Mode          string         `json:"mode"`
	Documentation string         `json:"documentation"`
	Resource      []restResource `json:"resource"`
	Interaction   []interaction  `json:"interaction"`
}

type restResource struct {
	Type              string        `json:"type"`
	Documentation     string        `json:"documentation"`
	Interaction       []interaction `json:"interaction"`
	Versioning        string        `json:"versioning"`
	ReadHistory       bool          `json:"readHistory"`
	UpdateCreate      bool          `json:"updateCreate"`
	ConditionalCreate bool          `json:"conditionalCreate"`
	ConditionalRead   string        `json:"conditionalRead"`
	ConditionalUpdate bool          `json:"conditionalUpdate"`
	ConditionalDelete string        `json:"conditionalDelete"`
	ReferencePolicy   []string      `json:"referencePolicy"`
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

// capabilities returns the CapabilityStatement, made from the same tables as
// the search and the checks themselves.
func (s *Server) capabilities(base string) ([]byte, error) {
	structures, err := definitions()
	if err != nil {
		return nil, err
	}
	policy := []string{"literal", "logical", "local"}
	if s.writer.references {
		policy = append(policy, "enforced")
	}
	kinds := append(strings.Fields(otherTypes), slices.Collect(maps.Keys(searchable))...)
	slices.Sort(kinds)
	r := rest{Mode: "server", Documentation: restDoc, Interaction: interactions("transaction", "batch")}
	for _, kind := range kinds {
		one := capabilityOf(kind)
		one.ReferencePolicy = policy
		if structures[kind] != nil {
			one.Documentation = checkedDoc
		}
		r.Resource = append(r.Resource, one)
	}
	body, err := json.Marshal(capabilityStatement{ResourceType: "CapabilityStatement", ID: "auscult", Status: "active", Date: "2026-01-01",
		Kind: "instance", Description: about, Software: named{"auscult"}, Implementation: implementation{about, base},
		FHIRVersion: "4.0.1", Format: []string{"json"}, Rest: []rest{r}})
	return body, err
}

func capabilityOf(kind string) restResource {
	r := restResource{Type: kind, Documentation: storedDoc, Versioning: "versioned-update", ReadHistory: true, UpdateCreate: true,
		ConditionalCreate: true, ConditionalRead: "full-support", ConditionalUpdate: true, ConditionalDelete: "not-supported",
		Interaction: interactions("read", "vread", "update", "delete", "history-instance", "create", "search-type"),
		SearchParam: []searchParam{{"_id", "token"}, {"_lastUpdated", "date"}}}
	params, _ := paramsOf(kind)
	for _, p := range params {
		r.SearchParam = append(r.SearchParam, searchParam{p.name, p.kind.String()})
	}
	return r
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
