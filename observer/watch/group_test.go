package watch

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/observer/observertest"
)

// newRevision returns a ReplicaSet that a controller created, with its ready pods.
func newRevision(name, digest, apiVersion, kind string, pods int32) []client.Object {
	tpl := observertest.Template(shopWeb + "@" + digest)
	set := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Generation: 1},
		Spec:       appsv1.ReplicaSetSpec{Replicas: &pods, Template: tpl},
		Status:     appsv1.ReplicaSetStatus{ObservedGeneration: 1, ReadyReplicas: pods},
	}
	setController(set, apiVersion, kind, &metav1.ObjectMeta{Name: "web", UID: "controller"})
	objects := []client.Object{set}
	for i := range pods {
		objects = append(objects, readyPod(fmt.Sprintf("%s-%d", name, i), set, "apps/v1", "ReplicaSet", *tpl.Spec.DeepCopy()))
	}
	return objects
}

// newRolloutObject returns a Rollout with this status, and a pod template if it has a digest.
func newRolloutObject(t *testing.T, digest, status string) *unstructured.Unstructured {
	t.Helper()
	template := ""
	if digest != "" {
		template = fmt.Sprintf(`template: {spec: {containers: [{name: web, image: "%s@%s", readinessProbe: {}}]}}`, shopWeb, digest)
	}
	object := &unstructured.Unstructured{}
	document := fmt.Sprintf("apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: web, uid: controller, generation: 7}\nspec: {%s}\nstatus: {%s}\n", template, status)
	raw, err := yaml.YAMLToJSON([]byte(document))
	if err == nil {
		err = object.UnmarshalJSON(raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	return object
}

func TestHealthOfRevisions(t *testing.T) {
	const (
		oldDigest, newDigest = indexDigest, manifestDigest
		rolloutAPI           = "argoproj.io/v1alpha1"
		absent               = v1alpha1.SoakNotRunning
		complete             = `observedGeneration: "7", stableRS: a, currentPodHash: a, phase: Healthy`
	)
	revision := func(name, digest string, pods int32) []client.Object {
		return newRevision(name, digest, rolloutAPI, "Rollout", pods)
	}
	for name, test := range map[string]struct {
		revisions [][]client.Object
		template  string // the digest in the Rollout's own template
		status    string // empty: there is no Rollout
		wantOld   v1alpha1.SoakReason
		wantNew   v1alpha1.SoakReason
	}{
		"complete": {
			revisions: [][]client.Object{revision("old", oldDigest, 0), revision("new", newDigest, 5)}, template: newDigest, status: complete,
			wantOld: absent,
		},
		"complete, with the template of a Deployment": {
			revisions: [][]client.Object{revision("new", newDigest, 5)}, status: complete, wantOld: absent,
		},
		"paused canary": {
			revisions: [][]client.Object{revision("old", oldDigest, 4), revision("new", newDigest, 1)}, template: newDigest,
			status:  `observedGeneration: "7", stableRS: a, currentPodHash: b, phase: Paused, pauseConditions: [{reason: CanaryPauseStep}]`,
			wantOld: v1alpha1.SoakMixedDigests, wantNew: v1alpha1.SoakMixedDigests,
		},
		"paused before its first pod": {
			revisions: [][]client.Object{revision("old", oldDigest, 5), revision("new", newDigest, 0)}, template: newDigest,
			status:  `observedGeneration: "7", stableRS: a, currentPodHash: b, phase: Paused, pauseConditions: [{reason: CanaryPauseStep}]`,
			wantOld: v1alpha1.SoakPaused, wantNew: v1alpha1.SoakMixedDigests,
		},
		"canary of the same digest": {
			revisions: [][]client.Object{revision("old", newDigest, 4), revision("new", newDigest, 1)}, template: newDigest,
			status:  `observedGeneration: "7", stableRS: a, currentPodHash: b, phase: Paused, pauseConditions: [{reason: CanaryPauseStep}]`,
			wantOld: absent, wantNew: v1alpha1.SoakPaused,
		},
		"paused in its spec": {
			revisions: [][]client.Object{revision("new", newDigest, 5)}, template: newDigest,
			status:  complete + `, controllerPause: true`,
			wantOld: absent, wantNew: v1alpha1.SoakPaused,
		},
		"aborted": {
			revisions: [][]client.Object{revision("old", oldDigest, 5), revision("new", newDigest, 0)}, template: newDigest,
			status:  `observedGeneration: "7", stableRS: a, currentPodHash: b, phase: Degraded, abort: true`,
			wantOld: v1alpha1.SoakAborted, wantNew: v1alpha1.SoakMixedDigests,
		},
		"analysis in the background": {
			revisions: [][]client.Object{revision("new", newDigest, 5)}, template: newDigest,
			status:  complete + `, canary: {currentBackgroundAnalysisRunStatus: {name: x, status: Running}}`,
			wantOld: absent, wantNew: v1alpha1.SoakAnalyzing,
		},
		"analysis that ended": {
			revisions: [][]client.Object{revision("new", newDigest, 5)}, template: newDigest,
			status:  complete + `, canary: {currentBackgroundAnalysisRunStatus: {name: x, status: Successful}}`,
			wantOld: absent,
		},
		"blue-green preview": {
			revisions: [][]client.Object{revision("old", oldDigest, 2), revision("new", newDigest, 2)}, template: newDigest,
			status:  `observedGeneration: "7", stableRS: a, currentPodHash: b, phase: Paused, blueGreen: {activeSelector: a, previewSelector: b}`,
			wantOld: v1alpha1.SoakMixedDigests, wantNew: v1alpha1.SoakMixedDigests,
		},
		"blue-green preview of the same digest": {
			revisions: [][]client.Object{revision("old", newDigest, 2), revision("new", newDigest, 2)}, template: newDigest,
			status:  `observedGeneration: "7", stableRS: a, currentPodHash: b, phase: Progressing, blueGreen: {activeSelector: a, previewSelector: b}`,
			wantOld: absent, wantNew: v1alpha1.SoakPaused,
		},
		"progressing": {
			revisions: [][]client.Object{revision("new", newDigest, 5)}, template: newDigest,
			status:  `observedGeneration: "7", stableRS: a, currentPodHash: a, phase: Progressing`,
			wantOld: absent, wantNew: v1alpha1.SoakProgressing,
		},
		"spec not observed": {
			revisions: [][]client.Object{revision("new", newDigest, 5)}, template: newDigest,
			status:  `observedGeneration: "6", stableRS: a, currentPodHash: a, phase: Healthy`,
			wantOld: absent, wantNew: v1alpha1.SoakProgressing,
		},
		"status of an unknown form": {
			revisions: [][]client.Object{revision("new", newDigest, 5)}, template: newDigest,
			status:  `observedGeneration: 7, stableRS: [a]`,
			wantOld: absent, wantNew: v1alpha1.SoakProgressing,
		},
		"scaled to zero": {
			revisions: [][]client.Object{revision("new", newDigest, 0)}, template: newDigest, status: complete,
			wantOld: absent, wantNew: v1alpha1.SoakScaledToZero,
		},
		"Rollout that isn't known": {
			revisions: [][]client.Object{revision("new", newDigest, 5)},
			wantOld:   absent, wantNew: v1alpha1.SoakProgressing,
		},
		"another controller": {
			revisions: [][]client.Object{newRevision("old", oldDigest, "example.com/v1", "Release", 0), newRevision("new", newDigest, "example.com/v1", "Release", 2)},
			wantOld:   absent,
		},
		"another controller's canary": {
			revisions: [][]client.Object{newRevision("old", oldDigest, "example.com/v1", "Release", 4), newRevision("new", newDigest, "example.com/v1", "Release", 1)},
			wantOld:   v1alpha1.SoakMixedDigests, wantNew: v1alpha1.SoakMixedDigests,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var objects []client.Object
			for _, revision := range test.revisions {
				objects = append(objects, revision...)
			}
			if test.status != "" {
				objects = append(objects, newRolloutObject(t, test.template, test.status))
			}
			w := newNamespaceWatcher("shop")
			w.snapshot = snapshotOf(objects...)
			g := &Gate{Name: "g", Spec: &v1alpha1.GateSpec{Images: []v1alpha1.GateImage{{Repository: shopWeb}}}}
			seen := w.Observe([]*Gate{g}, func(string, string, ImageID) bool { return false }, NewSystemClock())
			for digest, want := range map[string]v1alpha1.SoakReason{oldDigest: test.wantOld, newDigest: test.wantNew} {
				h, ok := seen.Subjects[Subject{"g", shopWeb, digest}]
				if !ok {
					h.Reason = absent
				}
				if h.Reason != want {
					t.Errorf("%s: %q (%s), want %q", digest[:10], h.Reason, h.Message, want)
				}
				if ok && (len(h.Workloads) != 1 || h.Workloads[0].Identity.UID != "controller") {
					t.Errorf("%s: its workloads are %v", digest[:10], h.Workloads)
				}
			}
		})
	}
}
