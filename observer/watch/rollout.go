package watch

import (
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
)

// rolloutKind is the kind of Argo Rollouts. Its Go types aren't imported: they need the
// modules of every service mesh that Rollouts supports.
var rolloutKind = schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Rollout"}

// ServesRollouts reports whether the cluster has Argo Rollouts' CRD. An error means that this
// isn't known.
func ServesRollouts(cluster client.Client) (bool, error) {
	_, err := cluster.RESTMapper().RESTMapping(rolloutKind.GroupKind(), rolloutKind.Version)
	if meta.IsNoMatchError(err) {
		return false, nil
	}
	return err == nil, err
}

func watchedRollouts() watchedKind {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(rolloutKind)
	return watchedKind{rolloutKind.Kind, object, func() client.ObjectList {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(rolloutKind.GroupVersion().WithKind("RolloutList"))
		return list
	}}
}

// rollout is what is needed of an Argo Rollout.
type rollout struct {
	uid types.UID
	// reason why the time of its digests doesn't count; empty while it is completely
	// rolled out.
	reason  v1alpha1.SoakReason
	message string
	// containers of its own pod template; none where it refers to a Deployment.
	containers []Container
	stamps     Stamps
}

// newRollout reads a Rollout. A status that can't be read isn't one of a complete rollout.
func newRollout(o *unstructured.Unstructured) *rollout {
	r := &rollout{uid: o.GetUID()}
	template := &corev1.PodTemplateSpec{}
	if fields, found, _ := unstructured.NestedMap(o.Object, "spec", "template"); found {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, template); err == nil {
			r.containers = longRunningContainers(&template.Spec)
		}
	}
	r.stamps = stampsOf(o, template)
	r.reason, r.message = rolloutReason(o)
	if r.reason != "" {
		r.message = fmt.Sprintf("Rollout %q %s", o.GetName(), r.message)
	}
	return r
}

// rolloutReason returns why the time of a Rollout doesn't count, by its fields in
// argoproj.io/v1alpha1.
func rolloutReason(o *unstructured.Unstructured) (v1alpha1.SoakReason, string) {
	text := func(path ...string) string {
		value, _, _ := unstructured.NestedString(o.Object, path...)
		return value
	}
	flag := func(path ...string) bool {
		value, _, _ := unstructured.NestedBool(o.Object, path...)
		return value
	}
	pauses, _, _ := unstructured.NestedSlice(o.Object, "status", "pauseConditions")
	preview, active := text("status", "blueGreen", "previewSelector"), text("status", "blueGreen", "activeSelector")
	switch {
	case text("status", "observedGeneration") != strconv.FormatInt(o.GetGeneration(), 10):
		return v1alpha1.SoakProgressing, "has a spec that its controller hasn't observed yet"
	case flag("status", "abort"):
		return v1alpha1.SoakAborted, "was aborted"
	case slices.ContainsFunc(analysisRuns, func(path []string) bool {
		status := text(append(path, "status")...)
		return status == "Running" || status == "Pending"
	}):
		return v1alpha1.SoakAnalyzing, "runs an analysis"
	case flag("spec", "paused"), flag("status", "controllerPause"), len(pauses) > 0:
		return v1alpha1.SoakPaused, "is paused"
	case preview != active && preview != "":
		return v1alpha1.SoakPaused, "has a preview that isn't active yet"
	case text("status", "stableRS") == "" || text("status", "stableRS") != text("status", "currentPodHash"):
		return v1alpha1.SoakProgressing, "isn't completely rolled out"
	}
	if phase := text("status", "phase"); phase != "" && phase != "Healthy" {
		return v1alpha1.SoakProgressing, fmt.Sprintf("is %s", phase)
	}
	return "", ""
}

// analysisRuns are the fields with the status of an analysis that a rollout waits for.
var analysisRuns = [][]string{
	{"status", "canary", "currentStepAnalysisRunStatus"},
	{"status", "canary", "currentBackgroundAnalysisRunStatus"},
	{"status", "blueGreen", "prePromotionAnalysisRunStatus"},
	{"status", "blueGreen", "postPromotionAnalysisRunStatus"},
}
