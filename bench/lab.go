package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"auscult/examples"
	"auscult/kafka"
	"auscult/topology"
)

//go:embed ward.yaml
var wardConfig []byte

//go:embed profile.go.txt
var profileSource []byte

// partitions of the river, as in ward.yaml.
const partitions = 4

// lab is where a run works: a program to measure and a folder for data.
type lab struct {
	*options
	out    io.Writer
	folder string
	binary string
	config string
	graph  topology.Graph // shapes only
	began  time.Time

	started []*process
}

func newLab(ctx context.Context, o *options, out io.Writer) (*lab, error) {
	folder, err := os.MkdirTemp("", "auscult-bench-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for data: %w", err)
	}
	l := &lab{
		options: o, out: out, folder: folder, began: time.Now(), graph: topology.Lay(topology.Parts{}),
		binary: filepath.Join(folder, "auscult"), config: filepath.Join(folder, "ward.yaml"),
	}
	if err := errors.Join(l.writeConfig(), l.build(ctx)); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// close removes the data.
func (l *lab) close() error {
	if l.keep {
		l.say("the data are in %s", l.folder)
		return nil
	}
	return os.RemoveAll(l.folder)
}

// say tells a person who waits how far it is.
func (l *lab) say(format string, args ...any) {
	fmt.Fprintf(l.out, "[%4.0fs] %s\n", time.Since(l.began).Seconds(), fmt.Sprintf(format, args...))
}

// writeConfig writes the configuration and the demo's mapping files.
func (l *lab) writeConfig() error {
	for _, name := range []string{"devicecontent.json", "fhirmapping.json"} {
		text, err := fs.ReadFile(examples.Demo, "demo/"+name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(l.folder, name), text, 0o644); err != nil {
			return err
		}
	}
	text := bytes.ReplaceAll(wardConfig, []byte("emit: value"), []byte("emit: "+l.emit))
	return os.WriteFile(l.config, text, 0o644)
}

// build builds the program. With profiles, a file is laid over it that writes
// them: the program itself has no such switch.
func (l *lab) build(ctx context.Context) error {
	args := []string{"build", "-o", l.binary}
	if l.profile != "" {
		overlay, err := l.overlay()
		if err != nil {
			return err
		}
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./cmd/auscult")...)
	cmd.Dir = l.repo
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building auscult: %w\n%s", err, text)
	}
	return nil
}

func (l *lab) overlay() (string, error) {
	repo, err := filepath.Abs(l.repo)
	if err != nil {
		return "", err
	}
	if l.profile, err = filepath.Abs(l.profile); err != nil {
		return "", err
	}
	source, index := filepath.Join(l.folder, "profile.go"), filepath.Join(l.folder, "overlay.json")
	text, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(repo, "cmd", "auscult", "profile.go"): source}})
	return index, errors.Join(err, os.MkdirAll(l.profile, 0o755), os.WriteFile(source, profileSource, 0o644), os.WriteFile(index, text, 0o644))
}

// site is one river on this machine: a broker, a FHIR server and the folders
// of the sinks, all new.
type site struct {
	lab    *lab
	folder string
	env    []string
	broker *process
	fhir   *process // nil where the FHIR server is in this process
	conn   *kafka.Conn
}

// open starts a broker.
func (l *lab) open(ctx context.Context, name string) (*site, error) {
	s := &site{lab: l, folder: filepath.Join(l.folder, name)}
	if err := os.MkdirAll(s.folder, 0o755); err != nil {
		return nil, err
	}
	if err := s.startBroker(ctx, name); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *site) startBroker(ctx context.Context, name string) error {
	var err error
	s.broker, err = s.lab.start(name+"-broker", nil, "broker", "--config", s.lab.config, "--data", s.folder, "--listen", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address, err := s.broker.listening(ctx)
	if err != nil {
		return err
	}
	s.env = []string{
		"AUSCULT_RIVER_BROKERS=[" + address + "]",
		"AUSCULT_WAREHOUSE_PATH=" + filepath.Join(s.folder, "warehouse.db"),
		"AUSCULT_LAKE_FOLDER=" + filepath.Join(s.folder, "raw"),
	}
	s.conn, err = kafka.Dial(kafka.Config{Profile: kafka.EmbeddedProfile, Brokers: []string{address}, Partitions: partitions})
	return err
}

// startFHIR starts the FHIR server as a process.
func (s *site) startFHIR(ctx context.Context) error {
	var err error
	s.fhir, err = s.lab.start(filepath.Base(s.folder)+"-fhir-server", nil, "fhir-server", "--data", s.folder, "--listen", "127.0.0.1:0")
	if err != nil {
		return err
	}
	base, err := s.fhir.listening(ctx)
	s.env = append(s.env, "AUSCULT_FHIR_BASEURL="+base)
	return err
}

// run starts some stages, or all when none is named, in one process. A process
// of one stage gets the sink of that stage alone.
func (s *site) run(profile string, args ...string) (*process, error) {
	env := slices.Clone(s.env)
	if slices.Contains(args, "--stages") && !slices.Contains(args, topology.LoadWarehouse) {
		env = append(env, "AUSCULT_WAREHOUSE_PATH=")
	}
	if slices.Contains(args, "--stages") && !slices.Contains(args, topology.LoadRaw) {
		env = append(env, "AUSCULT_LAKE_FOLDER=")
	}
	return s.lab.start(profile, env, append([]string{"run", "--config", s.lab.config}, args...)...)
}

// servers returns the CPU times of broker and FHIR server so far.
func (s *site) servers() (broker, fhir time.Duration) {
	broker = s.broker.now()
	if s.fhir != nil {
		fhir = s.fhir.now()
	}
	return broker, fhir
}

// close stops whatever runs on the site and removes the data.
func (s *site) close() error {
	if s.conn != nil {
		s.conn.Close()
	}
	s.lab.stopAll()
	if s.lab.keep {
		return nil
	}
	return os.RemoveAll(s.folder)
}
