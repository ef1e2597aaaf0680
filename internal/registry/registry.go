// Package registry reads and writes what envladder needs of OCI registries: digests of
// tags, the referrers of a digest, manifests and blobs. It alone knows the registry
// client; everything it reads is bounded and, where it has a digest, checked against it.
//
// It leaves to internal/evidence what a referrer means.
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
	// MaxManifest is the distribution specification's own advice for a manifest's size.
	MaxManifest = 4 << 20
	// MaxBlob bounds a bundle: the largest SBOMs of real images have a few MiB, and
	// base64 in a bundle adds a third.
	MaxBlob = 10 << 20
	// MaxReferrers bounds how many referrers of one digest are listed. A digest in
	// use for a year gathers some hundreds (a soak a day); the rest is room for junk,
	// among which proof is still found.
	MaxReferrers = 10_000
	// maxPages bounds the pages of such a list; registries send 50 to 1000 a page.
	maxPages = 200
)

// ErrNotFound is what a registry answers about a thing that it doesn't have.
var ErrNotFound = errors.New("not found")

// ErrTooLarge is about a thing beyond its bound.
var ErrTooLarge = errors.New("larger than its bound")

// Error says what failed in which repository. It holds no credentials: what it wraps
// names no query of a URL.
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

// Descriptor is a thing in a registry.
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
	// base has no retries of its own: the client's pushes bring theirs.
	base     http.RoundTripper
	keychain keychains
	dialer   *dialer // nil over a transport of the caller's

	mu       sync.Mutex
	sessions map[name.Repository]*session
}

// NewClient returns a Client without options.
func NewClient() *Client {
	client, _ := (&Options{}).Client() // nothing in them can be wrong
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

// NewClientOver returns a Client that speaks through a transport of the caller's.
func NewClientOver(base http.RoundTripper) *Client {
	return &Client{
		base:     guarded{apiRedirects{base}},
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

// guarded refuses plain HTTP beyond loopback: the registry client would fall back to it
// for private addresses, and a proof's absence could be forged on the way. It catches
// panics: the registry client asks from goroutines of its own.
type guarded struct{ inner http.RoundTripper }

func (g guarded) RoundTrip(request *http.Request) (response *http.Response, err error) {
	if request.URL.Scheme != schemeHTTPS && !loopback.IsHost(request.URL.Hostname()) {
		return nil, fmt.Errorf("refusing plain HTTP to %s", request.URL.Host)
	}
	err = panics.Catch(func() error {
		response, err = g.inner.RoundTrip(request) //nolint:bodyclose // the caller closes what is returned
		return err
	})
	return response, err
}

// session is an authenticated way to one repository.
type session struct {
	repository name.Repository
	once       sync.Once
	client     *http.Client
	err        error
	expires    time.Time
}

// errNotOpened stays where opening a session panicked.
var errNotOpened = errors.New("the connection couldn't be opened")

// maxSessions bounds what is remembered: who may create pods chooses the names behind a
// Gate's `*`.
const maxSessions = 1000

// sessionLife bounds how long credentials are held without asking the keychain again.
const sessionLife = 5 * time.Minute

// session returns the repository's session, opened if need be. One that couldn't be
// opened isn't kept, so that a registry which comes back is asked again.
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
	c.named(repository)
	credentials, err := c.keychain.matching(ctx, repository)
	if err != nil {
		return nil, fmt.Errorf("finding credentials for %s: %w", repository.RegistryStr(), err)
	}
	authenticated, err := newAlternatives(ctx, repository, retrying(c.base), credentials)
	if err != nil {
		return nil, brief(redact(err))
	}
	return &http.Client{Transport: authenticated, CheckRedirect: c.checkRedirect}, nil
}

// named notes a registry that was asked for by name.
func (c *Client) named(repository name.Repository) {
	if c.dialer != nil {
		c.dialer.allow(repository.RegistryStr())
	}
}

// redact takes the URL, whose query may hold a token, out of the standard client's
// errors.
func redact(err error) error {
	if urlError, ok := errors.AsType[*url.Error](err); ok {
		return urlError.Err
	}
	return err
}
