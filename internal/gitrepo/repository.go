package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// Repository is a user's working copy. Nothing here changes its work tree, its index or
// its branches.
type Repository struct {
	// Root is the absolute path of the work tree.
	Root string
	// Dir is the slash path of the opened folder, relative to Root.
	Dir string
	// Remote to fetch from and push to, such as origin.
	Remote string

	// common is Git's own folder, which all work trees share.
	common string
}

// ErrNoRepository is returned for a folder outside of any Git repository.
var ErrNoRepository = errors.New("no Git repository")

// Open opens the repository that contains the folder dir. In a sparse check-out the folder
// itself may be missing. The error matches ErrNoRepository where there is none.
func Open(ctx context.Context, dir, remote string) (*Repository, error) {
	there, missing := existing(dir)
	out, err := run(ctx, there, "rev-parse", "--show-toplevel", "--show-prefix", "--path-format=absolute", "--git-common-dir")
	if failed, ok := errors.AsType[*Error](err); ok && strings.Contains(failed.Output, "not a git repository") {
		return nil, fmt.Errorf("finding the repository of %q: %w: %w", dir, ErrNoRepository, err)
	}
	if err != nil {
		return nil, fmt.Errorf("finding the repository of %q: %w", dir, err)
	}
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != 3 || lines[0] == "" {
		return nil, fmt.Errorf("finding the repository of %q: it has no work tree, or a line break in its path", dir)
	}
	return &Repository{Root: lines[0], Dir: path.Clean(path.Join(lines[1], filepath.ToSlash(missing))), Remote: remote, common: lines[2]}, nil
}

// existing splits a path into its existing folder and the missing rest.
func existing(dir string) (there, missing string) {
	there = filepath.Clean(dir)
	for {
		_, err := os.Stat(there) //nolint:gosec // the user's folder
		parent := filepath.Dir(there)
		if !errors.Is(err, fs.ErrNotExist) || parent == there {
			return there, missing
		}
		there, missing = parent, filepath.Join(filepath.Base(there), missing)
	}
}

// RemoteURL returns the URL that the remote is pushed to. It may contain a password.
func (r *Repository) RemoteURL(ctx context.Context) (string, error) {
	out, err := run(ctx, r.Root, "remote", "get-url", "--push", r.Remote)
	if err != nil {
		return "", fmt.Errorf("finding the remote %q: %w", r.Remote, err)
	}
	return strings.TrimSpace(out), nil
}

// defaultBranch matches a line of `git ls-remote --symref`.
var defaultBranch = regexp.MustCompile(`(?m)^ref: refs/heads/(\S+)\tHEAD$`)

// ErrNoDefaultBranch is returned where a remote has no default branch, or hides it.
var ErrNoDefaultBranch = errors.New("it has none (set one)")

// DefaultBranch returns the remote's default branch. It queries the remote: origin/HEAD in a
// clone may be old, and is often missing in CI.
func (r *Repository) DefaultBranch(ctx context.Context) (string, error) {
	out, err := run(ctx, r.Root, "ls-remote", "--symref", "--", r.Remote, "HEAD")
	if err != nil {
		return "", fmt.Errorf("querying the default branch of %q: %w", r.Remote, err)
	}
	found := defaultBranch.FindStringSubmatch(out)
	if found == nil {
		return "", fmt.Errorf("querying the default branch of %q: %w", r.Remote, ErrNoDefaultBranch)
	}
	return found[1], nil
}

// CheckBranch validates the name of a branch.
func (r *Repository) CheckBranch(ctx context.Context, branch string) error {
	if _, err := run(ctx, r.Root, "check-ref-format", "refs/heads/"+branch); err != nil || strings.HasPrefix(branch, "-") {
		return fmt.Errorf("parsing branch %q: not a valid name of a Git branch", branch)
	}
	return nil
}

// Tip returns the commit of a branch of the remote, or "" if there is no such branch.
func (r *Repository) Tip(ctx context.Context, branch string) (string, error) {
	out, err := run(ctx, r.Root, "ls-remote", "--", r.Remote, "refs/heads/"+branch)
	if err != nil {
		return "", fmt.Errorf("querying branch %q of %q: %w", branch, r.Remote, err)
	}
	for line := range strings.Lines(out) {
		if commit, ref, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok && ref == "refs/heads/"+branch {
			return commit, nil
		}
	}
	return "", nil
}

// identity matches an identity of `git var`: NAME <ADDRESS> TIME ZONE.
var identity = regexp.MustCompile(`^[^<]*[^< ][^<]*<[^<>]+> `)

// CheckIdentity fails if git has no configured identity. One that git derives from the host's
// name doesn't count.
func (r *Repository) CheckIdentity(ctx context.Context) error {
	for _, ident := range []string{"GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"} {
		out, err := run(ctx, r.Root, "-c", "user.useConfigOnly=true", "var", ident)
		_, refused := errors.AsType[*Error](err)
		switch {
		case refused && ctx.Err() == nil, err == nil && !identity.MatchString(out):
			return errors.New("finding the committer: git has no identity: set one (git config user.name NAME, git config user.email ADDRESS)")
		case err != nil:
			return fmt.Errorf("finding the committer: %w", err)
		}
	}
	return nil
}

// Changed returns the files, of some paths in the repository, with uncommitted changes,
// including new files. Without a check-out (a clone with --no-checkout) there are none.
func (r *Repository) Changed(ctx context.Context, files ...string) ([]string, error) {
	index, err := run(ctx, r.Root, "rev-parse", "--path-format=absolute", "--git-path", "index")
	if err != nil {
		return nil, fmt.Errorf("finding the index: %w", err)
	}
	if _, err := os.Stat(strings.TrimSuffix(index, "\n")); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	args := append([]string{"status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--"}, files...)
	out, err := run(ctx, r.Root, args...)
	if err != nil {
		return nil, fmt.Errorf("listing changes: %w", err)
	}
	var changed []string
	for entry := range strings.SplitSeq(out, "\x00") {
		const states = len("XY ")
		if len(entry) > states {
			changed = append(changed, entry[states:])
		}
	}
	return changed, nil
}
