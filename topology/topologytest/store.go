// Package topologytest drives the whole river in one goroutine, with faults
// where a test wants them: a stage that dies between its row and its outputs,
// commits that lag, any number of partitions.
//
// It knows the graph and how to disturb it; what comes out is for the test to
// judge.
package topologytest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"auscult/fhir"
	"auscult/schemas"
)

// Store is a FHIR server in memory, as far as Identify and Deliver need one: it
// checks versions, keeps every version, and finds resources by identifier or by
// their patient. It is safe for concurrent use.
type Store struct {
	mu        sync.Mutex
	resources map[string][]version // by "Type/id"; in order
	// Now, when set, is the server's clock: what is read carries meta with its
	// version and when that was written.
	Now func() time.Time
	// Writes counts the versions that were written.
	Writes int
}

// version is one version of a resource, as it was put.
type version struct {
	fhir.Stored
	at      time.Time
	content searched
}

// NewStore returns an empty store.
func NewStore() *Store { return &Store{resources: map[string][]version{}} }

// Resources returns the current JSON of every resource as it was put, by
// "Type/id": without what a server adds.
func (s *Store) Resources() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]string{}
	for k, versions := range s.resources {
		all[k] = string(versions[len(versions)-1].JSON)
	}
	return all
}

// given returns a version as the server gives it out.
func (s *Store) given(v version) fhir.Stored {
	if s.Now == nil {
		return v.Stored
	}
	meta := fmt.Sprintf(`{"meta":{"versionId":"%s","lastUpdated":"%s"},`, v.Version, v.at.UTC().Format(time.RFC3339Nano))
	v.JSON = append([]byte(meta), v.JSON[1:]...)
	return v.Stored
}

// Read returns the current version.
func (s *Store) Read(_ context.Context, resourceType, id string) (fhir.Stored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read(resourceType + "/" + id), nil
}

func (s *Store) read(name string) fhir.Stored {
	versions := s.resources[name]
	if len(versions) == 0 {
		return fhir.Stored{}
	}
	return s.given(versions[len(versions)-1])
}

// History returns all versions, newest first.
func (s *Store) History(_ context.Context, resourceType, id string) ([]fhir.Stored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []fhir.Stored
	for _, v := range slices.Backward(s.resources[resourceType+"/"+id]) {
		all = append(all, s.given(v))
	}
	return all, nil
}

// Put writes a version. With a version given it must be the current one.
func (s *Store) Put(_ context.Context, resourceType, id string, body []byte, version string) (fhir.Stored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(resourceType+"/"+id, version); err != nil {
		return fhir.Stored{}, err
	}
	return s.put(resourceType+"/"+id, id, body), nil
}

func (s *Store) check(name, version string) error {
	if version != "" && s.read(name).Version != version {
		return &fhir.StatusError{Status: http.StatusPreconditionFailed, Outcome: "the version has moved on"}
	}
	return nil
}

func (s *Store) put(name, id string, body []byte) fhir.Stored {
	body = withoutMeta(body)
	if n := len(s.resources[name]); n > 0 && bytes.Equal(s.resources[name][n-1].JSON, body) {
		return s.read(name)
	}
	s.Writes++
	v := version{Stored: fhir.Stored{ID: id, Version: strconv.Itoa(len(s.resources[name]) + 1), JSON: slices.Clone(body)}}
	_ = json.Unmarshal(body, &v.content) // what is no JSON is not found
	if s.Now != nil {
		v.at = s.Now()
	}
	s.resources[name] = append(s.resources[name], v)
	return s.given(v)
}

// withoutMeta cuts the member meta out of a resource, which a server sets anew
// with each version. The rest stays byte for byte.
func withoutMeta(body []byte) []byte {
	if !bytes.Contains(body, []byte(`"meta"`)) {
		return body
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if _, err := d.Token(); err != nil {
		return body
	}
	for d.More() {
		from := d.InputOffset()
		name, err := d.Token()
		if err != nil {
			return body
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return body
		}
		if name != "meta" {
			continue
		}
		before, after := body[:from], body[d.InputOffset():]
		if before[len(before)-1] == '{' {
			after = bytes.TrimPrefix(after, []byte(","))
		}
		return slices.Concat(before, after)
	}
	return body
}

// Transaction writes all resources or none.
func (s *Store) Transaction(_ context.Context, rs []schemas.WholeResource, versions []string) ([]fhir.Stored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range rs {
		if err := s.check(r.Type+"/"+r.ID, versions[i]); err != nil {
			return nil, err
		}
	}
	all := make([]fhir.Stored, len(rs))
	for i, r := range rs {
		all[i] = s.put(r.Type+"/"+r.ID, r.ID, []byte(r.JSON))
	}
	return all, nil
}

// searched is what Search looks at.
type searched struct {
	Identifier []struct{ System, Value string }
	Subject    struct{ Reference string }
	Patient    struct{ Reference string }
	Device     struct{ Reference string }
}

// Search finds resources by identifier, patient, subject and device. Another
// parameter is an error: a test that needs it must say so here.
func (s *Store) Search(_ context.Context, resourceType string, query url.Values) ([]fhir.Stored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, 0, len(s.resources))
	for name := range s.resources {
		if strings.HasPrefix(name, resourceType+"/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var found []fhir.Stored
	for _, name := range names {
		versions := s.resources[name]
		ok, err := versions[len(versions)-1].content.matches(query)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, s.read(name))
		}
	}
	return found, nil
}

func (c *searched) matches(query url.Values) (bool, error) {
	for name, values := range query {
		ok := false
		switch name {
		case "identifier":
			ok = c.identified(values[0])
		case "patient", "subject":
			who := "Patient/" + strings.TrimPrefix(values[0], "Patient/")
			ok = c.Patient.Reference == who || c.Subject.Reference == who
		case "device":
			ok = c.Device.Reference == "Device/"+strings.TrimPrefix(values[0], "Device/")
		case "_count", "_sort", "status":
			ok = true
		default:
			return false, fmt.Errorf("the store in memory does not search by %s", name)
		}
		if !ok {
			return false, nil
		}
	}
	return true, nil
}

func (c *searched) identified(token string) bool {
	system, value, withSystem := strings.Cut(token, "|")
	for _, i := range c.Identifier {
		if !withSystem && i.Value == token || withSystem && i.System == system && i.Value == value {
			return true
		}
	}
	return false
}
