package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/envladder/envladder/internal/ladder"
)

func newInitCommand() *cobra.Command {
	var (
		dir, chart, values, name string
		dryRun                   bool
	)
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a ladder for a chart and its values files",
		Long: `init writes a ladder.yaml for an existing chart and a folder of values files, with the
environments that the files' names tell of: values-prod.yaml, prod.yaml or
prod/values.yaml make the environment prod. values.yaml, common.yaml and the like are
layers of all. It says what it guessed, and doesn't touch a file that is there.

The ladder has no images and no pins, and leaves the stamps out: what is rendered is
what Helm renders. Order the environments as a change climbs, the first one first.`,
		Example: `  envladder init --chart chart --values values
  envladder init --chart deploy/helm --values deploy --dry-run`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			repository, err := ladder.FindRepository(dir)
			if err != nil {
				return err
			}
			defer repository.Close()
			guess, err := ladder.GuessFrom(repository.FS(), repository.Dir, chart, values)
			if err != nil {
				return err
			}
			if name != "" {
				guess.Name = name
			}
			text := guess.Text()
			// What init writes, lint takes.
			if _, err := ladder.Alone(ladder.FileName, []byte(text)); err != nil {
				return fmt.Errorf("writing the ladder: %w", err)
			}
			if dryRun {
				_, err := io.WriteString(cmd.OutOrStdout(), text)
				return errors.Join(err, printGuess(cmd.ErrOrStderr(), guess))
			}
			file := filepath.Join(repository.Root, filepath.FromSlash(repository.Dir), ladder.FileName)
			if err := writeNew(file, text); err != nil {
				return fmt.Errorf("writing %s in folder %q: %w", ladder.FileName, dir, err)
			}
			return errors.Join(printGuess(cmd.OutOrStdout(), guess), wrote(cmd.OutOrStdout(), dir))
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&dir, "dir", "C", ".", "`folder` to write ladder.yaml to; the other paths are relative to it")
	flags.StringVar(&chart, "chart", "chart", "the chart's `folder`, or its .tgz")
	flags.StringVar(&values, "values", "values", "`folder` of the values files")
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

func printGuess(w io.Writer, guess ladder.Guess) error {
	p := printer{w: w}
	if len(guess.Common) > 0 {
		p.linef("layers of every environment: %s", strings.Join(guess.Common, ", "))
	}
	for _, e := range guess.Environments {
		p.linef("environment %s: %s", e.Name, strings.Join(e.Layers, ", "))
	}
	for _, file := range guess.Left {
		p.linef("left out: %s", file)
	}
	return p.err
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
