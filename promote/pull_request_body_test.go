package promote

import (
	"strings"
	"testing"
	"time"

	"github.com/envladder/envladder/internal/gate"
)

func TestBodyIsTruncated(t *testing.T) {
	r := Result{EnvTarget: "prod", Environment: "prod"}
	for range 200 {
		r.Reasons = append(r.Reasons, gate.NewReason(gate.NoSoak, "%s", strings.Repeat("ä", 1000)))
	}
	r.describe(origin{time.Now(), "shop", r.command("", nil)})
	if len(r.Body) > 65_536 || !strings.Contains(r.Body, "The rest doesn't fit here") || !strings.Contains(r.Body, "\n    envladder promote prod\n") {
		t.Errorf("%d bytes", len(r.Body))
	}
}

func TestTitle(t *testing.T) {
	image := func(name string) Change {
		return Change{Image: name, New: "sha256:" + strings.Repeat("0123456789abcdef", 4)}
	}
	for want, changes := range map[string][]Change{
		"Promote web to prod/eu: sha256:0123456789ab": {image("web")},
		"Promote api, web to prod/eu":                 {image("api"), image("web"), {New: "x.tgz"}},
		"Promote a, b, c, d and 1 more to prod/eu":    {image("a"), image("b"), image("c"), image("d"), image("e")},
		"Promote the chart to prod/eu":                {{New: "x.tgz"}},
	} {
		if got := (&Result{EnvTarget: "prod/eu", Changes: changes}).title(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
