package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"auscult/internal/check"
	"auscult/internal/mapfile"
)

// The formats in which findings are written.
const (
	formatText  = "text"
	formatJSON  = "json"
	formatSARIF = "sarif"
)

// checking is what the flags of check say.
type checking struct {
	device, fhir []string
	format       string
}

func checkCommand() *cobra.Command {
	var c checking
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Check mapping files, and whether device and FHIR mapping fit together",
		Long: "Check mapping files. Each is a device or a FHIR mapping, as its templateType says.\n" +
			"Of several, the first device mapping is compared with the first FHIR mapping, the second with the second and so on;\n" +
			"where there is one of a kind, it is compared with all of the other. Errors make the exit code 1, warnings and notes do not.",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.check(cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&c.device, "device", nil, "file that is a device mapping, whatever it says")
	flags.StringSliceVar(&c.fhir, "fhir", nil, "file that is a FHIR mapping, whatever it says")
	flags.StringVar(&c.format, "format", formatText, "how findings are written: text, json or sarif (2.1.0)")
	return cmd
}

func (c *checking) check(in io.Reader, out, errs io.Writer, args []string) error {
	if !slices.Contains([]string{formatText, formatJSON, formatSARIF}, c.format) {
		return fmt.Errorf("--format %q: write text, json or sarif", c.format)
	}
	files, err := c.files(in, args)
	if err != nil {
		return err
	}
	found, compared := check.Files(files)
	if err := c.write(out, found); err != nil {
		return fmt.Errorf("writing the findings: %w", err)
	}
	if !compared {
		fmt.Fprintln(errs, "The kinds are not compared with each other: name as many FHIR mappings as device mappings, or one of a kind.")
	}
	summary := fmt.Sprintf("%s in %s", countOf(found), plural(len(files), "file"))
	if check.Count(found, check.LevelError) > 0 {
		return exitCode{exitError, summary}
	}
	fmt.Fprintln(errs, summary)
	return nil
}

// files reads the files that the command line names; - is the standard input.
func (c *checking) files(in io.Reader, args []string) ([]check.File, error) {
	var files []check.File
	for _, named := range []struct {
		kind  check.Kind
		paths []string
	}{{"", args}, {check.KindDevice, c.device}, {check.KindFHIR, c.fhir}} {
		for _, path := range named.paths {
			text, err := readMapping(in, path)
			if err != nil {
				return nil, err
			}
			files = append(files, check.File{Name: path, Kind: named.kind, Text: text})
		}
	}
	if len(files) == 0 {
		return nil, errors.New("name the mapping files to check, such as devicecontent.json fhirmapping.json")
	}
	return files, nil
}

// readMapping reads a mapping file, or in for -. Of one that is too long it reads
// just enough for the loader to say so.
func readMapping(in io.Reader, path string) ([]byte, error) {
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("reading a mapping: %w", err)
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, mapfile.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading a mapping: %w", err)
	}
	return text, nil
}

func (c *checking) write(out io.Writer, found []check.Finding) error {
	switch c.format {
	case formatJSON:
		return check.WriteJSON(out, found)
	case formatSARIF:
		return check.WriteSARIF(out, version(), found)
	}
	return check.WriteText(out, found)
}

// countOf says how many findings there are of each level; of notes only if there
// are any.
func countOf(found []check.Finding) string {
	errs := plural(check.Count(found, check.LevelError), "error")
	warnings := plural(check.Count(found, check.LevelWarning), "warning")
	if notes := check.Count(found, check.LevelNote); notes > 0 {
		return fmt.Sprintf("%s, %s and %s", errs, warnings, plural(notes, "note"))
	}
	return errs + " and " + warnings
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
