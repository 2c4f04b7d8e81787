package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"auscult/fhir"
	"auscult/internal/check"
	"auscult/mapping"
)

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema device|fhir",
		Short: "Print the JSON Schema of a kind of mapping file, for editors",
		Long: "Print the JSON Schema of a kind of mapping file. It is made of what the loader itself checks: an editor that knows it\n" +
			"completes names and marks mistakes. Not everything that is wrong shows there: auscult check tells it all.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("say which kind of mapping: device or fhir")
			}
			return nil
		},
		ValidArgs: []string{string(check.KindDevice), string(check.KindFHIR)},
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := schemaOf(check.Kind(args[0]))
			if err != nil {
				return err
			}
			if _, err := cmd.OutOrStdout().Write(text); err != nil {
				return fmt.Errorf("writing the schema: %w", err)
			}
			return nil
		},
	}
}

func schemaOf(kind check.Kind) ([]byte, error) {
	switch kind {
	case check.KindDevice:
		return mapping.DeviceSchema(), nil
	case check.KindFHIR:
		return fhir.Schema(), nil
	}
	return nil, fmt.Errorf("no such kind of mapping: %q: write device or fhir", kind)
}
