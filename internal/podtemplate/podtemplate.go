// Package podtemplate reports whether two pod templates are the same but for what differs
// from environment to environment by design: stamps, mirrors of images, and what
// controllers add. Observer and webhook share it, so that they can't disagree.
package podtemplate

import (
	"encoding/json"
	"strings"

	"github.com/envladder/envladder/internal/digests"
)

// Digest is the SHA-256 of a pod template (as JSON is decoded) as canonical JSON: keys
// sorted, nothing empty, images by their digest alone. The template isn't changed. It is
// empty where the template can't be encoded.
func Digest(template map[string]any) string {
	raw, err := json.Marshal(template)
	if err != nil {
		return ""
	}
	var own map[string]any
	if json.Unmarshal(raw, &own) != nil || len(own) == 0 {
		return ""
	}
	metadata, _ := own["metadata"].(map[string]any)
	// A template's own name and times are nothing that its pods have.
	own["metadata"] = map[string]any{
		"labels":      without(metadata["labels"], isControllers),
		"annotations": without(metadata["annotations"], isIncidental),
	}
	if spec, ok := own["spec"].(map[string]any); ok {
		bareImages(spec)
	}
	canonical, err := json.Marshal(compact(own))
	if err != nil {
		return ""
	}
	return digests.Sum(canonical)
}

// isControllers knows the labels by which controllers tell their pods apart.
func isControllers(label string) bool {
	switch label {
	case "pod-template-hash", "rollouts-pod-template-hash", "controller-revision-hash", "pod-template-generation", "controller-uid", "job-name":
		return true
	default:
		return strings.HasPrefix(label, "batch.kubernetes.io/")
	}
}

// isIncidental knows our stamps, and what `kubectl rollout restart` writes.
func isIncidental(annotation string) bool {
	return strings.HasPrefix(annotation, "envladder.dev/") || annotation == "kubectl.kubernetes.io/restartedAt"
}

func without(texts any, drop func(string) bool) map[string]any {
	kept := map[string]any{}
	all, _ := texts.(map[string]any)
	for name, text := range all {
		if !drop(name) {
			kept[name] = text
		}
	}
	return kept
}

// bareImages leaves of an image its digest: a mirror's name for it is the same image.
func bareImages(spec map[string]any) {
	for _, field := range []string{"initContainers", "containers", "ephemeralContainers"} {
		for _, container := range objects(spec[field]) {
			bare(container, "image")
		}
	}
	for _, volume := range objects(spec["volumes"]) {
		if image, ok := volume["image"].(map[string]any); ok {
			bare(image, "reference")
		}
	}
}

func objects(list any) []map[string]any {
	var all []map[string]any
	entries, _ := list.([]any)
	for _, entry := range entries {
		if object, ok := entry.(map[string]any); ok {
			all = append(all, object)
		}
	}
	return all
}

func bare(object map[string]any, field string) {
	if image, ok := object[field].(string); ok {
		if _, digest, found := strings.Cut(image, "@"); found {
			object[field] = digest
		}
	}
}

// compact drops what is empty: an API server and a file differ in it.
func compact(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, inner := range value {
			if inner = compact(inner); inner == nil {
				delete(value, key)
			} else {
				value[key] = inner
			}
		}
		if len(value) == 0 {
			return nil
		}
	case []any:
		for i := range value {
			value[i] = compact(value[i])
		}
		if len(value) == 0 {
			return nil
		}
	}
	return value
}
