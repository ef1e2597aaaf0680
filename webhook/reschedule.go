package webhook

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

// owners looks up who controls an object, as it is now: never from a cache, which may
// not have the owner yet, or still have one that is gone.
type owners struct {
	api   client.Reader
	kinds *workload.Kinds
}

// of is the live object that controls this one, or nil where there is none, where it
// is another object of the same name, or on its way out. An error is for the log: the
// caller goes on as if there were none, which admits nothing.
func (w owners) of(ctx context.Context, o *object, namespace string) (*object, error) {
	ref := metav1.GetControllerOfNoCopy(&o.Metadata)
	if ref == nil || ref.UID == "" {
		return nil, nil
	}
	kind := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
	if !w.kinds.Owns(kind) {
		return nil, nil
	}
	return w.live(ctx, kind, client.ObjectKey{Namespace: namespace, Name: ref.Name}, func(u *unstructured.Unstructured) bool { return u.GetUID() == ref.UID })
}

// live is an object as it is now, nil where there is none, where it is on its way out,
// or where it isn't the one that is wanted.
func (w owners) live(ctx context.Context, kind schema.GroupVersionKind, key client.ObjectKey, wanted func(*unstructured.Unstructured) bool) (*object, error) {
	var u unstructured.Unstructured
	u.SetGroupVersionKind(kind)
	switch err := w.api.Get(ctx, key, &u); {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("looking up %s %q: %w", kind.Kind, key.Name, err)
	case u.GetDeletionTimestamp() != nil || !wanted(&u):
		return nil, nil
	}
	read, err := w.read(&u)
	if err != nil {
		return nil, fmt.Errorf("reading %s %q: %w", kind.Kind, key.Name, err)
	}
	read.rollout = rolloutOf(&u)
	if read.source, err = w.source(ctx, read, key.Namespace); err != nil {
		return nil, err
	}
	if read.source != nil {
		read.images = read.source.images
	}
	return read, nil
}

// sourceKinds are the kinds that Argo Rollouts takes a pod template from.
var sourceKinds = []schema.GroupVersionKind{
	{Group: "apps", Version: "v1", Kind: "Deployment"},
	{Group: "apps", Version: "v1", Kind: "ReplicaSet"},
	{Version: "v1", Kind: "PodTemplate"},
}

// source returns the live object whose pod template another one uses, nil if there is
// none. A ReplicaSet that has a controller doesn't count: it may hold digests that its
// Deployment left behind.
func (w owners) source(ctx context.Context, o *object, namespace string) (*object, error) {
	ref := o.TemplateRef
	if ref == nil || !slices.Contains(sourceKinds, ref.Kind) {
		return nil, nil
	}
	return w.live(ctx, ref.Kind, client.ObjectKey{Namespace: namespace, Name: ref.Name}, func(u *unstructured.Unstructured) bool {
		return ref.Kind.Kind != "ReplicaSet" || metav1.GetControllerOfNoCopy(u) == nil
	})
}

func (w owners) read(u *unstructured.Unstructured) (*object, error) {
	read, err := w.kinds.Read(u)
	if err != nil {
		return nil, err
	}
	o := &object{Object: read}
	return o, o.readImages()
}

// maxOwners is how far up stamps are looked for: Pod, ReplicaSet, Deployment; Pod,
// Job, CronJob.
const maxOwners = 2

// stamps are the object's own, what is missing filled in by its owner, and by the
// owner's owner while the chart's digest is missing still. The nearest goes first: an
// older ReplicaSet keeps the stamps of the chart that it was judged with. The pod template
// is the owner's, and never that of an owner further up.
func (w owners) stamps(ctx context.Context, o, owner *object, namespace string) (gate.Stamps, error) {
	stamps := o.Stamps()
	for distance := range maxOwners {
		if owner == nil {
			break
		}
		lent := owner.Stamps()
		if distance > 0 {
			lent.TemplateDigest = ""
		}
		stamps = workload.Inherit(stamps, lent)
		if stamps.ChartDigest != "" {
			break
		}
		var err error
		if owner, err = w.of(ctx, owner, namespace); err != nil {
			return stamps, err
		}
	}
	return stamps, nil
}
