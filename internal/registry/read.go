package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Manifest is an image's, an index's or an artifact's manifest.
type Manifest struct {
	Descriptor
	// Layers of an image or an artifact.
	Layers []Descriptor
	// Children of an index.
	Children []Descriptor
}

// manifestTypes are asked for; artifacts are images to a registry.
var manifestTypes = strings.Join([]string{
	string(types.OCIManifestSchema1), string(types.OCIImageIndex),
	string(types.DockerManifestSchema2), string(types.DockerManifestList),
}, ",")

// Digest asks which digest a tag names now.
func (c *Client) Digest(ctx context.Context, repository, tag string) (string, error) {
	manifest, err := c.manifest(ctx, repository, tag)
	if err != nil {
		return "", &Error{Action: fmt.Sprintf("resolving tag %q", tag), Repository: repository, Err: err}
	}
	return manifest.Digest, nil
}

// Manifest reads the manifest of a digest: at most MaxManifest bytes, which hash to
// that digest.
func (c *Client) Manifest(ctx context.Context, repository, digest string) (Manifest, error) {
	manifest, err := c.manifest(ctx, repository, digest)
	if err != nil {
		return Manifest{}, &Error{Action: fmt.Sprintf("reading manifest %s", digest), Repository: repository, Err: err}
	}
	return manifest, nil
}

func (c *Client) manifest(ctx context.Context, repository, identifier string) (Manifest, error) {
	body, header, err := c.get(ctx, repository, "manifests/"+identifier, manifestTypes, MaxManifest)
	if err != nil {
		return Manifest{}, err
	}
	digest := digestOf(body)
	if IsDigest(identifier) && digest != identifier {
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

// parseManifest reads what images, indexes and artifacts have in common.
func parseManifest(body []byte) (Manifest, error) {
	var parsed struct {
		MediaType    string            `json:"mediaType"`
		ArtifactType string            `json:"artifactType"`
		Layers       []json.RawMessage `json:"layers"`
		Manifests    []json.RawMessage `json:"manifests"`
		Annotations  map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(body, &parsed); err != nil {
		return Manifest{}, fmt.Errorf("parsing manifest: %w", err)
	}
	return Manifest{
		Descriptor: Descriptor{MediaType: parsed.MediaType, ArtifactType: parsed.ArtifactType, Annotations: parsed.Annotations},
		Layers:     descriptors(parsed.Layers),
		Children:   descriptors(parsed.Manifests),
	}, nil
}

// descriptors leaves out those that can't be read, or not by digest: an index may be
// anybody's to write, and one broken entry mustn't hide the others.
func descriptors(raw []json.RawMessage) []Descriptor {
	out := make([]Descriptor, 0, len(raw))
	for _, one := range raw {
		var d v1.Descriptor
		if json.Unmarshal(one, &d) != nil || !IsDigest(d.Digest.String()) {
			continue
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
		out = append(out, descriptor)
	}
	return out
}

// Blob reads a blob of at most MaxBlob bytes, which hash to its digest.
func (c *Client) Blob(ctx context.Context, repository, digest string) ([]byte, error) {
	body, _, err := c.get(ctx, repository, "blobs/"+digest, "", MaxBlob)
	if err == nil && digestOf(body) != digest {
		err = fmt.Errorf("the registry sent other content, %s", digestOf(body))
	}
	if err != nil {
		return nil, &Error{Action: fmt.Sprintf("reading blob %s", digest), Repository: repository, Err: err}
	}
	return body, nil
}

// Referrers lists what refers to a digest: by the Referrers API, or by the tag
// sha256-<hex> where the registry has none. No referrers, or no such repository, is an
// empty list. Beside an error it returns what it read.
func (c *Client) Referrers(ctx context.Context, repository, digest string) ([]Descriptor, error) {
	list, err := c.referrers(ctx, repository, digest)
	if err != nil {
		return list, &Error{Action: fmt.Sprintf("listing referrers of %s", digest), Repository: repository, Err: err}
	}
	return list, nil
}

func (c *Client) referrers(ctx context.Context, repository, digest string) ([]Descriptor, error) {
	var list []Descriptor
	next := "referrers/" + digest
	for range maxPages {
		body, header, err := c.get(ctx, repository, next, string(types.OCIImageIndex), MaxManifest)
		if len(list) == 0 && (lacksReferrersAPI(err) || err == nil && !isIndex(header)) {
			return c.fallbackReferrers(ctx, repository, digest)
		}
		if err != nil {
			return list, err
		}
		page, err := parseManifest(body)
		if err != nil {
			return list, err
		}
		list = append(list, page.Children...)
		if len(list) > MaxReferrers {
			return list[:MaxReferrers], fmt.Errorf("more than %d referrers: %w", MaxReferrers, ErrTooLarge)
		}
		query, more := nextPage(header)
		if !more {
			return list, nil
		}
		next = "referrers/" + digest + "?" + query
	}
	return list, fmt.Errorf("more than %d pages of referrers: %w", maxPages, ErrTooLarge)
}

// lacksReferrersAPI says whether the answer is that of a registry without the API.
func lacksReferrersAPI(err error) bool {
	var answer *transport.Error
	if !errors.As(err, &answer) {
		return errors.Is(err, ErrNotFound)
	}
	switch answer.StatusCode {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotAcceptable:
		return true
	default:
		return false
	}
}

func isIndex(header http.Header) bool {
	mediaType, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return err == nil && mediaType == string(types.OCIImageIndex)
}

// nextPage takes from the Link header the query of the next page, and nothing else of
// it: a registry doesn't choose where we go.
func nextPage(header http.Header) (query string, ok bool) {
	for _, link := range header.Values("Link") {
		target, parameters, found := strings.Cut(strings.TrimPrefix(strings.TrimSpace(link), "<"), ">")
		if !found || !strings.Contains(parameters, `rel="next"`) {
			continue
		}
		if u, err := url.Parse(target); err == nil && u.RawQuery != "" {
			return u.RawQuery, true
		}
	}
	return "", false
}

func (c *Client) fallbackReferrers(ctx context.Context, repository, digest string) ([]Descriptor, error) {
	index, err := c.manifest(ctx, repository, fallbackTag(digest))
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(index.Children) > MaxReferrers {
		return index.Children[:MaxReferrers], fmt.Errorf("more than %d referrers: %w", MaxReferrers, ErrTooLarge)
	}
	return index.Children, nil
}

// fallbackTag is the distribution specification's "referrers tag schema".
func fallbackTag(digest string) string { return strings.Replace(digest, ":", "-", 1) }

// get reads /v2/<repository>/<path>: at most limit bytes.
func (c *Client) get(ctx context.Context, repository, path, accept string, limit int64) ([]byte, http.Header, error) {
	parsed, err := parseRepository(repository)
	if err != nil {
		return nil, nil, err
	}
	session, err := c.session(ctx, parsed)
	if err != nil {
		return nil, nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint(parsed, path), nil)
	if err != nil {
		return nil, nil, redact(err)
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	response, err := session.client.Do(request)
	if err != nil {
		return nil, nil, redact(err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotFound {
		return nil, nil, ErrNotFound
	}
	if err := transport.CheckError(response, http.StatusOK); err != nil {
		return nil, nil, err
	}
	body, err := readAtMost(response, limit)
	return body, response.Header, err
}

// endpoint has the scheme that the registry's name asks for; the session's transport
// sets the one that the registry was found to speak.
func endpoint(repository name.Repository, path string) string {
	return fmt.Sprintf("%s://%s/v2/%s/%s", repository.Scheme(), repository.RegistryStr(), repository.RepositoryStr(), path)
}

func readAtMost(response *http.Response, limit int64) ([]byte, error) {
	if response.ContentLength > limit {
		return nil, fmt.Errorf("%d bytes, the bound is %d: %w", response.ContentLength, limit, ErrTooLarge)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("the bound is %d bytes: %w", limit, ErrTooLarge)
	}
	return body, nil
}

func digestOf(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}
