package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"auscult/fhir/rest"
	"auscult/internal/config"
)

// What a check has come to.
const (
	resultOK      = "ok"
	resultFailed  = "failed"
	resultSkipped = "skipped" // something before it must work first
)

// checkup is one line of the doctor's.
type checkup struct {
	Check  string `json:"check"`
	Result string `json:"result"`
	Text   string `json:"text"` // what was found; of a failed one what to change
}

// doctor is what the flags of doctor say, and what was found.
type doctor struct {
	config  string
	noWrite bool
	format  string

	found []checkup
	told  func(checkup) // of each as soon as it is known
}

func doctorCommand() *cobra.Command {
	var d doctor
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check the configuration, the brokers and the FHIR server, and say what to change",
		Long: "Check in order what `auscult run` needs: configuration, mapping files, brokers, topics, and the FHIR server: the way to it,\n" +
			"our credentials, what it declares, and whether an Observation can be written. That Observation has the status\n" +
			"entered-in-error, a tag and a random id, refers to nobody, and is deleted again. The exit code is 1 when something failed.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	configFlag(cmd, &d.config)
	flags.BoolVar(&d.noWrite, "no-write", false, "write nothing to the FHIR server")
	flags.StringVar(&d.format, "format", formatText, "how the findings are written: text or json")
	return cmd
}

func (d *doctor) run(ctx context.Context, out io.Writer) error {
	switch d.format {
	case formatText:
		d.told = func(c checkup) { fmt.Fprintf(out, "%-8s %-18s %s\n", c.Result, c.Check, c.Text) }
	case formatJSON:
		d.told = func(checkup) {}
	default:
		return fmt.Errorf("--format %q: write text or json", d.format)
	}
	d.examine(ctx)
	failed := 0
	for _, c := range d.found {
		if c.Result == resultFailed {
			failed++
		}
	}
	if d.format == formatJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		if err := e.Encode(map[string]any{"ok": failed == 0, "checks": d.found}); err != nil {
			return fmt.Errorf("writing the findings: %w", err)
		}
	}
	if failed > 0 {
		return exitCode{exitError, plural(failed, "check") + " failed"}
	}
	return nil
}

func (d *doctor) say(check, result, text string) {
	c := checkup{check, result, strings.Join(strings.Fields(text), " ")}
	d.found = append(d.found, c)
	d.told(c)
}

// ok and its like tell of one check. They return whether it went well, for what
// builds on it.
func (d *doctor) ok(check, format string, args ...any) bool {
	d.say(check, resultOK, fmt.Sprintf(format, args...))
	return true
}

func (d *doctor) failed(check, format string, args ...any) bool {
	d.say(check, resultFailed, fmt.Sprintf(format, args...))
	return false
}

func (d *doctor) skipped(check, format string, args ...any) bool {
	d.say(check, resultSkipped, fmt.Sprintf(format, args...))
	return false
}

// examine makes all checks. What is wrong at one end does not hide what is
// wrong at the other: the FHIR server is looked at without a broker, too.
func (d *doctor) examine(ctx context.Context) {
	cfg := d.configuration()
	if cfg == nil {
		d.skipped("brokers", "the configuration cannot be used")
		d.skipped("fhir", "the configuration cannot be used")
		return
	}
	d.mappings(cfg)
	d.brokers(ctx, cfg)
	if cfg.FHIR.BaseURL == "" {
		d.failed("fhir address", "fhir.baseURL is empty: name the FHIR server, such as https://host/fhir")
		return
	}
	client, err := rest.New(cfg.FHIR)
	if err != nil {
		d.failed("fhir settings", "%v", err)
		return
	}
	defer client.Close()
	(&fhirDoctor{doctor: d, cfg: cfg, client: client}).examine(ctx)
}

func (d *doctor) configuration() *config.Config {
	cfg, err := config.Load(d.config, os.Environ())
	if err != nil {
		for line := range strings.Lines(err.Error()) { // a line for each mistake
			d.failed("configuration", "%s", line)
		}
		return nil
	}
	if d.config == "" {
		d.ok("configuration", "from the environment")
	} else {
		d.ok("configuration", "%s", d.config)
	}
	return cfg
}

func (d *doctor) mappings(cfg *config.Config) {
	if err := (&river{cfg: cfg}).read(); err != nil {
		d.failed("mappings", "%v", err)
		return
	}
	d.ok("mappings", "%s and %s", cfg.Mapping.Device, cfg.Mapping.FHIR)
}

// brokers looks for the brokers and at their topics, as run does.
func (d *doctor) brokers(ctx context.Context, cfg *config.Config) {
	r := &river{cfg: cfg}
	err := r.dial()
	defer func() {
		if closing := r.close(); closing != nil {
			d.failed("brokers", "closing: %v", closing)
		}
	}()
	if err == nil {
		err = r.reach(ctx)
	}
	if err != nil {
		d.failed("brokers", "%v", err)
		d.skipped("topics", "no broker can be asked")
		return
	}
	all := slices.Clone(cfg.River.Brokers)
	if !cfg.OneBroker() {
		all = append(all, cfg.Source.Brokers...)
	}
	d.ok("brokers", "%s", strings.Join(all, ", "))
	if err := r.checkTopics(ctx); err != nil {
		d.failed("topics", "%v", err)
		return
	}
	d.ok("topics", "as planned")
}
