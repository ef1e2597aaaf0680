package postrender

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/chart/manifest"
)

// preflightWave is below every wave that people use. The preflight object goes one below
// the lowest wave if that is lower still.
const preflightWave = -1000

// preflightObjects builds an inert object for each namespace that names all images which a
// sync would run there: a PodTemplate, from which nothing makes pods, as a PreSync hook of
// Argo CD in a wave below all others. Admission judges it like any other object, so a sync
// that is denied is denied at its first object, and has changed nothing.
//
// A namespace that the sync itself creates doesn't exist yet when hooks run, and gets none.
func preflightObjects(found survey, releaseName string) []map[string]any {
	var objects []map[string]any
	for _, namespace := range slices.Sorted(maps.Keys(found.images)) {
		if slices.Contains(found.created, namespace) {
			continue
		}
		images := found.images[namespace]
		if namespace == found.defaultNamespace {
			namespace = "" // as charts write it
		}
		objects = append(objects, preflightObject(releaseName, namespace, images, found.lowestWave-1))
	}
	return objects
}

// survey is what the preflight objects are made of.
type survey struct {
	// defaultNamespace is that of objects that name none.
	defaultNamespace string
	// images by namespace, of the objects that a sync applies.
	images map[string][]string
	// created are the namespaces that are among the objects.
	created    []string
	lowestWave int
}

func newSurvey(defaultNamespace string) survey {
	return survey{defaultNamespace: defaultNamespace, images: map[string][]string{}, lowestWave: preflightWave + 1}
}

// add adds an object to the survey.
func (s *survey) add(object map[string]any) {
	metadata, _ := object["metadata"].(map[string]any)
	s.addWave(metadata)
	if object["kind"] == namespaceKind {
		name, _ := metadata["name"].(string)
		s.created = append(s.created, name)
	}
	if !manifest.IsApplied(metadata) {
		return
	}
	namespace := namespaceOf(metadata, s.defaultNamespace)
	for _, image := range podImages(object) {
		// Istio replaces its placeholder in pods; nothing replaces it in a PodTemplate.
		if image != v1alpha1.InjectedImage && !slices.Contains(s.images[namespace], image) {
			s.images[namespace] = append(s.images[namespace], image)
		}
	}
}

// The annotations that Argo CD orders by: its own, and Helm's weights of hooks.
const (
	syncWave   = "argocd.argoproj.io/sync-wave"
	hookWeight = "helm.sh/hook-weight"
)

const namespaceKind = "Namespace"

// addWave lowers the lowest wave to that of an object.
func (s *survey) addWave(metadata map[string]any) {
	annotations, _ := metadata["annotations"].(map[string]any)
	for _, key := range []string{syncWave, hookWeight} {
		text, _ := annotations[key].(string)
		if wave, err := strconv.Atoi(text); err == nil {
			s.lowestWave = max(min(s.lowestWave, wave), math.MinInt+1) // preflight goes one below
		}
	}
}

// preflightObject builds the object of one namespace.
func preflightObject(releaseName, namespace string, images []string, wave int) map[string]any {
	metadata := map[string]any{
		"name": releaseName + "-preflight",
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
		// As strict as Pod Security's level restricted, which so warns of nothing.
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
