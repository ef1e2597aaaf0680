package webhook

import (
	"bytes"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/webhook/webhooktest"
)

// TestCertificateRenewal checks that the webhook has issued its certificate and written the CA
// to the configuration, issues new ones after both are lost, and serves the new certificate
// without a restart.
func TestCertificateRenewal(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(namespace))
	bundle := func() []byte {
		var hook admissionregistrationv1.ValidatingWebhookConfiguration
		if err := env.Client.Get(t.Context(), types.NamespacedName{Name: "envladder-webhook"}, &hook); err != nil {
			t.Fatal(err)
		}
		return hook.Webhooks[0].ClientConfig.CABundle
	}
	before := bundle()
	var secret corev1.Secret
	if err := env.Client.Get(t.Context(), webhooktest.TLSSecret, &secret); err != nil {
		t.Fatal(err)
	}
	if len(before) == 0 || !bytes.Equal(before, secret.Data["ca.crt"]) {
		t.Fatal("the configuration's CA isn't the certificate's")
	}

	secret.Data = nil
	if err := env.Client.Update(t.Context(), &secret); err != nil {
		t.Fatal(err)
	}
	if err := webhooktest.WaitUntil(func() bool { after := bundle(); return len(after) > 0 && !bytes.Equal(before, after) }); err != nil {
		t.Fatalf("waiting for another CA: %v", err)
	}
	var last error
	err := webhooktest.WaitUntil(func() bool {
		last = env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "web", env.Host+"/shop/web:1"), client.DryRunAll)
		return last != nil && strings.Contains(last.Error(), "denied the request")
	})
	if err != nil {
		t.Fatalf("waiting for an answer with the new certificate: %v (last: %v)", err, last)
	}
}

func TestRenewalAccountChangesOnlyCA(t *testing.T) {
	env := startedEnv(t)
	own := env.ClientAs(t, "system:serviceaccount:envladder:envladder-webhook")
	var hook admissionregistrationv1.ValidatingWebhookConfiguration
	if err := own.Get(t.Context(), types.NamespacedName{Name: "envladder-webhook"}, &hook); err != nil {
		t.Fatal(err)
	}
	ignore, long := admissionregistrationv1.Ignore, int32(29)
	for name, change := range map[string]func(*admissionregistrationv1.ValidatingWebhook){
		"policy": func(w *admissionregistrationv1.ValidatingWebhook) { w.FailurePolicy = &ignore },
		"rules":  func(w *admissionregistrationv1.ValidatingWebhook) { w.Rules = w.Rules[1:] },
		"namespaces": func(w *admissionregistrationv1.ValidatingWebhook) {
			w.NamespaceSelector.MatchExpressions[0].Values[0] = "x"
		},
		"conditions":    func(w *admissionregistrationv1.ValidatingWebhook) { w.MatchConditions = w.MatchConditions[:1] },
		"no conditions": func(w *admissionregistrationv1.ValidatingWebhook) { w.MatchConditions = nil },
		"address":       func(w *admissionregistrationv1.ValidatingWebhook) { *w.ClientConfig.URL = "https://127.0.0.1:1/" },
		"timeout":       func(w *admissionregistrationv1.ValidatingWebhook) { w.TimeoutSeconds = &long },
		"name":          func(w *admissionregistrationv1.ValidatingWebhook) { w.Name = "other.envladder.dev" },
	} {
		t.Run(name, func(t *testing.T) {
			changed := hook.DeepCopy()
			change(&changed.Webhooks[0])
			if err := own.Update(t.Context(), changed, client.DryRunAll); !deniedByGuard(err) {
				t.Errorf("the webhook's account may change it: %v", err)
			}
		})
	}
	changed := hook.DeepCopy()
	changed.Webhooks[0].ClientConfig.CABundle = append(changed.Webhooks[0].ClientConfig.CABundle, '\n')
	if err := own.Update(t.Context(), changed, client.DryRunAll); err != nil {
		t.Errorf("the webhook's account may not change the CA: %v", err)
	}
	if err := own.Delete(t.Context(), changed, client.DryRunAll); !deniedByGuard(err) {
		t.Errorf("the webhook's account may delete the configuration: %v", err)
	}
}

// deniedByGuard reports whether the chart's policy denied a request.
func deniedByGuard(err error) bool {
	return err != nil && strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'envladder-guard'") && strings.Contains(err.Error(), "may not")
}
