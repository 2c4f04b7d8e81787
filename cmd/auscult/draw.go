package main

import (
	"github.com/spf13/cobra"

	"auscult/topology"
)

func drawCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "draw",
		Short: "Draw the river as a Mermaid flowchart",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return topology.Lay(topology.Parts{}).Mermaid(cmd.OutOrStdout())
		},
	}
}
