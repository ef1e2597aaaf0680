package main

import (
	"github.com/spf13/cobra"
)

const longHelp = `bed runs real programs for tests: control planes, Argo CD, Gitea, registries.

Every program is built from Go modules once and cached in
$ENVLADDER_BED_CACHE (default: envladder/bed in the user's cache folder).

Exit codes: 0 success, 1 failure, 2 wrong usage, 3 no bed is running, 130 interrupted.`

// newCommand returns the command bed. restoreSignals restores the default behaviour of signals.
func newCommand(restoreSignals func()) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bed",
		Short: "Run real programs for tests",
		Long:  longHelp,
		Example: `  bed build
  bed up --only clusters,argocd
  bed down`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          usage(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	cmd.AddCommand(upCommand(restoreSignals), downCommand(), buildCommand(), assetsCommand(), pathCommand())
	return cmd
}

// usage returns a check that turns wrong arguments into a usageError.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}
