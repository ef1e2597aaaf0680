package rollout

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

// recreatedKinds are the kinds whose objects each sync of Argo CD recreates: hooks, and the
// preflight check before them.
var recreatedKinds = map[schema.GroupVersionKind]bool{
	{Version: "v1", Kind: "Pod"}:                 true,
	{Version: "v1", Kind: "PodTemplate"}:         true,
	{Group: "batch", Version: "v1", Kind: "Job"}: true,
}

// runningIn returns those of the object's digests that run already in the workloads that
// its annotation names. The annotation only says where to look: what counts is what these
// workloads run now, and that no controller owns them (an old ReplicaSet has digests that
// were replaced). Digests that aren't found require more evidence, also with an error.
func (r *Resolver) runningIn(ctx context.Context, o *object, namespace string) (map[string]bool, error) {
	names := o.Metadata.Annotations[v1alpha1.AnnotationRunningIn]
	if names == "" || !recreatedKinds[o.Kind] {
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
		found, err := r.lastingDigests(ctx, namespace, name)
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

// lastingDigests returns the digests of a workload, named as KIND/NAME, that lasts from one
// sync to the next; none if there is no such workload.
func (r *Resolver) lastingDigests(ctx context.Context, namespace, workloadName string) (map[string]bool, error) {
	kindName, name, _ := strings.Cut(workloadName, "/")
	kind, ok := r.lastingKind(kindName)
	if !ok || name == "" {
		return nil, nil
	}
	live, err := r.live(ctx, kind, client.ObjectKey{Namespace: namespace, Name: name}, func(u *unstructured.Unstructured) bool { return metav1.GetControllerOfNoCopy(u) == nil })
	if live == nil || err != nil {
		return nil, err // there is none in the first sync, and in the one that adds it
	}
	return workload.Digests(live.images), nil
}

// lastingGroups exclude kinds of the same name in other API groups.
var lastingGroups = []string{"", "apps", "batch", "argoproj.io"}

func (r *Resolver) lastingKind(name string) (schema.GroupVersionKind, bool) {
	if !slices.Contains(v1alpha1.RunningInKinds, name) {
		return schema.GroupVersionKind{}, false
	}
	for _, kind := range r.kinds.All() {
		if kind.Kind == name && slices.Contains(lastingGroups, kind.Group) {
			return kind, true
		}
	}
	return schema.GroupVersionKind{}, false
}
