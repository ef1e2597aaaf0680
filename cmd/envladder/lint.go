package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/envladder/envladder/internal/cli"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/lint"
	"github.com/envladder/envladder/internal/strictyaml"
)

func newLintCommand() *cobra.Command {
	var (
		dir, output string
		release     releaseFlags
	)
	cmd := &cobra.Command{
		Use:   "lint",
		Short: "Find problems in a ladder, its pins, layers and charts",
		Long: `Find problems in a ladder and in the pins, layers and charts that it names. lint needs
no cluster and no network. It doesn't check a chart in a registry, which is a warning,
and checks the values of such a chart only as far as that needs no chart.

lint checks in stages, and stops after the first stage with findings:

1. the ladder, each file that it names, and that no layer contains secret material
2. the values of each environment: layers must not set what the pins set, or replace a
   mapping by another type; environments may differ only where spec.mayDiffer allows it,
   and none may have an endpoint or a secret of an environment with real data
3. what the environments render to, with the release and Kubernetes version of the flags:
   rendering errors, unused images, unused values, and templates that render differently
   each time (randAlphaNum, genCA, now, …)

Each finding is a line: file:line:column: path in the document: problem. With -o json
the findings are an array, which may be empty, and files are relative to the
repository's root instead of the working directory.

A finding with a code in parentheses can be accepted in .envladder-lint.yaml next to
ladder.yaml, with a reason. lint still lists it. An entry that accepts nothing is a
finding.

Exit codes: 0 no findings except warnings and accepted ones, 1 findings, 2 lint couldn't check the ladder.`,
		Example: `  # The ladder of this folder
  envladder lint

  # The ladder of another folder, as JSON
  envladder lint -C shop -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			show, err := findingsPrinter(output)
			if err != nil {
				return err
			}
			if err := release.check(); err != nil {
				return err
			}
			repo, err := ladder.FindSources(dir)
			if err != nil {
				return err
			}
			defer func() { _ = repo.Close() }() // read only
			findings, err := lint.Run(cmd.Context(), repo.FS(), repo.Dir, lint.Options{
				Release:    release.release,
				AllowEmpty: release.allowEmpty,
			})
			if err != nil {
				return err
			}
			if err := show(cmd.OutOrStdout(), repo, findings); err != nil {
				return fmt.Errorf("printing the findings: %w", err)
			}
			if slices.ContainsFunc(findings, func(f strictyaml.Problem) bool { return !f.Warning && f.Accepted == "" }) {
				return cli.ErrNo
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&dir, "dir", "C", ".", "`folder` of ladder.yaml")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "`format` of the findings: text or json")
	release.addTo(cmd.Flags())
	return cmd
}

// findingsPrinter returns the printer of a format.
func findingsPrinter(format string) (func(io.Writer, *ladder.Repository, strictyaml.Problems) error, error) {
	switch format {
	case "text":
		return printFindings, nil
	case "json":
		return printFindingsJSON, nil
	}
	return nil, fmt.Errorf("--output %q: use text or json", format)
}

// printFindings prints a line for each finding, with paths relative to the working directory.
func printFindings(w io.Writer, repo *ladder.Repository, findings strictyaml.Problems) error {
	for _, f := range findings {
		f.File = relativePath(repo, f.File)
		if _, err := fmt.Fprintln(w, findingText(f)); err != nil {
			return err
		}
	}
	return nil
}

// printFindingsJSON prints the findings as an array.
func printFindingsJSON(w io.Writer, _ *ladder.Repository, findings strictyaml.Problems) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(append(strictyaml.Problems{}, findings...)) // [] rather than null
}

// relativePath returns a path of the repository relative to the working directory, or
// unchanged where that isn't possible.
func relativePath(repo *ladder.Repository, file string) string {
	here, err := os.Getwd()
	if err != nil {
		return file
	}
	// the repository's root has no symbolic links, so the working directory must not either
	if here, err = filepath.EvalSymlinks(here); err != nil {
		return file
	}
	rel, err := filepath.Rel(here, filepath.Join(repo.Root, filepath.FromSlash(file)))
	if err != nil {
		return file
	}
	return rel
}

// findingText returns a finding's line, with its code and the reason why it is accepted.
func findingText(f strictyaml.Problem) string {
	switch {
	case f.Accepted != "":
		return fmt.Sprintf("%s (%s, accepted: %s)", f, f.Code, f.Accepted)
	case f.Code != "":
		return fmt.Sprintf("%s (%s)", f, f.Code)
	}
	return f.String()
}
