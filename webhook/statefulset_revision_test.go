package webhook

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/podtemplate"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// TestStatefulSetRevision checks that pods of a StatefulSet's current revision are no new
// deploy, and that pods of other revisions are.
func TestStatefulSetRevision(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	aged, replaced, newest := env.PushAged(t), env.PushAged(t), env.PushProven(t)
	before := env.Impersonate(t, webhooktest.Bypass, nil)
	create := func(object client.Object) {
		t.Helper()
		if err := before.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	set, other := webhooktest.NewStatefulSet(namespace, newest), webhooktest.NewStatefulSet(namespace, newest)
	other.Name = "other"
	create(set)
	create(other)
	revision := func(name, image string, owner client.Object, number int64) {
		template, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{
			"$patch": "replace", "metadata": webhooktest.PodTemplate(image).ObjectMeta, "spec": webhooktest.PodTemplate(image).Spec,
		}}})
		if err != nil {
			t.Fatal(err)
		}
		r := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: runtime.RawExtension{Raw: template}, Revision: number}
		webhooktest.SetOwner(r, owner, "apps/v1", "StatefulSet")
		create(r)
	}
	revision("web-1", replaced, set, 1)
	revision("web-2", aged, set, 2)
	revision("web-3", newest, set, 3)
	revision("other-1", aged, other, 1)
	status := func(current, update string) {
		t.Helper()
		set.Status.CurrentRevision, set.Status.UpdateRevision, set.Status.Replicas = current, update, 0
		if err := before.Status().Update(t.Context(), set); err != nil {
			t.Fatal(err)
		}
	}
	env.createGate(t, env.ProdGate(namespace))

	tooOld := []gate.Code{gate.SoakTooOld}
	for name, test := range map[string]struct {
		user, current, label, image string
		want                        []gate.Code
	}{
		"current revision":                   {"system:kube-controller-manager", "web-2", "web-2", aged, nil},
		"other image":                        {"system:kube-controller-manager", "web-2", "web-2", replaced, tooOld},
		"replaced revision":                  {"system:kube-controller-manager", "web-2", "web-1", replaced, tooOld},
		"no revision":                        {"system:kube-controller-manager", "web-2", "", aged, tooOld},
		"person":                             {"ana", "web-2", "web-2", aged, tooOld},
		"after the rollout":                  {"system:kube-controller-manager", "web-3", "web-2", aged, tooOld},
		"revision of other StatefulSet":      {"system:kube-controller-manager", "other-1", "other-1", aged, tooOld},
		"missing revision":                   {"system:kube-controller-manager", "web-0", "web-0", aged, tooOld},
		"newest revision during the rollout": {"system:kube-controller-manager", "web-2", "web-3", newest, nil},
	} {
		t.Run(name, func(t *testing.T) {
			status(test.current, "web-3")
			pod := webhooktest.NewPod(namespace, "", test.image)
			pod.GenerateName = "made-"
			if test.label != "" {
				pod.Labels = map[string]string{appsv1.ControllerRevisionHashLabelKey: test.label}
			}
			webhooktest.SetOwner(pod, set, "apps/v1", "StatefulSet")
			webhooktest.WantCodes(t, env.Impersonate(t, test.user, nil).Create(t.Context(), pod), test.want...)
		})
	}
}

// TestStatefulSetRevisionTemplate checks that under template: Same a StatefulSet's pod has the
// template of its revision, and none if that isn't known. Nothing judges ControllerRevisions.
func TestStatefulSetRevisionTemplate(t *testing.T) {
	env := startedEnv(t)
	staging, namespace := env.NewNamespace(t), env.NewNamespace(t)
	image := env.Push(t, "shop/web")
	env.Sign(t, image, "ci")
	before := env.Impersonate(t, webhooktest.Bypass, nil)
	create := func(object client.Object) {
		t.Helper()
		if err := before.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	templateOf := func(set client.Object) map[string]any {
		t.Helper()
		live := &unstructured.Unstructured{}
		live.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("StatefulSet"))
		if err := env.Client.Get(t.Context(), client.ObjectKeyFromObject(set), live); err != nil {
			t.Fatal(err)
		}
		template, _, err := unstructured.NestedMap(live.Object, "spec", "template")
		if err != nil {
			t.Fatal(err)
		}
		return template
	}
	soaked, older := webhooktest.NewStatefulSet(staging, image), webhooktest.NewStatefulSet(staging, image)
	older.Name, older.Spec.Template.Spec.Containers[0].Args = "older", []string{"--old"}
	set := webhooktest.NewStatefulSet(namespace, image)
	create(soaked)
	create(older)
	create(set)
	soak := webhooktest.NewSoak(image, 25*time.Hour, time.Hour)
	soak.Workloads = []gate.Workload{{TemplateDigest: podtemplate.Digest(templateOf(soaked))}, {TemplateDigest: podtemplate.Digest(templateOf(older))}}
	env.Attest(t, image, "observer", gate.PredicateSoak, soak)

	revision := func(name string, owner client.Object, patch string, change func(template map[string]any)) {
		template := templateOf(older)
		template["$patch"] = patch
		if change != nil {
			change(template)
		}
		data, err := json.Marshal(map[string]any{"spec": map[string]any{"template": template}})
		if err != nil {
			t.Fatal(err)
		}
		r := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: runtime.RawExtension{Raw: data}, Revision: 1}
		if owner != nil {
			webhooktest.SetOwner(r, owner, "apps/v1", "StatefulSet")
		}
		create(r)
	}
	other := func(template map[string]any) {
		spec, _ := template["spec"].(map[string]any)
		spec["hostNetwork"] = true
	}
	revision("web-old", set, "replace", nil)
	revision("web-new", set, "replace", func(template map[string]any) {
		clear(template)
		maps.Copy(template, templateOf(set))
		template["$patch"] = "replace"
	})
	revision("web-evil", set, "replace", other)
	revision("web-orphan", nil, "replace", other)
	revision("web-mixture", set, "merge", nil)
	g := env.ProdGate(namespace)
	g.Spec.Requires.Soak.Template = v1alpha1.TemplateSame
	env.createGate(t, g)

	denied := []gate.Code{gate.OtherTemplate}
	for name, test := range map[string]struct {
		current, label string
		want           []gate.Code
	}{
		"newest, no status yet": {"", "web-new", nil},
		"newest":                {"web-old", "web-new", nil},
		"older and soaked":      {"web-old", "web-old", nil},
		"not soaked":            {"web-evil", "web-evil", denied},
		"no controller":         {"web-orphan", "web-orphan", denied},
		"missing revision":      {"web-gone", "web-gone", denied},
		"merge patch":           {"web-mixture", "web-mixture", denied},
		"not in the status":     {"web-old", "web-evil", denied},
		"no label":              {"web-old", "", denied},
	} {
		t.Run(name, func(t *testing.T) {
			set.Status.CurrentRevision, set.Status.UpdateRevision, set.Status.Replicas = test.current, "", 0
			if test.current != "" {
				set.Status.UpdateRevision = "web-new"
			}
			if err := before.Status().Update(t.Context(), set); err != nil {
				t.Fatal(err)
			}
			pod := webhooktest.NewPod(namespace, "", image)
			pod.GenerateName = "made-"
			if test.label != "" {
				pod.Labels = map[string]string{appsv1.ControllerRevisionHashLabelKey: test.label}
			}
			webhooktest.SetOwner(pod, set, "apps/v1", "StatefulSet")
			webhooktest.WantCodes(t, env.Impersonate(t, "system:kube-controller-manager", nil).Create(t.Context(), pod), test.want...)
		})
	}
}
