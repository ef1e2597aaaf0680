package watch

import (
	"log/slog"
	"testing"

	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/registry/registrytest"
	"github.com/envladder/envladder/observer/observertest"
)

func TestCatalogContradicts(t *testing.T) {
	server := registrytest.Start(t, registrytest.WithReferrers)
	index, children := server.Index(t, "shop/web", "linux/amd64", "linux/arm64")
	other := server.Image(t, "shop/web")
	manifest, err := registry.NewClient().Manifest(t.Context(), server.Name("shop/web"), children[1])
	if err != nil {
		t.Fatal(err)
	}
	c := NewCatalog(registry.NewClient(), slog.New(slog.DiscardHandler))
	c.Contradicts(server.Name("shop/web"), index, ImageID{Digest: other})
	observertest.WaitUntil(t, "both images are known", func() bool {
		return c.Contradicts(server.Name("shop/web"), index, ImageID{Digest: other})
	})
	for name, test := range map[string]struct {
		digest string
		runs   ImageID
		want   bool
	}{
		"a child":                       {index, ImageID{Digest: children[0]}, false},
		"a child's configuration":       {index, ImageID{Digest: manifest.Config, Bare: true}, false},
		"another image's configuration": {index, ImageID{Digest: configDigest, Bare: true}, true},
		"an image that can't be read":   {index, ImageID{Digest: indexDigest}, false},
		"no digest":                     {index, ImageID{}, false},
		"the index of the child":        {children[1], ImageID{Digest: index}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.Contradicts(server.Name("shop/web"), test.digest, test.runs); got != test.want {
				t.Errorf("contradicts: %v, want %v", got, test.want)
			}
		})
	}
}
