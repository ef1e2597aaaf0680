package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/envladder/envladder/test/programs"
)

// buildCommand returns the command build.
func buildCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "build [NAME…]",
		Short: "Build missing programs and print the build time and size of each",
		Long: `Builds the named programs, or all programs that the demo and "make e2e" need, one after
the other. Prints the size of each program and the seconds that its build took, now or
earlier.`,
		Example: `  bed build
  bed build etcd kube-apiserver
  bed build --json helm`,
		ValidArgs: programs.Names(),
		Args:      usage(cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			built, err := programs.Build(cmd.Context(), cmd.ErrOrStderr(), args...)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), built)
			}
			return printBuilt(cmd.OutOrStdout(), built)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printBuilt prints a table of programs.
func printBuilt(w io.Writer, built []programs.Built) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PROGRAM\tVERSION\tSECONDS\tMB\tNOW")
	for _, b := range built {
		now := "built"
		if b.Cached {
			now = "cached"
		}
		fmt.Fprintf(table, "%s\t%s\t%.0f\t%.0f\t%s\n", b.Name, b.Version, b.Seconds, b.MB, now)
	}
	return table.Flush()
}

// printJSON prints a value as JSON.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// pathCommand returns the command path.
func pathCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "path NAME",
		Short: "Print the path of a program, and build it if it is missing",
		Example: `  bed path kubectl
  "$(bed path helm)" version`,
		ValidArgs: programs.Names(),
		Args:      usage(cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := programs.Path(cmd.Context(), cmd.ErrOrStderr(), args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), path)
			return err
		},
	}
}

// assetsCommand returns the command assets.
func assetsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "assets",
		Short:   "Print the path of a folder with etcd, kube-apiserver and kubectl, for envtest",
		Example: `  KUBEBUILDER_ASSETS=$(bed assets) go test ./...`,
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := programs.Assets(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), dir)
			return err
		},
	}
}
