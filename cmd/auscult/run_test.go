package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"auscult/internal/config"
	"auscult/topology"
)

// TestOnlyLoadOpensItsSinks: a replay and a process that runs other stages leave
// the raw zone and the warehouse alone.
func TestOnlyLoadOpensItsSinks(t *testing.T) {
	folder := t.TempDir()
	raw, db := filepath.Join(folder, "raw"), filepath.Join(folder, "w", "warehouse.db")
	t.Setenv("AUSCULT_LAKE_FOLDER", raw)
	t.Setenv("AUSCULT_WAREHOUSE_PATH", db)
	path := configuration(t, "127.0.0.1:1", "", "http://127.0.0.1:1/fhir")
	for _, test := range []struct {
		args     string
		raw, sql bool
	}{
		{"replay --run x --topic-range all", false, false},
		{"replay --run x --topic-range all --dry-run", false, false},
		{"run --stages observe,assess", false, false},
		{"run --stages load-raw", true, false},
		{"run", true, true},
	} {
		got := auscult(t, append(strings.Fields(test.args), "--config", path)...)
		if got.code != exitError || !strings.Contains(got.errs, "reaching the broker at 127.0.0.1:1:") {
			t.Fatalf("%s: %+v", test.args, got)
		}
		for kept, want := range map[string]bool{raw: test.raw, db: test.sql} {
			if _, err := os.Stat(kept); (err == nil) != want {
				t.Errorf("%s: %s is there: %t, want %t", test.args, kept, err == nil, want)
			}
		}
	}
}

// TestDrainWaitsForOtherProcesses: what the configuration has somewhere to write
// to is waited for, even where another process runs it.
func TestDrainWaitsForOtherProcesses(t *testing.T) {
	r := river{cfg: &config.Config{}, graph: topology.Lay(topology.Parts{})}
	r.cfg.Lake.Folder = "raw"
	var names []string
	for _, s := range r.drainStages(nil) {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); got != "normalize identify observe assess deliver-hot deliver load-raw" {
		t.Errorf("it waits for %s", got)
	}
}
