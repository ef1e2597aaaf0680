package chart

import (
	"fmt"

	k8syaml "sigs.k8s.io/yaml"
)

// visit goes through the objects of ms as they are decoded, the items of a List each,
// files of CRDs left out.
func (ms Manifests) visit(each func(object map[string]any)) error {
	for _, m := range ms {
		if m.CRDs {
			continue
		}
		var object map[string]any
		if err := k8syaml.Unmarshal([]byte(m.Content), &object); err != nil {
			return fmt.Errorf("reading an object of %q: %w", m.Source, err)
		}
		visitItems(object, each)
	}
	return nil
}

func visitItems(object map[string]any, each func(object map[string]any)) {
	kind, _ := object["kind"].(string)
	items, ok := object["items"].([]any)
	if !ok || !isList(kind) {
		each(object)
		return
	}
	for _, item := range mapsIn(items) {
		visitItems(item, each)
	}
}

// imagesOf are the images that the pods of a workload would run or mount; other objects
// have none.
func imagesOf(object map[string]any) []string {
	kind, _ := object["kind"].(string)
	path, ok := podTemplates[kind]
	if !ok {
		return nil
	}
	for _, key := range path {
		object, _ = object[key].(map[string]any)
	}
	spec, _ := object["spec"].(map[string]any)
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
