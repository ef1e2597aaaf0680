package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Show is a file (a path in the repository) at a commit; ok is false where there is none.
func (w *Worktree) Show(ctx context.Context, commit, file string) (content []byte, ok bool, err error) {
	listed, err := w.git(ctx, "ls-tree", "-z", "--full-tree", commit, "--", file)
	if err != nil {
		return nil, false, fmt.Errorf("reading %q at %s: %w", file, commit, err)
	}
	if listed == "" {
		return nil, false, nil
	}
	out, err := w.git(ctx, "cat-file", "blob", commit+":"+file)
	if err != nil {
		return nil, false, fmt.Errorf("reading %q at %s: %w", file, commit, err)
	}
	return []byte(out), true, nil
}

// MergeBase is where two commits parted, empty where they have nothing in common that
// this clone knows.
func (w *Worktree) MergeBase(ctx context.Context, a, b string) (string, error) {
	out, err := w.git(ctx, "merge-base", a, b)
	if refused, ok := errors.AsType[*Error](err); ok && refused.Output == "" && ctx.Err() == nil {
		return "", nil // it ends with 1 and says nothing
	}
	return strings.TrimSpace(out), err
}

// Commit is a commit of a branch.
type Commit struct {
	ID string
	// Merge is set where it has several parents.
	Merge bool
	// Trailer is the value of the trailer that was asked for, empty where it has none.
	Trailer string
}

// Commits are those in tip that base lacks, the newest first, with the value of a trailer.
func (w *Worktree) Commits(ctx context.Context, base, tip, key string) ([]Commit, error) {
	const parts = 3
	out, err := w.git(ctx, "log", "--no-show-signature", "-z",
		"--format=%H%x09%P%x09%(trailers:key="+key+",valueonly,separator=%x2C)", base+".."+tip)
	if err != nil {
		return nil, fmt.Errorf("listing the commits of %.12s: %w", tip, err)
	}
	var commits []Commit
	for line := range strings.SplitSeq(out, "\x00") {
		part := strings.SplitN(line, "\t", parts)
		if len(part) == parts {
			commits = append(commits, Commit{ID: part[0], Merge: strings.Contains(part[1], " "), Trailer: strings.TrimSpace(part[2])})
		}
	}
	return commits, nil
}

// Touching are the commits in tip that base lacks and that change a file, those of merged
// branches too.
func (w *Worktree) Touching(ctx context.Context, base, tip, file string) ([]string, error) {
	out, err := w.git(ctx, "log", "--no-show-signature", "--full-history", "--format=%H", base+".."+tip, "--", file)
	if err != nil {
		return nil, fmt.Errorf("listing the commits of %q: %w", file, err)
	}
	return strings.Fields(out), nil
}

// Differing are the files (paths in the repository) that differ between two commits, with
// mode and object of each as they are in the second one.
func (w *Worktree) Differing(ctx context.Context, from, to string) (map[string]string, error) {
	out, err := w.git(ctx, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-ext-diff", from, to)
	if err != nil {
		return nil, fmt.Errorf("comparing %.12s with %.12s: %w", from, to, err)
	}
	// Each is `:MODE MODE OBJECT OBJECT STATE`, a zero byte, and the path.
	const parts = 5
	files := map[string]string{}
	part := strings.Split(out, "\x00")
	for i := 0; i+1 < len(part); i += 2 {
		if about := strings.Fields(part[i]); len(about) == parts {
			files[part[i+1]] = about[1] + " " + about[3]
		}
	}
	return files, nil
}
