// Package config reads the one file that says how auscult runs, and says on
// which line what is wrong with it. It knows the settings of every package and
// does nothing with them.
package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"gopkg.in/yaml.v3"

	"auscult/fhir/rest"
	"auscult/kafka"
	"auscult/processors"
	"auscult/schemas"
	"auscult/scoring"
	"auscult/sinks/lake"
)

// Config is everything that can be set. A part that is left out has its
// defaults; a part that needs something says so when it is used.
type Config struct {
	Source    kafka.SourceConfig         `yaml:"source"` // where the messages are; without brokers, the river's
	River     kafka.Config               `yaml:"river"`
	Mapping   Mapping                    `yaml:"mapping"`
	Normalize processors.NormalizeConfig `yaml:"normalize"`
	Identity  processors.IdentifyConfig  `yaml:"identity"`
	Observe   Observe                    `yaml:"observe"`
	Scoring   scoring.Config             `yaml:",inline"`
	FHIR      rest.Config                `yaml:"fhir"`
	Deliver   Deliver                    `yaml:"deliver"`
	Migration Migration                  `yaml:"migration"`
	Lake      lake.Config                `yaml:"lake"`
	Warehouse Warehouse                  `yaml:"warehouse"`
	Console   Console                    `yaml:"console"`
}

// Mapping names the two mapping files, relative to the configuration's folder.
type Mapping struct {
	Device string `yaml:"device"`
	FHIR   string `yaml:"fhir"`
}

// Observe is what can be set about panes and segments.
type Observe struct {
	Pane time.Duration `yaml:"pane"`
	// IdleAfter is how long a device must say nothing before its windows close
	// by the wall clock and a technical Flag is raised; 0 = never.
	IdleAfter time.Duration `yaml:"idleAfter"`
	// ParkLimit is how many values of a device may wait for its identity.
	ParkLimit int `yaml:"parkLimit"`
	// FlushCount and FlushEvery say when an hourly, daily or correlated segment
	// is written: after so many values, or so much time of the device's clock.
	FlushCount int           `yaml:"flushCount"`
	FlushEvery time.Duration `yaml:"flushEvery"`
}

// Deliver is what can be set about writing to the FHIR server.
type Deliver struct {
	// ReferenceWait is how long a resource may wait for one that it refers to.
	ReferenceWait time.Duration `yaml:"referenceWait"`
	// Concurrency is how many patients are written at a time.
	Concurrency int `yaml:"concurrency"`
}

// Migration is what must be known of an earlier MedTech.
type Migration struct {
	// Cutover is when MedTech stopped: Observations that begin before may be on
	// the server already. Zero = there was none.
	Cutover time.Time `yaml:"cutover,omitempty"`
}

// Warehouse is where the facts go.
type Warehouse struct {
	Path string `yaml:"path"` // of the SQLite database; empty = no warehouse
}

// Console is where the console listens.
type Console struct {
	Listen string `yaml:"listen"` // host:port; empty = no console
	Title  string `yaml:"title"`  // of the page, such as the ward's name
	// Hosts are the names by which browsers may call the console, beside
	// localhost and addresses.
	Hosts []string `yaml:"hosts"`
}

// Default returns the configuration of an empty file.
func Default() *Config {
	return &Config{
		Normalize: processors.NormalizeConfig{ClockAhead: processors.DefaultClockAhead},
		Observe: Observe{
			Pane: scoring.DefaultPane, IdleAfter: 10 * time.Minute, ParkLimit: processors.DefaultParkLimit,
			FlushCount: processors.DefaultFlushCount, FlushEvery: processors.DefaultFlushEvery.Duration(),
		},
		Deliver: Deliver{ReferenceWait: processors.DefaultReferenceWait, Concurrency: processors.DefaultDeliverConcurrency},
		Lake:    lake.Config{MaxFileRecords: lake.DefaultMaxFileRecords, MaxFileBytes: lake.DefaultMaxFileBytes},
	}
}

// MaxFileBytes bounds a configuration file.
const MaxFileBytes = 1 << 20

// Load reads the configuration file, the environment over it, and checks all.
// Without a path only the environment counts.
func Load(path string, environ []string) (*Config, error) {
	c, d, err := read(path, environ)
	if err != nil {
		return nil, err
	}
	if path == "" && len(d.variables) == 0 {
		return nil, errors.New("there is no configuration: name a file with --config (examples/ has some to begin with), or set AUSCULT_RIVER_BROKERS and its like")
	}
	c.derive()
	if err := c.Validate(); err != nil {
		return nil, d.locate(err)
	}
	return c, nil
}

// LoadEmbedded reads only how the river is laid out: what the embedded broker
// needs, whose address nobody knows yet. A configuration for a real broker is
// refused; one that names no profile is the embedded broker's.
func LoadEmbedded(path string, environ []string) (kafka.Config, error) {
	c, d, err := read(path, environ)
	if err != nil {
		return kafka.Config{}, err
	}
	river := c.River
	if river.Profile == "" {
		river.Profile = kafka.EmbeddedProfile
	}
	river = river.WithDefaults()
	river.Brokers = []string{"127.0.0.1:0"} // the caller will know better
	if err := errors.Join(river.Validate(), river.RefuseEmbedded()); err != nil {
		return kafka.Config{}, d.locate(under("river", err))
	}
	return river, nil
}

// read reads the file and the environment over it, without judging what they
// say.
func read(path string, environ []string) (*Config, *document, error) {
	d, err := open(path)
	if err != nil {
		return nil, nil, err
	}
	c := Default()
	if err := d.override(environ, reflect.TypeOf(*c)); err != nil {
		return nil, nil, err
	}
	if err := d.decode(c); err != nil {
		return nil, nil, err
	}
	for setting, file := range c.files() {
		// What a shell says is relative to where the shell is.
		if *file != "" && !filepath.IsAbs(*file) && d.variable(setting) == "" {
			*file = filepath.Join(filepath.Dir(path), *file)
		}
	}
	return c, d, nil
}

func open(path string) (*document, error) {
	if path == "" {
		return parse("without a file (--config)", nil)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	if len(text) > MaxFileBytes {
		return nil, fmt.Errorf("%s is longer than %d bytes: is it a configuration?", path, MaxFileBytes)
	}
	return parse(path, text)
}

// files returns the settings that name a file or a folder.
func (c *Config) files() map[string]*string {
	return map[string]*string{
		"mapping.device": &c.Mapping.Device, "mapping.fhir": &c.Mapping.FHIR,
		"river.sasl.tokenFile": &c.River.SASL.TokenFile, "river.tls.caFile": &c.River.TLS.CAFile,
		"river.tls.certFile": &c.River.TLS.CertFile, "river.tls.keyFile": &c.River.TLS.KeyFile,
		"source.sasl.tokenFile": &c.Source.SASL.TokenFile, "source.tls.caFile": &c.Source.TLS.CAFile,
		"source.tls.certFile": &c.Source.TLS.CertFile, "source.tls.keyFile": &c.Source.TLS.KeyFile,
		"fhir.auth.tokenFile": &c.FHIR.Auth.TokenFile, "fhir.auth.passwordFile": &c.FHIR.Auth.PasswordFile,
		"fhir.auth.clientSecretFile": &c.FHIR.Auth.ClientSecretFile, "fhir.auth.keyFile": &c.FHIR.Auth.KeyFile, "fhir.tls.caFile": &c.FHIR.TLS.CAFile,
		"fhir.tls.certFile": &c.FHIR.TLS.CertFile, "fhir.tls.keyFile": &c.FHIR.TLS.KeyFile,
		"lake.folder": &c.Lake.Folder, "warehouse.path": &c.Warehouse.Path,
	}
}

// derive fills in what follows from other settings.
func (c *Config) derive() {
	c.Scoring.Pane = c.Observe.Pane
	c.River = c.River.WithDefaults()
	if c.FHIR.Timeout == 0 {
		// Below half the session timeout with room to spare (rule G3).
		c.FHIR.Timeout = min(rest.DefaultTimeout, c.River.SessionTimeout*2/5)
	}
	c.FHIR = c.FHIR.WithDefaults()
	c.Identity = c.Identity.WithDefaults()
	if reflect.DeepEqual(c.Source.Config, kafka.Config{}) {
		c.Source.Config = c.River
	}
	c.Source.Config = c.Source.WithDefaults()
}

// OneBroker reports whether devicedata is simply the river's first topic.
func (c *Config) OneBroker() bool {
	return reflect.DeepEqual(c.Source.Config, c.River)
}

// Validate says everything that is wrong, as errors that name the setting.
func (c *Config) Validate() error {
	all := []error{under("river", c.River.Validate()), c.validateSource()}
	if c.FHIR.BaseURL != "" {
		all = append(all, under("fhir", c.FHIR.Validate()))
	}
	deliver := processors.DeliverConfig{ReferenceWait: c.Deliver.ReferenceWait, Concurrency: c.Deliver.Concurrency}
	all = append(all, under("identity", c.Identity.Validate()), c.Observe.validate(), under("deliver", deliver.Validate()))
	if _, err := scoring.Compile(c.Scoring); err != nil {
		all = append(all, err)
	}
	if c.Lake.Folder != "" {
		all = append(all, under("lake", c.Lake.Validate()))
	}
	if 2*c.FHIR.Timeout > c.River.SessionTimeout && c.River.SessionTimeout > 0 {
		all = append(all, &setting{"fhir.timeout", fmt.Sprintf(
			"fhir.timeout is %s: keep it at most half of river.sessionTimeout (%s), or a stage that has lost its partitions could still write", c.FHIR.Timeout, c.River.SessionTimeout)})
	}
	all = append(all, c.validateConsole())
	return errors.Join(all...)
}

func (c *Config) validateConsole() error {
	if c.Console.Listen == "" {
		return nil
	}
	var all []error
	if _, port, err := net.SplitHostPort(c.Console.Listen); err != nil || port == "" {
		all = append(all, &setting{"console.listen", fmt.Sprintf("console.listen %q is not host:port, such as 127.0.0.1:8080", c.Console.Listen)})
	}
	if c.Warehouse.Path == "" {
		all = append(all, &setting{"console.listen", "console.listen is set and warehouse.path is not: the console shows what the warehouse holds"})
	}
	return errors.Join(all...)
}

// validateSource leaves out what is wrong with the river already.
func (c *Config) validateSource() error {
	if !c.OneBroker() && len(c.Source.Brokers) == 0 {
		return &setting{"source", "source has settings of a connection and no brokers: name them, or leave only topic, group and start for the river's broker"}
	}
	wrong := flat(c.Source.Validate())
	if c.OneBroker() {
		wrong = slices.DeleteFunc(wrong, func(e error) bool {
			var p pathed
			return errors.As(e, &p) && !slices.Contains([]string{"topic", "group", "start"}, p.ConfigPath())
		})
	}
	return under("source", errors.Join(wrong...))
}

// maxParkLimit keeps the parked values of a device inside its row.
const maxParkLimit = 4000

func (o *Observe) validate() error {
	var all []error
	if o.ParkLimit < 1 || o.ParkLimit > maxParkLimit {
		all = append(all, &setting{"observe.parkLimit", fmt.Sprintf("observe.parkLimit is %d: use 1 to %d", o.ParkLimit, maxParkLimit)})
	}
	if o.IdleAfter < 0 {
		all = append(all, &setting{"observe.idleAfter", "observe.idleAfter is negative: use 0 to never call a device silent"})
	}
	if o.FlushCount < 1 || o.FlushEvery <= 0 {
		all = append(all, &setting{"observe.flushCount", "observe.flushCount and observe.flushEvery must be above 0"})
	}
	return errors.Join(all...)
}

// setting is an error about one setting.
type setting struct{ path, text string }

func (s *setting) Error() string      { return s.text }
func (s *setting) ConfigPath() string { return s.path }

// under puts a section's name before the paths of its errors.
func under(section string, err error) error {
	var all []error
	for _, e := range flat(err) {
		var p pathed
		if errors.As(e, &p) {
			all = append(all, &setting{join(section, p.ConfigPath()), section + ": " + e.Error()})
		} else {
			all = append(all, fmt.Errorf("%s: %w", section, e))
		}
	}
	return errors.Join(all...)
}

// Print writes the configuration in force. Secrets hide themselves; what may
// hold one is hidden too.
func (c *Config) Print(w io.Writer) error {
	shown := *c
	shown.FHIR.Headers = maps.Clone(c.FHIR.Headers)
	for name := range shown.FHIR.Headers {
		shown.FHIR.Headers[name] = schemas.Hidden
	}
	shown.River.SASL.TokenCommand = program(c.River.SASL.TokenCommand)
	shown.Source.SASL.TokenCommand = program(c.Source.SASL.TokenCommand)
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(&shown); err != nil {
		return fmt.Errorf("printing the configuration: %w", err)
	}
	return e.Close()
}

// program leaves of a command its name: arguments may be secrets.
func program(command []string) []string {
	if len(command) < 2 {
		return command
	}
	return []string{command[0], schemas.Hidden}
}
