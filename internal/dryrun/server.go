package dryrun

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// identifier is a FHIR Identifier.
type identifier struct {
	System string `json:"system,omitempty"`
	Value  string `json:"value"`
}

// resource is what a Server keeps of a resource.
type resource struct {
	ResourceType string       `json:"resourceType"`
	ID           string       `json:"id"`
	Identifier   []identifier `json:"identifier"`
	Patient      *reference   `json:"patient"` // of a Device
	body         []byte
}

func (r *resource) key() string { return r.ResourceType + "/" + r.ID }

type reference struct {
	Reference string `json:"reference"`
}

// Server is the least of a FHIR server that writing Observations needs: it
// stores under type and id, and finds by identifier. Texts come back trimmed.
type Server struct {
	stored map[string]*resource   // by Type/id
	values map[string][]*resource // by Type, a blank and an identifier's value
}

// NewServer returns a server that holds nothing.
func NewServer() *Server {
	return &Server{stored: map[string]*resource{}, values: map[string][]*resource{}}
}

// Load stores a resource that others have written.
func (s *Server) Load(body []byte) error {
	trimmed, err := trimTexts(body)
	if err != nil {
		return fmt.Errorf("reading a stored resource: %w", err)
	}
	_, err = s.put(trimmed)
	return err
}

// put stores a resource, in place of the one with its type and id.
func (s *Server) put(body []byte) (*resource, error) {
	r := &resource{body: body}
	if err := json.Unmarshal(body, r); err != nil {
		return nil, fmt.Errorf("reading a resource: %w", err)
	}
	if r.ResourceType == "" || r.ID == "" {
		return nil, errors.New("a resource has no resourceType or no id")
	}
	if old := s.stored[r.key()]; old != nil {
		for _, value := range old.searched() {
			s.values[value] = slices.DeleteFunc(s.values[value], func(o *resource) bool { return o == old })
		}
	}
	s.stored[r.key()] = r
	for _, value := range r.searched() {
		s.values[value] = append(s.values[value], r)
	}
	return r, nil
}

// searched returns the keys under which a resource is found.
func (r *resource) searched() []string {
	keys := make([]string, len(r.Identifier))
	for i, id := range r.Identifier {
		keys[i] = r.ResourceType + " " + id.Value
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func (s *Server) read(resourceType, id string) *resource { return s.stored[resourceType+"/"+id] }

// find returns the resources with that identifier, by id; an empty system is
// any, an empty value none.
func (s *Server) find(resourceType, system, value string) []*resource {
	if value = strings.TrimSpace(value); value == "" {
		return nil
	}
	var found []*resource
	for _, r := range s.values[resourceType+" "+value] {
		if slices.ContainsFunc(r.Identifier, func(i identifier) bool {
			return i.Value == value && (system == "" || i.System == system)
		}) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b *resource) int { return cmp.Compare(a.ID, b.ID) })
	return found
}
