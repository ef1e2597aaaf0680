package promote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/gitrepo"
	"github.com/envladder/envladder/internal/ladder"
)

// attempt is one try at one place, on one tip of the base.
func (p *promotion) attempt(ctx context.Context, w *worktree, s slot) (Result, error) {
	place, err := w.document.Place(s.environment, s.target())
	if err != nil {
		return Result{}, err
	}
	if place.PinsFile != s.file {
		return Result{}, fmt.Errorf("promoting to %s: the ladder names other pins than before: try again", s.name())
	}
	r := &Result{
		Ladder: w.document.Metadata.Name, Environment: s.environment, Targets: s.targets, Place: s.name(),
		Pins: s.file, Base: p.Base, Changes: []Change{}, Reasons: []Reason{}, Verdicts: []Judged{},
	}
	var onBranch proposal
	if place.Environment.Promotion != ladder.PromotionCommit {
		r.Branch = s.branch(w.document)
		if onBranch, err = p.proposed(ctx, w, r.Branch, place); err != nil {
			return *r, err
		}
	}
	r.Changes, r.Notes = p.changes(w.document, place, onBranch, r.Branch)
	if !slices.ContainsFunc(r.Changes, func(c Change) bool { return !c.CarriedOver }) {
		// What others have proposed is theirs to go on with.
		r.Changes, r.Notes, r.Outcome = []Change{}, nil, UpToDate
		return *r, nil
	}
	if err := p.edit(w, s.file, r.Changes); err != nil {
		return *r, err
	}
	if err := p.judge(ctx, w, s, r); err != nil {
		return *r, err
	}
	if onBranch.request, err = p.openRequest(ctx, r, onBranch); err != nil {
		return *r, err
	}
	r.describe(p.origin(r))
	err = p.finish(ctx, w, r, onBranch)
	return *r, err
}

// finish does with an edited work tree what is asked for.
func (p *promotion) finish(ctx context.Context, w *worktree, r *Result, onBranch proposal) (err error) {
	switch {
	case r.open() && !p.AllowUnproven:
		r.Outcome = Refused
	case p.DryRun:
		r.Outcome = Planned
	}
	if p.DryRun {
		r.Diff, err = w.Diff(ctx, r.Pins)
		return err
	}
	if r.Outcome == Refused {
		return nil
	}
	if r.Branch == "" {
		return p.commit(ctx, w, r)
	}
	return p.propose(ctx, w, r, onBranch)
}

// changes are the values to write: the candidate's, and what others have proposed on the
// same branch.
func (p *promotion) changes(document *ladder.Document, place ladder.Place, onBranch proposal, branch string) (changes []Change, notes []string) {
	add := func(c Change, candidate string, of func(ladder.Pins) string) {
		c.Old, c.New = of(place.Pins), candidate
		if candidate == "" {
			value, what := onBranch.fate(of, place.Pins)
			if note := what.note(c.what(), value, branch, p.Base); note != "" {
				notes = append(notes, note)
			}
			if what != carriedOver {
				return
			}
			c.New, c.CarriedOver = value, true
		}
		if c.New != c.Old {
			changes = append(changes, c)
		}
	}
	for _, image := range document.Spec.Images {
		add(Change{Image: image.Name, Repository: image.Repository}, p.candidate.images[image.Name],
			func(pins ladder.Pins) string { return pins.Images[image.Name] })
	}
	add(Change{}, p.candidate.chart, func(pins ladder.Pins) string { return pins.Chart })
	return changes, notes
}

// note says what became of a value that the promotion isn't about.
func (f fate) note(what, value, branch, base string) string {
	if strings.HasPrefix(value, "sha256:") {
		value = short(value)
	}
	switch f {
	case carriedOver:
		return fmt.Sprintf("%s %s was on the branch %s already and is carried over", what, value, branch)
	case takenBack:
		return fmt.Sprintf("%s %s was on the branch %s, has been on %s since, and is there no more: it isn't proposed again", what, value, branch, base)
	case overtaken:
		return fmt.Sprintf("%s %s was on the branch %s, but %s has got another since: it isn't proposed any more", what, value, branch, base)
	case settled:
	}
	return ""
}

// edit writes changes into the work tree's pins.
func (p *promotion) edit(w *worktree, file string, changes []Change) error {
	data, err := readPins(w.fs(), file)
	if err != nil {
		return err
	}
	for _, c := range changes {
		if data, err = gitrepo.SetString(file, data, c.New, c.key()...); err != nil {
			return err
		}
	}
	return w.Write(file, data)
}

// judge asks the Gates and the order of the targets.
func (p *promotion) judge(ctx context.Context, w *worktree, s slot, r *Result) error {
	early, err := tooEarly(w.document, s, p.candidate)
	if err != nil {
		return err
	}
	r.Reasons = append(r.Reasons, early...)
	place, err := w.document.Place(s.environment, s.target()) // with the new pins
	if err != nil {
		return err
	}
	gates, err := gatesOf(w.fs(), place, p.Gates)
	if err != nil {
		return err
	}
	stamps, err := stampsOf(ctx, w.fs(), p.Charts, w.document, place, gates)
	if err != nil {
		return err
	}
	r.asked = len(gates) > 0
	if !r.asked && place.Environment.Data == ladder.DataReal {
		r.Reasons = append(r.Reasons, noGate(s.environment))
	}
	r.Verdicts = inquiry{p.Judge, p.Recalls, p.Now}.ask(ctx, gates, stamps, affected(w.document, place.Pins, r.Changes))
	if err := ctx.Err(); err != nil { // what was judged then, wasn't
		return context.Cause(ctx)
	}
	r.note()
	return nil
}

// noGate is the reason where nobody was asked whether a digest may meet real data. In the
// cluster a Gate would be; to promote without a word would look as if it had allowed.
func noGate(environment string) Reason {
	return Reason{
		Code:    gate.NoGate,
		Message: fmt.Sprintf("%s has real data, and no Gate was asked: the ladder names none for it (environments[].gate), and --gate wasn't given", environment),
		Remedy:  "name the file of its Gate: --gate FILE, or `gate` in the ladder if it is in the same repository",
	}
}

// note says what wasn't asked, and what the cluster would overlook.
func (r *Result) note() {
	if !r.asked && !r.has(gate.NoGate) {
		r.Notes = append(r.Notes, fmt.Sprintf("no Gate was asked: the ladder names none for %s (environments[].gate), and --gate wasn't given", r.Environment))
	}
	for _, j := range r.Verdicts {
		if !j.Allowed && !j.denies() {
			r.Notes = append(r.Notes, fmt.Sprintf("Gate %s's action is %s: the cluster would let %s by", j.Gate.Name, j.Action, j.Name))
		}
	}
}

// commit puts the change on the base branch.
func (p *promotion) commit(ctx context.Context, w *worktree, r *Result) error {
	commit, err := w.Commit(ctx, r.Pins, r.message())
	if err != nil {
		return err
	}
	if err := w.Push(ctx, p.Base, w.Base, commit); err != nil {
		return err
	}
	r.Commit, r.Outcome = commit, Committed
	return nil
}

// propose puts the change on a branch of its own, and opens or updates its pull request.
func (p *promotion) propose(ctx context.Context, w *worktree, r *Result, onBranch proposal) error {
	same, err := p.onBranchAlready(ctx, w, r, onBranch)
	if err != nil {
		return err
	}
	if r.Commit = onBranch.commit; !same {
		if r.Commit, err = w.Commit(ctx, r.Pins, r.message()); err != nil {
			return err
		}
		if err := p.replace(ctx, w, r, onBranch); err != nil {
			return err
		}
	}
	if err := p.request(ctx, r); err != nil {
		return errors.Join(fmt.Errorf("branch %s is pushed, and the same command can be run again", r.Branch), err)
	}
	// Another promotion may have moved the branch before the text was written, which
	// then tells of this one alone.
	tip, err := p.repository.Tip(ctx, r.Branch)
	if err == nil && tip != "" && tip != r.Commit {
		return errAgain
	}
	return errors.Join(err, r.checkDraft())
}

// replace puts the commit in place of what the branch has.
func (p *promotion) replace(ctx context.Context, w *worktree, r *Result, onBranch proposal) error {
	amended, err := onBranch.amended(ctx, w, r.Pins, r.Commit)
	if err != nil {
		return err
	}
	if amended != "" {
		return p.wouldDrop(r.Branch, fmt.Sprintf("a change of %q that no promotion made", amended))
	}
	if err := p.holdBack(ctx, r, onBranch.request); err != nil {
		return err
	}
	return w.Push(ctx, r.Branch, onBranch.commit, r.Commit)
}

// onBranchAlready says whether the branch has this very change: pushing another commit
// of it would only start its checks again, and drop its approvals. A branch that began at
// other pins than the base has now is made anew: what it was merged as and reverted, it
// wouldn't bring again.
func (p *promotion) onBranchAlready(ctx context.Context, w *worktree, r *Result, onBranch proposal) (bool, error) {
	if onBranch.commit == "" {
		return false, nil
	}
	here, err := readPins(w.fs(), r.Pins)
	if err != nil {
		return false, err
	}
	there, ok, err := w.Show(ctx, onBranch.commit, r.Pins)
	if err != nil || !ok || !bytes.Equal(here, there) {
		return false, err
	}
	began, _, err := w.Show(ctx, onBranch.fork, r.Pins)
	if err != nil {
		return false, err
	}
	base, _, err := w.Show(ctx, w.Base, r.Pins)
	return bytes.Equal(began, base), err
}
