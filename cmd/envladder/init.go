package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/ladder/infer"
)

func newInitCommand() *cobra.Command {
	var (
		dir, name string
		options   infer.Options
		dryRun    bool
	)
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a ladder for a chart and its values files",
		Long: `init writes a ladder.yaml for an existing chart and a folder of values files. It takes
the environments from the files' names: values-prod.yaml, prod.yaml and
prod/values.yaml result in the environment prod, prod/eu/values.yaml in its target eu.
values.yaml, common.yaml and similar names are layers of every environment. init prints
the layers that it found, and the files that it left out with the reason. It never
overwrites a file.

init leaves out manifests, files of other tools, encrypted files, and values of other
services. If a folder has files of several services, choose one with --service.

The ladder has no images, no pins and no stamps, so that it renders the same as Helm.
Check the order of the environments: promotion starts at the first one.`,
		Example: `  envladder init
  envladder init --chart deploy/helm --values deploy --dry-run
  envladder init --values environments --service web`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			repository, err := ladder.FindRepository(dir)
			if err != nil {
				return err
			}
			defer repository.Close()
			inferred, err := infer.FromFiles(repository.FS(), repository.Dir, options)
			if err != nil {
				return err
			}
			if name != "" {
				inferred.Name = name
			}
			text := inferred.YAML()
			// lint must accept what init writes
			if _, err := ladder.Parse(ladder.FileName, []byte(text)); err != nil {
				return fmt.Errorf("writing the ladder: %w", err)
			}
			problem := chartProblem(cmd.Context(), repository, inferred.Chart)
			if dryRun {
				_, err := io.WriteString(cmd.OutOrStdout(), text)
				return errors.Join(err, printInference(cmd.ErrOrStderr(), inferred, problem))
			}
			file := filepath.Join(repository.Root, filepath.FromSlash(repository.Dir), ladder.FileName)
			if err := writeNew(file, text); err != nil {
				return fmt.Errorf("writing %s in folder %q: %w", ladder.FileName, dir, err)
			}
			return errors.Join(printInference(cmd.OutOrStdout(), inferred, problem), wrote(cmd.OutOrStdout(), dir))
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&dir, "dir", "C", ".", "`folder` to write ladder.yaml to; the other paths are relative to it")
	flags.StringVar(&options.Chart, "chart", "", "the chart's `folder`, or its .tgz (default: this folder or the one in it that has a Chart.yaml)")
	flags.StringVar(&options.Values, "values", "", "`folder` of the values files (default: values, environments, envs or env, else the chart's)")
	flags.StringVar(&options.Service, "service", "", "`name` of the service whose files to take where folders have those of several")
	flags.StringVar(&name, "name", "", "`name` of the ladder (default: the chart's)")
	flags.BoolVar(&dryRun, "dry-run", false, "print the ladder, and write nothing")
	return cmd
}

// writeNew writes a file that must not exist yet.
func writeNew(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // a source file that others read
	switch {
	case errors.Is(err, fs.ErrExist):
		return errors.New("it exists already: move it away, or use --dry-run")
	case err != nil:
		return errors.Unwrap(err)
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// chartProblem returns why the chart can't be rendered yet, such as missing dependencies; nil
// for a chart in a registry.
func chartProblem(ctx context.Context, repository *ladder.Repository, written string) error {
	if chart.InRegistry(written) {
		return nil
	}
	_, err := chart.Load(ctx, repository.FS(), path.Join(repository.Dir, written))
	return err
}

// printInference prints the layers and the files that were left out.
func printInference(w io.Writer, inferred infer.Ladder, problem error) error {
	p := printer{w: w}
	if len(inferred.Common) > 0 {
		p.linef("layers of every environment: %s", strings.Join(inferred.Common, ", "))
	}
	for _, e := range inferred.Environments {
		p.linef("environment %s: %s%s", e.Name, strings.Join(e.Layers, ", "), unknownHint(e))
		for _, t := range e.Targets {
			p.linef("target %s of %s: %s", t.Name, e.Name, strings.Join(t.Layers, ", "))
		}
	}
	for _, left := range inferred.LeftOut {
		p.linef("left out: %s %s", left.File, left.Reason)
	}
	if problem != nil {
		p.linef("fix before rendering: %v", problem)
	}
	return p.err
}

// unknownHint returns a hint for an environment with an unknown name.
func unknownHint(e infer.Environment) string {
	if !e.Unknown {
		return ""
	}
	return " (unknown name: check that it is an environment, and its position in the order)"
}

func wrote(w io.Writer, dir string) error {
	p := printer{w: w}
	p.linef("wrote %s: check the environments' order, then: envladder lint%s", filepath.Join(dir, ladder.FileName), flagC(dir))
	return p.err
}

func flagC(dir string) string {
	if dir == "." {
		return ""
	}
	return " -C " + dir
}
