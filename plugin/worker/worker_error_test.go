package worker

import "testing"

func TestReasonOf(t *testing.T) {
	for output, want := range map[string]Reason{
		"fatal error: runtime: out of memory\n\nruntime stack:":                                            ReasonMemory,
		"fatal error: runtime: cannot allocate memory":                                                     ReasonMemory,
		"runtime/cgo: pthread_create failed: Resource temporarily unavailable\nSIGABRT":                    ReasonMemory,
		"runtime: failed to create new OS thread (have 7 already; errno=11)":                               ReasonMemory,
		"runtime: goroutine stack exceeds 67108864-byte limit\nfatal error: stack overflow":                ReasonStack,
		"fatal error: unexpected signal during runtime execution\n[signal SIGSEGV: segmentation violation": ReasonMemory,
		"SIGSEGV: segmentation violation\nPC=0x43961d m=0 sigcode=1 addr=0x0\n\ngoroutine 0 gp=0x2b050c0":  ReasonMemory,
		"panic: runtime error: invalid memory address or nil pointer dereference\n[signal SIGSEGV:":        ReasonCrash,
		"":                      ReasonCrash,
		"panic: internal error": ReasonCrash,
	} {
		if got := reasonOf(output); got != want {
			t.Errorf("%q: %s, want %s", output, got, want)
		}
	}
}

func TestWorkerErrorReportsProbableReason(t *testing.T) {
	err := &WorkerError{Reason: ReasonMemory, Unsure: true, Chart: "c", Memory: 64 << 20}
	if want := `rendering chart "c": it probably needs more than 64 MiB of memory (--max-render-memory)`; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}
