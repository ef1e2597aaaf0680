package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/cli"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/strictyaml"
	"github.com/envladder/envladder/internal/verdict"
)

func newLintCommand() *cobra.Command {
	var (
		dir, output string
		release     releaseFlags
	)
	cmd := &cobra.Command{
		Use:   "lint",
		Short: "Find what is wrong with a ladder, its pins, layers and charts",
		Long: `Find what is wrong with a ladder, with the pins, layers and charts that it names, and
with nothing else. Needs no cluster and no network. Of a chart in a registry nothing is
checked, which is a warning; of its values, what needs no chart.

It checks first the ladder itself; then each file that it names, and that no layer has
secret material; then each environment's values: that layers don't set what the pins
set or replace a mapping by something else, that environments differ in nothing but
what spec.mayDiffer names, and that none has an endpoint or a secret of one with real
data. Last it renders them, as render and the plugin do, with the release and Kubernetes
version of the flags: it finds what can't be rendered, images that nothing runs, values
that nothing reads, and templates that give something else each time (randAlphaNum,
genCA, now, …).

Each finding is a line: file:line:column: path in the document: what is wrong. With
-o json they are an array, empty without findings, and files are relative to the
repository's root instead of the working directory. Each step is taken once the one
before it finds nothing.

A finding with a code in parentheses can be accepted in .envladder-lint.yaml next to
ladder.yaml, with a reason. It is still listed; an entry that accepts nothing is a finding.

Exit codes: 0 nothing found but warnings and accepted findings, 1 findings, 2 it couldn't be checked.`,
		Example: `  # The ladder of this folder
  envladder lint

  # Another one, for a program to read
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
			defer func() { _ = repo.Close() }() // only read
			findings, err := lint(cmd.Context(), repo, release)
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

// lint is what is wrong with the ladder of repo.Dir.
func lint(ctx context.Context, repo *ladder.Repository, release releaseFlags) (strictyaml.Problems, error) {
	document, err := ladder.Open(repo.FS(), repo.Dir)
	if findings := strictyaml.ProblemsOf(err); findings != nil {
		return findings, nil
	}
	if err != nil {
		return nil, err
	}
	charts := map[string]*chart.Chart{}
	ofCharts := document.CheckCharts(func(name string) error {
		if chart.InRegistry(name) {
			return nil // lint asks no network
		}
		source, err := chart.Read(ctx, repo.FS(), name, document.Owns)
		if err != nil {
			return err
		}
		charts[name], err = source.Load()
		return err
	})
	ofGates := document.CheckGates(func(file string, data []byte) error {
		_, err := verdict.ReadGate(file, data)
		return err
	})
	findings := slices.Concat(strictyaml.ProblemsOf(document.Check()), strictyaml.ProblemsOf(ofCharts), strictyaml.ProblemsOf(ofGates))
	accepted, err := readAcceptance(repo)
	if err != nil {
		return append(findings, strictyaml.ProblemsOf(err)...), errUnlessProblems(err)
	}
	findings = accepted.apply(append(findings, lintLayers(repo, document)...))
	if !open(findings) {
		ofValues, err := lintValues(ctx, repo, document, charts, release, accepted)
		if err != nil {
			return nil, err
		}
		findings = append(findings, ofValues...)
	}
	findings = append(findings, chartsNotAsked(document)...)
	return strictyaml.ProblemsOf(findings.Err()), nil
}

// lintValues checks what comes of the layers in each place: values, then manifests.
func lintValues(ctx context.Context, repo *ladder.Repository, document *ladder.Document, charts map[string]*chart.Chart, release releaseFlags, accepted *acceptance) (strictyaml.Problems, error) {
	views, err := viewsOf(ctx, repo, document, charts, release)
	if findings := strictyaml.ProblemsOf(err); findings != nil {
		return findings, nil
	}
	if err != nil {
		return nil, err
	}
	findings := accepted.apply(lintPlaces(views, document.Spec.MayDiffer))
	if open(findings) {
		return findings, nil
	}
	rendered, err := lintRendered(ctx, document, repo.Dir, views)
	if err != nil {
		return nil, err
	}
	return slices.Concat(findings, accepted.apply(rendered), accepted.unused()), nil
}

// errUnlessProblems returns err unless it is problems, which are findings.
func errUnlessProblems(err error) error {
	if strictyaml.ProblemsOf(err) == nil {
		return err
	}
	return nil
}

// chartsNotAsked are warnings of the charts that lint doesn't look at.
func chartsNotAsked(document *ladder.Document) strictyaml.Problems {
	warnings := strictyaml.ProblemsOf(document.CheckCharts(func(name string) error {
		if chart.InRegistry(name) {
			return errors.New("is in a registry, which lint doesn't ask: its own values, its schema and what its templates read aren't checked (envladder render does ask)")
		}
		return nil
	}))
	for i := range warnings {
		warnings[i].Warning = true
	}
	return warnings
}

func findingsPrinter(format string) (func(io.Writer, *ladder.Repository, strictyaml.Problems) error, error) {
	switch format {
	case "text":
		return printFindings, nil
	case "json":
		return printFindingsJSON, nil
	}
	return nil, fmt.Errorf("--output %q: use text or json", format)
}

// printFindings prints paths as an editor or a terminal started here can open them.
func printFindings(w io.Writer, repo *ladder.Repository, findings strictyaml.Problems) error {
	for _, f := range findings {
		f.File = fromHere(repo, f.File)
		if _, err := fmt.Fprintln(w, findingText(f)); err != nil {
			return err
		}
	}
	return nil
}

func printFindingsJSON(w io.Writer, _ *ladder.Repository, findings strictyaml.Problems) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(append(strictyaml.Problems{}, findings...)) // [] rather than null
}

// fromHere is a path of the repository relative to the working directory, or the path as
// it is where there is no such way.
func fromHere(repo *ladder.Repository, file string) string {
	here, err := os.Getwd()
	if err != nil {
		return file
	}
	// The repository's root is without symbolic links, so here must be.
	if here, err = filepath.EvalSymlinks(here); err != nil {
		return file
	}
	rel, err := filepath.Rel(here, filepath.Join(repo.Root, filepath.FromSlash(file)))
	if err != nil {
		return file
	}
	return rel
}
