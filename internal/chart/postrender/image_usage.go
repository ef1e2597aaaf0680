package postrender

import (
	"fmt"
	"strings"

	"github.com/envladder/envladder/internal/chart/manifest"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/registry"
)

// UsesImage reports whether the manifests use an image by its pinned digest: in a pod,
// wherever one is described. Where no pod has the digest, any object that names it counts
// too, since custom resources and arguments of operators may name an image in another way.
func UsesImage(manifests manifest.Manifests, pin ladder.Pin) (bool, error) {
	_, hex, _ := strings.Cut(pin.Digest, ":")
	inPod, inText, otherRepository := false, false, false
	visit := func(image string) {
		reference, err := registry.ParseReference(image)
		if err != nil || reference.Digest != pin.Digest {
			return
		}
		matches := len(pinsIn([]ladder.Pin{pin}, reference.Repository)) > 0
		inPod = inPod || matches
		otherRepository = otherRepository || !matches
	}
	for _, m := range manifests {
		if m.OnlyCRDs() || !strings.Contains(m.Content, hex) {
			continue
		}
		inText = true
		objects, err := manifest.Objects(m.Content)
		if err != nil {
			return false, fmt.Errorf("reading an object of %q: %w", m.Source, err)
		}
		for _, object := range objects {
			visitImages(object, visit)
		}
	}
	return inPod || (inText && !otherRepository), nil
}
