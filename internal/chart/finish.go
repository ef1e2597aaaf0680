package chart

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	k8syaml "sigs.k8s.io/yaml"
)

// telling are the words without one of which a document has nothing to do with what
// finish does: no pod, no image, no namespace, no wave.
var telling = slices.Concat(workloads, []string{"image", namespaceKind, syncWave, hookWeight})

// finish does what a rendering by envladder has beyond one by Helm: it holds images to
// their pins, puts the guard in front and annotates workloads. Each document is parsed
// once, whatever looks at it; those that aren't annotated keep their bytes.
func (ms Manifests) finish(r Recipe) (Manifests, error) {
	if len(r.Pins) == 0 && !r.Preflight && r.Stamps == nil {
		return ms, nil
	}
	found := findings{
		recipe: r,
		images: imageCheck{pins: r.Pins},
		survey: newSurvey(r.Release),
	}
	for i, m := range ms {
		if m.onlyCRDs() || !mayHave(m.Content, telling...) {
			continue
		}
		if err := found.add(i, m); err != nil {
			return nil, fmt.Errorf("reading an object of %q: %w", m.Source, err)
		}
	}
	if err := errors.Join(found.images.errs...); err != nil {
		return nil, err
	}
	finished := slices.Clone(ms)
	for _, document := range found.workloads {
		content, err := annotate(ms[document.at].Content, document.objects, found.places)
		if err != nil {
			return nil, fmt.Errorf("stamping an object of %q: %w", ms[document.at].Source, err)
		}
		finished[document.at].Content = content
	}
	if !r.Preflight {
		return finished, nil
	}
	guards, err := found.guards()
	return append(guards, finished...), err
}

// findings are what finish learns of the documents in reading them.
type findings struct {
	recipe   Recipe
	images   imageCheck
	survey   survey
	standing standing
	// workloads are the documents to annotate.
	workloads []document
}

// document is the manifest of number at, as it is decoded.
type document struct {
	at      int
	objects []map[string]any
}

func (f *findings) add(at int, m Manifest) error {
	objects, err := objectsOf(m.Content)
	if err != nil {
		return err
	}
	f.images.source = m.Source
	annotated := false
	for _, object := range objects {
		visitItems(object, func(object map[string]any) {
			if len(f.recipe.Pins) > 0 {
				f.images.object(object)
			}
			f.survey.add(object)
			f.standing = f.standing.with(object, f.recipe.Release)
			annotated = annotated || f.recipe.Stamps != nil && isWorkload(object)
		})
	}
	if annotated {
		f.workloads = append(f.workloads, document{at, objects})
	}
	return nil
}

// places are where an object gets which annotations.
func (f *findings) places(object map[string]any) []place {
	if f.recipe.Stamps == nil || !isWorkload(object) {
		return nil
	}
	return append(f.recipe.Stamps.places(object), f.standing.places(object, f.recipe.Release)...)
}

func (f *findings) guards() (Manifests, error) {
	var guards Manifests
	for _, guard := range guardsOf(f.survey, f.recipe.Release) {
		if err := annotateObject(guard, f.places(guard)); err != nil {
			return nil, fmt.Errorf("annotating the guard: %w", err)
		}
		content, err := k8syaml.Marshal(guard)
		if err != nil {
			return nil, fmt.Errorf("writing the guard: %w", err)
		}
		guards = append(guards, Manifest{Source: "envladder/preflight", Content: strings.TrimSuffix(string(content), "\n"), Hook: true})
	}
	return guards, nil
}
