package promote_test

import (
	"os"
	"testing"

	"github.com/envladder/envladder/internal/chart"
)

// chartDigest is what the plugin would stamp.
func chartDigest(t *testing.T, w *fixture) string {
	t.Helper()
	loaded, err := chart.Load(t.Context(), os.DirFS(w.clone), "shop/chart")
	check(t, err)
	return loaded.Digest
}
