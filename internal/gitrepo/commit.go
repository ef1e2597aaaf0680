package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// messageHooks are the hooks that get only a commit's message, with their arguments after
// the file's name. Hooks that check or change a work tree can't run without one.
var messageHooks = [][]string{{"prepare-commit-msg", "message"}, {"commit-msg"}}

// Commit commits a tree with the user's identity and signature, and returns its ID. It
// doesn't run hooks on the message: EditMessage does.
func (q *Quarantine) Commit(ctx context.Context, tree *Tree, parent, message string) (string, error) {
	args := []string{"-c", "user.useConfigOnly=true", "-c", "i18n.commitEncoding=UTF-8", "commit-tree", tree.root.id, "-p", parent, "-F", "-"}
	sign, err := q.signs(ctx)
	if err != nil {
		return "", err
	}
	if sign {
		args = append(args, "-S")
	}
	out, err := q.gitWith(ctx, message, args...)
	if err != nil {
		return "", fmt.Errorf("committing: %w", err)
	}
	return strings.TrimSpace(out), nil
}

// signs reports whether the user's commits are signed.
func (q *Quarantine) signs(ctx context.Context) (bool, error) {
	out, err := q.git(ctx, "config", "--type=bool", "--default=false", "--get", "commit.gpgSign")
	if err != nil {
		return false, fmt.Errorf("reading commit.gpgSign: %w", err)
	}
	return strings.TrimSpace(out) == "true", nil
}

// EditMessage runs the user's hooks on the message of a commit (prepare-commit-msg and
// commit-msg), in the user's work tree, and returns the result. The error contains the
// message of a hook that rejects it.
func (q *Quarantine) EditMessage(ctx context.Context, message string) (string, error) {
	file := filepath.Join(q.dir, "COMMIT_EDITMSG")
	if err := os.WriteFile(file, []byte(message), 0o600); err != nil { //nolint:gosec // git names the folder
		return "", fmt.Errorf("writing the commit message: %w", err)
	}
	inClone := invocation{dir: q.repository.Root, env: append(environment(), "GIT_EDITOR=:")}
	for _, hook := range messageHooks {
		args := append([]string{"hook", "run", "--ignore-missing", hook[0], "--", file}, hook[1:]...)
		if _, err := inClone.run(ctx, args...); err != nil {
			if refused, ok := errors.AsType[*Error](err); ok {
				refused.Command = "hook " + hook[0]
			}
			return "", fmt.Errorf("committing: %w", err)
		}
	}
	edited, err := os.ReadFile(file) //nolint:gosec // a file of the quarantine
	if err != nil {
		return "", fmt.Errorf("reading the commit message: %w", err)
	}
	return q.gitWith(ctx, string(edited), "stripspace")
}

// Diff returns what differs in a file between two trees, as git shows it.
func (q *Quarantine) Diff(ctx context.Context, from, to *Tree, file string) (string, error) {
	return q.git(ctx, "diff", "--no-color", "--no-ext-diff", "--no-textconv", from.root.id, to.root.id, "--", file)
}
