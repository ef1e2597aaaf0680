package promote

import (
	"context"
	"fmt"

	"github.com/envladder/envladder/internal/scm"
)

// request opens the branch's pull request, or updates the one that is open.
func (p *promotion) request(ctx context.Context, r *Result) error {
	change := scm.Change{Head: r.Branch, Base: r.Base, Title: r.Title, Body: r.Text, Draft: r.open()}
	done, created, err := p.upsert(ctx, change)
	if err != nil {
		return err
	}
	r.PullRequest = &PullRequest{Number: done.Number, URL: done.URL, Draft: done.Draft}
	r.Outcome = Updated
	if created {
		r.Outcome = Opened
	}
	return nil
}

// checkDraft is an error where what is unproven is no draft, as the forge tells it: it can
// be merged as it stands. The pull request stays open, and its text says what is missing;
// that it can't be merged by mistake, only a person can see to.
func (r *Result) checkDraft() error {
	if !r.open() || r.PullRequest.Draft {
		return nil
	}
	r.Notes = append(r.Notes, "the forge didn't make it a draft: it can be merged as it stands")
	return fmt.Errorf("pull request %d is open and can be merged, though what it promotes is unproven: the forge didn't make it a draft: see that nobody merges it, or close it (%s); "+
		"Gitea knows a draft by its title: [repository.pull-request] WORK_IN_PROGRESS_PREFIXES must have \"WIP:\"", r.PullRequest.Number, r.PullRequest.URL)
}

func (p *promotion) upsert(ctx context.Context, change scm.Change) (done scm.PullRequest, created bool, err error) {
	found, ok, err := p.forge.Find(ctx, change.Head, change.Base)
	if err != nil {
		return scm.PullRequest{}, false, err
	}
	if !ok {
		created, createErr := p.forge.Create(ctx, change)
		if createErr == nil {
			return created, true, nil
		}
		// Another promotion may have opened it meanwhile; each forge says so in its way.
		if found, ok, err = p.forge.Find(ctx, change.Head, change.Base); err != nil || !ok {
			return scm.PullRequest{}, false, createErr
		}
	}
	done, err = p.forge.Update(ctx, found.Number, change)
	if err != nil {
		return scm.PullRequest{}, false, fmt.Errorf("pull request %d: %w", found.Number, err)
	}
	return done, false, nil
}
