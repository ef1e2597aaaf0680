package rollout

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

// revisions are those of a StatefulSet's pod template, by its status. It still creates pods
// of the current one below its partition, and wherever its rollout hasn't arrived. A
// DaemonSet creates new pods of the newest revision alone.
type revisions struct{ current, update string }

var statefulSet = appsv1.SchemeGroupVersion.WithKind("StatefulSet")

func revisionsOf(u *unstructured.Unstructured) (r revisions) {
	if u.GroupVersionKind() == statefulSet {
		r.current, _, _ = unstructured.NestedString(u.Object, "status", "currentRevision")
		r.update, _, _ = unstructured.NestedString(u.Object, "status", "updateRevision")
	}
	return r
}

// atRevision returns a StatefulSet with the template of the pod's revision, if that isn't
// the newest one and the StatefulSet still creates pods of it; else the owner itself. The
// controller writes the pod's label and the StatefulSet's status. The template is looked up
// live, and counts only if the StatefulSet controls the ControllerRevision. A pod whose
// revision the status doesn't name doesn't get the digest of the newest template: nothing
// judges ControllerRevisions, so the pod may be of any other. An unknown revision therefore
// requires more evidence, never less, also with an error.
func (r *Resolver) atRevision(ctx context.Context, pod, owner *object, namespace string) (*object, error) {
	label := pod.Metadata.Labels[appsv1.ControllerRevisionHashLabelKey]
	if owner.Kind != statefulSet || label != "" && label == owner.revisions.update {
		return owner, nil
	}
	old, err := r.revision(ctx, client.ObjectKey{Namespace: namespace, Name: label}, owner)
	if old != nil && label == owner.revisions.current {
		return old, nil
	}
	other, digest := *owner, ""
	if old != nil { // the status of a new revision is written after its first pods
		digest = old.Stamps().TemplateDigest
	}
	other.childTemplateDigest = &digest
	return &other, err
}

// revision returns a StatefulSet with the template of one of its revisions, nil if it
// doesn't control such a revision.
func (r *Resolver) revision(ctx context.Context, key client.ObjectKey, owner *object) (*object, error) {
	if key.Name == "" {
		return nil, nil
	}
	var u unstructured.Unstructured
	u.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("ControllerRevision"))
	if err := r.api.Get(ctx, key, &u); err != nil {
		return nil, fmt.Errorf("looking up ControllerRevision %q: %w", key.Name, err)
	}
	if ref := metav1.GetControllerOfNoCopy(&u); ref == nil || ref.UID != owner.Metadata.UID {
		return nil, nil
	}
	old, err := r.readRevision(&u, owner)
	if err != nil {
		return nil, fmt.Errorf("reading ControllerRevision %q: %w", key.Name, err)
	}
	return old, nil
}

// readRevision returns the owner with the template of a ControllerRevision. It must be a
// patch that replaces the owner's template: the controller would merge any other patch.
func (r *Resolver) readRevision(revision *unstructured.Unstructured, owner *object) (*object, error) {
	template, _, err := unstructured.NestedMap(revision.Object, "data", "spec", "template")
	if err != nil {
		return nil, err
	}
	if template["$patch"] != "replace" {
		return nil, errors.New("its patch doesn't replace the pod template")
	}
	delete(template, "$patch")
	metadata, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&owner.Metadata)
	if err != nil {
		return nil, err
	}
	old := unstructured.Unstructured{Object: map[string]any{"metadata": metadata, "spec": map[string]any{"template": template}}}
	old.SetGroupVersionKind(owner.Kind)
	return r.read(&old)
}
