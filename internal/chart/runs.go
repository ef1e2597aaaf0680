package chart

import (
	"fmt"
	"strings"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/registry"
)

// Runs says whether what is rendered runs the image by its pinned digest: a pod does,
// wherever one is described. Where no pod has that digest an object may name it in
// another way, as custom resources and arguments of operators do, and that counts too.
func (ms Manifests) Runs(pin ladder.Pin) (bool, error) {
	_, hex, _ := strings.Cut(pin.Digest, ":")
	runs, named, elsewhere := false, false, false
	look := func(image string) {
		reference, err := registry.ParseReference(image)
		if err != nil || reference.Digest != pin.Digest {
			return
		}
		ours := len(pinsOf([]ladder.Pin{pin}, reference.Repository)) > 0
		runs, elsewhere = runs || ours, elsewhere || !ours
	}
	for _, m := range ms {
		if m.onlyCRDs() || !strings.Contains(m.Content, hex) {
			continue
		}
		named = true
		objects, err := objectsOf(m.Content)
		if err != nil {
			return false, fmt.Errorf("reading an object of %q: %w", m.Source, err)
		}
		for _, object := range objects {
			eachImage(object, look)
		}
	}
	return runs || named && !elsewhere, nil
}
