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

const (
	// maxOutput bounds the output of a command: the longest are lists of changed files.
	maxOutput = 4 << 20
	// maxComplaint bounds the stored error output, such as a hook's message with hints.
	maxComplaint = 16 << 10
)

// killAfter is how long git may take to remove its lock files after it was interrupted.
const killAfter = 3 * time.Second

// Error is a failed command of git.
type Error struct {
	// Command of git, such as push.
	Command string
	// Output is git's error output, without credentials; it may have several lines.
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

// settings of every command: git doesn't refresh the user's index, and starts no background
// maintenance, which would outlive the quarantine.
var settings = []string{"--no-optional-locks", "-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "advice.detachedHead=false"}

// invocation is a run of git: its folder, variables and standard input.
type invocation struct {
	dir   string
	env   []string
	stdin string
}

// run runs git in the folder dir and returns its output.
func run(ctx context.Context, dir string, args ...string) (string, error) {
	return invocation{dir: dir, env: environment()}.run(ctx, args...)
}

// command prepares git with its settings. It is interrupted when ctx ends.
func (i invocation) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", append(slices.Clone(settings), args...)...) //nolint:gosec // untrusted arguments follow --, or were validated
	cmd.Dir, cmd.Env = i.dir, i.env
	cmd.Stdin = strings.NewReader(i.stdin)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = killAfter
	return cmd
}

// run runs git and returns its output.
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
		return stdout.String(), &Error{Command: command(args), Output: errorText(stderr.String()), Err: err}
	case stdout.cut:
		return "", &Error{Command: command(args), Err: fmt.Errorf("it printed more than %d MiB", maxOutput>>20)}
	}
	return stdout.String(), nil
}

var errNotInstalled = errors.New("running git: it is not installed (or not in $PATH)")

// isNo reports whether git reported a negative result: an exit code without a message.
func isNo(ctx context.Context, err error) bool {
	refused, ok := errors.AsType[*Error](err)
	return ok && refused.Output == "" && ctx.Err() == nil
}

// command returns git's verb among its arguments, after its settings.
func command(args []string) string {
	for len(args) > 2 && args[0] == "-c" {
		args = args[2:]
	}
	return args[0]
}

// localVariables bind git to another repository: envladder may be run from a hook. The list
// is that of `git rev-parse --local-env-vars`, without the configuration that a
// caller may pass on purpose (GIT_CONFIG_*).
var localVariables = []string{
	"GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_OBJECT_DIRECTORY", "GIT_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE",
	"GIT_GRAFT_FILE", "GIT_INDEX_FILE", "GIT_NO_REPLACE_OBJECTS", "GIT_REPLACE_REF_BASE", "GIT_PREFIX", "GIT_SHALLOW_FILE", "GIT_COMMON_DIR",
}

// environment returns the variables of the process without localVariables.
func environment() []string {
	variables := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(localVariables, name)
	})
	return append(variables, "GIT_TERMINAL_PROMPT=0", "LC_ALL=C", "LANGUAGE=C", "GIT_LITERAL_PATHSPECS=1")
}

// bounded stores the first bytes and drops the rest.
type bounded struct {
	bytes.Buffer

	limit int
	cut   bool
}

// Write never fails: a program that can't write might stop halfway.
func (b *bounded) Write(p []byte) (int, error) {
	if room := b.limit - b.Len(); len(p) > room {
		b.cut = true
		b.Buffer.Write(p[:room])
	} else {
		b.Buffer.Write(p)
	}
	return len(p), nil
}
