package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/webhook/rollout"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// sentObjects returns one object of each kind that the manifests send, by kind.
func sentObjects(namespace, image string) map[string]client.Object {
	objects := map[string]client.Object{
		"Rollout":         webhooktest.NewCustom(namespace, webhooktest.RolloutKind, map[string]any{"replicas": int64(2), "template": webhooktest.CustomTemplate(image)}),
		"Knative Service": webhooktest.NewCustom(namespace, webhooktest.KnativeKind, map[string]any{"template": webhooktest.CustomTemplate(image)}),
		"Rollout with workloadRef": webhooktest.NewCustom(namespace, webhooktest.RolloutKind, map[string]any{
			"replicas": int64(2), "workloadRef": map[string]any{"kind": "Deployment", "name": "web"},
		}),
	}
	for kind, w := range webhooktest.Workloads(namespace, image) {
		objects[kind] = w.Object
	}
	return objects
}

// TestMatchConditions compares what the API server sends to the webhook with what the webhook
// judges: an update that starts nothing must succeed while the webhook is down, and no other
// update may.
func TestMatchConditions(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	user := env.Impersonate(t, webhooktest.Bypass, nil) // its requests are sent to the webhook that is down, and to no other
	live := map[string]*unstructured.Unstructured{}
	for name, object := range sentObjects(namespace, "registry.example.com/shop/web@"+webhooktest.Digest('a')) {
		if err := user.Create(t.Context(), object); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		live[name] = env.Live(t, object)
	}
	env.registerUnreachable(t, user, namespace)

	const template = "spec.template."
	restarted := change{template + "metadata.annotations", map[string]any{"kubectl.kubernetes.io/restartedAt": "2026-11-30T00:00:00Z"}}
	image := func(at string) change {
		return change{at + "spec.containers", []any{map[string]any{"name": "web", "image": "registry.example.com/shop/web@" + webhooktest.Digest('b')}}}
	}
	for kind, test := range map[string]struct{ passes, sent []change }{
		"Deployment": {
			passes: []change{{"spec.replicas", int64(0)}, {"spec.replicas", int64(9)}, {"spec.paused", true}, {"spec.minReadySeconds", int64(5)}, {"spec.strategy", map[string]any{"type": "Recreate"}}},
			sent:   []change{image(template), restarted},
		},
		"ReplicaSet": {
			passes: []change{{"spec.replicas", int64(0)}, {"spec.replicas", int64(9)}, {"spec.minReadySeconds", int64(5)}},
			sent:   []change{image(template)},
		},
		"StatefulSet": {
			passes: []change{{"spec.replicas", int64(0)}, {"spec.replicas", int64(9)}, {"spec.updateStrategy.rollingUpdate.partition", int64(1)}},
			sent:   []change{image(template), restarted},
		},
		"DaemonSet": {
			passes: []change{{"spec.updateStrategy", map[string]any{"type": "OnDelete"}}},
			sent:   []change{image(template), restarted},
		},
		"ReplicationController": {
			passes: []change{{"spec.replicas", int64(0)}, {"spec.replicas", int64(9)}},
			sent:   []change{image(template)},
		},
		"PodTemplate": {sent: []change{image("template.")}},
		"Job": {
			passes: []change{{"spec.suspend", true}, {"spec.parallelism", int64(0)}, {"spec.activeDeadlineSeconds", int64(60)}},
		},
		"CronJob": {
			passes: []change{{"spec.suspend", true}, {"spec.schedule", "0 0 * * *"}, {"spec.jobTemplate.spec.backoffLimit", int64(1)}},
			sent:   []change{image("spec.jobTemplate.spec.template.")},
		},
		"Pod": {sent: []change{image(""), {"spec.activeDeadlineSeconds", int64(60)}}},
		"Rollout": {
			passes: []change{{"spec.replicas", int64(0)}, {"spec.paused", true}, {"spec.restartAt", "2026-11-30T00:00:00Z"}, {"status", map[string]any{"phase": "Healthy"}}},
			sent:   []change{image(template), {"spec", map[string]any{"workloadRef": map[string]any{"kind": "Deployment", "name": "web"}}}},
		},
		"Rollout with workloadRef": {
			passes: []change{{"spec.replicas", int64(0)}, {"spec.workloadRef.scaleDown", "onsuccess"}, {"spec.workloadRef.name", "other"}},
			sent:   []change{{"spec.template", webhooktest.CustomTemplate("evil")}},
		},
		"Knative Service": {
			passes: []change{{"spec.traffic", []any{map[string]any{"latestRevision": true, "percent": int64(100)}}}},
			sent:   []change{image(template)},
		},
	} {
		always := []change{{"metadata.labels", map[string]any{"app": "web", "more": "x"}}, {"metadata.finalizers", []any{"example.com/stay"}}, {"metadata.annotations", map[string]any{"deployment.kubernetes.io/revision": "2"}}}
		stamps := []change{
			{"metadata.annotations", map[string]any{v1alpha1.AnnotationEnvironment: "dev"}},
			{"metadata.annotations", map[string]any{v1alpha1.AnnotationLadder: "bank"}},
			{"metadata.annotations", map[string]any{v1alpha1.AnnotationTarget: "eu"}},
			{"metadata.annotations", map[string]any{v1alpha1.AnnotationChartDigest: webhooktest.Digest('c')}},
		}
		t.Run(kind, func(t *testing.T) {
			for _, c := range append(test.passes, always...) {
				c.try(t, user, live[kind], false)
			}
			for _, c := range append(test.sent, stamps...) {
				c.try(t, user, live[kind], true)
			}
			if err := user.Delete(t.Context(), live[kind].DeepCopy(), client.DryRunAll); err != nil {
				t.Errorf("deleting fails: %v", err)
			}
		})
	}

	t.Run("subresources", func(t *testing.T) {
		for _, kind := range []string{"Deployment", "ReplicaSet", "StatefulSet", "ReplicationController"} {
			scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: 3}}
			if err := user.SubResource("scale").Update(t.Context(), live[kind].DeepCopy(), client.WithSubResourceBody(scale), client.DryRunAll); err != nil {
				t.Errorf("scaling a %s fails: %v", kind, err)
			}
		}
		pod := webhooktest.NewPod(namespace, "web", "")
		if err := user.SubResource("eviction").Create(t.Context(), pod, &policyv1.Eviction{}, client.DryRunAll); err != nil {
			t.Errorf("evicting a pod fails: %v", err)
		}
		if err := env.Client.Get(t.Context(), client.ObjectKeyFromObject(pod), pod); err != nil {
			t.Fatal(err)
		}
		pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "evil"}}}
		if err := user.SubResource("ephemeralcontainers").Update(t.Context(), pod, client.DryRunAll); !webhooktest.Unreachable(err) {
			t.Errorf("a debug container is added: %v", err)
		}
	})

	t.Run("creations", func(t *testing.T) {
		for name, object := range sentObjects(namespace, "evil") {
			object.SetName("")
			object.SetGenerateName("made-")
			if err := user.Create(t.Context(), object, client.DryRunAll); !webhooktest.Unreachable(err) {
				t.Errorf("a %s is created: %v", name, err)
			}
		}
	})
}

// change sets one field of an object.
type change struct {
	field string
	value any
}

// try updates an object without storing it. With sent, the update must fail because the
// webhook is down; else it must succeed, and the webhook must have nothing to judge in it.
func (c change) try(t *testing.T, user client.Client, live *unstructured.Unstructured, sent bool) {
	t.Helper()
	changed := live.DeepCopy()
	if err := unstructured.SetNestedField(changed.Object, runtime.DeepCopyJSONValue(c.value), strings.Split(c.field, ".")...); err != nil {
		t.Fatal(err)
	}
	err := user.Update(t.Context(), changed.DeepCopy(), client.DryRunAll)
	switch {
	case sent && !webhooktest.Unreachable(err):
		t.Errorf("%s = %v isn't sent to the webhook: %v", c.field, c.value, err)
	case !sent && err != nil:
		t.Errorf("%s = %v fails while the webhook is down: %v", c.field, c.value, err)
	}
	if startsNothing(t, live, changed) == sent {
		t.Errorf("%s = %v: the webhook and its match conditions disagree", c.field, c.value)
	}
}

// startsNothing reports whether the webhook has nothing to judge in an update.
func startsNothing(t *testing.T, live, changed *unstructured.Unstructured) bool {
	t.Helper()
	encode := func(u *unstructured.Unstructured) []byte {
		raw, err := json.Marshal(u)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	kind := live.GroupVersionKind()
	request := &admissionv1.AdmissionRequest{
		Operation: admissionv1.Update, Kind: metav1.GroupVersionKind{Group: kind.Group, Version: kind.Version, Kind: kind.Kind},
		Object: runtime.RawExtension{Raw: encode(changed)}, OldObject: runtime.RawExtension{Raw: encode(live)},
	}
	changes, err := rollout.NewResolver(webhooktest.UnreachableAPI{}, webhooktest.Kinds()).Resolve(t.Context(), request)
	if stamps := rollout.StampError(""); err != nil && !errors.As(err, &stamps) {
		t.Fatal(err)
	}
	return changes.Note != ""
}

// registerUnreachable registers the manifests' webhook a second time, for one namespace and at
// an address where nothing listens, and waits until the API server calls it.
func (e *environment) registerUnreachable(t *testing.T, user client.Client, namespace string) {
	t.Helper()
	configuration, err := webhooktest.WebhookConfiguration()
	if err != nil {
		t.Fatal(err)
	}
	configuration.Name = "down-" + namespace
	hook := &configuration.Webhooks[0]
	hook.ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: new("https://127.0.0.1:1/validate")}
	hook.NamespaceSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: []string{namespace}}}
	if err := e.Client.Create(t.Context(), configuration, client.FieldValidation("Strict")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Client.Delete(context.Background(), configuration); err != nil {
			t.Error(err)
		}
	})
	var last error
	if err := webhooktest.WaitUntil(func() bool {
		last = user.Create(t.Context(), webhooktest.NewPod(namespace, "probe", "evil"), client.DryRunAll)
		return webhooktest.Unreachable(last)
	}); err != nil {
		t.Fatalf("waiting until the API server calls the webhook: %v (last: %v)", err, last)
	}
}
