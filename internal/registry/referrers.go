package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/envladder/envladder/internal/panics"
)

const (
	// maxListed bounds the bytes of all pages of one list: MaxReferrers descriptors of
	// 1 to 2 KiB have 4 MiB, and a few of them may carry long annotations. The list is
	// read as a stream, so this isn't held.
	maxListed = 32 << 20
	// maxListedText bounds each text that is kept of a list: media types and predicate
	// types are URLs of some dozen bytes.
	maxListedText = 256
)

// Referrers lists what refers to a digest: by the Referrers API, or by the tag
// sha256-<hex> where the registry has none. No referrers, or no such repository, is an
// empty list. Beside an error it returns what it read. Of each it keeps the digest, the
// size, the types and these annotations, the texts clipped to 256 bytes: a list may be
// anybody's to write.
func (c *Client) Referrers(ctx context.Context, repository, digest string, annotations ...string) ([]Descriptor, error) {
	list, err := c.list(ctx, repository, digest, annotations...)
	return list.all, err
}

func (c *Client) list(ctx context.Context, repository, digest string, annotations ...string) (*referrers, error) {
	list := &referrers{keep: annotations, left: maxListed}
	if err := c.referrers(ctx, repository, digest, list); err != nil {
		return list, &Error{Action: fmt.Sprintf("listing referrers of %s", digest), Repository: repository, Err: err}
	}
	return list, nil
}

// referrers asks the API, and then for the tag where there is none. Where the registry had
// none the last time, both are asked at once: that is no request more, and a round trip
// less, and an API that has come since is found.
func (c *Client) referrers(ctx context.Context, repository, digest string, list *referrers) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	host, _, _ := strings.Cut(repository, "/")
	fallback := func() error { return c.fallbackReferrers(ctx, repository, digest, list) }
	if _, lacked := c.lackingAPI.Load(host); lacked {
		fallback = c.beginFallback(ctx, repository, digest, list)
	}
	next := "referrers/" + digest
	for page := range maxPages {
		header, err := c.referrersPage(ctx, repository, next, list)
		if page == 0 && (errors.Is(err, errNoIndex) || lacksReferrersAPI(err)) {
			c.lackingAPI.Store(host, true)
			return fallback()
		}
		if err != nil {
			return err
		}
		c.lackingAPI.Delete(host)
		query, err := nextPage(header)
		if query == "" || err != nil {
			return err
		}
		next = "referrers/" + digest + "?" + query
	}
	return fmt.Errorf("more than %d pages of referrers: %w", maxPages, ErrTooLarge)
}

// errNoIndex is about an answer of another type: a registry without the API may send
// any page.
var errNoIndex = errors.New("the answer isn't an index")

func (c *Client) referrersPage(ctx context.Context, repository, path string, list *referrers) (http.Header, error) {
	response, err := c.request(ctx, repository, path, string(types.OCIImageIndex))
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if !isIndex(response.Header) {
		return nil, errNoIndex
	}
	return response.Header, list.read(response.Body)
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

func (c *Client) fallbackReferrers(ctx context.Context, repository, digest string, list *referrers) error {
	list.byTag = true
	response, err := c.request(ctx, repository, "manifests/"+fallbackTag(digest), string(types.OCIImageIndex))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return list.read(response.Body)
}

// beginFallback is fallbackReferrers beside the caller, who may not want it any more and
// ends ctx then; what it returns waits for it, and fills the list.
func (c *Client) beginFallback(ctx context.Context, repository, digest string, list *referrers) func() error {
	own := &referrers{keep: list.keep, left: list.left}
	ended := make(chan error, 1)
	go func() {
		ended <- panics.Catch(func() error { return c.fallbackReferrers(ctx, repository, digest, own) })
	}()
	return func() error {
		err := <-ended
		*list = *own
		return err
	}
}

// fallbackTag is the distribution specification's "referrers tag schema".
func fallbackTag(digest string) string { return strings.Replace(digest, ":", "-", 1) }

// referrers gathers a list from its pages.
type referrers struct {
	keep []string // annotations
	left int64    // bytes that may still be read
	all  []Descriptor
	// byTag is set where the registry has no Referrers API.
	byTag bool
}

// read takes a page as a stream: what was read before an error stays.
func (l *referrers) read(body io.Reader) error {
	limited := &io.LimitedReader{R: body, N: l.left + 1}
	err := l.decode(json.NewDecoder(limited))
	l.left = limited.N - 1
	if l.left < 0 {
		l.left = 0
		return fmt.Errorf("the list has more than %d bytes: %w", maxListed, ErrTooLarge)
	}
	if err != nil && !errors.Is(err, ErrTooLarge) {
		return fmt.Errorf("parsing the list of referrers: %w", err)
	}
	return err
}

// decode reads an index's manifests; each other field is skipped.
func (l *referrers) decode(decoder *json.Decoder) error {
	switch token, err := decoder.Token(); {
	case err != nil:
		return err
	case token != json.Delim('{'):
		return errors.New("it is no object")
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return err
		}
		if name == "manifests" {
			err = l.manifests(decoder)
		} else {
			err = decoder.Decode(new(json.RawMessage))
		}
		if err != nil {
			return err
		}
	}
	_, err := decoder.Token()
	return err
}

func (l *referrers) manifests(decoder *json.Decoder) error {
	switch token, err := decoder.Token(); {
	case err != nil:
		return err
	case token == nil: // null: none
		return nil
	case token != json.Delim('['):
		return errors.New("manifests is no list")
	}
	for decoder.More() {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return err
		}
		descriptor, ok := parseDescriptor(raw)
		if !ok {
			continue // one broken entry mustn't hide the others
		}
		if len(l.all) == MaxReferrers {
			return fmt.Errorf("more than %d referrers: %w", MaxReferrers, ErrTooLarge)
		}
		l.all = append(l.all, l.clipped(descriptor))
	}
	_, err := decoder.Token()
	return err
}

// clipped keeps of a descriptor what is asked for.
func (l *referrers) clipped(d Descriptor) Descriptor {
	kept := Descriptor{
		MediaType: clip(d.MediaType), ArtifactType: clip(d.ArtifactType),
		Digest: d.Digest, Size: d.Size, Platform: clip(d.Platform),
	}
	for _, name := range l.keep {
		if text, ok := d.Annotations[name]; ok {
			if kept.Annotations == nil {
				kept.Annotations = map[string]string{}
			}
			kept.Annotations[name] = clip(text)
		}
	}
	return kept
}

// clip copies, so that a long text isn't held by its beginning.
func clip(text string) string { return strings.Clone(text[:min(len(text), maxListedText)]) }
