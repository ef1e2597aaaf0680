package observer

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

// workload is what the observer looks at in a built-in workload.
type workload struct {
	identity v1alpha1.SoakWorkload
	uid      types.UID
	// controller is the owner that controls it, and builtIn whether that is a workload
	// that is looked at itself.
	controller types.UID
	builtIn    bool
	// stamps of its metadata, and for what these lack those of its pod template.
	ladder, target, chartDigest string
	containers                  []container

	// current says that its controller has acted on the latest spec.
	current        bool
	desired, ready int32
}

// kind of objects that are watched in a namespace.
type kind struct {
	name   string
	object client.Object
	list   func() client.ObjectList
}

func kinds() []kind {
	return []kind{
		{"Pod", &corev1.Pod{}, func() client.ObjectList { return &corev1.PodList{} }},
		{"Deployment", &appsv1.Deployment{}, func() client.ObjectList { return &appsv1.DeploymentList{} }},
		{"StatefulSet", &appsv1.StatefulSet{}, func() client.ObjectList { return &appsv1.StatefulSetList{} }},
		{"DaemonSet", &appsv1.DaemonSet{}, func() client.ObjectList { return &appsv1.DaemonSetList{} }},
		{"ReplicaSet", &appsv1.ReplicaSet{}, func() client.ObjectList { return &appsv1.ReplicaSetList{} }},
		{"ReplicationController", &corev1.ReplicationController{}, func() client.ObjectList { return &corev1.ReplicationControllerList{} }},
	}
}

// newWorkload reads a workload of one of the kinds; nil where it is none.
func newWorkload(o client.Object) *workload {
	switch o := o.(type) {
	case *appsv1.Deployment:
		return build(o, "apps/v1", "Deployment", &o.Spec.Template, o.Status.ObservedGeneration, replicas(o.Spec.Replicas), o.Status.ReadyReplicas)
	case *appsv1.StatefulSet:
		return build(o, "apps/v1", "StatefulSet", &o.Spec.Template, o.Status.ObservedGeneration, replicas(o.Spec.Replicas), o.Status.ReadyReplicas)
	case *appsv1.DaemonSet:
		return build(o, "apps/v1", "DaemonSet", &o.Spec.Template, o.Status.ObservedGeneration, o.Status.DesiredNumberScheduled, o.Status.NumberReady)
	case *appsv1.ReplicaSet:
		return build(o, "apps/v1", "ReplicaSet", &o.Spec.Template, o.Status.ObservedGeneration, replicas(o.Spec.Replicas), o.Status.ReadyReplicas)
	case *corev1.ReplicationController:
		template := o.Spec.Template
		if template == nil {
			template = &corev1.PodTemplateSpec{}
		}
		return build(o, "v1", "ReplicationController", template, o.Status.ObservedGeneration, replicas(o.Spec.Replicas), o.Status.ReadyReplicas)
	default:
		return nil
	}
}

func build(o client.Object, apiVersion, kind string, template *corev1.PodTemplateSpec, observed int64, desired, ready int32) *workload {
	w := &workload{
		identity:   v1alpha1.SoakWorkload{APIVersion: apiVersion, Kind: kind, Name: o.GetName(), UID: string(o.GetUID()), TemplateDigest: templateDigest(template)},
		uid:        o.GetUID(),
		containers: containersOf(&template.Spec),
		current:    observed >= o.GetGeneration(),
		desired:    desired,
		ready:      ready,
	}
	w.controller, w.builtIn = controllerOf(o)
	stamp := func(name string) string {
		if own := o.GetAnnotations()[name]; own != "" {
			return own
		}
		return template.Annotations[name]
	}
	w.ladder = stamp(v1alpha1.AnnotationLadder)
	w.target = stamp(v1alpha1.AnnotationTarget)
	w.chartDigest = stamp(v1alpha1.AnnotationChartDigest)
	return w
}

// replicas is the API's default where a field is unset.
func replicas(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

// controllerOf is the owner that controls an object.
func controllerOf(o metav1.Object) (uid types.UID, builtIn bool) {
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

// top says whether nothing above it is looked at. A ReplicaSet of another controller (an
// Argo Rollout) is one, unless it is an old one that was scaled away.
func (w *workload) top() bool {
	return !w.builtIn && (w.controller == "" || w.desired > 0)
}

func (w *workload) String() string { return fmt.Sprintf("%s %q", w.identity.Kind, w.identity.Name) }

// templateDigest is a pod template's, as the webhook reckons it too.
func templateDigest(template *corev1.PodTemplateSpec) string {
	// Plain values marshal, and what was marshalled can be read back.
	raw, _ := json.Marshal(template)
	var fields map[string]any
	_ = json.Unmarshal(raw, &fields)
	return podtemplate.Digest(fields)
}

// pod is what the observer looks at in a pod.
type pod struct {
	name       string
	uid        types.UID
	controller types.UID
	node       string
	// ready includes pods that are being deleted while they still serve.
	ready      bool
	containers []container
}

func newPod(p *corev1.Pod) *pod {
	built := &pod{
		name:       p.Name,
		uid:        p.UID,
		node:       p.Spec.NodeName,
		containers: withStatus(containersOf(&p.Spec), &p.Status),
	}
	built.controller, _ = controllerOf(p)
	for _, condition := range p.Status.Conditions {
		if condition.Type == corev1.PodReady {
			built.ready = condition.Status == corev1.ConditionTrue
		}
	}
	return built
}

// container is the pod's container of a name, nil where it has none.
func (p *pod) container(name string) *container {
	for i := range p.containers {
		if p.containers[i].name == name {
			return &p.containers[i]
		}
	}
	return nil
}
