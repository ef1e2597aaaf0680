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
	found := survey{images: map[string][]string{}, wave: guardWave + 1}
	for _, m := range ms {
		if m.CRDs {
			continue
		}
		var object map[string]any
		if err := k8syaml.Unmarshal([]byte(m.Content), &object); err != nil {
			return nil, fmt.Errorf("reading an object of %q: %w", m.Source, err)
		}
		found.add(object)
	}
	var guards Manifests
	for _, namespace := range slices.Sorted(maps.Keys(found.images)) {
		if slices.Contains(found.created, cmp.Or(namespace, release.Namespace)) {
			continue
		}
		guard, err := guardOf(release.Name, namespace, found.images[namespace], found.wave-1)
		if err != nil {
			return nil, err
		}
		guards = append(guards, guard)
	}
	return append(guards, ms...), nil
}

// survey is what a guard needs to know of the objects.
type survey struct {
	// images by the namespace that their object names; empty is the release's.
	images map[string][]string
	// created are namespaces that are among the objects.
	created []string
	// wave is the lowest.
	wave int
}

func (s *survey) add(object map[string]any) {
	kind, _ := object["kind"].(string)
	if items, ok := object["items"].([]any); ok && isList(kind) {
		for _, item := range items {
			if inner, ok := item.(map[string]any); ok {
				s.add(inner)
			}
		}
		return
	}
	metadata, _ := object["metadata"].(map[string]any)
	s.addWave(metadata)
	if kind == "Namespace" {
		name, _ := metadata["name"].(string)
		s.created = append(s.created, name)
	}
	path, ok := podTemplates[kind]
	if !ok {
		return
	}
	namespace, _ := metadata["namespace"].(string)
	at := object
	for _, key := range path {
		at, _ = at[key].(map[string]any)
	}
	for _, image := range imagesOf(at) {
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

// imagesOf are the images that a pod of this template would run or mount.
func imagesOf(template map[string]any) []string {
	spec, _ := template["spec"].(map[string]any)
	return imagesIn(spec)
}

// imagesIn are the images of a pod's spec.
func imagesIn(spec map[string]any) []string {
	var images []string
	add := func(v any) {
		if image, ok := v.(string); ok && image != "" {
			images = append(images, image)
		}
	}
	for _, key := range []string{"initContainers", "containers", "ephemeralContainers"} {
		for _, container := range mapsIn(spec[key]) {
			add(container["image"])
		}
	}
	for _, volume := range mapsIn(spec["volumes"]) {
		if image, ok := volume["image"].(map[string]any); ok {
			add(image["reference"])
		}
	}
	return images
}

func mapsIn(list any) []map[string]any {
	items, _ := list.([]any)
	var all []map[string]any
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			all = append(all, m)
		}
	}
	return all
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
