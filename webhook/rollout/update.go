package rollout

import (
	"slices"

	"github.com/envladder/envladder/internal/workload"
)

// startsNothingNew reports whether an UPDATE changes nothing that starts pods: neither
// images, nor pod template, nor stamps. Status, labels, finalizers and replicas don't count:
// fewer replicas start nothing, and each further one is judged as a Pod. Nothing else in the
// request matters, so a new image can't be hidden in a scale-down or a deletion.
func startsNothingNew(before, after *object) bool {
	return before.Stamps() == after.Stamps() &&
		sameTemplates(before, after)
}

// keepsDigests reports whether all digests of an UPDATE are those of the live object: it
// deploys nothing new then, and the age of evidence isn't judged again.
func keepsDigests(before, after *object) bool {
	live := workload.Digests(before.images)
	for digest := range workload.Digests(after.images) {
		if !live[digest] {
			return false
		}
	}
	return true
}

// newImages returns the images of an UPDATE that the live object doesn't have in the same
// field. For an ephemeral container they are all that starts: the pod's other containers
// run already, and debugging a pod whose digest was recalled is legitimate.
func newImages(before, after *object) []workload.Image {
	return slices.DeleteFunc(slices.Clone(after.images), func(i workload.Image) bool {
		return slices.Contains(before.images, i)
	})
}
