package promote

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/registry"
)

// candidate is what a promotion proposes for an environment: digests by the image's name,
// and the packaged chart that they soaked with.
type candidate struct {
	images map[string]string
	// chart is empty where it doesn't change.
	chart string
	// from is the environment that has it pinned, empty where it was named.
	from string
}

// matches reports whether pins have the candidate already.
func (c candidate) matches(p ladder.Pins) bool {
	for name, digest := range c.images {
		if p.Images[name] != digest {
			return false
		}
	}
	return c.chart == "" || c.chart == p.Chart
}

// ParseImage parses NAME@DIGEST or REPOSITORY@DIGEST of an image of the ladder.
func ParseImage(document *ladder.Document, text string) (image ladder.Image, digest string, err error) {
	name, digest, ok := strings.Cut(text, "@")
	switch {
	case !ok:
		return ladder.Image{}, "", fmt.Errorf("parsing image %q: the digest is missing: want %s@sha256:…, since a tag can be moved", text, withoutTag(text))
	case !digests.Valid(digest):
		return ladder.Image{}, "", fmt.Errorf("parsing image %q: %q is not a digest: want sha256: and 64 lowercase hex digits", text, digest)
	case !strings.Contains(name, "/") && strings.Contains(name, ":"):
		return ladder.Image{}, "", fmt.Errorf("parsing image %q: it has a tag: leave it out, the digest identifies the image", text)
	case !strings.Contains(name, "/"):
		image, err = document.Image(name)
		return image, digest, err
	}
	image, err = findByRepository(document, text)
	return image, digest, err
}

func withoutTag(text string) string {
	if i := strings.LastIndexByte(text, ':'); i > strings.LastIndexByte(text, '/') {
		return text[:i]
	}
	return text
}

// findByRepository finds the only image of the ladder with a repository.
func findByRepository(document *ladder.Document, text string) (ladder.Image, error) {
	reference, err := registry.ParseReference(text)
	if err != nil {
		return ladder.Image{}, err
	}
	if reference.Tag != "" {
		return ladder.Image{}, fmt.Errorf("parsing image %q: it has a tag: leave it out, the digest identifies the image", text)
	}
	var found []ladder.Image
	known := make([]string, 0, len(document.Spec.Images))
	for _, image := range document.Spec.Images {
		if repository, err := registry.ParseRepository(image.Repository); err == nil && repository == reference.Repository {
			found = append(found, image)
		}
		known = append(known, image.Repository)
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return ladder.Image{}, fmt.Errorf("parsing image %q: ladder %q has several images of this repository, among them %s and %s: use the name, as in %s@%s",
			text, document.Metadata.Name, found[0].Name, found[1].Name, found[0].Name, reference.Digest)
	case len(known) == 0:
		return ladder.Image{}, fmt.Errorf("parsing image %q: ladder %q has no images", text, document.Metadata.Name)
	}
	return ladder.Image{}, fmt.Errorf("parsing image %q: ladder %q has no image of this repository, only %s", text, document.Metadata.Name, strings.Join(known, ", "))
}

// namedCandidate returns the candidate of images that were named.
func namedCandidate(document *ladder.Document, texts []string) (candidate, error) {
	c := candidate{images: map[string]string{}}
	for _, text := range texts {
		image, digest, err := ParseImage(document, text)
		if err != nil {
			return candidate{}, err
		}
		if other, ok := c.images[image.Name]; ok && other != digest {
			return candidate{}, fmt.Errorf("parsing images: %q is named twice, as %s and as %s", image.Name, other, digest)
		}
		c.images[image.Name] = digest
	}
	return c, nil
}

// candidateFromBefore returns what the environment before this one has pinned.
func candidateFromBefore(document *ladder.Document, environment string) (candidate, error) {
	before, err := targetsBefore(document, environment)
	if err != nil {
		return candidate{}, err
	}
	if len(before) == 0 {
		return candidate{}, fmt.Errorf("choosing a candidate for %q: no environment before it has pins: name the images (--image NAME@sha256:…)", environment)
	}
	c := candidate{images: map[string]string{}, chart: before[0].Pins.Chart, from: before[0].Environment.Name}
	for _, image := range document.Spec.Images {
		digest, err := agreedValue(before, image.Name, func(p ladder.Pins) string { return p.Images[image.Name] })
		if err != nil {
			return candidate{}, err
		}
		if digest != "" {
			c.images[image.Name] = digest
		}
	}
	if _, err := agreedValue(before, "its chart", func(p ladder.Pins) string { return p.Chart }); err != nil {
		return candidate{}, err
	}
	if len(c.images) == 0 {
		return candidate{}, fmt.Errorf("choosing a candidate for %q: %q, the environment before it, has no digest pinned", environment, c.from)
	}
	return c, nil
}

// agreedValue returns the value that all targets have pinned.
func agreedValue(targets []ladder.EnvTarget, name string, valueIn func(ladder.Pins) string) (string, error) {
	value := valueIn(targets[0].Pins)
	for _, p := range targets[1:] {
		if other := valueIn(p.Pins); other != value {
			return "", fmt.Errorf("choosing a candidate: the targets of %q differ in %s: %s has %s, %s has %s: name the image (--image NAME@sha256:…)",
				p.Environment.Name, name, targets[0].Name(), orNone(value), p.Name(), orNone(other))
		}
	}
	return value, nil
}

// targetsBefore returns the targets of the nearest environment before that has pins of its
// own. local has none: it runs what dev has.
func targetsBefore(document *ladder.Document, environment string) ([]ladder.EnvTarget, error) {
	environments := document.Spec.Environments
	at := slices.IndexFunc(environments, func(e ladder.Environment) bool { return e.Name == environment })
	for i := at - 1; i >= 0; i-- {
		targets, err := document.EnvTargets(environments[i].Name)
		if err != nil {
			return nil, err
		}
		targets = slices.DeleteFunc(targets, func(p ladder.EnvTarget) bool { return p.PinsFile == "" })
		if len(targets) > 0 {
			return targets, nil
		}
	}
	return nil, nil
}

var errNoPins = errors.New("it has no pins")

// checkPinnable fails for a target without pins of its own.
func checkPinnable(p ladder.EnvTarget) error {
	if p.PinsFile != "" {
		return nil
	}
	if p.Environment.Name == "local" {
		return fmt.Errorf("pinning %q: %w of its own: it runs what dev has pinned", p.Name(), errNoPins)
	}
	return fmt.Errorf("pinning %q: %w: set a file in the ladder (environments[].pins, or its targets')", p.Name(), errNoPins)
}
