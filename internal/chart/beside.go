package chart

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/envladder/envladder/api/v1alpha1"
)

// passing are the kinds whose objects are made anew by a sync.
var passing = []string{"Job", "Pod", "PodTemplate"}

// Beside annotates what each sync makes anew (hooks, guards) with the workloads of ms
// that run its images from one sync to the next. So a webhook can see that a digest runs
// already, and needn't take a Job or a guard for a new deploy.
func (ms Manifests) Beside(release Release) (Manifests, error) {
	if !ms.havePassing() {
		return ms, nil
	}
	found := standing{}
	if err := ms.visit(func(object map[string]any) { found = found.with(object, release) }); err != nil {
		return nil, err
	}
	return ms.edit("annotating", passing, func(object *yaml.Node) error { return found.annotate(object, release) })
}

func (ms Manifests) havePassing() bool {
	return slices.ContainsFunc(ms, func(m Manifest) bool { return !m.onlyCRDs() && mayHave(m.Content, passing...) })
}

// standing are the workloads that stay from one sync to the next.
type standing []stander

type stander struct {
	namespace, kind, name string
	images                []string
}

func (s standing) with(object map[string]any, release Release) standing {
	kind, _ := object["kind"].(string)
	metadata, _ := object["metadata"].(map[string]any)
	if !slices.Contains(v1alpha1.BesideKinds, kind) || isHook(metadata) {
		return s
	}
	namespace, _ := metadata["namespace"].(string)
	name, _ := metadata["name"].(string)
	return append(s, stander{cmp.Or(namespace, release.Namespace), kind, name, imagesOf(object)})
}

func (s standing) annotate(node *yaml.Node, release Release) error {
	var object map[string]any
	if err := node.Decode(&object); err != nil {
		return err
	}
	metadata, _ := object["metadata"].(map[string]any)
	namespace, _ := metadata["namespace"].(string)
	namespace = cmp.Or(namespace, release.Namespace)
	images := imagesOf(object)
	var beside []string
	for _, w := range s {
		shares := slices.ContainsFunc(w.images, func(image string) bool { return slices.Contains(images, image) })
		if w.namespace == namespace && shares && len(beside) < v1alpha1.MaxBeside {
			beside = append(beside, w.kind+"/"+w.name)
		}
	}
	return annotate(node, []annotation{{v1alpha1.AnnotationBeside, strings.Join(beside, ",")}})
}
