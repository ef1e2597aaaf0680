package worker

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Reason is why a worker was lost.
type Reason string

// The reasons.
const (
	// ReasonTime: the render wasn't done in its time.
	ReasonTime Reason = "time"
	// ReasonMemory: it needed more than a worker may have.
	ReasonMemory Reason = "memory"
	// ReasonStack: it recursed without end.
	ReasonStack Reason = "stack"
	// ReasonGone: who asked has gone away.
	ReasonGone Reason = "gone"
	// ReasonCrash is everything else, such as the kernel's need of memory.
	ReasonCrash Reason = "crash"
)

// noMemory is what a program says that is refused memory: Go's runtime, at the heap or at
// a thread's stack, with and without cgo, and the race detector.
var noMemory = []string{
	"out of memory", "cannot allocate memory",
	"failed to create new OS thread", "pthread_create failed",
	"ThreadSanitizer failed to allocate",
}

// wildAccess is what Go's runtime says that was refused memory where it didn't look. A
// fault of the program's own panics instead.
const wildAccess = "unexpected signal during runtime execution"

// reasonOf is why a worker ended by itself, from what it said.
func reasonOf(said string) Reason {
	saidOne := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(said, w) })
	}
	switch {
	case saidOne(noMemory...), saidOne(wildAccess):
		return ReasonMemory
	case saidOne("stack overflow", "stack exceeds"):
		return ReasonStack
	default:
		return ReasonCrash
	}
}

// LostError is of a render that cost its worker.
type LostError struct {
	Reason Reason
	// Chart is its path.
	Chart string
	// Template that was in work when the render was repeated; empty where there was
	// none, as while the chart is loaded.
	Template string
	// Unsure is set where Reason is only the likely one.
	Unsure bool
	// Limit of time and Memory, in bytes, that the render had.
	Limit  time.Duration
	Memory int64
}

func (e *LostError) Error() string {
	what := "it"
	if e.Template != "" {
		what = fmt.Sprintf("template %q", e.Template)
	}
	return fmt.Sprintf("rendering chart %q: %s %s", e.Chart, what, e.fault())
}

func (e *LostError) fault() string {
	switch e.Reason {
	case ReasonTime:
		return fmt.Sprintf("was still in work when its time was over, %v: does it end?", e.Limit.Round(100*time.Millisecond))
	case ReasonMemory:
		probably := ""
		if e.Unsure {
			probably = "probably "
		}
		return fmt.Sprintf("%sneeds more than %d MiB of memory (--max-render-memory)", probably, e.Memory>>20)
	case ReasonStack:
		return "overflows the stack: does it refer to itself?"
	default:
		return "ended the process that rendered it: the plugin's log has what that said"
	}
}
