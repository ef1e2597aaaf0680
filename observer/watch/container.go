package watch

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/registry"
)

// Container is what is needed of a container in a pod or a pod template.
type Container struct {
	Name string
	// Image is the reference in the spec; zero where it can't be parsed.
	Image registry.Reference
	// Probed is set where it has a readiness probe.
	Probed bool
	// ImageID is what the node reports to run; only in pods.
	ImageID ImageID
	// Restarts that the node has counted; only in pods.
	Restarts int32
}

// longRunningContainers returns the ordinary containers and the sidecars among the init
// containers. Other init containers end on their own and don't soak.
func longRunningContainers(spec *corev1.PodSpec) []Container {
	var containers []Container
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		if i := slices.IndexFunc(spec.InitContainers, func(init corev1.Container) bool { return init.Name == c.Name }); i >= 0 {
			if policy := spec.InitContainers[i].RestartPolicy; policy == nil || *policy != corev1.ContainerRestartPolicyAlways {
				continue
			}
		}
		reference, err := registry.ParseReference(c.Image)
		if err != nil {
			reference = registry.Reference{} // no Gate can list it
		}
		containers = append(containers, Container{Name: c.Name, Image: reference, Probed: c.ReadinessProbe != nil})
	}
	return containers
}

// addStatus adds what the node reports.
func addStatus(containers []Container, status *corev1.PodStatus) []Container {
	for i := range containers {
		for _, s := range slices.Concat(status.InitContainerStatuses, status.ContainerStatuses) {
			if s.Name == containers[i].Name {
				containers[i].ImageID = parseImageID(s.ImageID)
				containers[i].Restarts = s.RestartCount
			}
		}
	}
	return containers
}

// ImageID is what a container runtime reports that a container runs.
type ImageID struct {
	// Digest is sha256:<64 hex digits>, or empty where none can be read.
	Digest string
	// Bare is set where no repository came with it: it is the digest of a configuration
	// (docker and containerd report it for images that were loaded) or of a manifest.
	Bare bool
}

// maxImageID bounds what is parsed: a reference has at most 456 bytes, a scheme 20.
const maxImageID = 512

// parseImageID parses what kubelets report. containerd and CRI-O write
// repository@digest, docker puts docker-pullable:// in front; images that were never
// pulled are docker://sha256:… or sha256:…. CRI-O's storage ID, 64 digits without an
// algorithm, is ignored: it is the configuration's digest unless the image was pulled in
// parts, and nothing shows whether it was.
func parseImageID(s string) ImageID {
	if len(s) > maxImageID {
		return ImageID{}
	}
	if _, rest, found := strings.Cut(s, "://"); found {
		s = rest
	}
	repository, digest, found := strings.Cut(s, "@")
	if !found {
		repository, digest = "", s
	}
	if !digests.Valid(digest) {
		return ImageID{}
	}
	return ImageID{Digest: digest, Bare: repository == ""}
}
