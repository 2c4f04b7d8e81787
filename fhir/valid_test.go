package fhir

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"auscult/fhir/server"
)

// store is the embedded server, which validates what it is given.
func store(t *testing.T) *server.Server {
	t.Helper()
	s, err := server.Open(filepath.Join(t.TempDir(), server.FileName))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// put stores an Observation, and returns what the server has against it.
func put(t *testing.T, s *server.Server, body string) string {
	t.Helper()
	n, err := parseJSON(body)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, server.Base+"/Observation/"+n.get("id").str(), strings.NewReader(body))
	r.Header.Set("Content-Type", "application/fhir+json")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code == http.StatusOK || w.Code == http.StatusCreated {
		return ""
	}
	return w.Body.String()
}

// TestWrittenIsValid: what is built of any value, and what is merged into it,
// passes the validation of the embedded server.
func TestWrittenIsValid(t *testing.T) {
	s := store(t)
	valid := func(name, body string) {
		if against := put(t, s, body); against != "" {
			t.Errorf("%s: %s\n%s", name, against, body)
		}
	}
	for _, c := range valueCases {
		if c.failed {
			continue
		}
		whole, component := single(t, c.value)
		for _, m := range []*Mapping{whole, component} {
			valid(c.name, build(t, m, seg(t, m, "t", given(t, "10:00:00", c.given)...)))
		}
	}
	m := load(t, mappingOf(pulse+besides+pulseLimits))
	one := build(t, m, seg(t, m, "t", at(t, "10:00:00", "v", "80")))
	valid("limits", one)
	two, _ := merge(t, m, one, seg(t, m, "t", at(t, "10:00:00", "v", "120")))
	valid("a new value within limits", two)
	left, _, err := m.Retract([]byte(two), seg(t, m, "t", at(t, "10:00:00", "v", "120")))
	if err != nil {
		t.Fatal(err)
	}
	valid("a value taken back", string(left))
	if put(t, s, strings.Replace(one, `"valueQuantity"`, `"valueNumber"`, 1)) == "" {
		t.Error("the server does not validate")
	}
}
