package chart

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	k8syaml "sigs.k8s.io/yaml"
)

// guardWave is below every wave that people use; the guard goes below the lowest.
const guardWave = -1000

// Guard puts in front of ms, in each namespace, an inert object that names all images
// which ms would run there: a PodTemplate, which nothing makes pods of, as a PreSync hook
// of Argo CD's in a wave below all others. Admission judges it like any other object, so
// a sync that is denied is denied at its first object, and has changed nothing.
//
// A namespace that ms itself creates isn't there yet when hooks run, and gets none.
func (ms Manifests) Guard(release Release) (Manifests, error) {
	found := survey{release: release.Namespace, images: map[string][]string{}, wave: guardWave + 1}
	if err := ms.visit(found.add); err != nil {
		return nil, err
	}
	var guards Manifests
	for _, namespace := range slices.Sorted(maps.Keys(found.images)) {
		if slices.Contains(found.created, namespace) {
			continue
		}
		images := found.images[namespace]
		if namespace == release.Namespace {
			namespace = "" // as charts write it
		}
		guard, err := guardOf(release.Name, namespace, images, found.wave-1)
		if err != nil {
			return nil, err
		}
		guards = append(guards, guard)
	}
	return append(guards, ms...), nil
}

// survey is what a guard needs to know of the objects.
type survey struct {
	// release is the namespace of objects that name none.
	release string
	// images by namespace, of what a sync applies.
	images map[string][]string
	// created are namespaces that are among the objects.
	created []string
	// wave is the lowest.
	wave int
}

func (s *survey) add(object map[string]any) {
	metadata, _ := object["metadata"].(map[string]any)
	s.addWave(metadata)
	if object["kind"] == "Namespace" {
		name, _ := metadata["name"].(string)
		s.created = append(s.created, name)
	}
	if !applied(metadata) {
		return
	}
	namespace, _ := metadata["namespace"].(string)
	namespace = cmp.Or(namespace, s.release)
	for _, image := range imagesOf(object) {
		if !slices.Contains(s.images[namespace], image) {
			s.images[namespace] = append(s.images[namespace], image)
		}
	}
}

// addWave looks at what Argo CD orders by: its own annotation, and Helm's weights of
// hooks.
func (s *survey) addWave(metadata map[string]any) {
	annotations, _ := metadata["annotations"].(map[string]any)
	for _, key := range []string{"argocd.argoproj.io/sync-wave", "helm.sh/hook-weight"} {
		text, _ := annotations[key].(string)
		if wave, err := strconv.Atoi(text); err == nil {
			s.wave = min(s.wave, wave)
		}
	}
}

func guardOf(release, namespace string, images []string, wave int) (Manifest, error) {
	metadata := map[string]any{
		"name": release + "-guard",
		"annotations": map[string]any{
			"argocd.argoproj.io/hook":               "PreSync",
			"argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation,HookSucceeded",
			"argocd.argoproj.io/sync-wave":          strconv.Itoa(wave),
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
	content, err := k8syaml.Marshal(map[string]any{
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
	})
	if err != nil {
		return Manifest{}, fmt.Errorf("making the guard of namespace %q: %w", namespace, err)
	}
	return Manifest{Source: "envladder/guard", Content: strings.TrimSuffix(string(content), "\n"), Hook: true}, nil
}
