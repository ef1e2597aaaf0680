// Package gitrepo is a working copy of a Git repository by the git program itself, so
// that a user's credential helpers, ssh agent, signing, hooks and proxies work, and the
// edit of one YAML value that changes no other byte.
//
// What a change means it leaves to its callers.
package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Bounds on what git prints.
const (
	// maxOutput of a command: the longest that are asked for are a file (a pins file
	// has a few KiB, strictyaml reads no more than 1 MiB) and lists of changed files.
	maxOutput = 4 << 20
	// maxComplaint is what is kept of its complaints: a hook's refusal with its hints.
	maxComplaint = 16 << 10
)

// killAfter is the time that git has to take back its lock files once it was told to
// end.
const killAfter = 3 * time.Second

// Error is what git refused to do.
type Error struct {
	// Command is git's: push.
	Command string
	// Output is what git said, without credentials; it may have several lines.
	Output string
	Err    error
}

func (e *Error) Error() string {
	if e.Output == "" {
		return fmt.Sprintf("git %s: %v", e.Command, e.Err)
	}
	return fmt.Sprintf("git %s: %s", e.Command, e.Output)
}

func (e *Error) Unwrap() error { return e.Err }

// settings of every command: no refreshed index of the user's, and no housekeeping in the
// background that would outlive a temporary work tree.
var settings = []string{"--no-optional-locks", "-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "advice.detachedHead=false"}

// run runs git in the folder dir and returns what it prints.
func run(ctx context.Context, dir string, args ...string) (string, error) {
	return runWith(ctx, dir, "", args...)
}

// runWith is run with something to read.
func runWith(ctx context.Context, dir, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append(slices.Clone(settings), args...)...) //nolint:gosec // what is foreign in it stands behind --, or was checked
	cmd.Dir = dir
	cmd.Env = environment()
	cmd.Stdin = strings.NewReader(stdin)
	stdout := &bounded{limit: maxOutput}
	stderr := &bounded{limit: maxComplaint}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = killAfter
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", errors.New("running git: it isn't installed (or not in $PATH)")
	case ctx.Err() != nil:
		return "", &Error{Command: command(args), Err: context.Cause(ctx)}
	case err != nil:
		return stdout.String(), &Error{Command: command(args), Output: complaint(stderr.String()), Err: err}
	case stdout.cut:
		return "", &Error{Command: command(args), Err: fmt.Errorf("it printed more than %d MiB", maxOutput>>20)}
	}
	return stdout.String(), nil
}

// command is git's verb among its arguments, behind its settings.
func command(args []string) string {
	for len(args) > 2 && args[0] == "-c" {
		args = args[2:]
	}
	return args[0]
}

// environment is the process's, without what ties git to another repository: envladder
// may be run from a hook. The list is that of `git rev-parse --local-env-vars`, without
// the configuration that a caller may pass on purpose (GIT_CONFIG_*).
func environment() []string {
	local := []string{
		"GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_OBJECT_DIRECTORY", "GIT_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE",
		"GIT_GRAFT_FILE", "GIT_INDEX_FILE", "GIT_NO_REPLACE_OBJECTS", "GIT_REPLACE_REF_BASE", "GIT_PREFIX", "GIT_SHALLOW_FILE", "GIT_COMMON_DIR",
	}
	kept := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(local, name)
	})
	return append(kept, "GIT_TERMINAL_PROMPT=0", "LC_ALL=C", "LANGUAGE=C", "GIT_LITERAL_PATHSPECS=1")
}

// bounded keeps what comes first and lets go of the rest.
type bounded struct {
	bytes.Buffer

	limit int
	cut   bool
}

// Write never fails: a program that can't print might stop halfway.
func (b *bounded) Write(p []byte) (int, error) {
	if room := b.limit - b.Len(); len(p) > room {
		b.cut = true
		b.Buffer.Write(p[:room])
	} else {
		b.Buffer.Write(p)
	}
	return len(p), nil
}
