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

// BudgetedTransport is an http.RoundTripper for libraries that have their own registry client.
// It applies the Client's protections and credentials, and bounds each response to MaxBlob
// and all of them to maxBudget. The caller must close it.
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
	// maxBudgets bounds the bytes read by all open ones in the process, since libraries
	// hold what they read. Signatures have some KiB; attaching large ones to many images
	// can't use more memory than this.
	maxBudgets = 2 * maxBudget
)

// budgets limits the bytes read by all open transports.
var budgets = semaphore.NewWeighted(maxBudgets)

// errNoRoom is returned for a read beyond maxBudgets. Waiting for other transports to close
// could deadlock, since each might wait for the others.
var errNoRoom = errors.New("too much data is read at once; try again")

// BudgetedTransport returns a transport for these repositories.
func (c *Client) BudgetedTransport(repositories ...string) (*BudgetedTransport, error) {
	for _, repository := range repositories {
		parsed, err := parseRepository(repository)
		if err != nil {
			return nil, err
		}
		c.allowHost(parsed)
	}
	return &BudgetedTransport{client: c}, nil
}

// Options returns the options for the registry client.
func (a *BudgetedTransport) Options(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithTransport(a), remote.WithAuthFromKeychain(a.client.keychain)}
}

// Keychain returns the Client's credentials.
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

// Close releases the budget. Later reads fail.
func (a *BudgetedTransport) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		budgets.Release(a.read)
	}
	a.closed = true
}

// reserve reserves budget for n bytes.
func (a *BudgetedTransport) reserve(n int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
		return errors.New("the caller no longer waits for the response")
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

// budgetedBody is a response body whose reads are counted against a BudgetedTransport's budget.
// It ends with an error when the budget is exhausted.
type budgetedBody struct {
	io.ReadCloser

	access *BudgetedTransport
}

// Read implements io.Reader.
func (b *budgetedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if full := b.access.reserve(int64(n)); full != nil {
		err = full
	}
	if err != nil && !errors.Is(err, io.EOF) {
		b.access.fail(err)
		return 0, err
	}
	return n, err
}
