package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// ErrMoved is that the branch isn't any more where the change was made from: made again
// from where it is now, it may be pushed.
var ErrMoved = errors.New("the branch has moved")

// Push moves a branch of the remote from the commit that was seen there (empty: there is
// none) to another one, and nothing but from that one. The error matches
// ErrMoved, or has git's words: of a hook, a protected branch, missing rights.
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
	// Whatever git and the remote's hooks call it: if the branch is elsewhere, that is
	// why, or it is reason enough to try again.
	tip, tipErr := q.repository.Tip(ctx, branch)
	switch {
	case tipErr != nil:
		return err
	case tip == commit: // it has arrived, and what failed came after
		return nil
	case tip != seen:
		return errors.Join(ErrMoved, err)
	}
	return err
}

// arrival is how long the remote may take to say what became of a push that was stopped.
const arrival = 5 * time.Second

// checkArrived returns no error if a push that was stopped has arrived all the same.
func (q *Quarantine) checkArrived(ctx context.Context, branch, commit string, stopped error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), arrival)
	defer cancel()
	if tip, err := q.repository.Tip(ctx, branch); err == nil && tip == commit {
		return nil
	}
	return stopped
}

// raced is what git answers where another push came first: it has seen that itself
// (rejected), or the remote has, in one of its ways of saying so.
var raced = regexp.MustCompile(`(?m)^!\t.*(\[rejected\]|cannot lock ref|failed to update ref|failed to lock|incorrect old value)`)

// status is git's own word on a branch that it couldn't push.
var status = regexp.MustCompile(`(?m)^!\t[^\t]*\t(.*)$`)

// withStatus adds it to what git wrote for people.
func withStatus(err error, out string) error {
	refused, ok := errors.AsType[*Error](err)
	found := status.FindStringSubmatch(out)
	if !ok || found == nil {
		return err
	}
	text := complaint(found[1])
	if refused.Output != "" {
		text += "\n" + refused.Output
	}
	return &Error{Command: refused.Command, Output: text, Err: refused.Err}
}
