package gitrepo

import (
	"context"
	"fmt"
	"strings"
)

// MergeBase returns the merge base of two commits, or "" if the fetched history has none.
func (q *Quarantine) MergeBase(ctx context.Context, a, b string) (string, error) {
	out, err := q.git(ctx, "merge-base", a, b)
	if isNo(ctx, err) {
		return "", nil
	}
	return strings.TrimSpace(out), err
}

// Cut reports whether the history between two commits and their merge base is cut off, as in
// a shallow clone.
func (q *Quarantine) Cut(ctx context.Context, a, b string) (bool, error) {
	if !q.isShallow() {
		return false, nil
	}
	// A cut commit has parents in its object, but git treats it as a root.
	out, err := q.git(ctx, "rev-list", "--max-parents=0", a+"..."+b)
	if err != nil {
		return false, fmt.Errorf("listing the commits of %.12s: %w", b, err)
	}
	for commit := range strings.FieldsSeq(out) {
		o, err := q.objects.read(commit)
		if err != nil {
			return false, fmt.Errorf("reading commit %.12s: %w", commit, err)
		}
		if strings.Contains(string(o.content), "\nparent ") {
			return true, nil
		}
	}
	return false, nil
}

// Commit is a commit of a branch.
type Commit struct {
	ID string
	// Merge is set if it has several parents.
	Merge bool
	// Message of the commit.
	Message string
}

// Commits returns the commits in tip that base lacks, the newest first.
func (q *Quarantine) Commits(ctx context.Context, base, tip string) ([]Commit, error) {
	const parts = 3
	out, err := q.git(ctx, "log", "--no-show-signature", "-z", "--encoding=UTF-8", "--format=%H%x09%P%x09%B", base+".."+tip)
	if err != nil {
		return nil, fmt.Errorf("listing the commits of %.12s: %w", tip, err)
	}
	var commits []Commit
	for record := range strings.SplitSeq(out, "\x00") {
		part := strings.SplitN(record, "\t", parts)
		if len(part) == parts {
			commits = append(commits, Commit{ID: part[0], Merge: strings.Contains(part[1], " "), Message: part[2]})
		}
	}
	return commits, nil
}

// Touching returns the commits in tip that base lacks and that change a file, including
// those of merged branches.
func (q *Quarantine) Touching(ctx context.Context, base, tip, file string) ([]string, error) {
	out, err := q.git(ctx, "log", "--no-show-signature", "--full-history", "--format=%H", base+".."+tip, "--", file)
	if err != nil {
		return nil, fmt.Errorf("listing the commits of %q: %w", file, err)
	}
	return strings.Fields(out), nil
}

// Recent returns the newest commits up to tip that change a file, at most limit of them. A
// merged branch counts as the commit that merged it.
func (q *Quarantine) Recent(ctx context.Context, tip, file string, limit int) ([]string, error) {
	out, err := q.git(ctx, "log", "--no-show-signature", "--first-parent", fmt.Sprintf("--max-count=%d", limit), "--format=%H", tip, "--", file)
	if err != nil {
		return nil, fmt.Errorf("listing the newest commits of %q: %w", file, err)
	}
	return strings.Fields(out), nil
}

// Differing returns the files (paths in the repository) that differ between two commits,
// with mode and object of each as they are in the second one.
func (q *Quarantine) Differing(ctx context.Context, from, to string) (map[string]string, error) {
	out, err := q.git(ctx, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-ext-diff", from, to)
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
