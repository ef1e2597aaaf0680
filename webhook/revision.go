package webhook

import (
	"context"
	"errors"
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

var statefulSet = appsv1.SchemeGroupVersion.WithKind("StatefulSet")

func rolloutOf(u *unstructured.Unstructured) (r rollout) {
	if u.GroupVersionKind() == statefulSet {
		r.current, _, _ = unstructured.NestedString(u.Object, "status", "currentRevision")
		r.update, _, _ = unstructured.NestedString(u.Object, "status", "updateRevision")
	}
	return r
}

// revised returns the owner as it was when it made the pod's revision of its template,
// where that isn't the newest and it still makes pods of it; else the owner. The pod's
// label and the StatefulSet's status are the controller's; the template is looked up live,
// and counts where the StatefulSet controls it. The template of the newest revision isn't
// lent to a pod that the status doesn't name as one of it: nothing judges
// ControllerRevisions, so the pod may be of any other. Not knowing the revision therefore
// only ever asks for more proof, with an error too.
func (w owners) revised(ctx context.Context, pod, owner *object, namespace string) (*object, error) {
	label := pod.Metadata.Labels[appsv1.ControllerRevisionHashLabelKey]
	if owner.Kind != statefulSet || label != "" && label == owner.rollout.update {
		return owner, nil
	}
	old, err := w.revision(ctx, client.ObjectKey{Namespace: namespace, Name: label}, owner)
	if old != nil && label == owner.rollout.current {
		return old, nil
	}
	other, digest := *owner, ""
	if old != nil { // the status of a new revision is written after its first pods
		digest = old.Stamps().TemplateDigest
	}
	other.lends = &digest
	return &other, err
}

// revision returns a StatefulSet with the template of one of its revisions, nil where it
// doesn't control such a one.
func (w owners) revision(ctx context.Context, key client.ObjectKey, owner *object) (*object, error) {
	if key.Name == "" {
		return nil, nil
	}
	var u unstructured.Unstructured
	u.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("ControllerRevision"))
	if err := w.api.Get(ctx, key, &u); err != nil {
		return nil, fmt.Errorf("looking up ControllerRevision %q: %w", key.Name, err)
	}
	if ref := metav1.GetControllerOfNoCopy(&u); ref == nil || ref.UID != owner.Metadata.UID {
		return nil, nil
	}
	old, err := w.readRevision(&u, owner)
	if err != nil {
		return nil, fmt.Errorf("reading ControllerRevision %q: %w", key.Name, err)
	}
	return old, nil
}

// readRevision returns the owner with the template that a revision holds, as a patch that
// replaces the owner's: from any other patch the controller would make a mixture.
func (w owners) readRevision(revision *unstructured.Unstructured, owner *object) (*object, error) {
	template, _, err := unstructured.NestedMap(revision.Object, "data", "spec", "template")
	if err != nil {
		return nil, err
	}
	if template["$patch"] != "replace" {
		return nil, errors.New("it doesn't replace the pod template")
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
