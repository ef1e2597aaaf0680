package webhook

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/webhook/evidencecache"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// createGate creates a Gate and waits until the webhook has read it.
func (e *environment) createGate(t *testing.T, g *v1alpha1.Gate) {
	t.Helper()
	e.createAndWait(t, g, func() bool {
		for _, known := range e.program.policies.GatesFor(g.Spec.Namespaces[0]) {
			if known.Name == g.Name {
				return true
			}
		}
		return false
	})
}

// createRecall creates a Recall and waits until the webhook has read it.
func (e *environment) createRecall(t *testing.T, digest string) {
	t.Helper()
	recall := &v1alpha1.Recall{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "recall-"},
		Spec:       v1alpha1.RecallSpec{Digests: []string{digest}, Reason: "CVE-2026-0001"},
	}
	e.createAndWait(t, recall, func() bool {
		return slices.ContainsFunc(e.program.policies.Recalls(), func(r v1alpha1.Recall) bool { return r.Name == recall.Name })
	})
}

// createException creates an Exception that these keys sign for a namespace, and waits until
// the webhook has read it.
func (e *environment) createException(t *testing.T, reference, namespace string, end time.Time, keys ...string) *v1alpha1.Exception {
	t.Helper()
	repository, digest, _ := strings.Cut(reference, "@")
	exception := &v1alpha1.Exception{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "exception-"},
		Spec:       v1alpha1.ExceptionSpec{Digest: digest, Namespaces: []string{namespace}, Reason: "incident 117", ExpiresAt: metav1.NewTime(end)},
	}
	client := registry.NewClient()
	target, err := evidence.FindTarget(t.Context(), client, repository, digest)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		attested, err := evidence.Attest(t.Context(), client, e.Keys[key], target, gate.PredicateException, gate.Permission{Namespace: namespace, Reason: "incident 117", ExpiresAt: &end})
		if err != nil {
			t.Fatal(err)
		}
		exception.Spec.Bundles = append(exception.Spec.Bundles, attested.Bundle)
	}
	e.createAndWait(t, exception, func() bool { return e.hasException(exception.Name) })
	return exception
}

// hasException reports whether the webhook has read an Exception.
func (e *environment) hasException(name string) bool {
	return slices.ContainsFunc(e.program.policies.Exceptions(), func(x v1alpha1.Exception) bool { return x.Name == name })
}

// createAndWait creates an object, which is deleted after the test, and waits until the
// webhook has read it.
func (e *environment) createAndWait(t *testing.T, object client.Object, read func() bool) {
	t.Helper()
	if err := e.Client.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Client.Delete(context.Background(), object); err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	})
	if err := webhooktest.WaitUntil(read); err != nil {
		t.Fatalf("waiting until the webhook has read %T %q: %v", object, object.GetName(), err)
	}
}

// waitForEvidence waits until attestations of an image are stored, and returns the object.
func (e *environment) waitForEvidence(t *testing.T, reference string, attestations int) *v1alpha1.EvidenceCache {
	t.Helper()
	var object v1alpha1.EvidenceCache
	if err := webhooktest.WaitUntil(func() bool {
		return e.Client.Get(t.Context(), evidenceKey(reference), &object) == nil && len(object.Spec.Attestations) == attestations
	}); err != nil {
		t.Fatalf("waiting until %d attestations of %s are stored: %v\n%s", attestations, reference, err, e.logs)
	}
	return &object
}

// evidenceKey returns the name of the object with the evidence of an image.
func evidenceKey(reference string) types.NamespacedName {
	repository, digest, _ := strings.Cut(reference, "@")
	return types.NamespacedName{Namespace: webhooktest.CacheSecret.Namespace, Name: evidencecache.ObjectName(repository, digest)}
}
