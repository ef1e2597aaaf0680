package chart

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/envladder/envladder/api/v1alpha1"
)

// guardWave is below every wave that people use; the guard goes below the lowest.
const guardWave = -1000

// guardsOf are, for each namespace, an inert object that names all images which a sync
// would run there: a PodTemplate, which nothing makes pods of, as a PreSync hook of Argo
// CD's in a wave below all others. Admission judges it like any other object, so a sync
// that is denied is denied at its first object, and has changed nothing.
//
// A namespace that the sync itself creates isn't there yet when hooks run, and gets none.
func guardsOf(found survey, release Release) []map[string]any {
	var guards []map[string]any
	for _, namespace := range slices.Sorted(maps.Keys(found.images)) {
		if slices.Contains(found.created, namespace) {
			continue
		}
		images := found.images[namespace]
		if namespace == release.Namespace {
			namespace = "" // as charts write it
		}
		guards = append(guards, guardOf(release.Name, namespace, images, found.wave-1))
	}
	return guards
}

// survey is what a guard needs to know of the objects.
type survey struct {
	// release has the namespace of objects that name none.
	release Release
	// images by namespace, of what a sync applies.
	images map[string][]string
	// created are namespaces that are among the objects.
	created []string
	// wave is the lowest.
	wave int
}

func newSurvey(release Release) survey {
	return survey{release: release, images: map[string][]string{}, wave: guardWave + 1}
}

func (s *survey) add(object map[string]any) {
	metadata, _ := object["metadata"].(map[string]any)
	s.addWave(metadata)
	if object["kind"] == namespaceKind {
		name, _ := metadata["name"].(string)
		s.created = append(s.created, name)
	}
	if !applied(metadata) {
		return
	}
	namespace := namespaceOf(metadata, s.release)
	for _, image := range imagesOf(object) {
		// Istio replaces its placeholder in pods; nothing would replace it in the guard.
		if image != v1alpha1.InjectedImage && !slices.Contains(s.images[namespace], image) {
			s.images[namespace] = append(s.images[namespace], image)
		}
	}
}

// What Argo CD orders by: its own annotation, and Helm's weights of hooks.
const (
	syncWave   = "argocd.argoproj.io/sync-wave"
	hookWeight = "helm.sh/hook-weight"
)

const namespaceKind = "Namespace"

func (s *survey) addWave(metadata map[string]any) {
	annotations, _ := metadata["annotations"].(map[string]any)
	for _, key := range []string{syncWave, hookWeight} {
		text, _ := annotations[key].(string)
		if wave, err := strconv.Atoi(text); err == nil {
			s.wave = max(min(s.wave, wave), math.MinInt+1) // the guard goes one below
		}
	}
}

func guardOf(release, namespace string, images []string, wave int) map[string]any {
	metadata := map[string]any{
		"name": release + "-preflight",
		"annotations": map[string]any{
			"argocd.argoproj.io/hook":               "PreSync",
			"argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation,HookSucceeded",
			syncWave:                                strconv.Itoa(wave),
		},
	}
	if namespace != "" {
		metadata["namespace"] = namespace
	}
	containers := make([]any, len(images))
	for i, image := range images {
		containers[i] = map[string]any{
			"name":  fmt.Sprintf("image-%d", i),
			"image": image,
			"securityContext": map[string]any{
				"allowPrivilegeEscalation": false,
				"capabilities":             map[string]any{"drop": []any{"ALL"}},
			},
		}
	}
	return map[string]any{
		"apiVersion": "v1",
		"kind":       "PodTemplate",
		"metadata":   metadata,
		// As strict as Pod Security's level restricted asks, so that nobody is warned.
		"template": map[string]any{"spec": map[string]any{
			"automountServiceAccountToken": false,
			"securityContext": map[string]any{
				"runAsNonRoot":   true,
				"seccompProfile": map[string]any{"type": "RuntimeDefault"},
			},
			"containers": containers,
		}},
	}
}
