package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "auscult/"

// rule says what a package may import: packages of ours, and modules from
// outside the standard library. What is not listed is not allowed.
type rule struct {
	ours    []string
	outside []string
}

// anything lets a package import whatever it joins.
const anything = "*"

// rules is the whole architecture.
var rules = map[string]rule{
	"schemas":                      {nil, []string{"github.com/linkedin/goavro/v2"}},
	"state":                        {[]string{"schemas"}, nil},
	"mapping":                      {[]string{"schemas", "internal/mapfile", "mapping/internal/dotnet", "mapping/internal/tape", "mapping/internal/jsonpath", "mapping/internal/jmespath"}, nil},
	"mapping/internal/dotnet":      {[]string{"schemas"}, nil},
	"mapping/internal/tape":        {[]string{"schemas", "mapping/internal/dotnet"}, nil},
	"mapping/internal/jsonpath":    {[]string{"mapping/internal/dotnet", "mapping/internal/tape"}, nil},
	"mapping/internal/jmespath":    {[]string{"schemas", "mapping/internal/dotnet", "mapping/internal/tape"}, nil},
	"internal/mapfile":             {},
	"internal/mapfile/mapfiletest": {[]string{"internal/mapfile"}, nil},
	"internal/dryrun":              {[]string{"schemas", "mapping", "fhir", "internal/check"}, nil},
	"internal/check":               {[]string{"mapping", "fhir", "internal/mapfile"}, nil},
	"fhir":                         {[]string{"schemas", "internal/mapfile"}, nil},
	"scoring":                      {[]string{"schemas", "state"}, nil},
	"fhir/rest":                    {[]string{"schemas", "fhir"}, []string{"github.com/go-resty/resty/v2", "github.com/Azure/azure-sdk-for-go/sdk"}},
	"fhir/server":                  {[]string{"schemas", "fhir"}, []string{"modernc.org/sqlite"}},
	"processors":                   {[]string{"schemas", "state", "mapping", "scoring", "fhir"}, []string{"github.com/lovoo/goka"}},
	"kafka":                        {[]string{"schemas"}, []string{"github.com/twmb/franz-go", "github.com/lovoo/goka", "github.com/IBM/sarama"}},
	"topology":                     {[]string{"schemas", "state", "processors", "kafka"}, []string{"github.com/lovoo/goka"}},
	"topology/topologytest":        {[]string{"schemas", "fhir", "topology", "kafka", "processors"}, []string{"github.com/lovoo/goka"}},
	"replay":                       {[]string{"schemas", "fhir", "topology", "topology/topologytest", "kafka", "processors", "sinks/lake"}, []string{"github.com/lovoo/goka", "github.com/twmb/franz-go"}},
	"internal/scene":               {[]string{"schemas", "topology", "topology/topologytest"}, nil},
	"sinks/lake":                   {[]string{"schemas"}, []string{"github.com/linkedin/goavro/v2"}},
	"sinks/warehouse":              {[]string{"schemas"}, []string{"modernc.org/sqlite", "github.com/pressly/goose/v3"}},
	"console":                      {[]string{"schemas", "topology", "mapping", "kafka"}, nil},
	"sim":                          {[]string{"schemas"}, nil},
	"internal/config":              {[]string{anything}, []string{"gopkg.in/yaml.v3"}},
	"examples":                     {},
	"cmd/auscult":                  {[]string{anything}, []string{anything}},
	"internal/arch":                {},
}

// pure packages know no clock, socket, file, process or goroutine of others.
var pure = []string{"schemas", "state", "mapping", "mapping/internal/dotnet", "mapping/internal/tape", "mapping/internal/jsonpath",
	"mapping/internal/jmespath", "internal/mapfile", "fhir", "scoring"}

// impure is what none of them may depend on directly.
var impure = []string{"net", "net/http", "os", "os/exec", "database/sql", "context", "sync"}

type pkg struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		r, known := rules[name]
		if !known {
			t.Errorf("%s is not on the map: add it to rules and to ARCHITECTURE.md", name)
			continue
		}
		for _, i := range p.Imports {
			if !allowed(r, i) {
				t.Errorf("%s imports %s, which the map does not allow", name, i)
			}
		}
	}
}

func allowed(r rule, path string) bool {
	if ours, ok := strings.CutPrefix(path, module); ok {
		return slices.Contains(r.ours, ours) || slices.Contains(r.ours, anything)
	}
	if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") {
		return true // the standard library
	}
	return slices.ContainsFunc(r.outside, func(m string) bool {
		return m == anything || path == m || strings.HasPrefix(path, m+"/")
	})
}

func TestPurePackagesStayPure(t *testing.T) {
	for _, p := range packages(t) {
		if !slices.Contains(pure, strings.TrimPrefix(p.ImportPath, module)) {
			continue
		}
		for _, i := range impure {
			if slices.Contains(p.Imports, i) && !excused(p.ImportPath, i) {
				t.Errorf("%s is pure, yet imports %s", p.ImportPath, i)
			}
		}
	}
}

// excused names the two exceptions: a sync.Once or sync.Pool starts no
// goroutine.
func excused(importPath, imported string) bool {
	return imported == "sync" && slices.Contains([]string{module + "schemas", module + "mapping"}, importPath)
}

// clock finds calls that read or wait for the wall clock.
var clock = regexp.MustCompile(`\btime\.(Now|Since|Until|Sleep|After|AfterFunc|Tick|NewTimer|NewTicker)\(|\bgo func\b`)

func TestPurePackagesReadNoClock(t *testing.T) {
	for _, name := range pure {
		files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(name), "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files in %s (%v)", name, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if found := clock.Find(text); found != nil {
				t.Errorf("%s is in a pure package, yet has %q", file, found)
			}
		}
	}
}

// TestMapIsTrue holds ARCHITECTURE.md against the tree: every folder with Go
// code has its line, and every path that a line names exists.
func TestMapIsTrue(t *testing.T) {
	text, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ = bytes.Cut(text, []byte("## File map"))
	text, _, _ = bytes.Cut(text, []byte("\n## "))
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)/` \\|").FindAllSubmatch(text, -1) {
		folder := string(m[1])
		named[folder] = true
		if _, err := os.Stat(filepath.Join("../..", folder)); err != nil {
			t.Errorf("the map names %s: %v", folder, err)
		}
	}
	for _, p := range packages(t) {
		if name := strings.TrimPrefix(p.ImportPath, module); !named[name] {
			t.Errorf("ARCHITECTURE.md's map has no line for %s", name)
		}
	}
}
