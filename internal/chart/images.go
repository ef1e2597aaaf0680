package chart

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	k8syaml "sigs.k8s.io/yaml"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/registry"
)

// checkImages refuses a rendering that runs one of the ladder's images by anything but
// its pinned digest: a template may have a tag of its own, or take one from a value
// that the pins don't reach, such as a global or a subchart's.
func (ms Manifests) checkImages(pins []ladder.Pin) error {
	if len(pins) == 0 {
		return nil
	}
	var errs []error
	for _, m := range ms {
		if m.CRDs || !strings.Contains(m.Content, "image") {
			continue
		}
		var object map[string]any
		if err := k8syaml.Unmarshal([]byte(m.Content), &object); err != nil {
			return fmt.Errorf("reading an object of %q: %w", m.Source, err)
		}
		check := imageCheck{pins: pins, source: m.Source}
		check.object(object)
		errs = append(errs, check.errs...)
	}
	return errors.Join(errs...)
}

// imageCheck is of one document.
type imageCheck struct {
	pins   []ladder.Pin
	source string
	errs   []error
}

// object checks an object, or the objects in a list of them.
func (c *imageCheck) object(object map[string]any) {
	kind, _ := object["kind"].(string)
	if items := mapsIn(object["items"]); isList(kind) && items != nil {
		for _, item := range items {
			c.object(item)
		}
		return
	}
	metadata, _ := object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	c.walk(fmt.Sprintf("%s %q", kind, name), object)
}

// walk looks for pods wherever they are described: a custom resource may have a pod's
// template anywhere.
func (c *imageCheck) walk(object string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, image := range imagesIn(v) {
			c.image(object, image)
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			c.walk(object, v[key])
		}
	case []any:
		for _, item := range v {
			c.walk(object, item)
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
	for _, pin := range c.pins {
		pinned, pinErr := registry.ParseRepository(pin.Repository)
		if pinErr != nil {
			pinned = pin.Repository
		}
		if !strings.EqualFold(repository, pinned) || err == nil && reference.Digest == pin.Digest {
			continue
		}
		c.errs = append(c.errs, fmt.Errorf("%s of template %q runs %.400q, and %s pins image %q to %s: let the template take it from .Values.%s",
			object, c.source, image, pin.Source, pin.Name, pin.Digest, pin.ValuesPath))
	}
}

// cutReference is the repository of what is no valid reference.
func cutReference(image string) string {
	image, _, _ = strings.Cut(strings.TrimSpace(image), "@")
	if colon := strings.LastIndexByte(image, ':'); colon > strings.LastIndexByte(image, '/') {
		image = image[:colon]
	}
	return image
}
