package promote

import (
	"context"
	"errors"
	"fmt"

	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/internal/scm"
)

// openRequest looks for the branch's pull request where it will be written, before the
// branch is: without a branch there is none that is open. What was opened as a draft isn't
// made ready without a Gate's word.
func (p *promotion) openRequest(ctx context.Context, r *Result, onBranch proposal) (scm.PullRequest, error) {
	if onBranch.commit == "" || p.DryRun || r.open() && !p.AllowUnproven {
		return scm.PullRequest{}, nil
	}
	found, err := p.requestFrom(ctx, r.Branch)
	if err == nil && found.Draft && !r.asked && !r.open() {
		r.stays = true
		r.Notes = append(r.Notes, fmt.Sprintf("pull request %d stays a draft, since no Gate was asked: name one (--gate), or mark it ready by hand", found.Number))
	}
	return found, err
}

// requestFrom returns the branch's open pull request into the base; there is none without
// a number. It refuses a branch from which another one is open: a push would change what
// that one proposes, into a branch that the promotion isn't about.
func (p *promotion) requestFrom(ctx context.Context, branch string) (found scm.PullRequest, err error) {
	all, err := p.forge.From(ctx, branch)
	if err != nil {
		return found, err
	}
	for _, request := range all {
		if request.Base != p.Base {
			return found, fmt.Errorf("promoting by branch %q: pull request %d from it into %q is open (%s), and a push would change what it proposes: close it, or delete the branch (git push %s --delete %s)",
				branch, request.Number, printable.Line(request.Base, maxMark), request.URL, p.Remote, branch)
		}
		found = request
	}
	return found, nil
}

// holdBack makes a draft of an open pull request before what is unproven is pushed onto its
// branch: where checks are all that it waits for, the forge merges it by itself.
func (p *promotion) holdBack(ctx context.Context, r *Result, request scm.PullRequest) error {
	if !r.open() || request.Number == 0 || request.Draft {
		return nil
	}
	held, err := p.forge.Draft(ctx, request)
	if err == nil && !held.Draft {
		err = errNoDraft
	}
	if err != nil {
		return fmt.Errorf("pull request %d is open and no draft (%s), so nothing is pushed that is unproven: %w", request.Number, request.URL, err)
	}
	return nil
}

// errNoDraft is that a forge took a pull request for ready, as it tells it.
var errNoDraft = errors.New("the forge didn't make it a draft: Gitea knows a draft by its title: " +
	"[repository.pull-request] WORK_IN_PROGRESS_PREFIXES must have \"WIP:\"")

// request opens the branch's pull request, or updates the one that is open.
func (p *promotion) request(ctx context.Context, r *Result) error {
	change := scm.Change{Head: r.Branch, Base: r.Base, Title: r.Title, Body: r.Text, Draft: r.open()}
	done, created, err := p.upsert(ctx, change, !r.asked)
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
	return fmt.Errorf("pull request %d is open and can be merged, though what it promotes is unproven: see that nobody merges it, or close it (%s): %w",
		r.PullRequest.Number, r.PullRequest.URL, errNoDraft)
}

// upsert opens a pull request, or updates the one that is open; keep leaves a draft one.
func (p *promotion) upsert(ctx context.Context, change scm.Change, keep bool) (done scm.PullRequest, created bool, err error) {
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
	change.Draft = change.Draft || keep && found.Draft
	done, err = p.forge.Update(ctx, found.Number, change)
	if err != nil {
		return scm.PullRequest{}, false, fmt.Errorf("pull request %d: %w", found.Number, err)
	}
	return done, false, nil
}
