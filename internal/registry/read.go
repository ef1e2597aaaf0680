package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/envladder/envladder/internal/bounded"
	"github.com/envladder/envladder/internal/digests"
)

// Manifest is an image's, an index's or an artifact's manifest.
type Manifest struct {
	Descriptor
	// Config is the digest of an image's configuration, which docker calls the image by;
	// empty where the manifest has none.
	Config string
	// Layers of an image or an artifact.
	Layers []Descriptor
	// Children of an index.
	Children []Descriptor
}

// manifestTypes are the accepted types; artifacts have the type of images.
var manifestTypes = strings.Join([]string{
	string(types.OCIManifestSchema1), string(types.OCIImageIndex),
	string(types.DockerManifestSchema2), string(types.DockerManifestList),
}, ",")

// Digest returns the current digest of a tag.
func (c *Client) Digest(ctx context.Context, repository, tag string) (string, error) {
	manifest, err := c.manifest(ctx, repository, tag, MaxManifest)
	if missing, ok := errors.AsType[*notFoundError](err); ok && !missing.fromRegistry {
		err = errors.New("404 without a registry's error document: it isn't known whether the tag exists")
	}
	if err != nil {
		return "", &Error{Action: fmt.Sprintf("resolving tag %q", tag), Repository: repository, Err: err}
	}
	return manifest.Digest, nil
}

// Manifest reads the manifest of a digest: at most MaxManifest bytes, which hash to
// that digest.
func (c *Client) Manifest(ctx context.Context, repository, digest string) (Manifest, error) {
	return c.ManifestUpTo(ctx, repository, digest, MaxManifest)
}

// ManifestUpTo reads a manifest like Manifest, up to the caller's limit.
func (c *Client) ManifestUpTo(ctx context.Context, repository, digest string, limit int64) (Manifest, error) {
	manifest, err := c.manifest(ctx, repository, digest, limit)
	if err != nil {
		return Manifest{}, &Error{Action: fmt.Sprintf("reading manifest %s", digest), Repository: repository, Err: err}
	}
	return manifest, nil
}

func (c *Client) manifest(ctx context.Context, repository, identifier string, limit int64) (Manifest, error) {
	body, header, err := c.get(ctx, repository, "manifests/"+identifier, manifestTypes, limit)
	if err != nil {
		return Manifest{}, err
	}
	digest := digests.Sum(body)
	if digests.Valid(identifier) && digest != identifier {
		return Manifest{}, fmt.Errorf("the registry sent other content, %s", digest)
	}
	manifest, err := parseManifest(body)
	if err != nil {
		return Manifest{}, err
	}
	if manifest.MediaType == "" {
		manifest.MediaType = header.Get("Content-Type")
	}
	manifest.Digest, manifest.Size = digest, int64(len(body))
	return manifest, nil
}

// parseManifest parses the fields of images, indexes and artifacts.
func parseManifest(body []byte) (Manifest, error) {
	var parsed struct {
		MediaType    string            `json:"mediaType"`
		ArtifactType string            `json:"artifactType"`
		Config       json.RawMessage   `json:"config"`
		Layers       []json.RawMessage `json:"layers"`
		Manifests    []json.RawMessage `json:"manifests"`
		Annotations  map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(body, &parsed); err != nil {
		return Manifest{}, fmt.Errorf("parsing manifest: %w", err)
	}
	config, _ := parseDescriptor(parsed.Config) // an index has none
	return Manifest{
		Config:     config.Digest,
		Descriptor: Descriptor{MediaType: parsed.MediaType, ArtifactType: parsed.ArtifactType, Annotations: parsed.Annotations},
		Layers:     descriptors(parsed.Layers),
		Children:   descriptors(parsed.Manifests),
	}, nil
}

// descriptors parses descriptors, and skips those that are invalid or have no digest: anyone
// may be able to write an index, and one broken entry must not hide the others.
func descriptors(raw []json.RawMessage) []Descriptor {
	out := make([]Descriptor, 0, len(raw))
	for _, one := range raw {
		if descriptor, ok := parseDescriptor(one); ok {
			out = append(out, descriptor)
		}
	}
	return out
}

func parseDescriptor(raw json.RawMessage) (Descriptor, bool) {
	var d v1.Descriptor
	if json.Unmarshal(raw, &d) != nil || !digests.Valid(d.Digest.String()) {
		return Descriptor{}, false
	}
	descriptor := Descriptor{
		MediaType:    string(d.MediaType),
		ArtifactType: d.ArtifactType,
		Digest:       d.Digest.String(),
		Size:         d.Size,
		Annotations:  d.Annotations,
	}
	if d.Platform != nil {
		descriptor.Platform = d.Platform.String()
	}
	return descriptor, true
}

// ErrOtherSize is returned for a blob whose size isn't the one in a manifest. The manifest is
// wrong, not the registry.
var ErrOtherSize = errors.New("not of the size in its manifest")

// Blob reads a blob of exactly size bytes, at most MaxBlob, which hash to its digest.
// The size is a manifest's claim, so no more than that is read and held.
func (c *Client) Blob(ctx context.Context, repository, digest string, size int64) ([]byte, error) {
	body, err := c.blob(ctx, repository, digest, size)
	if err != nil {
		return nil, &Error{Action: fmt.Sprintf("reading blob %s", digest), Repository: repository, Err: err}
	}
	return body, nil
}

func (c *Client) blob(ctx context.Context, repository, digest string, size int64) ([]byte, error) {
	switch {
	case size > MaxBlob:
		return nil, fmt.Errorf("%d bytes, the bound is %d: %w", size, MaxBlob, ErrTooLarge)
	case size < 0:
		return nil, ErrOtherSize
	}
	body, _, err := c.get(ctx, repository, "blobs/"+digest, "", size)
	switch {
	case errors.Is(err, ErrTooLarge):
		return nil, fmt.Errorf("more than %d bytes: %w", size, ErrOtherSize)
	case err != nil:
		return nil, err
	case digests.Sum(body) != digest:
		return nil, fmt.Errorf("the registry sent other content, %s", digests.Sum(body))
	case int64(len(body)) != size:
		return nil, fmt.Errorf("%d bytes instead of %d: %w", len(body), size, ErrOtherSize)
	}
	return body, nil
}

// get reads /v2/<repository>/<path>: at most limit bytes.
func (c *Client) get(ctx context.Context, repository, path, accept string, limit int64) ([]byte, http.Header, error) {
	response, err := c.request(ctx, repository, path, accept)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := readAtMost(response, limit)
	return body, response.Header, err
}

// request sends a request for /v2/<repository>/<path>. The caller closes the response's body.
func (c *Client) request(ctx context.Context, repository, path, accept string) (*http.Response, error) {
	parsed, err := parseRepository(repository)
	if err != nil {
		return nil, err
	}
	session, err := c.session(ctx, parsed)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint(parsed, path), nil)
	if err != nil {
		return nil, redact(err)
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	response, err := session.client.Do(request)
	if err != nil {
		return nil, redact(err)
	}
	if response.StatusCode == http.StatusNotFound {
		defer response.Body.Close()
		return nil, notFound(ctx, response)
	}
	if err := transport.CheckError(response, http.StatusOK); err != nil {
		response.Body.Close()
		return nil, shorten(err)
	}
	return response, nil
}

// notFoundError is an ErrNotFound. fromRegistry is set where the registry itself reports
// what it doesn't have; otherwise the answer may be that of a proxy in front of it, which
// doesn't know the path.
type notFoundError struct{ fromRegistry bool }

func (e *notFoundError) Error() string { return ErrNotFound.Error() }

func (e *notFoundError) Is(target error) bool { return target == ErrNotFound }

// maxErrorDocument bounds a registry's error: a code and a sentence.
const maxErrorDocument = 64 << 10

// notFound returns the error of a 404, or that of a context which ended while the body was
// read: what the registry reports isn't known then.
func notFound(ctx context.Context, response *http.Response) error {
	body, err := readAtMost(response, maxErrorDocument)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return &notFoundError{fromRegistry: err == nil && isErrorDocument(body)}
}

// isErrorDocument reports whether a body is the error document of the distribution
// specification ("Error Codes").
func isErrorDocument(body []byte) bool {
	var document struct {
		Errors []struct {
			Code string `json:"code"`
		} `json:"errors"`
	}
	return json.Unmarshal(body, &document) == nil && len(document.Errors) > 0 && document.Errors[0].Code != ""
}

// endpoint returns the URL of a path. It has the scheme of the registry's name; the session's
// transport sets the one that the registry supports.
func endpoint(repository name.Repository, path string) string {
	return fmt.Sprintf("%s://%s/v2/%s/%s", repository.Scheme(), repository.RegistryStr(), repository.RepositoryStr(), path)
}

func readAtMost(response *http.Response, limit int64) ([]byte, error) {
	if response.ContentLength > limit {
		return nil, fmt.Errorf("%d bytes, the bound is %d: %w", response.ContentLength, limit, ErrTooLarge)
	}
	return io.ReadAll(bounded.NewReader(response.Body, limit, fmt.Errorf("the bound is %d bytes: %w", limit, ErrTooLarge)))
}
