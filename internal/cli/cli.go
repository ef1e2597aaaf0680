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
	"time"

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
func Main(newRoot func() *cobra.Command) {
	os.Exit(Run(newRoot(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Run is Main for tests. SIGINT and SIGTERM cancel the command's context. A command
// that hasn't ended its grace after that is abandoned, with the exit code of the
// signal (128 and its number): a template that never ends can't be stopped otherwise.
// A second signal kills at once.
func Run(root *cobra.Command, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	prepare(root, args, stdin, stdout, stderr)
	grace := graceOf(root, args) // before it runs: cobra changes its commands then
	ended := make(chan error, 1)
	go func() { ended <- root.ExecuteContext(ctx) }()
	select {
	case err := <-ended:
		return exitCode(root, err)
	case received := <-signals:
		signal.Stop(signals) // a second signal finds the default handler
		cancel()
		select {
		case err := <-ended:
			return exitCode(root, err)
		case <-time.After(grace):
			fmt.Fprintf(stderr, "%s: %v: it didn't end within %v, and is abandoned\n", root.Name(), received, grace)
			return exitSignal(received)
		}
	}
}

func prepare(root *cobra.Command, args []string, stdin io.Reader, stdout, stderr io.Writer) {
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SilenceErrors = true
	root.SilenceUsage = true
	root.Version = fmt.Sprintf("%s %s/%s %s", Version(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w\nflags: %s --help", err, cmd.CommandPath())
	})
	tellUsage(root)
	refuseRepeatedFlags(root)
}

func exitCode(root *cobra.Command, err error) int {
	switch {
	case err == nil:
		return ExitOK
	case errors.Is(err, ErrNo):
		return ExitNo
	default:
		fmt.Fprintf(root.ErrOrStderr(), "%s: %v\n", root.Name(), err)
		return ExitError
	}
}

// exitSignal is what a shell gives as the code of a program that the signal killed.
func exitSignal(s os.Signal) int {
	const killed = 128
	if number, ok := s.(syscall.Signal); ok {
		return killed + int(number)
	}
	return ExitError
}
