package webhook

import (
	"errors"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/workload"
)

// rolloutController is who the bed's webhook knows as Argo Rollouts' controller.
const rolloutController = "system:serviceaccount:argo-rollouts:argo-rollouts"

var (
	rolloutKind = schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Rollout"}
	knativeKind = schema.GroupVersionKind{Group: "serving.knative.dev", Version: "v1", Kind: "Service"}
	crewKind    = schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Crew"}
)

// foreignKinds are those of the bed: Crew starts pods at two configured paths.
func foreignKinds() *workload.Kinds {
	kinds := workload.NewKinds()
	err := errors.Join(
		kinds.AddPath("example.com/v1/Crew=spec.head"), kinds.AddPath("example.com/v1/Crew=spec.members[].template"),
		kinds.AddController("argoproj.io/v1alpha1/Rollout="+rolloutController))
	if err != nil {
		panic(err)
	}
	return kinds
}

// foreignRule sends Crews.
func foreignRule() admissionregistrationv1.RuleWithOperations {
	return admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{"example.com"}, APIVersions: []string{"v1"}, Resources: []string{"crews"}},
	}
}

// foreignCRDs take anything as a spec: the cluster of a test needs no controllers.
func foreignCRDs() []*apiextensionsv1.CustomResourceDefinition {
	var crds []*apiextensionsv1.CustomResourceDefinition
	for _, kind := range []schema.GroupVersionKind{rolloutKind, knativeKind, crewKind} {
		crds = append(crds, foreignCRD(kind, strings.ToLower(kind.Kind)+"s", apiextensionsv1.NamespaceScoped))
	}
	return crds
}

func foreignCRD(kind schema.GroupVersionKind, plural string, scope apiextensionsv1.ResourceScope) *apiextensionsv1.CustomResourceDefinition {
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: plural + "." + kind.Group, Annotations: map[string]string{"api-approved.kubernetes.io": "unapproved, for a test"}},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: kind.Group, Scope: scope,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: kind.Kind, Plural: plural, Singular: strings.ToLower(kind.Kind), ListKind: kind.Kind + "List"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: kind.Version, Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type: "object", XPreserveUnknownFields: new(true),
				}},
			}},
		},
	}
}

// foreign is an object of a kind that client-go has no type for.
func foreign(namespace string, kind schema.GroupVersionKind, spec map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	u.SetGroupVersionKind(kind)
	u.SetNamespace(namespace)
	u.SetGenerateName("web-")
	return u
}

func foreignTemplate(image string) map[string]any {
	return map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "web", "image": image}}}}
}

func TestForeignKindsAreJudged(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	b.gate(t, b.prodGate(namespace))
	unproven, proven := b.push(t, "shop/web"), b.proven(t)

	for name, test := range map[string]struct {
		kind  schema.GroupVersionKind
		spec  func(image string) map[string]any
		field string
	}{
		"a Rollout": {rolloutKind, func(image string) map[string]any {
			return map[string]any{"template": foreignTemplate(image)}
		}, "spec.template.spec.containers[0].image"},
		"a Knative Service": {knativeKind, func(image string) map[string]any {
			template := foreignTemplate(image)
			template["spec"].(map[string]any)["containerConcurrency"] = int64(50)
			return map[string]any{"template": template, "traffic": []any{map[string]any{"latestRevision": true, "percent": int64(100)}}}
		}, "spec.template.spec.containers[0].image"},
		"a configured path": {crewKind, func(image string) map[string]any {
			return map[string]any{"head": foreignTemplate(image)}
		}, "spec.head.spec.containers[0].image"},
		"a configured path through a list": {crewKind, func(image string) map[string]any {
			return map[string]any{"head": foreignTemplate(proven), "members": []any{map[string]any{"template": foreignTemplate(proven)}, map[string]any{"template": foreignTemplate(image)}}}
		}, "spec.members[1].template.spec.containers[0].image"},
	} {
		t.Run(name, func(t *testing.T) {
			status := wantCodes(t, b.client.Create(t.Context(), foreign(namespace, test.kind, test.spec(unproven))), gate.NoSignature, gate.NoSoak)
			if field := status.Details.Causes[0].Field; field != test.field {
				t.Errorf("the cause names the field %q, want %q", field, test.field)
			}
			admitted := foreign(namespace, test.kind, test.spec(proven))
			wantCodes(t, b.client.Create(t.Context(), admitted))
			admitted.Object["spec"] = test.spec(unproven)
			wantCodes(t, b.client.Update(t.Context(), admitted), gate.NoSignature, gate.NoSoak)
		})
	}

	t.Run("what has no template where there should be one is denied", func(t *testing.T) {
		for _, kind := range []schema.GroupVersionKind{rolloutKind, knativeKind, crewKind} {
			wantCodes(t, b.client.Create(t.Context(), foreign(namespace, kind, map[string]any{"members": []any{}})), gate.Undecodable)
			wantCodes(t, b.client.Create(t.Context(), foreign(namespace, kind, map[string]any{"template": "x", "head": "x"})), gate.Undecodable)
		}
	})

	t.Run("a Rollout of a Deployment that is judged itself passes", func(t *testing.T) {
		wantCodes(t, b.client.Create(t.Context(), foreign(namespace, rolloutKind, map[string]any{
			"workloadRef": map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
		})))
	})
}

// TestRolloutsReplicaSet: what the configured controller makes for a live Rollout of the
// same digest is no new deploy; what it makes of another, or anybody else makes, is.
func TestRolloutsReplicaSet(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	aged, otherAged := b.aged(t), b.aged(t)
	rollout := foreign(namespace, rolloutKind, map[string]any{"template": foreignTemplate(aged)})
	if err := b.as(t, unseen, nil).Create(t.Context(), rollout); err != nil {
		t.Fatal(err)
	}
	b.gate(t, b.prodGate(namespace))
	for name, test := range map[string]struct {
		user, image string
		want        []gate.Code
	}{
		"the controller":                 {rolloutController, aged, nil},
		"the controller, another digest": {rolloutController, otherAged, []gate.Code{gate.SoakTooOld}},
		"a person":                       {"ana", aged, []gate.Code{gate.SoakTooOld}},
		"Kubernetes' own controllers":    {"system:kube-controller-manager", aged, []gate.Code{gate.SoakTooOld}},
	} {
		t.Run(name, func(t *testing.T) {
			replicaSet := newReplicaSet(namespace, test.image)
			replicaSet.Name, replicaSet.GenerateName = "", "made-"
			ownedBy(replicaSet, rollout, "argoproj.io/v1alpha1", "Rollout")
			wantCodes(t, b.as(t, test.user, nil).Create(t.Context(), replicaSet), test.want...)
		})
	}
}

// TestReplicaSetOfARolloutWithWorkloadRef checks that a Rollout which takes its pod template
// from another workload counts as running that workload's digests, and no others.
func TestReplicaSetOfARolloutWithWorkloadRef(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	aged, otherAged, unproven, recalled := b.aged(t), b.aged(t), b.push(t, "shop/web"), b.aged(t)
	before := b.as(t, unseen, nil)
	create := func(o client.Object, name string) client.Object {
		t.Helper()
		o.SetName(name)
		o.SetGenerateName("")
		if err := before.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		return o
	}
	deployment := newDeployment(namespace, aged)
	create(deployment, "web")
	create(newDeployment(namespace, unproven), "unproven")
	create(newDeployment(namespace, recalled), "recalled")
	create(newReplicaSet(namespace, aged), "standalone")
	create(newPodTemplate(namespace, aged), "template")
	create(newStatefulSet(namespace, aged), "stateful")
	old := newReplicaSet(namespace, otherAged)
	ownedBy(old, deployment, "apps/v1", "Deployment")
	create(old, "old")
	leaving := newDeployment(namespace, aged)
	leaving.Finalizers = []string{"example.com/stay"}
	create(leaving, "leaving")
	if err := before.Delete(t.Context(), leaving); err != nil {
		t.Fatal(err)
	}
	b.gate(t, b.prodGate(namespace))
	b.recall(t, workload.DigestOf(recalled))

	tooOld := []gate.Code{gate.SoakTooOld}
	for name, test := range map[string]struct {
		user, apiVersion, kind, workload, image string
		want                                    []gate.Code
	}{
		"a Deployment":                      {rolloutController, "apps/v1", "Deployment", "web", aged, nil},
		"a ReplicaSet of its own":           {rolloutController, "apps/v1", "ReplicaSet", "standalone", aged, nil},
		"a PodTemplate":                     {rolloutController, "v1", "PodTemplate", "template", aged, nil},
		"another digest":                    {rolloutController, "apps/v1", "Deployment", "web", otherAged, tooOld},
		"a ReplicaSet that was left behind": {rolloutController, "apps/v1", "ReplicaSet", "old", otherAged, tooOld},
		"a Deployment on its way out":       {rolloutController, "apps/v1", "Deployment", "leaving", aged, tooOld},
		"a Deployment that isn't there":     {rolloutController, "apps/v1", "Deployment", "gone", aged, tooOld},
		"a kind that Rollouts don't use":    {rolloutController, "apps/v1", "StatefulSet", "stateful", aged, tooOld},
		"a kind that isn't known":           {rolloutController, "example.com/v1", "Deployment", "web", aged, tooOld},
		"a person":                          {"ana", "apps/v1", "Deployment", "web", aged, tooOld},
		"unproven":                          {rolloutController, "apps/v1", "Deployment", "unproven", unproven, []gate.Code{gate.NoSignature, gate.NoSoak}},
		"recalled":                          {rolloutController, "apps/v1", "Deployment", "recalled", recalled, []gate.Code{gate.Recalled}},
	} {
		t.Run(name, func(t *testing.T) {
			rollout := foreign(namespace, rolloutKind, map[string]any{
				"workloadRef": map[string]any{"apiVersion": test.apiVersion, "kind": test.kind, "name": test.workload},
			})
			wantCodes(t, b.client.Create(t.Context(), rollout))
			replicaSet := newReplicaSet(namespace, test.image)
			replicaSet.Name, replicaSet.GenerateName = "", "made-"
			ownedBy(replicaSet, rollout, "argoproj.io/v1alpha1", "Rollout")
			wantCodes(t, b.as(t, test.user, nil).Create(t.Context(), replicaSet), test.want...)
		})
	}
}

// TestChartOfARolloutWithWorkloadRef checks that the chart of a Deployment counts for what a
// Rollout makes of it.
func TestChartOfARolloutWithWorkloadRef(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	chart := "sha256:" + sixtyFour('c')
	image := b.push(t, "shop/web")
	b.sign(t, image, "ci")
	soak := soakOf(image, 25*time.Hour, time.Hour)
	soak.Chart.Digest = chart
	b.attest(t, image, "observer", gate.PredicateSoak, soak)
	g := b.prodGate(namespace)
	g.Spec.Requires.Soak.Chart = v1alpha1.ChartSame
	b.gate(t, g)

	deployment := newDeployment(namespace, image)
	deployment.Annotations = map[string]string{v1alpha1.AnnotationChartDigest: chart}
	wantCodes(t, b.client.Create(t.Context(), deployment))
	rollout := foreign(namespace, rolloutKind, map[string]any{
		"workloadRef": map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
	})
	wantCodes(t, b.client.Create(t.Context(), rollout))
	replicaSet := newReplicaSet(namespace, image)
	ownedBy(replicaSet, rollout, "argoproj.io/v1alpha1", "Rollout")
	wantCodes(t, b.as(t, rolloutController, nil).Create(t.Context(), replicaSet))
	pod := newPod(namespace, "web", image)
	ownedBy(pod, replicaSet, "apps/v1", "ReplicaSet")
	wantCodes(t, b.as(t, "system:kube-controller-manager", nil).Create(t.Context(), pod))
}

// TestInjectedSidecar: what a mutating webhook adds to a pod isn't in its owner's
// template. It is judged where it appears, by `exemptImages`.
func TestInjectedSidecar(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	b.gate(t, b.prodGate(namespace))
	image := b.proven(t)
	replicaSet := newReplicaSet(namespace, image)
	wantCodes(t, b.client.Create(t.Context(), replicaSet))
	for name, test := range map[string]struct {
		sidecar string
		want    []gate.Code
	}{
		"one that `exemptImages` names":   {b.registry + "/sidecar/proxy@sha256:" + sixtyFour('a'), nil},
		"one that it names, by tag":       {b.registry + "/sidecar/proxy:1", []gate.Code{gate.NoDigest}},
		"one that nobody names":           {"registry.example.com/evil@sha256:" + sixtyFour('a'), []gate.Code{gate.UnknownImage}},
		"a placeholder that stayed":       {"auto", []gate.Code{gate.NotInjected}},
		"an unproven image of the shop's": {b.push(t, "shop/web"), []gate.Code{gate.NoSignature, gate.NoSoak}},
	} {
		t.Run(name, func(t *testing.T) {
			pod := newPod(namespace, "", image)
			pod.GenerateName = "made-"
			ownedBy(pod, replicaSet, "apps/v1", "ReplicaSet")
			pod.Spec.InitContainers = []corev1.Container{{Name: "proxy", Image: test.sidecar}}
			wantCodes(t, b.as(t, "system:kube-controller-manager", nil).Create(t.Context(), pod), test.want...)
		})
	}
}

// TestIstioInjection checks that a gateway is judged by the image that Istio gives its pods:
// the placeholder passes in pod templates, and never in a Pod.
func TestIstioInjection(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	g := b.prodGate(namespace)
	g.Spec.ExemptImages = append(g.Spec.ExemptImages, v1alpha1.ExemptImage{Repository: "docker.io/library/auto", Tags: v1alpha1.TagsAllow})
	b.gate(t, g)
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
		"injected by its label":     {"true", "proxy", nil},
		"injected by its namespace": {"", "istio-proxy", nil},
		"not Istio's container":     {"", "web", notInjected},
		"not injected":              {"false", "istio-proxy", notInjected},
	} {
		t.Run(name, func(t *testing.T) {
			gateway := newDeployment(namespace, "auto")
			inject(&gateway.Spec.Template, test.label, test.container)
			wantCodes(t, b.client.Create(t.Context(), gateway, client.DryRunAll), test.want...)
		})
	}

	gateway := newReplicaSet(namespace, "auto")
	inject(&gateway.Spec.Template, "true", "istio-proxy")
	wantCodes(t, b.client.Create(t.Context(), gateway))
	for image, want := range map[string][]gate.Code{
		"auto": notInjected,
		b.registry + "/sidecar/proxy@sha256:" + sixtyFour('a'):     nil,
		"registry.example.com/evil/proxy@sha256:" + sixtyFour('a'): {gate.UnknownImage},
	} {
		pod := newPod(namespace, "", image)
		pod.GenerateName = "gateway-"
		pod.Labels = map[string]string{"sidecar.istio.io/inject": "true"}
		ownedBy(pod, gateway, "apps/v1", "ReplicaSet")
		wantCodes(t, b.as(t, "system:kube-controller-manager", nil).Create(t.Context(), pod), want...)
		if want == nil {
			pod.Spec.Containers[0].Image = "auto"
			wantCodes(t, b.client.Update(t.Context(), pod), notInjected...)
		}
	}
}
