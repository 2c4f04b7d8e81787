package examples

// The runs take minutes and need recordings that are not part of the project, so
// they are asked for: AUSCULT_TEST_EXAMPLES=1 go test ./examples

import (
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

const shared = "../../shared"

// t0 is where both examples put the start of a recording.
var t0 = time.Date(2012, 1, 1, 0, 0, 0, 0, time.UTC)

// asked skips unless the long runs are wanted and their data are there.
func asked(t *testing.T, data string) string {
	t.Helper()
	if os.Getenv("AUSCULT_TEST_EXAMPLES") == "" {
		t.Skip("takes minutes: set AUSCULT_TEST_EXAMPLES=1")
	}
	path, err := filepath.Abs(filepath.Join(shared, data))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no recordings: %v", err)
	}
	return path
}

// run runs an example from a folder that is not the project's and returns what
// it left. When AUSCULT_TEST_EXAMPLES names a folder, runs are kept there, and
// one that is there already is judged as it is.
func run(t *testing.T, script string, args ...string) string {
	t.Helper()
	out := t.TempDir()
	if keep := os.Getenv("AUSCULT_TEST_EXAMPLES"); filepath.IsAbs(keep) {
		out = filepath.Join(keep, filepath.Dir(script))
		if _, err := os.Stat(filepath.Join(out, "warehouse.db")); err == nil {
			return out
		}
	}
	path, err := filepath.Abs(script)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{out}, args...)...)
	cmd.Dir = os.TempDir()
	began := time.Now()
	text, err := cmd.CombinedOutput()
	t.Logf("%s: %v\n%s", script, time.Since(began).Round(time.Second), text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func openSQL(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func get(t *testing.T, url string, into any) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s\n%s", url, resp.Status, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("%s: %v", url, err)
	}
}

type bundle struct {
	Total int
	Link  []struct{ Relation, URL string }
	Entry []struct{ Resource json.RawMessage }
}

// all calls visit for every resource of a search.
func all[T any](t *testing.T, url string, visit func(T)) int {
	t.Helper()
	n := 0
	for url != "" {
		var b bundle
		get(t, url, &b)
		url = ""
		for _, l := range b.Link {
			if l.Relation == "next" {
				url = l.URL
			}
		}
		for _, e := range b.Entry {
			var r T
			if err := json.Unmarshal(e.Resource, &r); err != nil {
				t.Fatal(err)
			}
			visit(r)
			n++
		}
	}
	return n
}
