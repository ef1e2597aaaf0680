// Package cli is what envladder's programs have in common: signals, exit codes,
// --version and logs.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes of all programs.
const (
	// ExitOK: done, or the answer is yes.
	ExitOK = 0
	// ExitNo: the question was answered, and the answer is no: a denial, findings.
	ExitNo = 1
	// ExitError: it couldn't be done or decided: bad usage, unreadable input, an outage.
	ExitError = 2
)

// ErrNo ends a program with ExitNo. The program has already said why.
var ErrNo = errors.New("the answer is no")

// version is set by the build (-ldflags -X); a plain `go build` says what it knows.
var version string

// Version is the version of the program: a release, or the commit it was built from.
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "devel"
	}
	return info.Main.Version
}

// Main runs a program and exits: in one place, with one meaning of the codes.
// SIGINT and SIGTERM cancel the command's context; a second one kills.
func Main(newRoot func() *cobra.Command) {
	os.Exit(Run(newRoot(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Run is Main for tests.
func Run(root *cobra.Command, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal finds the default handler

	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SilenceErrors = true
	root.SilenceUsage = true
	root.Version = fmt.Sprintf("%s %s/%s %s", Version(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")

	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return ExitOK
	case errors.Is(err, ErrNo):
		return ExitNo
	default:
		fmt.Fprintf(stderr, "%s: %v\n", root.Name(), err)
		return ExitError
	}
}
