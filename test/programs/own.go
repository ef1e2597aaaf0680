package programs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// OwnPrograms is the name of the job that builds envladder's own programs.
const OwnPrograms = "envladder's programs"

// ownSeconds is the usual build time of envladder's programs, after the command demo.
const ownSeconds = 97

// Own returns the job that builds envladder's programs into bin/. root is the folder of the
// repository. Go's cache makes the job short if nothing has changed.
func Own(root string) Job {
	return Job{Name: OwnPrograms, Seconds: ownSeconds, Build: func(ctx context.Context, _ func()) (Built, error) {
		var out bytes.Buffer
		cmd := exec.CommandContext(ctx, "make", "--no-print-directory", "-C", root, "programs")
		cmd.Stdout, cmd.Stderr = &out, &out
		// make passes SIGTERM on to the compiler. If it were killed, the compiler would run on.
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = 10 * time.Second
		if err := cmd.Run(); err != nil {
			return Built{}, errors.Join(fmt.Errorf("running make programs: %w", err), lastLines(out.String(), 20))
		}
		return Built{Name: OwnPrograms}, nil
	}}
}
