package webhook

import (
	"context"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
)

// argoCD is the account that a default installation of Argo CD deploys with.
const argoCD = "system:serviceaccount:argocd:argocd-application-controller"

// powerful is a client of a user whom RBAC lets do everything.
func (b *bed) powerful(t *testing.T, user string) client.Client {
	t.Helper()
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "powerful-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	if err := b.client.Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.client.Delete(t.Context(), binding) })
	config := rest.CopyConfig(b.admin)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:serviceaccounts", "system:serviceaccounts:argocd", "system:authenticated"}}
	scheme := scheme()
	if err := apiextensionsv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// guarded says whether the policy refused.
func guarded(err error) bool { return guardedBy(err, "envladder-guard") }

func guardedBy(err error, policy string) bool {
	return err != nil && strings.Contains(err.Error(), "ValidatingAdmissionPolicy '"+policy+"'") && strings.Contains(err.Error(), "may not")
}

// observing is a Gate that asks for nothing.
func observing(name string) *v1alpha1.Gate {
	g := newGate(name, "unused-"+name)
	g.Spec.Others = []v1alpha1.OtherImage{{Repository: "example.com/none"}}
	g.Spec.Observe = &v1alpha1.Observe{AttestAfter: []metav1.Duration{{Duration: time.Hour}}}
	return g
}

// TestTheGuard: an account that may do everything, as Argo CD's may, changes nothing that
// the webhook judges by unless it is named.
func TestTheGuard(t *testing.T) {
	b := up(t)
	deployer := b.powerful(t, argoCD)
	// The API server looks at policies with a delay.
	if err := until(func() bool { return guarded(deployer.Create(t.Context(), observing("probe"), client.DryRunAll)) }); err != nil {
		t.Fatalf("waiting for the policy: %v (last: %v)", err, deployer.Create(t.Context(), observing("probe"), client.DryRunAll))
	}

	g := observing("guarded")
	recall := &v1alpha1.Recall{
		ObjectMeta: metav1.ObjectMeta{Name: "guarded"},
		Spec:       v1alpha1.RecallSpec{Digests: []string{"sha256:" + sixtyFour('b')}, Reason: "a test"},
	}
	for _, object := range []client.Object{g, recall} {
		if err := b.client.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.client.Delete(t.Context(), object) })
	}
	hook := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "envladder-webhook"}}
	crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "gates.envladder.dev"}}
	for _, object := range []client.Object{hook, crd} {
		if err := deployer.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
			t.Fatal(err)
		}
	}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"a":"b"}}}`))
	service := &unstructured.Unstructured{}
	service.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiregistration.k8s.io", Version: "v1", Kind: "APIService"})
	service.SetName("v1alpha1.envladder.dev")
	for name, change := range map[string]func(client.Client) error{
		"creating a Gate":    func(c client.Client) error { return c.Create(t.Context(), observing("another"), client.DryRunAll) },
		"weakening a Gate":   func(c client.Client) error { return c.Patch(t.Context(), g.DeepCopy(), patch, client.DryRunAll) },
		"deleting a Gate":    func(c client.Client) error { return c.Delete(t.Context(), g, client.DryRunAll) },
		"deleting all Gates": func(c client.Client) error { return c.DeleteAllOf(t.Context(), &v1alpha1.Gate{}, client.DryRunAll) },
		"lying in a Gate's status": func(c client.Client) error {
			return c.Status().Patch(t.Context(), g.DeepCopy(), patch, client.DryRunAll)
		},
		"lifting a Recall":           func(c client.Client) error { return c.Delete(t.Context(), recall, client.DryRunAll) },
		"emptying a Recall":          func(c client.Client) error { return c.Patch(t.Context(), recall.DeepCopy(), patch, client.DryRunAll) },
		"changing the configuration": func(c client.Client) error { return c.Patch(t.Context(), hook.DeepCopy(), patch, client.DryRunAll) },
		"deleting the configuration": func(c client.Client) error { return c.Delete(t.Context(), hook, client.DryRunAll) },
		"deleting all configurations": func(c client.Client) error {
			return c.DeleteAllOf(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{}, client.DryRunAll)
		},
		"changing the CRD": func(c client.Client) error { return c.Patch(t.Context(), crd.DeepCopy(), patch, client.DryRunAll) },
		"serving Gates by another server": func(c client.Client) error {
			elsewhere := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":null},"spec":{"service":{"namespace":"default","name":"kubernetes"},"insecureSkipTLSVerify":true}}`))
			return c.Patch(t.Context(), service.DeepCopy(), elsewhere, client.DryRunAll)
		},
		"deleting the CRD": func(c client.Client) error { return c.Delete(t.Context(), crd, client.DryRunAll) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := change(deployer); !guarded(err) {
				t.Errorf("Argo CD's account isn't kept from it by the policy: %v", err)
			}
			if strings.HasPrefix(name, "deleting all") {
				return
			}
			config := rest.CopyConfig(b.admin)
			config.Impersonate = rest.ImpersonationConfig{UserName: "ana", Groups: []string{"system:masters"}}
			admin, err := client.New(config, client.Options{Scheme: deployer.Scheme()})
			if err != nil {
				t.Fatal(err)
			}
			if err := change(admin); err != nil {
				t.Errorf("an admin is kept from it: %v", err)
			}
		})
	}

	t.Run("what isn't envladder's is left alone", func(t *testing.T) {
		sideEffects := admissionregistrationv1.SideEffectClassNone
		url := "https://127.0.0.1:1/"
		other := &admissionregistrationv1.ValidatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: "other"},
			Webhooks: []admissionregistrationv1.ValidatingWebhook{{
				Name: "other.example.com", SideEffects: &sideEffects, AdmissionReviewVersions: []string{"v1"},
				ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &url},
			}},
		}
		if err := deployer.Create(t.Context(), other, client.DryRunAll); err != nil {
			t.Error(err)
		}
		foreign := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "crews.example.com"}}
		if err := deployer.Patch(t.Context(), foreign, patch, client.DryRunAll); err != nil {
			t.Error(err)
		}
	})
}

// TestTheGuardOfTheNamespace: nobody puts another webhook in the place of ours, reads its
// key through a pod, or gives away its account; the cluster's own controllers go on.
func TestTheGuardOfTheNamespace(t *testing.T) {
	b := up(t)
	const policy = "envladder-guard-namespace"
	deployer := b.powerful(t, argoCD)
	image := "example.com/evil@sha256:" + sixtyFour('e')
	if err := until(func() bool {
		return guardedBy(deployer.Create(t.Context(), newPod("envladder", "probe", image), client.DryRunAll), policy)
	}); err != nil {
		t.Fatalf("waiting for the policy: %v (last: %v)", err, deployer.Create(t.Context(), newPod("envladder", "probe", image), client.DryRunAll))
	}
	secret := &corev1.Secret{}
	if err := b.client.Get(t.Context(), tlsSecret, secret); err != nil {
		t.Fatal(err)
	}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"a":"b"}}}`))
	running := newPod("envladder", "running", image)
	if err := b.client.Create(t.Context(), running); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.client.Delete(context.Background(), running) })
	role := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: "envladder", Name: "mine"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "envladder-webhook"},
	}
	for name, change := range map[string]func(client.Client) error{
		"a Deployment": func(c client.Client) error {
			return c.Create(t.Context(), newDeployment("envladder", image), client.DryRunAll)
		},
		"a Job": func(c client.Client) error {
			return c.Create(t.Context(), newJob("envladder", image), client.DryRunAll)
		},
		"another image in a pod that runs": func(c client.Client) error {
			changed := running.DeepCopy()
			changed.Spec.Containers[0].Image = "example.com/evil@sha256:" + sixtyFour('f')
			return c.Update(t.Context(), changed, client.DryRunAll)
		},
		"a Secret":       func(c client.Client) error { return c.Patch(t.Context(), secret.DeepCopy(), patch, client.DryRunAll) },
		"a RoleBinding":  func(c client.Client) error { return c.Create(t.Context(), role.DeepCopy(), client.DryRunAll) },
		"the Secret off": func(c client.Client) error { return c.Delete(t.Context(), secret, client.DryRunAll) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := change(deployer); !guardedBy(err, policy) {
				t.Errorf("Argo CD's account isn't kept from it by the policy: %v", err)
			}
			if err := change(b.as(t, "ana", nil)); err != nil {
				t.Errorf("an admin is kept from it: %v", err)
			}
		})
	}
	if err := deployer.Patch(t.Context(), running.DeepCopy(), patch, client.DryRunAll); err != nil {
		t.Errorf("a pod's metadata is guarded too: %v", err)
	}
	controller := b.powerful(t, "system:kube-controller-manager") // without an admin's group
	if err := controller.Create(t.Context(), newPod("envladder", "web", image), client.DryRunAll); err != nil {
		t.Errorf("Kubernetes' own controllers are kept from it: %v", err)
	}
	if err := deployer.Create(t.Context(), newPod("default", "web", image), client.DryRunAll); err != nil {
		t.Errorf("other namespaces are guarded too: %v", err)
	}
}
