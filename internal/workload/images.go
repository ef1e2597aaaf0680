package workload

import (
	"fmt"
	"regexp"

	corev1 "k8s.io/api/core/v1"

	"github.com/envladder/envladder/internal/digests"
)

// Image is a field of an object that names an image.
type Image struct {
	// Reference as the object has it. It may be empty; there is no evidence for that.
	Reference string
	// Field is the path of the field: spec.template.spec.containers[0].image.
	Field string
}

// imagesOf returns the images that a pod of this spec would run or mount, each with the path
// of its field below at.
func imagesOf(spec *corev1.PodSpec, at string) []Image {
	var images []Image
	add := func(reference, format string, arguments ...any) {
		images = append(images, Image{reference, at + "." + fmt.Sprintf(format, arguments...)})
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

var digestAtEnd = regexp.MustCompile("@(" + digests.Syntax + ")$")

// DigestOf returns the digest that a reference ends with, or nothing.
func DigestOf(reference string) string {
	if match := digestAtEnd.FindStringSubmatch(reference); match != nil {
		return match[1]
	}
	return ""
}

// Digests returns the digests of the images that are named by digest.
func Digests(images []Image) map[string]bool {
	set := map[string]bool{}
	for _, image := range images {
		if digest := DigestOf(image.Reference); digest != "" {
			set[digest] = true
		}
	}
	return set
}
