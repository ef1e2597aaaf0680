package lint

import (
	"fmt"
	"strings"

	"github.com/envladder/envladder/internal/chart/manifest"
	"github.com/envladder/envladder/internal/chart/postrender"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/strictyaml"
)

// unusedImages finds images that are pinned but used in no environment: promotions would
// then move digests that don't run. An image that only some environments use isn't a
// finding, since others may have turned it off.
type unusedImages struct {
	// used has the names of images that an environment uses.
	used map[string]bool
	// pinned has the positions of each image's pins, by its name.
	pinned map[string][]string
	// incomplete is set where an environment isn't rendered.
	incomplete bool
}

// add adds what a view renders to; nil where that isn't known.
func (u *unusedImages) add(v view, rendered manifest.Manifests) {
	if u.used == nil {
		u.used, u.pinned = map[string]bool{}, map[string][]string{}
	}
	u.incomplete = u.incomplete || rendered == nil
	for _, pin := range v.resolved.Pins {
		used, err := postrender.UsesImage(rendered, pin)
		u.used[pin.Name] = u.used[pin.Name] || used || err != nil
		if pin.Line > 0 {
			u.pinned[pin.Name] = append(u.pinned[pin.Name], fmt.Sprintf("%s (%s:%d)", v.Name, pin.Source, pin.Line))
		}
	}
}

// problems returns a warning for each unused image.
func (u *unusedImages) problems(document *ladder.Document) strictyaml.Problems {
	if u.incomplete {
		return nil
	}
	var problems strictyaml.Problems
	for _, image := range document.Spec.Images {
		if pinned := u.pinned[image.Name]; len(pinned) > 0 && !u.used[image.Name] {
			problems = append(problems, document.ImageWarning(image.Name,
				"image %q is pinned but unused: no rendered object references %s by its pinned digest, for %s: use %s in a template, or set valuesPath to a value that the chart reads",
				image.Name, image.Repository, firstNames(5, pinned), imageValues(image)))
		}
	}
	return problems
}

// imageValues returns what a template has to use for an image.
func imageValues(image ladder.Image) string {
	if image.ValuesPath == "" {
		return "these values"
	}
	return ".Values." + image.ValuesPath
}

// firstNames lists the first few names.
func firstNames(few int, names []string) string {
	if more := len(names) - few; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), more)
	}
	return strings.Join(names, ", ")
}
