package main

import (
	"testing"

	"github.com/envladder/envladder/promote"
	"github.com/envladder/envladder/promote/workloads"
)

func TestRunningTextDistinguishesTagAndPinnedDigest(t *testing.T) {
	const digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	for name, test := range map[string]struct{ pinned, running, want string }{
		"pinned digest":   {digest, digest, "pinned 1/2 (here)"},
		"other digest":    {"", digest, "sha256:aaaaaaaaaaaa 1/2 (here)"},
		"tag":             {digest, "", "a tag 1/2 (here)"},
		"tag without pin": {"", "", "a tag 1/2 (here)"},
	} {
		t.Run(name, func(t *testing.T) {
			row := promote.Row{Digest: test.pinned, Running: []workloads.Running{{Cluster: "here", Digest: test.running, Ready: 1, Desired: 2}}}
			if got := runningText(row); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
