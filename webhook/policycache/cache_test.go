package policycache

import (
	"log/slog"
	"maps"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/envladder/envladder/internal/logtest"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// TestUnreadableException checks that an Exception which can't be decoded exempts nothing,
// replaces an earlier one of its name, and denies nothing.
func TestUnreadableException(t *testing.T) {
	var log logtest.Buffer
	c := New(slog.New(slog.NewTextHandler(&log, nil)))
	exception := func(more map[string]any) *unstructured.Unstructured {
		spec := map[string]any{
			"digest": webhooktest.Digest('a'), "namespaces": []any{"shop"}, "reason": "incident 117",
			"expiresAt": "2026-11-26T12:00:00Z", "bundles": []any{"e30="},
		}
		maps.Copy(spec, more)
		u := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
		u.SetGroupVersionKind(ExceptionKind)
		u.SetName("exception")
		return u
	}
	for name, more := range map[string]map[string]any{
		"field of a newer version": {"weekdays": []any{"Monday"}},
		"wrong type":               {"bundles": "e30="},
		"no digest":                {"digest": ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.SetException(exception(nil))
			if len(c.Exceptions()) != 1 {
				t.Fatalf("a valid one isn't read: %s", log.String())
			}
			c.SetException(exception(more))
			if got := c.Exceptions(); len(got) != 0 {
				t.Errorf("it exempts: %+v", got)
			}
			if recall, err := c.UnreadableRecall(); err != nil {
				t.Errorf("it denies everything, as Recall %q", recall)
			}
			if !strings.Contains(log.String(), "it exempts nothing") {
				t.Errorf("the log doesn't report it: %s", log.String())
			}
		})
	}
}

func TestCacheReady(t *testing.T) {
	if New(slog.New(slog.DiscardHandler)).Ready() {
		t.Error("a cache that watches nothing is ready")
	}
}
