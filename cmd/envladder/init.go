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
)

func newInitCommand() *cobra.Command {
	var (
		dir, name string
		options   ladder.InferOptions
		dryRun    bool
	)
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a ladder for a chart and its values files",
		Long: `init writes a ladder.yaml for an existing chart and a folder of values files, with the
environments that the files' names tell of: values-prod.yaml, prod.yaml or
prod/values.yaml make the environment prod, prod/eu/values.yaml its target eu.
values.yaml, common.yaml and the like are layers of all. It says what it took for what,
what it left out and why, and doesn't touch a file that is there.

Manifests, files of other tools, encrypted files and values of other services are left
out. Where a folder has files of several services, name the ladder's with --service.

The ladder has no images and no pins, and leaves the stamps out: what is rendered is
what Helm renders. Order the environments as a change climbs, the first one first.`,
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
			inferred, err := ladder.Infer(repository.FS(), repository.Dir, options)
			if err != nil {
				return err
			}
			if name != "" {
				inferred.Name = name
			}
			text := inferred.Text()
			// What init writes, lint takes.
			if _, err := ladder.Alone(ladder.FileName, []byte(text)); err != nil {
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

// writeNew writes a file that must not be there yet.
func writeNew(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // a source file that others read
	switch {
	case errors.Is(err, fs.ErrExist):
		return errors.New("it is there already: move it away, or use --dry-run")
	case err != nil:
		return errors.Unwrap(err)
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// chartProblem returns why the chart can't be rendered as it is, such as for dependencies
// that aren't there; nil for a chart in a registry.
func chartProblem(ctx context.Context, repository *ladder.Repository, written string) error {
	if chart.InRegistry(written) {
		return nil
	}
	_, err := chart.Load(ctx, repository.FS(), path.Join(repository.Dir, written))
	return err
}

func printInference(w io.Writer, inferred ladder.Inference, problem error) error {
	p := printer{w: w}
	if len(inferred.Common) > 0 {
		p.linef("layers of every environment: %s", strings.Join(inferred.Common, ", "))
	}
	for _, e := range inferred.Environments {
		p.linef("environment %s: %s%s", e.Name, strings.Join(e.Layers, ", "), placeUnknown(e))
		for _, t := range e.Targets {
			p.linef("target %s of %s: %s", t.Name, e.Name, strings.Join(t.Layers, ", "))
		}
	}
	for _, left := range inferred.LeftOut {
		p.linef("left out: %s %s", left.File, left.Reason)
	}
	if problem != nil {
		p.linef("to do before it renders: %v", problem)
	}
	return p.err
}

func placeUnknown(e ladder.InferredEnvironment) string {
	if !e.Unknown {
		return ""
	}
	return " (init doesn't know this name: is it an environment, and where in the order?)"
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
