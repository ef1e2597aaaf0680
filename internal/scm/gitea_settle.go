package scm

import (
	"context"
	"errors"
	"net/http"
	"time"

	"code.gitea.io/sdk/gitea"
)

// settle is how long Gitea may take to look at a repository's first push; 1.3 s were
// seen.
const settle = 10 * time.Second

// What a 404 means for a repository that the token may see.
var (
	errNoPush = errors.New("the repository is there, and has no branch: push one first (if one was pushed just now, try again)")
	errNoPull = errors.New("the repository is there, but not what was asked for: do its settings allow pull requests (a mirror has none), may the token read them, and are both branches there?")
)

// settled does something again while Gitea answers 404 because it hasn't looked at the
// repository's first push: it does after it has accepted it, and until then a repository
// has neither branches nor pull requests. Any other 404 stays one, and says what it is.
func (r giteaRepository) settled(ctx context.Context, do func() error) error {
	deadline := time.Now().Add(settle)
	for {
		err := do()
		if !IsStatus(err, http.StatusNotFound) {
			return err
		}
		err = r.explain(ctx, err)
		if !errors.Is(err, errNoPush) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// explain looks for the reason of a 404 in the repository's branches. They are a list: of
// a repository that isn't there, or that the token may not see, it is another 404.
func (r giteaRepository) explain(ctx context.Context, notFound error) error {
	branches := 0
	err := r.call(ctx, "listing the branches", func(_ context.Context, api *gitea.Client) (*http.Response, error) {
		some, response, err := api.ListRepoBranches(r.owner, r.name, gitea.ListRepoBranchesOptions{ListOptions: gitea.ListOptions{Page: 1, PageSize: 1}})
		branches = len(some)
		return httpOf(response), err
	})
	e, ok := errors.AsType[*Error](notFound)
	switch {
	case err != nil, !ok:
		return notFound
	case branches == 0:
		return &Error{Action: e.Action, Repository: e.Repository, Status: e.Status, Err: errNoPush}
	}
	return &Error{Action: e.Action, Repository: e.Repository, Status: e.Status, Err: errNoPull}
}
