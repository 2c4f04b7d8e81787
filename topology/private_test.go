package topology_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"auscult/internal/scene"
)

// TestLogsNameNobody logs everything that passes a stage in all plays, every
// record and every error that makes something be tried again, and looks for the
// ids of patients, devices and encounters in what is written.
func TestLogsNameNobody(t *testing.T) {
	files, err := filepath.Glob("testdata/plays/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no plays (%v)", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var written bytes.Buffer
			text, js := slog.New(slog.NewTextHandler(&written, nil)), slog.New(slog.NewJSONHandler(&written, nil))
			p := newPlay(t, 2, 3)
			p.logged = func(what string, value any) {
				text.Info(what, "value", value)
				js.Info(what, "value", value)
				fmt.Fprintf(&written, "%v\n", slog.AnyValue(value).Resolve())
			}
			if _, err := scene.Perform(string(script), p.do); err != nil {
				t.Fatal(err)
			}
			if written.Len() == 0 {
				t.Fatal("nothing was logged")
			}
			for _, id := range p.namesOf(t) {
				if at := regexp.MustCompile(`(?m)^.*\b` + regexp.QuoteMeta(id) + `\b.*$`).FindString(written.String()); at != "" {
					t.Fatalf("the log names %s:\n%s", id, at)
				}
			}
		})
	}
}

// namesOf returns everything by which people and devices go on the server.
func (p *play) namesOf(t *testing.T) []string {
	t.Helper()
	var names []string
	for name, body := range p.store.Resources() {
		kind, id, _ := strings.Cut(name, "/")
		if kind != "Patient" && kind != "Device" && kind != "Encounter" || id == p.scorer().ID {
			continue
		}
		var r struct{ Identifier []struct{ Value string } }
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			t.Fatal(err)
		}
		names = append(names, id)
		for _, i := range r.Identifier {
			names = append(names, i.Value)
		}
	}
	if len(names) == 0 {
		t.Fatal("the server knows nobody")
	}
	return names
}
