package main

import (
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"auscult/fhir/server"
	"auscult/internal/config"
	"auscult/kafka"
)

const project = "../.."

// composeFile is what docker-compose.yml uses of the compose format; anything
// else in it is an error here.
type composeFile struct {
	Auscult     any                       `yaml:"x-auscult"`
	Environment map[string]string         `yaml:"x-environment"`
	Services    map[string]composeService `yaml:"services"`
	Volumes     map[string]any            `yaml:"volumes"`
}

type composeService struct {
	Build       string            `yaml:"build"`
	Image       string            `yaml:"image"`
	Restart     string            `yaml:"restart"`
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Ports       []string          `yaml:"ports"`
	Volumes     []string          `yaml:"volumes"`
	Profiles    []string          `yaml:"profiles"`
	DependsOn   map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
	Healthcheck *struct {
		Test     []string `yaml:"test"`
		Interval string   `yaml:"interval"`
		Timeout  string   `yaml:"timeout"`
		Retries  int      `yaml:"retries"`
	} `yaml:"healthcheck"`
}

func compose(t *testing.T) composeFile {
	t.Helper()
	f, err := os.Open(filepath.Join(project, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := yaml.NewDecoder(f)
	d.KnownFields(true)
	var c composeFile
	if err := d.Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

// ours reports whether a service runs auscult.
func (s *composeService) ours() bool { return s.Build != "" }

// addresses returns every host:port that the service is told.
func (s *composeService) addresses() []string {
	all := slices.Collect(maps.Values(s.Environment))
	all = append(all, s.Command...)
	return slices.DeleteFunc(all, func(a string) bool { return !address.MatchString(a) })
}

var address = regexp.MustCompile(`[a-z0-9.]+:[0-9]+`)

// listens reports whether the service listens on a port, by what it is told.
func (s *composeService) listens(port string) bool {
	for _, text := range s.addresses() {
		if strings.Contains(text, "0.0.0.0:"+port) {
			return true
		}
	}
	return false
}

func TestComposeServices(t *testing.T) {
	c := compose(t)
	for name, s := range c.Services {
		for on, d := range s.DependsOn {
			other, ok := c.Services[on]
			switch {
			case !ok:
				t.Errorf("%s depends on %s, which does not exist", name, on)
			case d.Condition == "service_healthy" && other.Healthcheck == nil:
				t.Errorf("%s waits for the health of %s, which has no check", name, on)
			case d.Condition == "service_completed_successfully" && other.Restart != "on-failure":
				t.Errorf("%s waits for the end of %s, which restarts: %s", name, on, other.Restart)
			case len(other.Profiles) > 0:
				t.Errorf("%s depends on %s, which a profile leaves out", name, on)
			}
		}
		if s.Restart == "" {
			t.Errorf("%s has no restart policy", name)
		}
		if s.ours() {
			if _, err := os.Stat(filepath.Join(project, s.Build, "Dockerfile")); err != nil {
				t.Error(err)
			}
			continue
		}
		repository, tag, _ := strings.Cut(s.Image, ":")
		if tag == "" || tag == "latest" {
			t.Errorf("%s: image %s is not pinned", name, s.Image)
		}
		if first, _, _ := strings.Cut(repository, "/"); strings.Contains(first, ".") {
			t.Errorf("%s: image %s names a registry", name, s.Image)
		}
	}
}

func TestComposePorts(t *testing.T) {
	c := compose(t)
	published := map[string]string{}
	for name, s := range c.Services {
		for _, p := range s.Ports {
			host, port, err := net.SplitHostPort(p[:strings.LastIndex(p, ":")])
			inside := p[strings.LastIndex(p, ":")+1:]
			if err != nil || host != "127.0.0.1" {
				t.Errorf("%s publishes %s: not on this machine alone", name, p)
			}
			if !s.listens(inside) {
				t.Errorf("%s publishes port %s, on which it does not listen", name, inside)
			}
			if other := published[port]; other != "" {
				t.Errorf("%s and %s publish port %s", name, other, port)
			}
			published[port] = name
		}
		for _, text := range s.addresses() {
			for _, a := range address.FindAllString(text, -1) {
				host, port, _ := strings.Cut(a, ":")
				if other, ok := c.Services[host]; ok && !other.listens(port) {
					t.Errorf("%s is sent to %s, where nobody listens", name, a)
				} else if !ok && host != "0.0.0.0" && host != "localhost" {
					t.Errorf("%s is sent to %s, which is no service", name, a)
				}
			}
		}
	}
}

func TestComposeHealthchecks(t *testing.T) {
	paths := []string{server.Base + "/metadata", "/healthz"}
	for name, s := range compose(t).Services {
		if s.Healthcheck == nil || !s.ours() {
			continue
		}
		at, err := url.Parse(s.Healthcheck.Test[len(s.Healthcheck.Test)-1])
		if err != nil || !s.listens(at.Port()) || !slices.Contains(paths, at.Path) {
			t.Errorf("%s is asked for its health at %v: %v", name, at, err)
		}
	}
}

// mounts returns where the folders of the service come from, and complains of
// those that do not exist.
func (s *composeService) mounts(t *testing.T, name string, volumes map[string]any) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, v := range s.Volumes {
		parts := strings.Split(v, ":")
		from, to := parts[0], parts[1]
		if !strings.HasPrefix(from, ".") {
			if _, ok := volumes[from]; !ok {
				t.Errorf("%s uses the volume %s, which is not declared", name, from)
			}
			all[to] = ""
			continue
		}
		if _, err := os.Stat(filepath.Join(project, from)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		all[to] = filepath.Join(project, from)
	}
	return all
}

// TestComposeCommands reads each command as auscult does, and the configuration
// that it would have.
func TestComposeCommands(t *testing.T) {
	c := compose(t)
	used := map[string]bool{}
	for name, s := range c.Services {
		mounts := s.mounts(t, name, c.Volumes)
		for _, v := range s.Volumes {
			used[strings.Split(v, ":")[0]] = true
		}
		if !s.ours() {
			continue
		}
		cmd, args, err := root().Find(s.Command)
		if err == nil {
			err = cmd.ParseFlags(args)
		}
		if err == nil {
			err = cmd.ValidateArgs(cmd.Flags().Args())
		}
		if err == nil {
			err = cmd.ValidateRequiredFlags()
		}
		if err != nil || cmd.RunE == nil {
			t.Errorf("%s: %q: %v", name, s.Command, err)
			continue
		}
		if data := cmd.Flags().Lookup("data"); data != nil && data.Value.String() != "" {
			kept(t, name, mounts, data.Value.String())
		}
		if path := cmd.Flags().Lookup("config"); path != nil {
			s.config(t, name, cmd.Name(), mounts, path.Value.String())
		}
	}
	for v := range c.Volumes {
		if !used[v] {
			t.Errorf("nobody uses the volume %s", v)
		}
	}
}

// kept complains unless what is written at path outlives the container.
func kept(t *testing.T, name string, mounts map[string]string, path string) {
	t.Helper()
	for to, from := range mounts {
		if from == "" && strings.HasPrefix(path+"/", to+"/") {
			return
		}
	}
	t.Errorf("%s writes %s, which is on no volume", name, path)
}

func (s *composeService) config(t *testing.T, name, command string, mounts map[string]string, path string) {
	t.Helper()
	for to, from := range mounts {
		if from != "" && strings.HasPrefix(path, to+"/") {
			path = from + strings.TrimPrefix(path, to)
		}
	}
	var environ []string
	settings := config.Variables()
	for v, value := range s.Environment {
		if _, ok := settings[v]; !ok {
			t.Errorf("%s: %s is no setting", name, v)
		}
		environ = append(environ, v+"="+value)
	}
	c, err := config.Load(path, environ)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if c.River.Profile != kafka.Redpanda {
		t.Errorf("%s: profile %s", name, c.River.Profile)
	}
	if command != "run" {
		return
	}
	kept(t, name, mounts, c.Warehouse.Path)
	kept(t, name, mounts, c.Lake.Folder)
	for _, file := range []string{c.Mapping.Device, c.Mapping.FHIR} {
		if _, err := os.Stat(file); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDockerfile compares the Dockerfile with what it builds.
func TestDockerfile(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(project, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	file, module := read("Dockerfile"), read("go.mod")
	wanted := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(module)
	image := regexp.MustCompile(`(?m)^FROM golang:(\d+\.\d+)`).FindStringSubmatch(file)
	if wanted == nil || image == nil || wanted[1] != image[1] {
		t.Errorf("go.mod wants Go %v, the Dockerfile takes %v", wanted, image)
	}
	for _, want := range []string{"-o /out/auscult ./cmd/auscult\n", "COPY --from=build /out/auscult /usr/local/bin/auscult\n", `ENTRYPOINT ["auscult"]`, "\nUSER auscult\n"} {
		if !strings.Contains(file, want) {
			t.Errorf("the Dockerfile has no %q", want)
		}
	}
	for _, folder := range []string{"cmd/auscult/main.go", "go.sum", ".dockerignore"} {
		if _, err := os.Stat(filepath.Join(project, folder)); err != nil {
			t.Error(err)
		}
	}
	// What has state is written where the volumes are.
	for name, s := range compose(t).Services {
		if s.ours() {
			for to, from := range s.mounts(t, name, compose(t).Volumes) {
				if from == "" && !strings.Contains(file, "chown auscult "+to+"\n") {
					t.Errorf("%s: %s does not belong to the user of the image", name, to)
				}
			}
		}
	}
}
