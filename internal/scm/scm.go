// Package scm reads and opens pull requests of a forge: Gitea (and Forgejo) and GitHub.
// It alone knows the forges' APIs; everything it reads is bounded, and what it can't
// read whole is an error.
//
// What a pull request means it leaves to its callers: a preview to appset-generator, a
// promotion to promote. Everything that a pull request says of itself is its author's
// to choose.
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

// PullRequest as its forge tells it. Texts are as their author wrote them.
type PullRequest struct {
	Number int
	Title  string
	// Head and Base are branches; HeadSHA is the head's commit.
	Head, HeadSHA, Base string
	// HeadRepository is owner/name of where the head is; empty where that is gone.
	HeadRepository string
	// Fork is set unless the head is in the repository itself.
	Fork   bool
	Draft  bool
	Author string
	Labels []string
	// URL is its page, for people.
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

// Repository is one repository of a forge. Its methods are safe for concurrent use; an
// error names the forge's answer and never the token.
type Repository interface {
	// Check queries the forge for the repository's pull requests, so that a caller knows
	// that the forge can be reached and that the token may read them.
	Check(ctx context.Context) error
	// Open lists all open pull requests, by number. It is all of them or an error:
	// a page that is missing must not look like pull requests that were closed.
	Open(ctx context.Context) ([]PullRequest, error)
	// Find returns the open pull request from branch head of this repository into
	// branch base; ok is false where there is none.
	Find(ctx context.Context, head, base string) (found PullRequest, ok bool, err error)
	// From lists the open pull requests from branch head of this repository, into
	// whichever branch.
	From(ctx context.Context, head string) ([]PullRequest, error)
	// Commits lists the commits of a pull request, the newest first. Of more than some
	// hundred, it may not have all.
	Commits(ctx context.Context, number int) ([]string, error)
	// Create opens a pull request. Whether it is a draft the answer says: a forge that
	// doesn't know it by its title (Gitea) makes none, and that is no error here.
	Create(ctx context.Context, change Change) (PullRequest, error)
	// Update gives an open pull request another title, text and draft state; its
	// branches stay.
	Update(ctx context.Context, number int, change Change) (PullRequest, error)
	// Draft makes a draft of an open pull request, and leaves its text alone. Whether
	// it is one the answer says, as that of Create.
	Draft(ctx context.Context, open PullRequest) (PullRequest, error)
	// Close closes an open pull request without merging it, and replaces its text.
	Close(ctx context.Context, number int, body string) (PullRequest, error)
}

// Options say which repository, and with which credentials it is queried.
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
		return nil, errors.New("want a URL without a password: the token has a place of its own")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("want a URL without query and fragment")
	case u.Scheme == "http" && !loopback.IsHost(u.Hostname()):
		return nil, errors.New("plain HTTP would show the token to the network: want an https URL")
	}
	return u, nil
}

// Error says what a forge didn't do.
type Error struct {
	// Action is a gerund with its operand: listing the pull requests.
	Action string
	// Repository is host/owner/name.
	Repository string
	// Status is the HTTP status that the forge answered with, 0 where it didn't.
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
