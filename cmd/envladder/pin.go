package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/promote"
)

func newPinCommand() *cobra.Command {
	var dir, target, output string
	cmd := &cobra.Command{
		Use:   "pin ENVIRONMENT IMAGE@DIGEST",
		Short: "Write a digest into an environment's pins",
		Long: `Write a digest into the pins of an environment: one value of one file in the work tree.
No other byte of the file changes, and nothing is committed.

IMAGE is the image's name in the ladder, or its repository. A tag is rejected, since it can
be moved. pin checks no Gate; envladder promote does that.

Exit codes: 0 written, or already pinned; 2 failed.`,
		Example: `  envladder pin dev web@sha256:… -C shop
  envladder pin prod registry.example.com/shop/web@sha256:… --target eu -C shop`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			show, err := pinnedPrinter(output)
			if err != nil {
				return err
			}
			repo, err := ladder.FindRepository(dir)
			if err != nil {
				return err
			}
			defer repo.Close()
			pinned, err := promote.Pin(repo, args[0], target, args[1])
			if err != nil {
				return err
			}
			return show(cmd.OutOrStdout(), repo, pinned)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&dir, "dir", "C", ".", "`folder` of ladder.yaml")
	f.StringVar(&target, "target", "", "`target` of the environment")
	f.StringVarP(&output, "output", "o", "text", "`format`: text or json")
	return cmd
}

// pinnedPrinter returns the printer of a format.
func pinnedPrinter(format string) (func(io.Writer, *ladder.Repository, promote.Pinned) error, error) {
	switch format {
	case "text":
		return printPinned, nil
	case "json":
		return func(w io.Writer, _ *ladder.Repository, p promote.Pinned) error { return writeJSON(w, p) }, nil
	}
	return nil, fmt.Errorf("--output %q: use text or json", format)
}

// printPinned prints the change, or that there is none.
func printPinned(w io.Writer, repo *ladder.Repository, pinned promote.Pinned) error {
	p := printer{w: w}
	file := relativePath(repo, pinned.File)
	if pinned.Old == pinned.New {
		p.linef("%s: %s of %s is %s already (%s)", pinned.EnvTarget, pinned.Image, pinned.Repository, pinned.New, file)
		return p.err
	}
	p.linef("%s: %s: %s -> %s (%s)", pinned.EnvTarget, pinned.Image, orNone(pinned.Old), pinned.New, file)
	return p.err
}

func orNone(digest string) string {
	if digest == "" {
		return "none"
	}
	return digest
}
