package promote

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/ladder"
)

// source is the environment before: the pins that it has, and those that it has had since
// the branch left the base.
type source struct {
	name        string
	now, before []ladder.Pins
}

// anyHas reports whether one of several pins has a value.
func anyHas(pins []ladder.Pins, valueIn func(ladder.Pins) string, value string) bool {
	return slices.ContainsFunc(pins, func(p ladder.Pins) bool { return valueIn(p) == value })
}

// withdrew reports whether the environment before has had a value and doesn't have it any
// more. A value that it never had was proposed by name, and stays proposed.
func (s source) withdrew(valueIn func(ladder.Pins) string, value string) bool {
	return value != "" && anyHas(s.before, valueIn, value) && !anyHas(s.now, valueIn, value)
}

// sourceOf reads the environment before this one, at the base and since the fork.
func (p *promotion) readSource(ctx context.Context, base *snapshot, fork string) (source, error) {
	targets, err := targetsBefore(base.document, p.Environment)
	if err != nil || len(targets) == 0 {
		return source{}, err
	}
	found := source{name: targets[0].Environment.Name}
	for _, target := range targets {
		atFork, err := p.pinsAt(base, fork, target.PinsFile)
		if err != nil {
			return source{}, err
		}
		since, err := p.pinsSince(ctx, base, fork, target.PinsFile)
		if err != nil {
			return source{}, err
		}
		found.now = append(found.now, target.Pins)
		found.before = append(append(found.before, atFork), since...)
	}
	return found, nil
}

// withdrawnChanges returns what the branch proposes for the promoted images although the
// environment before has gone back from it. The base has the candidate already, so no other
// change would remove the proposal.
func (p *promotion) withdrawnChanges(document *ladder.Document, base ladder.Pins, onBranch proposal) []Change {
	var changes []Change
	check := func(c Change, candidate string) {
		value, d := onBranch.disposition(c.value, base)
		if candidate != "" && candidate == c.value(base) && d == withdrawn {
			c.Old, c.New = value, candidate
			changes = append(changes, c)
		}
	}
	for _, image := range document.Spec.Images {
		check(Change{Image: image.Name, Repository: image.Repository}, p.candidate.images[image.Name])
	}
	check(Change{}, p.candidate.chart)
	return changes
}

// withdraw closes the branch's pull request, which proposes nothing else. The branch stays,
// and the next promotion replaces it.
func (p *promotion) withdraw(ctx context.Context, r *Result, document *ladder.Document) error {
	r.Outcome, r.Changes = UpToDate, []Change{}
	if p.DryRun {
		return nil
	}
	if err := p.findForge(ctx, document); err != nil {
		return err
	}
	open, ok, err := p.forge.Find(ctx, r.Branch, r.Base)
	if err != nil || !ok {
		r.Notes = nil // it was closed before
		return err
	}
	closed, err := p.forge.Close(ctx, open.Number, r.withdrawnBody())
	if err != nil {
		return fmt.Errorf("closing pull request %d, whose proposal was withdrawn: %w: close it by hand (%s)", open.Number, err, open.URL)
	}
	r.PullRequest = &PullRequest{Number: open.Number, URL: cmp.Or(closed.URL, open.URL), Draft: open.Draft}
	r.Outcome = Withdrawn
	return nil
}

// withdrawnBody returns the body of a pull request that was closed.
func (r *Result) withdrawnBody() string {
	var b strings.Builder
	b.WriteString("**Closed by `envladder promote`.**\n")
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "\n> %s\n", tableCell(note))
	}
	return b.String()
}

// withdrawnNote describes a proposal that was withdrawn.
func withdrawnNote(name, value, branch, before string) string {
	if strings.HasPrefix(value, "sha256:") {
		value = digests.Short(value)
	}
	return fmt.Sprintf("%s %s was on the branch %s, but %s has gone back from it: it isn't proposed any more", name, value, branch, before)
}
