package registry

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// alternatives reads a repository with the first credentials that the registry accepts, as
// a kubelet tries those of its pull secrets one after another.
type alternatives struct {
	repository name.Repository
	base       http.RoundTripper

	mu  sync.Mutex
	all []*alternative // those accepted last come first
}

// alternative is one of several credentials. Its transport is nil until it is used.
type alternative struct {
	credentials authn.Authenticator
	transport   http.RoundTripper
}

// newAlternatives authenticates with the first credentials that aren't denied.
func newAlternatives(ctx context.Context, repository name.Repository, base http.RoundTripper, credentials []authn.Authenticator) (*alternatives, error) {
	a := &alternatives{repository: repository, base: base}
	for _, one := range credentials {
		a.all = append(a.all, &alternative{credentials: one})
	}
	var err error
	for _, one := range a.inOrder() {
		if _, err = a.open(ctx, one); err == nil {
			a.prefer(one)
		}
		if err == nil || !isDenied(err) {
			return a, err
		}
	}
	return nil, err
}

// open returns the transport that authenticates with these credentials.
func (a *alternatives) open(ctx context.Context, one *alternative) (http.RoundTripper, error) {
	a.mu.Lock()
	opened := one.transport
	a.mu.Unlock()
	if opened != nil {
		return opened, nil
	}
	opened, err := transport.NewWithContext(ctx, a.repository.Registry, one.credentials, a.base, []string{a.repository.Scope(transport.PullScope)})
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	one.transport = opened
	return opened, nil
}

func (a *alternatives) inOrder() []*alternative {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all
}

// prefer moves these credentials to the front, so that they are tried first from now on.
func (a *alternatives) prefer(one *alternative) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all[0] == one {
		return
	}
	ordered := []*alternative{one}
	for _, other := range a.all {
		if other != one {
			ordered = append(ordered, other)
		}
	}
	a.all = ordered
}

// RoundTrip implements http.RoundTripper for requests without a body. Where all
// credentials are denied it returns the answer to the first ones.
func (a *alternatives) RoundTrip(request *http.Request) (*http.Response, error) {
	all := a.inOrder()
	first, firstErr := a.send(request, all[0])
	if !deniedAnswer(first, firstErr) {
		return first, firstErr
	}
	for _, other := range all[1:] {
		response, err := a.send(request, other)
		if err == nil && !deniedAnswer(response, nil) {
			if first != nil {
				first.Body.Close()
			}
			a.prefer(other)
			return response, nil
		}
		if response != nil {
			response.Body.Close()
		}
	}
	return first, firstErr
}

func (a *alternatives) send(request *http.Request, one *alternative) (*http.Response, error) {
	opened, err := a.open(request.Context(), one)
	if err != nil {
		return nil, err
	}
	return opened.RoundTrip(request.Clone(request.Context()))
}

func deniedAnswer(response *http.Response, err error) bool {
	if err != nil {
		return isDenied(err)
	}
	return isDeniedStatus(response.StatusCode)
}

func isDenied(err error) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && isDeniedStatus(answer.StatusCode)
}

func isDeniedStatus(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}
