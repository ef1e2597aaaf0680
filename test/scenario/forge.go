package scenario

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/envladder/envladder/test/bed"
)

// pullRequest is a pull request in Gitea's API.
type pullRequest struct {
	Number int    `json:"number"`
	Title  string `json:"title"`
	Body   string `json:"body"`
	Draft  bool   `json:"draft"`
	URL    string `json:"html_url"`
	Head   struct {
		Ref string `json:"ref"`
	} `json:"head"`
}

// createPull opens a pull request. It retries, since Gitea may not know a new branch yet.
func (s *Scenario) createPull(ctx context.Context, repository string, fields map[string]string) (opened pullRequest, err error) {
	err = bed.Poll(ctx, settleBound, func(ctx context.Context) error {
		return s.bed.Gitea.API(ctx, http.MethodPost, "/repos/"+repository+"/pulls", fields, &opened)
	})
	return opened, err
}

// openPull returns the only open pull request of a repository.
func (s *Scenario) openPull(ctx context.Context, repository string) (pullRequest, error) {
	var open []pullRequest
	if err := s.bed.Gitea.API(ctx, http.MethodGet, "/repos/"+repository+"/pulls?state=open", nil, &open); err != nil {
		return pullRequest{}, err
	}
	if len(open) != 1 {
		return pullRequest{}, fmt.Errorf("%s has %d open pull requests, want 1", repository, len(open))
	}
	return open[0], nil
}

// mergePromotion merges the open promotion, even if it is a draft.
func (s *Scenario) mergePromotion(ctx context.Context) error {
	const repository = "team/gitops"
	open, err := s.openPull(ctx, repository)
	if err != nil {
		return err
	}
	if open.Draft {
		path := fmt.Sprintf("/repos/%s/pulls/%d", repository, open.Number)
		ready := map[string]string{"title": strings.TrimPrefix(open.Title, "WIP: ")}
		if err := s.bed.Gitea.API(ctx, http.MethodPatch, path, ready, nil); err != nil {
			return err
		}
	}
	return s.mergePull(ctx, repository, open.Number)
}

// mergePull merges a pull request. It retries, since Gitea first checks in the background whether
// the pull request can be merged.
func (s *Scenario) mergePull(ctx context.Context, repository string, number int) error {
	err := bed.Poll(ctx, settleBound, func(ctx context.Context) error {
		return s.bed.Gitea.API(ctx, http.MethodPost, fmt.Sprintf("/repos/%s/pulls/%d/merge", repository, number),
			map[string]any{"Do": "merge", "delete_branch_after_merge": true}, nil)
	})
	if err != nil {
		return fmt.Errorf("merging pull request %d of %s: %w", number, repository, err)
	}
	s.say.Output(fmt.Sprintf("merged pull request %d of %s", number, repository))
	return nil
}
