package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/registry/cloud"
)

func newEvidenceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "evidence",
		Short: "Carry evidence along with images",
	}
	cmd.AddCommand(newEvidenceCopyCommand())
	return cmd
}

// copyFlags are where attestations are, beside the images.
type copyFlags struct {
	fromEvidence, toEvidence string
	registry                 cloud.Options
	output                   string
}

func newEvidenceCopyCommand() *cobra.Command {
	var flags copyFlags
	cmd := &cobra.Command{
		Use:   "copy IMAGE@DIGEST REPOSITORY",
		Short: "Copy an image with all its evidence to another repository",
		Long: `Copy an image with all its evidence to another repository: the image and, of an index, its
platforms; whatever refers to them (signatures, attestations, SBOMs); and what cosign 2
keeps by tags. What is there already is left as it is.

Evidence is bound to the digest, so it counts in the new place as it did in the old one,
except a soak where the Gate names no ladder: that is bound to its repository.`,
		Example: `  envladder evidence copy registry.example.com/shop/web@sha256:… mirror.example.com/shop/web`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return flags.run(cmd.Context(), args[0], args[1], cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.fromEvidence, "from-evidence", "", "`repository` that the attestations are in (default: the image's)")
	f.StringVar(&flags.toEvidence, "to-evidence", "", "`repository` that they are copied to (default: the image's new one)")
	flags.registry.AddTo(f)
	f.StringVarP(&flags.output, "output", "o", "text", "`format` of what is printed: text or json")
	return cmd
}

func (f copyFlags) run(ctx context.Context, image, repository string, stdout io.Writer) error {
	if f.output != "text" && f.output != "json" {
		return fmt.Errorf("--output %q: use text or json", f.output)
	}
	from, err := parsePinned(image)
	if err != nil {
		return err
	}
	to, err := registry.ParseRepository(repository)
	if err != nil {
		return err
	}
	client, err := f.registry.Client()
	if err != nil {
		return err
	}
	copied, err := client.Copy(ctx,
		registry.Places{Repository: from.Repository, Evidence: f.fromEvidence},
		registry.Places{Repository: to, Evidence: f.toEvidence}, from.Digest)
	if err != nil {
		return err
	}
	if f.output == "json" {
		return writeJSON(stdout, copied)
	}
	_, err = fmt.Fprintf(stdout, "%s@%s copied to %s, with %d referrers and %d tags\n",
		from.Repository, from.Digest, to, len(copied.Referrers), len(copied.Tags))
	return err
}
