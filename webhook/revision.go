package webhook

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// rollout is which revision of its pod template a StatefulSet still makes pods of, below
// its partition and wherever its rollout hasn't got to. A DaemonSet makes new pods of the
// newest alone.
type rollout struct{ current, update string }

func rolloutOf(u *unstructured.Unstructured) (r rollout) {
	if u.GroupVersionKind() == appsv1.SchemeGroupVersion.WithKind("StatefulSet") {
		r.current, _, _ = unstructured.NestedString(u.Object, "status", "currentRevision")
		r.update, _, _ = unstructured.NestedString(u.Object, "status", "updateRevision")
	}
	return r
}

// revised is the owner as it was when it made the pod's revision of its template, where
// that isn't the newest and it still makes pods of it; else the owner. The pod's label
// and the StatefulSet's status are the controller's; the template is looked up live, and
// counts where the StatefulSet controls it. With an error comes the owner: not knowing
// the revision only ever asks for more proof.
func (w owners) revised(ctx context.Context, pod, owner *object, namespace string) (*object, error) {
	name := owner.rollout.current
	if name == "" || name == owner.rollout.update || pod.Metadata.Labels[appsv1.ControllerRevisionHashLabelKey] != name {
		return owner, nil
	}
	var u unstructured.Unstructured
	u.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("ControllerRevision"))
	if err := w.api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &u); err != nil {
		return owner, fmt.Errorf("looking up ControllerRevision %q: %w", name, err)
	}
	if ref := metav1.GetControllerOfNoCopy(&u); ref == nil || ref.UID != owner.Metadata.UID {
		return owner, nil
	}
	old, err := w.readRevision(&u, owner)
	if err != nil {
		return owner, fmt.Errorf("reading ControllerRevision %q: %w", name, err)
	}
	return old, nil
}

// readRevision is the owner with the template that a revision holds, as a patch.
func (w owners) readRevision(revision *unstructured.Unstructured, owner *object) (*object, error) {
	template, _, err := unstructured.NestedMap(revision.Object, "data", "spec", "template")
	if err != nil {
		return nil, err
	}
	delete(template, "$patch")
	metadata, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&owner.Metadata)
	if err != nil {
		return nil, err
	}
	old := unstructured.Unstructured{Object: map[string]any{"metadata": metadata, "spec": map[string]any{"template": template}}}
	old.SetGroupVersionKind(owner.Kind)
	return w.read(&old)
}
