package registry

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/envladder/envladder/internal/panics"
)

// Referrers lists the referrers of a digest: those in the Referrers API, then those only in
// the list under the tag sha256-<hex>. Both are read at once: a registry may have gained the API after
// attestations were pushed, may not list them in it, or may fail on one of the two. No
// referrers, or no such repository, is an empty list. On an error, the referrers read so far
// are returned with it. Each descriptor has its digest, size, types and these annotations,
// with texts clipped to 256 bytes: anyone who can push can write a list.
func (c *Client) Referrers(ctx context.Context, repository, digest string, annotations ...string) ([]Descriptor, error) {
	found := c.lists(ctx, repository, digest, annotations...)
	if err := found.err(); err != nil {
		return found.merged(), &Error{Action: fmt.Sprintf("listing referrers of %s", digest), Repository: repository, Err: err}
	}
	return found.merged(), nil
}

// referrerLists has the two lists of a digest's referrers.
type referrerLists struct {
	api, tag       []Descriptor
	apiErr, tagErr error
}

// merged returns each referrer once. The API's descriptor of it is preferred: the registry
// wrote that one.
func (l *referrerLists) merged() []Descriptor {
	if len(l.tag) == 0 {
		return l.api
	}
	known := make(map[string]bool, len(l.api))
	for _, d := range l.api {
		known[d.Digest] = true
	}
	all := slices.Clone(l.api)
	for _, d := range l.tag {
		if !known[d.Digest] {
			all = append(all, d)
		}
	}
	return all
}

// err reports that referrers may be missing.
func (l *referrerLists) err() error {
	switch {
	case lacksReferrersAPI(l.apiErr):
		return l.tagErr
	case l.apiErr != nil && l.tagErr != nil:
		return fmt.Errorf("%w; and by tag: %w", l.apiErr, l.tagErr)
	case l.apiErr != nil:
		return l.apiErr
	case isRefusal(l.tagErr):
		return nil // some registries respond like this to a missing tag
	default:
		return l.tagErr
	}
}

// isRefusal reports whether a registry rejected a request, as opposed to failing.
func isRefusal(err error) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && answer.StatusCode/100 == 4 && answer.StatusCode != http.StatusTooManyRequests
}

// tagPatience bounds the wait for the tag once the API has answered: it rarely lists more.
const tagPatience = 2 * time.Second

var errTagTimeout = fmt.Errorf("the registry didn't answer within %s of its Referrers API", tagPatience)

// lists reads both lists at once.
func (c *Client) lists(ctx context.Context, repository, digest string, annotations ...string) *referrerLists {
	tagCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	tag, ended := newReferrerList(annotations), make(chan error, 1)
	go func() {
		ended <- panics.Catch(func() error { return c.listByTag(tagCtx, repository, digest, tag) })
	}()
	api, found := newReferrerList(annotations), &referrerLists{}
	found.apiErr = panics.Catch(func() error { return c.listByAPI(ctx, repository, digest, api) })
	if found.apiErr == nil {
		defer time.AfterFunc(tagPatience, func() { cancel(errTagTimeout) }).Stop()
	}
	found.tagErr = <-ended
	if cause := context.Cause(tagCtx); found.tagErr != nil && errors.Is(cause, errTagTimeout) {
		found.tagErr = cause
	}
	if found.tagErr != nil {
		found.tagErr = fmt.Errorf("reading tag %q: %w", fallbackTag(digest), found.tagErr)
	}
	found.api, found.tag = api.all, tag.all
	return found
}

// listByAPI reads the pages of the Referrers API.
func (c *Client) listByAPI(ctx context.Context, repository, digest string, list *referrerList) error {
	next := "referrers/" + digest
	for page := range maxPages {
		header, err := c.referrersPage(ctx, repository, next, list)
		if page > 0 && lacksReferrersAPI(err) {
			// The first page exists, so this one is missing. The cause isn't wrapped,
			// or it would count as a missing API.
			return fmt.Errorf("reading page %d: %s", page+1, err.Error())
		}
		if err != nil {
			return err
		}
		query, err := nextPage(header)
		if query == "" || err != nil {
			return err
		}
		next = "referrers/" + digest + "?" + query
	}
	return fmt.Errorf("more than %d pages of referrers: %w", maxPages, ErrTooLarge)
}

// errNoIndex is returned for a response of another type: a registry without the API may send
// any page.
var errNoIndex = errors.New("the response isn't an index")

func (c *Client) referrersPage(ctx context.Context, repository, path string, list *referrerList) (http.Header, error) {
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

// lacksReferrersAPI reports whether an error is the response of a registry without the API.
// 401 and 403 may be that too, or a missing permission.
func lacksReferrersAPI(err error) bool {
	var answer *transport.Error
	if !errors.As(err, &answer) {
		return errors.Is(err, ErrNotFound) || errors.Is(err, errNoIndex)
	}
	switch answer.StatusCode {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusGone,
		http.StatusUnsupportedMediaType, http.StatusNotImplemented:
		return true
	default:
		return false
	}
}

func isIndex(header http.Header) bool {
	mediaType, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return err == nil && mediaType == string(types.OCIImageIndex)
}
