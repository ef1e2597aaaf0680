package worker

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Reason is why a worker was killed or crashed.
type Reason string

// The reasons.
const (
	// ReasonTime: the render timed out.
	ReasonTime Reason = "time"
	// ReasonMemory: the render needed more memory than a worker may use.
	ReasonMemory Reason = "memory"
	// ReasonStack: the render overflowed the stack.
	ReasonStack Reason = "stack"
	// ReasonGone: the caller canceled the request.
	ReasonGone Reason = "gone"
	// ReasonCrash: any other crash, such as by the kernel's out-of-memory killer.
	ReasonCrash Reason = "crash"
)

// memoryMessages are printed by a program that can't allocate memory: by Go's runtime, for
// the heap or a thread's stack, with and without cgo, and by the race detector.
var memoryMessages = []string{
	"out of memory", "cannot allocate memory",
	"failed to create new OS thread", "pthread_create failed",
	"ThreadSanitizer failed to allocate",
}

// signalMessages are printed by Go's runtime if an allocation fails that it doesn't check: in a
// goroutine, and on the stack of a thread, as during garbage collection. A bug of the program
// panics instead.
var signalMessages = []string{
	"unexpected signal during runtime execution",
	"SIGSEGV: segmentation violation\nPC=",
}

// containsAny reports whether the output contains one of the messages.
func containsAny(output string, messages ...string) bool {
	return slices.ContainsFunc(messages, func(m string) bool { return strings.Contains(output, m) })
}

// reasonOf returns why a worker crashed, by its output.
func reasonOf(output string) Reason {
	switch {
	case containsAny(output, memoryMessages...), containsAny(output, signalMessages...):
		return ReasonMemory
	case containsAny(output, "stack overflow", "stack exceeds"):
		return ReasonStack
	default:
		return ReasonCrash
	}
}

// WorkerError reports a render during which the worker was killed or crashed.
type WorkerError struct { //nolint:revive // worker.Error would read as any error of the package
	Reason Reason
	// Chart is its path.
	Chart string
	// Template that was being rendered when the render was repeated; empty where there was
	// none, as while the chart is loaded.
	Template string
	// Unsure is set where Reason is only likely.
	Unsure bool
	// Limit is the render's timeout, and Memory its memory limit in bytes.
	Limit  time.Duration
	Memory int64
}

// Error names the chart, the template and the reason.
func (e *WorkerError) Error() string {
	what := "it"
	if e.Template != "" {
		what = fmt.Sprintf("template %q", e.Template)
	}
	return fmt.Sprintf("rendering chart %q: %s %s", e.Chart, what, e.description())
}

// description describes the reason.
func (e *WorkerError) description() string {
	switch e.Reason {
	case ReasonTime:
		return fmt.Sprintf("timed out after %v (infinite loop?)", e.Limit.Round(100*time.Millisecond))
	case ReasonMemory:
		probably := ""
		if e.Unsure {
			probably = "probably "
		}
		return fmt.Sprintf("%sneeds more than %d MiB of memory (--max-render-memory)", probably, e.Memory>>20)
	case ReasonStack:
		return "overflows the stack (infinite recursion?)"
	default:
		return "ended the process that rendered it: see the plugin's log"
	}
}
