package promote

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/registry"
)

// candidate is what is proposed for an environment: digests by the image's name, and the
// packaged chart that they soaked with.
type candidate struct {
	images map[string]string
	// chart is empty where it stays what it is.
	chart string
	// from is the environment that it comes from, empty where it was named.
	from string
}

// matches says whether a place is on the candidate already.
func (c candidate) matches(p ladder.Pins) bool {
	for name, digest := range c.images {
		if p.Images[name] != digest {
			return false
		}
	}
	return c.chart == "" || c.chart == p.Chart
}

// ParseImage reads NAME@DIGEST or REPOSITORY@DIGEST, of an image of the ladder.
func ParseImage(document *ladder.Document, text string) (image ladder.Image, digest string, err error) {
	name, digest, ok := strings.Cut(text, "@")
	switch {
	case !ok:
		return ladder.Image{}, "", fmt.Errorf("naming the image %q: want it with its digest, %s@sha256:…: a tag can be moved", text, withoutTag(text))
	case !digests.Valid(digest):
		return ladder.Image{}, "", fmt.Errorf("naming the image %q: %q isn't a digest: want sha256: and 64 lowercase hex digits", text, digest)
	case !strings.Contains(name, "/") && strings.Contains(name, ":"):
		return ladder.Image{}, "", fmt.Errorf("naming the image %q: it has a tag: the digest alone says which it is", text)
	case !strings.Contains(name, "/"):
		image, err = document.Image(name)
		return image, digest, err
	}
	image, err = imageOf(document, text)
	return image, digest, err
}

func withoutTag(text string) string {
	if i := strings.LastIndexByte(text, ':'); i > strings.LastIndexByte(text, '/') {
		return text[:i]
	}
	return text
}

// imageOf finds the ladder's image by its repository, which must be of one alone.
func imageOf(document *ladder.Document, text string) (ladder.Image, error) {
	reference, err := registry.ParseReference(text)
	if err != nil {
		return ladder.Image{}, err
	}
	if reference.Tag != "" {
		return ladder.Image{}, fmt.Errorf("naming the image %q: it has a tag: the digest alone says which it is", text)
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
		return ladder.Image{}, fmt.Errorf("naming the image %q: ladder %q has several of this repository, %s and %s among them: name one, %s@%s",
			text, document.Metadata.Name, found[0].Name, found[1].Name, found[0].Name, reference.Digest)
	case len(known) == 0:
		return ladder.Image{}, fmt.Errorf("naming the image %q: ladder %q has no images", text, document.Metadata.Name)
	}
	return ladder.Image{}, fmt.Errorf("naming the image %q: its repository is none of ladder %q, which has %s", text, document.Metadata.Name, strings.Join(known, ", "))
}

// named is the candidate that was named image by image.
func named(document *ladder.Document, texts []string) (candidate, error) {
	c := candidate{images: map[string]string{}}
	for _, text := range texts {
		image, digest, err := ParseImage(document, text)
		if err != nil {
			return candidate{}, err
		}
		if other, ok := c.images[image.Name]; ok && other != digest {
			return candidate{}, fmt.Errorf("naming the image %q twice: as %s and as %s", image.Name, other, digest)
		}
		c.images[image.Name] = digest
	}
	return c, nil
}

// fromBefore is what the environment before this one in the ladder has pinned.
func fromBefore(document *ladder.Document, environment string) (candidate, error) {
	before, err := placesBefore(document, environment)
	if err != nil {
		return candidate{}, err
	}
	if len(before) == 0 {
		return candidate{}, fmt.Errorf("choosing a candidate for %q: no environment before it has pins: name one (--image NAME@sha256:…)", environment)
	}
	c := candidate{images: map[string]string{}, chart: before[0].Pins.Chart, from: before[0].Environment.Name}
	for _, image := range document.Spec.Images {
		digest, err := agreed(before, image.Name, func(p ladder.Pins) string { return p.Images[image.Name] })
		if err != nil {
			return candidate{}, err
		}
		if digest != "" {
			c.images[image.Name] = digest
		}
	}
	if _, err := agreed(before, "its chart", func(p ladder.Pins) string { return p.Chart }); err != nil {
		return candidate{}, err
	}
	if len(c.images) == 0 {
		return candidate{}, fmt.Errorf("choosing a candidate for %q: %q, the environment before it, has no digest pinned", environment, c.from)
	}
	return c, nil
}

// agreed is what all places have pinned alike.
func agreed(places []ladder.Place, what string, of func(ladder.Pins) string) (string, error) {
	value := of(places[0].Pins)
	for _, p := range places[1:] {
		if other := of(p.Pins); other != value {
			return "", fmt.Errorf("choosing a candidate: the targets of %q don't agree about %s: %s has %s, %s has %s: name the one that is meant (--image NAME@sha256:…)",
				p.Environment.Name, what, places[0].Name(), orNone(value), p.Name(), orNone(other))
		}
	}
	return value, nil
}

func orNone(value string) string { return cmp.Or(value, "none") }

// placesBefore are the places of the nearest environment before that has pins of its
// own: local runs dev's, so nothing climbs from there.
func placesBefore(document *ladder.Document, environment string) ([]ladder.Place, error) {
	environments := document.Spec.Environments
	at := slices.IndexFunc(environments, func(e ladder.Environment) bool { return e.Name == environment })
	for i := at - 1; i >= 0; i-- {
		places, err := document.Places(environments[i].Name)
		if err != nil {
			return nil, err
		}
		places = slices.DeleteFunc(places, func(p ladder.Place) bool { return p.PinsFile == "" })
		if len(places) > 0 {
			return places, nil
		}
	}
	return nil, nil
}

var errNoPins = errors.New("it has no pins")

// pinnable refuses a place without pins of its own.
func pinnable(p ladder.Place) error {
	if p.PinsFile != "" {
		return nil
	}
	if p.Environment.Name == "local" {
		return fmt.Errorf("pinning %q: %w of its own: it runs what dev has pinned", p.Name(), errNoPins)
	}
	return fmt.Errorf("pinning %q: %w: name a file in the ladder (environments[].pins, or its targets')", p.Name(), errNoPins)
}
