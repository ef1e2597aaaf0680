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
	// ExitOK: success, or the result is positive.
	ExitOK = 0
	// ExitNo: the result is negative: a denial, or findings.
	ExitNo = 1
	// ExitError: there is no result: bad usage, unreadable input, an outage.
	ExitError = 2
)

// ErrNo ends a program with ExitNo. The program has printed the reason.
var ErrNo = errors.New("the answer is no")

// version is set by the build (-ldflags -X); a plain `go build` uses its build info.
var version string

// Version returns the version of the program: a release, or the commit it was built from.
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

// Main runs a program and exits with its code.
func Main(newRoot func() *cobra.Command) {
	os.Exit(Run(newRoot(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Run is Main for tests. SIGINT and SIGTERM cancel the command's context. A command
// that is still running after its grace period is abandoned, with the exit code of the signal
// (128 plus its number): a template that never ends can't be stopped otherwise. A second
// signal kills at once.
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
	addUsage(root)
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

// exitSignal returns the code that a shell reports for a program killed by a signal.
func exitSignal(s os.Signal) int {
	const killed = 128
	if number, ok := s.(syscall.Signal); ok {
		return killed + int(number)
	}
	return ExitError
}
