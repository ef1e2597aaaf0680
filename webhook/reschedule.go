package webhook

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/internal/gate"
)

const (
	// allControllers is who kube-controller-manager's controllers are, unless it
	// runs with --use-service-account-credentials.
	allControllers = "system:kube-controller-manager"
	// oneController is who each is otherwise, before its own name.
	oneController = "system:serviceaccount:kube-system:"
)

// makers are the built-in controllers that make Pods, ReplicaSets and Jobs, each with
// the kind that it makes them for. The names are those of the ServiceAccounts in
// kube-controller-manager's source (cmd/kube-controller-manager/app), not those of its
// --controllers flag.
var makers = map[schema.GroupVersionKind]string{
	{Version: "v1", Kind: "ReplicationController"}:      "replication-controller",
	{Group: "apps", Version: "v1", Kind: "DaemonSet"}:   "daemon-set-controller",
	{Group: "apps", Version: "v1", Kind: "Deployment"}:  "deployment-controller",
	{Group: "apps", Version: "v1", Kind: "ReplicaSet"}:  "replicaset-controller",
	{Group: "apps", Version: "v1", Kind: "StatefulSet"}: "statefulset-controller",
	{Group: "batch", Version: "v1", Kind: "CronJob"}:    "cronjob-controller",
	{Group: "batch", Version: "v1", Kind: "Job"}:        "job-controller",
}

// makesFor says whether this user is the built-in controller that makes objects for
// owners of this kind.
func makesFor(user string, owner schema.GroupVersionKind) bool {
	controller, ok := makers[owner]
	return ok && (user == allControllers || user == oneController+controller)
}

// owners looks up who controls an object, as it is now: never from a cache, which may
// not have the owner yet, or still have one that is gone.
type owners struct {
	api client.Reader
}

// of is the live object that controls this one, or nil where there is none, where it
// is another object of the same name, or on its way out. An error is for the log: the
// caller goes on as if there were none, which admits nothing.
func (w owners) of(ctx context.Context, o *object, namespace string) (*object, error) {
	ref := metav1.GetControllerOfNoCopy(&o.metadata)
	if ref == nil || ref.UID == "" {
		return nil, nil
	}
	kind := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
	if _, ok := makers[kind]; !ok {
		return nil, nil
	}
	var u unstructured.Unstructured
	u.SetGroupVersionKind(kind)
	if err := w.api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, &u); err != nil {
		return nil, fmt.Errorf("looking up the owner %s %q: %w", ref.Kind, ref.Name, err)
	}
	if u.GetUID() != ref.UID || u.GetDeletionTimestamp() != nil {
		return nil, nil
	}
	owner, err := newObject(&u)
	if err == nil {
		err = owner.readImages()
	}
	if err != nil {
		return nil, fmt.Errorf("reading the owner %s %q: %w", ref.Kind, ref.Name, err)
	}
	return owner, nil
}

// maxOwners is how far up stamps are looked for: Pod, ReplicaSet, Deployment; Pod,
// Job, CronJob.
const maxOwners = 2

// stamps are the object's own, what is missing filled in by its owner, and by the
// owner's owner while the chart's digest is missing still. The nearest goes first: an
// older ReplicaSet keeps the stamps of the chart that it was judged with.
func (w owners) stamps(ctx context.Context, o, owner *object, namespace string) (gate.Stamps, error) {
	stamps := withTemplate(stampsOf(o), o)
	for range maxOwners {
		if owner == nil {
			break
		}
		stamps = inherit(stamps, withTemplate(stampsOf(owner), owner))
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
