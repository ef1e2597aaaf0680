package promote

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/gitrepo"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/internal/scm"
)

// trailer marks the commits that promotions make, with the environment and its pins: a
// promotion into the same pins may replace what it marks, and nothing else.
const trailer = "Envladder-Promotion"

// markLine matches a mark. Hooks and people add paragraphs to a message, so that it isn't
// always among its trailers.
var markLine = regexp.MustCompile(`(?m)^` + trailer + `: (.+?)\r?$`)

// markOf returns the last mark of a commit's message: empty if it has none.
func markOf(message string) string {
	found := markLine.FindAllStringSubmatch(message, -1)
	if len(found) == 0 {
		return ""
	}
	return found[len(found)-1][1]
}

// isInto reports whether a mark is of a promotion into these pins. Environments whose
// branches have one name (of two ladders of one name, prod-eu and prod/eu) have others.
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
	// source is the environment before.
	source source
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
	// withdrawn: the environment before has had it, and has gone back from it.
	withdrawn
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
	case o.source.withdrew(of, now):
		return now, withdrawn
	}
	return now, carriedOver
}

// proposed reads a promotion's branch. It refuses one with changes of others: the push
// would drop them. Of a shallow clone as much history is fetched as that needs.
func (p *promotion) proposed(ctx context.Context, base *snapshot, branch string, place ladder.Place) (proposal, error) {
	commit, err := p.quarantine.FetchWithParent(ctx, branch)
	if err != nil || commit == "" {
		return proposal{}, err
	}
	for {
		found, foreign, err := p.examine(ctx, base, commit, place.PinsFile)
		if err == nil && foreign == "" {
			if found.since, err = p.pinsSince(ctx, base, found.fork, place.PinsFile); err != nil {
				return found, err
			}
			found.source, err = p.sourceOf(ctx, base, found.fork)
			return found, err
		}
		if err != nil {
			return proposal{}, fmt.Errorf("reading branch %q: %w", branch, err)
		}
		// What looks like another's may be the base's, where history is cut.
		more, err := p.quarantine.Deepen(ctx, p.Base, branch)
		switch {
		case err != nil:
			return proposal{}, err
		case !more:
			return proposal{}, p.wouldDrop(branch, foreign)
		}
	}
}

// examine reads what the branch proposes, and says what it has that no promotion into
// these pins made, or that can't be told from such.
func (p *promotion) examine(ctx context.Context, base *snapshot, commit, file string) (found proposal, foreign string, err error) {
	found.commit = commit
	if found.fork, err = p.quarantine.MergeBase(ctx, base.commit, commit); err != nil {
		return found, "", err
	}
	if found.fork == "" {
		return found, fmt.Sprintf("nothing in common with %s", p.Base), nil
	}
	cut, err := p.quarantine.Cut(ctx, base.commit, commit)
	if err != nil {
		return found, "", err
	}
	if cut {
		return found, "commits whose parents can't be fetched", nil
	}
	if found.before, err = p.pinsAt(base, found.fork, file); err != nil {
		return found, "", err
	}
	if found.now, err = p.pinsAt(base, commit, file); err != nil {
		return found, "", err
	}
	foreign, err = p.foreign(ctx, base, found, file)
	return found, foreign, err
}

// maxMark of a trailer that an error shows: a path.
const maxMark = 300

// wouldDrop is the error of a branch that is left alone.
func (p *promotion) wouldDrop(branch, what string) error {
	return fmt.Errorf("promoting by branch %q: it has %s, which a push would drop: merge the branch, or delete it (git push %s --delete %s)",
		branch, what, p.Remote, branch)
}

// foreign says what the branch has that no promotion into these pins made.
func (p *promotion) foreign(ctx context.Context, base *snapshot, o proposal, file string) (string, error) {
	commits, err := p.quarantine.Commits(ctx, base.commit, o.commit)
	if err != nil {
		return "", err
	}
	merged := false
	for _, c := range commits {
		switch mark := markOf(c.Message); {
		case c.Merge:
			merged = true
		case mark == "":
			return fmt.Sprintf("commits that no promotion made (%.12s)", c.ID), nil
		case !isInto(mark, file):
			return fmt.Sprintf("a promotion into other pins than %q (%.12s: %s; places whose branches have one name are promoted one after the other)",
				file, c.ID, printable.Line(mark, maxMark)), nil
		}
	}
	other, err := p.otherFile(ctx, base, o, file)
	switch {
	case err != nil:
		return "", err
	case other != "" && merged:
		return fmt.Sprintf("an edit of %q in a merge commit", other), nil
	case other != "":
		return fmt.Sprintf("a change of %q that no promotion made", other), nil
	case !merged:
		return "", nil
	}
	return p.foreignInMerges(base, o, file, commits)
}

// otherFile returns a file that the branch has changed, where the base hasn't the same
// change: a promotion changes its pins alone, so somebody has amended its commit, or edited
// while merging. It is empty if there is none.
func (p *promotion) otherFile(ctx context.Context, base *snapshot, o proposal, file string) (string, error) {
	theirs, err := p.quarantine.Differing(ctx, o.fork, o.commit)
	if err != nil {
		return "", err
	}
	lost, err := p.quarantine.Differing(ctx, base.commit, o.commit)
	if err != nil {
		return "", err
	}
	for _, path := range sortedKeys(theirs) {
		if _, ok := lost[path]; ok && path != file {
			return path, nil
		}
	}
	return "", nil
}

// foreignInMerges looks for values of the pins that a person wrote while merging. Such an
// edit has no commit that could lack a mark, and resolving a conflict may choose one side
// or neither. So the branch is compared with where it left the base: values that differ
// are those that marked commits put there.
func (p *promotion) foreignInMerges(base *snapshot, o proposal, file string, commits []gitrepo.Commit) (string, error) {
	var put []Change
	for _, c := range commits {
		if c.Merge {
			continue
		}
		values, err := p.valuesBetween(base, c.ID+"^", c.ID, file)
		if err != nil {
			return "", err
		}
		put = append(put, values...)
	}
	values, err := p.valuesBetween(base, o.fork, o.commit, file)
	if err != nil {
		return "", err
	}
	for _, v := range values {
		if !slices.ContainsFunc(put, func(c Change) bool { return c.Image == v.Image && c.New == v.New }) {
			return fmt.Sprintf("an edit of %q in a merge commit (%s: %s)", file, v.what(), orNone(v.New)), nil
		}
	}
	return p.foreignBytes(o, file, values)
}

// foreignBytes looks for edits of the pins that aren't in their values.
func (p *promotion) foreignBytes(o proposal, file string, values []Change) (string, error) {
	want, err := p.pinsFileAt(o.fork, file)
	if err != nil {
		return "", err
	}
	got, err := p.pinsFileAt(o.commit, file)
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

// valuesBetween returns the values of the pins that differ between two commits.
func (p *promotion) valuesBetween(base *snapshot, from, to, file string) ([]Change, error) {
	before, err := p.pinsAt(base, from, file)
	if err != nil {
		return nil, err
	}
	after, err := p.pinsAt(base, to, file)
	if err != nil {
		return nil, err
	}
	var values []Change
	add := func(c Change) {
		if c.Old != c.New {
			values = append(values, c)
		}
	}
	for _, image := range base.document.Spec.Images {
		add(Change{Image: image.Name, Old: before.Images[image.Name], New: after.Images[image.Name]})
	}
	add(Change{Old: before.Chart, New: after.Chart})
	return values, nil
}

// pinsSince returns the pins that the base has had after a commit.
func (p *promotion) pinsSince(ctx context.Context, base *snapshot, fork, file string) ([]ladder.Pins, error) {
	commits, err := p.quarantine.Touching(ctx, fork, base.commit, file)
	if err != nil {
		return nil, err
	}
	var all []ladder.Pins
	for _, commit := range commits {
		pins, err := p.pinsAt(base, commit, file)
		if err != nil {
			return nil, err
		}
		all = append(all, pins)
	}
	return all, nil
}

// pinsAt returns the pins at a commit. What is wrong with them is overlooked: they are of
// another ladder than today's, and what is written has been checked.
func (p *promotion) pinsAt(base *snapshot, commit, file string) (ladder.Pins, error) {
	data, err := p.pinsFileAt(commit, file)
	if err != nil || data == nil {
		return ladder.Pins{}, err
	}
	pins, _ := base.document.ParsePins(file, data)
	return pins, nil
}

// pinsFileAt returns the pins file at a commit: nothing if there is none.
func (p *promotion) pinsFileAt(commit, file string) ([]byte, error) {
	tree, err := p.quarantine.Tree(commit)
	if err != nil {
		return nil, err
	}
	return readPins(tree, file)
}
