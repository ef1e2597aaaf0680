package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/envladder/envladder/internal/digests"
)

// Copied is the result of Copy.
type Copied struct {
	// Image is the digest; its platforms were copied too.
	Image string `json:"image"`
	// Referrers are the digests of the referrers of the image and of its platforms.
	Referrers []string `json:"referrers"`
	// Tags are those under which cosign 2 stores signatures and attestations.
	Tags []string `json:"tags,omitempty"`
}

// Locations are the repositories of an image and of its referrers.
type Locations struct {
	Repository string
	// Evidence is the repository of the referrers, if it is another one.
	Evidence string
}

func (p Locations) evidence() string {
	if p.Evidence == "" {
		return p.Repository
	}
	return p.Evidence
}

// legacySuffixes are the suffixes of the tags that cosign 2 writes next to an image.
var legacySuffixes = []string{".sig", ".att", ".sbom"}

// Copy copies an image to another repository, with everything that refers to it: by the
// Referrers API or its tag, and by cosign 2's tags. Existing content isn't changed, so that
// an interrupted copy can be run again.
func (c *Client) Copy(ctx context.Context, from, to Locations, digest string) (Copied, error) {
	t, err := c.newTransfer(from, to)
	if err != nil {
		return Copied{}, err
	}
	// List everything first, so that an error while listing copies no part of the evidence.
	subjects, err := c.withPlatforms(ctx, from.Repository, digest)
	if err != nil {
		return Copied{}, err
	}
	copied := Copied{Image: digest, Referrers: []string{}}
	if err := t.copy(ctx, t.from, t.to, digest); err != nil {
		return Copied{}, err
	}
	for _, subject := range subjects {
		listed, err := c.Referrers(ctx, from.evidence(), subject)
		if err != nil {
			return copied, err
		}
		for _, referrer := range listed {
			if err := t.copyListed(ctx, subject, referrer.Digest); err != nil {
				return copied, err
			}
			copied.Referrers = append(copied.Referrers, referrer.Digest)
		}
		tags, err := t.copyTags(ctx, subject)
		if err != nil {
			return copied, err
		}
		copied.Tags = append(copied.Tags, tags...)
	}
	slices.Sort(copied.Referrers)
	copied.Referrers = slices.Compact(copied.Referrers)
	return copied, nil
}

// withPlatforms returns an image's digest and, where it is an index, those of its children.
func (c *Client) withPlatforms(ctx context.Context, repository, digest string) ([]string, error) {
	manifest, err := c.Manifest(ctx, repository, digest)
	if err != nil {
		return nil, err
	}
	all := []string{digest}
	for _, child := range manifest.Children {
		all = append(all, child.Digest)
	}
	return all, nil
}

// transfer is a copy in progress.
type transfer struct {
	client                   *Client
	puller                   *remote.Puller
	pusher                   *remote.Pusher
	from, to                 name.Repository
	fromEvidence, toEvidence name.Repository
}

func (c *Client) newTransfer(from, to Locations) (*transfer, error) {
	t := &transfer{client: c}
	for _, one := range []struct {
		text string
		into *name.Repository
	}{{from.Repository, &t.from}, {to.Repository, &t.to}, {from.evidence(), &t.fromEvidence}, {to.evidence(), &t.toEvidence}} {
		parsed, err := parseRepository(one.text)
		if err != nil {
			return nil, err
		}
		c.allowHost(parsed)
		*one.into = parsed
	}
	options := []remote.Option{remote.WithTransport(c.base), remote.WithAuthFromKeychain(c.keychain)}
	var err error
	if t.puller, err = remote.NewPuller(options...); err != nil {
		return nil, err
	}
	t.pusher, err = c.newPusher()
	return t, err
}

// copy copies the manifest of a digest or a tag, with its blobs and children.
func (t *transfer) copy(ctx context.Context, from, to name.Repository, identifier string) error {
	source, target := reference(from, identifier), reference(to, identifier)
	descriptor, err := t.puller.Get(ctx, source)
	if err == nil {
		err = t.pusher.Push(ctx, target, descriptor)
	}
	if err != nil {
		return &Error{Action: fmt.Sprintf("copying %s to %s", identifier, to.Name()), Repository: from.Name(), Err: shorten(redact(err))}
	}
	return nil
}

// copyListed copies a referrer and waits until it is listed.
func (t *transfer) copyListed(ctx context.Context, subject, digest string) error {
	if err := t.copy(ctx, t.fromEvidence, t.toEvidence, digest); err != nil {
		return err
	}
	manifest, err := t.puller.Get(ctx, t.fromEvidence.Digest(digest))
	if err != nil {
		return &Error{Action: fmt.Sprintf("reading manifest %s", digest), Repository: t.fromEvidence.Name(), Err: shorten(redact(err))}
	}
	if err := t.client.putListed(ctx, t.pusher, t.toEvidence, subject, manifest.Manifest); err != nil {
		return &Error{Action: fmt.Sprintf("attaching %s to %s", digest, subject), Repository: t.toEvidence.Name(), Err: redact(err)}
	}
	return nil
}

// copyTags copies the signatures and attestations that cosign 2 stores under tags.
func (t *transfer) copyTags(ctx context.Context, subject string) ([]string, error) {
	var copied []string
	for _, suffix := range legacySuffixes {
		tag := fallbackTag(subject) + suffix
		_, err := t.client.manifest(ctx, t.fromEvidence.Name(), tag, MaxManifest)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err == nil {
			err = t.copy(ctx, t.fromEvidence, t.toEvidence, tag)
		}
		if err != nil {
			return copied, err
		}
		copied = append(copied, tag)
	}
	return copied, nil
}

func reference(repository name.Repository, identifier string) name.Reference {
	if digests.Valid(identifier) {
		return repository.Digest(identifier)
	}
	return repository.Tag(identifier)
}
