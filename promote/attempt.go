package promote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/ladder"
)

// attempt promotes into one pins file, from the newest state of the base.
func (p *promotion) attempt(ctx context.Context, s slot, waiting *backoff) (Result, error) {
	base, err := p.newest(ctx)
	if err != nil {
		return Result{}, err
	}
	place, err := base.document.Place(s.environment, s.target())
	if err != nil {
		return Result{}, err
	}
	if place.PinsFile != s.file {
		return Result{}, fmt.Errorf("promoting to %s: the ladder names other pins than before: try again", s.name())
	}
	r := &Result{
		Ladder: base.document.Metadata.Name, Environment: s.environment, Targets: s.targets, Place: s.name(),
		Pins: s.file, Base: p.Base, Changes: []Change{}, Reasons: []Reason{}, Verdicts: []Judged{},
	}
	var onBranch proposal
	if place.Environment.Promotion != ladder.PromotionCommit {
		r.Branch = s.branch(base.document, p.Base, p.defaultBranch)
		if onBranch, err = p.proposed(ctx, base, r.Branch, place); err != nil {
			return *r, err
		}
	}
	r.Changes, r.Notes = p.changes(base.document, place, onBranch, r.Branch)
	var held []string
	if r.Changes, held, err = p.withoutRolledBack(ctx, base, s.file, r.Changes); err != nil {
		return *r, err
	}
	r.Notes = append(r.Notes, held...)
	gone := p.withdrawn(base.document, place.Pins, onBranch)
	for _, c := range gone {
		r.Notes = append(r.Notes, withdrawnNote(c.what(), c.Old, r.Branch, onBranch.source.name))
	}
	isNew := slices.ContainsFunc(r.Changes, func(c Change) bool { return !c.CarriedOver })
	switch {
	case isNew:
	case len(gone) > 0 && len(r.Changes) == 0:
		err := p.withdraw(ctx, r, base.document)
		return *r, err
	case len(gone) > 0: // what others have proposed stays
		if err := p.findForge(ctx, base.document); err != nil {
			return *r, err
		}
	case len(held) > 0:
		r.Changes, r.Notes, r.Outcome = []Change{}, held, RolledBack
		return *r, nil
	default:
		// What others have proposed is theirs to go on with.
		r.Changes, r.Notes, r.Outcome = []Change{}, nil, UpToDate
		return *r, nil
	}
	edited, err := p.with(ctx, base, s.file, r.Changes)
	if err != nil {
		return *r, err
	}
	if err := p.judge(ctx, edited, s, r); err != nil {
		return *r, err
	}
	if onBranch.request, err = p.openRequest(ctx, r, onBranch); err != nil {
		return *r, err
	}
	r.describe(p.origin(r))
	err = p.finish(ctx, base, edited, r, onBranch, waiting)
	return *r, err
}

// finish does with edited pins what is asked for.
func (p *promotion) finish(ctx context.Context, base, edited *snapshot, r *Result, onBranch proposal, waiting *backoff) (err error) {
	switch {
	case r.open() && !p.AllowUnproven:
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

// changes are the values to write: the candidate's, and what others have proposed on the
// same branch.
func (p *promotion) changes(document *ladder.Document, place ladder.Place, onBranch proposal, branch string) (changes []Change, notes []string) {
	add := func(c Change, candidate string, of func(ladder.Pins) string) {
		c.Old, c.New = of(place.Pins), candidate
		if candidate == "" {
			value, what := onBranch.fate(of, place.Pins)
			switch note := what.note(c.what(), value, branch, p.Base); {
			case what == withdrawn:
				notes = append(notes, withdrawnNote(c.what(), value, branch, onBranch.source.name))
			case note != "":
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
	case settled, withdrawn:
	}
	return ""
}

// judge asks the Gates and the order of the targets.
func (p *promotion) judge(ctx context.Context, edited *snapshot, s slot, r *Result) error {
	early, err := tooEarly(edited.document, s, p.candidate)
	if err != nil {
		return err
	}
	r.Reasons = append(r.Reasons, early...)
	place, err := edited.document.Place(s.environment, s.target())
	if err != nil {
		return err
	}
	gates, err := gatesOf(edited.tree, place, p.Gates)
	if err != nil {
		return err
	}
	stamps, err := stampsOf(ctx, edited.tree, p.Charts, edited.document, place, gates)
	if err != nil {
		return err
	}
	r.asked = len(gates) > 0
	if !r.asked && place.Environment.Data == ladder.DataReal {
		r.Reasons = append(r.Reasons, noGate(s.environment))
	}
	r.Verdicts = inquiry{p.Judge, p.Recalls, p.Now}.ask(ctx, gates, stamps, affected(edited.document, place.Pins, r.Changes))
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

// commit puts the change on the base branch. Where another push came first and changed
// nothing that the promotion depends on, the same change goes onto the new tip: asking the
// Gates again would only let the next push come first.
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
		if !cameFirst(err) {
			return err
		}
		if err := waiting.wait(ctx); err != nil {
			return fmt.Errorf("promoting to %s: %w", r.Place, err)
		}
		tip, err := p.fetchBase(ctx)
		if err != nil {
			return err
		}
		if !edited.tree.Unchanged(tip) {
			return errAgain
		}
		if edited, err = p.onto(ctx, edited, tip, r.Pins); err != nil {
			return err
		}
	}
}

// message returns the message of the commit as the user's hooks leave it, and still marked
// as a promotion's.
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

// propose puts the change on a branch of its own, and opens or updates its pull request.
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
func (p *promotion) replace(ctx context.Context, r *Result, onBranch proposal) error {
	if err := p.holdBack(ctx, r, onBranch.request); err != nil {
		return err
	}
	return p.quarantine.Push(ctx, r.Branch, onBranch.commit, r.Commit)
}

// onBranchAlready reports whether the branch has this very change: pushing another commit
// of it would only start its checks again, and drop its approvals. A branch that began at
// other pins than the base has now is recreated: what it was merged as and reverted, it
// wouldn't bring again.
func (p *promotion) onBranchAlready(edited *snapshot, r *Result, onBranch proposal) (bool, error) {
	if onBranch.commit == "" {
		return false, nil
	}
	want, err := readPins(edited.tree, r.Pins)
	if err != nil {
		return false, err
	}
	has, err := p.pinsFileAt(onBranch.commit, r.Pins)
	if err != nil || !bytes.Equal(want, has) {
		return false, err
	}
	began, err := p.pinsFileAt(onBranch.fork, r.Pins)
	if err != nil {
		return false, err
	}
	base, err := p.pinsFileAt(edited.commit, r.Pins)
	return bytes.Equal(began, base), err
}
