package promote

import (
	"context"
	"errors"
	"fmt"

	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/internal/scm"
)

// findPullRequest finds the branch's pull request where one will be written, before the
// branch is pushed: without a branch none is open. A pull request that was opened as a
// draft stays one unless a Gate was checked.
func (p *promotion) findPullRequest(ctx context.Context, r *Result, onBranch proposal) (scm.PullRequest, error) {
	if onBranch.commit == "" || p.DryRun || (r.unproven() && !p.AllowUnproven) {
		return scm.PullRequest{}, nil
	}
	found, err := p.openPullRequest(ctx, r.Branch)
	if err == nil && found.Draft && !r.gateChecked && !r.unproven() {
		r.staysDraft = true
		r.Notes = append(r.Notes, fmt.Sprintf("pull request %d stays a draft, since no Gate was checked: pass one (--gate), or mark it ready by hand", found.Number))
	}
	return found, err
}

// openPullRequest returns the branch's open pull request into the base; its number is 0
// where there is none. It fails for a branch with a pull request into another base: a push
// would change what that one proposes.
func (p *promotion) openPullRequest(ctx context.Context, branch string) (found scm.PullRequest, err error) {
	open, err := p.forge.From(ctx, branch)
	if err != nil {
		return found, err
	}
	for _, pr := range open {
		if pr.Base != p.Base {
			return found, fmt.Errorf("promoting by branch %q: pull request %d from it into %q is open (%s), and a push would change what it proposes: close it, or delete the branch (git push %s --delete %s)",
				branch, pr.Number, printable.Line(pr.Base, maxMark), pr.URL, p.Remote, branch)
		}
		found = pr
	}
	return found, nil
}

// makeDraft makes an open pull request a draft before unproven changes are pushed to its
// branch: the forge may be set to merge it once its checks pass.
func (p *promotion) makeDraft(ctx context.Context, r *Result, pr scm.PullRequest) error {
	if !r.unproven() || pr.Number == 0 || pr.Draft {
		return nil
	}
	draft, err := p.forge.Draft(ctx, pr)
	if err == nil && !draft.Draft {
		err = errNoDraft
	}
	if err != nil {
		return fmt.Errorf("pull request %d is open and not a draft (%s), so no unproven change is pushed: %w", pr.Number, pr.URL, err)
	}
	return nil
}

// errNoDraft is returned where the forge reports that a pull request isn't a draft.
var errNoDraft = errors.New("the forge didn't make it a draft: Gitea recognizes a draft by its title: " +
	"[repository.pull-request] WORK_IN_PROGRESS_PREFIXES must have \"WIP:\"")

// upsertPullRequest opens the branch's pull request, or updates the one that is open.
func (p *promotion) upsertPullRequest(ctx context.Context, r *Result) error {
	change := scm.Change{Head: r.Branch, Base: r.Base, Title: r.Title, Body: r.Body, Draft: r.unproven()}
	done, created, err := p.upsert(ctx, change, !r.gateChecked)
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

// checkDraft fails where an unproven pull request isn't a draft, as the forge reports it:
// it can be merged as it is. The pull request stays open, and its body lists what is
// missing; preventing a merge is left to people.
func (r *Result) checkDraft() error {
	if !r.unproven() || r.PullRequest.Draft {
		return nil
	}
	r.Notes = append(r.Notes, "the forge didn't make it a draft: it can be merged as it is")
	return fmt.Errorf("pull request %d is unproven, open, and not a draft: prevent a merge, or close it (%s): %w",
		r.PullRequest.Number, r.PullRequest.URL, errNoDraft)
}

// upsert opens a pull request, or updates the one that is open. keepDraft leaves a draft
// one.
func (p *promotion) upsert(ctx context.Context, change scm.Change, keepDraft bool) (done scm.PullRequest, created bool, err error) {
	found, ok, err := p.forge.Find(ctx, change.Head, change.Base)
	if err != nil {
		return scm.PullRequest{}, false, err
	}
	if !ok {
		created, createErr := p.forge.Create(ctx, change)
		if createErr == nil {
			return created, true, nil
		}
		// Another promotion may have opened it meanwhile; each forge reports that in its
		// own way.
		if found, ok, err = p.forge.Find(ctx, change.Head, change.Base); err != nil || !ok {
			return scm.PullRequest{}, false, createErr
		}
	}
	change.Draft = change.Draft || (keepDraft && found.Draft)
	done, err = p.forge.Update(ctx, found.Number, change)
	if err != nil {
		return scm.PullRequest{}, false, fmt.Errorf("pull request %d: %w", found.Number, err)
	}
	return done, false, nil
}
