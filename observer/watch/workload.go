package watch

import (
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/podtemplate"
)

// Workload is what is needed of a built-in workload.
type Workload struct {
	Identity v1alpha1.SoakWorkload
	// Ladder, Target and ChartDigest are the stamps in its metadata, or else those in its
	// pod template.
	Ladder, Target, ChartDigest string

	uid types.UID
	// controller is the owner that controls it; controllerWatched is set where that is a
	// watched workload too.
	controller        types.UID
	controllerWatched bool
	containers        []Container
	// current is set where its controller has observed the latest spec.
	current        bool
	desired, ready int32
}

// watchedKind is a kind of objects that is watched in a namespace.
type watchedKind struct {
	name    string
	object  client.Object
	newList func() client.ObjectList
}

func watchedKinds() []watchedKind {
	return []watchedKind{
		{"Pod", &corev1.Pod{}, func() client.ObjectList { return &corev1.PodList{} }},
		{"Deployment", &appsv1.Deployment{}, func() client.ObjectList { return &appsv1.DeploymentList{} }},
		{"StatefulSet", &appsv1.StatefulSet{}, func() client.ObjectList { return &appsv1.StatefulSetList{} }},
		{"DaemonSet", &appsv1.DaemonSet{}, func() client.ObjectList { return &appsv1.DaemonSetList{} }},
		{"ReplicaSet", &appsv1.ReplicaSet{}, func() client.ObjectList { return &appsv1.ReplicaSetList{} }},
		{"ReplicationController", &corev1.ReplicationController{}, func() client.ObjectList { return &corev1.ReplicationControllerList{} }},
	}
}

// newWorkload returns the workload of an object, or nil where it is of another kind.
func newWorkload(o client.Object) *Workload {
	switch o := o.(type) {
	case *appsv1.Deployment:
		return workloadFrom(o, "apps/v1", "Deployment", &o.Spec.Template, o.Status.ObservedGeneration, replicas(o.Spec.Replicas), o.Status.ReadyReplicas)
	case *appsv1.StatefulSet:
		return workloadFrom(o, "apps/v1", "StatefulSet", &o.Spec.Template, o.Status.ObservedGeneration, replicas(o.Spec.Replicas), o.Status.ReadyReplicas)
	case *appsv1.DaemonSet:
		return workloadFrom(o, "apps/v1", "DaemonSet", &o.Spec.Template, o.Status.ObservedGeneration, o.Status.DesiredNumberScheduled, o.Status.NumberReady)
	case *appsv1.ReplicaSet:
		return workloadFrom(o, "apps/v1", "ReplicaSet", &o.Spec.Template, o.Status.ObservedGeneration, replicas(o.Spec.Replicas), o.Status.ReadyReplicas)
	case *corev1.ReplicationController:
		template := o.Spec.Template
		if template == nil {
			template = &corev1.PodTemplateSpec{}
		}
		return workloadFrom(o, "v1", "ReplicationController", template, o.Status.ObservedGeneration, replicas(o.Spec.Replicas), o.Status.ReadyReplicas)
	default:
		return nil
	}
}

func workloadFrom(o client.Object, apiVersion, kind string, template *corev1.PodTemplateSpec, observed int64, desired, ready int32) *Workload {
	w := &Workload{
		Identity:   v1alpha1.SoakWorkload{APIVersion: apiVersion, Kind: kind, Name: o.GetName(), UID: string(o.GetUID()), TemplateDigest: templateDigest(template)},
		uid:        o.GetUID(),
		containers: longRunningContainers(&template.Spec),
		current:    observed >= o.GetGeneration(),
		desired:    desired,
		ready:      ready,
	}
	w.controller, w.controllerWatched = controllerOf(o)
	stamp := func(name string) string {
		if own := o.GetAnnotations()[name]; own != "" {
			return own
		}
		return template.Annotations[name]
	}
	w.Ladder = stamp(v1alpha1.AnnotationLadder)
	w.Target = stamp(v1alpha1.AnnotationTarget)
	w.ChartDigest = stamp(v1alpha1.AnnotationChartDigest)
	return w
}

// replicas returns the API's default where the field is unset.
func replicas(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

// controllerOf returns the owner that controls an object, and whether its kind is
// watched.
func controllerOf(o metav1.Object) (uid types.UID, watched bool) {
	owner := metav1.GetControllerOf(o)
	if owner == nil {
		return "", false
	}
	switch owner.APIVersion + " " + owner.Kind {
	case "apps/v1 Deployment", "apps/v1 ReplicaSet", "apps/v1 StatefulSet", "apps/v1 DaemonSet", "v1 ReplicationController":
		return owner.UID, true
	}
	return owner.UID, false
}

// topLevel reports whether no watched workload controls it. A ReplicaSet of another
// controller (an Argo Rollout) is top-level, unless it is an old one at zero replicas.
func (w *Workload) topLevel() bool {
	return !w.controllerWatched && (w.controller == "" || w.desired > 0)
}

func (w *Workload) String() string { return fmt.Sprintf("%s %q", w.Identity.Kind, w.Identity.Name) }

// templateDigest returns the digest of a pod template, as the webhook computes it too.
func templateDigest(template *corev1.PodTemplateSpec) string {
	// Plain values marshal, and what was marshalled can be read back.
	raw, _ := json.Marshal(template)
	var fields map[string]any
	_ = json.Unmarshal(raw, &fields)
	return podtemplate.Digest(fields)
}

// Pod is what is needed of a pod.
type Pod struct {
	Name string
	// Ready includes pods that are being deleted while they still serve.
	Ready bool

	uid        types.UID
	controller types.UID
	node       string
	containers []Container
}

func newPod(p *corev1.Pod) *Pod {
	pod := &Pod{
		Name:       p.Name,
		uid:        p.UID,
		node:       p.Spec.NodeName,
		containers: addStatus(longRunningContainers(&p.Spec), &p.Status),
	}
	pod.controller, _ = controllerOf(p)
	for _, condition := range p.Status.Conditions {
		if condition.Type == corev1.PodReady {
			pod.Ready = condition.Status == corev1.ConditionTrue
		}
	}
	return pod
}

// Container returns the container with a name, or nil.
func (p *Pod) Container(name string) *Container {
	for i := range p.containers {
		if p.containers[i].Name == name {
			return &p.containers[i]
		}
	}
	return nil
}
