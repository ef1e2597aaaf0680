package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/envladder/envladder/internal/digests"
)

// fallbackTag returns the tag of the distribution specification's "referrers tag schema".
func fallbackTag(digest string) string { return strings.Replace(digest, ":", "-", 1) }

// listByTag reads the list of referrers that clients store under a tag.
func (c *Client) listByTag(ctx context.Context, repository, digest string, list *referrerList) error {
	response, err := c.request(ctx, repository, "manifests/"+fallbackTag(digest), string(types.OCIImageIndex))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content := sha256.New()
	body := io.TeeReader(io.LimitReader(response.Body, maxListed+1), content)
	err = list.read(body)
	// GitLab treats the tag as the digest: its response is the image itself, whose platforms
	// are no referrers.
	if _, rest := io.Copy(io.Discard, body); rest == nil && "sha256:"+hex.EncodeToString(content.Sum(nil)) == digest {
		list.all = nil
		return nil
	}
	return err
}

// addToTag adds a referrer to the list under the subject's tag. Another writer may
// overwrite it, so putListed reads it back.
func (c *Client) addToTag(ctx context.Context, pusher *remote.Pusher, repository name.Repository, subject string, entry v1.Descriptor) error {
	index, err := c.tagIndex(ctx, repository.Name(), subject)
	if err != nil {
		return err
	}
	index.Manifests = append(index.Manifests, entry)
	raw, err := json.Marshal(index)
	if err != nil {
		return fmt.Errorf("encoding the list of referrers: %w", err)
	}
	if len(raw) > MaxManifest {
		return fmt.Errorf("the list of referrers under tag %q has %d bytes with this one: %w\n%s", fallbackTag(subject), len(raw), ErrTooLarge, storeElsewhere)
	}
	if err := pusher.Put(ctx, repository.Tag(fallbackTag(subject)), rawIndex(raw)); err != nil {
		return fmt.Errorf("putting tag %q: %w", fallbackTag(subject), advise(err))
	}
	return nil
}

// tagIndex reads the whole index under the subject's tag. It returns an empty one if there is
// none.
func (c *Client) tagIndex(ctx context.Context, repository, subject string) (*v1.IndexManifest, error) {
	none := &v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}
	tag := fallbackTag(subject)
	body, _, err := c.get(ctx, repository, "manifests/"+tag, string(types.OCIImageIndex), MaxManifest)
	switch {
	case errors.Is(err, ErrNotFound):
		return none, nil
	case err != nil:
		return nil, fmt.Errorf("reading tag %q: %w", tag, adviseReading(err))
	case digests.Sum(body) == subject: // GitLab treats the tag as the digest
		return none, nil
	}
	index := &v1.IndexManifest{}
	if err := json.Unmarshal(body, index); err != nil {
		return nil, fmt.Errorf("parsing the list of referrers under tag %q: %w", tag, err)
	}
	if index.SchemaVersion != 2 || index.MediaType != types.OCIImageIndex {
		return nil, fmt.Errorf("tag %q is %q, not a list of referrers: delete it", tag, index.MediaType)
	}
	return index, nil
}

// referrerEntry returns a manifest's descriptor for a list of referrers: with its artifact type
// and annotations, as the distribution specification requires.
func referrerEntry(manifest []byte) (v1.Descriptor, error) {
	var parsed struct {
		MediaType    types.MediaType   `json:"mediaType"`
		ArtifactType string            `json:"artifactType"`
		Annotations  map[string]string `json:"annotations"`
		Config       struct {
			MediaType string `json:"mediaType"`
		} `json:"config"`
	}
	if err := json.Unmarshal(manifest, &parsed); err != nil {
		return v1.Descriptor{}, fmt.Errorf("parsing manifest: %w", err)
	}
	digest, err := v1.NewHash(digests.Sum(manifest))
	if err != nil {
		return v1.Descriptor{}, err
	}
	entry := v1.Descriptor{
		MediaType: parsed.MediaType, Digest: digest, Size: int64(len(manifest)),
		ArtifactType: parsed.ArtifactType, Annotations: parsed.Annotations,
	}
	if entry.ArtifactType == "" {
		entry.ArtifactType = parsed.Config.MediaType
	}
	return entry, nil
}

// rawIndex is an index in its serialized form.
type rawIndex []byte

// RawManifest implements remote.Taggable.
func (i rawIndex) RawManifest() ([]byte, error) { return i, nil }

// MediaType returns the type that is sent to the registry.
func (i rawIndex) MediaType() (types.MediaType, error) { return types.OCIImageIndex, nil }

// noTagTransport is a transport for pushes that keeps the registry client from writing the
// tag with the list of referrers: it would fail if the Referrers API does, and omit
// annotations. The transport reports that the registry has the API, and putListed writes the
// tag.
type noTagTransport struct{ inner http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t noTagTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodGet && isReferrersPath(request.URL.Path) {
		return emptyResponse(request, http.StatusOK), nil
	}
	return t.inner.RoundTrip(request)
}

// newPusher returns a pusher that doesn't update lists of referrers.
func (c *Client) newPusher() (*remote.Pusher, error) {
	return remote.NewPusher(remote.WithTransport(noTagTransport{c.base}), remote.WithAuthFromKeychain(c.keychain))
}
