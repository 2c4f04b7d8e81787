package examples

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"auscult/fhir"
	"auscult/internal/config"
	"auscult/kafka"
	"auscult/mapping"
)

// addresses is what the configurations without an address get from those who
// use them: the demo and run.sh.
var addresses = []string{"AUSCULT_RIVER_BROKERS=127.0.0.1:9092", "AUSCULT_FHIR_BASEURL=http://127.0.0.1:8103/fhir"}

// environment is what each configuration says that it needs from the
// environment.
var environment = map[string][]string{
	"demo": addresses, "bidmc": addresses, "physionet": addresses,
	"eventhubs": {"AUSCULT_SOURCE_SASL_PASSWORD=Endpoint=sb://a/;SharedAccessKeyName=service;SharedAccessKey=a=",
		"AUSCULT_RIVER_SASL_PASSWORD=Endpoint=sb://b/;SharedAccessKeyName=auscult;SharedAccessKey=b="},
	"redpanda": nil,
	"kafka":    {"AUSCULT_RIVER_SASL_PASSWORD=p", "AUSCULT_FHIR_AUTH_PASSWORD=p"},
}

// TestConfigurations reads every configuration as `auscult run` does, with its
// mapping files, and looks for a signal that no mapping can ever give.
func TestConfigurations(t *testing.T) {
	files, err := filepath.Glob("*/auscult.yaml")
	if err != nil || len(files) != len(environment) {
		t.Fatalf("found %v, %v", files, err)
	}
	for _, file := range files {
		name := filepath.Dir(file)
		t.Run(name, func(t *testing.T) {
			c, err := config.Load(file, environment[name])
			if err != nil {
				t.Fatal(err)
			}
			types := emitted(t, c)
			for id, s := range c.Scoring.Signals {
				for _, from := range s.From {
					if !slices.Contains(types[from.Type], from.Value) {
						t.Errorf("signal %s is made of %s.%s, which %s does not give: %v", id, from.Type, from.Value, c.Mapping.Device, types)
					}
				}
			}
			if c.FHIR.BaseURL == "" {
				t.Error("no FHIR server")
			}
		})
	}
}

// emitted reads the mapping files of c and returns the value names of each type
// of measurement.
func emitted(t *testing.T, c *config.Config) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(c.Mapping.Device)
	if err != nil {
		t.Fatal(err)
	}
	device, err := mapping.LoadDevice(text)
	if err != nil {
		t.Fatal(err)
	}
	if text, err = os.ReadFile(c.Mapping.FHIR); err != nil {
		t.Fatal(err)
	}
	observations, err := fhir.LoadMapping(text)
	if err != nil {
		t.Fatal(err)
	}
	types := map[string][]string{}
	for _, typ := range device.Types() {
		types[typ.Type] = typ.Values
		if _, ok := observations.Period(typ.Type); !ok {
			t.Errorf("%s has no template for %s", c.Mapping.FHIR, typ.Type)
		}
	}
	return types
}

// TestConfigurationsNeedTheirSecrets: what a file says comes by environment is
// asked for when it does not.
func TestConfigurationsNeedTheirSecrets(t *testing.T) {
	for _, name := range []string{"eventhubs", "kafka"} {
		if _, err := config.Load(filepath.Join(name, "auscult.yaml"), nil); err == nil {
			t.Errorf("%s loads without a password", name)
		}
	}
}

// TestConfigurationsAreWhatTheySay compares what the files are there to show.
func TestConfigurationsAreWhatTheySay(t *testing.T) {
	load := func(name string) *config.Config {
		c, err := config.Load(filepath.Join(name, "auscult.yaml"), environment[name])
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := load("eventhubs"); c.OneBroker() || !c.Source.TLS.Enabled || !c.River.TLS.Enabled || c.River.SASL.User != "$ConnectionString" {
		t.Errorf("eventhubs: river %+v, source %+v", c.River, c.Source)
	}
	if c := load("redpanda"); !c.OneBroker() || c.River.Profile != kafka.Redpanda {
		t.Errorf("redpanda: river %+v", c.River)
	}
	if c := load("kafka"); !c.OneBroker() || c.River.SASL.Mechanism != kafka.MechanismScramSHA512 || c.River.TLS.CAFile == "" {
		t.Errorf("kafka: river %+v", c.River)
	}
}

// TestTheTokenVariant loads what the Event Hubs example has in a comment: a
// token instead of a connection string.
func TestTheTokenVariant(t *testing.T) {
	text, err := os.ReadFile("eventhubs/auscult.yaml")
	if err != nil {
		t.Fatal(err)
	}
	plain := []byte("  sasl: {mechanism: PLAIN, user: $ConnectionString}\n  # With")
	changed := bytes.Replace(text, plain, []byte("  # With"), 1)
	for _, line := range []string{"sasl:", "  mechanism:", "  tokenCommand:"} {
		changed = bytes.Replace(changed, []byte("  # "+line), []byte("  "+line), 1)
	}
	path := filepath.Join(t.TempDir(), "auscult.yaml")
	if err := os.WriteFile(path, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path, environment["eventhubs"][:1])
	if err != nil {
		t.Fatal(err)
	}
	if c.River.SASL.Mechanism != kafka.MechanismOAuthBearer || len(c.River.SASL.TokenCommand) < 3 {
		t.Errorf("sasl is %+v", c.River.SASL)
	}
}
