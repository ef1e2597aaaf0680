package observer

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/registry"
)

// container is what the observer looks at in a container, of a template or of a pod.
type container struct {
	name string
	// image is the reference in the spec; unreadable references name no repository.
	image registry.Reference
	// probed says that it has a readiness probe.
	probed bool
	// runs is what the node says that it runs; only of pods.
	runs imageID
	// restarts that the node has counted; only of pods.
	restarts int32
}

// containersOf are the containers that keep running: the ordinary ones, and the sidecars
// among the init containers. What ends by itself doesn't soak.
func containersOf(spec *corev1.PodSpec) []container {
	var all []container
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
		all = append(all, container{name: c.Name, image: reference, probed: c.ReadinessProbe != nil})
	}
	return all
}

// withStatus adds what the node says.
func withStatus(containers []container, status *corev1.PodStatus) []container {
	for i := range containers {
		for _, s := range slices.Concat(status.InitContainerStatuses, status.ContainerStatuses) {
			if s.Name == containers[i].name {
				containers[i].runs = parseImageID(s.ImageID)
				containers[i].restarts = s.RestartCount
			}
		}
	}
	return containers
}

// imageID is what a container runtime says that a container runs.
type imageID struct {
	// digest is sha256:<64 hex digits>, or empty where there is none to be read.
	digest string
	// bare says that it came without a repository: the digest of a configuration (docker
	// and containerd say so of images that were loaded) or of a manifest, in no
	// repository's words.
	bare bool
}

// maxImageID bounds what is read: a reference has at most 456 bytes, a scheme 20.
const maxImageID = 512

// parseImageID reads what kubelets report. containerd and CRI-O write
// repository@digest, docker puts docker-pullable:// in front; images that were never
// pulled are docker://sha256:… or sha256:…. The name that CRI-O's storage has for an
// image, 64 digits without an algorithm, is left unread: it is the configuration's
// digest unless the image was pulled in parts, and nothing says whether it was.
func parseImageID(s string) imageID {
	if len(s) > maxImageID {
		return imageID{}
	}
	if _, rest, found := strings.Cut(s, "://"); found {
		s = rest
	}
	repository, digest, found := strings.Cut(s, "@")
	if !found {
		repository, digest = "", s
	}
	if !digests.Valid(digest) {
		return imageID{}
	}
	return imageID{digest: digest, bare: repository == ""}
}
