package postrender

import (
	"maps"
	"slices"
)

// podTemplatePaths has the kinds of workloads, each with the path of its pod template. The
// group doesn't matter: its versions come and go, and a Deployment of another group is a
// workload too.
var podTemplatePaths = map[string][]string{
	"Deployment":            {"spec", "template"},
	"StatefulSet":           {"spec", "template"},
	"DaemonSet":             {"spec", "template"},
	"ReplicaSet":            {"spec", "template"},
	"ReplicationController": {"spec", "template"},
	"Rollout":               {"spec", "template"},
	"Job":                   {"spec", "template"},
	"CronJob":               {"spec", "jobTemplate", "spec", "template"},
	"PodTemplate":           {"template"},
	"Pod":                   nil,
}

var workloadKinds = slices.Sorted(maps.Keys(podTemplatePaths))

// isWorkload reports whether an object is of a workload's kind.
func isWorkload(object map[string]any) bool {
	kind, _ := object["kind"].(string)
	_, ok := podTemplatePaths[kind]
	return ok
}

// podImages returns the images that the pods of a workload would run or mount; none for
// other objects.
func podImages(object map[string]any) []string {
	kind, _ := object["kind"].(string)
	path, ok := podTemplatePaths[kind]
	if !ok {
		return nil
	}
	for _, key := range path {
		object, _ = object[key].(map[string]any)
	}
	spec, _ := object["spec"].(map[string]any)
	return specImages(spec)
}

// specImages returns the images of a pod's spec.
func specImages(spec map[string]any) []string {
	var images []string
	add := func(v any) {
		if image, ok := v.(string); ok && image != "" {
			images = append(images, image)
		}
	}
	for _, key := range []string{"initContainers", "containers", "ephemeralContainers"} {
		for _, container := range mapItems(spec[key]) {
			add(container["image"])
		}
	}
	for _, volume := range mapItems(spec["volumes"]) {
		if image, ok := volume["image"].(map[string]any); ok {
			add(image["reference"])
		}
	}
	return images
}

// mapItems returns the items of a list that are maps.
func mapItems(list any) []map[string]any {
	items, _ := list.([]any)
	var found []map[string]any
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			found = append(found, m)
		}
	}
	return found
}

// visitImages visits the images of pods wherever they are described in v: a custom
// resource may have a pod's template anywhere.
func visitImages(v any, visit func(image string)) {
	switch v := v.(type) {
	case map[string]any:
		for _, image := range specImages(v) {
			visit(image)
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			visitImages(v[key], visit)
		}
	case []any:
		for _, item := range v {
			visitImages(item, visit)
		}
	}
}
