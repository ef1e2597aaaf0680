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

// source is the environment before, as a promotion's branch sees it: what it has pinned,
// and what it has had pinned since the branch left the base.
type source struct {
	name        string
	now, before []ladder.Pins
}

// has reports whether one of several pins has a value.
func has(all []ladder.Pins, of func(ladder.Pins) string, value string) bool {
	return slices.ContainsFunc(all, func(p ladder.Pins) bool { return of(p) == value })
}

// withdrew reports whether the environment before has had a value and has it no more. What
// it never had was proposed by name, and stays proposed.
func (s source) withdrew(of func(ladder.Pins) string, value string) bool {
	return value != "" && has(s.before, of, value) && !has(s.now, of, value)
}

// sourceOf reads the environment before this one, at the base and since the fork.
func (p *promotion) sourceOf(ctx context.Context, base *snapshot, fork string) (source, error) {
	places, err := placesBefore(base.document, p.Environment)
	if err != nil || len(places) == 0 {
		return source{}, err
	}
	found := source{name: places[0].Environment.Name}
	for _, place := range places {
		began, err := p.pinsAt(base, fork, place.PinsFile)
		if err != nil {
			return source{}, err
		}
		since, err := p.pinsSince(ctx, base, fork, place.PinsFile)
		if err != nil {
			return source{}, err
		}
		found.now = append(found.now, place.Pins)
		found.before = append(append(found.before, began), since...)
	}
	return found, nil
}

// withdrawn returns what the branch proposes for the promoted images though the environment
// before has gone back from it. The base has what that one has now, so nothing else would
// take the proposal away.
func (p *promotion) withdrawn(document *ladder.Document, base ladder.Pins, onBranch proposal) []Change {
	var all []Change
	check := func(c Change, candidate string, of func(ladder.Pins) string) {
		value, what := onBranch.fate(of, base)
		if candidate != "" && candidate == of(base) && what == withdrawn {
			c.Old, c.New = value, candidate
			all = append(all, c)
		}
	}
	for _, image := range document.Spec.Images {
		check(Change{Image: image.Name, Repository: image.Repository}, p.candidate.images[image.Name],
			func(pins ladder.Pins) string { return pins.Images[image.Name] })
	}
	check(Change{}, p.candidate.chart, func(pins ladder.Pins) string { return pins.Chart })
	return all
}

// withdraw closes the branch's pull request, which proposes nothing else. The branch stays:
// the next promotion replaces what it has.
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
	closed, err := p.forge.Close(ctx, open.Number, r.withdrawnText())
	if err != nil {
		return fmt.Errorf("pull request %d proposes what was withdrawn: close it (%s): %w", open.Number, open.URL, err)
	}
	r.PullRequest = &PullRequest{Number: open.Number, URL: cmp.Or(closed.URL, open.URL), Draft: open.Draft}
	r.Outcome = Withdrawn
	return nil
}

// withdrawnText is the text of a pull request that was closed.
func (r *Result) withdrawnText() string {
	var b strings.Builder
	b.WriteString("**Closed by `envladder promote`.**\n")
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "\n> %s\n", cell(note))
	}
	return b.String()
}

// withdrawnNote says that a proposal was taken back.
func withdrawnNote(what, value, branch, before string) string {
	if strings.HasPrefix(value, "sha256:") {
		value = digests.Short(value)
	}
	return fmt.Sprintf("%s %s was on the branch %s, but %s has gone back from it: it isn't proposed any more", what, value, branch, before)
}
