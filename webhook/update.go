package webhook

import (
	"slices"

	"github.com/envladder/envladder/internal/workload"
)

// startsNothingNew says whether an UPDATE leaves alone whatever starts pods: images,
// pod template and stamps. Status, labels, finalizers pass by it, and replicas too:
// fewer start none, and of more each is judged as a Pod. It doesn't look at what else
// is in the request, so an image can't ride along with a scale-down or a deletion.
func startsNothingNew(before, after *object) bool {
	return before.Stamps() == after.Stamps() &&
		sameTemplates(before, after)
}

// keepsDigests says whether all digests of an UPDATE are those of the live object:
// then nothing is deployed that isn't there already, and its age isn't judged again.
func keepsDigests(before, after *object) bool {
	live := workload.Digests(before.images)
	for digest := range workload.Digests(after.images) {
		if !live[digest] {
			return false
		}
	}
	return true
}

// newImages are the images of an UPDATE that the live object doesn't have in the same
// place. Of an ephemeral container they are all that starts: the pod's other
// containers run already, and debugging a pod whose digest was recalled is legitimate.
func newImages(before, after *object) []workload.Image {
	return slices.DeleteFunc(slices.Clone(after.images), func(i workload.Image) bool {
		return slices.Contains(before.images, i)
	})
}
