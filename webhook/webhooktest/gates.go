package webhooktest

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
)

// NewGate returns a Gate for prod without requirements.
func NewGate(name, namespace string) *v1alpha1.Gate {
	return &v1alpha1.Gate{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.GateSpec{Environment: "prod", Namespaces: []string{namespace}, Action: v1alpha1.ActionDeny},
	}
}

// MinimalGate returns a Gate for namespace shop that requires a signature by a key without a
// private key.
func MinimalGate() *v1alpha1.Gate {
	signer, err := NewSigner()
	if err != nil {
		panic(err)
	}
	g := NewGate("shop-prod", "shop")
	g.Spec.Images = []v1alpha1.GateImage{{Repository: "127.0.0.1:1/shop/*"}}
	g.Spec.Signers = []v1alpha1.Signer{{Name: "ci", Key: &v1alpha1.KeySigner{Data: signer.PublicPEM()}}}
	g.Spec.Requires.Signature = &v1alpha1.SignatureRequirement{By: []string{"ci"}}
	return g
}

// ProdGate returns a Gate that requires a signature, and a soak at most 72h ago, of shop/*.
// It exempts sidecar/*.
func (r Registry) ProdGate(namespace string) *v1alpha1.Gate {
	g := NewGate("gate-"+namespace, namespace)
	g.Spec.Images = []v1alpha1.GateImage{{Repository: r.Host + "/shop/*", Ladder: "shop"}}
	g.Spec.ExemptImages = []v1alpha1.ExemptImage{{Repository: r.Host + "/sidecar/*"}}
	g.Spec.Signers = []v1alpha1.Signer{
		{Name: "ci", Key: &v1alpha1.KeySigner{Data: r.Keys["ci"].PublicPEM()}},
		{Name: "observer", Key: &v1alpha1.KeySigner{Data: r.Keys["observer"].PublicPEM()}, Time: v1alpha1.TimeTrustSigner},
	}
	g.Spec.Requires = v1alpha1.Requirements{
		Signature: &v1alpha1.SignatureRequirement{By: []string{"ci"}},
		Soak: &v1alpha1.SoakRequirement{
			By: []string{"observer"}, Environment: "staging",
			Duration: metav1.Duration{Duration: 24 * time.Hour},
			MaxAge:   &metav1.Duration{Duration: 72 * time.Hour},
		},
	}
	return g
}

// BankGate returns a Gate that requires a signature of bank/*.
func (r Registry) BankGate(namespace string) *v1alpha1.Gate {
	g := r.ProdGate(namespace)
	g.Name += "-bank"
	g.Spec.Images = []v1alpha1.GateImage{{Repository: r.Host + "/bank/*", Ladder: "bank"}}
	g.Spec.ExemptImages = nil
	g.Spec.Requires.Soak = nil
	return g
}

// GateWithExceptions returns a ProdGate that accepts Exceptions signed by both ana and bo.
func (r Registry) GateWithExceptions(namespace string) *v1alpha1.Gate {
	g := r.ProdGate(namespace)
	for _, name := range []string{"ana", "bo"} {
		g.Spec.Signers = append(g.Spec.Signers, v1alpha1.Signer{Name: name, Key: &v1alpha1.KeySigner{Data: r.Keys[name].PublicPEM()}})
	}
	g.Spec.Exceptions = &v1alpha1.ExceptionPolicy{By: []string{"ana", "bo"}, Count: 2}
	return g
}

// ProvenHereGate returns a GateWithExceptions that accepts what was healthy in the namespace
// for an hour.
func (r Registry) ProvenHereGate(namespace string) *v1alpha1.Gate {
	g := r.GateWithExceptions(namespace)
	g.Spec.ProvenHere = &v1alpha1.ProvenHere{
		By: []string{"observer"}, Duration: metav1.Duration{Duration: time.Hour}, MaxAge: &metav1.Duration{Duration: 48 * time.Hour},
	}
	return g
}

// Unstructured returns an object of envladder's API, such as a Gate, as an informer delivers
// it.
func Unstructured(object runtime.Object, kind string) *unstructured.Unstructured {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		panic(err)
	}
	u := &unstructured.Unstructured{Object: fields}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	return u
}

// UnacceptedGate is a Gate by which images can't be judged.
type UnacceptedGate struct {
	Gate *unstructured.Unstructured
	// Code that it denies all images with.
	Code gate.Code
}

// UnacceptedGates returns MinimalGates with one error each, by the error.
func UnacceptedGates() map[string]UnacceptedGate {
	changed := func(code gate.Code, value any, field ...string) UnacceptedGate {
		u := Unstructured(MinimalGate(), "Gate")
		if err := unstructured.SetNestedField(u.Object, value, field...); err != nil {
			panic(err)
		}
		return UnacceptedGate{u, code}
	}
	noKey := []any{map[string]any{"name": "ci", "key": map[string]any{"data": "-----BEGIN PUBLIC KEY-----"}}}
	return map[string]UnacceptedGate{
		"field of a newer version":  changed(gate.Unsupported, int64(2), "spec", "requires", "quorum"),
		"action of a newer version": changed(gate.Unsupported, "Quarantine", "spec", "action"),
		"invalid key":               changed(gate.GateInvalid, noKey, "spec", "signers"),
		"requirement by no signer":  changed(gate.GateInvalid, []any{"missing"}, "spec", "requires", "signature", "by"),
		"images of the wrong type":  changed(gate.GateInvalid, "x", "spec", "images"),
	}
}
