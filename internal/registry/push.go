package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Artifact is what is attached to a digest: one layer.
type Artifact struct {
	// Type is the artifact's and its layer's media type.
	Type        string
	Content     []byte
	Annotations map[string]string
}

// emptyConfig is the OCI image specification's descriptor of an empty config.
var emptyConfig = static.NewLayer([]byte("{}"), "application/vnd.oci.empty.v1+json")

// pushAttempts bounds how often a push that another one overwrote is made again: of as
// many at once, one gets through each time.
const pushAttempts = 10

// Push attaches an artifact to a subject and returns the artifact's digest. It comes
// back once the artifact is listed among the subject's referrers: without a Referrers
// API the list is a tag that two pushers may overwrite for each other.
func (c *Client) Push(ctx context.Context, repository string, subject Descriptor, artifact Artifact) (string, error) {
	digest, err := c.push(ctx, repository, subject, artifact)
	if err != nil {
		return "", &Error{Action: fmt.Sprintf("attaching %s to %s", artifact.Type, subject.Digest), Repository: repository, Err: redact(err)}
	}
	return digest, nil
}

func (c *Client) push(ctx context.Context, repository string, subject Descriptor, artifact Artifact) (string, error) {
	parsed, err := parseRepository(repository)
	if err != nil {
		return "", err
	}
	c.named(parsed)
	layer := static.NewLayer(artifact.Content, types.MediaType(artifact.Type))
	manifest, err := artifactManifest(subject, layer, artifact)
	if err != nil {
		return "", err
	}
	pusher, err := remote.NewPusher(remote.WithTransport(c.base), remote.WithAuthFromKeychain(c.keychain))
	if err != nil {
		return "", err
	}
	for _, blob := range []v1.Layer{emptyConfig, layer} {
		if err := pusher.Upload(ctx, parsed, blob); err != nil {
			return "", fmt.Errorf("uploading: %w", err)
		}
	}
	return digestOf(manifest), c.putListed(ctx, pusher, parsed, subject.Digest, manifest)
}

func artifactManifest(subject Descriptor, layer v1.Layer, artifact Artifact) ([]byte, error) {
	subjectDigest, err := v1.NewHash(subject.Digest)
	if err != nil {
		return nil, fmt.Errorf("parsing digest %q: %w", subject.Digest, err)
	}
	config, err := describe(emptyConfig)
	if err != nil {
		return nil, err
	}
	content, err := describe(layer)
	if err != nil {
		return nil, err
	}
	return json.Marshal(v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		ArtifactType:  artifact.Type,
		Config:        config,
		Layers:        []v1.Descriptor{content},
		Subject:       &v1.Descriptor{MediaType: types.MediaType(subject.MediaType), Digest: subjectDigest, Size: subject.Size},
		Annotations:   artifact.Annotations,
	})
}

func describe(layer v1.Layer) (v1.Descriptor, error) {
	digest, err := layer.Digest()
	if err != nil {
		return v1.Descriptor{}, err
	}
	size, err := layer.Size()
	if err != nil {
		return v1.Descriptor{}, err
	}
	mediaType, err := layer.MediaType()
	return v1.Descriptor{MediaType: mediaType, Digest: digest, Size: size}, err
}

// putListed puts the manifest until the subject's referrers name it. Where the list is a
// tag, another pusher may have read it before this one and write it after: it is looked at
// again once that must be over.
func (c *Client) putListed(ctx context.Context, pusher *remote.Pusher, repository name.Repository, subject string, manifest []byte) error {
	digest := digestOf(manifest)
	for attempt := range pushAttempts {
		// Pushers that met once shouldn't meet again.
		if err := wait(ctx, time.Duration(attempt)*(100*time.Millisecond+rand.N(200*time.Millisecond))); err != nil { //nolint:gosec // it keeps no secret
			return err
		}
		began := time.Now()
		if err := pusher.Put(ctx, repository.Digest(digest), rawManifest(manifest)); err != nil {
			return fmt.Errorf("putting manifest: %w", advise(err))
		}
		listed, err := c.lists(ctx, repository, subject, digest, time.Since(began))
		if err != nil {
			return fmt.Errorf("reading back: %w", err)
		}
		if listed {
			return nil
		}
	}
	return fmt.Errorf("%s was put %d times and isn't listed among the referrers: is something else overwriting tag %s?",
		digest, pushAttempts, fallbackTag(subject))
}

// minSettling is how long a tag is given at least in which another pusher could write
// what it has read before: reading and writing it takes some round trips.
const minSettling = 250 * time.Millisecond

// lists says whether a digest is listed, and stays so.
func (c *Client) lists(ctx context.Context, repository name.Repository, subject, digest string, took time.Duration) (bool, error) {
	for looked := range 2 {
		list, err := c.list(ctx, repository.Name(), subject)
		listed := slices.ContainsFunc(list.all, func(d Descriptor) bool { return d.Digest == digest })
		switch {
		case !listed:
			return false, err
		case looked == 1 || !list.byTag:
			return true, nil
		}
		if err := wait(ctx, max(minSettling, 3*took)); err != nil {
			return false, err
		}
	}
	return true, nil
}

// advise says what helps where a registry refuses to write a tag for the second time.
func advise(err error) error {
	var answer *transport.Error
	if !errors.As(err, &answer) || !strings.Contains(answer.Error(), "/manifests/sha256-") {
		return err
	}
	switch answer.StatusCode {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusConflict, http.StatusPreconditionFailed, http.StatusUnprocessableEntity:
		return fmt.Errorf("%w\nthe registry has no Referrers API, and it seems that its tags can't be written twice: keep attestations in a repository where they can (--evidence, and the Gate's images[].evidence)", err)
	default:
		return err
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return errors.Join(errors.New("gave up waiting"), context.Cause(ctx))
	case <-timer.C:
		return nil
	}
}

// rawManifest is a manifest as it is.
type rawManifest []byte

// RawManifest implements remote.Taggable.
func (m rawManifest) RawManifest() ([]byte, error) { return m, nil }

// MediaType is what the registry is told.
func (m rawManifest) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
