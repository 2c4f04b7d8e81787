package server

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// TestLayoutOne opens a file of layout 1: what is searched by what its rows
// did not say yet is found.
func TestLayoutOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2*reindexed + 1 { // more than are read at a time
		id := fmt.Sprint("o", i)
		text := observation(id, "p", "x", "2024", "1")
		if i%2 == 1 {
			text = strings.Replace(text, `,"device":{"reference":"Device/d-p"}`, "", 1)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, Base+"/Observation", strings.NewReader(text)))
		if w.Code != http.StatusCreated {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	ctx := context.Background()
	if _, err := s.writer.conn.ExecContext(ctx, `ALTER TABLE resource DROP COLUMN present; PRAGMA user_version = 1`); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing left to do
		if s, err = Open(path); err != nil {
			t.Fatal(err)
		}
		for query, want := range map[string]int64{"device:missing=true": reindexed, "device:missing=false": reindexed + 1, "code=x": 2*reindexed + 1} {
			name, text, _ := strings.Cut(query, "=")
			found, err := s.reads.search(ctx, &call{kind: "Observation", query: map[string][]string{name: {text}, "_summary": {"count"}}})
			if err != nil || (response{body: string(found.body)}).member("total") != fmt.Sprint(want) {
				t.Errorf("%s: %v %s, want %d", query, err, found.body, want)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLaterLayout: a file of a later version is left alone.
func TestLaterLayout(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.writer.conn.ExecContext(context.Background(), `PRAGMA user_version = 99`); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "later version") {
		t.Errorf("%v", err)
	}
}
