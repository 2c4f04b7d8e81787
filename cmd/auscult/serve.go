package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"auscult/fhir/server"
	"auscult/internal/config"
	"auscult/kafka"
)

// brokerFolder is where the embedded broker keeps its log inside a data folder.
const brokerFolder = "broker"

// configFile is the configuration of a data folder that has its own.
const configFile = "auscult.yaml"

func brokerCommand() *cobra.Command {
	var data, listen, advertise, path string
	cmd := &cobra.Command{
		Use:   "broker",
		Short: "Run the embedded broker: one copy on one disk, for trying and one-box sites",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			river, err := layout(path, data)
			if err != nil {
				return err
			}
			if err := reachable(listen, advertise); err != nil {
				return err
			}
			b, err := kafka.StartEmbedded(kafka.EmbeddedConfig{
				Dir: filepath.Join(data, brokerFolder), Listen: listen, Advertise: advertise,
				Partitions: river.Partitions, Prefix: river.Prefix,
			})
			if err != nil {
				return err
			}
			defer b.Close()
			fmt.Fprintln(cmd.OutOrStdout(), "listening on", b.Addr())
			<-cmd.Context().Done()
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&data, "data", "", "folder for the log (needed)")
	flags.StringVar(&listen, "listen", "127.0.0.1:9092", "host:port to listen on; port 0 picks a free one")
	flags.StringVar(&advertise, "advertise", "", "host:port that clients are told, where it differs from --listen")
	configFlag(cmd, &path)
	_ = cmd.MarkFlagRequired("data")
	return cmd
}

// layout reads how the river of an embedded broker is laid out. A data folder
// may have its configuration with it, as the demo's has.
func layout(path, data string) (kafka.Config, error) {
	if own := filepath.Join(data, configFile); path == "" {
		if _, err := os.Stat(own); err == nil {
			path = own
		}
	}
	return config.LoadEmbedded(path, os.Environ())
}

// reachable refuses to tell clients an address that stands for all of a
// machine's: each would look for the broker on its own machine.
func reachable(listen, advertise string) error {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("--listen %q is not host:port, such as 127.0.0.1:9092", listen)
	}
	if ip := net.ParseIP(host); advertise == "" && (host == "" || ip != nil && ip.IsUnspecified()) {
		return fmt.Errorf("--listen %s is no address that clients could call: add --advertise HOST:%s with the name by which they reach this machine", listen, port)
	}
	return nil
}

func fhirServerCommand() *cobra.Command {
	var data, listen string
	cmd := &cobra.Command{
		Use:   "fhir-server",
		Short: "Run the embedded FHIR R4 server, for trying, tests and one-box sites",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if data == "" {
				return errors.New("--data must name the folder of the store")
			}
			if err := os.MkdirAll(data, 0o755); err != nil {
				return fmt.Errorf("making the data folder: %w", err)
			}
			return server.Run(cmd.Context(), data, listen, func(base string) {
				fmt.Fprintln(cmd.OutOrStdout(), "listening on", base)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&data, "data", "", "folder of the store (needed)")
	flags.StringVar(&listen, "listen", "127.0.0.1:8103", "host:port to listen on; port 0 picks a free one")
	_ = cmd.MarkFlagRequired("data")
	return cmd
}

// configFlag gives a command the flag that names the configuration.
func configFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "config", "", "configuration file (YAML)")
}
