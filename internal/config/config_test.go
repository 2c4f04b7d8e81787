package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"auscult/fhir/rest"
	"auscult/kafka"
	"auscult/processors"
	"auscult/schemas"
)

// least is the shortest configuration that is valid.
const least = `river:
  profile: kafka
  brokers: [localhost:9092]
source:
  start: earliest
`

// write puts text into a configuration file of its own folder.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "auscult.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, text string, environ ...string) *Config {
	t.Helper()
	c, err := Load(write(t, text), environ)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wrong returns what Load says about text, its folder left out.
func wrong(t *testing.T, text string, environ ...string) string {
	t.Helper()
	path := write(t, text)
	_, err := Load(path, environ)
	if err == nil {
		t.Fatalf("nothing is wrong with\n%s", text)
	}
	return strings.ReplaceAll(err.Error(), filepath.Dir(path)+string(filepath.Separator), "")
}

func TestDefaults(t *testing.T) {
	c := load(t, least)
	if c.River.Partitions != kafka.DefaultPartitions || c.River.SessionTimeout != kafka.DefaultSessionTimeout {
		t.Errorf("river is %+v", c.River)
	}
	if c.Observe.Pane != time.Minute || c.Observe.IdleAfter != 10*time.Minute || c.Scoring.Pane != time.Minute {
		t.Errorf("observe is %+v, panes of models last %s", c.Observe, c.Scoring.Pane)
	}
	if c.FHIR.Timeout != rest.DefaultTimeout || c.Identity.Mode != processors.ModeLookup {
		t.Errorf("fhir is %+v, identity %+v", c.FHIR, c.Identity)
	}
	if !c.OneBroker() || c.Source.Start != "earliest" {
		t.Errorf("source is %+v", c.Source)
	}
}

func TestFHIRTimeoutFollowsTheSession(t *testing.T) {
	if c := load(t, least+"fhir: {baseURL: http://x}\n", "AUSCULT_RIVER_SESSIONTIMEOUT=10s"); c.FHIR.Timeout != 4*time.Second {
		t.Errorf("fhir.timeout is %s, want 4s", c.FHIR.Timeout)
	}
}

func TestOneBrokerOrTwo(t *testing.T) {
	river := "river: {profile: kafka, brokers: [a:1]}\n"
	for _, test := range []struct {
		name, source string
		one          bool
	}{
		{"no source", "source: {start: latest}\n", true},
		{"a topic of the river's broker", "source: {start: latest, topic: telemetry}\n", true},
		{"the same broker written out", "source: {start: latest, profile: kafka, brokers: [a:1]}\n", true},
		{"another broker", "source: {start: latest, profile: kafka, brokers: [b:1]}\n", false},
		{"the same broker as another user", "source: {start: latest, profile: kafka, brokers: [a:1], sasl: {mechanism: SCRAM-SHA-512, user: u, password: p}}\n", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := load(t, river+test.source)
			if c.OneBroker() != test.one {
				t.Errorf("one broker: %v", c.OneBroker())
			}
			if c.Source.SessionTimeout == 0 || c.Source.Start != "latest" {
				t.Errorf("source is %+v", c.Source)
			}
		})
	}
}

// mistakes are configurations and what is said of them.
var mistakes = []struct {
	name, text string
	environ    []string
	want       []string // each is a line of the error
}{
	{"unknown settings", "river:\n  broker: [a:1]\nfihr: {}\nconsole: {x: 1}\n", nil, []string{
		`auscult.yaml:2: there is no setting "river.broker"; did you mean "brokers"?`,
		`auscult.yaml:3: there is no setting "fihr"; did you mean "fhir"?`,
		`auscult.yaml:4: there is no setting "console.x"; there are hosts, listen, title`,
	}},
	{"unknown setting in a list", least + "scoring:\n  models:\n  - id: news2\n    windows: {}\n", nil, []string{
		`auscult.yaml:9: there is no setting "scoring.models[0].windows"; did you mean "window"?`,
	}},
	{"words that do not fit", "observe:\n  pane: soon\n  parkLimit: many\n  idleAfter: 10\nriver: here\nsignals: [a]\n" +
		"source: {brokers: a:1}\nriver2: {}\nfhir: {baseURL: {a: 1}}\nmigration: {cutover: tomorrow}\n", nil, []string{
		`auscult.yaml:2: observe.pane is "soon": write a length of time with its unit, such as 30s, 10m, 2h or 7d`,
		`auscult.yaml:3: observe.parkLimit is "many": write a whole number`,
		`auscult.yaml:4: observe.idleAfter is "10": write a length of time with its unit, such as 30s, 10m, 2h or 7d`,
		`auscult.yaml:5: river is a group of settings (profile, brokers, prefix, partitions, generation, instance, sessionTimeout, sasl, tls): write each on a line of its own below it`,
		`auscult.yaml:6: signals is a group of settings: write each on a line of its own below it`,
		`auscult.yaml:7: source.brokers is a list: write [a, b], or a line with - for each`,
		`auscult.yaml:8: there is no setting "river2"; did you mean "river"?`,
		`auscult.yaml:9: fhir.baseURL is one value, not a list or a group: write one word or text`,
		`auscult.yaml:10: migration.cutover is "tomorrow": write a time such as 2026-01-31T00:00:00Z`,
	}},
	{"several values", "river:\n  profile: kafka\n  brokers:\n  - a:1\n  - b\n  partitions: 6\n  prefix: a/b\nsource: {}\nconsole: {listen: 8080}\n", nil, []string{
		`auscult.yaml:5: river: broker "b" is not host:port`,
		`auscult.yaml:6: river: partitions is 6: use a power of two from 1 to 128`,
		`auscult.yaml:7: river: prefix "a/b" cannot begin a topic name: use at most 60 letters, digits, dots, underscores and hyphens`,
		`auscult.yaml:8: source: start is empty: say where to begin, earliest, latest or a time such as 2026-01-31T00:00:00Z`,
		`auscult.yaml:9: console.listen "8080" is not host:port, such as 127.0.0.1:8080`,
		`auscult.yaml:9: console.listen is set and warehouse.path is not`,
	}},
	{"one broker is blamed once", "river:\n  profile: nats\nsource: {start: latest}\n", nil, []string{
		`auscult.yaml:2: river: profile "nats" is not known: write one of eventhubs-standard, eventhubs-premium, redpanda, kafka, embedded`,
	}},
	{"a source without brokers", least + "  profile: kafka\n", nil, []string{
		`auscult.yaml:4: source has settings of a connection and no brokers: name them, or leave only topic, group and start for the river's broker`,
	}},
	{"a model", least + "signals:\n  hr: {from: [{type: a, value: b}]}\nscoring:\n  models:\n  - id: news2\n    window:\n      size: 90s\n    inputs:\n      hr: {signal: pulse}\n    required: [rr, spo2, oxygen, sbp, temp, consciousness]\n", nil, []string{
		`auscult.yaml:12: scoring.models[0].window.size: is 1m30s`,
		`auscult.yaml:14: scoring.models[0].inputs.hr.horizon: is 0s`,
		`auscult.yaml:14: scoring.models[0].inputs.hr.signal: there is no signal "pulse"`,
		`auscult.yaml:15: scoring.models[0].required: add hr`,
	}},
	{"a timeout that breaks a rule", least + "fhir:\n  baseURL: http://x\n  timeout: 20s\n", nil, []string{
		`auscult.yaml:8: fhir.timeout is 20s: keep it at most half of river.sessionTimeout (30s)`,
	}},
	{"deliver and identity", least + "deliver:\n  concurrency: -1\nidentity:\n  mode: guess\n", nil, []string{
		`auscult.yaml:7: deliver: concurrency must be`,
		`auscult.yaml:9: identity: mode "guess" is not known`,
	}},
	{"authentication", least + "fhir:\n  baseURL: https://x\n  auth:\n    kind: oauth2\n    tokenURL: http://y/token\n    keyFile: key.pem\n    clientSecret: confidential\n", []string{"AUSCULT_FHIR_AUTH_CLIENTSECRETFILE=s"}, []string{
		`auscult.yaml:8: fhir: auth.kind oauth2 needs auth.clientID, the name under which this client is registered`,
		`the environment variable AUSCULT_FHIR_AUTH_CLIENTSECRETFILE: fhir: auth.clientSecret and auth.clientSecretFile are both set: keep one`,
		`auscult.yaml:10: fhir: auth.tokenURL must begin with https, as baseURL does: it is sent our credentials`,
		`auscult.yaml:11: fhir: auth.keyFile is of kind smart-backend: remove it, or correct auth.kind, which is oauth2`,
	}},
	{"from the environment", least, []string{"AUSCULT_RIVER_PARTITIONS=3", "AUSCULT_RIVER_BROKERS=[a]", "AUSCULT_SOURCE_START=now"}, []string{
		`the environment variable AUSCULT_RIVER_BROKERS: river: broker "a" is not host:port`,
		`the environment variable AUSCULT_RIVER_PARTITIONS: river: partitions is 3: use a power of two`,
		`the environment variable AUSCULT_SOURCE_START: source: start "now" is neither`,
	}},
	{"of a wrong kind in the environment", least, []string{"AUSCULT_OBSERVE_PANE=soon"}, []string{
		`the environment variable AUSCULT_OBSERVE_PANE: observe.pane is "soon"`,
	}},
	{"an unknown variable", least, []string{"AUSCULT_RIVER_BROKER=a:1"}, []string{
		`the environment variable AUSCULT_RIVER_BROKER is no setting; did you mean "AUSCULT_RIVER_BROKERS"?`,
	}},
	{"a variable of something else", least, []string{"AUSCULT_X=1"}, []string{
		"the environment variable AUSCULT_X is no setting; see the settings with `auscult run --print-config`, or unset it",
	}},
	{"not YAML", "river:\n\tprofile: kafka\n", nil, []string{`auscult.yaml:2: found character that cannot start any token`}},
	{"a list", "- a\n", nil, []string{`auscult.yaml:1: a configuration is a mapping of settings (name: value)`}},
	{"two documents", least + "---\nriver: {}\n", nil, []string{`auscult.yaml:6: a configuration is one document`}},
	{"a broken second document", least + "---\nriver:\n\tprofile: kafka\n", nil, []string{`auscult.yaml:8: found character that cannot start any token`}},
	{"broken on the first line", "river: @\n", nil, []string{`auscult.yaml: found character that cannot start any token`}},
	{"twice the same", least + "river: {}\n", nil, []string{`auscult.yaml:6: mapping key "river" already defined at line 1`}},
}

func TestWhatIsWrongHasAPlace(t *testing.T) {
	for _, test := range mistakes {
		t.Run(test.name, func(t *testing.T) {
			got := strings.Split(wrong(t, test.text, test.environ...), "\n")
			if len(got) != len(test.want) {
				t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
			for i := range got {
				if !strings.HasPrefix(got[i], test.want[i]) {
					t.Errorf("got  %s\nwant %s", got[i], test.want[i])
				}
			}
		})
	}
}

func TestWithoutAConfiguration(t *testing.T) {
	_, err := Load("", []string{"HOME=/root", "AUSCULT_TEST_LONG=1"})
	if err == nil || !strings.Contains(err.Error(), "--config") {
		t.Errorf("got %v", err)
	}
	_, err = Load("", []string{"AUSCULT_RIVER_BROKERS=a:1"})
	if err == nil || !strings.HasPrefix(err.Error(), `without a file (--config): river: profile "" is not known`) {
		t.Errorf("got %v", err)
	}
	if _, err = Load("", []string{"AUSCULT_RIVER_BROKERS=a:1", "AUSCULT_RIVER_PROFILE=embedded"}); err != nil {
		t.Error(err)
	}
}

func TestUnreadableFiles(t *testing.T) {
	folder := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(folder, "none.yaml"): "no such file",
		folder:                             "is a directory",
		write(t, "# "+strings.Repeat("x", MaxFileBytes)): "is longer than 1048576 bytes",
	} {
		if _, err := Load(path, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "0": 0, "7d": 7 * day, "1d12h": 36 * time.Hour, "1h30m": 90 * time.Minute, "36500d": 36500 * day,
	} {
		if c := load(t, least+"observe: {idleAfter: "+text+"}\n"); c.Observe.IdleAfter != want {
			t.Errorf("%s is %s", text, c.Observe.IdleAfter)
		}
	}
	for _, text := range []string{"7", "d", "1w", "7days", "99999999999999999999d", "36501d", "1dx"} {
		if _, err := parseDuration(text); err == nil {
			t.Errorf("%s is a duration", text)
		}
	}
}

func TestFilesAreRelativeToTheConfiguration(t *testing.T) {
	text := least + `mapping: {device: maps/device.json, fhir: /etc/fhir.json}
warehouse: {path: ../warehouse.db}
lake: {folder: raw}
fhir: {tls: {caFile: ca.pem}}
`
	path := write(t, text)
	c, err := Load(path, []string{"AUSCULT_LAKE_FOLDER=here/raw"})
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Dir(path)
	for got, want := range map[string]string{
		c.Mapping.Device:   filepath.Join(folder, "maps/device.json"),
		c.Mapping.FHIR:     "/etc/fhir.json",
		c.Warehouse.Path:   filepath.Join(filepath.Dir(folder), "warehouse.db"),
		c.FHIR.TLS.CAFile:  filepath.Join(folder, "ca.pem"),
		c.Lake.Folder:      "here/raw", // the shell's folder counts for what the shell says
		c.FHIR.TLS.KeyFile: "",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestFilesAreKnown finds a setting that names a file and is not made relative.
func TestFilesAreKnown(t *testing.T) {
	known := (&Config{}).files()
	for _, path := range Variables() {
		last := path[strings.LastIndex(path, ".")+1:]
		isFile := strings.HasSuffix(last, "File") || last == "folder" || last == "path" || strings.HasPrefix(path, "mapping.")
		if _, ok := known[path]; ok != isFile {
			t.Errorf("%s: in files(): %v", path, ok)
		}
	}
}

func TestPrintHidesSecrets(t *testing.T) {
	c := load(t, `river:
  profile: eventhubs-standard
  brokers: [ns.servicebus.windows.net:9093]
  generation: "2026"
  sasl: {mechanism: PLAIN, user: $ConnectionString}
source:
  start: earliest
  profile: kafka
  brokers: [a:1]
  tls: {enabled: true}
  sasl: {mechanism: OAUTHBEARER, tokenCommand: [gettoken, --client-secret, confidential-1]}
fhir:
  baseURL: https://x
  auth: {kind: basic, user: u, password: confidential-2}
  headers: {x-api-key: confidential-3}
`, "AUSCULT_RIVER_SASL_PASSWORD=Endpoint=sb://ns/;SharedAccessKeyName=k;SharedAccessKey=confidential-4=")
	var out strings.Builder
	if err := c.Print(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "confidential") || strings.Count(out.String(), schemas.Hidden) < 4 {
		t.Errorf("a secret is printed:\n%s", out.String())
	}
	if c.FHIR.Headers["x-api-key"] != "confidential-3" || c.Source.SASL.TokenCommand[2] != "confidential-1" {
		t.Error("printing has changed the configuration")
	}
	if string(c.River.SASL.Password) != "Endpoint=sb://ns/;SharedAccessKeyName=k;SharedAccessKey=confidential-4=" {
		t.Error("the password is not what the environment says")
	}
}

// TestAuthFromTheEnvironment: no secret needs to stand in the file, the files of
// secrets lie beside it, and none is printed.
func TestAuthFromTheEnvironment(t *testing.T) {
	path := write(t, least+"fhir:\n  baseURL: https://x\n  auth: {kind: smart-backend, clientID: c, scope: s, keyFile: keys/own.jwk}\n  tls: {certFile: own.pem, keyFile: own.key}\n")
	c, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Dir(path)
	if c.FHIR.Auth.KeyFile != filepath.Join(folder, "keys/own.jwk") || c.FHIR.TLS.KeyFile != filepath.Join(folder, "own.key") {
		t.Errorf("%+v, %+v", c.FHIR.Auth, c.FHIR.TLS)
	}
	c = load(t, least+"fhir: {baseURL: https://x}\n", "AUSCULT_FHIR_AUTH_KIND=oauth2", "AUSCULT_FHIR_AUTH_CLIENTID=c", "AUSCULT_FHIR_AUTH_CLIENTSECRET=confidential")
	var out strings.Builder
	if err := c.Print(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "confidential") || c.FHIR.Auth.ClientSecret != "confidential" || !strings.Contains(out.String(), "kind: oauth2") {
		t.Errorf("printed\n%s", out.String())
	}
	c = load(t, least+"fhir: {baseURL: https://x, auth: {kind: oauth2, clientID: c, clientSecretFile: secret}}\n")
	if !filepath.IsAbs(c.FHIR.Auth.ClientSecretFile) {
		t.Errorf("%s is not beside the configuration", c.FHIR.Auth.ClientSecretFile)
	}
	c = load(t, least+"fhir: {baseURL: https://x, auth: {kind: basic, user: u, passwordFile: /run/secrets/p}}\n")
	if c.FHIR.Auth.PasswordFile != "/run/secrets/p" {
		t.Errorf("got %s", c.FHIR.Auth.PasswordFile)
	}
}

// TestPrintedIsReadable reads a printed configuration back: it has the names
// that the file has.
func TestPrintedIsReadable(t *testing.T) {
	c := load(t, least+"scoring: {maxGap: 7d}\n")
	var out, again strings.Builder
	if err := c.Print(&out); err != nil {
		t.Fatal(err)
	}
	if err := load(t, out.String()).Print(&again); err != nil {
		t.Fatal(err)
	}
	if out.String() != again.String() {
		t.Errorf("printed\n%s\nread and printed\n%s", out.String(), again.String())
	}
}

func TestLoadEmbedded(t *testing.T) {
	river, err := LoadEmbedded("", []string{"AUSCULT_RIVER_PREFIX=ward-"})
	if err != nil || river.Profile != kafka.EmbeddedProfile || river.Prefix != "ward-" || river.Partitions != kafka.DefaultPartitions {
		t.Errorf("got %+v, %v", river, err)
	}
	for text, want := range map[string]string{
		least: `auscult.yaml:2: river: profile "kafka" is for production`,
		"river: {profile: embedded, partitions: 3}\n": "auscult.yaml:1: river: partitions is 3",
		"rivers: {}\n": `auscult.yaml:1: there is no setting "rivers"`,
	} {
		path := write(t, text)
		if _, err := LoadEmbedded(path, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
