package postrender

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	k8syaml "sigs.k8s.io/yaml"

	"github.com/envladder/envladder/internal/chart/manifest"
	"github.com/envladder/envladder/internal/ladder"
)

// Options is what to do with rendered manifests.
type Options struct {
	// ReleaseName is part of the preflight object's name, and Namespace that of objects
	// that name none.
	ReleaseName string
	Namespace   string
	// Pins are the digests that no object may deviate from.
	Pins []ladder.Pin
	// Preflight puts an inert object with all images in front; see preflightObjects.
	Preflight bool
	// Stamps, nil for none.
	Stamps *Stamps
}

// relevantWords are those without one of which a document has no pod, no image, no
// namespace and no wave, and so doesn't need to be parsed.
var relevantWords = slices.Concat(workloadKinds, []string{"image", namespaceKind, syncWave, hookWeight})

// Run returns the manifests as the options require them. Each document is parsed once;
// those that aren't annotated keep their bytes.
func Run(manifests manifest.Manifests, options Options) (manifest.Manifests, error) {
	if len(options.Pins) == 0 && !options.Preflight && options.Stamps == nil {
		return manifests, nil
	}
	p := postRenderer{
		options: options,
		pins:    pinCheck{pins: options.Pins},
		survey:  newSurvey(options.Namespace),
	}
	for i, m := range manifests {
		if m.OnlyCRDs() || !manifest.MayContain(m.Content, relevantWords...) {
			continue
		}
		if err := p.read(i, m); err != nil {
			return nil, fmt.Errorf("reading an object of %q: %w", m.Source, err)
		}
	}
	if err := errors.Join(p.pins.errs...); err != nil {
		return nil, err
	}
	finished := slices.Clone(manifests)
	for _, document := range p.workloads {
		content, err := annotate(manifests[document.index].Content, document.objects, p.annotations)
		if err != nil {
			return nil, fmt.Errorf("stamping an object of %q: %w", manifests[document.index].Source, err)
		}
		finished[document.index].Content = content
	}
	if !options.Preflight {
		return finished, nil
	}
	preflight, err := p.preflight()
	return append(preflight, finished...), err
}

// postRenderer collects from all documents what is needed to change each.
type postRenderer struct {
	options Options
	pins    pinCheck
	survey  survey
	running runningWorkloads
	// workloads are the documents to annotate.
	workloads []document
}

// document is a decoded manifest, with its index among all.
type document struct {
	index   int
	objects []map[string]any
}

// read parses the manifest at index and collects what is in it.
func (p *postRenderer) read(index int, m manifest.Manifest) error {
	objects, err := manifest.Objects(m.Content)
	if err != nil {
		return err
	}
	p.pins.source = m.Source
	annotated := false
	for _, object := range objects {
		manifest.VisitItems(object, func(object map[string]any) {
			if len(p.options.Pins) > 0 {
				p.pins.checkObject(object)
			}
			p.survey.add(object)
			p.running = p.running.including(object, p.options.Namespace)
			annotated = annotated || (p.options.Stamps != nil && isWorkload(object))
		})
	}
	if annotated {
		p.workloads = append(p.workloads, document{index, objects})
	}
	return nil
}

// annotations returns the annotations of an object and of its parts.
func (p *postRenderer) annotations(object map[string]any) []partAnnotations {
	if p.options.Stamps == nil || !isWorkload(object) {
		return nil
	}
	return append(p.options.Stamps.annotations(object), p.running.annotations(object, p.options.Namespace)...)
}

// preflight builds the manifests of the preflight objects.
func (p *postRenderer) preflight() (manifest.Manifests, error) {
	var manifests manifest.Manifests
	for _, object := range preflightObjects(p.survey, p.options.ReleaseName) {
		if err := annotateObject(object, p.annotations(object)); err != nil {
			return nil, fmt.Errorf("annotating the preflight object: %w", err)
		}
		content, err := k8syaml.Marshal(object)
		if err != nil {
			return nil, fmt.Errorf("writing the preflight object: %w", err)
		}
		manifests = append(manifests, manifest.Manifest{
			Source:  "envladder/preflight",
			Content: strings.TrimSuffix(string(content), "\n"),
			Hook:    true,
		})
	}
	return manifests, nil
}
