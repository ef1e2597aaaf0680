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
	Stamps

	Identity v1alpha1.SoakWorkload

	uid        types.UID
	controller owner
	containers []Container
	// current is set where its controller has observed the latest spec.
	current        bool
	desired, ready int32
	// reason why it isn't healthy whatever its pods are, by the object that controls them.
	reason  v1alpha1.SoakReason
	message string
}

// Stamps are those in an object's metadata, or else those in its pod template.
type Stamps struct {
	Ladder, Target, ChartDigest string
}

func stampsOf(o metav1.Object, template *corev1.PodTemplateSpec) Stamps {
	stamp := func(name string) string {
		if own := o.GetAnnotations()[name]; own != "" {
			return own
		}
		return template.Annotations[name]
	}
	return Stamps{stamp(v1alpha1.AnnotationLadder), stamp(v1alpha1.AnnotationTarget), stamp(v1alpha1.AnnotationChartDigest)}
}

// common returns the stamps that both have.
func (s Stamps) common(other Stamps) Stamps {
	same := func(a, b string) string {
		if a != b {
			return ""
		}
		return a
	}
	return Stamps{same(s.Ladder, other.Ladder), same(s.Target, other.Target), same(s.ChartDigest, other.ChartDigest)}
}

// owner is the owner that controls an object.
type owner struct {
	apiVersion, kind, name string
	uid                    types.UID
	// watched is set where it is a built-in workload, which is watched too.
	watched bool
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
	return &Workload{
		Stamps:     stampsOf(o, template),
		Identity:   v1alpha1.SoakWorkload{APIVersion: apiVersion, Kind: kind, Name: o.GetName(), UID: string(o.GetUID()), TemplateDigest: templateDigest(template)},
		uid:        o.GetUID(),
		controller: controllerOf(o),
		containers: longRunningContainers(&template.Spec),
		current:    observed >= o.GetGeneration(),
		desired:    desired,
		ready:      ready,
	}
}

// replicas returns the API's default where the field is unset.
func replicas(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

// controllerOf returns the owner that controls an object; the zero owner where none does.
func controllerOf(o metav1.Object) owner {
	c := metav1.GetControllerOf(o)
	if c == nil {
		return owner{}
	}
	controller := owner{apiVersion: c.APIVersion, kind: c.Kind, name: c.Name, uid: c.UID}
	switch c.APIVersion + " " + c.Kind {
	case "apps/v1 Deployment", "apps/v1 ReplicaSet", "apps/v1 StatefulSet", "apps/v1 DaemonSet", "v1 ReplicationController":
		controller.watched = true
	}
	return controller
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
	pod.controller = controllerOf(p).uid
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
