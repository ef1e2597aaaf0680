package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/chartlint"
	"github.com/envladder/envladder/internal/chart/manifest"
	"github.com/envladder/envladder/internal/chart/postrender"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/layers"
	"github.com/envladder/envladder/internal/strictyaml"
	"github.com/envladder/envladder/internal/valuepath"
)

// idleImages finds images that are pinned and run nowhere: then what climbs by the pins
// isn't what runs. Where one runs in some places, the others may have it turned off.
type idleImages struct {
	runs map[string]bool
	// pinned is where each image is, by its name.
	pinned map[string][]string
	// unknown: there is a place that isn't rendered.
	unknown bool
}

// look looks for the images in what a place renders to; nil where that isn't known.
func (i *idleImages) look(view placeView, rendered manifest.Manifests) {
	if i.runs == nil {
		i.runs, i.pinned = map[string]bool{}, map[string][]string{}
	}
	i.unknown = i.unknown || rendered == nil
	for _, pin := range view.step.Pins {
		runs, err := postrender.UsesImage(rendered, pin)
		i.runs[pin.Name] = i.runs[pin.Name] || runs || err != nil
		if pin.Line > 0 {
			i.pinned[pin.Name] = append(i.pinned[pin.Name], fmt.Sprintf("%s (%s:%d)", view.Name, pin.Source, pin.Line))
		}
	}
}

func (i *idleImages) problems(document *ladder.Document) strictyaml.Problems {
	if i.unknown {
		return nil
	}
	var problems strictyaml.Problems
	for _, image := range document.Spec.Images {
		if pinned := i.pinned[image.Name]; len(pinned) > 0 && !i.runs[image.Name] {
			problems = append(problems, document.ImageWarning(image.Name,
				"image %q runs nowhere: nothing that is rendered has %s by its pinned digest, for %s: let a template of the chart take it from %s, or name here what one does take",
				image.Name, image.Repository, atMost(5, pinned), valuesOfImage(image)))
		}
	}
	return problems
}

func valuesOfImage(image ladder.Image) string {
	if image.ValuesPath == "" {
		return "these values"
	}
	return ".Values." + image.ValuesPath
}

// atMost lists the first few.
func atMost(few int, names []string) string {
	if more := len(names) - few; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), more)
	}
	return strings.Join(names, ", ")
}

// idleValues finds values that change nothing that is rendered, and that no template
// names, in all places that have them.
type idleValues struct {
	// dir is the ladder's folder: a layer outside of it is other services' too.
	dir string
	// places that have a layer, by its file.
	places map[string]int
	// idle is in how many places a value is, and messages what to say of it.
	idle     map[strictyaml.Problem]int
	messages map[strictyaml.Problem]string
}

func newIdleValues(dir string) *idleValues {
	return &idleValues{dir: dir, places: map[string]int{}, idle: map[strictyaml.Problem]int{}, messages: map[strictyaml.Problem]string{}}
}

func (i *idleValues) look(ctx context.Context, view placeView, rendered manifest.Manifests) error {
	for file := range view.files() {
		i.places[file]++
	}
	if rendered == nil {
		return nil
	}
	reads := chartlint.FindValueRefs(view.chart)
	read, exact := reads.Matcher(view.Values)
	suspects := view.bare.Unread(read)
	paths := make([][]string, len(suspects))
	for n, suspect := range suspects {
		paths[n] = suspect.Path
	}
	unread, err := chartlint.UnusedValues(ctx, view.chart, view.recipe(), rendered, paths)
	if err != nil {
		return fmt.Errorf("looking for values of %s that nothing reads: %w", view.Name, err)
	}
	idle := map[string]bool{}
	for _, path := range unread {
		idle[valuepath.Format(path)] = true
	}
	known := knownPaths(view.chart, reads)
	counted := map[strictyaml.Problem]bool{}
	for _, suspect := range suspects {
		path := valuepath.Format(suspect.Path)
		if !idle[path] || counted[suspect.At] {
			continue
		}
		counted[suspect.At] = true // once, though a layer may be listed twice
		i.idle[suspect.At]++
		i.messages[suspect.At] = idleMessage(exact) + cmp.Or(nestedHint(view.chart, suspect.Path), strictyaml.DidYouMean(path, known))
	}
	return nil
}

// nestedHint is a hint such as `, did you mean "monitor.retention"?` where a subchart has a
// value at the path: an umbrella chart's values for it go below its name.
func nestedHint(c *chart.Chart, path []string) string {
	for _, d := range c.Defaults() {
		if len(d.Prefix) == 0 {
			continue
		}
		if _, has := valueAt(d.Values, path); has {
			return fmt.Sprintf(", did you mean %q?", valuepath.Format(slices.Concat(d.Prefix, path)))
		}
	}
	return ""
}

// knownPaths are what a misspelt path may have meant: what templates read, and what the
// chart has by itself where they hand that on as a whole.
func knownPaths(c *chart.Chart, reads chartlint.ValueRefs) []string {
	var known []string
	for _, path := range reads.Paths {
		known = append(known, valuepath.Format(path))
	}
	if reads.Unknown {
		layers.Leaves(c.Defaults()[0].Values, func(path []string, _ any) { known = append(known, valuepath.Format(path)) })
	}
	return known
}

func idleMessage(exact bool) string {
	if exact {
		return "no template of the chart reads this"
	}
	return "no template of the chart names this, and what is rendered is the same whatever it is"
}

func (i *idleValues) problems() strictyaml.Problems {
	var problems strictyaml.Problems
	for at, places := range i.idle {
		if places < i.places[at.File] || i.dir != "." && !strings.HasPrefix(at.File, i.dir+"/") {
			continue
		}
		at.Message, at.Warning = i.messages[at], true
		problems = append(problems, at)
	}
	return problems
}

// files are those of the place's layers, each once.
func (v placeView) files() map[string]bool {
	files := map[string]bool{}
	for _, layer := range v.step.Layers {
		files[layer.Path] = true
	}
	return files
}
