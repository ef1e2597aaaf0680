package ladder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Repository is a working copy on disk.
type Repository struct {
	// Root is the absolute path of the repository's first folder.
	Root string
	// Dir is the slash path in the repository of the folder that it was found from.
	Dir string

	root *os.Root
}

// FindRepository finds the repository that the folder dir is in: the nearest folder
// above with a `.git` (a file, in worktrees and submodules), or dir itself where none
// has it. It is the repository that git commits to. Close it after use.
func FindRepository(dir string) (*Repository, error) {
	return findRepository(dir, func(root string) string { return root })
}

// FindSources finds the repository like FindRepository, for reading only: from a submodule
// it continues to the repository that checks it out, which Argo CD sends to the plugin.
func FindSources(dir string) (*Repository, error) {
	return findRepository(dir, superproject)
}

func findRepository(dir string, widen func(root string) string) (*Repository, error) {
	dir, err := absolute(dir)
	if err != nil {
		return nil, fmt.Errorf("finding the folder %q: %w", dir, err)
	}
	top := dir
	if root, ok := rootAbove(dir); ok {
		top = widen(root)
	}
	rel, err := filepath.Rel(top, dir)
	if err != nil {
		return nil, fmt.Errorf("finding %q in %q: %w", dir, top, err)
	}
	root, err := os.OpenRoot(top)
	if err != nil {
		return nil, fmt.Errorf("opening the repository: %w", err)
	}
	return &Repository{Root: top, Dir: filepath.ToSlash(rel), root: root}, nil
}

// FS returns the repository's files. Nothing outside can be reached through it: the
// operating system rejects `..` and symbolic links that lead out.
func (r *Repository) FS() fs.FS { return r.root.FS() }

// Close closes the repository; FS can't be used afterwards. Nothing was written, so an
// error may be ignored.
func (r *Repository) Close() error { return r.root.Close() }

// absolute returns dir as an absolute path without symbolic links. A `..` in it is resolved
// as in a shell, before links are followed.
func absolute(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return dir, err
	}
	resolved, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return dir, err
	}
	info, err := os.Stat(resolved)
	if err == nil && !info.IsDir() {
		err = errors.New("isn't a folder")
	}
	if err != nil {
		return dir, err
	}
	return resolved, nil
}

// rootAbove returns the nearest folder with a `.git`, from dir on upwards.
func rootAbove(dir string) (root string, ok bool) {
	for at := dir; ; {
		if _, err := os.Lstat(filepath.Join(at, ".git")); err == nil {
			return at, true
		}
		parent := filepath.Dir(at)
		if parent == at {
			return "", false
		}
		at = parent
	}
}
