package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Quarantine is a private repository inside the .git folder of the user's clone. It
// uses the clone's objects and configuration, and all fetched and new objects are written to
// the quarantine only. Fetching more history or fewer blobs therefore doesn't change how
// shallow or partial the user's clone is, and removing one folder removes everything.
type Quarantine struct {
	repository *Repository
	dir        string
	env        []string
	shallow    bool
	deepened   int
	objects    *objectReader
	unlock     func()
}

// Quarantine opens a quarantine. A clone has one at a time: it waits until another one is
// closed, and removes those of killed processes. Close it after use; it ends with ctx at the
// latest.
func (r *Repository) Quarantine(ctx context.Context) (*Quarantine, error) {
	unlock, err := r.lock(ctx)
	if err != nil {
		return nil, err
	}
	r.removeLeftovers()
	q := &Quarantine{repository: r, unlock: unlock}
	if err := q.open(ctx); err != nil {
		q.Close()
		return nil, fmt.Errorf("creating a quarantine in %q: %w", r.common, err)
	}
	return q, nil
}

func (q *Quarantine) open(ctx context.Context) error {
	r := q.repository
	settings, err := r.configuration(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(r.quarantines(), 0o700); err != nil {
		return err
	}
	if q.dir, err = os.MkdirTemp(r.quarantines(), "*"); err != nil {
		return err
	}
	// Hooks check a work tree, which a quarantine lacks; EditMessage runs those on messages.
	settings = append(settings, setting{"core.hooksPath", os.DevNull}, setting{"protocol.version", "2"})
	q.env = append(withSettings(environment(), settings), "GIT_DIR="+q.dir)
	format, err := run(ctx, r.Root, "rev-parse", "--show-object-format")
	if err != nil {
		return err
	}
	if _, err := q.git(ctx, "init", "--quiet", "--bare", "--template=", "--object-format="+strings.TrimSpace(format), "--", q.dir); err != nil {
		return err
	}
	if err := q.borrow(); err != nil {
		return err
	}
	q.objects = newObjectReader(ctx, invocation{dir: r.Root, env: q.env})
	return nil
}

// borrow gives the quarantine access to the clone's objects, and its list of shallow commits.
func (q *Quarantine) borrow() error {
	common := q.repository.common
	info := filepath.Join(q.dir, "objects", "info")
	if err := os.MkdirAll(info, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(info, "alternates"), []byte(filepath.Join(common, "objects")+"\n"), 0o600); err != nil {
		return err
	}
	shallow, err := os.ReadFile(filepath.Join(common, "shallow")) //nolint:gosec // git itself names its folder
	if errors.Is(err, fs.ErrNotExist) || (err == nil && len(shallow) == 0) {
		return nil
	}
	if err != nil {
		return err
	}
	q.shallow = true
	return os.WriteFile(filepath.Join(q.dir, "shallow"), shallow, 0o600) //nolint:gosec // git names the folder
}

// Close removes the quarantine. A folder that can't be removed now is removed by the next
// quarantine in this clone.
func (q *Quarantine) Close() {
	defer q.unlock()
	if q.objects != nil {
		q.objects.close()
	}
	q.repository.removeLeftovers()
}

// git runs git in the quarantine. Relative paths in the configuration are relative to the
// user's work tree.
func (q *Quarantine) git(ctx context.Context, args ...string) (string, error) {
	return q.gitWith(ctx, "", args...)
}

// gitWith is git with standard input.
func (q *Quarantine) gitWith(ctx context.Context, stdin string, args ...string) (string, error) {
	return invocation{dir: q.repository.Root, env: q.env, stdin: stdin}.run(ctx, args...)
}

// quarantines returns the folder of the clone's quarantines.
func (r *Repository) quarantines() string { return filepath.Join(r.common, "envladder") }

// removeLeftovers removes all quarantines. Under the lock there are only those
// of killed processes. Programs that a killed process started may still write there; the next
// quarantine removes that.
func (r *Repository) removeLeftovers() {
	_ = os.RemoveAll(r.quarantines()) //nolint:gosec // git names the folder
}
