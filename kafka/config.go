package kafka

import (
	"errors"
	"fmt"
	"math/bits"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"auscult/schemas"
)

// Profile names the kind of broker; it sets what that kind needs.
type Profile string

// The profiles.
const (
	EventHubsStandard Profile = "eventhubs-standard"
	EventHubsPremium  Profile = "eventhubs-premium"
	Redpanda          Profile = "redpanda"
	Kafka             Profile = "kafka"
	EmbeddedProfile   Profile = "embedded"
)

// Profiles lists all profiles.
var Profiles = []Profile{EventHubsStandard, EventHubsPremium, Redpanda, Kafka, EmbeddedProfile}

// Production reports whether p is a broker to run patients on. The embedded
// one is for trying, tests and one-box sites.
func (p Profile) Production() bool { return p != EmbeddedProfile }

// EventHubs reports whether p speaks Kafka without being Kafka.
func (p Profile) EventHubs() bool { return p == EventHubsStandard || p == EventHubsPremium }

// Limits of the configuration.
const (
	DefaultPartitions = 8
	MaxPartitions     = 128 // ten topics of it are within what one Dedicated unit takes
	// MinSessionTimeout is the least that brokers take by default
	// (group.min.session.timeout.ms).
	MinSessionTimeout     = 6 * time.Second
	MaxSessionTimeout     = 5 * time.Minute
	DefaultSessionTimeout = 30 * time.Second
	// embeddedSessionTimeout is short: there is no network that could be slow,
	// and a killed process must not keep its partitions for long.
	embeddedSessionTimeout = 10 * time.Second
	maxPrefixBytes         = 60
	// maxGenerationBytes keeps a generation usable as a folder name and as a
	// part of commit metadata.
	maxGenerationBytes = 64
)

// Config says how to reach one broker and how the river is laid out on it.
type Config struct {
	Profile Profile  `yaml:"profile"`
	Brokers []string `yaml:"brokers"`
	// Prefix is put before every topic and group, so that two environments
	// share a namespace.
	Prefix string `yaml:"prefix"`
	// Partitions is how many partitions each topic of the river has: a power of
	// two, never changed afterwards. A source may have any number.
	Partitions int `yaml:"partitions"`
	// Generation stands in for the topic ids of a broker that gives none (Event
	// Hubs). Change it when topics are deleted and created again.
	Generation string `yaml:"generation"`
	// Instance makes this process a static member of its groups: after a
	// restart within the session timeout it gets its partitions back and the
	// others notice nothing. Unique among the processes.
	Instance       string        `yaml:"instance"`
	SessionTimeout time.Duration `yaml:"sessionTimeout"`
	SASL           SASL          `yaml:"sasl"`
	TLS            TLS           `yaml:"tls"`
}

// SASL says who we are to the broker.
type SASL struct {
	Mechanism string `yaml:"mechanism"` // empty, or one of Mechanisms
	User      string `yaml:"user"`      // Event Hubs: $ConnectionString
	Password  Secret `yaml:"password"`  // Event Hubs: the connection string
	// TokenFile holds an OAUTHBEARER token; it is read again when the token has
	// lived for 80 % of its life.
	TokenFile string `yaml:"tokenFile"`
	// TokenCommand prints an OAUTHBEARER token: the program and its arguments.
	TokenCommand []string `yaml:"tokenCommand"`
}

// The SASL mechanisms.
const (
	MechanismPlain       = "PLAIN"
	MechanismScramSHA256 = "SCRAM-SHA-256"
	MechanismScramSHA512 = "SCRAM-SHA-512"
	MechanismOAuthBearer = "OAUTHBEARER"
)

// Mechanisms lists the SASL mechanisms.
var Mechanisms = []string{MechanismPlain, MechanismScramSHA256, MechanismScramSHA512, MechanismOAuthBearer}

// TLS says how the connection is encrypted. Event Hubs has TLS always, with
// the system's roots; nothing needs to be written for it.
type TLS struct {
	Enabled    bool   `yaml:"enabled"`
	CAFile     string `yaml:"caFile"`     // PEM; instead of the system's roots
	CertFile   string `yaml:"certFile"`   // PEM; client certificate
	KeyFile    string `yaml:"keyFile"`    // PEM; key of the client certificate
	ServerName string `yaml:"serverName"` // when it is not the broker's host name
}

// SourceConfig says where the device messages come from: an IoT Hub's
// endpoint, or any hub or topic that exists already.
type SourceConfig struct {
	Config `yaml:",inline"`
	Topic  string `yaml:"topic"` // its own name; empty = the river's devicedata
	Group  string `yaml:"group"` // of Normalize; other readers add their stage to it
	// Start is where a group without committed offsets begins: earliest, latest
	// or a time (RFC 3339). It is resolved once.
	Start string `yaml:"start"`
}

// Secret is text that must not be printed.
type Secret = schemas.Secret

// ConfigError is one thing wrong in a configuration.
type ConfigError struct {
	Path string // relative to the configuration that was validated
	Text string // what is wrong and what to change
}

// Error says what to change.
func (e *ConfigError) Error() string { return e.Text }

// ConfigPath names the field.
func (e *ConfigError) ConfigPath() string { return e.Path }

// problems collects ConfigErrors.
type problems []error

func (p *problems) add(path, format string, args ...any) {
	*p = append(*p, &ConfigError{Path: path, Text: fmt.Sprintf(format, args...)})
}

// WithDefaults returns c with everything set that the profile decides and the
// configuration leaves open.
func (c Config) WithDefaults() Config {
	if c.Partitions == 0 {
		c.Partitions = DefaultPartitions
	}
	if c.SessionTimeout == 0 {
		c.SessionTimeout = DefaultSessionTimeout
		if c.Profile == EmbeddedProfile {
			c.SessionTimeout = embeddedSessionTimeout
		}
	}
	if c.Profile.EventHubs() {
		c.TLS.Enabled = true
	}
	return c
}

// names are the characters that Kafka and Event Hubs take in topics and groups.
var names = regexp.MustCompile(`^[A-Za-z0-9._-]*$`)

// Validate says everything that is wrong with c, as errors that have a
// ConfigPath.
func (c Config) Validate() error {
	var p problems
	c.validate(&p)
	return errors.Join(p...)
}

func (c Config) validate(p *problems) {
	c = c.WithDefaults()
	if !slices.Contains(Profiles, c.Profile) {
		p.add("profile", "profile %q is not known: write one of %s", c.Profile, list(Profiles))
		return // what else is asked for depends on it
	}
	c.validateBrokers(p)
	if !names.MatchString(c.Prefix) || len(c.Prefix) > maxPrefixBytes {
		p.add("prefix", "prefix %q cannot begin a topic name: use at most %d letters, digits, dots, underscores and hyphens", c.Prefix, maxPrefixBytes)
	}
	if c.Partitions < 1 || c.Partitions > MaxPartitions || bits.OnesCount(uint(c.Partitions)) != 1 {
		p.add("partitions", "partitions is %d: use a power of two from 1 to %d", c.Partitions, MaxPartitions)
	}
	if c.Profile == EventHubsStandard && c.Partitions > 32 {
		p.add("partitions", "partitions is %d: the Standard tier takes 32 an event hub at most", c.Partitions)
	}
	if !names.MatchString(c.Generation) || len(c.Generation) > maxGenerationBytes {
		p.add("generation", "generation %q becomes part of file names: use at most %d letters, digits, dots, underscores and hyphens", c.Generation, maxGenerationBytes)
	}
	if c.Profile.EventHubs() && c.Generation == "" {
		p.add("generation", "generation is empty: Event Hubs gives topics no ids, so name this set of event hubs (for example %q) and change the name when they are created anew", "2026-01")
	}
	if c.SessionTimeout < MinSessionTimeout || c.SessionTimeout > MaxSessionTimeout {
		p.add("sessionTimeout", "sessionTimeout is %s: use %s to %s", c.SessionTimeout, MinSessionTimeout, MaxSessionTimeout)
	}
	c.validateSASL(p)
	c.validateTLS(p)
}

func (c Config) validateBrokers(p *problems) {
	if len(c.Brokers) == 0 {
		p.add("brokers", "brokers is empty: name at least one host:port")
	}
	for i, b := range c.Brokers {
		if host, port, err := net.SplitHostPort(b); err != nil || host == "" || port == "" {
			p.add(fmt.Sprintf("brokers[%d]", i), "broker %q is not host:port", b)
		}
	}
}

func (c Config) validateSASL(p *problems) {
	s := c.SASL
	switch s.Mechanism {
	case "":
		if c.Profile.EventHubs() {
			p.add("sasl.mechanism", "sasl.mechanism is empty: Event Hubs takes %s (user $ConnectionString) or %s", MechanismPlain, MechanismOAuthBearer)
		}
	case MechanismPlain, MechanismScramSHA256, MechanismScramSHA512:
		switch {
		case s.User == "" && s.Password == "":
			p.add("sasl", "%s needs sasl.user and sasl.password", s.Mechanism)
		case s.User == "":
			p.add("sasl.user", "%s needs sasl.user", s.Mechanism)
		case s.Password == "":
			p.add("sasl.password", "%s needs sasl.password", s.Mechanism)
		}
		if c.Profile.EventHubs() && s.Mechanism != MechanismPlain {
			p.add("sasl.mechanism", "Event Hubs does not take %s: use %s or %s", s.Mechanism, MechanismPlain, MechanismOAuthBearer)
		}
	case MechanismOAuthBearer:
		if (s.TokenFile == "") == (len(s.TokenCommand) == 0) {
			p.add("sasl", "%s needs either sasl.tokenFile or sasl.tokenCommand", MechanismOAuthBearer)
		}
	default:
		p.add("sasl.mechanism", "sasl.mechanism %q is not known: write one of %s", s.Mechanism, list(Mechanisms))
	}
	if s.Mechanism == MechanismPlain && !c.TLS.Enabled && c.Profile.Production() {
		p.add("tls.enabled", "%s without TLS sends the password in the clear: set tls.enabled, or use %s", MechanismPlain, MechanismScramSHA512)
	}
}

func (c Config) validateTLS(p *problems) {
	t := c.TLS
	if !t.Enabled && (t.CAFile != "" || t.CertFile != "" || t.KeyFile != "") {
		p.add("tls.enabled", "tls has files but is not enabled: set tls.enabled to true")
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		p.add("tls", "a client certificate needs both tls.certFile and tls.keyFile")
	}
}

// Validate says everything that is wrong with c.
func (c SourceConfig) Validate() error {
	var p problems
	c.validate(&p)
	if !names.MatchString(c.Topic) {
		p.add("topic", "topic %q is not a topic name", c.Topic)
	}
	if !names.MatchString(c.Group) || len(c.Group) > 200 {
		p.add("group", "group %q is not a group name", c.Group)
	}
	if c.Start == "" && c.Profile.Production() {
		p.add("start", "start is empty: say where to begin, earliest, latest or a time such as 2026-01-31T00:00:00Z")
	} else if _, err := ParseStart(c.Start); err != nil {
		p.add("start", "%s", err)
	}
	return errors.Join(p...)
}

// RefuseEmbedded says why the embedded broker must not be started with c, nil
// when it may.
func (c Config) RefuseEmbedded() error {
	if !c.Profile.Production() {
		return nil
	}
	return &ConfigError{Path: "profile", Text: fmt.Sprintf(
		"profile %q is for production and the embedded broker is not: it keeps one copy on one disk. Use a real broker, or profile %q", c.Profile, EmbeddedProfile)}
}

// Start is a resolved word of SourceConfig.Start.
type Start struct {
	Latest bool
	At     time.Time // zero unless a time was given
}

// ParseStart reads earliest (also when empty), latest or a time.
func ParseStart(text string) (Start, error) {
	switch text {
	case "", "earliest":
		return Start{}, nil
	case "latest":
		return Start{Latest: true}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return Start{}, fmt.Errorf("start %q is neither earliest, latest nor a time such as 2026-01-31T00:00:00Z", text)
	}
	return Start{At: t}, nil
}

func list[S ~string](all []S) string {
	words := make([]string, len(all))
	for i, s := range all {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}
