package gitrepo

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// A work tree has one name in three places: its folder, Git's note of it
// (.git/worktrees/NAME) and its refs. So what is left of one whose process was killed is
// known from what people have made: nobody else's name has 26 random letters.
const (
	namePrefix = "envladder-"
	refsPrefix = "refs/envladder/"
)

var ownName = regexp.MustCompile("^" + namePrefix + "[A-Z2-7]{26}$")

// sweep takes away what is left of work trees whose process was killed. Under the lock
// there is no other. What can't be taken away (another user's folder) is no reason not to
// go on, and is tried again the next time.
//
// Programs that a killed process has begun may still run, and may leave something after
// this; that is for the next time too.
func (r *Repository) sweep(ctx context.Context) {
	for name, root := range r.leftovers(ctx) {
		_ = (&Worktree{Root: root, repository: r, name: name}).remove(ctx)
	}
	// What isn't a ref there is the lock of one, by a git that was killed too.
	_ = os.RemoveAll(filepath.Join(r.common, filepath.FromSlash(refsPrefix))) //nolint:gosec // git itself says where its folder is
}

// leftovers are the names of what is left, and their folders. A folder comes after its
// first ref and goes before the last, so each has refs or a note.
func (r *Repository) leftovers(ctx context.Context) map[string]string {
	found := map[string]string{}
	out, _ := run(ctx, r.Root, "for-each-ref", "--format=%(refname)", refsPrefix)
	for ref := range strings.FieldsSeq(out) {
		name, _, _ := strings.Cut(strings.TrimPrefix(ref, refsPrefix), "/")
		found[name] = ""
	}
	notes, _ := os.ReadDir(filepath.Join(r.common, "worktrees"))
	for _, note := range notes {
		found[note.Name()] = ""
	}
	for name := range found {
		if !ownName.MatchString(name) {
			delete(found, name)
			continue
		}
		found[name] = r.folderOf(name)
	}
	return found
}

// folderOf is a work tree's folder: Git's note says where it is, if it got that far.
func (r *Repository) folderOf(name string) string {
	note := r.noteOf(name)
	data, _ := os.ReadFile(filepath.Join(note, "gitdir")) //nolint:gosec // likewise
	root := filepath.Dir(strings.TrimSpace(string(data)))
	if !filepath.IsAbs(root) { // worktree.useRelativePaths
		root = filepath.Join(note, root)
	}
	if filepath.Base(root) == name && root != note {
		return root
	}
	root, _ = temporary(name)
	return root
}

func (r *Repository) noteOf(name string) string { return filepath.Join(r.common, "worktrees", name) }

// dropNote takes away Git's note of a work tree. `git worktree prune` wouldn't while it is
// marked as being made, and would take the user's own.
func (r *Repository) dropNote(name string) error {
	err := os.RemoveAll(r.noteOf(name))
	_ = os.Remove(filepath.Dir(r.noteOf(name))) // git keeps no empty one; it stays where it isn't
	return err
}

// temporary is a path in the folder for temporary files, without symbolic links: git
// prints such paths.
func temporary(name string) (string, error) {
	dir, err := filepath.Abs(os.TempDir())
	if err != nil {
		return "", err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", err
	}
	return filepath.Join(dir, name), nil
}
