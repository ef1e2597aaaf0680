// Package gitrepo reads and changes branches of a remote through a user's clone, by the
// git program itself, so that the user's credential helpers, ssh agent, signing and
// proxies work. It checks nothing out: files are read from commits, and a commit is made
// from objects, in a quarantine that leaves the user's clone as it is. It also edits one
// value of a YAML document and changes no other byte.
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
	// maxOutput of a command: the longest are lists of changed files.
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

// settings of every command: git doesn't refresh the user's index, and starts no
// housekeeping in the background that would outlive the quarantine.
var settings = []string{"--no-optional-locks", "-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "advice.detachedHead=false"}

// invocation is how git is run: in which folder, with which variables, and with what to
// read.
type invocation struct {
	dir   string
	env   []string
	stdin string
}

// run runs git in the folder dir and returns what it prints.
func run(ctx context.Context, dir string, args ...string) (string, error) {
	return invocation{dir: dir, env: environment()}.run(ctx, args...)
}

// command prepares git with its settings. It is told to end when ctx ends.
func (i invocation) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", append(slices.Clone(settings), args...)...) //nolint:gosec // what is untrusted in it stands behind --, or was checked
	cmd.Dir, cmd.Env = i.dir, i.env
	cmd.Stdin = strings.NewReader(i.stdin)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = killAfter
	return cmd
}

// run runs git and returns what it prints.
func (i invocation) run(ctx context.Context, args ...string) (string, error) {
	cmd := i.command(ctx, args...)
	stdout := &bounded{limit: maxOutput}
	stderr := &bounded{limit: maxComplaint}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", errNotInstalled
	case ctx.Err() != nil:
		return "", &Error{Command: command(args), Err: context.Cause(ctx)}
	case err != nil:
		return stdout.String(), &Error{Command: command(args), Output: complaint(stderr.String()), Err: err}
	case stdout.cut:
		return "", &Error{Command: command(args), Err: fmt.Errorf("it printed more than %d MiB", maxOutput>>20)}
	}
	return stdout.String(), nil
}

var errNotInstalled = errors.New("running git: it isn't installed (or not in $PATH)")

// isNo reports whether git answered no: it ended with an error and said nothing.
func isNo(ctx context.Context, err error) bool {
	refused, ok := errors.AsType[*Error](err)
	return ok && refused.Output == "" && ctx.Err() == nil
}

// command is git's verb among its arguments, behind its settings.
func command(args []string) string {
	for len(args) > 2 && args[0] == "-c" {
		args = args[2:]
	}
	return args[0]
}

// localVariables tie git to another repository: envladder may be run from a hook. The
// list is that of `git rev-parse --local-env-vars`, without the configuration that a
// caller may pass on purpose (GIT_CONFIG_*).
var localVariables = []string{
	"GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_OBJECT_DIRECTORY", "GIT_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE",
	"GIT_GRAFT_FILE", "GIT_INDEX_FILE", "GIT_NO_REPLACE_OBJECTS", "GIT_REPLACE_REF_BASE", "GIT_PREFIX", "GIT_SHALLOW_FILE", "GIT_COMMON_DIR",
}

// environment returns the variables of the process without localVariables.
func environment() []string {
	kept := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(localVariables, name)
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
