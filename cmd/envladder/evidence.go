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
		Short: "Copy images with their evidence",
	}
	cmd.AddCommand(newEvidenceCopyCommand())
	return cmd
}

// copyFlags are the flags of evidence copy.
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
		Long: `Copy an image with all its evidence to another repository: the image, and the platforms of
an index; everything that refers to them (signatures, attestations, SBOMs); and the
attachments that cosign 2 stores by tags. Existing content isn't changed.

Evidence is bound to the digest, so it is valid in the new repository too. The exception is
a soak for a Gate that names no ladder: that is bound to its repository.`,
		Example: `  envladder evidence copy registry.example.com/shop/web@sha256:… mirror.example.com/shop/web`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return flags.run(cmd.Context(), args[0], args[1], cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.fromEvidence, "from-evidence", "", "`repository` of the attestations (default: the image's)")
	f.StringVar(&flags.toEvidence, "to-evidence", "", "`repository` to copy the attestations to (default: the image's new one)")
	flags.registry.AddTo(f)
	f.StringVarP(&flags.output, "output", "o", "text", "`format` of the output: text or json")
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
		registry.Locations{Repository: from.Repository, Evidence: f.fromEvidence},
		registry.Locations{Repository: to, Evidence: f.toEvidence}, from.Digest)
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
