package examples

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestReplayChangesNothing replays the finished PhysioNet run from the topic and
// from the raw zone, lets the river take up what came of it, and compares the
// FHIR store and the warehouse row by row.
func TestReplayChangesNothing(t *testing.T) {
	finished := run(t, "physionet/run.sh", asked(t, "data/physionet2012"))
	out := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(out, os.DirFS(finished)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(out, "auscult"), 0o755); err != nil {
		t.Fatal(err)
	}
	before := content(t, out)
	env := append(os.Environ(),
		"AUSCULT_RIVER_BROKERS=["+serve(t, out, "broker")+"]",
		"AUSCULT_FHIR_BASEURL="+serve(t, out, "fhir-server"),
		"AUSCULT_WAREHOUSE_PATH="+filepath.Join(out, "warehouse.db"),
		"AUSCULT_LAKE_FOLDER="+filepath.Join(out, "raw"))
	config, err := filepath.Abs("physionet/auscult.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"replay", "--run", "from-topic", "--topic-range", "all"},
		{"replay", "--run", "from-raw-zone", "--capture", filepath.Join(out, "raw")},
		{"run", "--until-drained"},
	} {
		cmd := exec.Command(filepath.Join(out, "auscult"), append(args, "--config", config)...)
		cmd.Env = env
		text, err := cmd.CombinedOutput()
		t.Logf("%s\n%s", strings.Join(args, " "), text)
		if err != nil {
			t.Fatal(err)
		}
	}
	for table, want := range before {
		if got := content(t, out)[table]; got != want {
			t.Errorf("%s is %s, it was %s", table, got, want)
		}
	}
}

// serve starts a server of the example's own binary and returns its address.
func serve(t *testing.T, out, command string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, filepath.Join(out, "auscult"), command, "--data", out, "--listen", "127.0.0.1:0")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	var errs bytes.Buffer
	cmd.Stderr = &errs
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was told to end
	})
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		if address, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			return address
		}
	}
	t.Fatalf("%s did not say where it listens: %s", command, errs.String())
	return ""
}

// content returns, for every table but the offsets, how many rows it has and a
// hash of them all.
func content(t *testing.T, out string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, file := range []string{"warehouse.db", "fhir.db"} {
		db := openSQL(t, filepath.Join(out, file))
		for _, table := range texts(t, db, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'goose%' AND name <> 'sink_offset'`) {
			rows := texts(t, db, "SELECT "+columns(t, db, table)+" FROM "+table)
			slices.Sort(rows)
			all[file+" "+table] = fmt.Sprintf("%d rows %x", len(rows), sha256.Sum256([]byte(strings.Join(rows, "\n"))))
		}
	}
	return all
}

// columns returns an expression for all columns of a table as one text.
func columns(t *testing.T, db *sql.DB, table string) string {
	t.Helper()
	return strings.Join(texts(t, db, `SELECT 'quote("' || name || '")' FROM pragma_table_info('`+table+`')`), " || ',' || ")
}

func texts(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	found, err := db.Query(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer found.Close()
	var all []string
	for found.Next() {
		var s string
		if err := found.Scan(&s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
