package chart

import (
	"cmp"
	"slices"
	"strings"

	"github.com/envladder/envladder/api/v1alpha1"
)

// passing are the kinds whose objects are made anew by a sync.
var passing = []string{"Job", "Pod", "PodTemplate"}

// standing are the workloads that stay from one sync to the next. What each sync makes
// anew (hooks, guards) is annotated with those of them that run its images: so a webhook
// can see that a digest runs already, and needn't take a Job or a guard for a new deploy.
type standing []stander

type stander struct {
	namespace, kind, name string
	images                []string
}

func (s standing) with(object map[string]any, release Release) standing {
	kind, _ := object["kind"].(string)
	metadata, _ := object["metadata"].(map[string]any)
	if !slices.Contains(v1alpha1.RunningInKinds, kind) || isHook(metadata) {
		return s
	}
	name, _ := metadata["name"].(string)
	return append(s, stander{namespaceOf(metadata, release), kind, name, imagesOf(object)})
}

// places are where an object is annotated.
func (s standing) places(object map[string]any, release Release) []place {
	kind, _ := object["kind"].(string)
	if !slices.Contains(passing, kind) {
		return nil
	}
	metadata, _ := object["metadata"].(map[string]any)
	namespace, images := namespaceOf(metadata, release), imagesOf(object)
	var beside []string
	for _, w := range s {
		shares := slices.ContainsFunc(w.images, func(image string) bool { return slices.Contains(images, image) })
		if w.namespace == namespace && shares && len(beside) < v1alpha1.MaxRunningIn {
			beside = append(beside, w.kind+"/"+w.name)
		}
	}
	return []place{{nil, []annotation{{v1alpha1.AnnotationRunningIn, strings.Join(beside, ",")}}}}
}

func namespaceOf(metadata map[string]any, release Release) string {
	namespace, _ := metadata["namespace"].(string)
	return cmp.Or(namespace, release.Namespace)
}
