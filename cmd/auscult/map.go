package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"auscult/fhir"
	"auscult/internal/check"
	"auscult/internal/dryrun"
	"auscult/mapping"
	"auscult/schemas"
)

// The forms that messages may have.
const (
	asAuto      = "auto"
	asEnvelopes = "envelopes"
	asBodies    = "bodies"
	asCapture   = "capture"
)

// How map writes what came of the messages.
const formatTable = "table"

// mapObserved is how many measurements are grouped into Observations at a time:
// all that most users have, and a limit on what is held in memory.
const mapObserved = 100_000

// trying is what the flags of map say.
type trying struct {
	device, fhir string
	as, format   string
	batch        string
	topic        topicFlags
}

func mapCommand() *cobra.Command {
	var t trying
	cmd := &cobra.Command{
		Use:   "map --device FILE [--fhir FILE] [MESSAGES...]",
		Short: "Show what mapping files make of messages; nothing is sent or written anywhere",
		Long: "Show what mapping files make of messages: measurements, and with --fhir the Observations that would be written.\n" +
			"MESSAGES are files, or Capture folders; - and none are the standard input. A file holds one JSON text a line, or is one\n" +
			"JSON text, or is an Avro file of Event Hubs Capture. A text {\"Body\", \"Properties\", \"SystemProperties\"} is an envelope,\n" +
			"any other the body of a message. With --topic the messages are those of a Kafka topic.\n" +
			"Observations are made as for an empty FHIR server that knows every device, with placeholders for ids: device-1, patient-1;\n" +
			fmt.Sprintf("values are grouped over %d measurements at a time. What cannot be used is told on the standard error,\n", mapObserved) +
			"and makes the exit code 1.\n\n" +
			"With --batch each line is a mapping and a message of its own: {\"id\", \"op\", \"in\"}, op being normalize, e2e, load-device or\n" +
			fmt.Sprintf("load-fhir. Each is answered by one line, in order; one that cannot be read too. A line has at most %d MiB.", maxBatchLine>>20),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.run(cmd.Context(), args, streams{cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&t.device, "device", "", "device mapping file")
	flags.StringVar(&t.fhir, "fhir", "", "FHIR mapping file: show Observations too")
	flags.StringVar(&t.as, "as", asAuto, "what the messages are: auto, envelopes, bodies or capture")
	flags.StringVar(&t.format, "format", formatJSON, "json, one text a line, or table for a person")
	flags.StringVar(&t.batch, "batch", "", "answer the lines of this file, - for the standard input")
	t.topic.add(cmd)
	return cmd
}

// streams are what a command reads and writes.
type streams struct {
	in        io.Reader
	out, errs io.Writer
}

func (t *trying) run(ctx context.Context, args []string, s streams) error {
	if err := t.validate(args); err != nil {
		return err
	}
	if t.batch != "" {
		return mapBatch(ctx, t.batch, s.in, s.out)
	}
	r, err := t.open(s)
	if err != nil {
		return err
	}
	if t.topic.name != "" {
		err = t.topic.read(ctx, t.as, r.message)
	} else {
		err = readMessages(ctx, args, t.as, s.in, r.message)
	}
	return errors.Join(err, r.finish())
}

// validate reads the flags before anything is opened.
func (t *trying) validate(args []string) error {
	switch {
	case t.batch != "" && (t.device != "" || t.fhir != "" || t.topic.name != "" || len(args) > 0):
		return errors.New("--batch names mappings and messages in its lines: leave out --device, --fhir, --topic and files")
	case t.batch == "" && t.device == "":
		return errors.New("name the device mapping with --device, or lines that have their own with --batch")
	case t.format != formatJSON && t.format != formatTable:
		return fmt.Errorf("--format %q: write json or table", t.format)
	}
	if err := validateAs(t.as); err != nil {
		return err
	}
	return t.topic.validate(t.as, args)
}

func validateAs(as string) error {
	if !slices.Contains([]string{asAuto, asEnvelopes, asBodies, asCapture}, as) {
		return fmt.Errorf("--as %q: write auto, envelopes, bodies or capture", as)
	}
	return nil
}

// open loads the mappings. What is wrong with them is told in full.
func (t *trying) open(s streams) (*tried, error) {
	text, err := readMapping(s.in, t.device)
	if err != nil {
		return nil, err
	}
	d, found := check.Device(t.device, text)
	var m *fhir.Mapping
	if t.fhir != "" {
		if text, err = readMapping(s.in, t.fhir); err != nil {
			return nil, err
		}
		var more []check.Finding
		m, more = check.FHIR(t.fhir, text)
		found = append(found, more...)
	}
	if len(found) > 0 {
		return nil, errors.Join(exitCode{exitError, countOf(found)}, check.WriteText(s.errs, found))
	}
	r := &tried{errs: s.errs, mapper: d.NewMapper(), show: newShow(s.out, t.format)}
	if m != nil {
		r.observer = dryrun.NewObserver(m, dryrun.NewServer(), dryrun.NewPlaceholders())
	}
	return r, nil
}

// tried is the messages so far.
type tried struct {
	mapper   *mapping.Mapper
	observer *dryrun.Observer // nil without a FHIR mapping
	show     show
	errs     io.Writer

	measurements                 []dryrun.Measurement // not yet grouped
	messages, unmatched, unusual int
	faults                       int // of Observations
}

// message maps one message; where says which it is.
func (r *tried) message(where string, msg *mapping.Message, enqueued schemas.Ticks) error {
	r.messages++
	ms, problems := dryrun.Normalize(r.mapper, msg, enqueued)
	if len(problems) > 0 {
		r.unusual++
	} else if len(ms) == 0 {
		r.unmatched++
	}
	for _, p := range problems {
		fmt.Fprintf(r.errs, "%s: %s\n", where, p.Message)
	}
	for i := range ms {
		if err := r.show.measurement(where, &ms[i]); err != nil {
			return fmt.Errorf("writing a measurement: %w", err)
		}
	}
	if r.observer == nil {
		return nil
	}
	if r.measurements = append(r.measurements, ms...); len(r.measurements) >= mapObserved {
		return r.observe()
	}
	return nil
}

// observe shows the Observations of the measurements so far.
func (r *tried) observe() error {
	b := r.observer.Observe(r.measurements)
	r.measurements = r.measurements[:0]
	for _, p := range b.Problems {
		r.faults++
		fmt.Fprintf(r.errs, "Observations: %s\n", p.Message)
	}
	for _, w := range b.Writes {
		if err := r.show.observation(w); err != nil {
			return fmt.Errorf("writing an Observation: %w", err)
		}
	}
	return nil
}

// finish shows what is left and says how it went.
func (r *tried) finish() error {
	if r.observer != nil {
		if err := r.observe(); err != nil {
			return err
		}
	}
	if err := r.show.close(); err != nil {
		return fmt.Errorf("writing what came of the messages: %w", err)
	}
	if r.unmatched > 0 {
		fmt.Fprintf(r.errs, "no template matches %d of %s\n", r.unmatched, plural(r.messages, "message"))
	}
	switch {
	case r.unusual > 0:
		return exitCode{exitError, fmt.Sprintf("%d of %s cannot be used as a whole", r.unusual, plural(r.messages, "message"))}
	case r.faults > 0:
		return exitCode{exitError, "some measurements cannot become Observations"}
	}
	return nil
}
