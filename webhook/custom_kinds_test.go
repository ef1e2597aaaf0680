package webhook

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook/webhooktest"
)

func TestCustomKinds(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(namespace))
	unproven, proven := env.Push(t, "shop/web"), env.PushProven(t)

	for name, test := range map[string]struct {
		kind  schema.GroupVersionKind
		spec  func(image string) map[string]any
		field string
	}{
		"Rollout": {webhooktest.RolloutKind, func(image string) map[string]any {
			return map[string]any{"template": webhooktest.CustomTemplate(image)}
		}, "spec.template.spec.containers[0].image"},
		"Knative Service": {webhooktest.KnativeKind, func(image string) map[string]any {
			template := webhooktest.CustomTemplate(image)
			template["spec"].(map[string]any)["containerConcurrency"] = int64(50)
			return map[string]any{"template": template, "traffic": []any{map[string]any{"latestRevision": true, "percent": int64(100)}}}
		}, "spec.template.spec.containers[0].image"},
		"configured path": {webhooktest.CrewKind, func(image string) map[string]any {
			return map[string]any{"head": webhooktest.CustomTemplate(image)}
		}, "spec.head.spec.containers[0].image"},
		"configured path through list": {webhooktest.CrewKind, func(image string) map[string]any {
			return map[string]any{"head": webhooktest.CustomTemplate(proven), "members": []any{map[string]any{"template": webhooktest.CustomTemplate(proven)}, map[string]any{"template": webhooktest.CustomTemplate(image)}}}
		}, "spec.members[1].template.spec.containers[0].image"},
	} {
		t.Run(name, func(t *testing.T) {
			status := webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewCustom(namespace, test.kind, test.spec(unproven))), gate.NoSignature, gate.NoSoak)
			if field := status.Details.Causes[0].Field; field != test.field {
				t.Errorf("the cause names the field %q, want %q", field, test.field)
			}
			admitted := webhooktest.NewCustom(namespace, test.kind, test.spec(proven))
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), admitted))
			admitted.Object["spec"] = test.spec(unproven)
			webhooktest.WantCodes(t, env.Client.Update(t.Context(), admitted), gate.NoSignature, gate.NoSoak)
		})
	}

	t.Run("missing template is denied", func(t *testing.T) {
		for _, kind := range []schema.GroupVersionKind{webhooktest.RolloutKind, webhooktest.KnativeKind, webhooktest.CrewKind} {
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewCustom(namespace, kind, map[string]any{"members": []any{}})), gate.Undecodable)
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewCustom(namespace, kind, map[string]any{"template": "x", "head": "x"})), gate.Undecodable)
		}
	})

	t.Run("Rollout with workloadRef is admitted", func(t *testing.T) {
		webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewCustom(namespace, webhooktest.RolloutKind, map[string]any{
			"workloadRef": map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
		})))
	})
}

// TestRolloutReplicaSet checks that a ReplicaSet which the configured controller creates for a
// live Rollout with the same digest is no new deploy, and that any other is.
func TestRolloutReplicaSet(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	aged, otherAged := env.PushAged(t), env.PushAged(t)
	rollout := webhooktest.NewCustom(namespace, webhooktest.RolloutKind, map[string]any{"template": webhooktest.CustomTemplate(aged)})
	if err := env.Impersonate(t, webhooktest.Bypass, nil).Create(t.Context(), rollout); err != nil {
		t.Fatal(err)
	}
	env.createGate(t, env.ProdGate(namespace))
	for name, test := range map[string]struct {
		user, image string
		want        []gate.Code
	}{
		"controller":               {webhooktest.RolloutController, aged, nil},
		"controller, other digest": {webhooktest.RolloutController, otherAged, []gate.Code{gate.SoakTooOld}},
		"person":                   {"ana", aged, []gate.Code{gate.SoakTooOld}},
		"built-in controller":      {"system:kube-controller-manager", aged, []gate.Code{gate.SoakTooOld}},
	} {
		t.Run(name, func(t *testing.T) {
			replicaSet := webhooktest.NewReplicaSet(namespace, test.image)
			replicaSet.Name, replicaSet.GenerateName = "", "made-"
			webhooktest.SetOwner(replicaSet, rollout, "argoproj.io/v1alpha1", "Rollout")
			webhooktest.WantCodes(t, env.Impersonate(t, test.user, nil).Create(t.Context(), replicaSet), test.want...)
		})
	}
}

// TestWorkloadRefReplicaSet checks that a Rollout which takes its pod template
// from another workload counts as running that workload's digests, and no others.
func TestWorkloadRefReplicaSet(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	aged, otherAged, unproven, recalled := env.PushAged(t), env.PushAged(t), env.Push(t, "shop/web"), env.PushAged(t)
	before := env.Impersonate(t, webhooktest.Bypass, nil)
	create := func(o client.Object, name string) client.Object {
		t.Helper()
		o.SetName(name)
		o.SetGenerateName("")
		if err := before.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		return o
	}
	deployment := webhooktest.NewDeployment(namespace, aged)
	create(deployment, "web")
	create(webhooktest.NewDeployment(namespace, unproven), "unproven")
	create(webhooktest.NewDeployment(namespace, recalled), "recalled")
	create(webhooktest.NewReplicaSet(namespace, aged), "standalone")
	create(webhooktest.NewPodTemplate(namespace, aged), "template")
	create(webhooktest.NewStatefulSet(namespace, aged), "stateful")
	old := webhooktest.NewReplicaSet(namespace, otherAged)
	webhooktest.SetOwner(old, deployment, "apps/v1", "Deployment")
	create(old, "old")
	leaving := webhooktest.NewDeployment(namespace, aged)
	leaving.Finalizers = []string{"example.com/stay"}
	create(leaving, "leaving")
	if err := before.Delete(t.Context(), leaving); err != nil {
		t.Fatal(err)
	}
	env.createGate(t, env.ProdGate(namespace))
	env.createRecall(t, workload.DigestOf(recalled))

	tooOld := []gate.Code{gate.SoakTooOld}
	for name, test := range map[string]struct {
		user, apiVersion, kind, workload, image string
		want                                    []gate.Code
	}{
		"Deployment":                     {webhooktest.RolloutController, "apps/v1", "Deployment", "web", aged, nil},
		"ReplicaSet without controller":  {webhooktest.RolloutController, "apps/v1", "ReplicaSet", "standalone", aged, nil},
		"PodTemplate":                    {webhooktest.RolloutController, "v1", "PodTemplate", "template", aged, nil},
		"other digest":                   {webhooktest.RolloutController, "apps/v1", "Deployment", "web", otherAged, tooOld},
		"old ReplicaSet of Deployment":   {webhooktest.RolloutController, "apps/v1", "ReplicaSet", "old", otherAged, tooOld},
		"Deployment being deleted":       {webhooktest.RolloutController, "apps/v1", "Deployment", "leaving", aged, tooOld},
		"missing Deployment":             {webhooktest.RolloutController, "apps/v1", "Deployment", "gone", aged, tooOld},
		"kind not supported by Rollouts": {webhooktest.RolloutController, "apps/v1", "StatefulSet", "stateful", aged, tooOld},
		"unknown kind":                   {webhooktest.RolloutController, "example.com/v1", "Deployment", "web", aged, tooOld},
		"person":                         {"ana", "apps/v1", "Deployment", "web", aged, tooOld},
		"unproven":                       {webhooktest.RolloutController, "apps/v1", "Deployment", "unproven", unproven, []gate.Code{gate.NoSignature, gate.NoSoak}},
		"recalled":                       {webhooktest.RolloutController, "apps/v1", "Deployment", "recalled", recalled, []gate.Code{gate.Recalled}},
	} {
		t.Run(name, func(t *testing.T) {
			rollout := webhooktest.NewCustom(namespace, webhooktest.RolloutKind, map[string]any{
				"workloadRef": map[string]any{"apiVersion": test.apiVersion, "kind": test.kind, "name": test.workload},
			})
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), rollout))
			replicaSet := webhooktest.NewReplicaSet(namespace, test.image)
			replicaSet.Name, replicaSet.GenerateName = "", "made-"
			webhooktest.SetOwner(replicaSet, rollout, "argoproj.io/v1alpha1", "Rollout")
			webhooktest.WantCodes(t, env.Impersonate(t, test.user, nil).Create(t.Context(), replicaSet), test.want...)
		})
	}
}

// TestWorkloadRefChart checks that the chart of a Deployment counts for the ReplicaSets of a
// Rollout that refers to it.
func TestWorkloadRefChart(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	chart := webhooktest.Digest('c')
	image := env.Push(t, "shop/web")
	env.Sign(t, image, "ci")
	soak := webhooktest.NewSoak(image, 25*time.Hour, time.Hour)
	soak.Chart.Digest = chart
	env.Attest(t, image, "observer", gate.PredicateSoak, soak)
	g := env.ProdGate(namespace)
	g.Spec.Requires.Soak.Chart = v1alpha1.ChartSame
	env.createGate(t, g)

	deployment := webhooktest.NewDeployment(namespace, image)
	deployment.Annotations = map[string]string{v1alpha1.AnnotationChartDigest: chart}
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), deployment))
	rollout := webhooktest.NewCustom(namespace, webhooktest.RolloutKind, map[string]any{
		"workloadRef": map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
	})
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), rollout))
	replicaSet := webhooktest.NewReplicaSet(namespace, image)
	webhooktest.SetOwner(replicaSet, rollout, "argoproj.io/v1alpha1", "Rollout")
	webhooktest.WantCodes(t, env.Impersonate(t, webhooktest.RolloutController, nil).Create(t.Context(), replicaSet))
	pod := webhooktest.NewPod(namespace, "web", image)
	webhooktest.SetOwner(pod, replicaSet, "apps/v1", "ReplicaSet")
	webhooktest.WantCodes(t, env.Impersonate(t, "system:kube-controller-manager", nil).Create(t.Context(), pod))
}

// TestInjectedSidecar checks that an image which a mutating webhook adds to a pod, and which
// isn't in its owner's template, is judged at the pod, by exemptImages.
func TestInjectedSidecar(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(namespace))
	image := env.PushProven(t)
	replicaSet := webhooktest.NewReplicaSet(namespace, image)
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), replicaSet))
	for name, test := range map[string]struct {
		sidecar string
		want    []gate.Code
	}{
		"listed in exemptImages":         {env.Host + "/sidecar/proxy@" + webhooktest.Digest('a'), nil},
		"listed in exemptImages, by tag": {env.Host + "/sidecar/proxy:1", []gate.Code{gate.NoDigest}},
		"not listed":                     {"registry.example.com/evil@" + webhooktest.Digest('a'), []gate.Code{gate.UnknownImage}},
		"placeholder not replaced":       {"auto", []gate.Code{gate.NotInjected}},
		"unproven image of Gate":         {env.Push(t, "shop/web"), []gate.Code{gate.NoSignature, gate.NoSoak}},
	} {
		t.Run(name, func(t *testing.T) {
			pod := webhooktest.NewPod(namespace, "", image)
			pod.GenerateName = "made-"
			webhooktest.SetOwner(pod, replicaSet, "apps/v1", "ReplicaSet")
			pod.Spec.InitContainers = []corev1.Container{{Name: "proxy", Image: test.sidecar}}
			webhooktest.WantCodes(t, env.Impersonate(t, "system:kube-controller-manager", nil).Create(t.Context(), pod), test.want...)
		})
	}
}

// TestIstioInjection checks that a gateway is judged by the image that Istio gives its pods:
// the placeholder passes in pod templates, and never in a Pod.
func TestIstioInjection(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	g := env.ProdGate(namespace)
	g.Spec.ExemptImages = append(g.Spec.ExemptImages, v1alpha1.ExemptImage{Repository: "docker.io/library/auto", Tags: v1alpha1.TagsAllow})
	env.createGate(t, g)
	notInjected := []gate.Code{gate.NotInjected}

	inject := func(template *corev1.PodTemplateSpec, label, container string) {
		template.Spec.Containers[0].Name = container
		if label != "" {
			template.Labels["sidecar.istio.io/inject"] = label
		}
	}
	for name, test := range map[string]struct {
		label, container string
		want             []gate.Code
	}{
		"injected by label":              {"true", "proxy", nil},
		"injected by namespace":          {"", "istio-proxy", nil},
		"container without Istio's name": {"", "web", notInjected},
		"not injected":                   {"false", "istio-proxy", notInjected},
	} {
		t.Run(name, func(t *testing.T) {
			gateway := webhooktest.NewDeployment(namespace, "auto")
			inject(&gateway.Spec.Template, test.label, test.container)
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), gateway, client.DryRunAll), test.want...)
		})
	}

	gateway := webhooktest.NewReplicaSet(namespace, "auto")
	inject(&gateway.Spec.Template, "true", "istio-proxy")
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), gateway))
	for image, want := range map[string][]gate.Code{
		"auto": notInjected,
		env.Host + "/sidecar/proxy@" + webhooktest.Digest('a'):       nil,
		"registry.example.com/evil/proxy@" + webhooktest.Digest('a'): {gate.UnknownImage},
	} {
		pod := webhooktest.NewPod(namespace, "", image)
		pod.GenerateName = "gateway-"
		pod.Labels = map[string]string{"sidecar.istio.io/inject": "true"}
		webhooktest.SetOwner(pod, gateway, "apps/v1", "ReplicaSet")
		webhooktest.WantCodes(t, env.Impersonate(t, "system:kube-controller-manager", nil).Create(t.Context(), pod), want...)
		if want == nil {
			pod.Spec.Containers[0].Image = "auto"
			webhooktest.WantCodes(t, env.Client.Update(t.Context(), pod), notInjected...)
		}
	}
}
