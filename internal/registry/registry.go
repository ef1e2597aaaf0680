// Package registry reads from and writes to OCI registries: digests of tags, the referrers of a digest, manifests and blobs. It alone knows the registry
// client; everything it reads is bounded and, where it has a digest, checked against it.
//
// internal/evidence interprets the referrers.
package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/envladder/envladder/internal/loopback"
	"github.com/envladder/envladder/internal/panics"
)

// Bounds on what is read.
const (
	// MaxManifest is the limit on a manifest's size that the distribution specification
	// recommends.
	MaxManifest = 4 << 20
	// MaxBlob bounds a bundle: the largest SBOMs of real images have a few MiB, and
	// base64 in a bundle adds a third.
	MaxBlob = 10 << 20
	// MaxReferrers bounds how many referrers of one digest are listed. A digest in
	// use for a year gathers some hundreds (a soak a day); the rest allows for junk,
	// among which proof is still found.
	MaxReferrers = 10_000
	// maxPages bounds the pages of such a list; registries send 50 to 1000 a page.
	maxPages = 200
)

// ErrNotFound is returned for content that a registry doesn't have.
var ErrNotFound = errors.New("not found")

// ErrTooLarge is returned for content that exceeds a limit.
var ErrTooLarge = errors.New("larger than its bound")

// Error is a failed action on a repository. It contains no credentials: the wrapped error
// has no query of a URL.
type Error struct {
	// Action is a gerund with its operand: reading manifest "sha256:…".
	Action     string
	Repository string
	Err        error
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s of %s: %v", e.Action, e.Repository, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Descriptor identifies content in a registry.
type Descriptor struct {
	MediaType    string
	ArtifactType string
	Digest       string
	Size         int64
	Annotations  map[string]string
	// Platform is os/arch[/variant] of an index's child, or empty.
	Platform string
}

// Client reads and writes registries, with the credentials of the docker
// configuration. It is safe for concurrent use.
type Client struct {
	// base doesn't retry, since the registry client retries its pushes.
	base     http.RoundTripper
	keychain keychains
	dialer   *dialer // nil over a transport of the caller's

	mu       sync.Mutex
	sessions map[name.Repository]*session
}

// NewClient returns a Client without options.
func NewClient() *Client {
	client, _ := (&Options{}).Client() // empty options are always valid
	return client
}

func newTransport(dial *dialer) *http.Transport {
	base := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // the standard library's own
	// One registry serves most requests; the default of two idle connections would
	// make each burst of parallel reads shake hands again.
	base.MaxIdleConnsPerHost = 32
	base.ResponseHeaderTimeout = 20 * time.Second
	base.DialContext = dial.DialContext
	return base
}

// NewClientOver returns a Client that uses the caller's transport.
func NewClientOver(base http.RoundTripper) *Client {
	return &Client{
		base:     safeTransport{apiRedirects{base}},
		keychain: keychains{authn.DefaultKeychain},
		sessions: map[name.Repository]*session{},
	}
}

// retrying repeats requests after transient errors; 0.1 and 0.3 seconds fit into an
// admission request's time.
func retrying(inner http.RoundTripper) http.RoundTripper {
	return transport.NewRetry(inner, transport.WithRetryStatusCodes(
		http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout))
}

// safeTransport rejects plain HTTP to other than loopback addresses: the registry client would
// fall back to it for private addresses, and the absence of evidence could be forged in
// transit. It also recovers from panics: the registry client sends requests from its own
// goroutines.
type safeTransport struct{ inner http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t safeTransport) RoundTrip(request *http.Request) (response *http.Response, err error) {
	if request.URL.Scheme != schemeHTTPS && !loopback.IsHost(request.URL.Hostname()) {
		return nil, fmt.Errorf("refusing plain HTTP to %s", request.URL.Host)
	}
	err = panics.Catch(func() error {
		response, err = t.inner.RoundTrip(request) //nolint:bodyclose // the caller closes what is returned
		return err
	})
	return response, err
}

// session is an authenticated connection to one repository.
type session struct {
	repository name.Repository
	once       sync.Once
	client     *http.Client
	err        error
	expires    time.Time
}

// errNotOpened is the error of a session whose opening panicked.
var errNotOpened = errors.New("the connection couldn't be opened")

// maxSessions bounds the open sessions: anyone who can create pods chooses the names that
// match a Gate's `*`.
const maxSessions = 1000

// sessionLife is how long credentials are used before the keychain is queried again.
const sessionLife = 5 * time.Minute

// session returns the repository's session, and opens it if necessary. A session that
// couldn't be opened isn't stored, so that the registry is tried again.
func (c *Client) session(ctx context.Context, repository name.Repository) (*session, error) {
	c.mu.Lock()
	s, ok := c.sessions[repository]
	if !ok || time.Now().After(s.expires) {
		if len(c.sessions) >= maxSessions {
			clear(c.sessions) // those in use go on; the next ones are opened again
		}
		s = &session{repository: repository, expires: time.Now().Add(sessionLife), err: errNotOpened}
		c.sessions[repository] = s
	}
	c.mu.Unlock()

	s.once.Do(func() { s.client, s.err = c.open(ctx, repository) })
	if s.err == nil {
		return s, nil
	}
	c.mu.Lock()
	if c.sessions[repository] == s {
		delete(c.sessions, repository)
	}
	c.mu.Unlock()
	return nil, s.err
}

func (c *Client) open(ctx context.Context, repository name.Repository) (*http.Client, error) {
	c.allowHost(repository)
	credentials, err := c.keychain.matching(ctx, repository)
	if err != nil {
		return nil, fmt.Errorf("finding credentials for %s: %w", repository.RegistryStr(), err)
	}
	authenticated, err := newAlternatives(ctx, repository, retrying(c.base), credentials)
	if err != nil {
		return nil, shorten(redact(err))
	}
	return &http.Client{Transport: authenticated, CheckRedirect: c.checkRedirect}, nil
}

// allowHost allows a private address for the registry of a repository that was requested by
// name.
func (c *Client) allowHost(repository name.Repository) {
	if c.dialer != nil {
		c.dialer.allow(repository.RegistryStr())
	}
}

// redact removes the URL, whose query may contain a token, from errors of the standard
// client.
func redact(err error) error {
	if urlError, ok := errors.AsType[*url.Error](err); ok {
		return urlError.Err
	}
	return err
}
