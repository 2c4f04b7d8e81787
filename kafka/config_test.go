package kafka

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"auscult/schemas"

	"gopkg.in/yaml.v3"
)

func good(p Profile) Config {
	c := Config{Profile: p, Brokers: []string{"broker:9092"}}
	if p.EventHubs() {
		c.Generation = "2026-01"
		c.SASL = SASL{Mechanism: MechanismPlain, User: "$ConnectionString", Password: "x"}
	}
	return c
}

func TestConfigIsChecked(t *testing.T) {
	for _, p := range Profiles {
		if err := good(p).Validate(); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
	for _, c := range []struct {
		path   string
		change func(*Config)
	}{
		{"profile", func(c *Config) { c.Profile = "pulsar" }},
		{"brokers", func(c *Config) { c.Brokers = nil }},
		{"brokers[0]", func(c *Config) { c.Brokers = []string{"broker"} }},
		{"prefix", func(c *Config) { c.Prefix = "a b" }},
		{"partitions", func(c *Config) { c.Partitions = 12 }},
		{"partitions", func(c *Config) { c.Partitions = 64 }},
		{"partitions", func(c *Config) { c.Partitions = -8 }},
		{"generation", func(c *Config) { c.Generation = "" }},
		{"generation", func(c *Config) { c.Generation = "../x" }},
		{"sessionTimeout", func(c *Config) { c.SessionTimeout = time.Second }},
		{"sasl.mechanism", func(c *Config) { c.SASL.Mechanism = "" }},
		{"sasl.mechanism", func(c *Config) { c.SASL.Mechanism = "GSSAPI" }},
		{"sasl.mechanism", func(c *Config) { c.SASL.Mechanism = MechanismScramSHA256 }},
		{"sasl", func(c *Config) { c.SASL.User, c.SASL.Password = "", "" }},
		{"sasl.user", func(c *Config) { c.SASL.User = "" }},
		{"sasl.password", func(c *Config) { c.SASL.Password = "" }},
		{"sasl", func(c *Config) { c.SASL.Mechanism = MechanismOAuthBearer }},
		{"tls", func(c *Config) { c.TLS.CertFile = "cert.pem" }},
	} {
		cfg := good(EventHubsStandard)
		c.change(&cfg)
		if got := paths(cfg.Validate()); got != c.path {
			t.Errorf("want a problem at %s, got %q", c.path, got)
		}
	}
	plain := good(Kafka)
	plain.SASL = SASL{Mechanism: MechanismPlain, User: "u", Password: "p"}
	if got := paths(plain.Validate()); got != "tls.enabled" {
		t.Errorf("a password in the clear: %q", got)
	}
}

func paths(err error) string {
	many, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return ""
	}
	var all []string
	for _, e := range many.Unwrap() {
		all = append(all, e.(interface{ ConfigPath() string }).ConfigPath())
	}
	return strings.Join(all, " ")
}

func TestSourceStart(t *testing.T) {
	for text, ok := range map[string]bool{"earliest": true, "latest": true, "2026-01-31T00:00:00Z": true, "yesterday": false, "": false} {
		source := SourceConfig{Config: good(Kafka), Start: text}
		if err := source.Validate(); (err == nil) != ok {
			t.Errorf("start %q: %v", text, err)
		}
	}
	source := SourceConfig{Config: good(EmbeddedProfile)}
	if err := source.Validate(); err != nil {
		t.Errorf("the embedded profile needs no start: %v", err)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	c := good(EventHubsStandard)
	c.SASL.Password = "hunter2"
	asYAML, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("config", "password", c.SASL.Password, "all", c)
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v %s %q", c, c, c.SASL.Password, c.SASL.Password), string(asYAML), string(asJSON), log.String()} {
		if strings.Contains(text, "hunter2") || !strings.Contains(text, schemas.Hidden) {
			t.Errorf("printed as %s", text)
		}
	}
	var back Config
	if err := yaml.Unmarshal([]byte("sasl: {password: hunter2}"), &back); err != nil || back.SASL.Password != "hunter2" {
		t.Errorf("read as %q, %v", string(back.SASL.Password), err)
	}
}

func TestEmbeddedBrokerIsRefusedInProduction(t *testing.T) {
	for _, p := range Profiles {
		if err := good(p).RefuseEmbedded(); (err == nil) != (p == EmbeddedProfile) {
			t.Errorf("%s: %v", p, err)
		}
	}
}
