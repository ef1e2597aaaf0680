package chart

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/registry"
)

// imageCheck refuses a rendering that runs one of the ladder's images by anything but its
// pinned digest: a template may have a tag of its own, or take one from a value that the
// pins don't reach, such as a global or a subchart's.
type imageCheck struct {
	pins []ladder.Pin
	// source is the template in work.
	source string
	errs   []error
}

func (c *imageCheck) object(object map[string]any) {
	kind, _ := object["kind"].(string)
	metadata, _ := object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	title := fmt.Sprintf("%s %q", kind, name)
	eachImage(object, func(image string) { c.image(title, image) })
}

// eachImage visits the images of pods wherever they are described in v: a custom
// resource may have a pod's template anywhere.
func eachImage(v any, visit func(image string)) {
	switch v := v.(type) {
	case map[string]any:
		for _, image := range imagesIn(v) {
			visit(image)
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			eachImage(v[key], visit)
		}
	case []any:
		for _, item := range v {
			eachImage(item, visit)
		}
	}
}

func (c *imageCheck) image(object, image string) {
	reference, err := registry.ParseReference(image)
	repository := reference.Repository
	if err != nil {
		// It may still be one of ours, misspelt: no one else tells.
		repository = cutReference(image)
	}
	pins := pinsOf(c.pins, repository)
	// Two images may be in one repository: each is what one of its pins says.
	if err == nil && slices.ContainsFunc(pins, func(pin ladder.Pin) bool { return pin.Digest == reference.Digest }) {
		return
	}
	for _, pin := range pins {
		c.errs = append(c.errs, fmt.Errorf("%s of template %q runs %.400q, and %s pins image %q to %s: let the template take it from .Values.%s",
			object, c.source, image, pin.Source, pin.Name, pin.Digest, pin.ValuesPath))
	}
}

// pinsOf are the pins of images in a repository.
func pinsOf(pins []ladder.Pin, repository string) []ladder.Pin {
	var found []ladder.Pin
	for _, pin := range pins {
		pinned, err := registry.ParseRepository(pin.Repository)
		if err != nil {
			pinned = pin.Repository
		}
		if strings.EqualFold(repository, pinned) {
			found = append(found, pin)
		}
	}
	return found
}

// cutReference is the repository of what is no valid reference.
func cutReference(image string) string {
	image, _, _ = strings.Cut(strings.TrimSpace(image), "@")
	if colon := strings.LastIndexByte(image, ':'); colon > strings.LastIndexByte(image, '/') {
		image = image[:colon]
	}
	return image
}
