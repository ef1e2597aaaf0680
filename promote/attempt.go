package promote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/ladder"
)

// attempt promotes into one pins file, from the newest state of the base.
func (p *promotion) attempt(ctx context.Context, g pinsGroup, waiting *backoff) (Result, error) {
	base, err := p.newest(ctx)
	if err != nil {
		return Result{}, err
	}
	target, err := base.document.EnvTarget(g.environment, g.target())
	if err != nil {
		return Result{}, err
	}
	if target.PinsFile != g.file {
		return Result{}, fmt.Errorf("promoting to %s: its pins file changed in the ladder meanwhile: try again", g.name())
	}
	r := &Result{
		Ladder: base.document.Metadata.Name, Environment: g.environment, Targets: g.targets, EnvTarget: g.name(),
		Pins: g.file, Base: p.Base, Changes: []Change{}, Reasons: []Reason{}, Verdicts: []GateResult{},
	}
	var onBranch proposal
	if target.Environment.Promotion != ladder.PromotionCommit {
		r.Branch = g.branch(base.document, p.Base, p.defaultBranch)
		if onBranch, err = p.proposed(ctx, base, r.Branch, target); err != nil {
			return *r, err
		}
	}
	r.Changes, r.Notes = p.changes(base.document, target, onBranch, r.Branch)
	var held []string
	if r.Changes, held, err = p.dropRolledBack(ctx, base, g.file, r.Changes); err != nil {
		return *r, err
	}
	r.Notes = append(r.Notes, held...)
	gone := p.withdrawnChanges(base.document, target.Pins, onBranch)
	for _, c := range gone {
		r.Notes = append(r.Notes, withdrawnNote(c.name(), c.Old, r.Branch, onBranch.source.name))
	}
	isNew := slices.ContainsFunc(r.Changes, func(c Change) bool { return !c.CarriedOver })
	switch {
	case isNew:
	case len(gone) > 0 && len(r.Changes) == 0:
		err := p.withdraw(ctx, r, base.document)
		return *r, err
	case len(gone) > 0: // the proposals of others stay
		if err := p.findForge(ctx, base.document); err != nil {
			return *r, err
		}
	case len(held) > 0:
		r.Changes, r.Notes, r.Outcome = []Change{}, held, RolledBack
		return *r, nil
	default:
		// The proposals of others are left alone.
		r.Changes, r.Notes, r.Outcome = []Change{}, nil, UpToDate
		return *r, nil
	}
	edited, err := p.withChanges(ctx, base, g.file, r.Changes)
	if err != nil {
		return *r, err
	}
	if err := p.checkGates(ctx, edited, g, r); err != nil {
		return *r, err
	}
	if onBranch.pullRequest, err = p.findPullRequest(ctx, r, onBranch); err != nil {
		return *r, err
	}
	r.describe(p.origin(r))
	err = p.finish(ctx, base, edited, r, onBranch, waiting)
	return *r, err
}

// finish prints, commits or proposes the edited pins.
func (p *promotion) finish(ctx context.Context, base, edited *snapshot, r *Result, onBranch proposal, waiting *backoff) (err error) {
	switch {
	case r.unproven() && !p.AllowUnproven:
		r.Outcome = Refused
	case p.DryRun:
		r.Outcome = Planned
	}
	if p.DryRun {
		r.Diff, err = p.quarantine.Diff(ctx, base.tree, edited.tree, r.Pins)
		return err
	}
	if r.Outcome == Refused {
		return nil
	}
	if r.Branch == "" {
		return p.commit(ctx, edited, r, waiting)
	}
	return p.propose(ctx, edited, r, onBranch)
}

// changes returns the values to write: the candidate's, and those that others have
// proposed on the same branch.
func (p *promotion) changes(document *ladder.Document, target ladder.EnvTarget, onBranch proposal, branch string) (changes []Change, notes []string) {
	add := func(c Change, candidate string) {
		c.Old, c.New = c.value(target.Pins), candidate
		if candidate == "" {
			value, d := onBranch.disposition(c.value, target.Pins)
			switch note := d.note(c.name(), value, branch, p.Base); {
			case d == withdrawn:
				notes = append(notes, withdrawnNote(c.name(), value, branch, onBranch.source.name))
			case note != "":
				notes = append(notes, note)
			}
			if d != carriedOver {
				return
			}
			c.New, c.CarriedOver = value, true
		}
		if c.New != c.Old {
			changes = append(changes, c)
		}
	}
	for _, image := range document.Spec.Images {
		add(Change{Image: image.Name, Repository: image.Repository}, p.candidate.images[image.Name])
	}
	add(Change{}, p.candidate.chart)
	return changes, notes
}

// note describes the disposition of a value that isn't the promotion's own.
func (d disposition) note(name, value, branch, base string) string {
	if strings.HasPrefix(value, "sha256:") {
		value = shortOrNothing(value)
	}
	switch d {
	case carriedOver:
		return fmt.Sprintf("%s %s was on the branch %s already and is carried over", name, value, branch)
	case takenBack:
		return fmt.Sprintf("%s %s was on the branch %s, has been on %s since, and was replaced there: it isn't proposed again", name, value, branch, base)
	case overtaken:
		return fmt.Sprintf("%s %s was on the branch %s, but %s has another value since: it isn't proposed any more", name, value, branch, base)
	case settled, withdrawn:
	}
	return ""
}

// commit pushes the change to the base branch. If another push came first and changed
// nothing that the promotion depends on, the same change is pushed on top of it: checking
// the Gates again would only let the next push come first.
func (p *promotion) commit(ctx context.Context, edited *snapshot, r *Result, waiting *backoff) error {
	message, err := p.message(ctx, r)
	if err != nil {
		return err
	}
	p.base = nil
	for {
		commit, err := p.quarantine.Commit(ctx, edited.tree, edited.commit, message)
		if err != nil {
			return err
		}
		err = p.quarantine.Push(ctx, p.Base, edited.commit, commit)
		if err == nil {
			r.Commit, r.Outcome = commit, Committed
			return nil
		}
		if !lostRace(err) {
			return err
		}
		if err := waiting.wait(ctx); err != nil {
			return fmt.Errorf("promoting to %s: %w", r.EnvTarget, err)
		}
		tip, err := p.fetchBase(ctx)
		if err != nil {
			return err
		}
		if !edited.tree.Unchanged(tip) {
			return errBranchMoved
		}
		if edited, err = p.rebase(ctx, edited, tip, r.Pins); err != nil {
			return err
		}
	}
}

// message returns the message of the commit after the user's hooks, still with the mark of
// a promotion.
func (p *promotion) message(ctx context.Context, r *Result) (string, error) {
	message, err := p.quarantine.EditMessage(ctx, r.message())
	if err != nil {
		return "", err
	}
	if markOf(message) == "" {
		message += "\n" + r.mark() + "\n"
	}
	return message, nil
}

// propose pushes the change to its own branch, and opens or updates its pull request.
func (p *promotion) propose(ctx context.Context, edited *snapshot, r *Result, onBranch proposal) error {
	same, err := p.onBranchAlready(edited, r, onBranch)
	if err != nil {
		return err
	}
	if r.Commit = onBranch.commit; !same {
		message, err := p.message(ctx, r)
		if err != nil {
			return err
		}
		if r.Commit, err = p.quarantine.Commit(ctx, edited.tree, edited.commit, message); err != nil {
			return err
		}
		if err := p.replace(ctx, r, onBranch); err != nil {
			return err
		}
	}
	r.Outcome = Pushed
	if err := p.upsertPullRequest(ctx, r); err != nil {
		return errors.Join(fmt.Errorf("branch %s is pushed: run the same command again", r.Branch), err)
	}
	// Another promotion may have moved the branch before the body was written, which then
	// describes this promotion only.
	tip, err := p.repository.Tip(ctx, r.Branch)
	if err == nil && tip != "" && tip != r.Commit {
		return errBranchMoved
	}
	return errors.Join(err, r.checkDraft())
}

// replace replaces what the branch has by the commit.
func (p *promotion) replace(ctx context.Context, r *Result, onBranch proposal) error {
	if err := p.makeDraft(ctx, r, onBranch.pullRequest); err != nil {
		return err
	}
	return p.quarantine.Push(ctx, r.Branch, onBranch.commit, r.Commit)
}

// onBranchAlready reports whether the branch has exactly this change: pushing another
// commit of it would only restart its checks and dismiss its approvals. A branch that
// started from other pins than the base has now is recreated: if it was merged and then
// reverted, merging it again would change nothing.
func (p *promotion) onBranchAlready(edited *snapshot, r *Result, onBranch proposal) (bool, error) {
	if onBranch.commit == "" {
		return false, nil
	}
	want, err := readPins(edited.tree, r.Pins)
	if err != nil {
		return false, err
	}
	got, err := p.pinsFileAt(onBranch.commit, r.Pins)
	if err != nil || !bytes.Equal(want, got) {
		return false, err
	}
	started, err := p.pinsFileAt(onBranch.fork, r.Pins)
	if err != nil {
		return false, err
	}
	base, err := p.pinsFileAt(edited.commit, r.Pins)
	return bytes.Equal(started, base), err
}
