package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What a new user is promised.
const (
	flagWithin = time.Minute     // from the start of the process
	stopWithin = 3 * time.Second // from the signal
)

// get reads a JSON answer.
func get(t *testing.T, url string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text(t, url)), into); err != nil {
		t.Fatalf("%s: %v", url, err)
	}
}

func text(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v\n%s", url, resp.Status, err, body)
	}
	return string(body)
}

// process is a running demo.
type process struct {
	cmd           *exec.Cmd
	began         time.Time
	console, fhir string

	mu   sync.Mutex
	said bytes.Buffer
}

// Write gathers what the process says.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(b)
}

func (p *process) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// startDemo starts the demo on free ports and waits until it says where they
// are.
func startDemo(t *testing.T, binary, data string) *process {
	t.Helper()
	p := &process{began: time.Now()}
	p.cmd = exec.Command(binary, "demo", "--data", data, "--console", "127.0.0.1:0", "--fhir", "127.0.0.1:0", "--broker", "127.0.0.1:0")
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.Dir = t.TempDir() // nothing may depend on where it is started
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
	})
	until(t, p, flagWithin, "the addresses", func() bool {
		for line := range strings.Lines(p.String()) {
			name, address, _ := strings.Cut(strings.TrimSpace(line), "  ")
			switch name {
			case "console":
				p.console = strings.TrimSpace(address)
			case "FHIR server":
				p.fhir = strings.TrimSpace(address)
			}
		}
		return p.console != "" && p.fhir != ""
	})
	return p
}

// until waits for something that the process does.
func until(t *testing.T, p *process, limit time.Duration, what string, done func() bool) {
	t.Helper()
	for deadline := p.began.Add(limit); !done(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s; the demo says\n%s", what, limit, p)
		}
	}
}

// stop sends a signal: the process ends in time and without an error.
func (p *process) stop(t *testing.T, sig os.Signal) {
	t.Helper()
	began := time.Now()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	err := p.cmd.Wait()
	took := time.Since(began).Round(time.Millisecond)
	t.Logf("%v: ended after %s", sig, took)
	if err != nil || took > stopWithin {
		t.Errorf("%v: ended after %s with %v; it says\n%s", sig, took, err, p)
	}
}

func (p *process) total(t *testing.T, query string) int {
	t.Helper()
	var found struct{ Total int }
	get(t, p.fhir+"/"+query+"_summary=count", &found)
	return found.Total
}

// flag is as much of a Flag as the test looks at.
type flag struct {
	ID, Status string
	Code       struct{ Coding []struct{ Code string } }
	Subject    struct{ Reference string }
	Period     struct{ Start string }
}

// clinicalFlag returns an open Flag of news2, as anyone reads it from the FHIR
// server.
func (p *process) clinicalFlag(t *testing.T) (flag, bool) {
	t.Helper()
	var found struct{ Entry []struct{ Resource flag } }
	get(t, p.fhir+"/Flag?status=active&_count=100", &found)
	for _, e := range found.Entry {
		f := e.Resource
		if f.Status == "active" && len(f.Code.Coding) > 0 && f.Code.Coding[0].Code == "news2" {
			return f, true
		}
	}
	return flag{}, false
}

// shows reports whether the console's first page shows the patient and, in
// words, that he has a Flag.
func (p *process) shows(t *testing.T, patient string) bool {
	t.Helper()
	page := text(t, p.console+"/")
	return strings.Contains(page, patient) && strings.Contains(page, "Flag")
}

// TestDemo is the first minute of a new user, and his second.
func TestDemo(t *testing.T) {
	if os.Getenv("AUSCULT_TEST_LONG") == "" {
		t.Skip("takes a minute and a half: set AUSCULT_TEST_LONG=1")
	}
	folder := t.TempDir()
	binary, data := filepath.Join(folder, "auscult"), filepath.Join(folder, "data")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p := startDemo(t, binary, data)
	var f flag
	until(t, p, flagWithin, "a Flag of news2 on the FHIR server", func() (ok bool) { f, ok = p.clinicalFlag(t); return ok })
	t.Logf("Flag/%s after %s", f.ID, time.Since(p.began).Round(time.Millisecond))
	var again flag
	if get(t, p.fhir+"/Flag/"+f.ID, &again); again.Period.Start == "" {
		t.Errorf("Flag/%s has no start", f.ID)
	}
	patient := strings.TrimPrefix(f.Subject.Reference, "Patient/")
	until(t, p, flagWithin, "the Flag on the console", func() bool { return p.shows(t, patient) })
	stream, err := http.Get(p.console + "/events") // as a browser that is left open
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	patients, devices := p.total(t, "Patient?"), p.total(t, "Device?")
	observations, risks := p.total(t, "Observation?"), p.total(t, "RiskAssessment?")
	p.stop(t, os.Interrupt)

	p = startDemo(t, binary, data)
	if got, _ := p.clinicalFlag(t); got.ID == "" {
		t.Errorf("Flag/%s is gone after the restart", f.ID)
	}
	// More Observations: messages flow. More RiskAssessments of one and the same
	// ward: the rows of Assess go on.
	until(t, p, flagWithin, "new Observations and RiskAssessments", func() bool {
		return p.total(t, "Observation?") > observations+20 && p.total(t, "RiskAssessment?") > risks
	})
	// An episode begun before the stop is known to the rows: it is the same Flag.
	clinical, err := p.episodes(t)
	if err != nil || clinical[f.Subject.Reference] != 1 {
		t.Errorf("%d open Flags of news2 for %s, %v; want the one from before", clinical[f.Subject.Reference], f.Subject.Reference, err)
	}
	if got := p.total(t, "Patient?"); got != patients {
		t.Errorf("%d patients, before the restart %d", got, patients)
	}
	if got := p.total(t, "Device?"); got != devices {
		t.Errorf("%d devices, before the restart %d", got, devices)
	}
	p.stop(t, syscall.SIGTERM)
}

// episodes counts the open clinical Flags of each patient.
func (p *process) episodes(t *testing.T) (map[string]int, error) {
	t.Helper()
	var found struct {
		Entry []struct{ Resource flag }
	}
	get(t, p.fhir+"/Flag?status=active&_count=100", &found)
	open := map[string]int{}
	for _, e := range found.Entry {
		if c := e.Resource.Code.Coding; len(c) > 0 && c[0].Code == "news2" {
			open[e.Resource.Subject.Reference]++
		}
	}
	if len(open) == 0 {
		return nil, fmt.Errorf("no open Flag among %d", len(found.Entry))
	}
	return open, nil
}

// TestTheWardStays: a data folder keeps its ward, and a mistake leaves nothing
// behind that the next start would stumble over.
func TestTheWardStays(t *testing.T) {
	data := t.TempDir()
	admit := func(beds int, chosen bool) error {
		d := demo{data: data, beds: beds, seed: 1, chosen: chosen}
		return d.admit(t.Context())
	}
	if err := admit(0, true); err == nil || !strings.Contains(err.Error(), "a ward has 1 to") {
		t.Errorf("no beds: %v", err)
	}
	if err := admit(4, true); err != nil {
		t.Error(err)
	}
	if err := admit(12, false); err != nil {
		t.Errorf("the default number of beds: %v", err)
	}
	if err := admit(5, true); err == nil || !strings.Contains(err.Error(), "has 4 beds and seed 1") {
		t.Errorf("another number of beds: %v", err)
	}
	if err := os.WriteFile(filepath.Join(data, "ward.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := admit(4, false); err == nil || !strings.Contains(err.Error(), "ward.json") {
		t.Errorf("a broken file: %v", err)
	}
}
