package webhook

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// image is one place in an object that names an image.
type image struct {
	// reference as the object has it; may be empty, which nobody has proven either.
	reference string
	// field that has it: spec.template.spec.containers[0].image.
	field string
}

// imagesOf are the images that a pod of this spec would run or mount, each with its
// place below at.
func imagesOf(spec *corev1.PodSpec, at string) []image {
	var images []image
	add := func(reference, format string, arguments ...any) {
		images = append(images, image{reference, at + "." + fmt.Sprintf(format, arguments...)})
	}
	for i := range spec.InitContainers {
		add(spec.InitContainers[i].Image, "initContainers[%d].image", i)
	}
	for i := range spec.Containers {
		add(spec.Containers[i].Image, "containers[%d].image", i)
	}
	for i := range spec.EphemeralContainers {
		add(spec.EphemeralContainers[i].Image, "ephemeralContainers[%d].image", i)
	}
	for i := range spec.Volumes {
		if volume := spec.Volumes[i].Image; volume != nil {
			add(volume.Reference, "volumes[%d].image.reference", i)
		}
	}
	return images
}

var digestAtEnd = regexp.MustCompile(`@(sha256:[0-9a-f]{64})$`)

// digestOf is the digest that a reference ends in, or empty.
func digestOf(reference string) string {
	if match := digestAtEnd.FindStringSubmatch(reference); match != nil {
		return match[1]
	}
	return ""
}

// digests are those of the images that are named by digest.
func digests(images []image) map[string]bool {
	set := map[string]bool{}
	for _, image := range images {
		if digest := digestOf(image.reference); digest != "" {
			set[digest] = true
		}
	}
	return set
}

// unknownImage looks for a field that Kubernetes' types, as this version knows them,
// don't have and that speaks of an image: raw is what the API server sent, known what
// the types kept of it. It returns the field's place, or empty. Other new fields of a
// newer Kubernetes are none of the webhook's business.
func unknownImage(raw, known any, at string) string {
	switch raw := raw.(type) {
	case map[string]any:
		known, _ := known.(map[string]any)
		for key, value := range raw {
			kept, ok := known[key]
			if !ok && speaksOfImage(key, value) {
				return at + "." + key
			}
			if !ok {
				continue
			}
			if place := unknownImage(value, kept, at+"."+key); place != "" {
				return place
			}
		}
	case []any:
		known, _ := known.([]any)
		for i := range raw {
			if i >= len(known) {
				break
			}
			if place := unknownImage(raw[i], known[i], fmt.Sprintf("%s[%d]", at, i)); place != "" {
				return place
			}
		}
	}
	return ""
}

func speaksOfImage(key string, value any) bool {
	if isEmpty(value) {
		return false
	}
	key = strings.ToLower(key)
	if strings.Contains(key, "image") || key == "reference" {
		return true
	}
	switch value := value.(type) {
	case map[string]any:
		for k, v := range value {
			if speaksOfImage(k, v) {
				return true
			}
		}
	case []any:
		for _, v := range value {
			if speaksOfImage("", v) {
				return true
			}
		}
	}
	return false
}

// isEmpty says whether a value means the same as an absent one.
func isEmpty(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case string:
		return value == ""
	case bool:
		return !value
	case map[string]any:
		return len(value) == 0
	case []any:
		return len(value) == 0
	default:
		return false
	}
}
