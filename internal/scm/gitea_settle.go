package scm

import (
	"context"
	"errors"
	"net/http"
	"time"

	"code.gitea.io/sdk/gitea"
)

// settle is how long Gitea may take to process a repository's first push; 1.3 s were
// measured.
const settle = 10 * time.Second

// The causes of a 404 for a repository that the token may see.
var (
	errNoPush = errors.New("the repository exists and has no branch: push one first (if one was just pushed, try again)")
	errNoPull = errors.New("the repository exists, but not the requested item: check that its settings allow pull requests (a mirror has none), that the token may read them, and that both branches exist")
)

// settled retries a call while Gitea responds with 404 because it hasn't processed the
// repository's first push. It does that after accepting the push; until then the repository
// has neither branches nor pull requests. Any other 404 is returned with its cause.
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

// explain finds the cause of a 404 by listing the repository's branches: for a repository
// that doesn't exist, or that the token may not see, that is another 404.
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
