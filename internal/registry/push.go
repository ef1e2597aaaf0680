package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/envladder/envladder/internal/digests"
)

// Artifact is an artifact with one layer, to attach to a digest.
type Artifact struct {
	// Type is the artifact's and its layer's media type.
	Type        string
	Content     []byte
	Annotations map[string]string
}

// emptyConfig is the OCI image specification's descriptor of an empty config.
var emptyConfig = static.NewLayer([]byte("{}"), "application/vnd.oci.empty.v1+json")

// pushAttempts bounds how often a push that another one overwrote is repeated. Among that
// many concurrent pushes, one succeeds each time.
const pushAttempts = 10

// Push attaches an artifact to a subject and returns the artifact's digest. It returns after
// the artifact is listed among the subject's referrers: without a Referrers API the list is
// a tag, and concurrent pushers may overwrite each other's entry.
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
	c.allowHost(parsed)
	layer := static.NewLayer(artifact.Content, types.MediaType(artifact.Type))
	manifest, err := artifactManifest(subject, layer, artifact)
	if err != nil {
		return "", err
	}
	pusher, err := c.newPusher()
	if err != nil {
		return "", err
	}
	for _, blob := range []v1.Layer{emptyConfig, layer} {
		if err := pusher.Upload(ctx, parsed, blob); err != nil {
			return "", fmt.Errorf("uploading: %w", advise(err))
		}
	}
	return digests.Sum(manifest), c.putListed(ctx, pusher, parsed, subject.Digest, manifest)
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

// apiAttempts bounds how often the Referrers API is read before the tag is written too:
// some registries list a manifest a moment after they accepted it, and some return empty
// lists of referrers that they don't maintain. It takes about 3 seconds.
const apiAttempts = 6

// putListed puts the manifest and waits until the subject's referrers name it. The
// registry adds it to the list of its Referrers API; without one, it is added to the list
// under the subject's tag.
func (c *Client) putListed(ctx context.Context, pusher *remote.Pusher, repository name.Repository, subject string, manifest []byte) error {
	entry, err := referrerEntry(manifest)
	if err != nil {
		return err
	}
	if err := pusher.Put(ctx, repository.Digest(entry.Digest.String()), rawManifest(manifest)); err != nil {
		return fmt.Errorf("putting manifest: %w", advise(err))
	}
	for attempt := range pushAttempts {
		// A random wait keeps concurrent pushers from colliding again.
		if err := wait(ctx, time.Duration(attempt)*(100*time.Millisecond+rand.N(200*time.Millisecond))); err != nil { //nolint:gosec // it protects no secret
			return err
		}
		found := c.lists(ctx, repository.Name(), subject)
		if contains(found.api, entry) {
			return nil
		}
		if found.apiErr == nil && attempt < apiAttempts && !contains(found.tag, entry) {
			continue
		}
		var listed bool
		listed, err = c.putInTag(ctx, pusher, repository, subject, entry, contains(found.tag, entry))
		if listed || err != nil && found.apiErr != nil {
			return err
		}
	}
	if err != nil { // the API may still list it, so an error of the tag isn't returned at once
		return err
	}
	return fmt.Errorf("%s was pushed, but isn't listed among the referrers after %d attempts: is something else overwriting tag %s?\n%s",
		entry.Digest, pushAttempts, fallbackTag(subject), storeElsewhere)
}

// contains reports whether a list contains a manifest.
func contains(list []Descriptor, entry v1.Descriptor) bool {
	return slices.ContainsFunc(list, func(d Descriptor) bool { return d.Digest == entry.Digest.String() })
}

// minSettling is the minimum wait for another pusher that has read the tag before and may
// still write it: reading and writing it takes some round trips.
const minSettling = 250 * time.Millisecond

// putInTag adds the entry to the subject's tag if it is missing, and reports whether it is
// still listed afterwards. Another pusher may have read the tag before this one wrote it,
// and write it after. The tag is therefore read again after a wait.
func (c *Client) putInTag(ctx context.Context, pusher *remote.Pusher, repository name.Repository, subject string, entry v1.Descriptor, there bool) (bool, error) {
	began := time.Now()
	if !there {
		if err := c.addToTag(ctx, pusher, repository, subject, entry); err != nil {
			return false, err
		}
	}
	took := time.Since(began)
	for looked := range 2 {
		found := c.lists(ctx, repository.Name(), subject)
		switch {
		case !contains(found.merged(), entry) && found.tagErr != nil:
			return false, fmt.Errorf("reading back: %w", found.tagErr)
		case !contains(found.merged(), entry):
			return false, nil
		case looked == 1:
			return true, nil
		}
		if err := wait(ctx, max(minSettling, 3*took)); err != nil {
			return false, err
		}
	}
	return true, nil
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

// rawManifest is a manifest in its serialized form.
type rawManifest []byte

// RawManifest implements remote.Taggable.
func (m rawManifest) RawManifest() ([]byte, error) { return m, nil }

// MediaType returns the type that is sent to the registry.
func (m rawManifest) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
