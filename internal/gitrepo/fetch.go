package gitrepo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// fetchArgs of every fetch: it fetches only the named branches.
var fetchArgs = []string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-show-forced-updates", "--no-prune", "--refmap="}

// Fetch fetches a branch of the remote and returns its commit, or "" if there is no such
// branch. Into a shallow clone it fetches only the newest commit.
func (q *Quarantine) Fetch(ctx context.Context, branch string) (string, error) {
	return q.fetch(ctx, branch, q.depth(1)...)
}

// FetchWithParent fetches a branch like Fetch, but into a shallow clone the newest commit
// with its parents, whose files are fetched when they are read.
func (q *Quarantine) FetchWithParent(ctx context.Context, branch string) (string, error) {
	return q.fetch(ctx, branch, q.depth(2, "--filter=blob:none")...)
}

// depth returns the arguments that limit a fetch into a shallow clone. The branch may share
// no history with it: without a limit, all of its history would be fetched.
func (q *Quarantine) depth(commits int, more ...string) []string {
	if !q.shallow {
		return nil
	}
	return append(more, fmt.Sprintf("--depth=%d", commits))
}

func (q *Quarantine) fetch(ctx context.Context, branch string, args ...string) (string, error) {
	args = slices.Concat(fetchArgs, args, []string{"--", q.repository.Remote, refspec(branch)})
	if _, err := q.git(ctx, args...); err != nil {
		failed := fmt.Errorf("fetching branch %q of %q: %w", branch, q.repository.Remote, err)
		// Git has no exit code of its own for a missing branch.
		tip, err := q.repository.Tip(ctx, branch)
		switch {
		case err != nil:
			return "", failed
		case tip == "":
			return "", nil
		}
		// Another promotion may have created it since.
		if _, err := q.git(ctx, args...); err != nil {
			return "", failed
		}
	}
	out, err := q.git(ctx, "rev-parse", "--verify", "--quiet", "refs/heads/"+branch+"^{commit}")
	return strings.TrimSpace(out), err
}

func refspec(branch string) string { return "+refs/heads/" + branch + ":refs/heads/" + branch }

// deepenings are how many commits each deepening adds; the next one fetches all.
var deepenings = []int{50, 500, 5000}

// Deepen fetches more of the history of branches that have been fetched. It reports
// whether there was more to fetch: a clone that isn't shallow has all history.
func (q *Quarantine) Deepen(ctx context.Context, branches ...string) (bool, error) {
	if !q.isShallow() {
		return false, nil
	}
	more := "--unshallow"
	if q.deepened < len(deepenings) {
		more = fmt.Sprintf("--deepen=%d", deepenings[q.deepened])
	}
	q.deepened++
	args := slices.Concat(fetchArgs, []string{"--filter=blob:none", more, "--", q.repository.Remote})
	for _, branch := range branches {
		args = append(args, refspec(branch))
	}
	if _, err := q.git(ctx, args...); err != nil {
		return false, fmt.Errorf("fetching more of the history of %s from %q: %w", strings.Join(branches, " and "), q.repository.Remote, err)
	}
	return true, nil
}

// isShallow reports whether history is still cut somewhere.
func (q *Quarantine) isShallow() bool {
	info, err := os.Stat(filepath.Join(q.dir, "shallow"))
	return err == nil && info.Size() > 0
}
