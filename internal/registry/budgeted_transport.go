package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/semaphore"

	"github.com/envladder/envladder/internal/bounded"
)

// BudgetedTransport is a way into registries for libraries that bring a client of their own. It has
// the Client's guards and credentials, and bounds each answer to MaxBlob and all of them
// to maxBudget. Whoever has one closes it.
type BudgetedTransport struct {
	client *Client

	mu     sync.Mutex
	read   int64
	closed bool
	err    error
}

const (
	// maxBudget bounds the bytes that are read by one BudgetedTransport: a handful of the largest
	// blobs.
	maxBudget = 64 << 20
	// maxBudgets bounds those of all that are open in the process: libraries hold what
	// they read. Signatures have some KiB; who attaches much to many images can't take
	// more memory than this.
	maxBudgets = 2 * maxBudget
)

// budgets is the room for what is read by all that are open.
var budgets = semaphore.NewWeighted(maxBudgets)

// errNoRoom is about an BudgetedTransport that would read what there is no room for. It doesn't wait
// for room: each might, for the others.
var errNoRoom = errors.New("too much is read at once; try again")

// BudgetedTransport returns a way into these repositories.
func (c *Client) BudgetedTransport(repositories ...string) (*BudgetedTransport, error) {
	for _, repository := range repositories {
		parsed, err := parseRepository(repository)
		if err != nil {
			return nil, err
		}
		c.named(parsed)
	}
	return &BudgetedTransport{client: c}, nil
}

// Options returns the options for the registry client.
func (a *BudgetedTransport) Options(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithTransport(a), remote.WithAuthFromKeychain(a.client.keychain)}
}

// Keychain has the credentials.
func (a *BudgetedTransport) Keychain() authn.Keychain { return a.client.keychain }

// Err returns the first failure to read, which libraries may report as missing content. Missing
// content itself is no failure.
func (a *BudgetedTransport) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

func (a *BudgetedTransport) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		a.err = err
	}
}

// Close gives back the room of what was read. Nothing is read any more.
func (a *BudgetedTransport) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		budgets.Release(a.read)
	}
	a.closed = true
}

// take asks for room for so many bytes.
func (a *BudgetedTransport) take(n int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
		return errors.New("no caller waits for the answer any more")
	case a.read+n > maxBudget:
		return fmt.Errorf("all answers of the registry together: %w", ErrTooLarge)
	case !budgets.TryAcquire(n):
		return errNoRoom
	}
	a.read += n
	return nil
}

// RoundTrip implements http.RoundTripper.
func (a *BudgetedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := a.client.base.RoundTrip(request)
	if err != nil {
		// The client tries plain HTTP as well as HTTPS where allowed; that isn't a failure.
		if request.URL.Path != "/v2/" {
			a.fail(&Error{Action: "reading attestations", Repository: request.URL.Host, Err: redact(err)})
		}
		return nil, err
	}
	if response.StatusCode >= http.StatusInternalServerError || response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusForbidden {
		a.fail(&Error{Action: "reading attestations", Repository: request.URL.Host, Err: fmt.Errorf("the registry answered %s", response.Status)})
	}
	response.Body = &budgetedBody{bounded.NewBody(response.Body, MaxBlob, fmt.Errorf("an answer of the registry: %w", ErrTooLarge)), a}
	return response, nil
}

// budgetedBody takes what is read of it from an BudgetedTransport, and ends with an error where there is
// no room for it.
type budgetedBody struct {
	io.ReadCloser

	access *BudgetedTransport
}

// Read implements io.Reader.
func (b *budgetedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if full := b.access.take(int64(n)); full != nil {
		err = full
	}
	if err != nil && !errors.Is(err, io.EOF) {
		b.access.fail(err)
		return 0, err
	}
	return n, err
}
