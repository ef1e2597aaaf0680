package scm

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/envladder/envladder/internal/loopback"
)

// Forge is a kind of code host.
type Forge string

// The forges.
const (
	Gitea  Forge = "Gitea"
	GitHub Forge = "GitHub"
)

// GitHubURL is the API of github.com.
const GitHubURL = "https://api.github.com"

// PullRequest is a pull request as its forge reports it. Its texts are untrusted.
type PullRequest struct {
	Number int
	Title  string
	// Head and Base are branches; HeadSHA is the head's commit.
	Head, HeadSHA, Base string
	// HeadRepository is owner/name of the head's repository; empty if that was deleted.
	HeadRepository string
	// Fork is set unless the head is in the same repository.
	Fork   bool
	Draft  bool
	Author string
	Labels []string
	// URL is its page.
	URL       string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Change is what a pull request proposes.
type Change struct {
	// Head and Base are branches of the repository.
	Head, Base  string
	Title, Body string
	Draft       bool
}

// Repository is one repository of a forge. Its methods are safe for concurrent use. Errors
// contain the forge's response, and never the token.
type Repository interface {
	// Check queries the forge for the repository's pull requests, so that a caller knows
	// that the forge can be reached and that the token may read them.
	Check(ctx context.Context) error
	// Open lists all open pull requests, by number. A missing page is an error: it must
	// not look like closed pull requests.
	Open(ctx context.Context) ([]PullRequest, error)
	// Find returns the open pull request from branch head of this repository into
	// branch base; ok is false where there is none.
	Find(ctx context.Context, head, base string) (found PullRequest, ok bool, err error)
	// From lists the open pull requests from branch head of this repository, into any
	// branch.
	From(ctx context.Context, head string) ([]PullRequest, error)
	// Commits lists the commits of a pull request, the newest first. It may not list more
	// than some hundred.
	Commits(ctx context.Context, number int) ([]string, error)
	// Create opens a pull request. Callers check Draft in the result: Gitea recognizes a
	// draft by its title, and not recognizing it is no error here.
	Create(ctx context.Context, change Change) (PullRequest, error)
	// Update changes the title, body and draft state of an open pull request.
	Update(ctx context.Context, number int, change Change) (PullRequest, error)
	// Draft makes an open pull request a draft, and leaves its body unchanged. Callers
	// check Draft in the result, as for Create.
	Draft(ctx context.Context, open PullRequest) (PullRequest, error)
	// Close closes an open pull request without merging it, and replaces its body.
	Close(ctx context.Context, number int, body string) (PullRequest, error)
}

// Options identify a repository and the credentials for it.
type Options struct {
	HostOptions

	// Repository is owner/name.
	Repository string
}

// New returns a repository of a forge. It sends no request yet.
func New(o Options) (Repository, error) {
	host, err := NewHost(o.HostOptions)
	if err != nil {
		return nil, err
	}
	return host.Repository(o.Repository)
}

func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return nil, errors.New("its URL is missing")
	case err != nil, u.Host == "", u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("want an https URL")
	case u.User != nil:
		return nil, errors.New("want a URL without a password: pass the token separately")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("want a URL without query and fragment")
	case u.Scheme == "http" && !loopback.IsHost(u.Hostname()):
		return nil, errors.New("plain HTTP would show the token to the network: want an https URL")
	}
	return u, nil
}

// Error is a failed request to a forge.
type Error struct {
	// Action is a gerund with its operand: listing the pull requests.
	Action string
	// Repository is host/owner/name.
	Repository string
	// Status is the HTTP status of the response, 0 where there was none.
	Status int
	Err    error
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s of %s: ", e.Action, e.Repository)
	switch e.Status {
	case 0:
		return text + e.Err.Error()
	case 401:
		return text + "401: the forge doesn't know the token (give it one that is valid, and that may read the repository)"
	case 403:
		if errors.Is(e.Err, ErrLimited) {
			return fmt.Sprintf("%s%d: %v", text, e.Status, e.Err)
		}
		return fmt.Sprintf("%s%d: the token may not do this: %v", text, e.Status, e.Err)
	case 404:
		if errors.Is(e.Err, errNoPush) || errors.Is(e.Err, errNoPull) {
			return fmt.Sprintf("%s%d: %v", text, e.Status, e.Err)
		}
		return text + "404: there is no such repository, or the token may not see it"
	default:
		return fmt.Sprintf("%s%d: %v", text, e.Status, e.Err)
	}
}

func (e *Error) Unwrap() error { return e.Err }
