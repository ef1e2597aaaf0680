package postrender

import (
	"fmt"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/registry"
)

// pinCheck rejects a rendering that runs one of the ladder's images by anything but its
// pinned digest: a template may have a tag of its own, or take one from a value that the
// pins don't reach, such as a global or a subchart's.
type pinCheck struct {
	pins []ladder.Pin
	// source is the template of the objects that are being checked.
	source string
	errs   []error
}

// checkObject checks all images in an object.
func (c *pinCheck) checkObject(object map[string]any) {
	kind, _ := object["kind"].(string)
	metadata, _ := object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	title := fmt.Sprintf("%s %q", kind, name)
	visitImages(object, func(image string) { c.checkImage(title, image) })
}

// checkImage checks one image of the object with that title.
func (c *pinCheck) checkImage(title, image string) {
	reference, err := registry.ParseReference(image)
	repository := reference.Repository
	if err != nil {
		// It may still be a misspelt image of the ladder, which nothing else would report.
		repository = repositoryPart(image)
	}
	pins := pinsIn(c.pins, repository)
	// Two images may share one repository: each must match one of its pins.
	if err == nil && slices.ContainsFunc(pins, func(pin ladder.Pin) bool { return pin.Digest == reference.Digest }) {
		return
	}
	for _, pin := range pins {
		c.errs = append(c.errs, fmt.Errorf("%s of template %q runs %.400q, and %s pins image %q to %s: let the template take it from .Values.%s",
			title, c.source, image, pin.Source, pin.Name, pin.Digest, pin.ValuesPath))
	}
}

// pinsIn returns the pins of images in a repository.
func pinsIn(pins []ladder.Pin, repository string) []ladder.Pin {
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

// repositoryPart returns the repository of an invalid reference.
func repositoryPart(image string) string {
	image, _, _ = strings.Cut(strings.TrimSpace(image), "@")
	if colon := strings.LastIndexByte(image, ':'); colon > strings.LastIndexByte(image, '/') {
		image = image[:colon]
	}
	return image
}
