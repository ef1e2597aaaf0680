package watch

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/observer/observertest"
)

// snapshotOf returns a snapshot of objects.
func snapshotOf(objects ...client.Object) Snapshot {
	w := newNamespaceWatcher("shop")
	for _, o := range objects {
		w.set(o)
	}
	return w.snapshot
}

func setController(o metav1.Object, apiVersion, kind string, owner metav1.Object) {
	yes := true
	o.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: owner.GetName(), UID: owner.GetUID(), Controller: &yes}})
}

func readyPod(uid string, owner metav1.Object, apiVersion, kind string, spec corev1.PodSpec) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: uid, UID: types.UID(uid)}, Spec: spec}
	setController(p, apiVersion, kind, owner)
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	return p
}

func TestHealth(t *testing.T) {
	image := shopWeb + "@" + indexDigest
	tpl := observertest.Template(image)
	one := int32(1)
	meta := metav1.ObjectMeta{Name: "web", UID: "w", Generation: 2}
	statefulSet := &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Template: tpl}, Status: appsv1.StatefulSetStatus{ObservedGeneration: 2, ReadyReplicas: 1}}
	daemonSet := &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Template: tpl}, Status: appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 1, NumberReady: 1}}
	replicaSet := &appsv1.ReplicaSet{ObjectMeta: meta, Spec: appsv1.ReplicaSetSpec{Replicas: &one, Template: tpl}, Status: appsv1.ReplicaSetStatus{ObservedGeneration: 2, ReadyReplicas: 1}}
	controller := &corev1.ReplicationController{ObjectMeta: meta, Spec: corev1.ReplicationControllerSpec{Template: &tpl}, Status: corev1.ReplicationControllerStatus{ObservedGeneration: 2, ReadyReplicas: 1}}
	lagging := statefulSet.DeepCopy()
	lagging.Status.ObservedGeneration = 1
	idle := daemonSet.DeepCopy()
	idle.Status.DesiredNumberScheduled = 0
	pod := func(apiVersion, kind string) *corev1.Pod {
		return readyPod("p", &meta, apiVersion, kind, *tpl.Spec.DeepCopy())
	}
	another := pod("apps/v1", "StatefulSet")
	another.UID = "q"
	another.Spec.Containers[0].Image = shopWeb + "@" + manifestDigest
	bare := pod("apps/v1", "StatefulSet")
	bare.Spec.Containers[0].ReadinessProbe = nil
	for name, test := range map[string]struct {
		objects []client.Object
		want    v1alpha1.SoakReason
		absent  bool
	}{
		"StatefulSet":                            {objects: []client.Object{statefulSet, pod("apps/v1", "StatefulSet")}},
		"DaemonSet":                              {objects: []client.Object{daemonSet, pod("apps/v1", "DaemonSet")}},
		"ReplicaSet":                             {objects: []client.Object{replicaSet, pod("apps/v1", "ReplicaSet")}},
		"ReplicationController":                  {objects: []client.Object{controller, pod("v1", "ReplicationController")}},
		"two workloads of which one is degraded": {objects: []client.Object{statefulSet, pod("apps/v1", "StatefulSet"), func() client.Object { d := daemonSet.DeepCopy(); d.UID = "d"; return d }()}, want: v1alpha1.SoakDegraded},
		"controller lags behind the spec":        {objects: []client.Object{lagging, pod("apps/v1", "StatefulSet")}, want: v1alpha1.SoakProgressing},
		"DaemonSet without matching nodes":       {objects: []client.Object{idle}, want: v1alpha1.SoakScaledToZero},
		"missing pods":                           {objects: []client.Object{statefulSet}, want: v1alpha1.SoakDegraded},
		"pod with another digest":                {objects: []client.Object{statefulSet, pod("apps/v1", "StatefulSet"), another}, want: v1alpha1.SoakMixedDigests},
		"pod without its readiness probe":        {objects: []client.Object{statefulSet, bare}, want: v1alpha1.SoakNoReadinessProbe},
		"pod without a controller":               {objects: []client.Object{&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "p"}, Spec: tpl.Spec}}, absent: true},
	} {
		t.Run(name, func(t *testing.T) {
			g := &Gate{Name: "g", Spec: &v1alpha1.GateSpec{Images: []v1alpha1.GateImage{{Repository: shopWeb}}}}
			w := newNamespaceWatcher("shop")
			w.snapshot = snapshotOf(test.objects...)
			seen := w.Observe([]*Gate{g}, func(string, string, ImageID) bool { return false }, NewSystemClock())
			h, ok := seen.Subjects[Subject{"g", shopWeb, indexDigest}]
			if ok == test.absent || h.Reason != test.want {
				t.Errorf("it is %q (%s), there: %v; want %q", h.Reason, h.Message, ok, test.want)
			}
		})
	}
}
