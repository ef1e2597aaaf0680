package promote

import (
	"context"
	"fmt"
	"slices"

	"github.com/envladder/envladder/internal/ladder"
)

// trailer marks the commits that promotions make, with the place: what it marks may be
// made anew, and nothing else.
const trailer = "Envladder-Promotion"

// proposal is what a promotion's branch has for the pins, and what it started from.
type proposal struct {
	// commit is the branch's tip, empty where there is none.
	commit      string
	before, now ladder.Pins
}

// image is what others have proposed for an image, unless the base has moved on since.
func (o proposal) image(name string, base ladder.Pins) (digest string, proposed bool) {
	return carried(o.before.Images[name], o.now.Images[name], base.Images[name])
}

// chart is the same for the chart.
func (o proposal) chart(base ladder.Pins) (chart string, proposed bool) {
	return carried(o.before.Chart, o.now.Chart, base.Chart)
}

func carried(before, now, base string) (string, bool) {
	if now == before || now == "" || base != before {
		return "", false
	}
	return now, true
}

// proposed reads a promotion's branch. It refuses one with commits of others: the push
// would drop them.
func (p *promotion) proposed(ctx context.Context, w *worktree, branch string, place ladder.Place) (o proposal, err error) {
	if o.commit, err = w.Fetch(ctx, branch); err != nil || o.commit == "" {
		return o, err
	}
	fork, err := w.MergeBase(ctx, w.Base, o.commit)
	if err != nil {
		return o, err
	}
	marks, err := w.Trailers(ctx, w.Base, o.commit, trailer)
	if err != nil {
		return o, err
	}
	if fork == "" || slices.ContainsFunc(marks, func(mark string) bool { return mark == "" }) {
		return o, fmt.Errorf("promoting by branch %q: it has commits that no promotion made, which a push would drop (or this clone is shallow and can't tell: git fetch --unshallow): merge or delete it", branch)
	}
	if o.before, err = p.pinsAt(ctx, w, fork, place.PinsFile); err != nil {
		return o, err
	}
	o.now, err = p.pinsAt(ctx, w, o.commit, place.PinsFile)
	return o, err
}

// pinsAt are the pins at a commit.
func (p *promotion) pinsAt(ctx context.Context, w *worktree, commit, file string) (ladder.Pins, error) {
	data, ok, err := w.Show(ctx, commit, file)
	if err != nil || !ok {
		return ladder.Pins{}, err
	}
	pins, err := w.document.ParsePins(file, data)
	if err != nil {
		return ladder.Pins{}, fmt.Errorf("reading the pins at %.12s: %w", commit, err)
	}
	return pins, nil
}
