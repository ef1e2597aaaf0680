package promote

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/gitrepo"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/scm"
)

// trailer marks the commits that promotions make, with the place and its pins: what it
// marks may be made anew by a promotion into the same pins, and nothing else.
const trailer = "Envladder-Promotion"

// isInto says whether a trailer is of a promotion into these pins. Places with one
// branch's name (two ladders of one name, prod-eu beside prod/eu) have others.
func isInto(mark, file string) bool {
	_, pins, _ := strings.Cut(mark, " ")
	return pins == file
}

// proposal is what a promotion's branch has for the pins, and what it started from.
type proposal struct {
	// commit is the branch's tip, empty where there is none; fork is where it left the
	// base.
	commit, fork string
	before, now  ladder.Pins
	// since are the pins that the base has had after the fork.
	since []ladder.Pins
	// request is the branch's open pull request; without a number there is none, or none
	// that is needed.
	request scm.PullRequest
}

// fate is what becomes of a value that was found on a promotion's branch.
type fate int

const (
	// settled: the branch proposes nothing that the base hasn't got.
	settled fate = iota
	// carriedOver into the promotion that makes the branch anew.
	carriedOver
	// takenBack: the base has had it since, and has something else now. However it was
	// merged, to propose it again would undo what came after.
	takenBack
	// overtaken: the base got another value while it was proposed.
	overtaken
)

// fate of a value of the pins, and which value it is.
func (o proposal) fate(of func(ladder.Pins) string, base ladder.Pins) (value string, what fate) {
	before, now := of(o.before), of(o.now)
	switch {
	case now == "", now == before, now == of(base):
		return now, settled
	case slices.ContainsFunc(o.since, func(p ladder.Pins) bool { return of(p) == now }):
		return now, takenBack
	case of(base) != before:
		return now, overtaken
	}
	return now, carriedOver
}

// proposed reads a promotion's branch. It refuses one with changes of others: the push
// would drop them.
func (p *promotion) proposed(ctx context.Context, w *worktree, branch string, place ladder.Place) (o proposal, err error) {
	if o.commit, err = w.Fetch(ctx, branch); err != nil || o.commit == "" {
		return o, err
	}
	if o.fork, err = w.MergeBase(ctx, w.Base, o.commit); err != nil {
		return o, err
	}
	if o.fork == "" {
		return o, fmt.Errorf("promoting by branch %q: it has nothing in common with %s that this clone knows: git fetch --unshallow %s, or delete it (git push %s --delete %s)",
			branch, p.Base, p.Remote, p.Remote, branch)
	}
	if o.before, err = pinsAt(ctx, w, o.fork, place.PinsFile); err != nil {
		return o, err
	}
	if o.now, err = pinsAt(ctx, w, o.commit, place.PinsFile); err != nil {
		return o, err
	}
	foreign, err := o.foreign(ctx, w, place.PinsFile)
	if err != nil {
		return o, err
	}
	if foreign != "" {
		return o, p.wouldDrop(branch, foreign)
	}
	o.since, err = pinsSince(ctx, w, o.fork, place.PinsFile)
	return o, err
}

// maxMark of a trailer that an error shows: a path.
const maxMark = 300

// wouldDrop is the error of a branch that is left alone.
func (p *promotion) wouldDrop(branch, what string) error {
	return fmt.Errorf("promoting by branch %q: it has %s, which a push would drop: merge the branch, or delete it (git push %s --delete %s)",
		branch, what, p.Remote, branch)
}

// foreign says what the branch has that no promotion into these pins made.
func (o proposal) foreign(ctx context.Context, w *worktree, file string) (string, error) {
	commits, err := w.Commits(ctx, w.Base, o.commit, trailer)
	if err != nil {
		return "", err
	}
	merged := false
	for _, c := range commits {
		switch {
		case c.Merge:
			merged = true
		case c.Trailer == "":
			return fmt.Sprintf("commits that no promotion made (%.12s)", c.ID), nil
		case !isInto(c.Trailer, file):
			return fmt.Sprintf("a promotion into other pins than %q (%.12s: %s; places whose branches have one name are promoted one after the other)",
				file, c.ID, gate.Clean(c.Trailer, maxMark)), nil
		}
	}
	if !merged {
		return "", nil
	}
	return o.foreignInMerges(ctx, w, file, commits)
}

// foreignInMerges looks for what a person wrote while merging. Such an edit has no commit
// that could lack a mark, and a resolved conflict is one side's word as often as neither's.
// So the branch is compared with where it left the base: what differs are values of the
// pins that marked commits put there, and what else those commits brought (a hook may add
// to them).
func (o proposal) foreignInMerges(ctx context.Context, w *worktree, file string, commits []gitrepo.Commit) (string, error) {
	brought := map[string]string{}
	var put []Change
	for _, c := range commits {
		if c.Merge {
			continue
		}
		changed, err := w.Differing(ctx, c.ID+"^", c.ID)
		if err != nil {
			return "", err
		}
		for path, content := range changed {
			brought[path+"\x00"+content] = c.ID
		}
		values, err := valuesBetween(ctx, w, c.ID+"^", c.ID, file)
		if err != nil {
			return "", err
		}
		put = append(put, values...)
	}
	differing, err := w.Differing(ctx, o.fork, o.commit)
	if err != nil {
		return "", err
	}
	for _, path := range sortedKeys(differing) {
		if path != file && brought[path+"\x00"+differing[path]] == "" {
			return fmt.Sprintf("an edit of %q in a merge commit", path), nil
		}
	}
	values, err := valuesBetween(ctx, w, o.fork, o.commit, file)
	if err != nil {
		return "", err
	}
	for _, v := range values {
		if !slices.ContainsFunc(put, func(c Change) bool { return c.Image == v.Image && c.New == v.New }) {
			return fmt.Sprintf("an edit of %q in a merge commit (%s: %s)", file, v.what(), orNone(v.New)), nil
		}
	}
	return o.foreignBytes(ctx, w, file, values)
}

// amended is a file, none where it is empty, that the branch has changed and that a new
// commit in its place has as the base has it: somebody has amended a promotion's commit.
// What a hook of the user's adds to such commits, it has added to the new one too.
func (o proposal) amended(ctx context.Context, w *worktree, file, commit string) (string, error) {
	if o.commit == "" {
		return "", nil
	}
	theirs, err := w.Differing(ctx, o.fork, o.commit)
	if err != nil {
		return "", err
	}
	ours, err := w.Differing(ctx, w.Base, commit)
	if err != nil {
		return "", err
	}
	between, err := w.Differing(ctx, commit, o.commit)
	if err != nil {
		return "", err
	}
	for _, path := range sortedKeys(theirs) {
		_, touched := ours[path]
		_, differs := between[path]
		if path != file && differs && !touched {
			return path, nil
		}
	}
	return "", nil
}

// foreignBytes looks for edits of the pins beside their values.
func (o proposal) foreignBytes(ctx context.Context, w *worktree, file string, values []Change) (string, error) {
	want, _, err := w.Show(ctx, o.fork, file)
	if err != nil {
		return "", err
	}
	got, _, err := w.Show(ctx, o.commit, file)
	if err != nil {
		return "", err
	}
	if bytes.Equal(rewritten(file, want, values), got) {
		return "", nil
	}
	return fmt.Sprintf("an edit of %q in a merge commit", file), nil
}

// rewritten is a pins file as a promotion writes these values into it, nil where none can.
func rewritten(file string, data []byte, values []Change) []byte {
	for _, v := range values {
		edited, err := gitrepo.SetString(file, data, v.New, v.key()...)
		if err != nil {
			return nil
		}
		data = edited
	}
	return data
}

// valuesBetween are the values of the pins that differ between two commits.
func valuesBetween(ctx context.Context, w *worktree, from, to, file string) ([]Change, error) {
	before, err := pinsAt(ctx, w, from, file)
	if err != nil {
		return nil, err
	}
	after, err := pinsAt(ctx, w, to, file)
	if err != nil {
		return nil, err
	}
	var values []Change
	add := func(c Change) {
		if c.Old != c.New {
			values = append(values, c)
		}
	}
	for _, image := range w.document.Spec.Images {
		add(Change{Image: image.Name, Old: before.Images[image.Name], New: after.Images[image.Name]})
	}
	add(Change{Old: before.Chart, New: after.Chart})
	return values, nil
}

// pinsSince are the pins that the base has had after a commit.
func pinsSince(ctx context.Context, w *worktree, fork, file string) ([]ladder.Pins, error) {
	commits, err := w.Touching(ctx, fork, w.Base, file)
	if err != nil {
		return nil, err
	}
	var all []ladder.Pins
	for _, commit := range commits {
		pins, err := pinsAt(ctx, w, commit, file)
		if err != nil {
			return nil, err
		}
		all = append(all, pins)
	}
	return all, nil
}

// pinsAt are the pins at a commit. What is wrong with them is overlooked: they are of
// another ladder than today's, and what is written has been checked.
func pinsAt(ctx context.Context, w *worktree, commit, file string) (ladder.Pins, error) {
	data, ok, err := w.Show(ctx, commit, file)
	if err != nil || !ok {
		return ladder.Pins{}, err
	}
	pins, _ := w.document.ParsePins(file, data)
	return pins, nil
}
