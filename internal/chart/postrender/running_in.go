package postrender

import (
	"cmp"
	"slices"
	"strings"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/chart/manifest"
)

// recreatedKinds are those whose objects each sync may recreate.
var recreatedKinds = []string{"Job", "Pod", "PodTemplate"}

// runningWorkloads are the workloads that stay from one sync to the next. Objects that each
// sync recreates (hooks, the preflight object) are annotated with those of them that run
// the same images. A webhook can then see that a digest runs already, and doesn't take a
// Job or the preflight object for a new deployment.
type runningWorkloads []runningWorkload

type runningWorkload struct {
	namespace, kind, name string
	images                []string
}

// including returns the workloads and the object, if that is one.
func (ws runningWorkloads) including(object map[string]any, defaultNamespace string) runningWorkloads {
	kind, _ := object["kind"].(string)
	metadata, _ := object["metadata"].(map[string]any)
	if !slices.Contains(v1alpha1.RunningInKinds, kind) || manifest.IsHook(metadata) {
		return ws
	}
	name, _ := metadata["name"].(string)
	return append(ws, runningWorkload{namespaceOf(metadata, defaultNamespace), kind, name, podImages(object)})
}

// annotations returns the annotation of an object that each sync recreates.
func (ws runningWorkloads) annotations(object map[string]any, defaultNamespace string) []partAnnotations {
	kind, _ := object["kind"].(string)
	if !slices.Contains(recreatedKinds, kind) {
		return nil
	}
	metadata, _ := object["metadata"].(map[string]any)
	namespace, images := namespaceOf(metadata, defaultNamespace), podImages(object)
	var names []string
	for _, w := range ws {
		shares := slices.ContainsFunc(w.images, func(image string) bool { return slices.Contains(images, image) })
		if w.namespace == namespace && shares && len(names) < v1alpha1.MaxRunningIn {
			names = append(names, w.kind+"/"+w.name)
		}
	}
	return []partAnnotations{{nil, []annotation{{v1alpha1.AnnotationRunningIn, strings.Join(names, ",")}}}}
}

// namespaceOf returns the namespace of an object.
func namespaceOf(metadata map[string]any, defaultNamespace string) string {
	namespace, _ := metadata["namespace"].(string)
	return cmp.Or(namespace, defaultNamespace)
}
