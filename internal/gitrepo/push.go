package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// ErrMoved is returned where the branch has moved since the change was created: a change
// from its new tip may succeed.
var ErrMoved = errors.New("the branch has moved")

// Push moves a branch of the remote from an expected commit (empty: no branch) to another
// one. Its error matches ErrMoved, or contains git's message about a hook, a protected branch
// or missing permissions.
func (q *Quarantine) Push(ctx context.Context, branch, seen, commit string) error {
	ref := "refs/heads/" + branch
	out, err := q.git(ctx, "push", "--porcelain", "--no-follow-tags", "--recurse-submodules=no", "--force-with-lease="+ref+":"+seen, "--", q.repository.Remote, commit+":"+ref)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("pushing branch %q to %q: %w", branch, q.repository.Remote, withStatus(err, out))
	if ctx.Err() != nil {
		return q.checkArrived(ctx, branch, commit, err)
	}
	if seen == "" {
		if blocked := q.repository.checkBlocked(ctx, branch, err); blocked != nil {
			return blocked
		}
	}
	if denied := replacementDenied(branch, seen, out, err); denied != nil {
		return denied
	}
	if raced.MatchString(out) {
		return errors.Join(ErrMoved, err)
	}
	// Whatever git and the remote's hooks report: if the branch has moved, that is the
	// cause, or reason enough to retry.
	tip, tipErr := q.repository.Tip(ctx, branch)
	switch {
	case tipErr != nil:
		return err
	case tip == commit: // it was pushed, and something failed after that
		return nil
	case tip != seen:
		return errors.Join(ErrMoved, err)
	}
	return err
}

// arrival is how long the remote may take to report the result of a stopped push.
const arrival = 5 * time.Second

// checkArrived returns no error if a stopped push succeeded nevertheless.
func (q *Quarantine) checkArrived(ctx context.Context, branch, commit string, stopped error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), arrival)
	defer cancel()
	if tip, err := q.repository.Tip(ctx, branch); err == nil && tip == commit {
		return nil
	}
	return stopped
}

// raced matches git's messages about another push that came first: from git itself
// (rejected), or from the remote.
var raced = regexp.MustCompile(`(?m)^!\t.*(\[rejected\]|cannot lock ref|failed to update ref|failed to lock|incorrect old value)`)

// status matches git's status line for a branch that it couldn't push.
var status = regexp.MustCompile(`(?m)^!\t[^\t]*\t(.*)$`)

// withStatus adds that line to git's error output.
func withStatus(err error, out string) error {
	refused, ok := errors.AsType[*Error](err)
	found := status.FindStringSubmatch(out)
	if !ok || found == nil {
		return err
	}
	text := errorText(found[1])
	if refused.Output != "" {
		text += "\n" + refused.Output
	}
	return &Error{Command: refused.Command, Output: text, Err: refused.Err}
}

// replaceDenied matches the messages of remotes that don't allow to replace the commits of a
// branch: git's receive.denyNonFastForwards, and the branch protection of GitHub, GitLab
// and Gitea.
var replaceDenied = regexp.MustCompile(`(?i)non-fast-forward|force[- ]?push|protected branch`)

// replacementDenied returns an error with advice if the remote rejected a push because it
// replaces commits of the branch, and nil for any other reason. A lost race is not
// such a push: git rejects that itself.
func replacementDenied(branch, seen, out string, rejected error) error {
	if seen == "" || !strings.Contains(out, "[remote rejected]") || !replaceDenied.MatchString(out+rejected.Error()) {
		return nil
	}
	return fmt.Errorf("%w\nthe remote doesn't allow the commits of branch %q to be replaced: allow force pushes to the branches of promotions (envladder/**), or merge or delete the branch first", rejected, branch)
}
