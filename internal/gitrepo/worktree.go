package gitrepo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Worktree is a temporary work tree at a commit of the remote. Close takes it away.
type Worktree struct {
	// Root is the absolute path of its first folder.
	Root string
	// Base is the commit that it was made from.
	Base string

	repository *Repository
	unlock     func()
	// name is that of its folder, of Git's note of it, and of where its commits are kept
	// from Git's housekeeping.
	name string
}

// Worktree fetches a branch of the remote and checks it out beside the user's work tree.
// A clone has one at a time: it waits until another one is closed, and takes away what one
// has left that was killed. There is nothing to close beside an error.
func (r *Repository) Worktree(ctx context.Context, branch string) (*Worktree, error) {
	unlock, err := r.lock(ctx)
	if err != nil {
		return nil, err
	}
	r.sweep(ctx)
	w := &Worktree{repository: r, unlock: unlock, name: namePrefix + rand.Text()}
	if err := w.open(ctx, branch); err != nil {
		return nil, errors.Join(err, w.Close(ctx))
	}
	return w, nil
}

// refs is where the commits are kept.
func (w *Worktree) refs() string { return refsPrefix + w.name }

func (w *Worktree) open(ctx context.Context, branch string) error {
	commit, err := w.fetch(ctx, branch)
	if err != nil {
		return err
	}
	if commit == "" {
		return fmt.Errorf("fetching branch %q: %q has no such branch", branch, w.repository.Remote)
	}
	w.Base = commit
	root, err := temporary(w.name)
	if err != nil {
		return fmt.Errorf("making a temporary work tree: %w", err)
	}
	// Only for its user: the repository may be.
	if err := os.Mkdir(root, 0o700); err != nil {
		return fmt.Errorf("making a temporary work tree: %w", err)
	}
	w.Root = root
	if _, err := run(ctx, w.repository.Root, "-c", "core.autocrlf=false", "worktree", "add", "--quiet", "--detach", "--", root, commit); err != nil {
		return fmt.Errorf("making a temporary work tree: %w", err)
	}
	return nil
}

// fetch brings a branch of the remote, and returns its commit: empty where there is no
// such branch. It writes neither FETCH_HEAD nor origin/…: others may be fetching here.
func (w *Worktree) fetch(ctx context.Context, branch string) (string, error) {
	r, into := w.repository, w.refs()+"/"+branch
	tip, err := r.Tip(ctx, branch)
	if err != nil || tip == "" {
		return "", err
	}
	_, err = run(ctx, r.Root, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--refmap=", "--",
		r.Remote, "+refs/heads/"+branch+":"+into)
	if err != nil {
		return "", fmt.Errorf("fetching branch %q of %q: %w", branch, r.Remote, err)
	}
	out, err := run(ctx, r.Root, "rev-parse", "--verify", "--quiet", into+"^{commit}")
	return strings.TrimSpace(out), err
}

// cleanup is how long taking a work tree away may take: it is done after a signal too.
const cleanup = 10 * time.Second

// Close takes the work tree and what was fetched for it away, also where ctx has ended.
func (w *Worktree) Close(ctx context.Context) error {
	defer w.unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	if err := w.remove(ctx); err != nil {
		return fmt.Errorf("taking the temporary work tree away: %w", err)
	}
	return nil
}

// remove takes the refs away last: by them what is left is found.
func (w *Worktree) remove(ctx context.Context) error {
	var errs []error
	if w.Root != "" {
		_, err := run(ctx, w.repository.Root, "worktree", "remove", "--force", "--force", "--", w.Root)
		errs = append(errs, os.RemoveAll(w.Root))
		if err != nil { // a work tree that was added halfway isn't one to git
			errs = append(errs, w.repository.dropNote(w.name))
		}
	}
	return errors.Join(append(errs, w.dropRefs(ctx))...)
}

func (w *Worktree) dropRefs(ctx context.Context) error {
	out, err := run(ctx, w.repository.Root, "for-each-ref", "--format=delete %(refname)", w.refs()+"/")
	if err != nil || out == "" {
		return err
	}
	_, err = runWith(ctx, w.repository.Root, out, "update-ref", "--stdin")
	return err
}

// git runs git in the work tree. Line ends are the repository's: to convert them and back
// would change lines that nobody meant.
func (w *Worktree) git(ctx context.Context, args ...string) (string, error) {
	return run(ctx, w.Root, append([]string{"-c", "core.autocrlf=false"}, args...)...)
}

// Fetch brings another branch of the remote for the time of the work tree, and returns
// its commit: empty where there is no such branch.
func (w *Worktree) Fetch(ctx context.Context, branch string) (commit string, err error) {
	return w.fetch(ctx, branch)
}

// Write writes a file (a path in the repository), in its present mode where it is there.
func (w *Worktree) Write(file string, data []byte) error {
	root, err := os.OpenRoot(w.Root)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll(filepath.Dir(filepath.FromSlash(file)), 0o755); err != nil {
		return fmt.Errorf("writing %q: %w", file, err)
	}
	if err := root.WriteFile(filepath.FromSlash(file), data, 0o644); err != nil {
		return fmt.Errorf("writing %q: %w", file, err)
	}
	return nil
}

// Diff is what has been written to a file, as git shows it.
func (w *Worktree) Diff(ctx context.Context, file string) (string, error) {
	// Of a file that git doesn't know yet there is a diff once it is meant to be added.
	if _, err := w.git(ctx, "add", "--force", "--intent-to-add", "--", file); err != nil {
		return "", err
	}
	return w.git(ctx, "diff", "--no-color", "--no-ext-diff", "--no-textconv", "--", file)
}

// Commit commits a file with the user's identity, hooks and signature, and returns the
// commit.
func (w *Worktree) Commit(ctx context.Context, file, message string) (string, error) {
	if _, err := w.git(ctx, "add", "--force", "--", file); err != nil {
		return "", fmt.Errorf("committing %q: %w", file, err)
	}
	if _, err := runWith(ctx, w.Root, message, "-c", "core.autocrlf=false", "-c", "user.useConfigOnly=true", "commit", "--quiet", "--cleanup=whitespace", "--file=-"); err != nil {
		return "", fmt.Errorf("committing %q: %w", file, err)
	}
	out, err := w.git(ctx, "rev-parse", "--verify", "HEAD^{commit}")
	return strings.TrimSpace(out), err
}
