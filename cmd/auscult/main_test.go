package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"auscult/kafka"
)

// said is what a command has printed and how it ended.
type said struct {
	code      int
	out, errs string
}

// auscult runs a command as main does, in this process.
func auscult(t *testing.T, args ...string) said {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := root()
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	code := execute(ctx, cmd, args)
	return said{code, out.String(), errs.String()}
}

// commands visits every command.
func commands(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, sub := range c.Commands() {
		commands(sub, visit)
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	var names []string
	commands(root(), func(c *cobra.Command) {
		names = append(names, c.CommandPath())
		got := auscult(t, append(strings.Fields(c.CommandPath())[1:], "--help")...)
		if got.code != 0 || got.errs != "" || !strings.Contains(got.out, "Usage:\n  "+c.CommandPath()) {
			t.Errorf("%s --help: %+v", c.CommandPath(), got)
		}
	})
	for _, want := range []string{"demo", "run", "broker", "fhir-server", "simulate", "replay", "topics plan", "topics apply",
		"draw", "dead-letters list", "dead-letters show", "dead-letters retry", "version"} {
		if !strings.Contains(strings.Join(names, "\n")+"\n", "auscult "+want+"\n") {
			t.Errorf("there is no command %s", want)
		}
	}
}

func TestWrongCommandsSayWhatToChange(t *testing.T) {
	folder := t.TempDir()
	for _, test := range []struct{ args, want string }{
		{"rum", `unknown command "rum" for "auscult"`},
		{"run --stage normalize", "unknown flag: --stage"},
		{"run extra", `unknown command "extra" for "auscult run"`},
		{"run", "there is no configuration: name a file with --config"},
		{"run --config " + folder + "/none.yaml", "reading the configuration: open " + folder + "/none.yaml: no such file"},
		{"topics", `say what to do: auscult topics apply, auscult topics plan`},
		{"topics aply", `unknown command "aply": there are auscult topics apply, auscult topics plan`},
		{"topics plan --data " + folder, folder + " holds no broker's data"},
		{"dead-letters", "say what to do: auscult dead-letters list, auscult dead-letters retry, auscult dead-letters show"},
		{"dead-letters show", "name one: PARTITION:OFFSET, such as 3:17"},
		{"dead-letters show 3:1 3:2", "name one: PARTITION:OFFSET, such as 3:17"},
		{"dead-letters show 3:-1", `"3:-1" is not PARTITION:OFFSET, such as 3:17`},
		{"dead-letters show 3:1 --stage x", "unknown flag: --stage"},
		{"dead-letters retry", "name positions, or choose with --stage or --reason, or say --all"},
		{"dead-letters retry --stage=", "name positions, or choose with --stage or --reason, or say --all"},
		{"dead-letters retry --all 3:1", "--all is every dead letter: leave out"},
		{"dead-letters retry --all --reason size", "--all is every dead letter: leave out"},
		{"dead-letters show 3", `"3" is not PARTITION:OFFSET, such as 3:17`},
		{"dead-letters retry x:y", `"x:y" is not PARTITION:OFFSET`},
		{"broker", `required flag(s) "data" not set`},
		{"broker --data " + folder + " --listen 9092", `--listen "9092" is not host:port, such as 127.0.0.1:9092`},
		{"broker --data " + folder + " --listen :9092", "add --advertise HOST:9092"},
		{"broker --data " + folder + " --listen 0.0.0.0:9092", "add --advertise HOST:9092"},
		{"fhir-server", `required flag(s) "data" not set`},
		{"replay --config x", `required flag(s) "run" not set`},
		{"simulate --scenario heartattack", `no scenario "heartattack"`},
		{"simulate --speed 0", "--speed must be above 0"},
		{"simulate --patients x", "--patients picks stays of --physionet"},
		{"simulate --physionet x --bidmc y", "choose one of --bidmc and --physionet"},
		{"simulate --physionet " + folder + "/none", "opening the recordings: open "},
		{"simulate --rate fast", `invalid argument "fast" for "--rate" flag`},
	} {
		got := auscult(t, strings.Fields(test.args)...)
		if got.code != exitError || !strings.HasPrefix(got.errs, "auscult: ") || !strings.Contains(got.errs, test.want) {
			t.Errorf("%s: exit code %d, want 1; it says\n%s\nwant %s", test.args, got.code, got.errs, test.want)
		}
		if got.out != "" {
			t.Errorf("%s prints %s", test.args, got.out)
		}
	}
}

func TestDraw(t *testing.T) {
	if got := auscult(t, "draw"); got.code != 0 || !strings.HasPrefix(got.out, "flowchart LR\n") || !strings.Contains(got.out, "stage_assess") {
		t.Errorf("got %+v", got)
	}
}

func TestVersion(t *testing.T) {
	if got := auscult(t, "version"); got.code != 0 || !regexp.MustCompile(`^auscult \S+ go1\.\S+ \w+/\w+\n$`).MatchString(got.out) {
		t.Errorf("got %+v", got)
	}
}

func TestPrintConfig(t *testing.T) {
	t.Setenv("AUSCULT_RIVER_BROKERS", "one:1,two:2")
	t.Setenv("AUSCULT_RIVER_SASL_MECHANISM", "SCRAM-SHA-256")
	t.Setenv("AUSCULT_RIVER_SASL_USER", "auscult")
	t.Setenv("AUSCULT_RIVER_SASL_PASSWORD", "confidential")
	got := auscult(t, "run", "--config", "../../examples/demo/auscult.yaml", "--print-config")
	if got.code != 0 || strings.Contains(got.out, "confidential") {
		t.Errorf("got %+v", got)
	}
	for _, want := range []string{"- two:2\n", "profile: embedded\n", "password: '***'\n", "id: news2\n", "parkLimit: 256\n"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%q is not in\n%s", want, got.out)
		}
	}
}

// taken returns an address on which somebody listens.
func taken(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func TestTakenPorts(t *testing.T) {
	t.Parallel()
	address := taken(t)
	_, port, _ := net.SplitHostPort(address)
	for _, test := range []struct{ args, want string }{
		{"broker --listen " + address, "port " + port + " of 127.0.0.1 is taken: stop the program that listens there, or choose another port"},
		{"fhir-server --listen " + address, "choose another address with --listen"},
		{"demo --broker " + address + " --fhir 127.0.0.1:0 --console 127.0.0.1:0", "another address: --broker"},
		{"demo --fhir " + address + " --broker 127.0.0.1:0 --console 127.0.0.1:0", "choose another address with --fhir"},
		{"demo --console " + address + " --broker 127.0.0.1:0 --fhir 127.0.0.1:0", "choose another address with --console"},
	} {
		got := auscult(t, append(strings.Fields(test.args), "--data", t.TempDir())...)
		if got.code != exitError || !strings.Contains(got.errs, test.want) || !strings.Contains(got.errs, port) {
			t.Errorf("%s: exit code %d, it says\n%s\nwant %s", test.args, got.code, got.errs, test.want)
		}
	}
}

func TestParseSpans(t *testing.T) {
	got, err := parseSpans("0:100-2000,3:0-1")
	want := map[int32]kafka.Span{0: {From: 100, To: 2000}, 3: {From: 0, To: 1}}
	if err != nil || len(got) != 2 || got[0] != want[0] || got[3] != want[3] {
		t.Errorf("got %v, %v", got, err)
	}
	for _, text := range []string{"", "0", "0:1", "0:5-5", "0:5-4", "0:-1-4", "a:1-2", "0:1-2,", "0:1-2;1:1-2", "99999999999:1-2"} {
		if got, err := parseSpans(text); err == nil || !strings.Contains(err.Error(), "0:100-2000") {
			t.Errorf("%q gives %v, %v", text, got, err)
		}
	}
}

func TestExitCodes(t *testing.T) {
	for _, test := range []struct {
		err  error
		want int
	}{
		{nil, 0}, {os.ErrNotExist, exitError}, {exitCode{exitDeadLetters, "dead letters"}, 3},
	} {
		cmd := &cobra.Command{RunE: func(*cobra.Command, []string) error { return test.err }, SilenceErrors: true, SilenceUsage: true}
		cmd.SetErr(&bytes.Buffer{})
		if got := execute(context.Background(), cmd, []string{}); got != test.want {
			t.Errorf("%v ends with %d, want %d", test.err, got, test.want)
		}
	}
}

// configuration writes a configuration of the demo's models for a broker and a
// FHIR server, and returns its path.
func configuration(t *testing.T, broker, prefix, fhir string) string {
	t.Helper()
	folder := t.TempDir()
	for _, name := range []string{"devicecontent.json", "fhirmapping.json", "auscult.yaml"} {
		text, err := os.ReadFile(filepath.Join("../../examples/demo", name))
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.Replace(text, []byte("river:\n"), []byte("river:\n  brokers: ["+broker+"]\n  prefix: \""+prefix+"\"\n"), 1)
		if fhir != "" && name == "auscult.yaml" {
			text = append(text, "fhir: {baseURL: "+fhir+"}\n"...)
		}
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, "auscult.yaml")
}
