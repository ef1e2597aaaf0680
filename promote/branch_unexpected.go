package promote

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/envladder/envladder/internal/gitrepo"
	"github.com/envladder/envladder/internal/printable"
)

// maxMark bounds a mark or a branch in an error.
const maxMark = 300

// errWouldDrop returns the error for a branch that must not be replaced.
func (p *promotion) errWouldDrop(branch, unexpected string) error {
	return fmt.Errorf("promoting by branch %q: it has %s, which a push would drop: merge the branch, or delete it (git push %s --delete %s)",
		branch, unexpected, p.Remote, branch)
}

// findUnexpected returns a description of what the branch has that no promotion into these
// pins made, or "".
func (p *promotion) findUnexpected(ctx context.Context, base *snapshot, o proposal, file string) (string, error) {
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
		case !marksPins(mark, file):
			return fmt.Sprintf("a promotion into other pins than %q (%.12s: %s; environments whose branches have the same name are promoted one after the other)",
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
	return p.unexpectedInMerges(base, o, file, commits)
}

// otherFile returns a file that the branch changed and the base didn't change in the same
// way, or "". A promotion changes only its pins, so someone amended its commit or edited
// the file while merging.
func (p *promotion) otherFile(ctx context.Context, base *snapshot, o proposal, file string) (string, error) {
	theirs, err := p.quarantine.Differing(ctx, o.fork, o.commit)
	if err != nil {
		return "", err
	}
	differing, err := p.quarantine.Differing(ctx, base.commit, o.commit)
	if err != nil {
		return "", err
	}
	for _, path := range sortedKeys(theirs) {
		if _, ok := differing[path]; ok && path != file {
			return path, nil
		}
	}
	return "", nil
}

// unexpectedInMerges finds values of the pins that a person wrote while merging. Such an
// edit has no commit of its own that could lack a mark, and resolving a conflict may choose
// either side or neither. The branch is therefore compared with where it left the base:
// values that differ must come from marked commits.
func (p *promotion) unexpectedInMerges(base *snapshot, o proposal, file string, commits []gitrepo.Commit) (string, error) {
	var marked []Change
	for _, c := range commits {
		if c.Merge {
			continue
		}
		values, err := p.valuesBetween(base, c.ID+"^", c.ID, file)
		if err != nil {
			return "", err
		}
		marked = append(marked, values...)
	}
	values, err := p.valuesBetween(base, o.fork, o.commit, file)
	if err != nil {
		return "", err
	}
	for _, v := range values {
		if !slices.ContainsFunc(marked, func(c Change) bool { return c.Image == v.Image && c.New == v.New }) {
			return fmt.Sprintf("an edit of %q in a merge commit (%s: %s)", file, v.name(), orNone(v.New)), nil
		}
	}
	return p.unexpectedBytes(o, file, values)
}

// unexpectedBytes finds edits of the pins file other than its values.
func (p *promotion) unexpectedBytes(o proposal, file string, values []Change) (string, error) {
	want, err := p.pinsFileAt(o.fork, file)
	if err != nil {
		return "", err
	}
	got, err := p.pinsFileAt(o.commit, file)
	if err != nil {
		return "", err
	}
	if bytes.Equal(applyValues(file, want, values), got) {
		return "", nil
	}
	return fmt.Sprintf("an edit of %q in a merge commit", file), nil
}

// applyValues returns a pins file with values as a promotion writes them, or nil where it
// couldn't.
func applyValues(file string, data []byte, values []Change) []byte {
	for _, v := range values {
		edited, err := gitrepo.SetString(file, data, v.New, v.key()...)
		if err != nil {
			return nil
		}
		data = edited
	}
	return data
}
