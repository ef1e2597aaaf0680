package worker

import "testing"

func TestReasonOf(t *testing.T) {
	for said, want := range map[string]Reason{
		"fatal error: runtime: out of memory\n\nruntime stack:":                             ReasonMemory,
		"fatal error: runtime: cannot allocate memory":                                      ReasonMemory,
		"runtime/cgo: pthread_create failed: Resource temporarily unavailable\nSIGABRT":     ReasonMemory,
		"runtime: failed to create new OS thread (have 7 already; errno=11)":                ReasonMemory,
		"runtime: goroutine stack exceeds 67108864-byte limit\nfatal error: stack overflow": ReasonStack,
		"":                     ReasonCrash,
		"panic: fault of ours": ReasonCrash,
	} {
		if got := reasonOf(said); got != want {
			t.Errorf("%q: %s, want %s", said, got, want)
		}
	}
}
