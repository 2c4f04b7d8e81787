package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"auscult/internal/check"
	"auscult/mapping"
	"auscult/schemas"
)

// explaining is what the flags of explain say.
type explaining struct {
	device     string
	as, format string
	number     int
	topic      topicFlags
}

func explainCommand() *cobra.Command {
	var x explaining
	cmd := &cobra.Command{
		Use:   "explain --device FILE [MESSAGES]",
		Short: "Show template by template what a mapping makes of one message, and why",
		Long: "Show template by template what a mapping makes of one message: what matched, which expression gave which value from\n" +
			"where in the message, what was converted and how, and why there is nothing where there is nothing.\n" +
			"MESSAGES are read as `auscult map` reads them; --number says which of them to explain.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return x.run(cmd.Context(), args, streams{cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&x.device, "device", "", "device mapping file")
	flags.StringVar(&x.as, "as", asAuto, "what the messages are: auto, envelopes, bodies or capture")
	flags.StringVar(&x.format, "format", formatText, "text for a person, or json")
	flags.IntVar(&x.number, "number", 1, "which of the messages, from 1")
	x.topic.add(cmd)
	return cmd
}

// errExplained ends the reading of messages: the one that was wanted is done.
var errExplained = errors.New("explained")

func (x *explaining) run(ctx context.Context, args []string, s streams) error {
	if err := x.validate(args); err != nil {
		return err
	}
	text, err := readMapping(s.in, x.device)
	if err != nil {
		return err
	}
	d, found := check.Device(x.device, text)
	if len(found) > 0 {
		return errors.Join(exitCode{exitError, countOf(found)}, check.WriteText(s.errs, found))
	}
	seen := 0
	visit := func(where string, msg *mapping.Message, _ schemas.Ticks) error {
		if seen++; seen < x.number {
			return nil
		}
		if err := x.write(s.out, where, d.Explain(msg)); err != nil {
			return fmt.Errorf("writing the explanation: %w", err)
		}
		return errExplained
	}
	if x.topic.name != "" {
		err = x.topic.read(ctx, x.as, visit)
	} else {
		err = readMessages(ctx, args, x.as, s.in, visit)
	}
	switch {
	case errors.Is(err, errExplained):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("there is no message %d, only %s: choose another with --number", x.number, plural(seen, "message"))
}

// validate reads the flags before anything is opened.
func (x *explaining) validate(args []string) error {
	switch {
	case x.device == "":
		return errors.New("name the device mapping with --device")
	case x.number < 1:
		return errors.New("--number counts from 1")
	case x.format != formatText && x.format != formatJSON:
		return fmt.Errorf("--format %q: write text or json", x.format)
	}
	if err := validateAs(x.as); err != nil {
		return err
	}
	return x.topic.validate(x.as, args)
}

func (x *explaining) write(w io.Writer, where string, e *mapping.Explanation) error {
	if x.format == formatJSON {
		out := json.NewEncoder(w)
		out.SetEscapeHTML(false)
		out.SetIndent("", "  ")
		return out.Encode(e)
	}
	var text bytes.Buffer
	fmt.Fprintln(&text, where)
	writeExplanation(&text, e)
	_, err := w.Write(text.Bytes())
	return err
}

// writeExplanation writes what a mapping made of a message for a person.
func writeExplanation(w io.Writer, e *mapping.Explanation) {
	if e.Error != "" {
		fmt.Fprintf(w, "the message cannot be used: %s\n", e.Error)
	}
	for i := range e.Templates {
		writeTemplate(w, &e.Templates[i])
	}
}

func writeTemplate(w io.Writer, t *mapping.ExplainedTemplate) {
	fmt.Fprintf(w, "template %d, %s\n  match %s\n", t.Template, t.Type, t.Match)
	switch {
	case t.Error != "":
		fmt.Fprintf(w, "    fails: %s\n", t.Error)
	case len(t.Matches) == 0:
		fmt.Fprintf(w, "    does not match: %s\n", t.Why)
	}
	for i := range t.Matches {
		writeMatch(w, &t.Matches[i])
	}
	if t.More > 0 {
		fmt.Fprintf(w, "    and %d more matches\n", t.More)
	}
}

func writeMatch(w io.Writer, m *mapping.ExplainedMatch) {
	fmt.Fprintf(w, "    matches %s: %s\n", placeName(m.Path, "the whole message"), m.Value)
	for i := range m.Fields {
		writeField(w, &m.Fields[i])
	}
	if m.Failure != "" {
		fmt.Fprintf(w, "      no measurement: %s\n", m.Failure)
		return
	}
	fmt.Fprintln(w, "      a measurement")
}

func writeField(w io.Writer, f *mapping.ExplainedField) {
	fmt.Fprintf(w, "      %-24s %s\n", f.Field, f.Expression)
	if f.Value != "" {
		fmt.Fprintf(w, "        at %s: %s\n", placeName(f.Path, "no place, computed"), f.Value)
	}
	switch {
	case f.Error != "":
		fmt.Fprintf(w, "        fails: %s\n", f.Error)
	case f.Why != "" && f.Required:
		fmt.Fprintf(w, "        missing: %s\n", f.Why)
	case f.Why != "":
		fmt.Fprintf(w, "        left out: %s\n", f.Why)
	default:
		fmt.Fprintf(w, "        gives %q\n", f.Text)
	}
	if f.Conversion != "" {
		fmt.Fprintf(w, "        because %s\n", f.Conversion)
	}
}

func placeName(path, none string) string {
	if path == "" {
		return none
	}
	return path
}
