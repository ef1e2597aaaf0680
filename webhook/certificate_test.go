package webhook

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestOwnCertificate: the webhook has made the bed's certificate and has put its CA into
// the configuration. When both are lost it makes them again, and serves the new one
// without a restart; the guard lets it change nothing else.
func TestOwnCertificate(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	b.gate(t, b.prodGate(namespace))
	bundle := func() []byte {
		var hook admissionregistrationv1.ValidatingWebhookConfiguration
		if err := b.client.Get(t.Context(), types.NamespacedName{Name: "envladder-webhook"}, &hook); err != nil {
			t.Fatal(err)
		}
		return hook.Webhooks[0].ClientConfig.CABundle
	}
	before := bundle()
	var secret corev1.Secret
	if err := b.client.Get(t.Context(), tlsSecret, &secret); err != nil {
		t.Fatal(err)
	}
	if len(before) == 0 || !bytes.Equal(before, secret.Data["ca.crt"]) {
		t.Fatal("the configuration's CA isn't the certificate's")
	}

	secret.Data = nil
	if err := b.client.Update(t.Context(), &secret); err != nil {
		t.Fatal(err)
	}
	if err := until(func() bool { after := bundle(); return len(after) > 0 && !bytes.Equal(before, after) }); err != nil {
		t.Fatalf("waiting for another CA: %v", err)
	}
	var last error
	err := until(func() bool {
		last = b.client.Create(t.Context(), newPod(namespace, "web", b.registry+"/shop/web:1"), client.DryRunAll)
		return last != nil && strings.Contains(last.Error(), "denied the request")
	})
	if err != nil {
		t.Fatalf("waiting for an answer with the new certificate: %v (last: %v)", err, last)
	}
}

func TestTheRenewalChangesNothingButTheCA(t *testing.T) {
	b := up(t)
	own := b.powerful(t, "system:serviceaccount:envladder:envladder-webhook")
	var hook admissionregistrationv1.ValidatingWebhookConfiguration
	if err := own.Get(t.Context(), types.NamespacedName{Name: "envladder-webhook"}, &hook); err != nil {
		t.Fatal(err)
	}
	ignore, long := admissionregistrationv1.Ignore, int32(29)
	for name, change := range map[string]func(*admissionregistrationv1.ValidatingWebhook){
		"the policy": func(w *admissionregistrationv1.ValidatingWebhook) { w.FailurePolicy = &ignore },
		"the rules":  func(w *admissionregistrationv1.ValidatingWebhook) { w.Rules = w.Rules[1:] },
		"the namespaces": func(w *admissionregistrationv1.ValidatingWebhook) {
			w.NamespaceSelector.MatchExpressions[0].Values[0] = "x"
		},
		"the conditions": func(w *admissionregistrationv1.ValidatingWebhook) { w.MatchConditions = w.MatchConditions[:1] },
		"no conditions":  func(w *admissionregistrationv1.ValidatingWebhook) { w.MatchConditions = nil },
		"the address":    func(w *admissionregistrationv1.ValidatingWebhook) { *w.ClientConfig.URL = "https://127.0.0.1:1/" },
		"the time":       func(w *admissionregistrationv1.ValidatingWebhook) { w.TimeoutSeconds = &long },
		"the name":       func(w *admissionregistrationv1.ValidatingWebhook) { w.Name = "other.envladder.dev" },
	} {
		t.Run(name, func(t *testing.T) {
			changed := hook.DeepCopy()
			change(&changed.Webhooks[0])
			if err := own.Update(t.Context(), changed, client.DryRunAll); !guarded(err) {
				t.Errorf("the webhook's own account isn't kept from it: %v", err)
			}
		})
	}
	changed := hook.DeepCopy()
	changed.Webhooks[0].ClientConfig.CABundle = append(changed.Webhooks[0].ClientConfig.CABundle, '\n')
	if err := own.Update(t.Context(), changed, client.DryRunAll); err != nil {
		t.Errorf("it may not change the CA: %v", err)
	}
	if err := own.Delete(t.Context(), changed, client.DryRunAll); !guarded(err) {
		t.Errorf("it may delete the configuration: %v", err)
	}
}

// powerful returns a client of a user whom RBAC lets do everything.
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
	t.Cleanup(func() { _ = b.client.Delete(context.Background(), binding) })
	config := rest.CopyConfig(b.admin)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	c, err := client.New(config, client.Options{Scheme: scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// guarded reports whether the chart's policy denied a request.
func guarded(err error) bool {
	return err != nil && strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'envladder-guard'") && strings.Contains(err.Error(), "may not")
}

func TestCertificateThatIsNotThere(t *testing.T) {
	folder := t.TempDir()
	config := Config{CertFile: filepath.Join(folder, "tls.crt"), KeyFile: filepath.Join(folder, "tls.key")}
	if _, err := newCertificates(config); err == nil {
		t.Error("without files, and with nobody who makes them, it starts")
	}
	config.Renewal = &Renewal{}
	c, err := newCertificates(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.get(nil); err == nil {
		t.Error("it serves a certificate that isn't there")
	}
	ended := make(chan error, 1)
	go func() { ended <- c.run(t.Context()) }()
	if _, err := writeCertificate(folder, "late"); err != nil {
		t.Fatal(err)
	}
	if err := until(func() bool { _, err := c.get(nil); return err == nil }); err != nil {
		t.Errorf("waiting until a certificate that came late is served: %v", err)
	}
}
