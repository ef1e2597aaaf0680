package scenario

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPrinter(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0123456789abcdef", 4)
	other := "sha256:" + strings.Repeat("f", 64)
	tell := func(color bool) string {
		var out strings.Builder
		n := NewPrinter(&out, color)
		n.Step(1, "a step")
		n.Explain("Why.")
		n.Command("push web@" + digest)
		n.Output("pushed " + digest + "\n" + other + "\n\n")
		n.Output("")
		return out.String()
	}
	t.Run("prints a digest in full only once", func(t *testing.T) {
		want := "\n== 1. a step\n\n# Why.\n$ push web@" + digest + "\npushed sha256:0123456789ab…\n" + other + "\n"
		if diff := cmp.Diff(want, tell(false)); diff != "" {
			t.Errorf("unexpected output (-want +got):\n%s", diff)
		}
	})
	t.Run("color adds only escape sequences", func(t *testing.T) {
		colored := tell(true)
		plain := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(colored, "")
		if colored == plain {
			t.Error("no escape sequences")
		}
		if diff := cmp.Diff(tell(false), plain); diff != "" {
			t.Errorf("unexpected text (-want +got):\n%s", diff)
		}
	})
}
