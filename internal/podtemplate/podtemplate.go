// Package podtemplate compares pod templates by a digest. The digest ignores what differs
// between environments by design: stamps, mirrors of images, and what controllers add. The
// observer and the webhook share it, so that they can't disagree.
package podtemplate

import (
	"encoding/json"
	"strings"

	"github.com/envladder/envladder/internal/digests"
)

// Digest returns the SHA-256 of a pod template (decoded JSON) as canonical JSON: keys sorted,
// without empty values, images reduced to their digest. It doesn't change the template. It
// returns nothing where the template can't be encoded.
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
	// Pods don't have the template's own name and times.
	own["metadata"] = map[string]any{
		"labels":      filtered(metadata["labels"], isControllerLabel),
		"annotations": filtered(metadata["annotations"], isIncidental),
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

// isControllerLabel reports whether controllers set a label to distinguish their pods.
func isControllerLabel(label string) bool {
	switch label {
	case "pod-template-hash", "rollouts-pod-template-hash", "controller-revision-hash", "pod-template-generation", "controller-uid", "job-name":
		return true
	default:
		return strings.HasPrefix(label, "batch.kubernetes.io/")
	}
}

// isIncidental reports whether an annotation is a stamp of envladder, or written by
// `kubectl rollout restart`.
func isIncidental(annotation string) bool {
	return strings.HasPrefix(annotation, "envladder.dev/") || annotation == "kubectl.kubernetes.io/restartedAt"
}

// filtered returns labels or annotations without those to drop.
func filtered(texts any, drop func(string) bool) map[string]any {
	kept := map[string]any{}
	all, _ := texts.(map[string]any)
	for name, text := range all {
		if !drop(name) {
			kept[name] = text
		}
	}
	return kept
}

// bareImages reduces images to their digest: a mirror's name for one is the same image.
func bareImages(spec map[string]any) {
	for _, field := range []string{"initContainers", "containers", "ephemeralContainers"} {
		for _, container := range objects(spec[field]) {
			reduceToDigest(container, "image")
		}
	}
	for _, volume := range objects(spec["volumes"]) {
		if image, ok := volume["image"].(map[string]any); ok {
			reduceToDigest(image, "reference")
		}
	}
}

// objects returns the items of a list that are mappings.
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

// reduceToDigest replaces an image in a field by its digest, if it has one.
func reduceToDigest(object map[string]any, field string) {
	if image, ok := object[field].(string); ok {
		if _, digest, found := strings.Cut(image, "@"); found {
			object[field] = digest
		}
	}
}

// compact removes empty values, in which an API server and a file differ.
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
