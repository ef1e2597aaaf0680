package audit

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/internal/workload"
)

// Bounds on the data of a namespace that is held in memory. Anyone who can create objects in
// it decides how many there are, and how long their texts are.
const (
	// maxObjects take some hundred bytes each, without their texts: a cluster is meant to
	// have 150,000 pods at most, in all its namespaces.
	maxObjects = 20_000
	// maxTexts bytes of images and stamps: 20,000 objects with 1.6 KiB, which is ten
	// images with a digest.
	maxTexts = 32 << 20
	// maxReviews of different images, each of which has a result of some KiB.
	maxReviews = 10_000
)

// found is the retained part of a listed object; its templates are dropped.
type found struct {
	name   string // KIND/NAME
	owner  types.UID
	stamps gate.Stamps
	images []string
	ran    map[string]string // reference -> digest, of a pod
}

// size returns the bytes of its texts, and of their entries in lists.
func (f found) size() int {
	const entry = 32
	size := len(f.stamps.Ladder) + len(f.stamps.Environment) + len(f.stamps.Target) + len(f.stamps.ChartDigest)
	for _, image := range f.images {
		size += len(image) + entry
	}
	return size
}

// running returns the images in a namespace.
func (c *Cluster) running(ctx context.Context, namespace string) (reviews []imageReview, unread []Unread, err error) {
	objects, texts := map[types.UID]found{}, 0
	for _, kind := range c.kinds.All() {
		err := c.list(ctx, kind.Group, kind.Version, kind.Kind, namespace, func(u *unstructured.Unstructured) error {
			if idle(u) {
				return nil
			}
			if len(objects)+len(unread) >= maxObjects {
				return fmt.Errorf("namespace %q has more than %d objects that start pods", namespace, maxObjects)
			}
			o, err := c.find(u)
			if err != nil {
				unread = append(unread, Unread{namespace, u.GetKind() + "/" + u.GetName(), printable.Line(err.Error(), maxName)})
				return nil
			}
			if texts += o.size(); texts > maxTexts {
				return fmt.Errorf("the images and stamps of what starts pods in namespace %q have more than %d bytes", namespace, maxTexts)
			}
			objects[u.GetUID()] = o
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	reviews, err = reviewsOf(namespace, objects)
	return reviews, unread, err
}

func (c *Cluster) find(u *unstructured.Unstructured) (found, error) {
	read, err := c.kinds.Read(u)
	if err != nil {
		return found{}, err
	}
	images, err := read.Images()
	if err != nil {
		return found{}, err
	}
	o := found{name: u.GetKind() + "/" + u.GetName(), stamps: read.Stamps(), ran: runningDigests(u)}
	if ref := metav1.GetControllerOfNoCopy(&read.Metadata); ref != nil {
		o.owner = ref.UID
	}
	for _, image := range images {
		o.images = append(o.images, clip(image.Reference))
	}
	return o, nil
}

// clip returns a copy of a reference, cut at a length at which it is still too long to be valid.
func clip(reference string) string {
	return strings.Clone(reference[:min(len(reference), maxName)])
}

// reviewsOf returns one review for each image and stamps that objects have in common.
func reviewsOf(namespace string, objects map[types.UID]found) ([]imageReview, error) {
	type key struct {
		image  string
		stamps gate.Stamps
	}
	all := map[key]*imageReview{}
	for _, o := range objects {
		stamps := stampsOf(objects, o)
		for _, image := range o.images {
			q := all[key{image, stamps}]
			if q == nil {
				if len(all) == maxReviews {
					return nil, fmt.Errorf("more than %d different images run in namespace %q", maxReviews, namespace)
				}
				q = &imageReview{namespace: namespace, image: image, stamps: stamps}
				all[key{image, stamps}] = q
			}
			q.objects = append(q.objects, o.name)
			if digest := o.ran[image]; digest != "" {
				q.ran = append(q.ran, digest)
			}
		}
	}
	reviews := make([]imageReview, 0, len(all))
	for _, q := range all {
		reviews = append(reviews, *q)
	}
	return reviews, nil
}

// maxOwners bounds the owners whose stamps are inherited: Pod, ReplicaSet, Deployment.
const maxOwners = 3

// stampsOf returns an object's stamps; missing ones are inherited from its controller.
func stampsOf(objects map[types.UID]found, o found) gate.Stamps {
	stamps := o.stamps
	for range maxOwners {
		owner, ok := objects[o.owner]
		if !ok {
			break
		}
		stamps = workload.Inherit(stamps, owner.stamps)
		o = owner
	}
	return stamps
}

// idle reports whether an object starts no pods any more: a pod or a Job that has ended, or
// an old ReplicaSet.
func idle(u *unstructured.Unstructured) bool {
	switch u.GetKind() {
	case "Pod":
		phase, _, _ := unstructured.NestedString(u.Object, "status", "phase")
		return phase == string(corev1.PodSucceeded) || phase == string(corev1.PodFailed)
	case "Job":
		completed, _, _ := unstructured.NestedString(u.Object, "status", "completionTime")
		return completed != "" || failed(u)
	case "ReplicaSet", "ReplicationController":
		replicas, found, _ := unstructured.NestedInt64(u.Object, "spec", "replicas")
		return found && replicas == 0 && metav1.GetControllerOf(u) != nil
	default:
		return false
	}
}

// failed reports whether a Job has ended without being complete.
func failed(job *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(job.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(one any) bool {
		condition, _ := one.(map[string]any)
		return condition["type"] == string(batchv1.JobFailed) && condition["status"] == string(corev1.ConditionTrue)
	})
}

var digest = regexp.MustCompile(digests.Syntax)

// runningDigests returns the digests in a pod's status by the image reference in its spec.
func runningDigests(u *unstructured.Unstructured) map[string]string {
	if u.GetKind() != "Pod" {
		return nil
	}
	var pod corev1.Pod
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &pod); err != nil {
		return nil
	}
	named := map[string]string{} // container -> image
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		named[c.Name] = c.Image
	}
	digests := map[string]string{}
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		digests[clip(named[s.Name])] = strings.Clone(digest.FindString(s.ImageID))
	}
	return digests
}
