package evidence

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/registry"
)

// Attested is the result of Attest.
type Attested struct {
	// Digest of the attestation's manifest in the registry.
	Digest string `json:"digest"`
	// Subjects are the digests that it is about.
	Subjects []string `json:"subjects"`
	// PredicateType of the statement.
	PredicateType string `json:"predicateType"`
	// Statement is the SHA-256 of the signed statement.
	Statement string `json:"statement"`
	// Bundle is the signed statement.
	Bundle []byte `json:"-"`
}

// Target is an image that can be attested, since it exists in its registry.
type Target struct {
	// Repository of the image.
	Repository string
	// Evidence is the repository that its attestations are stored in, if it is another
	// one.
	Evidence string
	// Platforms are the children of an index that may run; none where the image is no
	// index.
	Platforms []registry.Descriptor

	descriptor registry.Descriptor
}

// Digest returns the digest of the image.
func (t Target) Digest() string { return t.descriptor.Digest }

// subjects returns the image and its platforms.
func (t Target) subjects() []registry.Descriptor {
	return append([]registry.Descriptor{t.descriptor}, t.Platforms...)
}

// FindTarget reads the image's manifest, so that no missing image is attested.
func FindTarget(ctx context.Context, client *registry.Client, repository, digest string) (Target, error) {
	manifest, err := client.Manifest(ctx, repository, digest)
	if err != nil {
		return Target{}, err
	}
	return Target{
		Repository: repository,
		Platforms:  runnable(manifest.Children),
		descriptor: manifest.Descriptor,
	}, nil
}

// runnable omits the attestation manifests that builders put next to the platforms, which
// state that they run nowhere. A child that states no platform may run on any: container
// runtimes choose it if no child has their platform.
func runnable(children []registry.Descriptor) []registry.Descriptor {
	var platforms []registry.Descriptor
	for _, child := range children {
		if !strings.HasPrefix(child.Platform, "unknown/") {
			platforms = append(platforms, child)
		}
	}
	return platforms
}

// Attest signs a predicate about the image, its platforms included, and attaches it to
// each of them, to the image itself last: anyone who queries a platform's own digest
// doesn't know of which index it is.
func Attest(ctx context.Context, client *registry.Client, signer *Signer, target Target, predicateType string, predicate any) (Attested, error) {
	claim, err := newStatement(target, predicateType, predicate)
	if err != nil {
		return Attested{}, err
	}
	payload, bundle, err := signer.sign(ctx, claim)
	if err != nil {
		return Attested{}, err
	}
	artifact := registry.Artifact{
		Type:    bundleType,
		Content: bundle,
		Annotations: map[string]string{
			createdAnnotation:       time.Now().UTC().Format(time.RFC3339),
			contentAnnotation:       dsseContent,
			predicateTypeAnnotation: predicateType,
		},
	}
	attested := Attested{PredicateType: predicateType, Statement: digests.Sum(payload), Bundle: bundle}
	subjects := target.subjects()
	for _, subject := range slices.Backward(subjects) {
		if attested.Digest, err = client.Push(ctx, cmp.Or(target.Evidence, target.Repository), subject, artifact); err != nil {
			return Attested{}, err
		}
	}
	for _, subject := range subjects {
		attested.Subjects = append(attested.Subjects, subject.Digest)
	}
	return attested, nil
}

func newStatement(target Target, predicateType string, predicate any) (statement, error) {
	raw, err := json.Marshal(predicate)
	if err != nil {
		return statement{}, fmt.Errorf("encoding the predicate: %w", err)
	}
	if len(raw) > maxPredicate {
		return statement{}, fmt.Errorf("the predicate has %d bytes, the limit is %d", len(raw), maxPredicate)
	}
	claim := statement{Type: statementV1, PredicateType: predicateType, Predicate: raw}
	for _, image := range target.subjects() {
		claim.Subject = append(claim.Subject, subject{
			Name:   target.Repository,
			Digest: map[string]string{"sha256": strings.TrimPrefix(image.Digest, "sha256:")},
		})
	}
	return claim, nil
}
