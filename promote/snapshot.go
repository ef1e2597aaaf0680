package promote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/envladder/envladder/internal/gitrepo"
	"github.com/envladder/envladder/internal/ladder"
)

// snapshot is the base branch at a commit: its files, and the ladder in them, possibly with
// edited pins.
type snapshot struct {
	// commit of the base branch.
	commit   string
	tree     *gitrepo.Tree
	document *ladder.Document
}

// newest returns the newest state of the base branch. It is cached until a push shows that
// the branch has moved.
func (p *promotion) newest(ctx context.Context) (*snapshot, error) {
	if p.base != nil {
		return p.base, nil
	}
	tree, err := p.fetchBase(ctx)
	if err != nil {
		return nil, err
	}
	if p.base, err = p.open(tree); err != nil {
		return nil, err
	}
	p.base.commit = tree.Commit
	return p.base, nil
}

// fetchBase fetches the base branch.
func (p *promotion) fetchBase(ctx context.Context) (*gitrepo.Tree, error) {
	commit, err := p.quarantine.Fetch(ctx, p.Base)
	if err != nil {
		return nil, err
	}
	if commit == "" {
		return nil, fmt.Errorf("fetching branch %q: %q has no such branch", p.Base, p.Remote)
	}
	return p.quarantine.Tree(commit)
}

// open opens the ladder in a tree.
func (p *promotion) open(tree *gitrepo.Tree) (*snapshot, error) {
	document, err := ladder.Open(tree, p.repository.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the ladder: folder %q has none on branch %s of %s, from which promotions start: push it first, or set the branch (--base)",
			p.repository.Dir, p.Base, p.Remote)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the ladder of branch %s: %w", p.Base, err)
	}
	return &snapshot{tree: tree, document: document}, nil
}

// withChanges returns the snapshot with changes in its pins.
func (p *promotion) withChanges(ctx context.Context, base *snapshot, file string, changes []Change) (*snapshot, error) {
	data, err := readPins(base.tree, file)
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		if data, err = gitrepo.SetString(file, data, c.New, c.key()...); err != nil {
			return nil, err
		}
	}
	tree, err := base.tree.With(ctx, file, data)
	if err != nil {
		return nil, err
	}
	edited, err := p.open(tree)
	if err != nil {
		return nil, err
	}
	edited.commit = base.commit
	return edited, nil
}

// rebase returns a snapshot with the edited pins on another state of the base branch.
func (p *promotion) rebase(ctx context.Context, edited *snapshot, tree *gitrepo.Tree, file string) (*snapshot, error) {
	data, err := readPins(edited.tree, file)
	if err != nil {
		return nil, err
	}
	moved, err := tree.With(ctx, file, data)
	if err != nil {
		return nil, err
	}
	return &snapshot{commit: tree.Commit, tree: moved, document: edited.document}, nil
}
