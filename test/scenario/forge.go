package scenario

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/envladder/envladder/test/bed"
)

// pullRequest is one of Gitea's, as its API has it.
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

// createPull opens a pull request. Gitea may not know a branch yet that was just pushed.
func (s *Scenario) createPull(ctx context.Context, repository string, what map[string]string) (opened pullRequest, err error) {
	err = bed.Poll(ctx, settleBound, func(ctx context.Context) error {
		return s.bed.Gitea.API(ctx, http.MethodPost, "/repos/"+repository+"/pulls", what, &opened)
	})
	return opened, err
}

// openPull is the only open pull request of a repository.
func (s *Scenario) openPull(ctx context.Context, repository string) (pullRequest, error) {
	var open []pullRequest
	if err := s.bed.Gitea.API(ctx, http.MethodGet, "/repos/"+repository+"/pulls?state=open", nil, &open); err != nil {
		return pullRequest{}, err
	}
	if len(open) != 1 {
		return pullRequest{}, fmt.Errorf("%s has %d open pull requests, not one", repository, len(open))
	}
	return open[0], nil
}

// mergePromotion merges the promotion that is open, a draft too.
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

// mergePull merges a pull request. Gitea checks first whether it can be, in its own time.
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
