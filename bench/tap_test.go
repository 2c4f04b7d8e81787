package main

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// The tap notes what the server has accepted, the first time, and nothing that
// it has refused.
func TestTap(t *testing.T) {
	tp, err := newTap(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	send := func(method, path, body string, want int) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, tp.base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/fhir+json")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s %s: %s", method, path, answer.Status)
		}
	}
	const observation = `{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"hr"},"subject":{"reference":"Patient/p1"},
		"effectivePeriod":{"start":"2026-01-01T00:00:01.5000000Z","end":"2026-01-01T00:00:01.5000000Z"},"device":{"reference":"Device/d1"}}`
	flag := func(patient, status string) string {
		return `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Flag","id":"f-` + patient + `","status":"` + status +
			`","code":{"text":"news2"},"subject":{"reference":"Patient/` + patient + `"}},"request":{"method":"PUT","url":"Flag/f-` + patient + `"}}]}`
	}
	began := time.Now()
	send(http.MethodPut, "/Observation/o1", observation, http.StatusCreated)
	middle := time.Now()
	send(http.MethodPut, "/Observation/o1", observation, http.StatusOK)
	send(http.MethodPut, "/Observation/other", observation, http.StatusBadRequest)
	send(http.MethodPost, "", flag("p1", "active"), http.StatusOK)
	send(http.MethodPost, "", flag("p2", "inactive"), http.StatusOK)
	http.DefaultClient.CloseIdleConnections()
	if err := tp.close(); err != nil {
		t.Fatal(err)
	}
	at := tp.observations[observed{"d1", time.Date(2026, 1, 1, 0, 0, 1, 500_000_000, time.UTC).UnixMilli(), "hr"}]
	if len(tp.observations) != 1 || at.Before(began) || at.After(middle) {
		t.Errorf("noted %v", tp.observations)
	}
	if len(tp.flags) != 1 || tp.flags["p1"].IsZero() {
		t.Errorf("noted %v", tp.flags)
	}
}
