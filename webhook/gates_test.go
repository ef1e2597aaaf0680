package webhook

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// TestUngatedNamespace checks that a namespace which is sent to the webhook denies once its Gate
// was deleted.
func TestUngatedNamespace(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	g := env.ProdGate(namespace)
	if err := env.Client.Create(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	gated := func() bool { return len(env.program.policies.GatesFor(namespace)) > 0 }
	if err := webhooktest.WaitUntil(gated); err != nil {
		t.Fatal(err)
	}
	proven := env.PushProven(t)
	deployment := webhooktest.NewDeployment(namespace, proven)
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), deployment))
	if err := env.Client.Delete(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if err := webhooktest.WaitUntil(func() bool { return !gated() }); err != nil {
		t.Fatal(err)
	}

	status := webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "web", proven)), gate.NoGate)
	if want := fmt.Sprintf("no Gate names namespace %q", namespace); !strings.Contains(status.Message, want) {
		t.Errorf("the message %q doesn't say %q", status.Message, want)
	}
	deployment.Spec.Replicas = new(int32(0))
	webhooktest.WantCodes(t, env.Client.Update(t.Context(), deployment)) // starts nothing new
	deployment.Spec.Template.Labels["b"] = "c"
	webhooktest.WantCodes(t, env.Client.Update(t.Context(), deployment), gate.NoGate)
	webhooktest.WantCodes(t, env.Client.Delete(t.Context(), deployment))
}

func TestTwoGates(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(namespace))
	env.createGate(t, env.BankGate(namespace))
	unsigned, signed := env.Push(t, "bank/ledger"), env.Push(t, "bank/ledger")
	env.Sign(t, signed, "ci")

	webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "signed", signed)))
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "unsigned", unsigned)), gate.NoSignature)
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "shop", env.Push(t, "shop/web"))), gate.NoSignature, gate.NoSoak)

	both := webhooktest.NewPod(namespace, "both", env.PushProven(t))
	both.Spec.Containers = append(both.Spec.Containers, corev1.Container{Name: "ledger", Image: unsigned})
	status := webhooktest.WantCodes(t, env.Client.Create(t.Context(), both), gate.NoSignature)
	if field := status.Details.Causes[0].Field; field != "spec.containers[1].image" {
		t.Errorf("the cause names the field %q, want the second Gate's image", field)
	}
}

// TestTwoGatesOneWarns checks that a Gate which warns judges what another Gate exempts, and
// admits nothing that the other doesn't list.
func TestTwoGatesOneWarns(t *testing.T) {
	env := startedEnv(t)
	unsigned, signed := env.Push(t, "bank/ledger"), env.Push(t, "bank/ledger")
	env.Sign(t, signed, "ci")

	t.Run("image not listed by denying Gate", func(t *testing.T) {
		namespace := env.NewNamespace(t)
		env.createGate(t, env.ProdGate(namespace))
		bank := env.BankGate(namespace)
		bank.Spec.Action = v1alpha1.ActionWarn
		env.createGate(t, bank)
		webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "signed", signed)), gate.UnknownImage)
	})
	t.Run("image exempted by denying Gate", func(t *testing.T) {
		namespace := env.NewNamespace(t)
		shop := env.ProdGate(namespace)
		shop.Spec.ExemptImages = append(shop.Spec.ExemptImages, v1alpha1.ExemptImage{Repository: env.Host + "/bank/*"})
		env.createGate(t, shop)
		bank := env.BankGate(namespace)
		bank.Spec.Action = v1alpha1.ActionWarn
		env.createGate(t, bank)
		var warnings []string
		warned := env.Impersonate(t, "", &warnings)

		webhooktest.WantCodes(t, warned.Create(t.Context(), webhooktest.NewPod(namespace, "signed", signed)))
		if len(warnings) != 0 {
			t.Errorf("an image that the Gate admits gets the warnings %q", warnings)
		}
		both := webhooktest.NewPod(namespace, "both", env.PushProven(t))
		both.Spec.Containers = append(both.Spec.Containers, corev1.Container{Name: "ledger", Image: unsigned})
		webhooktest.WantCodes(t, warned.Create(t.Context(), both))
		if len(warnings) != 1 || !strings.Contains(warnings[0], "NoSignature") {
			t.Errorf("a pod with an image that the Gate would deny gets the warnings %q, want one", warnings)
		}
	})
}
