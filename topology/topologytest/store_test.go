package topologytest

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"auscult/fhir"
	"auscult/schemas"
)

func TestStoreKeepsVersions(t *testing.T) {
	s, ctx := NewStore(), t.Context()
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	s.Now = func() time.Time { return at }
	put := func(body, version string) (fhir.Stored, error) { return s.Put(ctx, "Flag", "f", []byte(body), version) }
	one, err := put(`{"status":"active"}`, "")
	if err != nil || one.Version != "1" || string(one.JSON) != `{"meta":{"versionId":"1","lastUpdated":"2026-03-02T09:00:00Z"},"status":"active"}` {
		t.Errorf("created %+v %s (%v)", one, one.JSON, err)
	}
	at = at.Add(time.Hour)
	same, err := put(string(one.JSON), "1") // meta is the server's business
	if err != nil || same.Version != "1" || s.Writes != 1 {
		t.Errorf("the same content is version %s, %d writes (%v)", same.Version, s.Writes, err)
	}
	if two, err := put(`{"status":"inactive","meta":{"tag":[]}}`, "1"); err != nil || two.Version != "2" {
		t.Errorf("changed %+v (%v)", two, err)
	}
	var status *fhir.StatusError
	if _, err := put(`{}`, "1"); !errors.As(err, &status) || status.Status != http.StatusPreconditionFailed {
		t.Errorf("over an old version: %v", err)
	}
	history, _ := s.History(ctx, "Flag", "f")
	if len(history) != 2 || history[0].Version != "2" || !strings.Contains(string(history[0].JSON), "T10:00:00Z") {
		t.Errorf("history %v", history)
	}
	if got := s.Resources()["Flag/f"]; got != `{"status":"inactive"}` {
		t.Errorf("as it was put: %s", got)
	}
	if gone, err := s.Read(ctx, "Flag", "other"); err != nil || gone.ID != "" {
		t.Errorf("what is not there: %+v (%v)", gone, err)
	}
}

func TestStoreTransactionIsAllOrNothing(t *testing.T) {
	s, ctx := NewStore(), t.Context()
	rs := []schemas.WholeResource{{Type: "Flag", ID: "a", JSON: `{"n":1}`}, {Type: "Flag", ID: "b", JSON: `{"n":1}`}}
	if _, err := s.Transaction(ctx, rs, []string{"", "3"}); err == nil || len(s.Resources()) != 0 {
		t.Errorf("%d resources were written (%v)", len(s.Resources()), err)
	}
	all, err := s.Transaction(ctx, rs, []string{"", ""})
	if err != nil || len(all) != 2 || all[1].ID != "b" || len(s.Resources()) != 2 {
		t.Errorf("got %v (%v)", all, err)
	}
}

func TestStoreSearches(t *testing.T) {
	s, ctx := NewStore(), t.Context()
	for id, body := range map[string]string{
		"1": `{"identifier":[{"system":"s","value":"x"}],"patient":{"reference":"Patient/p"}}`,
		"2": `{"identifier":[{"value":"x"}],"subject":{"reference":"Patient/q"},"device":{"reference":"Device/d"}}`,
	} {
		if _, err := s.Put(ctx, "Device", id, []byte(body), ""); err != nil {
			t.Fatal(err)
		}
	}
	for query, want := range map[string]int{"identifier=x": 2, "identifier=s|x": 1, "patient=p": 1, "subject=Patient/q": 1, "device=d&_count=1": 1, "identifier=y": 0} {
		q, _ := url.ParseQuery(query)
		if found, err := s.Search(ctx, "Device", q); err != nil || len(found) != want {
			t.Errorf("%s finds %d, want %d (%v)", query, len(found), want, err)
		}
	}
	if _, err := s.Search(ctx, "Device", url.Values{"date": {"2026"}}); err == nil {
		t.Error("a parameter that the store does not know finds something")
	}
}

func TestFlaky(t *testing.T) {
	f, ctx := NewFlaky(NewStore(), 5), t.Context()
	refused, unheard, wrote := 0, 0, 0
	for i := range 4000 {
		before := f.Writes
		_, err := f.Put(ctx, "Flag", "f", []byte(`{"n":"`+strings.Repeat("x", i%7)+`"}`), "")
		var status *fhir.StatusError
		switch {
		case errors.As(err, &status):
			refused++
			if f.Writes != before {
				t.Error("a refused request was done")
			}
		case err != nil:
			unheard++
			wrote += f.Writes - before
		}
	}
	if refused == 0 || unheard == 0 || wrote == 0 || refused+unheard != flakyAtMost {
		t.Errorf("%d refused, %d without an answer of which %d were done", refused, unheard, wrote)
	}
	calm := NewFlaky(NewStore(), 5)
	calm.Calm = true
	for range 100 {
		if _, err := calm.Read(ctx, "Flag", "f"); err != nil {
			t.Fatalf("a good line: %v", err)
		}
	}
}
