// Command auscult listens to medical devices: it turns device messages into
// FHIR Observations, scores risk over sliding windows, raises and clears Flags,
// and loads a raw zone and a warehouse.
//
// This package is flags and wiring; what is wired lives elsewhere.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes beside 0.
const (
	exitError       = 1 // it could not run, or had to stop; the reason is printed
	exitDeadLetters = 3 // it drained, and dead letters were added
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once
	os.Exit(execute(ctx, root(), os.Args[1:]))
}

// exitCode is an error whose meaning is its exit code alone.
type exitCode struct {
	code int
	text string
}

func (e exitCode) Error() string { return e.text }

func execute(ctx context.Context, cmd *cobra.Command, args []string) int {
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "auscult:", err)
	var exit exitCode
	if errors.As(err, &exit) {
		return exit.code
	}
	return exitError
}

// root returns the command with all its subcommands.
func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "auscult",
		Short:         "From device messages to FHIR Observations, risk scores and Flags",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.AddCommand(demoCommand(), runCommand(), brokerCommand(), fhirServerCommand(), simulateCommand(),
		replayCommand(), topicsCommand(), drawCommand(), deadLettersCommand(), versionCommand(),
		checkCommand(), mapCommand(), explainCommand(), schemaCommand(), doctorCommand())
	return cmd
}

// group makes a command that only holds others. Named alone, or with a word
// that it does not know, it is an error: a script must not take it for done.
func group(name, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short}
	cmd.AddCommand(subs...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var paths []string
		for _, sub := range cmd.Commands() {
			paths = append(paths, sub.CommandPath())
		}
		what := strings.Join(paths, ", ")
		if len(args) > 0 {
			return fmt.Errorf("unknown command %q: there are %s", args[0], what)
		}
		return fmt.Errorf("say what to do: %s", what)
	}
	return cmd
}
