package webhook

import (
	"context"
	"errors"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/workload"
)

// passing are the kinds whose objects each sync of Argo CD makes anew: hooks, and the
// guard in front of them.
var passing = map[schema.GroupVersionKind]bool{
	{Version: "v1", Kind: "Pod"}:                 true,
	{Version: "v1", Kind: "PodTemplate"}:         true,
	{Group: "batch", Version: "v1", Kind: "Job"}: true,
}

// beside are those of the object's digests that run already, in the workloads that its
// annotation names. The annotation only says where to look: what counts is what these
// workloads run now, and that nobody but their deployer controls them (an old ReplicaSet
// names digests that were left behind). An error is for the log: what isn't found is
// asked for more proof.
func (w owners) beside(ctx context.Context, o *object, namespace string) (map[string]bool, error) {
	names := o.Metadata.Annotations[v1alpha1.AnnotationRunningIn]
	if names == "" || !passing[o.Kind] {
		return nil, nil
	}
	missing, running := workload.Digests(o.images), map[string]bool{}
	var failed error
	for range v1alpha1.MaxRunningIn {
		if names == "" || len(missing) == 0 {
			break
		}
		var name string
		name, names, _ = strings.Cut(names, ",")
		found, err := w.standing(ctx, namespace, name)
		if err != nil {
			failed = errors.Join(failed, err)
		}
		for digest := range found {
			if missing[digest] {
				running[digest] = true
				delete(missing, digest)
			}
		}
	}
	return running, failed
}

// standing are the digests of a workload, named as KIND/NAME, that stays from one sync
// to the next; none where there is no such workload.
func (w owners) standing(ctx context.Context, namespace, named string) (map[string]bool, error) {
	kindName, name, _ := strings.Cut(named, "/")
	kind, ok := w.standingKind(kindName)
	if !ok || name == "" {
		return nil, nil
	}
	live, err := w.live(ctx, kind, client.ObjectKey{Namespace: namespace, Name: name}, func(u *unstructured.Unstructured) bool { return metav1.GetControllerOfNoCopy(u) == nil })
	if live == nil || err != nil {
		return nil, err // the first sync has none, and one that adds it
	}
	return workload.Digests(live.images), nil
}

// standingGroups keep out kinds of the same name that somebody else has.
var standingGroups = []string{"", "apps", "batch", "argoproj.io"}

func (w owners) standingKind(name string) (schema.GroupVersionKind, bool) {
	if !slices.Contains(v1alpha1.RunningInKinds, name) {
		return schema.GroupVersionKind{}, false
	}
	for _, kind := range w.kinds.All() {
		if kind.Kind == name && slices.Contains(standingGroups, kind.Group) {
			return kind, true
		}
	}
	return schema.GroupVersionKind{}, false
}
