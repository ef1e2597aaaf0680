package rollout

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/workload"
)

// owner returns the live object that controls this one. It returns nil if there is none, if
// another object has its name, or if it is being deleted. With an error the caller goes on
// as if there were none, which requires more evidence.
func (r *Resolver) owner(ctx context.Context, o *object, namespace string) (*object, error) {
	ref := metav1.GetControllerOfNoCopy(&o.Metadata)
	if ref == nil || ref.UID == "" {
		return nil, nil
	}
	kind := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
	if !r.kinds.Owns(kind) {
		return nil, nil
	}
	return r.live(ctx, kind, client.ObjectKey{Namespace: namespace, Name: ref.Name}, func(u *unstructured.Unstructured) bool { return u.GetUID() == ref.UID })
}

// live returns an object as it is now. It returns nil if there is none, if it is being
// deleted, or if it isn't the wanted one.
func (r *Resolver) live(ctx context.Context, kind schema.GroupVersionKind, key client.ObjectKey, wanted func(*unstructured.Unstructured) bool) (*object, error) {
	var u unstructured.Unstructured
	u.SetGroupVersionKind(kind)
	switch err := r.api.Get(ctx, key, &u); {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("looking up %s %q: %w", kind.Kind, key.Name, err)
	case u.GetDeletionTimestamp() != nil || !wanted(&u):
		return nil, nil
	}
	o, err := r.read(&u)
	if err != nil {
		return nil, fmt.Errorf("reading %s %q: %w", kind.Kind, key.Name, err)
	}
	o.revisions = revisionsOf(&u)
	if o.source, err = r.source(ctx, o, key.Namespace); err != nil {
		return nil, err
	}
	if o.source != nil {
		o.images = o.source.images
	}
	return o, nil
}

// sourceKinds are the kinds that Argo Rollouts takes a pod template from.
var sourceKinds = []schema.GroupVersionKind{
	{Group: "apps", Version: "v1", Kind: "Deployment"},
	{Group: "apps", Version: "v1", Kind: "ReplicaSet"},
	{Version: "v1", Kind: "PodTemplate"},
}

// source returns the live object whose pod template another one uses, nil if there is
// none. A ReplicaSet that has a controller doesn't count: it may have digests that its
// Deployment has replaced.
func (r *Resolver) source(ctx context.Context, o *object, namespace string) (*object, error) {
	ref := o.TemplateRef
	if ref == nil || !slices.Contains(sourceKinds, ref.Kind) {
		return nil, nil
	}
	return r.live(ctx, ref.Kind, client.ObjectKey{Namespace: namespace, Name: ref.Name}, func(u *unstructured.Unstructured) bool {
		return ref.Kind.Kind != "ReplicaSet" || metav1.GetControllerOfNoCopy(u) == nil
	})
}

func (r *Resolver) read(u *unstructured.Unstructured) (*object, error) {
	decoded, err := r.kinds.Read(u)
	if err != nil {
		return nil, err
	}
	o := &object{Object: decoded}
	return o, o.readImages()
}

// maxOwners is how many owners stamps are looked up in: Pod, ReplicaSet, Deployment; Pod,
// Job, CronJob.
const maxOwners = 2

// stamps returns the object's stamps, completed by those of its owner, and by those of the
// owner's owner as long as the chart's digest is missing. The nearest owner goes first: an
// older ReplicaSet has the stamps of the chart that it was judged with. The pod template's
// digest comes from the direct owner alone.
func (r *Resolver) stamps(ctx context.Context, o, owner *object, namespace string) (gate.Stamps, error) {
	stamps := o.Stamps()
	for distance := range maxOwners {
		if owner == nil {
			break
		}
		inherited := owner.Stamps()
		if distance > 0 {
			inherited.TemplateDigest = ""
		}
		stamps = workload.Inherit(stamps, inherited)
		if stamps.ChartDigest != "" {
			break
		}
		var err error
		if owner, err = r.owner(ctx, owner, namespace); err != nil {
			return stamps, err
		}
	}
	return stamps, nil
}
