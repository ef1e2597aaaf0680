package webhook

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
)

// TestSignersThatCantBeVerifiedBy: the status says so at once, and only what they alone
// prove is denied.
func TestSignersThatCantBeVerifiedBy(t *testing.T) {
	b := up(t)
	for name, test := range map[string]struct {
		change func(*v1alpha1.GateSpec)
		want   metav1.ConditionStatus
		says   []string
	}{
		"all can": {func(*v1alpha1.GateSpec) {}, metav1.ConditionTrue, []string{"all signers"}},
		"no trusted root": {func(spec *v1alpha1.GateSpec) {
			spec.Signers = append(spec.Signers, v1alpha1.Signer{Name: "e2e", Keyless: &v1alpha1.KeylessSigner{Issuer: "https://id.example.com", Subject: "e2e", TrustedRoot: "corp"}})
		}, metav1.ConditionFalse, []string{"can't be verified by: e2e;", "corp.json"}},
		"a KMS that isn't known": {func(spec *v1alpha1.GateSpec) {
			spec.Signers = append(spec.Signers, v1alpha1.Signer{Name: "kms", KMS: "nokms://key", Time: v1alpha1.TimeTrustSigner})
		}, metav1.ConditionFalse, []string{"can't be verified by: kms;", "nokms://key"}},
		"no public root": {func(spec *v1alpha1.GateSpec) {
			spec.Signers = append(spec.Signers, v1alpha1.Signer{Name: "e2e", Keyless: &v1alpha1.KeylessSigner{Issuer: "https://id.example.com", Subject: "e2e"}})
		}, metav1.ConditionFalse, []string{"--sigstore-public-root"}},
		"a Gate that isn't accepted": {func(spec *v1alpha1.GateSpec) {
			spec.Signers[0].Key.Data = "-----BEGIN PUBLIC KEY-----\nbm8ga2V5\n-----END PUBLIC KEY-----\n"
		}, metav1.ConditionUnknown, []string{"isn't accepted"}},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := b.namespace(t)
			g := b.prodGate(namespace)
			test.change(&g.Spec)
			b.gate(t, g)
			var condition *metav1.Condition
			if err := until(func() bool {
				if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(g), g); err != nil {
					t.Fatal(err)
				}
				condition = meta.FindStatusCondition(g.Status.Conditions, v1alpha1.ConditionSignersReady)
				return condition != nil
			}); err != nil {
				t.Fatalf("there is no condition: %v", err)
			}
			if condition.Status != test.want {
				t.Errorf("the condition is %v", condition)
			}
			for _, text := range test.says {
				if !strings.Contains(condition.Message, text) {
					t.Errorf("the message is %q, without %q", condition.Message, text)
				}
			}
			if test.want != metav1.ConditionUnknown {
				wantCodes(t, b.client.Create(t.Context(), newPod(namespace, "web", b.proven(t))))
			}
		})
	}
	t.Run("what needs the signer is denied", func(t *testing.T) {
		namespace := b.namespace(t)
		g := b.prodGate(namespace)
		g.Spec.Signers = append(g.Spec.Signers, v1alpha1.Signer{Name: "kms", KMS: "nokms://key", Time: v1alpha1.TimeTrustSigner})
		g.Spec.Requires.Signature.By = []string{"kms"}
		b.gate(t, g)
		wantCodes(t, b.client.Create(t.Context(), newPod(namespace, "web", b.proven(t))), gate.NoSignature, gate.SignerUnavailable, gate.WrongSigner)
	})
}

func TestOtherWordsForAFaultAreNoNews(t *testing.T) {
	condition := func(message string) metav1.Condition {
		return metav1.Condition{Type: v1alpha1.ConditionSignersReady, Status: metav1.ConditionFalse, Reason: "SignerUnavailable", ObservedGeneration: 1, Message: message, LastTransitionTime: metav1.NewTime(time.Now())}
	}
	var status v1alpha1.GateStatus
	for _, step := range []struct {
		message string
		news    bool
	}{
		{cantVerify + "kms" + soDenied + "request 1 failed", true},
		{cantVerify + "kms" + soDenied + "request 2 failed", false},
		{cantVerify + "kms, ci" + soDenied + "request 3 failed", true},
		{"all signers can be verified by", true},
		{"all signers can be verified by", false},
	} {
		next := condition(step.message)
		if !strings.HasPrefix(step.message, cantVerify) {
			next.Status = metav1.ConditionTrue
		}
		if changed := setSigners(&status, next); changed != step.news {
			t.Errorf("%q: news %t, want %t", step.message, changed, step.news)
		}
	}
}
