package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/files"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/registry/cloud"
)

func newAttestCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "attest",
		Short: "Sign a statement about an image and attach it in its registry",
		Long: `Sign a statement about an image's digest and attach it to the image in its registry,
as "cosign attest" does: in a sigstore bundle that "cosign verify-attestation" verifies.
If the digest is an index, the statement also covers its platforms.

The Gate decides, by signer and type, which statements it accepts.`,
	}
	cmd.AddCommand(newAttestSoakCommand(), newAttestTestCommand(), newAttestApprovalCommand(), newAttestExceptionCommand())
	return cmd
}

// predicateFrom builds the predicate for an image.
type predicateFrom func(target evidence.Target, now time.Time) (any, error)

// attestation has the flags and steps that the attest commands share.
type attestation struct {
	predicateType string
	noun          string

	signing   evidence.SignerOptions
	registry  cloud.Options
	predicate string
	evidence  string
	output    string

	// after, if set, is called with the attestation.
	after func(evidence.Attested) error
}

// command adds the shared flags to cmd, which has the flags of the predicate, and returns it.
func (a *attestation) command(cmd *cobra.Command, build predicateFrom) *cobra.Command {
	cmd.Args = cobra.ExactArgs(1)
	var predicateFlags []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { predicateFlags = append(predicateFlags, f.Name) })
	flags := cmd.Flags()
	a.signing.AddTo(flags)
	a.registry.AddTo(flags)
	flags.StringVar(&a.evidence, "evidence", "", "`repository` to attach it in, if the Gate names one for attestations (default: the image's)")
	flags.StringVar(&a.predicate, "predicate", "", "`file` with the whole predicate as JSON, instead of its flags")
	flags.StringVarP(&a.output, "output", "o", "text", "`format` of the output: text or json")
	for _, name := range predicateFlags {
		cmd.MarkFlagsMutuallyExclusive("predicate", name)
	}
	cmd.MarkFlagsOneRequired("key", "identity-token")
	cmd.MarkFlagsMutuallyExclusive("key", "identity-token")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if a.predicate != "" {
			build = a.fromFile
		}
		return a.run(cmd.Context(), args[0], build, cmd.OutOrStdout())
	}
	return cmd
}

func (a *attestation) run(ctx context.Context, image string, build predicateFrom, stdout io.Writer) error {
	write, err := attestedPrinter(a.output, a.noun)
	if err != nil {
		return err
	}
	reference, err := parsePinned(image)
	if err != nil {
		return err
	}
	signer, err := a.signing.Signer(ctx)
	if err != nil {
		return err
	}
	client, err := a.registry.Client()
	if err != nil {
		return err
	}
	target, err := evidence.FindTarget(ctx, client, reference.Repository, reference.Digest)
	if err != nil {
		return err
	}
	target.Evidence = a.evidence
	predicate, err := build(target, time.Now().UTC().Truncate(time.Second))
	if err != nil {
		return fmt.Errorf("attesting %s: %w", withArticle(a.noun), err)
	}
	attested, err := evidence.Attest(ctx, client, signer, target, a.predicateType, predicate)
	if err != nil {
		return fmt.Errorf("attesting %s: %w", withArticle(a.noun), err)
	}
	if a.after != nil {
		if err := a.after(attested); err != nil {
			return err
		}
	}
	return write(stdout, target.Repository+"@"+target.Digest(), attested)
}

// withArticle returns a noun with its indefinite article.
func withArticle(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

// parsePinned parses an image reference with a digest. It rejects a tag alone, since a tag can
// be moved, and ignores a tag next to a digest.
func parsePinned(image string) (registry.Reference, error) {
	reference, err := registry.ParseReference(image)
	if err != nil {
		return registry.Reference{}, err
	}
	if reference.Digest == "" {
		return registry.Reference{}, fmt.Errorf("%s names no digest, and a tag can be moved: name the image as %s@sha256:…\n"+
			"the CI job that pushed it knows the digest; `crane digest %[1]s` queries the registry", reference, reference.Repository)
	}
	return reference, nil
}

// maxPredicateFile bounds a predicate: verifiers read no more.
const maxPredicateFile = 1 << 20

// fromFile reads the predicate from a file.
func (a *attestation) fromFile(evidence.Target, time.Time) (any, error) {
	raw, err := files.Read(a.predicate, maxPredicateFile)
	if err != nil {
		return nil, fmt.Errorf("reading --predicate: %w", err)
	}
	if err := evidence.CheckPredicate(a.predicateType, raw); err != nil {
		return nil, fmt.Errorf("--predicate %q: %w", a.predicate, err)
	}
	return json.RawMessage(raw), nil
}

// attestedPrinter returns the printer of a format.
func attestedPrinter(format, noun string) (func(io.Writer, string, evidence.Attested) error, error) {
	switch format {
	case "text":
		return func(w io.Writer, image string, attested evidence.Attested) error {
			_, err := fmt.Fprintf(w, "%s of %s attested: %s\n", noun, image, attested.Digest)
			return err
		}, nil
	case "json":
		return printAttestedJSON, nil
	}
	return nil, fmt.Errorf("--output %q: use text or json", format)
}

func printAttestedJSON(w io.Writer, image string, attested evidence.Attested) error {
	return writeJSON(w, struct {
		evidence.Attested

		Image string `json:"image"`
	}{attested, image})
}

func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// requireFlags returns an error that names all flags without a value.
func requireFlags(flags map[string]string) error {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		if flags[name] == "" {
			names = append(names, "--"+name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return errors.New("set " + strings.Join(names, ", ") + " (or --predicate)")
}
